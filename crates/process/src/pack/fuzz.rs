//! The extractor and the manifest as fuzzing feeds them.

use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path};

use super::oci;
use super::unpack::{Rules, Spent, unpack};

const BYTES_MAX: u64 = 1 << 20;
const ENTRIES_MAX: u64 = 100;

pub(crate) fn manifest(data: &[u8]) {
    let digest = base::Digest::of(data);
    let _ = oci::read(data, &digest);
}

/// Unpacks and looks at what came of it.
pub(crate) fn archive(data: &[u8], place: &Path) {
    let inside = place.join("inside");
    assert!(std::fs::create_dir(&inside).is_ok(), "the test has no folder");
    let root = std::fs::File::open(&inside).map(OwnedFd::from);
    let Ok(root) = root else { panic!("the test has no folder") };
    let rules = Rules { bytes_max: BYTES_MAX, entries_max: ENTRIES_MAX, owner: None, whiteouts: data.len() % 2 == 1 };
    let _ = unpack(&root, data, &rules, &mut Spent::default());
    let beside: Vec<_> = std::fs::read_dir(place).into_iter().flatten().flatten().map(|e| e.file_name()).collect();
    assert_eq!(beside, ["inside"], "something was made outside");
    let (mut bytes, mut todo) = (0, vec![inside.clone()]);
    while let Some(folder) = todo.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            let kind = meta.file_type();
            assert!(kind.is_dir() || kind.is_file() || kind.is_symlink(), "{:?} is special", entry.path());
            if kind.is_symlink() {
                let target = std::fs::read_link(entry.path()).unwrap_or_default();
                let depth = entry.path().strip_prefix(&inside).map_or(0, |path| path.components().count() - 1);
                assert!(stays(depth, &target), "{:?} leads to {target:?}", entry.path());
            } else {
                assert!(meta.mode() & 0o7022 == 0, "{:?} has the mode {:o}", entry.path(), meta.mode());
            }
            if kind.is_file() {
                bytes += meta.len() / meta.nlink();
            }
            if kind.is_dir() {
                todo.push(entry.path());
            }
        }
    }
    assert!(bytes <= BYTES_MAX, "{bytes} bytes were unpacked");
}

/// Whether a link that lies so deep climbs no higher than the top, told in another way than the extractor does.
fn stays(depth: usize, target: &Path) -> bool {
    let mut at = i64::try_from(depth).unwrap_or(i64::MAX);
    target.components().all(|part| {
        at += match part {
            Component::Normal(_) => 1,
            Component::ParentDir => -1,
            Component::CurDir => 0,
            Component::RootDir | Component::Prefix(_) => i64::MIN / 2,
        };
        at >= 0
    })
}
