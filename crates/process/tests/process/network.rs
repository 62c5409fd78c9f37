//! An instance's own network: who gets in, and what it gets out to.

use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use ports::conformance::engine::{wait, wait_ready};
use ports::conformance::handing;
use ports::{Address, Availability, Connect, ExitKind, Health, InstanceSpec, LogStream, Network, Probe, Purpose, Way};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::bench::{Bench, G1, port_of};

/// Whether instances have networks of their own here; says loudly where they have not.
fn has_own(bench: &Bench) -> bool {
    let features = bench.engine.features();
    let found = features.iter().find(|f| f.name == "network-namespace").expect("the engine tells about networks");
    let has = found.availability == Availability::Works;
    if !has {
        eprintln!("SKIPPED: this host gives instances no network of their own: {:?}", found.availability);
    }
    has
}

fn only(connects: &[(&str, u16)]) -> Network {
    let direct = |(host, port): &(&str, u16)| Connect { host: (*host).to_owned(), port: *port, way: Way::Direct };
    Network::Only(connects.iter().map(direct).collect())
}

/// What the guest says to these words, when it may make these connections.
async fn said(bench: &Bench, network: Network, words: &[&str]) -> String {
    let mut spec = bench.task(words);
    spec.network = network;
    let (kind, seen, lines) = bench.run(&spec).await;
    assert_eq!(kind, ExitKind::Status { status: 0 }, "{words:?}: {} {lines:?}", seen.evidence);
    lines.concat()
}

/// A server of the host that sends back what it gets; counts its connections.
fn echo(on: &str) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(on).unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            counted.fetch_add(1, SeqCst);
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut &stream, &mut &stream);
                let _ = stream.shutdown(std::net::Shutdown::Write);
            });
        }
    });
    (port, count)
}

/// An address of this host that is not loopback, if it has one.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // Nothing is sent: the kernel only says from where it would be.
    socket.connect("192.0.2.1:9").ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
}

fn server(bench: &Bench, words: &[&str]) -> InstanceSpec {
    let mut spec = bench.task(words);
    (spec.port, spec.purpose, spec.deadline) = (true, Purpose::Serve, None);
    spec.health = Some(Health { probe: Probe::Http { path: "/healthz".into() }, every_ms: 50, timeout_ms: 1000 });
    spec
}

async fn get(address: &Address) -> String {
    let mut stream = handing::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn what_listens_on_all_addresses_is_reached_through_its_keeper_only() {
    let bench = Bench::new();
    if !has_own(&bench) {
        return;
    }
    let specs = ["one", "two"].map(|say| server(&bench, &["serve", "on", "0.0.0.0", "say", say]));
    let mut addresses = Vec::new();
    for spec in &specs {
        bench.engine.ensure(spec, G1).await.unwrap();
        addresses.push(wait_ready(&bench.engine, spec.id).await.address.unwrap());
    }
    let ports = specs.each_ref().map(|spec| port_of(&bench.instance_dir(spec.id)));
    assert_eq!(ports[0], ports[1], "each has the same port in a network of its own");
    for (address, say) in addresses.iter().zip(["one", "two"]) {
        assert!(matches!(address, Address::Socket(_)), "{address}");
        for _ in 0..50 {
            assert!(get(address).await.ends_with(say), "{address}");
        }
    }
    let around = ["127.0.0.1", "127.0.0.2", "::1"].map(|ip| ip.parse::<IpAddr>().unwrap());
    for ip in around.into_iter().chain(own_address()) {
        let found = TcpStream::connect_timeout(&(ip, ports[0]).into(), Duration::from_secs(2));
        assert!(found.is_err(), "an instance answers at {ip} port {}", ports[0]);
    }
    let mut bench = bench;
    bench.reopen();
    assert!(get(&bench.engine.get(specs[1].id).await.unwrap().unwrap().address.unwrap()).await.ends_with("two"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_declared_can_be_reached_and_nothing_else() {
    let bench = Bench::new();
    if !has_own(&bench) {
        return;
    }
    let (port, count) = echo("127.0.0.1:0");
    let (hidden, hidden_count) = echo("0.0.0.0:0");
    let (port_text, hidden_text) = (port.to_string(), hidden.to_string());
    for host in ["127.0.0.1", "localhost", "db.localhost"] {
        let back = said(&bench, only(&[(host, port)]), &["talk", host, &port_text, "hello"]).await;
        assert_eq!(back, "talk: hello", "{host}");
    }
    assert_eq!(count.load(SeqCst), 3);
    if TcpListener::bind("[::1]:0").is_ok() {
        let (port, count) = echo("[::1]:0");
        let back = said(&bench, only(&[("::1", port)]), &["talk", "::1", &port.to_string(), "hello"]).await;
        assert_eq!((back.as_str(), count.load(SeqCst)), ("talk: hello", 1));
    }
    // Another port, the declared port at another address, everything else that the host has or reaches.
    let own = own_address().map(|ip| ip.to_string());
    let all = ["127.0.0.1", "localhost", "::1", "169.254.169.254", "10.255.255.1"].into_iter().chain(own.as_deref());
    for host in all {
        let network = only(&[("127.0.0.9", hidden), ("127.0.0.1", port)]);
        let back = said(&bench, network, &["talk", host, &hidden_text, "hello"]).await;
        assert!(back.starts_with("talk: error"), "{host}:{hidden}: {back}");
    }
    assert_eq!(hidden_count.load(SeqCst), 0, "nobody came to what was not declared");
    let named = said(&bench, only(&[("127.0.0.1", port)]), &["talk", "db.localhost", &port_text, "x"]).await;
    assert!(named.contains("error"), "a name that was not declared means nothing: {named}");
    assert_eq!(said(&bench, Network::Host, &["talk", "127.0.0.1", &hidden_text, "hello"]).await, "talk: hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_of_other_networks_are_declared_as_they_are() {
    let bench = Bench::new();
    let Some(own) = own_address().filter(|_| has_own(&bench)) else {
        eprintln!("SKIPPED: this host has no address but loopback");
        return;
    };
    let (port, count) = echo(&format!("{own}:0"));
    let host = own.to_string();
    let back = said(&bench, only(&[(&host, port)]), &["talk", &host, &port.to_string(), "hello"]).await;
    assert_eq!((back.as_str(), count.load(SeqCst)), ("talk: hello", 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_reached_is_told_in_the_log() {
    let bench = Bench::new();
    if !has_own(&bench) {
        return;
    }
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (host, port) in [("127.0.0.1", free), ("no-such-host.invalid", 80)] {
        let mut spec = bench.task(&["talk", host, &port.to_string(), "x"]);
        spec.network = only(&[(host, port)]);
        let (_, _, lines) = bench.run(&spec).await;
        assert!(lines[0].starts_with("talk: error"), "{lines:?}");
        let log = bench.engine.logs(spec.id, None, 1000).await.unwrap();
        let told = format!("connect to {host}:{port}: ");
        let mut remarks = log.iter().filter(|line| line.stream == LogStream::Platform);
        assert!(remarks.any(|line| line.text.starts_with(&told)), "{told}: {log:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_cross_whole_however_many_and_however_slowly() {
    let bench = Bench::new();
    if !has_own(&bench) {
        return;
    }
    let (port, count) = echo("127.0.0.1:0");
    let port = port.to_string();
    let network = || only(&[("localhost", port.parse().unwrap())]);
    let bytes = 20 << 20;
    let back = said(&bench, network(), &["bulk", "localhost", &port, &bytes.to_string()]).await;
    assert_eq!(back, format!("bulk: {bytes} back"));
    // Who does not read is not read for: the way fills up, and nothing of it is lost.
    let back = said(&bench, network(), &["slow", "localhost", &port, &(200 << 20).to_string()]).await;
    assert_eq!(back, "slow: full true, whole true");
    count.store(0, SeqCst);
    let back = said(&bench, network(), &["many", "localhost", &port, "600"]).await;
    assert_eq!((back.as_str(), count.load(SeqCst)), ("many: 600 answered", 600));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_gets_the_connection_itself_and_who_calls() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("callers.sock");
    let bench = Bench::with(|options| options.gateway = Some(socket.clone()));
    if !has_own(&bench) {
        return;
    }
    let gateway = UnixListener::bind(&socket).unwrap();
    let mut spec = bench.task(&["talk", "stock-dev.localhost", "8080", "GET"]);
    let host = |name: &str| Connect { host: name.to_owned(), port: 8080, way: Way::Gateway };
    spec.network = Network::Only(vec![host("stock-dev.localhost"), host("bank-dev.localhost")]);
    let heard = std::thread::spawn(move || {
        let (text, descriptor) = hear(&gateway);
        let mut stream = TcpStream::from(descriptor);
        stream.set_nonblocking(false).unwrap();
        let mut asked = String::new();
        stream.read_to_string(&mut asked).unwrap();
        stream.write_all(format!("{asked}: yes").as_bytes()).unwrap();
        text
    });
    let (_, _, lines) = bench.run(&spec).await;
    assert_eq!(lines, ["talk: GET: yes"]);
    let caller: ports::Caller = serde_json::from_slice(&heard.join().unwrap()).unwrap();
    let hosts = ["bank-dev.localhost", "stock-dev.localhost"].map(|name| name.parse().unwrap()).to_vec();
    let expect = ports::Caller {
        service: "shop".parse().unwrap(),
        environment: "dev".parse().unwrap(),
        instance: spec.id,
        hosts,
    };
    assert_eq!(caller, expect);
    // Without a gateway the connection breaks off, and the log says why.
    let lost = InstanceSpec { id: crate::bench::new_id(), ..spec };
    let (_, _, lines) = bench.run(&lost).await;
    assert!(lines[0].starts_with("talk: error"), "{lines:?}");
    let log = bench.engine.logs(lost.id, None, 1000).await.unwrap();
    assert!(log.iter().any(|line| line.text.starts_with("connect to the gateway: ")), "{log:#?}");
}

/// All that comes over one connection, with its descriptor.
fn hear(listener: &UnixListener) -> (Vec<u8>, std::os::fd::OwnedFd) {
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
    let (mut stream, _) = listener.accept().unwrap();
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut first = [0u8; 1];
    let into = &mut [std::io::IoSliceMut::new(&mut first)];
    rustix::net::recvmsg(&stream, into, &mut control, RecvFlags::CMSG_CLOEXEC).unwrap();
    let descriptor = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut all) => all.next(),
        _ => None,
    });
    let mut text = first.to_vec();
    stream.read_to_end(&mut text).unwrap();
    (text, descriptor.expect("a descriptor comes with the first byte"))
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_is_refused_before_anything_starts() {
    let bench = Bench::new();
    let refused = |network: Network| {
        let mut spec = bench.task(&["sleep"]);
        spec.network = network;
        let engine = Arc::clone(&bench.engine);
        async move { engine.ensure(&spec, G1).await.unwrap_err().code }
    };
    for (host, port) in [("0.0.0.0", 80), ("224.0.0.1", 80), ("::", 80), ("a b", 80), ("", 80), ("localhost", 0)] {
        assert_eq!(refused(only(&[(host, port)])).await, "bad-instance-spec", "{host} {port}");
    }
    let gateway = Connect { host: "stock-dev.localhost".into(), port: 80, way: Way::Gateway };
    assert_eq!(refused(Network::Only(vec![gateway])).await, "bad-instance-spec", "there is no gateway");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_networks_of_their_own_instances_share_the_hosts_and_the_features_say_so() {
    let bench = Bench::with(|options| options.own_network = false);
    let features = bench.engine.features();
    let found = features.iter().find(|f| f.name == "network-namespace").unwrap();
    assert!(matches!(&found.availability, Availability::Missing { .. }), "{found:?}");
    let specs = [server(&bench, &["serve"]), server(&bench, &["serve"])];
    let mut ports = Vec::new();
    for spec in &specs {
        bench.engine.ensure(spec, G1).await.unwrap();
        let address = wait_ready(&bench.engine, spec.id).await.address.unwrap();
        assert!(get(&address).await.ends_with("hello"));
        let Address::Tcp(address) = address else { panic!("{address} is not of the host") };
        ports.push(address.port());
    }
    assert_ne!(ports[0], ports[1], "in one network each has a port of its own");
    let (port, _) = echo("127.0.0.1:0");
    let back = said(&bench, only(&[("localhost", port)]), &["talk", "localhost", &port.to_string(), "hello"]).await;
    assert_eq!(back, "talk: hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_costs_the_instance_and_ends_with_it() {
    let bench = Bench::new();
    if !has_own(&bench) {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut spec = bench.task(&["talk", "127.0.0.1", &port.to_string(), "hello"]);
    spec.network = only(&[("127.0.0.1", port)]);
    bench.engine.ensure(&spec, G1).await.unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello", "the end of its side came through");
    bench.engine.stop(spec.id, G1, Duration::ZERO).await.unwrap();
    wait(&bench.engine, spec.id, "ended", |seen| !seen.state.is_running()).await;
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.set_nonblocking(false).unwrap();
    // The other side notices: what it writes is refused in the end.
    let noticed = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        stream.write_all(b"still there?").is_err()
    });
    assert!(noticed, "the connection outlived the instance");
    assert!(!Path::new(&bench.instance_dir(spec.id)).join("connect.sock").exists());
}
