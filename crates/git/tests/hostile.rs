//! Pushes that no honest client sends. After each the repository is what it was.

mod common;

use std::time::Duration;

use common::raw::*;
use common::{Server, has_git, server};
use futures_util::StreamExt as _;
use gix::ObjectId;
use ports::Sources as _;

const REPORT: &str = "report-status agent=test";

/// A repository with one branch; returns its commit.
async fn prepared() -> (Server, String) {
    let server = server().await;
    let mut pack = Pack::default();
    let tip = pack.history(b"first").to_string();
    let said = push(&server, &[(ZERO, &tip, "refs/heads/main")], &pack.bytes()).await;
    assert!(said.contains("unpack ok") && said.contains("ok refs/heads/main"), "{said}");
    (server, tip)
}

async fn push(server: &Server, moves: &[(&str, &str, &str)], pack: &[u8]) -> String {
    send(server, &[commands(REPORT, moves), pack.to_vec()].concat(), 1000).await
}

/// Sends a body that must be refused with these words, and change nothing.
async fn check(server: &Server, body: &[u8], says: &str) {
    let before = server.state("shop");
    for step in [usize::MAX, 7] {
        let said = send(server, body, step.min(body.len().max(1))).await;
        assert!(said.contains(says), "does not say `{says}`: {said}");
        assert!(!said.contains("ok refs/"), "something was accepted: {said}");
        assert_eq!(server.state("shop"), before);
    }
}

/// A pack that must be refused; `tip` is what it wants to be a new branch.
async fn check_pack(server: &Server, tip: ObjectId, pack: &[u8], says: &str) {
    let head = commands(REPORT, &[(ZERO, &tip.to_string(), "refs/heads/new")]);
    check(server, &[&head, pack].concat(), says).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn packets() {
    if !has_git() {
        return;
    }
    let (server, tip) = prepared().await;
    let line = |text: &str| packet(text);
    let good = format!("{ZERO} {tip} refs/heads/new");
    for body in [
        b"zzzz".to_vec(),
        b"0001".to_vec(),
        b"0003abc".to_vec(),
        b"fff1aaaa".to_vec(),
        b"ffff".to_vec(),
        b"00".to_vec(),
        b"0100short".to_vec(),
        b"-001".to_vec(),
        line("garbage"),
        line(&good),
        [line(&good), b"00".to_vec()].concat(),
        [line(&format!("{ZERO} {} refs/heads/new", "g".repeat(40))), b"0000".to_vec()].concat(),
        [line(&format!("{ZERO} {ZERO}{ZERO} refs/heads/new")), b"0000".to_vec()].concat(),
        [line(&format!("{ZERO} {tip}")), b"0000".to_vec()].concat(),
        [line(&format!("{ZERO} {tip} refs/heads/a\nok refs")), b"0000".to_vec()].concat(),
        [packet([format!("{ZERO} {tip} refs/heads/").as_bytes(), &[0xff]].concat()), b"0000".to_vec()].concat(),
        [line(&format!("shallow {tip}")), b"0000".to_vec()].concat(),
        [line("shallow x"), b"0000".to_vec()].concat(),
        [line("push-cert\0x"), b"0000".to_vec()].concat(),
        commands("push-options", &[(ZERO, &tip, "refs/heads/new")]),
        commands("object-format=sha256", &[(ZERO, &tip, "refs/heads/new")]),
    ] {
        check(&server, &body, "bad-push").await;
    }
    let many: Vec<String> = (0..10_000).map(|i| format!("refs/heads/b{i}")).collect();
    let many: Vec<_> = many.iter().map(|name| (ZERO, tip.as_str(), name.as_str())).collect();
    check(&server, &commands(REPORT, &many), "too-many-refs").await;
    // What git sends to ask whether it may push.
    assert_eq!(send(&server, b"0000", 4).await, "");
    assert_eq!(send(&server, b"", 4).await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn packs_that_are_not_whole() {
    if !has_git() {
        return;
    }
    let (server, _) = prepared().await;
    let mut pack = Pack::default();
    let tip = pack.history(b"second");
    let whole = pack.bytes();
    for cut in (0..whole.len()).step_by(9) {
        check_pack(&server, tip, &whole[..cut], "unpack the pack ends too early").await;
    }
    let mut wrong = whole.clone();
    *wrong.last_mut().unwrap() ^= 1;
    check_pack(&server, tip, &wrong, "checksum").await;
    check_pack(&server, tip, &[&whole[..], b"more"].concat(), "bytes follow").await;
    check_pack(&server, tip, &pack.counted(2), "").await;
    check_pack(&server, tip, &pack.counted(4), "").await;
    check_pack(&server, tip, &pack.counted(u32::MAX), "4294967295 objects").await;
    check_pack(&server, tip, &seal(b"PACK\0\0\0\x04\0\0\0\0".to_vec()), "not a pack of version 2").await;
    check_pack(&server, tip, b"JUNKJUNKJUNKJUNKJUNKJUNKJUNKJUNK", "not a pack").await;
    for bits in [0, 5] {
        let mut odd = pack.clone();
        odd.entries.push([entry_head(bits, 1), zlib(b"x")].concat());
        check_pack(&server, tip, &odd.bytes(), "type that does not exist").await;
    }
    // The same without report and without a pack at all.
    let head = commands("", &[(ZERO, &tip.to_string(), "refs/heads/new")]);
    assert_eq!(send(&server, &head, 9).await, "");
    assert_eq!(send(&server, &[&head[..], &wrong].concat(), 9).await, "");
    assert_eq!(server.state("shop").lines().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn packs_that_are_not_complete() {
    if !has_git() {
        return;
    }
    let (server, main) = prepared().await;
    let stored: ObjectId = main.parse().unwrap();
    let nowhere: ObjectId = "1".repeat(40).parse().unwrap();
    let (blob, tree_id) = (id(BLOB, b"first"), id(TREE, &tree(&[("100644", b"file", id(BLOB, b"first"))])));
    for (objects, says) in [
        (vec![(COMMIT, commit(nowhere, &[]))], "is missing"),
        (vec![(COMMIT, commit(tree_id, &[stored, nowhere]))], "is missing"),
        (vec![(TREE, tree(&[("100644", b"a", nowhere)]))], "is missing"),
        (vec![(TREE, tree(&[("40000", b"a", nowhere)]))], "is missing"),
        (vec![(BLOB, b"x".to_vec()), (TAG, tag(nowhere, "commit"))], "is missing"),
        (vec![(COMMIT, commit(blob, &[]))], "used as a tree but is a blob"),
        (vec![(COMMIT, commit(tree_id, &[tree_id]))], "used as a commit but is a tree"),
        (vec![(TREE, tree(&[("100644", b"a", tree_id)]))], "used as a blob but is a tree"),
        (vec![(TREE, tree(&[("40000", b"a", blob)]))], "used as a tree but is a blob"),
        (vec![(TAG, tag(blob, "commit"))], "used as a commit but is a blob"),
        (vec![(BLOB, b"new".to_vec()), (TREE, tree(&[("40000", b"a", id(BLOB, b"new"))]))], "is a blob"),
    ] {
        let mut pack = Pack::default();
        let tip = objects.iter().map(|(kind, data)| pack.add(*kind, data)).last().unwrap();
        check_pack(&server, tip, &pack.bytes(), says).await;
        check_pack(&server, stored, &pack.bytes(), says).await;
    }
    // Sound objects, but the ref shall point to none of them, or to none that it may.
    let mut pack = Pack::default();
    pack.history(b"second");
    check_pack(&server, nowhere, &pack.bytes(), "ng refs/heads/new its object is missing").await;
    check_pack(&server, blob, &pack.bytes(), "a branch must be a commit").await;
    // A submodule's commit is elsewhere: this is sound.
    let module = pack.add(TREE, &tree(&[("160000", b"module", nowhere)]));
    let tip = pack.add(COMMIT, &commit(module, &[stored])).to_string();
    let said = push(&server, &[(ZERO, &tip, "refs/heads/good")], &pack.bytes()).await;
    assert!(said.contains("ok refs/heads/good"), "{said}");
    assert_eq!(server.state("shop").lines().count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn submodules_that_harm_whoever_clones_are_refused() {
    if !has_git() {
        return;
    }
    let (server, main) = prepared().await;
    let stored: ObjectId = main.parse().unwrap();
    let with = |name: &str, text: &[u8]| {
        let mut pack = Pack::default();
        let blob = pack.add(BLOB, text);
        let tree = pack.add(TREE, &tree(&[("100644", name.as_bytes(), blob)]));
        (pack.add(COMMIT, &commit(tree, &[stored])), pack.bytes())
    };
    let evil = b"[submodule \"x\"]\n\tpath = x\n\turl = -u./payload\n";
    for (name, text, says) in [
        (".gitmodules", &evil[..], "the url `-u./payload`"),
        (".gitModules", evil, "the url `-u./payload`"),
        (".gitmodules", b"[submodule \"../../x\"]\n\tpath = x\n\turl = y\n", "the name `../../x`"),
        (".gitmodules", b"[submodule \"x\"]\n\tpath = -x\n", "the path `-x`"),
        (".gitmodules", b"[submodule \"x\"]\n\tupdate = !sh\n", "a command"),
        (".gitmodules", b"[submodule", "cannot be read"),
    ] {
        let (tip, bytes) = with(name, text);
        check_pack(&server, tip, &bytes, says).await;
    }
    // As any other file it is harmless; and then it is here, when a tree makes it one.
    let (tip, bytes) = with("notes", evil);
    let said = push(&server, &[(ZERO, &tip.to_string(), "refs/heads/notes")], &bytes).await;
    assert!(said.contains("ok refs/heads/notes"), "{said}");
    let mut pack = Pack::default();
    let tree = pack.add(TREE, &tree(&[("100644", b".gitmodules", id(BLOB, evil))]));
    let tip = pack.add(COMMIT, &commit(tree, &[stored]));
    check_pack(&server, tip, &pack.bytes(), "the url `-u./payload`").await;
    // The plain one is taken.
    let (tip, bytes) = with(".gitmodules", b"[submodule \"x\"]\n\tpath = x\n\turl = https://example.org/x\n");
    let said = push(&server, &[(ZERO, &tip.to_string(), "refs/heads/good")], &bytes).await;
    assert!(said.contains("ok refs/heads/good"), "{said}");
}

fn tag(target: ObjectId, kind: &str) -> Vec<u8> {
    let who = "Ada <ada@example.org> 1790000000 +0000";
    format!("object {target}\ntype {kind}\ntag v1\ntagger {who}\n\nmessage\n").into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_that_are_not_sound() {
    if !has_git() {
        return;
    }
    let (server, main) = prepared().await;
    let (stored, blob): (ObjectId, _) = (main.parse().unwrap(), id(BLOB, b"first"));
    let one = |name: &'static str| tree(&[("100644", name.as_bytes(), blob)]);
    let deep = |name: &'static str| tree(&[("40000", name.as_bytes(), id(TREE, b""))]);
    let mut trees: Vec<Vec<u8>> =
        ["../x", ".git/hooks", ".git", ".GIT", "git~1", ".git ", ".g\u{200c}it", "..", ".", "", "a/b", "/a"]
            .map(one)
            .into();
    trees.extend([".git", "..", "GIT~1"].map(deep));
    trees.extend([
        tree(&[("100644", b"a", blob), ("100644", b"a", blob)]),
        tree(&[("100644", b"a", blob), ("40000", b"a", id(TREE, b""))]),
        tree(&[("100644", b"b", blob), ("100644", b"a", blob)]),
        tree(&[("100777", b"a", blob)]),
        tree(&[("", b"a", blob)]),
        tree(&[("120000", b".gitmodules", blob)]),
        tree(&[("100644", b"a", ObjectId::null(gix::hash::Kind::Sha1))]),
        b"100644 a\0short".to_vec(),
        b"junk".to_vec(),
    ]);
    for data in trees {
        let mut pack = Pack::default();
        pack.add(TREE, b"");
        let tree = pack.add(TREE, &data);
        let tip = pack.add(COMMIT, &commit(tree, &[stored]));
        check_pack(&server, tip, &pack.bytes(), &format!("unpack tree {tree} ")).await;
    }
    let good = String::from_utf8(commit(id(TREE, b""), &[])).unwrap();
    for bad in [
        String::new(),
        "junk".into(),
        good.replace("tree ", "tre "),
        good.replace("author ", "autor "),
        good.replace("Ada", "A\0a"),
        good.replace("committer", "\ncommitter"),
    ] {
        let mut pack = Pack::default();
        pack.add(TREE, b"");
        let tip = pack.add(COMMIT, bad.as_bytes());
        check_pack(&server, tip, &pack.bytes(), &format!("unpack commit {tip} ")).await;
    }
    for bad in ["", "junk", "object x\n"] {
        let mut pack = Pack::default();
        let tip = pack.add(TAG, bad.as_bytes());
        check_pack(&server, tip, &pack.bytes(), &format!("unpack tag {tip} ")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deltas_and_bombs() {
    if !has_git() {
        return;
    }
    let (server, main) = prepared().await;
    let stored: ObjectId = main.parse().unwrap();
    let (blob, nowhere): (ObjectId, ObjectId) = (id(BLOB, b"first"), "1".repeat(40).parse().unwrap());
    let insert = |base: u64, text: &[u8]| {
        [number(base), number(text.len() as u64), vec![text.len() as u8], text.to_vec()].concat()
    };
    let claims = |result: u64| [number(5), number(result), b"\x90\x05".to_vec()].concat();
    let on_id = |deltas: &[(ObjectId, Vec<u8>)]| {
        let mut pack = Pack::default();
        deltas.iter().for_each(|(base, delta)| pack.on_id(*base, delta));
        pack.bytes()
    };
    let on_offset = |distance: u8| {
        let mut pack = Pack::default();
        pack.add(BLOB, b"base!");
        pack.on_offset(distance, &insert(5, b"x"));
        pack.bytes()
    };
    let (a, b) = (id(BLOB, b"aaaaa"), id(BLOB, b"bbbbb"));
    let whole = |head: Vec<u8>, data: &[u8]| Pack { entries: vec![[head, zlib(data)].concat()] }.bytes();
    for (pack, says) in [
        (on_id(&[(nowhere, insert(5, b"x"))]), "neither in it nor here"),
        (on_id(&[(a, insert(5, b"bbbbb")), (b, insert(5, b"aaaaa"))]), "neither in it nor here"),
        (on_id(&[(blob, insert(5, b"first"))]), "an object twice"),
        (on_id(&[(blob, insert(6, b"x"))]), "does not fit its base"),
        (on_id(&[(blob, claims(6))]), "does not fit its base"),
        (on_id(&[(blob, claims(1 << 40))]), "larger than"),
        (on_id(&[(blob, vec![])]), "no valid head"),
        (on_id(&[(blob, vec![0xff; 30])]), "no valid head"),
        (on_id(&(0..12u64).map(|i| (blob, claims((200 << 20) + i))).collect::<Vec<_>>()), "far more than its size"),
        (on_offset(0), "points to where no object is"),
        (on_offset(1), "points to where no object is"),
        (on_offset(100), "points"),
        (whole(entry_head(BLOB, 1 << 40), b"x"), "larger than"),
        (whole(vec![0xbf; 30], b"x"), "impossible size"),
        (whole(entry_head(BLOB, 10), &[0; 1 << 20]), "larger than it claims"),
        (whole(entry_head(BLOB, 10), b"x"), "smaller than it claims"),
        (Pack { entries: vec![[entry_head(BLOB, 3), b"junk".to_vec()].concat()] }.bytes(), "not valid zlib"),
    ] {
        check_pack(&server, stored, &pack, "unpack ").await;
        check_pack(&server, stored, &pack, says).await;
    }
    // The same object twice, both whole.
    let mut twice = Pack::default();
    twice.add(BLOB, b"same");
    twice.add(BLOB, b"same");
    check_pack(&server, stored, &twice.bytes(), "an object twice").await;
    // And honest ones: a chain of deltas by id, in the wrong order, on what the repository has.
    let (next, last) = (id(BLOB, b"second"), id(BLOB, b"third"));
    let mut pack = Pack::default();
    let tree = pack.add(TREE, &tree(&[("100644", b"a", next), ("100644", b"b", last)]));
    pack.on_id(next, &insert(6, b"third"));
    pack.on_id(blob, &insert(5, b"second"));
    let tip = pack.add(COMMIT, &commit(tree, &[stored])).to_string();
    let said = push(&server, &[(&main, &tip, "refs/heads/main")], &pack.bytes()).await;
    assert!(said.contains("ok refs/heads/main"), "{said}");
    assert!(server.state("shop").contains(&tip));
}

#[tokio::test(flavor = "multi_thread")]
async fn refs() {
    if !has_git() {
        return;
    }
    let (server, tip) = prepared().await;
    let empty = Pack::default().bytes();
    let other = "2".repeat(40);
    let long = format!("refs/heads/{}", "a".repeat(300));
    for (old, new, name, says) in [
        (ZERO, tip.as_str(), "refs/heads/../x", "bad name"),
        (ZERO, &tip, "refs/heads/a.lock", "bad name"),
        (ZERO, &tip, "refs/heads/.a", "bad name"),
        (ZERO, &tip, "refs/heads/", "bad name"),
        (ZERO, &tip, "HEAD", "only branches"),
        (ZERO, &tip, "refs/orlop/x", "only branches"),
        (ZERO, &tip, "refs/heads/HEAD", "may not have this name"),
        (ZERO, &tip, "../../etc/passwd", "only branches"),
        (ZERO, &tip, &long, "longer than"),
        (ZERO, &tip, "refs/heads/main/x", "is in the way"),
        (ZERO, &tip, "refs/heads/main", "exists here already"),
        (&other, &tip, "refs/heads/main", "has moved here meanwhile"),
        (&tip, &tip, "refs/heads/absent", "does not exist here"),
        (&other, ZERO, "refs/heads/main", "has moved here meanwhile"),
        (&tip, ZERO, "refs/heads/absent", "does not exist here"),
        (&tip, ZERO, "HEAD", "only branches"),
        (ZERO, ZERO, "refs/heads/main", "nothing to delete"),
    ] {
        let pack = if new == ZERO { &[][..] } else { &empty[..] };
        let body = [&commands(REPORT, &[(old, new, name)]), pack].concat();
        check(&server, &body, says).await;
    }
    let twin = [(ZERO, tip.as_str(), "refs/heads/twin"), (ZERO, &tip, "refs/heads/twin")];
    check(&server, &[commands(REPORT, &twin), empty.clone()].concat(), "more than once").await;
    let atomic = [(ZERO, tip.as_str(), "refs/heads/good"), (ZERO, &tip, "refs/heads/bad.lock")];
    check(&server, &[commands("report-status atomic", &atomic), empty.clone()].concat(), "atomic push").await;
}

/// Honest pushes with changed bytes: whatever is answered, the repository stays sound.
#[tokio::test(flavor = "multi_thread")]
async fn changed_bytes() {
    if !has_git() {
        return;
    }
    let (server, main) = prepared().await;
    let mut pack = Pack::default();
    pack.on_id(id(BLOB, b"first"), &[number(5), number(6), b"\x90\x05\x01!".to_vec()].concat());
    let tip = pack.history(b"second").to_string();
    let moves = [(main.as_str(), tip.as_str(), "refs/heads/main")];
    let body = [commands("report-status side-band-64k", &moves), pack.bytes()].concat();
    let before = server.state("shop");
    let shop = "shop".parse().unwrap();
    let refs_before = server.sources.advertise_receive(&shop).await.unwrap();
    let (mut seed, mut accepted) = (1u64, 0);
    for round in 0..1_500usize {
        let mut changed = body.clone();
        for _ in 0..=round % 3 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = (seed >> 33) as usize % changed.len();
            changed[at] = (seed >> 20) as u8;
        }
        if round % 5 == 0 {
            changed.truncate(changed.len() - round % changed.len());
        }
        if changed == body {
            continue;
        }
        let said = send(&server, &changed, 1 + round % 200).await;
        // Only the name of the ref and the capabilities are not under a checksum.
        if server.sources.advertise_receive(&shop).await.unwrap() != refs_before {
            accepted += 1;
            let state = server.state("shop");
            assert!(state.lines().all(|l| l.contains(" commit\trefs/heads/")), "{state} after {said}");
            return_to(&server, &before).await;
        }
    }
    assert!(accepted < 300, "{accepted}");
    assert_eq!(server.state("shop"), before);
}

/// Deletes or moves back what a changed body has moved.
async fn return_to(server: &Server, before: &str) {
    let listed = |state: &str| -> Vec<(String, String)> {
        state.lines().map(|l| (l.split('\t').nth(1).unwrap().to_owned(), l[..40].to_owned())).collect()
    };
    for (name, now) in listed(&server.state("shop")) {
        let old = listed(before).into_iter().find(|(n, _)| *n == name).map(|(_, id)| id);
        let target = old.unwrap_or_else(|| ZERO.to_owned());
        if target != now {
            let pack = if target == ZERO { Vec::new() } else { Pack::default().bytes() };
            let said = push(server, &[(&now, &target, &name)], &pack).await;
            assert!(said.contains("ok refs/"), "{said}");
        }
    }
    for (name, id) in listed(before) {
        if !listed(&server.state("shop")).iter().any(|(n, _)| *n == name) {
            push(server, &[(ZERO, &id, &name)], &Pack::default().bytes()).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away() {
    if !has_git() {
        return;
    }
    let (server, main) = prepared().await;
    server.rules.landed.lock().unwrap().clear();
    let mut pack = Pack::default();
    let tip = pack.history(b"second").to_string();
    let head = commands("report-status side-band-64k", &[(&main, &tip, "refs/heads/main")]);
    // … in the middle of the pack: nothing happens.
    let before = server.state("shop");
    let body = [&head[..], &pack.bytes()[..40]].concat();
    let endless = stream_of(&body, 10).chain(futures_util::stream::pending()).boxed();
    let pushing = start(&server, endless);
    assert!(tokio::time::timeout(Duration::from_millis(300), pushing).await.is_err(), "it waits for the rest");
    assert_eq!(server.state("shop"), before);
    // … with an error: the same.
    let cut = futures_util::stream::iter([Err(base::Problem::invalid("cut", "connection reset"))]);
    let mut reply = start(&server, stream_of(&body, 10).chain(cut).boxed()).await.unwrap();
    while reply.next().await.is_some() {}
    assert_eq!(server.state("shop"), before);
    // … while the policy works: the push is carried to its end.
    *server.rules.landing.lock().unwrap() = Duration::from_millis(500);
    *server.rules.lines.lock().unwrap() = vec!["x".repeat(3_000); 2_000];
    let body = [&head[..], &pack.bytes()].concat();
    let mut reply = start(&server, stream_of(&body, 100)).await.unwrap();
    reply.next().await.unwrap().unwrap();
    drop(reply);
    for _ in 0..1_000 {
        if !server.rules.landed.lock().unwrap().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(server.rules.landed.lock().unwrap()[0].new.as_deref(), Some(tip.as_str()));
    assert!(server.state("shop").contains(&tip));
}

/// Between the report and the last line the policy is silent for longer than some proxies wait.
#[tokio::test(flavor = "multi_thread")]
async fn silence_is_bridged() {
    if !has_git() {
        return;
    }
    let (server, main) = prepared().await;
    let mut pack = Pack::default();
    let tip = pack.history(b"second").to_string();
    *server.rules.landing.lock().unwrap() = Duration::from_millis(5_500);
    let head = commands("report-status side-band-64k", &[(&main, &tip, "refs/heads/main")]);
    let said = send(&server, &[&head[..], &pack.bytes()].concat(), 1_000).await;
    let (report, alive, line) = (said.find("ok refs/heads/main"), said.find("0005\u{1}"), said.find("\u{2}done\n"));
    assert!(report.is_some() && report < alive && alive < line && said.ends_with("0000"), "{said:?}");
}
