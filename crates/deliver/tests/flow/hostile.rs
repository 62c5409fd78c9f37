//! Archives that were made to hurt: refused with a reason and nothing left, or taken for what they
//! plainly are.

use api::deliver::ListBuilds;
use base::limits::SOURCE_FILES_MAX;
use serde_json::Value;
use tar::EntryType as T;

use crate::rollouts::SITE;
use crate::world::{World, code, gzip, tarball};

/// A header with these bytes as its name, and its content.
fn entry(kind: T, name: &[u8], link: &[u8], mode: u32, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(content.len() as u64);
    header.set_mode(mode);
    let gnu = header.as_gnu_mut().expect("it is one");
    gnu.name[..name.len()].copy_from_slice(name);
    gnu.linkname[..link.len()].copy_from_slice(link);
    header.set_cksum();
    let mut bytes = [header.as_bytes(), content].concat();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn file(name: &[u8], content: &[u8]) -> Vec<u8> {
    entry(T::Regular, name, b"", 0o644, content)
}

/// An extended header (POSIX.1-2017, pax) with one record before a file `a`.
fn pax(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = [b" ", key.as_bytes(), b"=", value, b"\n"].concat();
    let length = (1..).find(|n: &usize| n.to_string().len() + rest.len() == *n).expect("there is one");
    [entry(T::XHeader, b"pax", b"", 0o644, &[length.to_string().as_bytes(), &rest].concat()), file(b"a", b"x")].concat()
}

fn archive(entries: &[Vec<u8>]) -> Vec<u8> {
    gzip(&[entries.concat(), vec![0; 1024]].concat())
}

/// Each is refused with this code, and with words that say why; nothing of it is left.
async fn refused(bodies: Vec<Vec<u8>>, expect: &str, words: &str) {
    let world = World::new().await;
    for body in bodies {
        let problem = world.upload_bytes(body, "").await.expect_err(words);
        assert_eq!(problem.code, expect, "{problem}");
        assert!(problem.message.contains(words), "{words}: {problem}");
        assert!(!problem.message.contains(|c: char| c.is_control() && c != '\n'), "{problem:?}");
        assert!(world.objects.0.lock().unwrap().is_empty(), "{problem}: something is left");
    }
    assert!(world.call::<ListBuilds>(&[], "", Value::Null).await.unwrap().items.is_empty());
}

/// It is taken; the source as it is kept.
async fn taken(body: Vec<u8>) -> Vec<u8> {
    let world = World::new().await;
    world.upload_bytes(body, "").await.expect("it is taken");
    let objects = world.objects.0.lock().unwrap();
    assert_eq!(objects.len(), 1);
    objects.values().next().expect("one").to_vec()
}

#[tokio::test]
async fn what_is_no_gzip_is_named() {
    for (begin, words) in [
        (&b"PK\x03\x04\x14\0\0\0"[..], "a zip archive"),
        (b"PK\x05\x06\0\0", "an empty zip archive"),
        (b"\x28\xb5\x2f\xfd\x04", "a zstd stream"),
        (b"\xfd7zXZ\0\0", "an xz stream"),
        (b"BZh91AY", "a bzip2 stream"),
    ] {
        let body = [begin, &[7; 600]].concat();
        refused(vec![body], "bad-gzip", words).await;
    }
    refused(vec![tarball(SITE), Vec::new(), b"\x1f".to_vec()], "bad-gzip", "not valid gzip").await;
}

#[tokio::test]
async fn what_is_cut_off_or_no_archive_is_refused() {
    let whole = gzip(&tarball(SITE));
    let cut = [6, 30].map(|less| whole[..whole.len() - less].to_vec());
    refused(cut.into(), "bad-gzip", "gzip").await;
    let text = b"this is no archive, only some text that is long enough to look like something";
    refused(vec![gzip(text)], "bad-archive", "cannot be read").await;
    refused(vec![gzip(&[0; 1024])], "empty-source", "no file").await;
    // The content of a file ends in its middle, although the compression is whole.
    refused(vec![gzip(&tarball(SITE)[..520])], "bad-archive", "cannot be read").await;
    // Behind the compressed bytes there is something else.
    refused(vec![[whole, b"more".to_vec()].concat()], "bad-gzip", "gzip").await;
}

#[tokio::test]
async fn absolute_paths_are_refused() {
    refused(
        vec![archive(&[file(b"/etc/passwd", b"x")]), archive(&[pax("path", b"/etc/x")])],
        "archive-refused",
        "absolute",
    )
    .await;
}

#[tokio::test]
async fn paths_that_climb_are_refused() {
    let names: [&[u8]; 4] = [b"..", b"../x", b"a/../../x", b"./a/.."];
    let mut bodies: Vec<_> = names.iter().map(|name| archive(&[file(name, b"x")])).collect();
    bodies.push(archive(&[pax("path", b"a/../../x")]));
    refused(bodies, "archive-refused", "contains `..`").await;
}

#[tokio::test]
async fn links_that_lead_out_are_refused() {
    let link = |name: &[u8], to: &[u8]| archive(&[entry(T::Symlink, name, to, 0o777, b"")]);
    let bodies = vec![
        link(b"a", b".."),
        link(b"a", b"../x"),
        link(b"a/b", b"/etc"),
        link(b"a/b", b"../../x"),
        link(b"a/b", b"c/../../../x"),
    ];
    refused(bodies, "archive-refused", "which is outside").await;
    refused(vec![link(b"a", b"")], "archive-refused", "without a target").await;
    // The same in an extended header.
    let long = [pax("linkpath", b"/etc/passwd")[..1024].to_vec(), entry(T::Symlink, b"a", b"b", 0o777, b"")].concat();
    refused(vec![archive(&[long])], "archive-refused", "which is outside").await;
}

#[tokio::test]
async fn hard_links_that_lead_out_are_refused() {
    let link = |to: &[u8]| archive(&[entry(T::Link, b"a", to, 0o644, b"")]);
    refused(vec![link(b"../x"), link(b"b/../../x")], "archive-refused", "contains `..`").await;
    refused(vec![link(b"/etc/passwd")], "archive-refused", "absolute").await;
    refused(vec![link(b"./")], "archive-refused", "hard link to nothing").await;
}

#[tokio::test]
async fn devices_pipes_and_unknown_types_are_refused() {
    let kinds = [T::Char, T::Block, T::Fifo];
    let bodies = kinds.map(|kind| archive(&[entry(kind, b"a", b"", 0o644, b"")]));
    refused(bodies.into(), "archive-refused", "a device or a pipe").await;
    let bodies = [T::GNUSparse, T::new(b'V'), T::new(b'M')].map(|kind| archive(&[entry(kind, b"a", b"", 0o644, b"")]));
    refused(bodies.into(), "archive-refused", "not supported").await;
}

#[tokio::test]
async fn sparse_files_are_refused_however_they_are_written() {
    let keys = ["GNU.sparse.map", "GNU.sparse.realsize", "GNU.sparse.major"];
    let bodies = keys.map(|key| archive(&[pax(key, b"0,9999999999999")]));
    refused(bodies.into(), "archive-refused", "sparse").await;
    // One that says to be larger than it is: what is declared counts.
    let mut header = tar::Header::new_gnu();
    header.set_size(3 << 30);
    header.as_mut_bytes()[..1].copy_from_slice(b"x");
    header.set_cksum();
    refused(vec![gzip(header.as_bytes())], "source-too-large", "files have more than").await;
    refused(vec![archive(&[pax("size", b"9223372036854775807")])], "archive-refused", "two different sizes").await;
}

#[tokio::test]
async fn rights_of_a_source_are_to_run_or_not() {
    let site: Vec<Vec<u8>> = SITE.iter().map(|(name, text)| file(name.as_bytes(), text.as_bytes())).collect();
    let setuid = [entry(T::Regular, b"root", b"", 0o6755, b"#!"), entry(T::Directory, b"d/", b"", 0o7777, b"")];
    // It is kept as it came; who unpacks it gives it plain modes (`process`, `pack`).
    let kept = taken(archive(&[site, setuid.into()].concat())).await;
    assert!(kept.len() > 512);
}

#[tokio::test]
async fn a_hundred_thousand_files_are_taken_and_more_than_allowed_refused() {
    let site: Vec<u8> = SITE.iter().flat_map(|(name, text)| file(name.as_bytes(), text.as_bytes())).collect();
    let many = |count: u64| {
        let mut all = site.clone();
        (0..count).for_each(|n| all.extend(file(format!("{n:x}").as_bytes(), b"")));
        all.extend([0; 1024]);
        // Not worth the time to press it.
        let mut plain = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
        std::io::Write::write_all(&mut plain, &all).and_then(|()| plain.finish()).expect("memory")
    };
    let kept = taken(many(100_000)).await;
    assert!(kept.len() > 100_000 * 512);
    refused(vec![many(SOURCE_FILES_MAX + 1)], "source-too-large", "more than 200000 files").await;
}

#[tokio::test]
async fn of_names_that_come_twice_the_last_one_counts() {
    let manifest = |team: &str| file(b"orlop.yaml", format!("service: {team}\n").as_bytes());
    let page = file(b"index.html", b"hello");
    let world = World::new().await;
    // The first one alone would be refused: it is about another service.
    let body = archive(&[page.clone(), manifest("other"), manifest("shop")]);
    world.upload_bytes(body, "").await.unwrap();
    world.settle().await;
    let builds = world.call::<ListBuilds>(&[], "", Value::Null).await.unwrap().items;
    assert_eq!(builds[0].state, api::deliver::BuildState::Succeeded, "{}", builds[0].reason);
    let body = archive(&[page, manifest("shop"), manifest("other")]);
    match world.upload_bytes(body, "").await {
        Err(problem) => assert!(problem.message.contains("other"), "{problem}"),
        Ok(_) => {
            world.settle().await;
            let builds = world.call::<ListBuilds>(&[], "", Value::Null).await.unwrap().items;
            assert_eq!(builds[0].state, api::deliver::BuildState::Failed, "{}", builds[0].reason);
            assert!(builds[0].reason.contains("other"), "{}", builds[0].reason);
        }
    }
}

#[tokio::test]
async fn names_that_differ_in_case_or_form_are_different_names() {
    let site: Vec<u8> = SITE.iter().flat_map(|(name, text)| file(name.as_bytes(), text.as_bytes())).collect();
    let names = ["README", "readme", "Readme", "\u{e9}", "e\u{301}", "con", "nul", "a b", "-rf", "~", "$HOME", "*"];
    let twins: Vec<Vec<u8>> = names.iter().map(|name| file(name.as_bytes(), name.as_bytes())).collect();
    let kept = taken(archive(&[vec![site], twins].concat())).await;
    let mut archive = tar::Archive::new(kept.as_slice());
    let mut found = Vec::new();
    for entry in archive.entries().unwrap() {
        let path = entry.unwrap().path_bytes().into_owned();
        found.push(String::from_utf8(path).unwrap());
    }
    assert!(names.iter().all(|name| found.contains(&(*name).to_owned())), "{found:?}");
}

#[tokio::test]
async fn names_that_are_too_long_or_too_deep_are_refused() {
    let long = "n".repeat(5_000);
    let deep = "d/".repeat(101) + "x";
    refused(vec![archive(&[pax("path", long.as_bytes())])], "archive-refused", "longer than 4096 bytes").await;
    refused(vec![archive(&[pax("path", deep.as_bytes())])], "archive-refused", "deeper than 100").await;
    let name = entry(T::GNULongName, b"././@LongLink", b"", 0o644, long.as_bytes());
    refused(vec![archive(&[name, file(b"a", b"x")])], "archive-refused", "more than 4096 bytes").await;
    let mut huge = tar::Header::new_gnu();
    huge.set_entry_type(T::GNULongName);
    huge.set_size(1 << 30);
    huge.set_cksum();
    refused(vec![gzip(huge.as_bytes())], "archive-refused", "more than 4096 bytes").await;
    // Whoever unpacks cannot make a part of a path longer than this (Linux: NAME_MAX).
    let part = "p".repeat(255);
    taken(archive(&[file(b"index.html", b"x"), pax("path", part.as_bytes())])).await;
}

#[tokio::test]
async fn zero_bytes_and_control_characters_in_names_are_refused() {
    let names: [&[u8]; 4] = [b"a\nb", b"a\rb", b"a\x1b[2J", b"a\x7fb"];
    let mut bodies: Vec<_> = names.iter().map(|name| archive(&[file(name, b"x")])).collect();
    bodies.push(archive(&[pax("path", b"a\0b")]));
    refused(bodies, "archive-refused", "control characters").await;
    let link = [pax("linkpath", b"b\0c")[..1024].to_vec(), entry(T::Symlink, b"a", b"b", 0o777, b"")].concat();
    refused(vec![archive(&[link])], "archive-refused", "outside").await;
}

#[tokio::test]
async fn names_that_are_not_utf8_are_refused() {
    let bodies = vec![archive(&[file(b"a\xff\xfe", b"x")]), archive(&[pax("path", b"\xc3\x28")])];
    refused(bodies, "archive-refused", "not UTF-8").await;
}

#[tokio::test]
async fn extended_headers_that_lie_are_refused() {
    let raw = |text: &[u8]| archive(&[entry(T::XHeader, b"pax", b"", 0o644, text), file(b"a", b"x")]);
    let bodies = [&b"999 path=x\n"[..], b"0 path=x\n", b"-1 path=x\n", b"9 path=x", b"path=x\n", b"11 pathxyz\n"];
    refused(bodies.map(raw).into(), "archive-refused", "cannot be read").await;
    let large = entry(T::XHeader, b"pax", b"", 0o644, &vec![b'x'; 100_000]);
    refused(vec![archive(&[large])], "archive-refused", "more than 65536 bytes").await;
}

#[tokio::test]
async fn an_environment_that_is_not_there_is_told() {
    let world = World::new().await;
    assert_eq!(code(world.upload_bytes(gzip(&tarball(SITE)), "environment=qa").await), "environment-not-found");
}
