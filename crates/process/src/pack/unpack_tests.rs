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
