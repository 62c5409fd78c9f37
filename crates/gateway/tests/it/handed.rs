//! Connections whose descriptors are handed over Unix sockets: to instances that have a network of
//! their own, and from them to what they need.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ports::conformance::handing;
use ports::{Address, Gateway as _};
use tokio::io::AsyncWriteExt as _;
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

/// Two ends of a connection that an instance made, and gave the gateway one of.
async fn call(dir: &Path, hosts: &[&str]) -> tokio::net::TcpStream {
    let inside = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ours = tokio::net::TcpStream::connect(inside.local_addr().unwrap()).await.unwrap();
    let (theirs, _) = inside.accept().await.unwrap();
    let caller = ports::Caller {
        service: "shop".parse().unwrap(),
        environment: "dev".parse().unwrap(),
        instance: base::InstanceId::new(base::Time::from_micros(1), [5; 10]),
        hosts: hosts.iter().map(|host| host.parse().unwrap()).collect(),
    };
    let text = serde_json::to_vec(&caller).unwrap();
    handing::call(&gateway::callers_socket(dir), &text, &theirs).await.unwrap();
    ours
}

async fn asks(stream: &mut tokio::net::TcpStream, host: &str, more: &str) -> Answer {
    let request = format!("GET /echo HTTP/1.1\r\nHost: {host}\r\n{more}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    Answer::read(&read_all(stream, Duration::from_millis(700)).await)
}

fn header(echo: &Answer, name: &str) -> Vec<String> {
    let seen: serde_json::Value = serde_json::from_str(&echo.body).unwrap_or_else(|e| panic!("{e}: {}", echo.all));
    let headers = seen["headers"].as_array().unwrap().iter();
    headers.filter(|pair| pair[0] == name).map(|pair| pair[1].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn an_instance_that_calls_is_known_and_reaches_what_it_declared_only() {
    let mut front = Front::with(|o| o.trusted = vec!["127.0.0.1".parse().unwrap()]).await;
    let (up, other) = (Upstream::start().await, Upstream::start().await);
    front.route(vec![route("app", vec![backend(1, &[&up])]), route("other", vec![backend(1, &[&other])])]).await;
    let mut stream = call(front.dir.path(), &["app.localhost", "none.localhost"]).await;
    let forged = "Orlop-Caller: bank/prod\r\nX-Forwarded-For: 9.9.9.9\r\n";
    for host in ["app.localhost", "APP.localhost.:8080"] {
        let answer = asks(&mut stream, host, forged).await;
        assert_eq!((answer.status, header(&answer, "orlop-caller")), (200, vec!["shop/dev".to_owned()]), "{host}");
        assert_eq!(header(&answer, "x-forwarded-for"), ["127.0.0.1"], "an instance is no trusted proxy");
    }
    // On the same connection, by every way to name a host.
    for (host, code) in [("other.localhost", "host-not-declared"), ("none.localhost", "unknown-host")] {
        assert_eq!(asks(&mut stream, host, "").await.problem()["code"], code);
    }
    stream.write_all(b"GET http://other.localhost/ HTTP/1.1\r\nHost: other.localhost\r\n\r\n").await.unwrap();
    let answer = Answer::read(&read_all(&mut stream, Duration::from_millis(700)).await);
    assert_eq!((answer.status, other.seen()), (403, 0), "{answer:?}");
    let log = front.log(5).await;
    for line in &log {
        assert_eq!(line["caller"], "shop/dev", "{line}");
        assert!(line["callerInstance"].is_string(), "{line}");
    }
    assert!(
        log.iter().any(|l| l["status"] == 403 && l["host"] == "other.localhost" && l["code"] == "host-not-declared")
    );
    // Who comes from outside calls as nobody, whatever it says, and reaches every host.
    let outside =
        raw(front.address, format!("GET /echo HTTP/1.1\r\nHost: app.localhost\r\n{forged}Connection: close\r\n\r\n"));
    let outside = outside.await;
    assert_eq!((outside.status, header(&outside, "orlop-caller")), (200, vec![]));
    assert_eq!(front.get("other.localhost", "/id").await.status, 200);
    assert!(front.log(7).await.iter().filter(|line| line["caller"].is_string()).count() == 5);
}

#[tokio::test]
async fn callers_go_on_through_an_upgrade_and_a_new_gateway_takes_their_next_connections() {
    let mut front = Front::start().await;
    let up = Upstream::start().await;
    front.one(&up).await;
    let mut tunnel = call(front.dir.path(), &["app.localhost"]).await;
    let upgrade = "GET /upgrade HTTP/1.1\r\nHost: app.localhost\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nping";
    tunnel.write_all(upgrade.as_bytes()).await.unwrap();
    let answer = Answer::read(&read_all(&mut tunnel, Duration::from_millis(700)).await);
    assert!(answer.status == 101 && answer.all.ends_with("ping"), "{answer:?}");
    let dir = front.dir.path().to_owned();
    let successor = gateway::start({
        let mut options = gateway::Options::new(&dir);
        (options.take_over, options.workers) = (true, 1);
        options.log.path = Some(dir.join("successor.log"));
        options
    });
    let successor = successor.await.unwrap();
    tokio::join!(front.stop(), async {
        let mut stream = call(&dir, &["app.localhost"]).await;
        assert_eq!(asks(&mut stream, "app.localhost", "").await.status, 200);
        drop(tunnel);
    });
    successor.stop().await;
}

#[tokio::test]
async fn nonsense_at_the_socket_for_callers_harms_nobody() {
    let mut front = Front::start().await;
    let up = Upstream::start().await;
    front.one(&up).await;
    let path = gateway::callers_socket(front.dir.path());
    let pair = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let long = vec![b' '; ports::Caller::BYTES_MAX + 1];
    for text in [&b"{}"[..], b"", b"not JSON", &long] {
        let _ = handing::call(&path, text, &pair).await;
    }
    drop(tokio::net::UnixStream::connect(&path).await.unwrap());
    let mut silent = tokio::net::UnixStream::connect(&path).await.unwrap();
    silent.write_all(b"{").await.unwrap();
    let mut stream = call(front.dir.path(), &["app.localhost"]).await;
    assert_eq!(asks(&mut stream, "app.localhost", "").await.status, 200);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}
