use std::time::Duration;

use base::{Bytes, MilliCpu, Span};

use super::FULL;
use crate::manifest::*;

fn read(text: &str) -> Manifest {
    parse(text, FILE).unwrap_or_else(|problem| panic!("{text}\n{problem}"))
}

/// Two files mean the same.
fn check(one: &str, other: &str) {
    assert_eq!(read(one), read(other), "{one}\n---\n{other}");
}

#[test]
fn everything_is_read() {
    let m = read(FULL);
    assert_eq!(m.service.as_ref().map(|s| s.as_str()), Some("checkout"));
    assert_eq!(m.team.as_ref().map(|t| t.as_str()), Some("payments"));
    assert_eq!((m.kind, m.build.recipe), (Some(Kind::Web), Some(Recipe::Rust)));
    assert_eq!(m.run.command.clone().unwrap(), ["./checkout", "--port", "${PORT}"]);
    assert_eq!(m.run.release.clone().unwrap(), ["./checkout", "migrate"]);
    assert_eq!(m.run.stop, Some(Span(Duration::from_secs(45))));
    assert_eq!(m.needs.len(), 2);
    assert!(matches!(&m.needs[&"stripe".parse().unwrap()], Need::External(url) if url.host() == "api.stripe.com"));
    let settings: Vec<_> = m.settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(
        settings,
        [
            "EMPTY=",
            "INVENTORY=${needs.inventory.url}/v2?level=${settings.LOG_LEVEL}",
            "LOG_LEVEL=info",
            "LONG=two\nlines\n",
            "POOL=5",
            "RATE=1.10",
            "VERBOSE=true",
        ]
    );
    assert_eq!(m.routes.iter().map(|r| r.host.as_str()).collect::<Vec<_>>(), ["shop.example.com", "www.example.com"]);
}

#[test]
fn a_process_gets_what_is_said_of_it_then_what_is_said_of_all() {
    let m = read(FULL);
    let web = m.process(&"web".parse().unwrap(), true);
    assert_eq!(web.command.unwrap()[0], "./checkout");
    assert_eq!((web.cpu, web.memory, web.instances), (MilliCpu(2000), Bytes(1 << 30), Instances { min: 2, max: 4 }));
    assert_eq!(web.health.unwrap().as_str(), "/healthz");
    assert_eq!(web.stop.to_string(), "10s");
    let worker = m.process(&"worker".parse().unwrap(), false);
    assert_eq!(
        (worker.cpu, worker.memory, worker.instances),
        (MilliCpu(250), Bytes(256 << 20), Instances { min: 1, max: 1 })
    );
    assert_eq!((worker.health, worker.stop.to_string().as_str()), (None, "45s"));
    let clock = m.process(&"clock".parse().unwrap(), false);
    assert_eq!((clock.command, clock.instances.max), (None, 1));
    let plain = Manifest::default().process(&"web".parse().unwrap(), true);
    assert_eq!((plain.cpu, plain.memory), (Manifest::CPU_DEFAULT, Manifest::MEMORY_DEFAULT));
}

#[test]
fn nothing_means_the_defaults() {
    for text in [
        "",
        "\n",
        "# a comment\n",
        "---\n",
        "--- # x\n...\n",
        "\u{feff}",
        "~",
        "null",
        "{}",
        "settings:\nrun:\nroutes:\n",
    ] {
        assert_eq!(read(text), Manifest::default(), "{text:?}");
    }
}

#[test]
fn ways_to_write_the_same() {
    check("kind: web\nrun:\n  stop: 30s\n", "\u{feff}kind: web\r\nrun:\r\n  stop: 30s\r\n");
    check("{\"kind\": \"web\", \"run\": {\"command\": [\"a\"]}}", "kind: web\nrun:\n  command:\n  - a\n");
    check("run:\n\tcommand: [a]".replace('\t', "  ").as_str(), "run: { command: [ 'a' ] }");
    check("run: {command: [a,\t8080, true, 1.10]}", "run: {command: ['a', '8080', 'true', '1.10']}");
    check("size: { cpu: 1, memory: 1048576, instances: 2 }", "size: { cpu: '1000m', memory: 1Mi, instances: '2..2' }");
    check("settings: {A: &x hello, B: *x}", "settings: {A: hello, B: hello}");
    check("processes: {a: &p {command: [x]}, b: *p}", "processes: {a: {command: [x]}, b: {command: [x]}}");
    check("settings: {A: !!str 5, B: ! yes}", "settings: {A: '5', B: 'yes'}");
    check(
        "settings: {A: no, B: 0x1F, C: 1_000, D: 2001-01-01}",
        "settings: {A: 'no', B: '0x1F', C: '1_000', D: '2001-01-01'}",
    );
}

#[test]
fn what_is_kept_in_a_release_is_read_back() {
    for text in ["", FULL, "needs: { a: { service: b } }"] {
        let manifest = read(text);
        let json = serde_json::to_value(&manifest).unwrap();
        assert_eq!(serde_json::from_value::<Manifest>(json).unwrap(), manifest);
    }
    assert!(serde_json::from_str::<Manifest>(r#"{"kid": 1}"#).is_err());
    assert!(serde_json::from_str::<Manifest>(r#"{"run": {"health": "x"}}"#).is_err());
}
