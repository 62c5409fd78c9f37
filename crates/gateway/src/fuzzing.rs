//! What fuzzing feeds: each function takes bytes of a stranger and checks what must hold for all of
//! them. For tests only (feature `fuzzing`); called by the crate `fuzz`.

use ports::{Snapshot, SnapshotChange};

use crate::gate::{Chunked, Framer, HeadLimits, Stop, is_disguised, is_token};
use crate::host::Authority;
use crate::table::{Book, validate};

const LIMITS: HeadLimits = HeadLimits { bytes: 2000, target_bytes: 300, fields: 20 };

/// How a framer came through a connection: requests, bytes that passed, and the end.
type Course = (u64, usize, String);

/// The gate says the same of a connection however its bytes are cut, and lets no byte pass twice.
///
/// # Panics
/// Where it does not.
pub fn connection(data: &[u8]) {
    let Some((seed, bytes)) = data.split_first() else { return };
    let whole = course(bytes, usize::MAX);
    let step = usize::from(*seed).checked_rem(17).unwrap_or(0).saturating_add(1);
    let cut = course(bytes, step);
    assert!(whole == cut, "whole {whole:?}, in pieces of {step} {cut:?}");
    assert!(whole.1 <= bytes.len(), "{} bytes passed of {}", whole.1, bytes.len());
}

fn course(bytes: &[u8], step: usize) -> Course {
    let mut framer = Framer::new(LIMITS);
    let (mut window, mut passed) = (Vec::new(), 0usize);
    for piece in bytes.chunks(step.min(bytes.len()).max(1)) {
        window.extend_from_slice(piece);
        let (n, stop) = framer.advance(&window);
        assert!(n <= window.len(), "more passed than there was");
        window.drain(..n);
        passed = passed.saturating_add(n);
        match stop {
            Stop::More => assert!(window.len() <= LIMITS.bytes, "{} bytes are held back", window.len()),
            Stop::Upgrade => return (framer.heads(), passed, "upgrade".to_owned()),
            Stop::Refuse { refusal, in_body, .. } => {
                // How much of a broken body is passed on before it is refused may differ.
                let passed = if in_body { 0 } else { passed };
                return (framer.heads(), passed, format!("{} {in_body}", refusal.code));
            }
        }
    }
    (framer.heads(), passed, "more".to_owned())
}

/// The same for a chunked body alone.
///
/// # Panics
/// Where pieces change what is said.
pub fn chunks(data: &[u8]) {
    let Some((seed, bytes)) = data.split_first() else { return };
    let step = usize::from(*seed).checked_rem(13).unwrap_or(0).saturating_add(1);
    let walk = |step: usize| {
        let mut body = Chunked::new();
        let mut taken = 0usize;
        for piece in bytes.chunks(step) {
            match body.advance(piece) {
                Ok(n) => {
                    assert!(n <= piece.len() && (n == piece.len() || body.is_done()), "bytes of the body were left");
                    taken = taken.saturating_add(n);
                    if body.is_done() {
                        return (taken, true, None);
                    }
                }
                Err(refusal) => return (0, false, Some(refusal.code)),
            }
        }
        (taken, false, None)
    };
    let (whole, cut) = (walk(bytes.len().max(1)), walk(step));
    assert!(whole == cut, "whole {whole:?}, in pieces of {step} {cut:?}");
}

/// Names of fields and hosts.
///
/// # Panics
/// Where a host that was read is not the same as itself, or a token holds what ends a line.
pub fn names(data: &[u8]) {
    if is_token(data) {
        assert!(!data.is_empty() && data.iter().all(|b| b.is_ascii_graphic()), "not a token");
    }
    let _ = is_disguised(data);
    if let Some(authority) = Authority::read(data) {
        assert!(authority.is_same(&authority), "not itself");
        assert!(!authority.host().is_empty(), "an empty host");
    }
}

/// A snapshot and its changes: what is valid is written and read again as the same, and a change
/// that is taken leaves a snapshot that is valid.
///
/// # Panics
/// Where that does not hold.
pub fn snapshot(data: &[u8]) {
    let mut parts = data.split(|byte| *byte == b'\n');
    let Some(Ok(snapshot)) = parts.next().map(serde_json::from_slice::<Snapshot>) else { return };
    if validate(&snapshot).is_err() {
        return;
    }
    let mut book = Book::of(snapshot);
    for change in parts.filter_map(|part| serde_json::from_slice::<SnapshotChange>(part).ok()) {
        if book.check(&change).is_ok() {
            book.take(&change);
        }
    }
    let Ok(json) = book.to_json() else { return };
    let again = serde_json::from_slice::<Snapshot>(&json);
    assert!(again.as_ref().is_ok_and(|again| validate(again).is_ok()), "what was valid is not, written: {again:?}");
    assert!(again.is_ok_and(|again| book.has_all(&again)), "what was written is not what was read");
}

/// Answers of instances: read strictly, and the same however their bytes are cut.
///
/// # Panics
/// Where pieces change what is said, or more is passed on than came.
pub fn answers(data: &[u8]) {
    crate::upstream::fuzz::answers(data);
}

/// What lies in the empty folder `place` when a gateway starts: whatever it is, what is found can be
/// stored, and is found again as the same.
///
/// # Panics
/// Where that does not hold.
pub fn kept(data: &[u8], place: &std::path::Path) {
    crate::keep::fuzz::kept(data, place);
}

/// What the control plane and the gateway say to each other.
pub fn admin(data: &[u8]) {
    crate::admin::fuzz(data);
}
