//! Connections whose descriptors are handed over Unix sockets: to instances that have a network of
//! their own, and from them to what they need.

use std::path::PathBuf;
use std::time::Duration;

use ports::conformance::handing;
use ports::{Address, Gateway as _};
use tokio::net::UnixListener;

use crate::support::*;

/// A keeper's socket in front of an instance, at a path of at least this length.
struct Keeper {
    folder: tempfile::TempDir,
    path: PathBuf,
}

impl Keeper {
    fn with_path(bytes_min: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut deep = folder.path().to_owned();
        while deep.as_os_str().len() < bytes_min {
            deep.push("folder-with-a-long-name");
        }
        std::fs::create_dir_all(&deep).unwrap();
        let path = deep.join("connect.sock");
        Self { folder, path }
    }

    /// A path that the test can bind although it may be long for a socket.
    fn short(&self) -> PathBuf {
        let link = self.folder.path().join("l");
        let _ = std::os::unix::fs::symlink(self.path.parent().unwrap(), &link);
        link.join("connect.sock")
    }

    fn hands_out(&self, upstream: &Upstream) -> tokio::task::JoinHandle<()> {
        handing::hand_out(&self.short(), upstream.address).unwrap()
    }

    fn route(&self, upstream: &Upstream) -> Vec<ports::Route> {
        let mut backend = backend(1, &[upstream]);
        backend.instances[0].address = Address::Socket(self.path.clone());
        vec![route("app", vec![backend])]
    }
}

#[tokio::test]
async fn an_instance_behind_a_socket_is_served_and_its_connections_are_kept() {
    for bytes in [0, 150] {
        let (keeper, up) = (Keeper::with_path(bytes), Upstream::start().await);
        let _task = keeper.hands_out(&up);
        let mut front = Front::with(|o| o.workers = 1).await;
        front.route(keeper.route(&up)).await;
        let mut keep = front.connect().await;
        for _ in 0..20 {
            let (status, _, body) = keep.get("/id").await.unwrap();
            assert_eq!((status.as_u16(), body), (200, up.id.to_string()));
        }
        assert_eq!((up.seen(), up.connections()), (20, 1), "one connection was asked for and kept");
        let upgrade = "GET /upgrade HTTP/1.1\r\nHost: app.localhost\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nping";
        let tunnel = raw_open(front.address, upgrade, Duration::from_millis(500)).await;
        assert!(tunnel.status == 101 && tunnel.all.ends_with("ping"), "{tunnel:?}");
        front.stop().await;
        let again = Front::within(front.dir, |_| {}).await;
        assert_eq!(again.get("app.localhost", "/id").await.status, 200, "a new gateway asks the keeper anew");
    }
}

#[tokio::test]
async fn a_keeper_that_gives_nothing_is_an_instance_that_cannot_be_reached() {
    let (keeper, up) = (Keeper::with_path(0), Upstream::start().await);
    let mut front = Front::limited(|l| l.connect_timeout = Duration::from_millis(200)).await;
    front.route(keeper.route(&up)).await;
    let refused = |answer: Answer, what: &str| {
        assert_eq!((answer.status, answer.problem()["code"].as_str()), (502, Some("instance-unreachable")), "{what}");
    };
    refused(front.get("app.localhost", "/").await, "nobody listens there");
    let silent = UnixListener::bind(&keeper.path).unwrap();
    refused(front.get("app.localhost", "/").await, "the keeper is silent");
    drop(silent);
    std::fs::remove_file(&keeper.path).unwrap();
    let closing = UnixListener::bind(&keeper.path).unwrap();
    let task = tokio::spawn(async move { while closing.accept().await.is_ok() {} });
    refused(front.get("app.localhost", "/").await, "the keeper hangs up");
    task.abort();
    let _ = task.await;
    std::fs::remove_file(&keeper.path).unwrap();
    let task = keeper.hands_out(&up);
    let gone = up.address;
    up.kill().await;
    refused(front.get("app.localhost", "/").await, &format!("nobody listens at {gone}"));
    task.abort();
    assert!(front.client.status().await.unwrap().in_flight.is_empty());
}
