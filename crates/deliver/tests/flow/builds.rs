use api::deliver::{BuildState, CancelBuild, GetBuild, ListBuilds, Progress, WatchBuildLog, WatchDeploy};
use ports::{ExitKind, Mount, Network};
use serde_json::Value;

use crate::rollouts::SITE;
use crate::world::{World, code};

/// A source whose recipe has a step.
const NODE: &[(&str, &str)] = &[
    ("package.json", r#"{"name":"shop","scripts":{"start":"node server.js"},"dependencies":{"left-pad":"1.0.0"}}"#),
    ("package-lock.json", r#"{"name":"shop","lockfileVersion":3,"packages":{}}"#),
    ("server.js", "1"),
];

async fn newest(world: &World) -> api::deliver::Build {
    world.call::<ListBuilds>(&[], "", Value::Null).await.unwrap().items.remove(0)
}

#[tokio::test]
async fn a_build_is_one_task_with_a_log_that_outlives_it() {
    let world = World::new().await;
    let deploy = world.upload(NODE).await.unwrap();
    *world.engine.end.lock().unwrap() = None;
    let spec = {
        let job = world.platform.driver().work_once(&world.platform, "w");
        let look = async {
            loop {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                if let Some((spec, _)) = world.engine.all.lock().unwrap().values().next() {
                    break spec.clone();
                }
            }
        };
        let watch = async {
            let spec = look.await;
            world.engine.finish(ExitKind::Status { status: 0 });
            spec
        };
        tokio::join!(job, watch).1
    };
    assert_eq!((spec.environment, spec.network, spec.cpu_weight), (None, Network::Host, 10));
    assert_eq!(spec.command[..2], ["/orlop/orlop", "steps"]);
    assert!(spec.mounts.contains(&Mount::Platform { target: "/orlop/orlop".into() }));
    assert!(spec.mounts.iter().any(|m| matches!(m, Mount::Cache { name, .. } if name.starts_with("shop/"))));
    assert_eq!(spec.env["HTTP_PROXY"].expose(), "http://proxy");
    assert_eq!(spec.env["PATH"].expose(), "/usr/bin");
    assert!(!spec.env.contains_key("SECRET"), "only what the operator names is handed on");
    world.settle().await;
    let build = newest(&world).await;
    assert_eq!((build.state, build.recipe.as_deref()), (BuildState::Succeeded, Some("node")), "{}", build.reason);
    assert_eq!(build.steps[0].took_ms, Some(40));
    assert!(world.engine.all.lock().unwrap().is_empty(), "the engine has forgotten the task");
    let id = build.build.to_string();
    let log = world.events::<WatchBuildLog>(&[("build", &id)], None).await;
    let texts: Vec<_> = log.iter().map(|(_, line)| line.text.as_str()).collect();
    assert_eq!(texts, ["==> install: npm ci", "added 1 package"]);
    let rest = world.events::<WatchBuildLog>(&[("build", &id)], Some(&log[0].0)).await;
    assert_eq!(rest.len(), 1, "a stream goes on behind an event");
    let source = deploy.source.to_string();
    let all = world.events::<WatchDeploy>(&[("source", &source)], None).await;
    let stages: Vec<_> = all
        .iter()
        .map(|(_, event)| match event {
            Progress::Stage { stage, .. } => stage.as_str(),
            Progress::Line { .. } => "|",
            Progress::Done { .. } => "done",
        })
        .collect();
    assert_eq!(
        stages,
        ["source", "detect", "build", "|", "|", "package", "release", "start", "shift", "verify", "drain", "done"]
    );
    for (n, (id, _)) in all.iter().enumerate().take(all.len() - 1) {
        let rest = world.events::<WatchDeploy>(&[("source", &source)], Some(id)).await;
        assert_eq!(rest, all[n + 1..], "behind {id}");
    }
}

#[tokio::test]
async fn a_failed_build_says_where_why_and_what_to_do() {
    for (kind, words) in [
        (ExitKind::Status { status: 3 }, ["exit status 3", "`install"]),
        (ExitKind::Memory, ["4Gi", "build.memory"]),
        (ExitKind::Deadline, ["30m", "build.deadline"]),
        (ExitKind::Disk, ["8Gi", "build.disk"]),
    ] {
        let world = World::new().await;
        *world.engine.end.lock().unwrap() = Some(kind);
        let done = world.deploy(NODE).await;
        let Progress::Done { ok: false, text, evidence, release: None, .. } = done else { panic!("{done:?}") };
        for word in words {
            assert!(text.contains(word), "{text}");
        }
        assert_eq!(evidence, ["==> install: npm ci", "added 1 package"]);
        assert!(world.rollouts().await.is_empty());
    }
}

#[tokio::test]
async fn the_service_file_is_checked() {
    let world = World::new().await;
    for (yaml, words) in [
        ("service: shopp", "the service file is for `shopp`"),
        ("team: stock", "belongs to `shopping`"),
        ("run:\n  comand: [x]", "orlop.yaml:2:3"),
        ("build: { recipe: rust }", "Cargo.toml"),
        ("needs: { db: { store: postgres } }", "external"),
    ] {
        world.deploy(&[("index.html", "x"), ("orlop.yaml", yaml)]).await;
        let build = newest(&world).await;
        assert!(build.state == BuildState::Failed && build.reason.contains(words), "{yaml}: {}", build.reason);
    }
}

#[tokio::test]
async fn the_same_source_is_the_same_artifact() {
    let world = World::new().await;
    world.deploy(&[("index.html", "x"), ("a/b", "y")]).await;
    world.deploy(&[("a/b", "y"), ("index.html", "x")]).await;
    let releases = world.call::<api::deliver::ListReleases>(&[], "", Value::Null).await.unwrap().items;
    assert_eq!(releases[0].artifact, releases[1].artifact);
    assert_ne!(releases[0].number, releases[1].number);
    let key = format!("oci/blobs/sha256/{}", releases[0].artifact.hex());
    let manifest: Value = serde_json::from_slice(&world.objects.0.lock().unwrap()[&key]).unwrap();
    assert_eq!(manifest["mediaType"], "application/vnd.oci.image.manifest.v1+json");
    for part in [&manifest["config"], &manifest["layers"][0]] {
        let digest: base::Digest = serde_json::from_value(part["digest"].clone()).unwrap();
        let objects = world.objects.0.lock().unwrap();
        let blob = &objects[&format!("oci/blobs/sha256/{}", digest.hex())];
        assert_eq!((base::Digest::of(blob), part["size"].as_u64()), (digest, Some(blob.len() as u64)));
    }
}

#[tokio::test]
async fn a_newer_source_takes_the_place_of_a_build_under_way() {
    let world = World::new().await;
    let first = world.upload(NODE).await.unwrap();
    let second = world.upload(SITE).await.unwrap();
    world.settle().await;
    let old = world.call::<GetBuild>(&[("build", &first.build.to_string())], "", Value::Null).await.unwrap();
    assert_eq!(old.state, BuildState::Cancelled);
    assert!(old.reason.contains(&second.build.to_string()), "{}", old.reason);
    assert_eq!(world.rollouts().await.len(), 1);
}

#[tokio::test]
async fn a_running_build_can_be_stopped() {
    let world = World::new().await;
    *world.engine.end.lock().unwrap() = None;
    let deploy = world.upload(NODE).await.unwrap();
    let id = deploy.build.to_string();
    let stop = async {
        while world.engine.all.lock().unwrap().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        world.call::<CancelBuild>(&[("build", &id)], "", Value::Null).await.unwrap()
    };
    let (worked, stopped) = tokio::join!(world.platform.driver().work_once(&world.platform, "w"), stop);
    assert!(worked.unwrap());
    assert_eq!(stopped.state, BuildState::Cancelled);
    world.settle().await;
    assert_eq!(newest(&world).await.reason, "stopped by person:ada");
    assert!(world.engine.all.lock().unwrap().is_empty() && world.rollouts().await.is_empty());
    assert_eq!(code(world.call::<CancelBuild>(&[("build", &id)], "", Value::Null).await), "build-ended");
}

#[tokio::test]
async fn a_build_goes_on_with_its_task_after_a_crash() {
    let world = World::new().await;
    *world.engine.end.lock().unwrap() = None;
    world.upload(NODE).await.unwrap();
    {
        let job = world.platform.driver().work_once(&world.platform, "before");
        let crash = async {
            while world.engine.all.lock().unwrap().is_empty() {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            _ = job => panic!("the task goes on"),
            () = crash => {}
        }
    }
    let task = *world.engine.all.lock().unwrap().keys().next().unwrap();
    world.engine.finish(ExitKind::Status { status: 0 });
    // The lease of the worker that died has to end first.
    world.clock.advance(std::time::Duration::from_secs(60));
    world.platform.driver().work_once(&world.platform, "after").await.unwrap();
    assert_eq!(newest(&world).await.state, BuildState::Succeeded);
    assert!(!world.engine.all.lock().unwrap().contains_key(&task), "it was its own task, and it is cleared away");
}
