//! Artifacts, workspaces and caches.

use base::Digest;
use ports::{Base, ExitKind, Mount};

use crate::bench::{Bench, G1, artifact, gz, new_id, tar_of};

#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_is_unpacked_once_for_many() {
    let bench = Bench::new();
    let specs: Vec<_> = (0..4).map(|_| bench.task(&["read", "/app/data/greeting.txt"])).collect();
    let runs = futures_util::future::join_all(specs.iter().map(|spec| bench.run(spec))).await;
    for (kind, seen, lines) in runs {
        assert_eq!(kind, ExitKind::Status { status: 0 }, "{}", seen.evidence);
        assert!(lines[0].contains("hello from the artifact"), "{lines:?}");
    }
    let images: Vec<_> = std::fs::read_dir(bench.data.path().join("images")).unwrap().flatten().collect();
    assert_eq!(images.len(), 1, "{images:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_artifacts_are_refused_and_leave_nothing() {
    let bench = Bench::new();
    let layer = gz(&tar_of(&[("x", b"1", false)]));
    let good = artifact(&bench.objects, std::slice::from_ref(&layer));
    // The stored layer changes behind the manifest's back.
    let key = |digest: &Digest| format!("oci/blobs/sha256/{}", digest.hex());
    bench.objects.insert(&key(&Digest::of(&layer)), gz(&tar_of(&[("x", b"2", false)])));
    let not_a_manifest = bench.objects.blob(b"{\"layers\": 1}".to_vec());
    let unknown = Digest::of(b"nothing has this digest");
    for (digest, code) in [(good, "object-corrupt"), (not_a_manifest, "bad-manifest"), (unknown, "object-not-found")] {
        let mut spec = bench.task(&["exit", "0"]);
        spec.base = Base::Artifact(digest);
        let problem = bench.engine.ensure(&spec, G1).await.unwrap_err();
        assert_eq!(problem.code, code, "{problem}");
        assert_eq!(bench.engine.get(spec.id).await.unwrap(), None, "what was never started is not listed");
    }
    let images: Vec<_> = std::fs::read_dir(bench.data.path().join("images")).unwrap().flatten().collect();
    assert!(images.iter().all(|e| e.file_name().to_string_lossy().ends_with(".part")), "{images:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn later_layers_win() {
    let bench = Bench::new();
    let guest = crate::bench::guest();
    let digest = artifact(
        &bench.objects,
        &[
            gz(&tar_of(&[("guest", &guest, true), ("a", b"old", false), ("b", b"old", false)])),
            gz(&tar_of(&[("a", b"new", false), (".wh.b", b"", false)])),
        ],
    );
    let run = async |words: &[&str]| {
        let mut spec = bench.task(words);
        spec.base = Base::Artifact(digest);
        bench.run(&spec).await.2.concat()
    };
    assert_eq!(run(&["read", "/app/a"]).await, "newread: ok");
    assert!(run(&["read", "/app/b"]).await.contains("No such file"));
}

#[tokio::test(flavor = "multi_thread")]
async fn caches_are_kept_between_builds_and_apart_by_name() {
    let bench = Bench::new();
    let with = |words: &[&str], name: &str| {
        let mut spec = bench.build(words);
        spec.mounts = vec![Mount::Cache { name: name.to_owned(), target: "/home/app/.cache".to_owned() }];
        spec
    };
    let (kind, seen, lines) = bench.run(&with(&["append", "/home/app/.cache/n", "1"], "shop/npm")).await;
    assert_eq!(kind, ExitKind::Status { status: 0 }, "{} {lines:?}", seen.evidence);
    assert_eq!(lines, ["append: ok"]);
    assert_eq!(bench.run(&with(&["append", "/home/app/.cache/n", "2"], "shop/npm")).await.2, ["append: ok"]);
    assert_eq!(bench.run(&with(&["read", "/home/app/.cache/n"], "shop/npm")).await.2.concat(), "12read: ok");
    assert!(bench.run(&with(&["read", "/home/app/.cache/n"], "mail/npm")).await.2[0].contains("No such file"));
}

#[tokio::test(flavor = "multi_thread")]
async fn builds_have_the_source_and_a_hostile_source_is_refused() {
    let bench = Bench::new();
    let (_, _, lines) = bench.run(&bench.build(&["read", "/workspace/src/main.c"])).await;
    assert_eq!(lines.concat(), "int x;read: ok");
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    tar.append_link(&mut header, "evil", "/etc").unwrap();
    bench.objects.insert("sources/evil.tar", tar.into_inner().unwrap());
    let mut spec = bench.build(&["exit", "0"]);
    spec.base = Base::Workspace { source: "sources/evil.tar".into() };
    let problem = bench.engine.ensure(&spec, G1).await.unwrap_err();
    assert_eq!((problem.code.as_ref(), problem.place.as_deref()), ("archive-refused", Some("evil")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_failed_can_be_tried_again() {
    let mut bench = Bench::new();
    let mut spec = bench.build(&["exit", "0"]);
    spec.id = new_id();
    spec.base = Base::Workspace { source: "sources/later.tar".into() };
    assert_eq!(bench.engine.ensure(&spec, G1).await.unwrap_err().code, "object-not-found");
    bench.reopen();
    bench.objects.insert("sources/later.tar", tar_of(&[("guest", &crate::bench::guest(), true)]));
    assert_eq!(bench.run(&spec).await.0, ExitKind::Status { status: 0 });
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_is_refused_with_words() {
    let bench = Bench::new();
    let refused = async |change: fn(&mut ports::InstanceSpec)| {
        let mut spec = bench.task(&["exit", "0"]);
        change(&mut spec);
        let problem = bench.engine.ensure(&spec, G1).await.unwrap_err();
        assert!(matches!(&*problem.code, "bad-instance-spec" | "bad-mount"), "{problem}");
    };
    refused(|s| s.command.clear()).await;
    refused(|s| s.workdir = "app".into()).await;
    refused(|s| s.command.push("a\0b".into())).await;
    refused(|s| s.mounts.push(Mount::Cache { name: "../x".into(), target: "/c".into() })).await;
    refused(|s| s.mounts.push(Mount::Platform { target: "/usr/x".into() })).await;
    refused(|s| {
        s.health = Some(ports::Health { probe: ports::Probe::Http { path: "/".into() }, every_ms: 1, timeout_ms: 1 });
    })
    .await;
}
