//! The rooms of a capability: `model`, `decide`, `state`, `work`, `http`, and what each must not know.

use super::Finding;
use crate::tree::{Crate, Tree, is_test_path};

/// Every file of a capability stands in a room, and keeps to what the room is for.
pub fn rooms(tree: &Tree) -> Vec<Finding> {
    let names = tree.rules.groups.get("capabilities").map_or(&[][..], Vec::as_slice);
    let capabilities = tree.crates.iter().filter(|member| names.contains(&member.name));
    capabilities.flat_map(|member| check(tree, member)).collect()
}

fn check(tree: &Tree, member: &Crate) -> Vec<Finding> {
    let rooms = &tree.rules.rooms;
    let src = format!("{}/src/", member.dir);
    let mut found = Vec::new();
    for (path, source) in tree.sources_in(&member.dir) {
        let Some(inside) = path.strip_prefix(&src) else { continue };
        let room = inside.split(['/', '.']).next().unwrap_or(inside);
        if rooms.exceptions.contains_key(path) || is_test_path(path) {
            continue;
        }
        if !rooms.names.contains(room) && !rooms.more.contains_key(&format!("{}/{room}", member.name)) {
            let what = format!("`{room}` is not a room of a capability");
            let fix = "is the line a value (model), a decision (decide), a query (state), an act (work) or a conversation (http)?";
            found.push(Finding::new(path, None, what, fix));
        }
        for word in rooms.forbidden.get(room).into_iter().flatten() {
            for line in source.lines_with(word).into_iter().filter(|line| !source.is_test_line(*line)) {
                let what = format!("`{word}` has no place in the room `{room}`");
                found.push(Finding::new(path, Some(line), what, way_out(room)));
            }
        }
    }
    found
}

fn way_out(room: &str) -> &'static str {
    match room {
        "model" => "values only: move the query to state, the act to work",
        "decide" | "recipe" => "pure functions only: let the reconciler in work read first and hand the values in",
        "state" => "queries only: whatever reaches the outside world is an act and belongs to work",
        "http" => "record a wish and answer from state; the reconciler in work talks to the outside world",
        _ => "see the rooms in ARCHITECTURE.md",
    }
}
