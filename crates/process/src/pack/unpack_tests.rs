use super::*;

const RULES: Rules = Rules { bytes_max: 10_000, entries_max: 20, owner: None, whiteouts: false };

/// `file:a/b=text`, `exec:a=text`, `dir:a`, `link:a>target`, `hard:a>target`, `fifo:a`, `dev:a`.
fn archive(entries: &[&str]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for entry in entries {
        let (kind, rest) = entry.split_once(':').unwrap();
        let (path, tail) = rest.split_once(['=', '>']).unwrap_or((rest, ""));
        let mut header = tar::Header::new_gnu();
        // Straight into the header: the builder itself refuses the names that are tried here.
        header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
        let (content, link) = if matches!(kind, "file" | "exec") { (tail, "") } else { ("", tail) };
        header.as_gnu_mut().unwrap().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(match kind {
            "file" | "exec" => EntryType::Regular,
            "dir" => EntryType::Directory,
            "link" => EntryType::Symlink,
            "hard" => EntryType::Link,
            "fifo" => EntryType::Fifo,
            _ => EntryType::Char,
        });
        header.set_mode(if kind == "exec" { 0o6755 } else { 0o640 });
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, content.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn try_unpack(archives: &[&[&str]], rules: &Rules) -> (tempfile::TempDir, Result<()>) {
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    let root = OwnedFd::from(std::fs::File::open(&inner).unwrap());
    let mut spent = Spent::default();
    let result = archives.iter().try_for_each(|a| unpack(&root, archive(a).as_slice(), rules, &mut spent));
    (dir, result)
}

fn check_refused(entries: &[&str], says: &str) {
    let (dir, result) = try_unpack(&[entries], &RULES);
    let problem = result.expect_err(&entries.join(" "));
    assert!(problem.message.contains(says), "{problem}");
    let outside: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(outside, ["inner"], "nothing may appear outside");
}

#[test]
fn good_archives_come_out_with_plain_modes() {
    let (dir, result) = try_unpack(
        &[&[
            "dir:bin",
            "exec:bin/run=#!",
            "file:a/b/c=deep",
            "link:a/up>../bin/run",
            "hard:same>a/b/c",
            "file:./dot=.",
        ]],
        &RULES,
    );
    result.unwrap();
    let at = |p: &str| dir.path().join("inner").join(p);
    assert_eq!(std::fs::read_to_string(at("a/b/c")).unwrap(), "deep");
    assert_eq!(std::fs::read_to_string(at("same")).unwrap(), "deep");
    assert_eq!(std::fs::read_to_string(at("a/up")).unwrap(), "#!");
    use std::os::unix::fs::PermissionsExt;
    let mode = |p: &str| std::fs::metadata(at(p)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("bin/run"), mode("a/b/c"), mode("a"), mode("dot")), (0o755, 0o644, 0o755, 0o644));
}

#[test]
fn everything_that_leaves_is_refused() {
    check_refused(&["file:/etc/x=1"], "absolute");
    check_refused(&["file:../x=1"], "`..`");
    check_refused(&["file:a/../../x=1"], "`..`");
    check_refused(&["link:a>/etc/passwd"], "outside");
    check_refused(&["link:a>../x"], "outside");
    check_refused(&["link:a/b>../../x"], "outside");
    check_refused(&["hard:a>/etc/passwd"], "absolute");
    check_refused(&["hard:a>../x"], "`..`");
    check_refused(&["dir:d", "link:l>d", "file:l/x=1"], "through a link");
    check_refused(&["link:l>d", "file:l/x=1"], "through a link");
    check_refused(&["dir:d", "link:d/l>..", "hard:x>d/l"], "not a file");
}

#[test]
fn devices_pipes_and_bombs_are_refused() {
    check_refused(&["fifo:a"], "device or a pipe");
    check_refused(&["dev:a"], "device or a pipe");
    check_refused(&["dir:d", "file:d=1"], "replaces a folder");
    let many: Vec<String> = (0..21).map(|n| format!("file:{n}=x")).collect();
    check_refused(&many.iter().map(String::as_str).collect::<Vec<_>>(), "more than 20 files");
    let big = format!("file:big={}", "x".repeat(6_000));
    let (_dir, result) = try_unpack(&[&[&big], &[&big]], &RULES);
    assert_eq!(result.unwrap_err().code, "archive-too-large", "the bound holds over all layers together");
}

#[test]
fn later_layers_replace_and_take_away() {
    let rules = Rules { whiteouts: true, ..RULES };
    let (dir, result) = try_unpack(
        &[
            &["file:a=1", "file:b=1", "file:d/x=1", "file:d/y=1", "file:e/x=1"],
            &["file:a=2", "file:.wh.b=", "file:d/.wh.x=", "file:e/.wh..wh..opq=", "file:e/z=2"],
        ],
        &rules,
    );
    result.unwrap();
    let at = |p: &str| dir.path().join("inner").join(p);
    assert_eq!(std::fs::read_to_string(at("a")).unwrap(), "2");
    for (path, there) in [("b", false), ("d/x", false), ("d/y", true), ("e/x", false), ("e/z", true)] {
        assert_eq!(at(path).exists(), there, "{path}");
    }
}

/// One entry with any header, and its content padded to blocks.
fn raw(kind: EntryType, name: &[u8], size: u64, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name);
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(size);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// Unpacks raw bytes; whatever comes of it, nothing is outside.
fn unpack_raw(bytes: impl Read) -> (tempfile::TempDir, Result<()>) {
    unpack_by(&RULES, bytes)
}

fn unpack_by(rules: &Rules, bytes: impl Read) -> (tempfile::TempDir, Result<()>) {
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    let root = OwnedFd::from(std::fs::File::open(&inner).unwrap());
    let result = unpack(&root, bytes, rules, &mut Spent::default());
    let outside: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(outside, ["inner"], "nothing may appear outside");
    (dir, result)
}

#[test]
fn headers_are_bounded_in_memory() {
    let large = vec![b'a'; 3 << 20];
    for kind in [EntryType::GNULongName, EntryType::GNULongLink, EntryType::XHeader] {
        // Counts what is taken from the stream: all of it would be kept.
        let bytes =
            [raw(kind, b"././@LongLink", large.len() as u64, &large), raw(EntryType::Regular, b"a", 1, b"x")].concat();
        let mut rest = bytes.as_slice();
        let (_dir, result) = unpack_by(&Rules { bytes_max: 64 << 20, ..RULES }, &mut rest);
        let problem = result.unwrap_err();
        assert_eq!(problem.code, "archive-refused", "{kind:?}: {problem}");
        assert!(problem.message.contains("1048576 bytes of headers"), "{problem}");
        assert!(bytes.len() - rest.len() < 2 << 20, "{kind:?}: {} bytes were read", bytes.len() - rest.len());
    }
    // The counterpart: a long name that is one.
    let name = [vec![b'n'; 200], b"/file\0".to_vec()].concat();
    let bytes = [
        raw(EntryType::GNULongName, b"././@LongLink", name.len() as u64, &name),
        raw(EntryType::Regular, b"n", 1, b"x"),
    ]
    .concat();
    let (dir, result) = unpack_raw(bytes.as_slice());
    result.unwrap();
    assert!(dir.path().join("inner").join("n".repeat(200)).join("file").is_file());
}

#[test]
fn sizes_that_lie_are_refused() {
    for size in [10_001, 1 << 33, 1 << 62, u64::MAX] {
        let (_dir, result) = unpack_raw(raw(EntryType::Regular, b"a", size, b"x").as_slice());
        let problem = result.unwrap_err();
        assert!(["archive-too-large", "archive-broken"].contains(&&*problem.code), "{size}: {problem}");
    }
    let pax = b"28 size=9223372036854775807\n";
    let bytes = [raw(EntryType::XHeader, b"pax", 28, pax), raw(EntryType::Regular, b"a", 1, b"x")].concat();
    assert!(unpack_raw(bytes.as_slice()).1.is_err());
    // Cut in the middle of its content, and in the middle of its header.
    let whole = raw(EntryType::Regular, b"a", 5_000, &[b'x'; 5_000]);
    for end in [513, 4_000, 100] {
        assert!(unpack_raw(&whole[..end]).1.is_err(), "cut at {end}");
    }
}

#[test]
fn strange_names_stay_inside() {
    let strange: [&[u8]; 8] = [
        b"\xff\xfe",
        "\u{202e}txt.exe".as_bytes(),
        b"-rf",
        b".git",
        b"CON",
        b"a\nb",
        b"\x1b[2J",
        "e\u{301}".as_bytes(),
    ];
    let bytes: Vec<u8> = strange.iter().flat_map(|name| raw(EntryType::Regular, name, 1, b"x")).collect();
    let (dir, result) = unpack_raw(bytes.as_slice());
    result.unwrap();
    assert_eq!(std::fs::read_dir(dir.path().join("inner")).unwrap().count(), strange.len());
    let twins = [
        raw(EntryType::Regular, b"A", 1, b"1"),
        raw(EntryType::Regular, b"a", 1, b"2"),
        raw(EntryType::Regular, b"a", 1, b"3"),
    ];
    let (dir, result) = unpack_raw(twins.concat().as_slice());
    result.unwrap();
    let read = |name: &str| std::fs::read_to_string(dir.path().join("inner").join(name)).unwrap();
    assert_eq!((read("A"), read("a")), ("1".to_owned(), "3".to_owned()), "case counts, and the later of two wins");
    let deep = format!("{}x\0", "d/".repeat(101));
    let bytes = [
        raw(EntryType::GNULongName, b"././@LongLink", deep.len() as u64, deep.as_bytes()),
        raw(EntryType::Regular, b"n", 1, b"x"),
    ];
    assert!(unpack_raw(bytes.concat().as_slice()).1.unwrap_err().message.contains("too deep"));
    for kind in [b'V', b'M', b'D', b'Z', b'A'].map(EntryType::new) {
        assert!(
            unpack_raw(raw(kind, b"a", 0, b"").as_slice()).1.unwrap_err().message.contains("unknown type"),
            "{kind:?}"
        );
    }
}
