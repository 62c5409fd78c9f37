//! The same flow with the state in PostgreSQL.

use store::testing::Cluster;

use crate::support::{Installation, fixture};

#[tokio::test(flavor = "multi_thread")]
async fn the_state_in_postgres() {
    let Some(cluster) = Cluster::own().await else { return };
    let mut place = Installation::new();
    place.flags = vec!["--database".to_owned(), cluster.database().await];
    let first = place.up();
    let folder = place.copy(&fixture("static"), "pages");
    place.orlop_in(&folder, ["deploy"]).ok();
    place.orlop_in(&folder, ["setting", "set", "A=b"]).ok();
    place.orlop_in(&folder, ["promote", "--to", "staging"]).ok();
    place.orlop_in(&folder, ["deploy"]).ok();
    place.orlop_in(&folder, ["rollback", "--env", "dev"]).ok();
    let platform = place.orlop(["platform", "--json"]).ok().json();
    assert_eq!(platform["database"], "postgres", "{platform}");
    place.orlop(["down", "--keep-running"]).ok();
    let second = place.up();
    assert_eq!(first.gateway, second.gateway);
    let status = place.orlop(["status", "--json"]).ok().json();
    for environment in status.pointer("/items/0/environments").and_then(|e| e.as_array()).unwrap() {
        assert_eq!(environment["health"], "healthy", "{status}");
    }
    assert!(place.orlop(["audit", "verify"]).ok().out.contains("ok"));
    assert!(!place.data.join("orlop.db").exists(), "nothing was kept beside it");
    place.orlop(["down"]).ok();
    assert_eq!(place.processes(), Vec::<i32>::new());
}
