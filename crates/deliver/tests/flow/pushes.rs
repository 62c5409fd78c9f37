use facts::{Fact, ServiceWanted};

use crate::rollouts::SITE;
use crate::world::{World, gzip, push, tarball};

const PUSH: &[(&str, &str)] =
    &[("content-type", "application/x-git-receive-pack-request"), ("content-encoding", "gzip")];

/// Pushes, with the world going on beside it. What was said to the person.
async fn pushed(world: &World, reference: &str) -> String {
    *world.sources.update.lock().unwrap() = push(reference);
    *world.sources.tree.lock().unwrap() = tarball(SITE);
    let push = world.git("gitReceivePack", "", PUSH, gzip(b"pack"));
    let going = async {
        loop {
            world.tick().await;
            // The part of the catalog.
            if let Some((wanted, _)) = world.latest::<ServiceWanted>("shop").await {
                assert_eq!(wanted.team.as_str(), "shopping");
                world.service("shop", false).await;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        reply = push => {
            let (parts, body) = reply.unwrap();
            assert_eq!(parts.headers["content-type"], "application/x-git-receive-pack-result");
            String::from_utf8(body).unwrap()
        }
        () = going => String::new(),
    }
}

#[tokio::test]
async fn a_push_to_main_is_followed_to_its_address() {
    let world = World::new().await;
    let said = pushed(&world, "refs/heads/main").await;
    for words in [
        "deploying 012345678 of shop to dev",
        "detect",
        "verify",
        "done: release 1 is current",
        "http://shop-dev.localhost:8080",
    ] {
        assert!(said.contains(words), "{said}");
    }
    let release =
        world.call::<api::deliver::GetRelease>(&[("number", "1")], "", serde_json::Value::Null).await.unwrap();
    assert_eq!((release.message.as_str(), release.author.as_str()), ("a message", "Ada <ada@example.org>"));
    assert_eq!(release.commit.as_deref(), Some("0123456789abcdef0123456789abcdef01234567"));
}

#[tokio::test]
async fn other_branches_are_stored_and_nothing_else() {
    let world = World::new().await;
    let said = pushed(&world, "refs/heads/feature").await;
    assert!(said.contains("stored refs/heads/feature"), "{said}");
    assert!(world.call::<api::deliver::ListBuilds>(&[], "", serde_json::Value::Null).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn a_removed_service_takes_no_push() {
    let world = World::new().await;
    world.service("shop", true).await;
    let said = pushed(&world, "refs/heads/main").await;
    assert!(said.contains("refused:") && said.contains("orlop service restore shop"), "{said}");
}

#[tokio::test]
async fn refs_are_advertised_as_git_wants_it() {
    let world = World::new().await;
    for service in ["git-receive-pack", "git-upload-pack"] {
        let (parts, body) = world.git("gitRefs", &format!("service={service}"), &[], Vec::new()).await.unwrap();
        assert_eq!(parts.headers["content-type"], format!("application/x-{service}-advertisement"));
        assert_eq!(parts.headers["cache-control"], "no-cache, max-age=0, must-revalidate");
        assert!(!body.is_empty());
    }
    assert_eq!(crate::world::code(world.git("gitRefs", "", &[], Vec::new()).await), "dumb-git");
    assert_eq!(ServiceWanted::KIND, "catalog.service.wanted");
}

#[tokio::test]
async fn the_first_push_makes_the_service_in_the_only_team() {
    let world = World::empty().await;
    let said = pushed(&world, "refs/heads/master").await;
    assert!(said.contains("done: release 1 is current"), "{said}");
    let world = World::empty().await;
    world.teams.lock().unwrap().push("stock".parse().unwrap());
    let said = pushed(&world, "refs/heads/main").await;
    assert!(said.contains("shopping, stock") && said.contains("orlop service create shop --team TEAM"), "{said}");
    world.teams.lock().unwrap().clear();
    let said = pushed(&world, "refs/heads/main").await;
    assert!(said.contains("in no team"), "{said}");
    assert!(world.latest::<ServiceWanted>("shop").await.is_none());
}
