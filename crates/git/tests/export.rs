//! A commit as a tar stream.

mod common;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;

use common::{Server, Work, has_git, noise, server, text};
use futures_util::StreamExt as _;
use ports::Sources as _;

async fn export(server: &Server, commit: &str) -> Result<Vec<u8>, base::Problem> {
    let mut stream = server.sources.export(&"shop".parse().unwrap(), commit).await?;
    let mut out = Vec::new();
    while let Some(chunk) = stream.next().await {
        out.extend_from_slice(&chunk?);
    }
    Ok(out)
}

/// Path → what it is, its mode, its content or target.
fn listing(tar: &[u8]) -> BTreeMap<String, (tar::EntryType, u32, Vec<u8>)> {
    let mut archive = tar::Archive::new(tar);
    let mut out = BTreeMap::new();
    let mut order = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let header = entry.header().clone();
        assert_eq!((header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap()), (0, 0, 1_790_000_000));
        let path = entry.path().unwrap().to_str().unwrap().to_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        if let Some(target) = entry.link_name_bytes() {
            content = target.into_owned();
        }
        order.push(path.clone());
        out.insert(path, (header.entry_type(), header.mode().unwrap(), content));
    }
    let mut sorted = order.clone();
    sorted.sort();
    assert_eq!(order, sorted, "in order");
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree() {
    if !has_git() {
        return;
    }
    let server = server().await;
    let work = Work::new(&server, "shop");
    let long = format!("{}/{}.txt", "d".repeat(120), "f".repeat(120));
    for (path, content) in [
        ("a.txt", b"a".to_vec()),
        ("d/big", noise(1, 1_000_000)),
        ("d/empty", vec![]),
        (&long, b"long".to_vec()),
        ("ä ö", b"u".to_vec()),
        ("run", b"#!/bin/sh\n".to_vec()),
    ] {
        let file = work.path().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, content).unwrap();
    }
    std::fs::set_permissions(work.path().join("run"), std::fs::Permissions::from_mode(0o755)).unwrap();
    for (path, target) in [
        ("inside", "d/big"),
        ("d/up", "../a.txt"),
        ("outside", "/etc/passwd"),
        ("d/out", "../../x"),
        ("d/odd", "up/.."),
    ] {
        std::os::unix::fs::symlink(target, work.path().join(path)).unwrap();
    }
    let commit = work.commit("z", "z");
    work.git(&["tag", "-a", "v1", "-m", "x"]);
    let output = work.push(&["orlop", "main", "v1"]).await;
    assert!(output.status.success(), "{}", text(&output));
    let tar = export(&server, &commit).await.unwrap();
    assert!(tar == export(&server, &commit).await.unwrap(), "the same bytes every time");
    let tag = work.git(&["rev-parse", "v1"]);
    assert!(tar == export(&server, tag.trim()).await.unwrap(), "a tag leads to its commit");
    let files = listing(&tar);
    let names: Vec<_> = files.keys().map(String::as_str).collect();
    assert_eq!(names, ["a.txt", "d/big", "d/empty", "d/up", &long, "inside", "run", "z", "ä ö"]);
    let regular = |mode, content: &[u8]| (tar::EntryType::Regular, mode, content.to_vec());
    assert_eq!(files["a.txt"], regular(0o644, b"a"));
    assert_eq!(files["run"], regular(0o755, b"#!/bin/sh\n"));
    assert!(files["d/big"] == regular(0o644, &noise(1, 1_000_000)));
    assert_eq!(files[&long], regular(0o644, b"long"));
    assert_eq!(files["d/up"], (tar::EntryType::Symlink, 0o777, b"../a.txt".to_vec()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there() {
    if !has_git() {
        return;
    }
    let server = server().await;
    assert_eq!(export(&server, &"1".repeat(40)).await.unwrap_err().code, "source-empty");
    let work = Work::new(&server, "shop");
    let commit = work.commit("a", "a");
    assert!(work.push(&["orlop", "main"]).await.status.success());
    for (id, code) in [
        ("1".repeat(40), "commit-not-found"),
        (work.git(&["rev-parse", "HEAD^{tree}"]).trim().to_owned(), "commit-not-found"),
        ("main".into(), "bad-commit"),
        (commit[..10].to_owned(), "bad-commit"),
        ("../../x".into(), "bad-commit"),
    ] {
        assert_eq!(export(&server, &id).await.unwrap_err().code, code, "{id}");
    }
    // A reader that goes away does not keep anything busy.
    work.commit("big", noise(1, 5_000_000));
    assert!(work.push(&["orlop", "main"]).await.status.success());
    let tip = work.git(&["rev-parse", "HEAD"]);
    for _ in 0..20 {
        let mut stream = server.sources.export(&"shop".parse().unwrap(), tip.trim()).await.unwrap();
        stream.next().await.unwrap().unwrap();
    }
    assert!(!export(&server, tip.trim()).await.unwrap().is_empty());
}
