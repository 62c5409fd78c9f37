//! Who reaches whom: services have networks of their own, and what they declare is lent to them.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Installation, Up, eventually, fixture, runs, skip};

/// Longest silence; only reached when something is wrong.
const PATIENCE: Duration = Duration::from_secs(20);

fn kill(pid: i32) {
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

/// A service of the fixture, with these needs.
fn deploy(place: &Installation, service: &str, needs: &str) {
    let folder = place.copy(&fixture("calls"), service);
    if !needs.is_empty() {
        std::fs::write(folder.join("orlop.yaml"), format!("needs: {{ {needs} }}\n")).unwrap();
    }
    place.orlop_in(&folder, ["deploy"]).ok();
}

/// The gateway's address, from its URL.
fn address(up: &Up) -> &str {
    up.gateway.trim_start_matches("http://")
}

fn connect(up: &Up) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address(up))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// One answer on a kept connection: status and body.
fn answer(stream: &mut TcpStream) -> std::io::Result<(u16, String)> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        bytes.extend(byte);
    }
    let head = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body)?;
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

fn ask(stream: &mut TcpStream, service: &str, path: &str, more: &str) -> std::io::Result<(u16, String)> {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {service}-dev.localhost\r\n{more}\r\n")?;
    answer(stream)
}

/// What a service says on a connection of its own.
#[track_caller]
fn says(up: &Up, service: &str, path: &str) -> String {
    let (status, body) = ask(&mut connect(up).unwrap(), service, path, "").unwrap();
    assert_eq!(status, 200, "{service}{path}: {body}");
    body
}

/// A server outside that answers whatever it gets, once its client has ended.
fn outside() -> u16 {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut text = String::new();
            let _ = stream.read_to_string(&mut text);
            let _ = write!(stream, "outside heard {text}");
        }
    });
    port
}

/// An address of this host that is not loopback, if it has one.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
}

/// Whether instances have networks of their own here; the doctor must say the same.
fn has_own(place: &Installation) -> bool {
    let doctor = place.orlop(["doctor", "--json"]).out;
    let checks: serde_json::Value = serde_json::from_str(&doctor).expect(&doctor);
    let all = checks["checks"].as_array().or_else(|| checks["items"].as_array()).expect("checks").clone();
    let found = all.iter().find(|check| check["name"] == "engine.network-namespace").expect("the engine's networks");
    let has = found["verdict"] == "ok";
    if !has {
        skip(&format!("instances have no network of their own here: {found}"));
    }
    has
}

#[test]
fn a_service_reaches_what_it_declares_and_nothing_else() {
    let place = Installation::new();
    let up = place.up();
    if !has_own(&place) {
        return;
    }
    let (declared, hidden) = (outside(), outside());
    deploy(&place, "stock", "");
    deploy(&place, "hidden", "");
    let bank = format!("bank: {{ external: \"tcp://127.0.0.1:{declared}\" }}");
    deploy(&place, "shop", &format!("stock: {{ service: stock }}, {bank}"));
    assert_eq!(says(&up, "shop", "/need?STOCK_URL"), "I am stock");
    assert_eq!(says(&up, "shop", "/talk?BANK_URL"), "outside heard ping");
    assert_eq!(says(&up, "shop", "/caller-at-need?STOCK_URL"), "shop/dev");
    assert_eq!(says(&up, "stock", "/caller"), "(nobody)");
    let mut forged = connect(&up).unwrap();
    assert_eq!(ask(&mut forged, "stock", "/caller", "Orlop-Caller: shop/dev\r\n").unwrap().1, "(nobody)");
    // By the way that is lent for one service, no other is reached.
    assert_eq!(says(&up, "shop", "/as?stock-dev.localhost"), "HTTP/1.1 200 OK");
    assert_eq!(says(&up, "shop", "/as?hidden-dev.localhost"), "HTTP/1.1 403 Forbidden");
    let gateway_port = address(&up).rsplit(':').next().unwrap();
    let own = own_address().map(|ip| ip.to_string());
    let mut nowhere = vec![
        format!("http://hidden-dev.localhost:{gateway_port}/"),
        format!("http://127.0.0.1:{hidden}/"),
        up.url.clone(),
        "http://169.254.169.254/".to_owned(),
    ];
    nowhere.extend(own.iter().flat_map(|ip| [declared, hidden].map(|port| format!("http://{ip}:{port}/"))));
    for url in nowhere {
        let body = says(&up, "shop", &format!("/url?{url}"));
        assert!(body.starts_with("unreachable"), "{url}: {body}");
    }
    assert!(says(&up, "stock", &format!("/url?http://127.0.0.1:{declared}/")).starts_with("unreachable"));
    // The log is written beside the answers.
    let log = || std::fs::read_to_string(place.data.join("gateway/access.log")).unwrap();
    eventually("the access log names the caller", || {
        let log = log();
        by_shop(&log, Some("host-not-declared")) >= 1 && by_shop(&log, None) >= 3
    });
    let log = log();
    assert_eq!(by_shop(&log, Some("host-not-declared")), 1, "{log}");
}

/// How many requests of `shop` ended with this code.
fn by_shop(log: &str, code: Option<&str>) -> usize {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    lines.filter(|line| line["caller"] == "shop/dev" && line["code"].as_str() == code).count()
}

#[test]
fn who_listens_on_all_addresses_is_reached_through_the_gateway_only() {
    let place = Installation::new();
    let up = place.up();
    if !has_own(&place) {
        return;
    }
    deploy(&place, "one", "");
    deploy(&place, "two", "");
    let ports = ["one", "two"].map(|service| says(&up, service, "/env?PORT"));
    assert_eq!(ports[0], ports[1], "both listen on the same port");
    let port: u16 = ports[0].parse().unwrap();
    for ip in ["127.0.0.1".parse().unwrap()].into_iter().chain(own_address()) {
        let Ok(mut stream) = TcpStream::connect_timeout(&(ip, port).into(), Duration::from_secs(5)) else { continue };
        // Something else of this machine may have the port.
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let heard =
            ask(&mut stream, "one", "/", "Connection: close\r\n").map_or_else(|_| String::new(), |(_, body)| body);
        assert!(!heard.contains("I am "), "{ip}:{port} leads around the gateway: {heard}");
    }
    let mut kept = connect(&up).unwrap();
    for _ in 0..100 {
        for service in ["one", "two"] {
            assert_eq!(ask(&mut kept, service, "/", "").unwrap(), (200, format!("I am {service}")));
        }
    }
    let mut tunnel = connect(&up).unwrap();
    write!(tunnel, "GET /upgrade HTTP/1.1\r\nHost: one-dev.localhost\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        .unwrap();
    assert_eq!(answer(&mut tunnel).unwrap().0, 101);
    for text in ["over", "and over"] {
        tunnel.write_all(text.as_bytes()).unwrap();
        let mut back = vec![0; text.len()];
        tunnel.read_exact(&mut back).unwrap();
        assert_eq!(back, text.as_bytes());
    }
}

#[test]
fn a_new_gateway_finds_every_instance_while_the_control_plane_is_dead() {
    let place = Installation::new();
    let up = place.up();
    deploy(&place, "stock", "");
    deploy(&place, "shop", "stock: { service: stock }");
    assert_eq!(says(&up, "shop", "/need?STOCK_URL"), "I am stock");
    kill(up.pid);
    eventually("the control plane ends", || !runs(up.pid));
    let gateways = place.gateways();
    gateways.iter().for_each(|pid| kill(*pid));
    eventually("nobody serves", || !gateways.iter().any(|pid| runs(*pid)) && connect(&up).is_err());
    let folder = place.data.join("gateway");
    let mut command = place.command(["gateway".as_ref(), folder.as_os_str(), address(&up).as_ref()]);
    let mut gateway = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    eventually("the new gateway serves", || connect(&up).is_ok());
    let heard = [says(&up, "shop", "/"), says(&up, "shop", "/need?STOCK_URL")];
    // The control plane comes back to the gateway that it finds.
    let again = place.up();
    let after = says(&again, "shop", "/need?STOCK_URL");
    let same = place.gateways();
    kill(i32::try_from(gateway.id()).unwrap());
    let _ = gateway.wait();
    assert_eq!(heard, ["I am shop", "I am stock"]);
    assert_eq!((after.as_str(), again.gateway == up.gateway), ("I am stock", true));
    assert_eq!(same, [i32::try_from(gateway.id()).unwrap()]);
}
