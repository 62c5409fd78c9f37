//! The list. What needs a look inside of a crate is in that crate's `fuzzing`; what is public is here.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;
use std::str::FromStr;

use api::manifest;
use cli::client::sse;
use deliver::recipe::{self, Entry, Tree, Wish};

use crate::Target;

const fn target(name: &'static str, run: fn(&[u8]), runs: u32, words: &'static [&'static str]) -> Target {
    Target { name, run, runs, words }
}

const HTTP: &[&str] = &[
    "GET / HTTP/1.1\r\n",
    "Host: a\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Content-Length: 5\r\n",
    "\r\n",
    "\r\n\r\n",
    "0\r\n\r\n",
    "Connection: upgrade\r\nUpgrade: websocket\r\n",
    "Expect: 100-continue\r\n",
    "\n",
    "\r",
    "\t",
    "\0",
    "chunked, chunked",
    "+5",
    "0x5",
    " HTTP/1.0\r\n",
    "http://a/",
    "5;a=b\r\n",
    "TE: trailers\r\n",
    "Content_Length: 1\r\n",
];
const ANSWERS: &[&str] = &[
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.0 200\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 204 No Content\r\n",
    "HTTP/1.1 304\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: 5, 5\r\n",
    "Content-Length: +5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: gzip, chunked\r\n",
    "Connection: close\r\n",
    "Connection: keep-alive\r\n",
    "Trailer: a\r\n",
    "\r\n\r\n",
    "0\r\n\r\n",
    "5;a=b\r\nhello\r\n",
    "ffffffffffffffff\r\n",
    " folded: b\r\n",
    "a : b\r\n",
    "\n",
    "\r",
    "\0",
];
const KEPT: &[&str] = &[
    "\n==\n",
    "\n",
    "{\"format\":1,\"generation\":2,\"routes\":[]}",
    "{\"format\":1,\"base\":1,\"generation\":2,\"routes\":[],\"gone\":[]}",
    "\"format\":2",
    "\"generation\":9223372036854775807",
    "\"generation\":-1",
    "\"gone\":[{\"service\":\"shop\",\"environment\":\"dev\"}]",
    "{\"digest\":\"sha256:",
    "\",\"snapshot\":",
    "\",\"change\":",
    "null",
    "[[[[",
    "\\u0000",
];
const JSON: &[&str] =
    &["{", "}", "[", "]", "null", "true", ":", ",", "\"", "\\u0000", "\\ud800", "1e400", "-0", "{}", "[[[["];
const GIT: &[&str] = &[
    "0000",
    "0001",
    "0004",
    "ffff",
    "refs/heads/main",
    "refs/tags/",
    "..",
    ".lock",
    "@{",
    "\0 report-status",
    "shallow ",
    "PACK",
    "PACK\0\0\0\u{2}",
    "x\u{9c}",
    "100644 a\0",
    "40000 .git\0",
    "120000 ",
    "160000 ",
    ".gitmodules",
    "GIT~1",
];
const MODULES: &[&str] = &[
    "[submodule \"x\"]\n",
    "[submodule \"../x\"]\n",
    "[SUBMODULE.x]\n",
    "\turl = -x\n",
    "url=\"-x\"",
    "\tpath = -x\n",
    "\tupdate = !x\n",
    "url = \\\n",
    "; ",
    "# ",
    "\"",
    "\\",
    "%0a",
    "\u{feff}",
];
const YAML: &[&str] = &[
    "name: shop\n",
    "&a ",
    "*a",
    "<<: *a",
    "!!binary ",
    "!!python/object:x",
    "? ",
    "- ",
    "|\n",
    ">\n",
    "%YAML 1.2\n",
    "---\n",
    "...\n",
    "{a: {a: {a:",
    "[[[[[",
    "size: { cpu: 500m, memory: 256Mi }\n",
    "0x7fffffffffffffff",
    "1e999",
    ".nan",
    "~",
    "\u{202e}",
    "\u{feff}",
    "\u{0}",
    "yes",
    "0o777",
    "2001-01-01",
    "\t",
    "processes: { web: {} }\n",
];
const FILES: &[&str] = &[
    "web: ",
    "release: ",
    "worker: node x.js\n",
    "${PORT}",
    "$PORT",
    "\"",
    "'",
    "\\",
    "&&",
    "|",
    ";",
    "`id`",
    "$(id)",
    "\n",
    "\"scripts\": {",
    "\"start\":",
    "\"main\":",
    "[package]\n",
    "[[bin]]\n",
    "name = \"x\"\n",
    "[project]\n",
    "flask==3\n",
    "module x\n",
    "-r other.txt\n",
    "\u{202e}",
    "\0",
    "../",
    "/",
    "--",
    "\"\"\"",
];
const TAR: &[&str] = &[
    "ustar\0",
    "ustar  \0",
    "../",
    "/etc/passwd",
    "././@LongLink",
    "10 path=a\n",
    "30 size=99999999999\n",
    ".wh.",
    ".wh..wh..opq",
    "GNU.sparse",
];

/// Every target.
pub const TARGETS: &[Target] = &[
    target("gate", gateway::fuzzing::connection, 20_000, HTTP),
    target("gate_chunks", gateway::fuzzing::chunks, 20_000, HTTP),
    target("gate_names", gateway::fuzzing::names, 20_000, HTTP),
    target("gateway_snapshot", gateway::fuzzing::snapshot, 5_000, JSON),
    target("gateway_answers", gateway::fuzzing::answers, 20_000, ANSWERS),
    target("gateway_kept", |data| in_folder(|place| gateway::fuzzing::kept(data, place)), 300, KEPT),
    target("gateway_admin", gateway::fuzzing::admin, 5_000, JSON),
    target("git_push", git::fuzzing::refs_of_a_push, 10_000, GIT),
    target("git_pack", git::fuzzing::pack_outside, 5_000, GIT),
    target("git_delta", git::fuzzing::delta_of_an_object, 20_000, GIT),
    target("git_tree", git::fuzzing::tree_object, 20_000, GIT),
    target("git_gzip", git::fuzzing::compressed_body, 5_000, GIT),
    target("git_forms", git::fuzzing::small_forms, 20_000, GIT),
    target("git_modules", git::fuzzing::modules, 10_000, MODULES),
    target("archive_source", deliver::fuzzing::source_archive, 5_000, TAR),
    target("archive_unpack", |data| in_folder(|place| process::fuzzing::archive(data, place)), 1_000, TAR),
    target("oci_manifest", process::fuzzing::oci_manifest, 10_000, JSON),
    target("manifest", service_file, 5_000, YAML),
    target("recipe", recipes, 5_000, FILES),
    target(
        "names",
        names,
        20_000,
        &["-", "_", ".", "localhost", "xn--", "a.b", "Ki", "Mi", "ms", "m", "sha256:", "person:", "T", "Z"],
    ),
    target("placeholder", placeholder, 20_000, &["${", "}", "$$", ":-", "${A}", "${A:-b}", "$"]),
    target(
        "sse",
        events,
        20_000,
        &["data: ", "event: ", "id: ", "retry: ", "\n\n", "\r\n", "\r", ":", "\0", "\u{feff}"],
    ),
    target("output", process::fuzzing::output, 5_000, &["\n", "\r\n", "\r", "\0", "\u{1b}[0m", "é", "\u{202e}"]),
    target(
        "log_segment",
        |data| in_folder(|place| process::fuzzing::log_segment(data, place)),
        200,
        &["1 o x\n", " e ", " p ", "\n"],
    ),
    target("engine_messages", process::fuzzing::messages, 10_000, JSON),
];

/// A folder of its own for inputs that become files.
fn in_folder(work: impl FnOnce(&Path)) {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    work(folder.path());
}

/// A service file: bounded, told in words without control characters, and read again the same.
fn service_file(data: &[u8]) {
    match manifest::parse_bytes(data, manifest::FILE) {
        Ok(read) => {
            assert_eq!(manifest::parse_bytes(data, manifest::FILE).as_ref(), Ok(&read), "read twice it is another")
        }
        Err(problem) => {
            assert!(!problem.message.is_empty(), "refused without a word");
            assert!(problem.message.len() < 4096, "a message of {} bytes", problem.message.len());
            assert!(!problem.message.chars().any(|c| c.is_control() && c != '\n'), "{:?}", problem.message);
        }
    }
}

/// The files that recipes look into: the first byte says which, and how the tree around it is.
fn recipes(data: &[u8]) {
    const KINDS: [(&str, &[&str]); 8] = [
        ("package.json", &["index.js", "package-lock.json"]),
        ("requirements.txt", &["app.py"]),
        ("pyproject.toml", &["main.py"]),
        ("Cargo.toml", &["src/main.rs", "Cargo.lock"]),
        ("go.mod", &["main.go"]),
        ("Procfile", &["package.json", "index.js"]),
        ("app.json", &["index.html"]),
        ("app.py", &["requirements.txt"]),
    ];
    let Some((kind, content)) = data.split_first() else { return };
    let (name, others) = KINDS[usize::from(*kind) % KINDS.len()];
    let entry =
        |content: &[u8]| Entry { size: content.len() as u64, executable: false, content: Some(content.to_vec()) };
    let mut files: BTreeMap<String, Entry> = others.iter().map(|other| ((*other).to_owned(), entry(b"{}"))).collect();
    files.insert(name.to_owned(), entry(content));
    let plan = match recipe::detect_for(&Tree::new(files), &Wish::default()) {
        Ok(plan) => plan,
        Err(problem) => {
            assert!(!problem.message.is_empty() && problem.message.len() < 8192, "{} bytes", problem.message.len());
            return;
        }
    };
    for step in &plan.steps {
        assert!(step.command.first().is_some_and(|program| !program.is_empty()), "a step without a program");
        assert!(step.command.iter().all(|word| !word.contains('\0')), "a zero byte in an argument");
        assert!(
            !step.workdir.starts_with('/') && !step.workdir.split('/').any(|part| part == ".."),
            "{:?}",
            step.workdir
        );
    }
    for runs in plan.processes.values() {
        assert!(runs.command.iter().all(|word| !word.contains('\0')), "a zero byte in an argument");
    }
    assert!(plan.evidence.iter().all(|line| !line.chars().any(char::is_control)), "{:?}", plan.evidence);
    let written = serde_json::to_string(&plan).expect("a plan is JSON");
    assert_eq!(
        serde_json::from_str::<recipe::Plan>(&written).ok().as_ref(),
        Some(&plan),
        "written and read again it is another"
    );
}

/// Names, ids, sizes, spans, digests, times: what is read is printed, and that is read as the same.
fn names(data: &[u8]) {
    fn round<T: FromStr + Display + PartialEq>(text: &str) {
        let Ok(read) = text.parse::<T>() else { return };
        let printed = read.to_string();
        assert!(printed.parse::<T>().is_ok_and(|again| again == read), "{text:?} is printed as {printed:?}");
        assert!(!printed.chars().any(char::is_control), "{printed:?}");
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    round::<base::ServiceName>(text);
    round::<base::EnvironmentName>(text);
    round::<base::ProcessName>(text);
    round::<base::HostName>(text);
    round::<base::BuildId>(text);
    round::<base::InstanceId>(text);
    round::<base::Digest>(text);
    round::<base::Actor>(text);
    round::<base::Bytes>(text);
    round::<base::MilliCpu>(text);
    round::<base::Span>(text);
    round::<base::Time>(text);
    round::<manifest::ExternalUrl>(text);
    round::<manifest::UrlPath>(text);
}

/// Placeholders: an escaped text expands to itself, and no value is expanded again.
fn placeholder(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(same) = base::placeholder::expand(&base::placeholder::escape(text), |_| Some("wrong")) {
        assert_eq!(same, text, "an escaped text is not itself");
    }
    let names: Vec<&str> = base::placeholder::names(text).collect();
    assert!(names.iter().all(|name| base::placeholder::is_name(name)), "{names:?}");
    if let Ok(grown) = base::placeholder::expand(text, |_| Some("${X}")) {
        assert!(grown.len() <= base::placeholder::EXPANDED_BYTES_MAX, "{} bytes", grown.len());
        assert!(grown.matches("${X}").count() >= names.len(), "a value was expanded again");
    }
}

/// Server-sent events: the same however they are cut.
fn events(data: &[u8]) {
    let Some((seed, bytes)) = data.split_first() else { return };
    let read = |step: usize| {
        let mut parser = sse::Parser::default();
        let mut events = Vec::new();
        for piece in bytes.chunks(step) {
            match parser.push(piece) {
                Ok(more) => events.extend(more),
                Err(problem) => return Err(problem.code),
            }
        }
        Ok((events, parser.retry_ms))
    };
    let (whole, cut) = (read(bytes.len().max(1)), read(usize::from(*seed) % 7 + 1));
    assert_eq!(whole, cut, "pieces change the events");
}
