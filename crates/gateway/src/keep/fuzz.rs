//! What fuzzing feeds of the files that a gateway finds.

use std::path::Path;

use base::Digest;
use ports::SnapshotChange;

use super::{CURRENT, HEAD, JOURNAL, JOURNAL_PREVIOUS, Keep, Loaded, MIDDLE, PREVIOUS, TAIL, journal};
use crate::table::Book;

/// Between the files in an input.
const BETWEEN: &[u8] = b"\n==\n";

/// The four files, in their order: the snapshot, its changes, the snapshot before, its changes. The
/// first byte says which of them get their right frames and digests, line by line: behind a wrong
/// digest nothing is reached.
pub(crate) fn kept(data: &[u8], place: &Path) {
    let Some((framed, rest)) = data.split_first() else { return };
    let mut rest = rest;
    for (n, (name, middle)) in
        [(CURRENT, MIDDLE), (JOURNAL, journal::MIDDLE), (PREVIOUS, MIDDLE), (JOURNAL_PREVIOUS, journal::MIDDLE)]
            .into_iter()
            .enumerate()
    {
        let (file, next) = match memchr::memmem::find(rest, BETWEEN) {
            Some(at) => rest.split_at(at),
            None => (rest, &b""[..]),
        };
        rest = next.get(BETWEEN.len()..).unwrap_or_default();
        // What nothing is said about is not there.
        if file.is_empty() {
            continue;
        }
        let is_framed = framed.checked_shr(u32::try_from(n).unwrap_or(0)).is_some_and(|bits| bits & 1 == 1);
        let content = if is_framed { frames(file, middle) } else { file.to_vec() };
        assert!(std::fs::write(place.join(name), content).is_ok(), "the test cannot write");
    }
    look(place);
}

fn frames(file: &[u8], middle: &str) -> Vec<u8> {
    let line = |json: &[u8]| {
        let digest = Digest::of(json).to_string();
        [HEAD.as_bytes(), digest.as_bytes(), middle.as_bytes(), json, TAIL.as_bytes()].concat()
    };
    file.split(|byte| *byte == b'\n').flat_map(line).collect()
}

fn look(place: &Path) {
    let found = |keep: &Keep| {
        let Loaded { book, degraded } = keep.load();
        (book.as_ref().map(written), book, degraded)
    };
    let keep = Keep::new(place);
    let (before, book, why) = found(&keep);
    assert_eq!((&before, &why), (&found(&keep).0, &found(&keep).2), "looked at twice it is another");
    let Some(book) = book else { return };
    // What follows is taken, however the end of the journal looked.
    let (base, Some(generation)) = (book.generation(), book.generation().0.checked_add(1)) else { return };
    let generation = base::Generation(generation);
    let change =
        SnapshotChange { format: ports::SNAPSHOT_FORMAT, base, generation, routes: Vec::new(), gone: Vec::new() };
    if why.is_none() && book.check(&change).is_ok() {
        assert!(keep.append(&change).is_ok(), "a change cannot be kept");
        let (_, again, _) = found(&Keep::new(place));
        assert_eq!(again.map(|book| book.generation()), Some(generation), "a change was kept and is not found");
    }
    assert!(keep.store(&book).is_ok(), "what was found cannot be stored");
    let (again, _, why) = found(&Keep::new(place));
    assert_eq!((again, why), (before, None), "what was stored is not what is found");
}

fn written(book: &Book) -> Vec<u8> {
    book.to_json().unwrap_or_default()
}
