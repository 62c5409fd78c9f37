//! Every command, its whole output, and what it asked the server.

mod support;

use std::collections::BTreeSet;

use clap::CommandFactory;
use support::{Ran, Server, TestHost, run, snapshot, world};

/// Command lines, with `{ro}`, `{bld}`, `{tok}` for ids. Each has a snapshot; together they are every
/// command there is.
const LINES: &[&str] = &[
    "login --token",
    "login --code one-time",
    "logout",
    "whoami",
    "whoami --json",
    "status",
    "status shop",
    "status shop --json",
    "status --view payments-down",
    "view list",
    "view save payments-down --team payments --health down",
    "view remove payments-down",
    "new --list",
    "new rust-web till",
    "deploy --message Limit",
    "deploy --to staging --detach",
    "deploy --json",
    "open",
    "open dev --json",
    "logs --tail 5",
    "logs --json",
    "logs --search listening -C 1",
    "releases",
    "builds --limit 5",
    "build show {bld}",
    "build log",
    "build log {bld} --json",
    "build cancel {bld}",
    "runs",
    "promote --to staging",
    "rollback --to 41",
    "rollback --detach --reason Slow",
    "restart --json",
    "scale web=3",
    "cancel",
    "why",
    "why {ro}",
    "why {bld} --service shop",
    "doctor",
    "explain run.health",
    "explain stale-version",
    "service list --team payments",
    "service show",
    "service access",
    "service create shop --team payments",
    "service change shop --description Sells",
    "service remove shop --yes",
    "service restore shop",
    "service impact shop",
    "team list",
    "team show payments",
    "team create payments",
    "team access payments",
    "team remove payments --yes",
    "team member set payments ada owner",
    "team member remove payments ada --yes",
    "person list",
    "person create ada",
    "person sign-in ada",
    "person remove ada --yes",
    "token list",
    "token create ci --scope read,deploy --lifetime 30d",
    "token revoke {tok} --yes",
    "setting list",
    "setting list --platform",
    "setting set LOG_LEVEL=debug --env dev",
    "setting set --secret STRIPE_KEY",
    "setting set --platform SMTP_HOST=mail.example.com",
    "setting unset LOG_LEVEL",
    "setting history LOG_LEVEL --json",
    "setting compare dev staging",
    "setting restore LOG_LEVEL 2",
    "env list",
    "env put staging --after dev",
    "env board",
    "env compare dev staging",
    "release list",
    "release show 42",
    "rollout list",
    "rollout show {ro}",
    "rollout start 42 --env dev",
    "rollout plan --env staging --from dev",
    "rollout watch {ro}",
    "rollout cancel {ro}",
    "route list",
    "traffic",
    "metrics",
    "metrics shop --env dev --window 15m --json",
    "metrics --all",
    "topology",
    "audit list --kind deliver.rollout",
    "audit verify",
    "events --service shop",
    "platform",
    "git-remote --print",
    "git-credential get",
    "completion bash",
];

/// Endpoints that no command of its own calls, with the reason.
const NOT_CALLED: &[(&str, &str)] = &[
    ("startSession", "the pages trade a token for a session"),
    ("healthz", "for load balancers and `orlop up`"),
    ("readyz", "for load balancers and `orlop up`"),
    ("countStatus", "the portal's numbers; `orlop status` lists what they count"),
    ("gitRefs", "git calls it"),
    ("gitReceivePack", "git calls it"),
    ("gitUploadPack", "git calls it"),
];

fn arguments(line: &str) -> Vec<String> {
    let ids = [
        ("{ro}", world::rollout_id().to_string()),
        ("{bld}", world::build_id().to_string()),
        ("{tok}", world::token_id().to_string()),
    ];
    line.split(' ').map(|word| ids.iter().fold(word.to_owned(), |word, (mark, id)| word.replace(mark, id))).collect()
}

/// Runs a line in the world and returns all that can be observed.
fn observed(line: &str) -> (String, Vec<String>) {
    let server = Server::start();
    world::tell(&server);
    let mut host = TestHost::with(&server);
    let main = host.file("main.rs", "fn main() {}\n");
    // The archive holds the time of change; the same one gives the same size.
    let then = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_790_000_000);
    std::fs::File::open(main).and_then(|file| file.set_modified(then)).unwrap();
    host.interrupt = line.starts_with("events");
    host.input = match line {
        "git-credential get" => format!("protocol=http\nhost={}\n", &server.url["http://".len()..]).into_bytes(),
        "login --token" => b"orlop_typed_token\n".to_vec(),
        _ => b"value of a secret\n".to_vec(),
    };
    if line == "logout" {
        let servers = serde_json::json!({"current": server.url, "servers": {&server.url: {"token": "orlop_kept_token", "person": "ada"}}});
        std::fs::create_dir_all(host.credentials().parent().unwrap()).unwrap();
        std::fs::write(host.credentials(), servers.to_string()).unwrap();
    }
    let args = arguments(line);
    let Ran { exit, out, err } = run(&host, &args.iter().map(String::as_str).collect::<Vec<_>>());
    let seen = server.take_seen();
    let mut text = format!("$ orlop {line}\nexit {exit}\n\n--- stdout\n{out}\n--- stderr\n{err}\n--- requests\n");
    for request in &seen {
        let is_text = request.header("content-type").is_none_or(|kind| kind == "application/json");
        let body = if is_text { String::from_utf8_lossy(&request.body).into_owned() } else { "(archive)".to_owned() };
        text.push_str(format!("{} {body}", request.line).trim_end());
        text.push('\n');
    }
    let routes = seen.iter().map(|s| s.line.split('?').next().unwrap_or_default().to_owned()).collect();
    (text.replace(&server.url, "http://SERVER").replace(&server.url["http://".len()..], "SERVER"), routes)
}

#[test]
fn every_command_says_and_asks_what_it_should() {
    let mut called = BTreeSet::new();
    for line in LINES {
        let (text, routes) = observed(line);
        called.extend(routes);
        if *line == "completion bash" {
            assert!(text.contains("_orlop()") && text.contains("git-remote"), "{text}");
            continue;
        }
        for secret in ["orlop_secret_token", "orlop_kept_token", "orlop_typed_token", "\u{1b}"] {
            assert!(!text.contains(secret) || *line == "git-credential get", "{line} shows {secret:?}");
        }
        assert!(text.contains("\nexit 0\n"), "{text}");
        snapshot(&line.replace([' ', '=', ','], "_").replace(['{', '}', '-', '.'], ""), &text);
    }
    let missing = endpoints_not_in(&called);
    let expect: Vec<_> = NOT_CALLED.iter().map(|(id, _)| (*id).to_owned()).collect();
    assert_eq!(missing, expect, "each endpoint has a command, or stands in NOT_CALLED with a reason");
}

/// Ids of the endpoints whose path no request matches, in the order of the table, the machine's last.
fn endpoints_not_in(called: &BTreeSet<String>) -> Vec<String> {
    let matches = |row: &api::Row, route: &String| {
        let template = format!("{} {}", row.method.word(), row.path);
        let (mut want, mut have) = (template.split('/'), route.split('/'));
        want.by_ref().zip(have.by_ref()).all(|(w, h)| w == h || w.starts_with('{'))
            && template.split('/').count() == route.split('/').count()
    };
    let mut missing: Vec<_> = api::TABLE
        .iter()
        .filter(|row| !called.iter().any(|route| matches(row, route)))
        .map(|row| row.id.to_owned())
        .collect();
    missing.sort_by_key(|id| NOT_CALLED.iter().position(|(known, _)| known == id));
    missing
}

/// All commands that do something, by their words.
fn leaves(command: &clap::Command, words: &[String], found: &mut Vec<(String, clap::Command)>) {
    for sub in command.get_subcommands() {
        let words: Vec<_> = words.iter().cloned().chain([sub.get_name().to_owned()]).collect();
        if sub.has_subcommands() {
            leaves(sub, &words, found);
        } else {
            found.push((words.join(" "), sub.clone()));
        }
    }
}

#[test]
fn every_command_has_an_example_and_a_line_above() {
    let mut command = cli::Cli::command();
    command.build();
    let mut found = Vec::new();
    leaves(&command, &[], &mut found);
    assert!(found.len() > 60, "only {} commands were found", found.len());
    for (words, command) in found {
        let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let example = format!("orlop {words}");
        let is_helper = words == "git-credential";
        assert!(
            after.starts_with("EXAMPLES:\n") && (after.contains(&example) || is_helper),
            "`{example}` has no example"
        );
        assert!(command.get_about().is_some_and(|about| !about.to_string().is_empty()), "`{example}` says nothing");
        let is_run = LINES.iter().any(|line| *line == words || line.starts_with(&format!("{words} ")));
        assert!(is_run, "`{example}` is not among the tested lines: add one to LINES");
    }
}

#[test]
fn help_is_as_checked_in() {
    let mut command = cli::Cli::command().term_width(100);
    command.build();
    let mut found = Vec::new();
    leaves(&command, &[], &mut found);
    let mut text = command.render_help().to_string();
    for (words, mut command) in found {
        text.push_str(&format!("\n\n==== orlop {words}\n{}", command.render_long_help()));
    }
    let clean: Vec<_> = text.lines().map(str::trim_end).collect();
    snapshot("help", &(clean.join("\n") + "\n"));
}

#[test]
fn examples_can_be_parsed() {
    let mut command = cli::Cli::command();
    command.build();
    let mut found = Vec::new();
    leaves(&command, &[], &mut found);
    let ids = [
        ("ro_01kb…", world::rollout_id().to_string()),
        ("bld_01kb…", world::build_id().to_string()),
        ("tok_01kb…", world::token_id().to_string()),
    ];
    for (words, command) in found {
        for line in command.get_after_help().map(ToString::to_string).unwrap_or_default().lines().skip(1) {
            let line = line
                .trim()
                .split("   ")
                .next()
                .unwrap_or_default()
                .split([';', '&', '<', '>'])
                .next()
                .unwrap_or_default();
            let line = ids.iter().fold(line.replace('\'', ""), |line, (mark, id)| line.replace(mark, id));
            if !line.starts_with("orlop ") {
                continue;
            }
            let quoted = if line.contains("Raise the limit") || line.contains("answers") || line.contains("things") {
                1
            } else {
                0
            };
            let args: Vec<_> = line.split_whitespace().collect();
            let args = if quoted == 1 { join_text(&args) } else { args.iter().map(ToString::to_string).collect() };
            let parsed = <cli::Cli as clap::Parser>::try_parse_from(args);
            assert!(parsed.is_ok(), "an example of `{words}` cannot be parsed: {line}\n{}", parsed.unwrap_err());
        }
    }
}

/// The words of a quoted text as one argument: they stand behind the option that takes a text.
fn join_text(args: &[&str]) -> Vec<String> {
    let at = args
        .iter()
        .position(|a| matches!(*a, "--message" | "--reason" | "--description"))
        .map_or(args.len(), |i| i + 1);
    let end = args.iter().skip(at).position(|a| a.starts_with("--")).map_or(args.len(), |i| i + at);
    let mut joined: Vec<String> = args.iter().take(at).map(ToString::to_string).collect();
    joined.push(args.get(at..end).unwrap_or_default().join(" "));
    joined.extend(args.iter().skip(end).map(ToString::to_string));
    joined
}

/// What the binary does: verbs of its own beside those of this crate.
#[test]
fn a_binary_adds_its_own_verbs_and_completes_all() {
    #[derive(clap::Parser)]
    #[command(name = "orlop")]
    struct Binary {
        #[command(flatten)]
        globals: cli::Globals,
        #[command(subcommand)]
        command: Command,
    }

    #[derive(clap::Subcommand)]
    enum Command {
        /// Start the platform
        HoistAnchor,
        #[command(flatten)]
        Client(cli::Verb),
    }

    let parse = |line: &str| <Binary as clap::Parser>::try_parse_from(line.split(' ')).unwrap();
    assert!(matches!(parse("orlop hoist-anchor").command, Command::HoistAnchor));
    let parsed = parse("orlop completion fish --json");
    let Command::Client(verb) = parsed.command else { panic!("a verb of the API became another") };
    let host = TestHost::new();
    let exit = cli::execute(verb, &parsed.globals, Binary::command(), &host);
    let (out, _) = host.take_said();
    assert!(exit == cli::Exit::Done && out.contains("hoist-anchor") && out.contains("rollback"), "{out}");
}
