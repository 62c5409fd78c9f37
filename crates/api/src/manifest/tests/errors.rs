use base::Problem;

use crate::manifest::{FILE, parse, parse_bytes};

/// The file is refused at this place, with this code, and with these words in message and hint.
fn check(text: &str, place: &str, code: &str, message: &str, hint: &str) {
    let problem = parse(text, FILE).err().unwrap_or_else(|| panic!("taken:\n{text}"));
    same(&problem, place, code, message, hint);
}

fn same(problem: &Problem, place: &str, code: &str, message: &str, hint: &str) {
    let seen = format!("{} [{}]\n{problem}", problem.place.as_deref().unwrap_or("nowhere"), problem.code);
    assert_eq!(problem.place.as_deref(), Some(format!("orlop.yaml:{place}").as_str()), "{seen}");
    assert_eq!(problem.code, code, "{seen}");
    assert!(problem.message.contains(message), "{seen}\nmessage lacks: {message}");
    assert!(problem.hint.as_ref().is_some_and(|text| text.contains(hint)), "{seen}\nhint lacks: {hint}");
}

#[test]
fn unknown_keys_name_what_was_meant() {
    let unknown = |text: &str, place: &str, hint: &str| check(text, place, "unknown-key", "is not a key of", hint);
    unknown("servcie: x", "1:1", "write `service`");
    unknown("kind: web\nrun:\n  comand: [a]\n", "3:3", "write `command`");
    unknown("size: { memroy: 1Gi }", "1:9", "write `memory`");
    unknown("command: [a]", "1:1", "`command` stands in `run`");
    unknown("run: { kind: web }", "1:8", "stands at the left margin: `kind: web`");
    unknown("processes: { web: { kind: web } }", "1:21", "every other name is a worker");
    unknown("port: 8080", "1:1", "PORT");
    unknown("env: { A: b }", "1:1", "settings");
    unknown("replicas: 2", "1:1", "instances: 2");
    unknown("xyzzy: 1", "1:1", "known here: `service`, `team`");
    unknown("build: { xyzzy: 1 }", "1:10", "known here: `recipe`");
    unknown("routes:\n  - hots: a.example\n", "2:5", "write `host`");
    unknown("routes: [{host: a.example}, {path: /x}]", "1:30", "known here: `host`");
    unknown("needs: { a: { servcie: a } }", "1:15", "write `service`");
    unknown("base: &b {kind: web}\n", "1:1", "known here");
    unknown("run: { <<: {} }", "1:8", "merge keys");
    unknown("\"\": 1", "1:1", "known here");
    unknown("\u{1f980}\u{1f980}: 1\n", "1:1", "known here");
    unknown("kind: web\n\"a\\u001b[31mb\": 1", "2:1", "known here");
}

#[test]
fn wrong_types_say_what_was_found_and_how_it_is_written() {
    let wrong = |text: &str, place: &str, message: &str, hint: &str| check(text, place, "wrong-type", message, hint);
    wrong("hello", "1:1", "a service file takes a block of keys; here is the text `hello`", "kind: web");
    wrong("- a", "1:1", "here is a list", "key: value");
    wrong("run: ./checkout", "1:6", "`run` takes a block of keys; here is the text", "write it like `run: {");
    wrong(
        "run:\n  command: ./checkout serve now\n",
        "2:12",
        "takes a list",
        "write `command: [\"./checkout\", \"serve\", \"now\"]`",
    );
    wrong("run: { command: { a: b } }", "1:17", "here is a block of keys", "command: [");
    wrong("run: { command: [a, [b]] }", "1:21", "`run.command[1]` takes text; here is a list", "quotes");
    wrong("run: { command: [a, ] , release: [~] }", "1:35", "`run.release[0]` takes text; here is nothing", "\"\"");
    wrong("kind: [web]", "1:7", "`kind` takes `web`, `worker` or `site`; here is a list", "kind: web");
    wrong("team:", "1:1", "`team` takes a team name; here is nothing", "remove it");
    wrong("settings: [A, B]", "1:11", "here is a list", "LOG_LEVEL");
    wrong("settings: { A: [1] }", "1:16", "`settings.A` takes text", "settings");
    wrong("settings: { A: null }", "1:13", "here is nothing", "write `A: \"\"`");
    wrong("routes: { host: a.example }", "1:9", "takes a list of blocks", "routes: [ {");
    wrong("routes: [ a.example ]", "1:11", "`routes[0]` takes a block of keys", "host:");
    wrong(
        "needs: { inventory: inventory }",
        "1:21",
        "`needs.inventory` takes a block",
        "write `inventory: { service: inventory }`",
    );
    wrong("size: { cpu: [1] }", "1:14", "`size.cpu` takes", "cpu: 500m");
}

#[test]
fn what_is_not_supported_yet_is_said() {
    let later = |text: &str, place: &str, hint: &str| check(text, place, "not-yet", "not supported yet", hint);
    later("kind: cron", "1:7", "`web`, `worker` or `site`");
    later("kind: function", "1:7", "use `web`");
    later("build: { recipe: dockerfile }", "1:18", "`procfile`");
    later("rollout: { strategy: canary }", "1:22", "`replace`");
    later("rollout: { steps: [5%], bake: 2m }", "1:12", "remove it");
    later("scale: { on: concurrency }", "1:1", "size: { instances: 2 }");
    later("scale:", "1:1", "orlop scale");
    later("objectives: [ { availability: 99.9% } ]", "1:1", "remove it");
    later("needs:\n  db: { store: postgres }\n", "2:9", "external: \"postgres://");
    later("size: { instances: 0..3 }", "1:20", "1..3");
}

#[test]
fn values_are_checked_where_they_stand() {
    let bad = |text: &str, place: &str, message: &str, hint: &str| check(text, place, "bad-value", message, hint);
    bad("service: My_App", "1:10", "`My_App` is not a service name", "write `service: my-app`");
    bad("team: 42", "1:7", "is not a team name", "lower-case letters");
    bad("kind: wep", "1:7", "`kind: wep` is not known", "write `kind: web`");
    bad("kind: banana", "1:7", "is not known", "use `web`, `worker` or `site`");
    bad("build: { recipe: rut }", "1:18", "not known", "build.recipe: rust");
    bad("run: { health: healthz }", "1:16", "`run.health`: `healthz` is not a path", "/healthz");
    bad("run: { health: \"http://x/y\" }", "1:16", "not a path", "no scheme");
    bad("run: { stop: 30 }", "1:14", "`run.stop`: `30` is not a span of time", "`30s`");
    bad("run: { stop: 1h }", "1:14", "longer than 15m", "30s");
    bad("run: { command: [] }", "1:8", "names no program", "command: [");
    bad("run: { command: [\"\"] }", "1:18", "empty text", "./program");
    bad("run: { command: [a, \"b\\0\"] }", "1:21", "NUL", "remove");
    bad("size: { cpu: 0.5.1 }", "1:14", "not an amount of processor", "500m");
    bad("size: { memory: 256MB }", "1:17", "`size.memory`: `256MB` is not an amount of memory", "256Mi");
    bad("size: { memory: 256 }", "1:17", "is 256 bytes", "write `memory: 256Mi`");
    bad("size: { instances: many }", "1:20", "not a number of instances", "1..10");
    bad("size: { instances: 5..2 }", "1:20", "ends before it begins", "1..10");
    bad("size: { instances: 1000 }", "1:20", "over 100", "1..10");
    bad("size: { instances: 0 }", "1:9", "0 instances", "at least 1");
    bad("processes: { web: { size: { instances: 0 } } }", "1:29", "0 instances", "at least 1");
    bad("processes: { Send_Mail: { command: [a] } }", "1:14", "not a process name", "write `send-mail:`");
    bad("needs: { a: }", "1:10", "does not say what it is", "{ service: a }");
    bad("needs: { A_B: { service: a } }", "1:10", "not a name of a need", "write `a-b:`");
    bad("needs: { a: { external: api.stripe.com } }", "1:25", "scheme", "https://");
    bad("needs: { a: { external: \"https://u:p@x\" } }", "1:25", "no place for secrets", "orlop setting set");
    bad("settings: { log-level: x }", "1:13", "not a setting name", "write `LOG_LEVEL:`");
    bad("settings: { PORT: 80 }", "1:13", "the platform itself sets `PORT`", "another name");
    bad("settings: { ORLOP_X: 80 }", "1:13", "itself sets", "another name");
    bad("settings: { A: \"x\\0\" }", "1:16", "NUL", "remove");
    bad("routes: [ { host: Shop.Example.com } ]", "1:19", "is not a host name", "write `host: shop.example.com`");
    bad("routes: [ { host: \"https://a.example/x\" } ]", "1:19", "is not a host name", "write `host: a.example`");
    bad("routes: [ { host: \"*.a.example\" } ]", "1:19", "is not a host name", "list each");
    bad("routes: [ {} ]", "1:11", "has no host", "{ host:");
}

#[test]
fn parts_that_do_not_go_together() {
    let conflict = |text: &str, place: &str, message: &str| check(text, place, "conflicting-keys", message, "");
    conflict("kind: site\nrun: { command: [a] }", "2:8", "`run.command` does not go with `kind: site`");
    conflict("kind: site\nprocesses: { a: { command: [b] } }", "2:1", "`processes`");
    conflict("kind: worker\nrun: { health: / }", "2:8", "`run.health`");
    conflict("kind: worker\nroutes: [ { host: a.example } ]", "2:1", "`routes`");
    conflict("kind: worker\nprocesses: { web: { command: [a] } }", "2:14", "`processes.web`");
    conflict("build: { recipe: command }", "1:10", "needs a command");
    conflict("kind: web\nbuild: { recipe: site }", "2:10", "does not go with");
    conflict("processes: { w: { health: / } }", "1:19", "only the process `web`");
    conflict("run: { command: [a] }\nprocesses: { web: { command: [b] } }", "2:21", "twice");
    conflict("service: a\nneeds: { b: { service: a } }", "2:10", "the service itself");
    conflict("needs: { b: { service: a, external: \"http://x\" } }", "1:10", "at once");
    conflict("needs: { b: { service: a } }\nsettings: { B_URL: x }", "2:13", "B_URL");
    conflict("routes: [ { host: a.example }, { host: a.example } ]", "1:32", "twice");
}

#[test]
fn references_are_checked_where_they_stand() {
    check(
        "needs: { inventory: { service: i } }\nsettings:\n  A: ${needs.inventry.url}\n",
        "3:6",
        "undeclared-need",
        "`settings.A`: `${needs.inventry.url}`",
        "write `${needs.inventory.url}` if you meant that, or add",
    );
    check(
        "settings: { A: \"${needs.db.url}\" }",
        "1:16",
        "undeclared-need",
        "the need `db`",
        "needs: { db: { service: db } }",
    );
    check("settings: { A: \"${HOME}\" }", "1:16", "bad-reference", "`${HOME}` is not a reference", "${settings.HOME}");
    check("settings: { A: \"0:${PORT}\" }", "1:16", "bad-reference", "not a reference", "read PORT");
    check(
        "settings: { A: \"${settings.B}\", B: \"${settings.C}\", C: \"x${settings.A}\" }",
        "1:13",
        "setting-cycle",
        "`A`",
        "write",
    );
    check("settings: { A: \"${settings.A}\" }", "1:13", "setting-cycle", "`A`", "write");
    check(
        "run: { command: [a, \"--db=${needs.db-1.url}\"] }",
        "1:21",
        "bad-reference",
        "not in commands",
        "${DB_1_URL}",
    );
    check("run: { release: [a, \"${settings.X}\"] }", "1:21", "bad-reference", "not in commands", "write `${X}`");
}

#[test]
fn broken_yaml_is_placed() {
    let bad = |text: &str, place: &str, hint: &str| check(text, place, "bad-yaml", "", hint);
    bad("run:\n\tcommand: [a]\n", "2:2", "spaces");
    bad("kind: web\n  team: x\n", "2:7", "same column");
    bad("run: { command: [a\n", "1:17", "close");
    bad("team: \"x\n", "1:7", "close");
    bad("team: *x\n", "1:7", "quotes");
    bad("settings: { A: !include secrets.yaml }", "1:16", "quotes");
    bad("run: !!binary x", "1:6", "quotes");
    bad("kind: web\n---\nkind: worker\n", "2:1", "remove the line `---`");
    bad("---\n---\n", "2:1", "remove the line `---`");
    bad("? [a]\n: b\n", "1:3", "key: value");
    bad("a: &a [*a]\n", "1:8", "write the value out");
    bad("team: a\0b", "1:8", "");
    check("kind: web\nteam: a\nkind: site\n", "3:1", "duplicate-key", "first on line 1", "keep one");
    check("run: { stop: 1s, stop: 2s }", "1:18", "duplicate-key", "`stop`", "keep one");
    check("run: { stop: 1s, \"stop\": 2s }", "1:18", "duplicate-key", "`stop`", "keep one");
    let problem = parse_bytes(b"kind: web\nteam: \xff\n", FILE).unwrap_err();
    same(&problem, "2:7", "bad-yaml", "not UTF-8", "UTF-8");
}

#[test]
fn errors_show_no_control_characters() {
    for text in ["\"a\\u001b[31m\": 1", "team: \"\\u001b[2J\"", "kind: \"\\r\\n\"", "settings: { A: \"${\\u001b}\" }"] {
        let problem = parse(text, "x\u{1b}.yaml").unwrap_err();
        assert!(!problem.to_string().contains(char::is_control), "{problem:?}");
    }
}
