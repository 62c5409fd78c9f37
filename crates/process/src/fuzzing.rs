//! What fuzzing feeds: each function takes bytes of a stranger and checks what must hold for all of
//! them. For tests only (feature `fuzzing`); called by the crate `fuzz`.

use std::path::Path;

use crate::files::{Meta, State};
use crate::launch::Launch;
use crate::log::{Splitter, after, tail};
use crate::pack::fuzz;
use crate::shim::{Answer, Request};

/// Unpacks an archive into the empty folder `place`: whatever comes of it, nothing is beside it, no
/// link in it leads out, no file of it is special, and it is within its bounds.
///
/// # Panics
/// Where that does not hold.
pub fn archive(data: &[u8], place: &Path) {
    fuzz::archive(data, place);
}

/// An OCI manifest.
pub fn oci_manifest(data: &[u8]) {
    fuzz::manifest(data);
}

/// Output of a program: lines are the same however the bytes come, and no longer than allowed.
///
/// # Panics
/// Where that does not hold.
pub fn output(data: &[u8]) {
    let Some((seed, bytes)) = data.split_first() else { return };
    let lines = |step: usize| {
        let (mut splitter, mut lines) = (Splitter::default(), Vec::new());
        for piece in bytes.chunks(step) {
            splitter.feed(piece, |line| lines.push(line.to_owned()));
        }
        splitter.finish(|line| lines.push(line.to_owned()));
        lines
    };
    let (whole, cut) = (lines(bytes.len().max(1)), lines(usize::from(*seed) % 19 + 1));
    assert_eq!(whole, cut, "pieces change the lines");
    // A byte that is no text becomes a sign of three bytes.
    assert!(whole.iter().all(|line| line.len() <= 3 * base::limits::LOG_LINE_BYTES_MAX), "a line is too long");
    assert!(whole.iter().all(|line| !line.contains('\n')), "a line holds another");
}

/// A segment of a log with anything in it: it is read, in order, and its end as well.
///
/// # Panics
/// Where reading fails, or the end is not the end.
pub fn log_segment(data: &[u8], place: &Path) {
    let segment = place.join(format!("{:020}.log", 0));
    assert!(std::fs::write(&segment, data).is_ok(), "the test cannot write");
    let (all, last) = (after(place, None, 10_000), tail(place, 5));
    let (Ok(all), Ok(last)) = (all, last) else { panic!("the log cannot be read") };
    assert!(all.is_sorted_by_key(|line| line.cursor), "out of order");
    assert!(all.ends_with(&last), "the tail is not the end");
    if let Some(middle) = all.get(all.len() / 2) {
        let rest = after(place, Some(middle.cursor), 10_000);
        assert_eq!(rest.ok().as_deref(), all.get(all.len() / 2 + 1..), "a cursor does not go on where it was");
    }
}

/// What engine and keeper tell each other, and what lies on disk between them.
///
/// # Panics
/// Where something that was read is written as something else.
pub fn messages(data: &[u8]) {
    fn same<T: serde::Serialize + serde::de::DeserializeOwned>(data: &[u8]) {
        let Ok(read) = serde_json::from_slice::<T>(data) else { return };
        let Ok(written) = serde_json::to_value(&read) else { panic!("what was read cannot be written") };
        let again =
            serde_json::from_value::<T>(written.clone()).ok().and_then(|again| serde_json::to_value(again).ok());
        assert_eq!(again, Some(written), "written and read again it is another");
    }
    same::<Request>(data);
    same::<Answer>(data);
    same::<State>(data);
    same::<Meta>(data);
    same::<Launch>(data);
}
