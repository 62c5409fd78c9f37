//! What fuzzing feeds: each function takes bytes of a stranger and checks what must hold for all of
//! them. For tests only (feature `fuzzing`); called by the crate `fuzz`.

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use ports::{ByteStream, ReceiveLimits};

use crate::body::Body;
use crate::packet::{self, Head};
use crate::scan::Scan;
use crate::{commands, delta, gunzip, pack, refs, tree};

/// Bounds that small inputs can meet.
const LIMITS: ReceiveLimits = ReceiveLimits {
    pack_bytes_max: 1 << 20,
    objects_max: 50,
    object_bytes_max: 1 << 16,
    repository_bytes_max: 1 << 20,
    refs_max: 20,
};

fn body(bytes: &[u8], step: usize) -> ByteStream {
    let pieces: Vec<_> = bytes.chunks(step.max(1)).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    stream::iter(pieces).boxed()
}

/// The list of refs that a push begins with: the same however it is cut, and within its bounds.
///
/// # Panics
/// Where that does not hold.
pub fn refs_of_a_push(data: &[u8]) {
    let Some((seed, bytes)) = data.split_first() else { return };
    // A body gives up after a while, which takes a clock.
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_time().build() else { return };
    let read = |step: usize| {
        let mut body = Body::new(body(bytes, step));
        let read = runtime.block_on(async { commands::read(&mut body, &LIMITS).now_or_never() });
        read.map(|read| {
            read.map(|request| {
                request.map(|mut request| {
                    assert!(request.commands.len() <= LIMITS.refs_max as usize, "too many commands");
                    for command in request.commands.iter().filter(|command| command.refused.is_none()) {
                        assert!(command.name.starts_with("refs/"), "a ref outside of refs/: {}", command.name);
                        let clean =
                            |c: char| !c.is_control() && !matches!(c, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\');
                        assert!(
                            command.name.chars().all(clean) && !command.name.contains(".."),
                            "a bad ref: {}",
                            command.name
                        );
                    }
                    refs::refuse_clashes(&mut request.commands);
                    format!("{:?}", request.commands)
                })
            })
            .map_err(|problem| problem.code)
        })
    };
    let (whole, cut) = (read(usize::MAX), read(usize::from(*seed) % 9 + 1));
    assert!(whole.is_some(), "it waits for more than there is");
    assert_eq!(whole, cut, "pieces change what is read");
}

/// A pack's outer form: the same however it is cut, and within its bounds.
///
/// # Panics
/// Where that does not hold.
pub fn pack_outside(data: &[u8]) {
    let Some((seed, bytes)) = data.split_first() else { return };
    let scan = |step: usize| -> Result<String, std::borrow::Cow<'static, str>> {
        let mut scan = Scan::new(LIMITS);
        for piece in bytes.chunks(step.max(1)) {
            scan.feed(piece).map_err(|problem| problem.code)?;
        }
        let scanned = scan.end().map_err(|problem| problem.code)?;
        assert!(scanned.entries.len() <= LIMITS.objects_max as usize, "too many objects");
        assert!(scanned.entries.iter().all(|e| e.inflated <= LIMITS.object_bytes_max), "too large an object");
        Ok(format!("{:?} {}", scanned.entries, scanned.checksum))
    };
    let (whole, cut) = (scan(usize::MAX), scan(usize::from(*seed) % 11 + 1));
    assert_eq!(whole, cut, "pieces change what is read");
}

/// A delta against a base: the result has the length that it promises.
///
/// # Panics
/// Where it has not.
pub fn delta_of_an_object(data: &[u8]) {
    let Some((cut, rest)) = data.split_first() else { return };
    let (base, delta) = rest.split_at(usize::from(*cut).min(rest.len()));
    if let Some(made) = delta::apply(base, delta) {
        let promised = pack::number(delta).and_then(|(_, rest)| pack::number(rest)).map(|(length, _)| length);
        assert_eq!(Some(made.len() as u64), promised, "a length that was not promised");
    }
}

/// A tree object: no name in it leads out or hides.
///
/// # Panics
/// Where one does.
pub fn tree_object(data: &[u8]) {
    let Ok(entries) = tree::parse(data) else { return };
    for entry in entries {
        let name = entry.name;
        assert!(!name.is_empty() && !name.contains(&b'/') && !name.contains(&0), "a name that is none");
        assert!(!matches!(name, b"." | b"..") && !name.eq_ignore_ascii_case(b".git"), "a name that leads out");
        assert!(!tree::shown(name).chars().any(char::is_control), "control characters are shown");
    }
}

/// A compressed body: the same however it is cut, and never more than its bound.
///
/// # Panics
/// Where that does not hold.
pub fn compressed_body(data: &[u8]) {
    const MOST: u64 = 1 << 18;
    let Some((seed, bytes)) = data.split_first() else { return };
    let read = |step: usize| {
        let pieces = gunzip(body(bytes, step), MOST).collect::<Vec<_>>().now_or_never().unwrap_or_default();
        let (mut made, mut whole) = (Vec::new(), true);
        for piece in pieces {
            match piece {
                Ok(piece) => made.extend_from_slice(&piece),
                Err(_) => whole = false,
            }
        }
        assert!(made.len() as u64 <= MOST, "{} bytes were made", made.len());
        // Before an error more or less may have been handed on, and which of two is met first depends on the pieces.
        whole.then_some(made)
    };
    assert_eq!(read(usize::MAX), read(usize::from(*seed) % 7 + 1), "pieces change what is made");
}

/// Small forms: the length of a packet, numbers, heads of stored objects.
///
/// # Panics
/// Where a number is read that its bytes do not hold.
pub fn small_forms(data: &[u8]) {
    if let Some(digits) = data.first_chunk::<4>()
        && let Some(Head::Data(length)) = packet::head(*digits)
    {
        assert!(length + 4 <= packet::PACKET_MAX, "a packet of {length} bytes");
        let mut written = Vec::new();
        packet::write(&mut written, &vec![b'x'; length]);
        assert_eq!(packet::head(*written.first_chunk::<4>().unwrap_or(&[0; 4])), packet::head(*digits));
    }
    if let Some((_, rest)) = pack::number(data) {
        assert!(rest.len() < data.len(), "a number of no bytes");
    }
    if let Some(head) = pack::stored_head(data) {
        assert!(head.bytes <= data.len(), "a head beyond its bytes");
    }
}

/// A `.gitmodules`: refused in words that a terminal may show, or harmless.
///
/// # Panics
/// Where it is neither.
pub fn modules(data: &[u8]) {
    crate::modules::fuzz(data);
}
