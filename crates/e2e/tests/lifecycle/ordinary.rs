//! Everything works without root: the whole flow as an ordinary user with folders of its own.

use std::path::PathBuf;

use crate::support::{Installation, binary, fixture, skip};

/// A user that owns nothing.
const NOBODY: u32 = 65534;

fn installation() -> Option<Installation> {
    if !rustix::process::geteuid().is_root() {
        // The tests themselves are the proof then.
        return Some(Installation::new());
    }
    let mut place = Installation::of(Some(NOBODY));
    // The folder of the build may be closed to others.
    let own: PathBuf = place.home().join("orlop");
    std::fs::copy(binary(), &own).unwrap();
    place.binary = own;
    let ran = place.orlop(["--version"]);
    if ran.code != 0 {
        skip(&format!("nothing can be run as user {NOBODY}: {ran:?}"));
        return None;
    }
    Some(place)
}

#[test]
fn the_whole_flow() {
    let Some(place) = installation() else { return };
    let up = place.up();
    for name in ["static", "procfile"] {
        let folder = place.copy(&fixture(name), name);
        let ran = place.orlop_in(&folder, ["deploy"]).ok();
        assert!(ran.err.contains("is current"), "{ran:?}");
    }
    place.orlop(["new", "node-web", "hello"]).ok();
    place.orlop_in(&place.home().join("hello"), ["deploy"]).ok();
    let status = place.orlop(["status", "--json"]).ok().json();
    let items = status["items"].as_array().unwrap();
    assert_eq!(items.len(), 3, "{status}");
    for item in items {
        assert_eq!(item.pointer("/environments/0/health"), Some(&"healthy".into()), "{item}");
    }
    place.orlop_in(&place.home().join("hello"), ["scale", "2"]).ok();
    place.orlop_in(&place.home().join("hello"), ["promote", "--to", "staging"]).ok();
    let doctor = place.orlop(["doctor", "--json"]).ok().json();
    let broken: Vec<_> = doctor["items"].as_array().unwrap().iter().filter(|c| c["verdict"] == "broken").collect();
    assert!(broken.is_empty(), "{broken:?}");
    assert!(up.pid > 0);
    place.orlop(["down"]).ok();
    assert_eq!(place.processes(), Vec::<i32>::new());
}
