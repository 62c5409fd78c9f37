//! Ends of processes that nobody planned, and those that somebody did.

use rustix::process::{Pid, Signal, kill_process};

use crate::load::Load;
use crate::support::{Installation, Up, eventually, fixture, runs};

fn kill(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

fn deployed(place: &Installation) -> Up {
    let up = place.up();
    place.orlop_in(&place.copy(&fixture("procfile"), "shop"), ["deploy"]).ok();
    up
}

/// The instances: keepers and what they keep, without control plane and gateway.
fn starts(place: &Installation) -> Vec<String> {
    let logs = place.orlop(["logs", "--service", "shop", "--tail", "10000", "--json"]).ok();
    logs.out.lines().filter(|l| l.contains("starting ")).map(str::to_owned).collect()
}

/// The control plane ends in whatever way, and comes back: nobody notices.
async fn control_ends(signal: Signal) {
    let place = Installation::new();
    let up = deployed(&place);
    let (gateways, before) = (place.gateways(), starts(&place));
    let load = Load::begin(&up.gateway, "shop-dev.localhost");
    load.more().await;
    kill(up.pid, signal);
    eventually("the control plane ends", || !runs(up.pid));
    load.more().await;
    assert_eq!(place.gateways(), gateways, "the gateway goes on");
    let again = place.up();
    assert_eq!((again.gateway.as_str(), place.gateways()), (up.gateway.as_str(), gateways));
    load.more().await;
    let failed = load.end().await;
    assert!(failed.is_empty(), "{} requests failed: {failed:?}", failed.len());
    assert_eq!(starts(&place), before, "no instance was started anew, and the log from before is there");
    assert!(place.orlop(["audit", "verify"]).ok().out.contains("ok"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_control_plane_is_killed_under_load() {
    control_ends(Signal::KILL).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_control_plane_is_asked_to_end() {
    control_ends(Signal::TERM).await;
    control_ends(Signal::INT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_vanishes_comes_back() {
    let place = Installation::new();
    let up = deployed(&place);
    for _ in 0..2 {
        let before = place.gateways();
        assert_eq!(before.len(), 1);
        before.iter().for_each(|pid| kill(*pid, Signal::KILL));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut served = false;
        for _ in 0..1200 {
            let answer = client.get(format!("{}/", up.gateway)).header("host", "shop-dev.localhost").send().await;
            served = answer.is_ok_and(|a| a.status() == 200);
            if served {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        assert!(served, "a new gateway serves what the old one served, at the same address");
        assert_ne!(place.gateways(), before);
    }
    let status = place.orlop(["status", "--json"]).ok().json();
    assert_eq!(status.pointer("/items/0/environments/0/health"), Some(&"healthy".into()), "{status}");
}

/// What an instance writes while the control plane is away is in the log.
#[test]
fn logs_have_no_gap() {
    let place = Installation::new();
    let up = deployed(&place);
    let visit = |n: u32| {
        let address = up.gateway.trim_start_matches("http://");
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        let text = format!("GET /visit-{n} HTTP/1.1\r\nHost: shop-dev.localhost\r\nConnection: close\r\n\r\n");
        std::io::Write::write_all(&mut stream, text.as_bytes()).unwrap();
        std::io::Read::read_to_end(&mut stream, &mut Vec::new()).unwrap();
    };
    visit(1);
    kill(up.pid, Signal::KILL);
    visit(2);
    place.up();
    visit(3);
    let mut seen = Vec::new();
    eventually("every visit is in the log once", || {
        let logs = place.orlop(["logs", "--service", "shop", "--tail", "10000"]).ok().out;
        seen = (1..=3).map(|n| logs.matches(&format!("/visit-{n}")).count()).collect();
        seen.iter().all(|n| *n > 0)
    });
    assert_eq!(seen, [1, 1, 1]);
}
