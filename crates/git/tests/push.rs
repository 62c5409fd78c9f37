//! Pushes of the real `git`.

mod common;

use common::{Server, Work, has_git, noise, run, server, text};
use ports::Sources as _;

/// Pushes and looks at what git says; the repository must be sound and tidy afterwards.
async fn check(server: &Server, work: &Work, arguments: &[&str], accepted: bool, says: &[&str]) {
    let output = work.push(arguments).await;
    let said = text(&output);
    assert_eq!(output.status.success(), accepted, "push {arguments:?}: {said}");
    for words in says {
        assert!(said.contains(words), "push {arguments:?} does not say `{words}`: {said}");
    }
    server.state("shop");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_life_of_a_repository() {
    if !has_git() {
        return;
    }
    let server = server().await;
    let work = Work::new(&server, "shop");
    let first = work.commit("a.txt", "one\n");
    check(&server, &work, &["orlop", "main"], true, &["[new branch]", "main -> main", "remote: done"]).await;
    let landed = server.rules.landed.lock().unwrap().pop().unwrap();
    assert_eq!((landed.reference.as_str(), landed.old, landed.new), ("refs/heads/main", None, Some(first.clone())));
    assert_eq!((landed.subject.as_str(), landed.author.as_str()), ("change a.txt", "Ada <ada@example.org>"));

    let second = work.commit("dir/b.txt", "two\n");
    check(&server, &work, &["orlop", "main"], true, &["main -> main"]).await;
    let landed = server.rules.landed.lock().unwrap().pop().unwrap();
    assert_eq!((landed.old, landed.new), (Some(first.clone()), Some(second.clone())));
    check(&server, &work, &["orlop", "main"], true, &["Everything up-to-date"]).await;

    work.git(&["tag", "-a", "v1", "-m", "the first"]);
    work.git(&["tag", "light"]);
    work.git(&["branch", "feature/x"]);
    check(&server, &work, &["orlop", "--all"], true, &["feature/x -> feature/x"]).await;
    check(&server, &work, &["orlop", "--tags"], true, &["v1 -> v1", "light -> light"]).await;
    let landed: Vec<_> = server.rules.landed.lock().unwrap().drain(..).collect();
    assert!(landed.iter().all(|u| u.new.as_deref() == Some(second.as_str())), "tags are told as commits: {landed:?}");

    // History is rewritten: git refuses by itself, and may be told not to.
    work.git(&["reset", "-q", "--hard", &first]);
    let third = work.commit("c.txt", "three\n");
    check(&server, &work, &["orlop", "main"], false, &["non-fast-forward"]).await;
    check(&server, &work, &["-f", "orlop", "main"], true, &["forced update"]).await;
    assert!(server.state("shop").contains(&third));

    check(&server, &work, &["orlop", "--delete", "feature/x", "light"], true, &["[deleted]"]).await;
    check(&server, &work, &["orlop", "main:feature"], true, &["[new branch]"]).await;
    check(&server, &work, &["orlop", ":main", "main:trunk"], true, &["[deleted]", "[new branch]"]).await;
    let refs = server.state("shop");
    let names: Vec<_> = refs.lines().filter_map(|l| l.split('\t').nth(1)).collect();
    assert_eq!(names, ["refs/heads/feature", "refs/heads/trunk", "refs/tags/v1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clone_is_what_was_pushed() {
    if !has_git() {
        return;
    }
    let server = server().await;
    let work = Work::new(&server, "shop");
    for i in 0..20u64 {
        work.commit(&format!("d{}/f{i}.bin", i % 3), noise(i, 5_000));
    }
    work.git(&["tag", "-a", "v1", "-m", "x"]);
    check(&server, &work, &["orlop", "main", "v1"], true, &[]).await;
    for version in ["0", "1", "2"] {
        let copy = tempfile::tempdir().unwrap();
        let there = Work { dir: copy };
        there.remote(&["-c", &format!("protocol.version={version}"), "clone", "-q", &server.url("shop"), "copy"]).await;
        let copy = there.path().join("copy");
        for what in
            [&["rev-parse", "HEAD"][..], &["ls-tree", "-r", "HEAD"], &["rev-parse", "v1"], &["log", "--oneline"]]
        {
            assert_eq!(text(&run(&copy, what)), text(&run(work.path(), what)), "version {version}: {what:?}");
        }
    }
    // A fetch of what came later.
    let copy = Work::new(&server, "shop");
    copy.remote(&["fetch", "-q", "orlop"]).await;
    let tip = work.commit("late.txt", "late");
    check(&server, &work, &["orlop", "main"], true, &[]).await;
    copy.remote(&["fetch", "-q", "orlop"]).await;
    assert_eq!(copy.git(&["rev-parse", "orlop/main"]).trim(), tip);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_and_thin_packs() {
    if !has_git() {
        return;
    }
    let server = server().await;
    let work = Work::new(&server, "shop");
    // More than http.postBuffer (1 MiB), so that git probes first and sends in chunks; with long
    // delta chains in the pack.
    let mut lines: Vec<String> = (0..20_000u64).map(|i| format!("line {i} {:?}\n", noise(i, 4))).collect();
    for i in 0..30usize {
        lines[i * 600] = format!("changed in {i}\n");
        std::fs::write(work.path().join(format!("noise{i}")), noise(i as u64, 100_000)).unwrap();
        work.commit("text", lines.concat());
    }
    check(&server, &work, &["orlop", "main"], true, &["[new branch]"]).await;
    // Now a small change of a large file: the pack has a delta on what the server has.
    lines[7] = "once more\n".to_owned();
    work.commit("text", lines.concat());
    work.git(&["config", "core.compression", "9"]);
    let packs = |server: &Server| {
        let listed = std::fs::read_dir(server.repository("shop").join("objects/pack")).unwrap();
        listed.filter(|e| e.as_ref().unwrap().path().extension().is_some_and(|x| x == "pack")).count()
    };
    assert_eq!(packs(&server), 1);
    let output = work.push(&["--thin", "orlop", "main"]).await;
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(packs(&server), 2);
    server.state("shop");
    // Deltas by id instead of by offset, in both kinds of pack.
    work.git(&["config", "repack.useDeltaBaseOffset", "false"]);
    lines[9] = "and again\n".to_owned();
    work.commit("text", lines.concat());
    check(&server, &work, &["orlop", "main"], true, &[]).await;
    let copy = Work::new(&server, "shop");
    copy.remote(&["fetch", "-q", "orlop"]).await;
    copy.git(&["checkout", "-q", "orlop/main"]);
    assert!(std::fs::read(copy.path().join("text")).unwrap() == lines.concat().as_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_seen_by_the_person() {
    if !has_git() {
        return;
    }
    let server = server().await;
    let work = Work::new(&server, "shop");
    work.commit("a", "a");
    let refuse = |name: &str, why: &str| server.rules.refused.lock().unwrap().insert(name.into(), why.into());
    refuse("refs/heads/locked", "branch `locked` is protected\nreally");
    check(
        &server,
        &work,
        &["orlop", "main:locked"],
        false,
        &["[remote rejected]", "branch `locked` is protected really"],
    )
    .await;
    assert_eq!(server.state("shop"), "");
    // One of two: the other one lands, but not if the push is atomic.
    check(&server, &work, &["--atomic", "orlop", "main:one", "main:locked"], false, &["is protected", "one"]).await;
    assert_eq!(server.state("shop"), "");
    check(&server, &work, &["orlop", "main:one", "main:locked"], false, &["[new branch]", "[remote rejected]"]).await;
    assert_eq!(server.state("shop").lines().count(), 1);
    check(&server, &work, &["--atomic", "orlop", "main:two", "main:three"], true, &["main -> three"]).await;
    assert_eq!(server.rules.landed.lock().unwrap().len(), 3);
    // Names.
    for (name, says) in [
        ("refs/orlop/x", "only branches"),
        ("refs/heads/one/deep", "is in the way of"),
        ("refs/notes/x", "only branches"),
    ] {
        check(&server, &work, &["orlop", &format!("main:{name}")], false, &["[remote rejected]", says]).await;
    }
    check(&server, &work, &["orlop", "main:new", "main:new/deep"], false, &["is in the way of"]).await;
    // A branch that is no commit.
    check(&server, &work, &["orlop", "HEAD^{tree}:refs/heads/tree"], false, &[]).await;
    check(&server, &work, &["orlop", "HEAD^{tree}:refs/tags/tree"], false, &["a tag must lead to a commit"]).await;
    // A refused deletion.
    refuse("refs/heads/two", "keep it");
    check(&server, &work, &["orlop", ":two"], false, &["keep it"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_told() {
    if !has_git() {
        return;
    }
    let server = server().await;
    let work = Work::new(&server, "shop");
    work.commit("noise", noise(1, 3_000_000));
    work.commit("zeros", vec![0; 3_000_000]);
    let limits = ports::ReceiveLimits::default();
    for (limits, says) in [
        (ports::ReceiveLimits { pack_bytes_max: 1 << 20, ..limits }, "larger than 1Mi"),
        (ports::ReceiveLimits { objects_max: 5, ..limits }, "6 objects, more than 5"),
        (ports::ReceiveLimits { object_bytes_max: 2 << 20, ..limits }, "an object is larger than 2Mi"),
        (ports::ReceiveLimits { repository_bytes_max: 1 << 20, ..limits }, "the repository would be larger"),
    ] {
        *server.rules.limits.lock().unwrap() = Some(limits);
        check(&server, &work, &["orlop", "main"], false, &[says, "remote rejected", "hint:"]).await;
        assert_eq!(server.state("shop"), "");
    }
    *server.rules.limits.lock().unwrap() = Some(ports::ReceiveLimits { refs_max: 2, ..limits });
    check(&server, &work, &["orlop", "main:a", "main:b"], true, &[]).await;
    check(&server, &work, &["orlop", "main:c"], false, &["at most 2 refs"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_is_shown() {
    if !has_git() {
        return;
    }
    let server = server().await;
    let work = Work::new(&server, "shop");
    work.commit("a", "a");
    let long = "x".repeat(3_000);
    *server.rules.lines.lock().unwrap() =
        vec!["building".into(), "two\nlines".into(), long.clone(), "\u{1b}[31mred".into()];
    let says = ["remote: building", "remote: two", "remote: lines", &long, "remote:  [31mred", "remote: done"];
    check(&server, &work, &["orlop", "main"], true, &says).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pushes_at_the_same_time() {
    if !has_git() {
        return;
    }
    let server = server().await;
    let base = Work::new(&server, "shop");
    base.commit("a", "a");
    check(&server, &base, &["orlop", "main"], true, &[]).await;
    // Different branches: all land. The same branch, from the same base: exactly one does.
    let mut works = Vec::new();
    for i in 0..6u64 {
        let work = Work::new(&server, "shop");
        work.remote(&["pull", "-q", "orlop", "main"]).await;
        work.commit(&format!("f{i}"), noise(i, 1_000));
        works.push(work);
    }
    let pushes: Vec<_> = works
        .into_iter()
        .zip(0..)
        .map(|(work, i)| {
            tokio::spawn(async move {
                let own = work.push(&["orlop", &format!("main:own{i}")]).await;
                assert!(own.status.success(), "{}", text(&own));
                work.push(&["orlop", "main"]).await.status.success()
            })
        })
        .collect();
    let mut won = 0;
    for push in pushes {
        won += usize::from(push.await.unwrap());
    }
    assert_eq!(won, 1);
    assert_eq!(server.state("shop").lines().count(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shallow_clone_may_push_what_is_complete() {
    if !has_git() {
        return;
    }
    let server = server().await;
    let work = Work::new(&server, "shop");
    work.commit("a", "a");
    work.commit("b", "b");
    check(&server, &work, &["orlop", "main"], true, &[]).await;
    let there = Work { dir: tempfile::tempdir().unwrap() };
    there.remote(&["clone", "-q", "--depth", "1", &server.url("shop"), "."]).await;
    there.commit("c", "c");
    check(&server, &there, &["origin", "main"], true, &[]).await;
    // Elsewhere its history is missing.
    there.git(&["remote", "add", "other", &server.url("other")]);
    check(&server, &there, &["other", "main"], false, &["is missing", "git fetch --unshallow"]).await;
    assert_eq!(server.state("other"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_refs() {
    if !has_git() {
        return;
    }
    let server = server().await;
    let work = Work::new(&server, "shop");
    for i in 0..60 {
        work.commit("a", format!("{i}"));
        work.git(&["branch", &format!("branch-{i}")]);
    }
    check(&server, &work, &["orlop", "--all"], true, &[]).await;
    assert_eq!(server.state("shop").lines().count(), 61);
    // git compresses what a clone wants, if it is much.
    let copy = Work::new(&server, "shop");
    copy.remote(&["fetch", "-q", "orlop"]).await;
    assert!(server.rules.zipped.load(std::sync::atomic::Ordering::Relaxed) > 0);
    assert_eq!(copy.git(&["branch", "-r"]).lines().count(), 61);
    let deleted: Vec<String> = (0..60).map(|i| format!(":branch-{i}")).collect();
    let mut arguments = vec!["orlop"];
    arguments.extend(deleted.iter().map(String::as_str));
    check(&server, &work, &arguments, true, &[]).await;
    assert_eq!(server.state("shop").lines().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_in_git_is_told() {
    if !has_git() {
        return;
    }
    let server = server().await;
    let work = Work::new(&server, "shop");
    work.commit("movie.mp4", "version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 5\n");
    let commit = work.git(&["rev-parse", "HEAD"]);
    work.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{},theme", commit.trim())]);
    work.git(&["commit", "-q", "-m", "module"]);
    let says = ["remote: note: 1 new file(s) are Git LFS pointers", "remote: note: `theme` is a submodule"];
    check(&server, &work, &["orlop", "main"], true, &says).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_there_before_a_push_and_after_a_removal() {
    if !has_git() {
        return;
    }
    let server = server().await;
    let service = "shop".parse().unwrap();
    assert_eq!(server.sources.upload_pack(&service, None, None).await.err().unwrap().code, "source-empty");
    let work = Work::new(&server, "shop");
    work.commit("a", "a");
    check(&server, &work, &["orlop", "main"], true, &[]).await;
    server.sources.remove(&service).await.unwrap();
    server.sources.remove(&service).await.unwrap();
    assert!(!server.repository("shop").exists());
    check(&server, &work, &["orlop", "main"], true, &["[new branch]"]).await;
    let without = git::Repositories::open(server.dir.path().join("repositories"), None).unwrap();
    assert_eq!(without.upload_pack(&service, None, None).await.err().unwrap().code, "git-missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn leftovers_of_a_crash_do_not_stay() {
    if !has_git() {
        return;
    }
    let server = server().await;
    let work = Work::new(&server, "shop");
    work.commit("a", "a");
    check(&server, &work, &["orlop", "main"], true, &[]).await;
    let repository = server.repository("shop");
    std::fs::create_dir_all(repository.join("objects/incoming-9-9/pack")).unwrap();
    for file in ["objects/incoming-9-9/pack/incoming", "refs/heads/main.lock", "packed-refs.lock", "refs/heads/empty"] {
        let content = if file.ends_with(".lock") { "half a val" } else { "" };
        std::fs::write(repository.join(file), content).unwrap();
    }
    std::fs::create_dir(server.dir.path().join("repositories/half.making")).unwrap();
    std::fs::create_dir(server.dir.path().join("repositories/gone.removing")).unwrap();
    git::Repositories::open(server.dir.path().join("repositories"), None).unwrap();
    assert_eq!(server.state("shop").lines().count(), 1);
    work.commit("b", "b");
    check(&server, &work, &["orlop", "main"], true, &[]).await;
    assert_eq!(std::fs::read_dir(server.dir.path().join("repositories")).unwrap().count(), 1);
}
