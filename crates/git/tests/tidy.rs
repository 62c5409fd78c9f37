//! Many pushes leave few packs, and nothing is lost.

mod common;

use std::path::PathBuf;
use std::time::Duration;

use common::raw::*;
use common::{Server, Work, has_git, noise, server, text};

fn packs(server: &Server) -> (Vec<PathBuf>, usize) {
    let files = std::fs::read_dir(server.repository("shop").join("objects/pack")).unwrap();
    let files: Vec<_> = files.map(|f| f.unwrap().path()).collect();
    let ending = |e: &'static str| files.iter().filter(move |f| f.extension().is_some_and(|x| x == e)).cloned();
    (ending("pack").collect(), ending("merged").count())
}

#[tokio::test(flavor = "multi_thread")]
async fn packs_are_merged() {
    if !has_git() {
        return;
    }
    let server = server().await;
    // Real packs with deltas by offset and by id, and with copies of the same base in several.
    let work = Work::new(&server, "shop");
    let mut lines: Vec<String> = (0..3_000u64).map(|i| format!("line {i} {:?}\n", noise(i, 3))).collect();
    for i in 0..12usize {
        lines[i * 200] = format!("changed in {i}\n");
        work.commit("text", lines.concat());
        work.commit(&format!("other{i}"), [&lines.concat()[..], "x"].concat());
        work.git(&["config", "repack.useDeltaBaseOffset", if i % 2 == 0 { "true" } else { "false" }]);
        let output = work.push(&["--thin", "orlop", "main", &format!("main:side{i}")]).await;
        assert!(output.status.success(), "{}", text(&output));
    }
    for i in 0..45 {
        let mut pack = Pack::default();
        let tip = pack.history(format!("content {i}").as_bytes()).to_string();
        let body = [commands("report-status", &[(ZERO, &tip, &format!("refs/heads/b{i}"))]), pack.bytes()].concat();
        let said = send(&server, &body, 1_000).await;
        assert!(said.contains("ok refs/"), "{said}");
    }
    for _ in 0..500 {
        if packs(&server).1 >= 40 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let before = packs(&server);
    assert!(before.1 >= 40, "{before:?}");
    let state = server.state("shop");
    assert_eq!(state.lines().count(), 58);
    // At the next start the merged packs go, and what is left is all.
    git::Repositories::open(server.dir.path().join("repositories"), None).unwrap();
    let after = packs(&server);
    assert_eq!((after.0.len(), after.1), (before.0.len() - before.1, 0));
    assert!(after.0.len() < 25, "{after:?}");
    assert_eq!(server.state("shop"), state);
    let copy = Work::new(&server, "shop");
    copy.remote(&["fetch", "-q", "orlop"]).await;
    copy.git(&["fsck", "--strict"]);
    copy.git(&["checkout", "-q", "orlop/main"]);
    assert!(std::fs::read(copy.path().join("text")).unwrap() == lines.concat().as_bytes());
}
