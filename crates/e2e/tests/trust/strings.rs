//! Five hundred texts that would do harm somewhere: in a shell, in an argument list, in SQL, in a
//! format, a path, a template, a terminal, a header, a document.

use std::collections::BTreeSet;

/// How many.
pub const COUNT: usize = 500;

/// Where a text that was carried out would leave a trace.
#[derive(Debug, Clone)]
pub struct Canary {
    /// A folder where files appear.
    pub folder: String,
    /// A port on this machine where somebody listens.
    pub port: u16,
}

const SHELL: &[&str] = &[
    "; touch {f}",
    "$(touch {f})",
    "`touch {f}`",
    "| touch {f}",
    "|| touch {f}",
    "& touch {f} &",
    "&& touch {f}",
    "\ntouch {f}\n",
    "\r\ntouch {f}",
    "'; touch {f}; '",
    "\"; touch {f}; \"",
    "> {f}",
    ">> {f}",
    "<(touch {f})",
    "{touch,{f}}",
    ";touch$IFS{f}",
    "a;touch${IFS}{f}",
    "$(curl http://127.0.0.1:{p}/)",
    "`wget -q http://127.0.0.1:{p}/`",
    "; python3 -c 'open(\"{f}\",\"w\")'",
    "!touch {f}",
    "~/../{f}",
    "* ? [a-z]",
    "\\; touch {f}",
    "%0atouch {f}",
    "$PATH",
    "$(id)",
    "#{`touch {f}`}",
    "() { :; }; touch {f}",
    "\u{ff1b} touch {f}",
];
const OPTIONS: &[&str] = &[
    "--upload-pack=touch {f}",
    "--receive-pack=touch {f}",
    "-oProxyCommand=touch {f}",
    "--exec=touch {f}",
    "-c core.sshCommand=touch {f}",
    "-ccore.fsmonitor=touch {f}",
    "--config-env=a=b",
    "--help",
    "-h",
    "--",
    "-",
    "--output={f}",
    "-o{f}",
    "--git-dir={f}",
    "-C/tmp",
    "--data=/tmp",
    "--set=domain=x",
    "@/etc/passwd",
    "--version",
    "--template={f}",
    "ext::sh -c touch% {f}",
    "file:///etc/passwd",
    "http://127.0.0.1:{p}/",
    "-e",
    "--import=x",
];
const SQL: &[&str] = &[
    "' OR '1'='1",
    "'; DROP TABLE fact; --",
    "\" OR \"\"=\"",
    "1; SELECT pg_sleep(10)",
    "') UNION SELECT hash FROM access_token --",
    "'||(SELECT sealed FROM access_setting)||'",
    "\\'; DELETE FROM fact; --",
    "%' OR 1=1 --",
    "_%",
    "$1",
    "?1",
    "NULL",
    "'; ATTACH DATABASE '{f}' AS x; --",
    "'; COPY fact TO PROGRAM 'touch {f}'; --",
    "x' COLLATE NOCASE --",
];
const FORMATS: &[&str] = &["%s%s%s%s%n", "%x%x%x", "{0}", "{}", "{:?}", "%(name)s", "\\1\\2", "%p", "{{}}", "%1$*2$d"];
const PATHS: &[&str] = &[
    "../../../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "....//....//etc/passwd",
    "/etc/passwd",
    "C:\\..\\..\\x",
    ".git/hooks/post-receive",
    "..",
    ".",
    "a/../../b",
    "\\\\127.0.0.1\\share",
    "/proc/self/environ",
    "{f}",
    "%2e%2e/",
    "..\u{0}/etc",
    "con",
    "a/./b//c",
    "~root",
    "..;/x",
];
const TEMPLATES: &[&str] = &[
    "{{7*7}}",
    "${7*7}",
    "<%= 7*7 %>",
    "#{7*7}",
    "${env.PATH}",
    "${PORT}",
    "${settings.X}",
    "$${x}",
    "${",
    "${}",
    "${x:-$(touch {f})}",
    "${jndi:ldap://127.0.0.1:{p}/a}",
    "{{constructor.constructor('x')()}}",
    "{% include '/etc/passwd' %}",
    "[[${1}]]",
    "$(x)",
    "%{x}",
    "@{x}",
];
const TERMINAL: &[&str] = &[
    "\u{1b}[31mred\u{1b}[0m",
    "\u{1b}]0;title\u{7}",
    "\u{1b}[2J\u{1b}[H",
    "\u{9b}31mred",
    "\rover",
    "a\u{8}\u{8}\u{8}b",
    "\u{1b}]8;;http://127.0.0.1:{p}/\u{7}x\u{1b}]8;;\u{7}",
    "\u{1b}P1$r\u{1b}\\",
    "\u{7f}\u{7f}",
    "\u{1b}[1A\u{1b}[2K",
    "\u{1b}]52;c;eA==\u{7}",
    "\u{85}next",
    "\u{90}x\u{9c}",
    "\u{1b}c",
];
const NULS: &[&str] = &["a\u{0}b", "\u{0}", "%00", "a\u{0}; touch {f}", "\\0", "\u{1}\u{2}\u{3}"];
const UNICODE: &[&str] = &[
    "\u{202e}gpj.exe",
    "a\u{200b}b",
    "\u{feff}x",
    "ﬃ",
    "İstanbul",
    "ſhop",
    "\u{fffe}",
    "👩\u{200d}💻",
    "\u{2028}line",
    "a\u{301}\u{301}\u{301}",
    "\u{ff0e}\u{ff0e}/",
    "ѕһор",
    "\u{e0041}tag",
    "𝐬𝐡𝐨𝐩",
    "\u{10ffff}",
    "ß",
    "１２",
];
const DOCUMENTS: &[&str] = &[
    "<script>fetch('http://127.0.0.1:{p}/')</script>",
    "\"><img src=http://127.0.0.1:{p}/ onerror=alert(1)>",
    "javascript:alert(1)",
    "a\r\nSet-Cookie: x=1",
    "a\nX-Injected: 1",
    "!!python/object/apply:os.system [\"touch {f}\"]",
    "{\"$gt\": \"\"}",
    "&a [*a, *a]",
    "<<: *x",
    "<!DOCTYPE x [<!ENTITY a SYSTEM \"file:///etc/passwd\">]>&a;",
    "data: x\n\ndata: y",
    "]]>",
    "-->",
    "=cmd|'/C touch {f}'!A1",
    "=HYPERLINK(\"http://127.0.0.1:{p}/\")",
    "[a](http://127.0.0.1:{p}/)",
    "a: b: c",
    "# comment",
    "\"",
    "'",
    "\\",
    "\\u0000",
];
const NUMBERS: &[&str] =
    &["-1", "99999999999999999999", "1e309", "NaN", "0x10", "١٢", "1_000", "", " ", "null", "true"];

/// The texts, each once.
pub fn strings(canary: &Canary) -> Vec<String> {
    let rooms = [SHELL, OPTIONS, SQL, FORMATS, PATHS, TEMPLATES, TERMINAL, NULS, UNICODE, DOCUMENTS, NUMBERS];
    let wraps: [fn(&str) -> String; 5] = [
        |s| s.to_owned(),
        |s| format!("shop{s}"),
        |s| format!("{s}shop"),
        |s| format!("\"{s}\""),
        |s| format!("'{s}'"),
    ];
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    for wrap in wraps {
        for text in rooms.into_iter().flatten() {
            let file = format!("{}/{}", canary.folder, all.len());
            let text = wrap(&text.replace("{f}", &file).replace("{p}", &canary.port.to_string()));
            if all.len() < COUNT && seen.insert(text.clone()) {
                all.push(text);
            }
        }
    }
    for long in ["A", "é", "%s", "../", "\u{1b}[31m"] {
        all.pop();
        all.insert(0, long.repeat(4000));
    }
    all
}

#[test]
fn there_are_five_hundred_and_each_is_another() {
    let all = strings(&Canary { folder: "/tmp/x".into(), port: 9 });
    assert_eq!(all.len(), COUNT);
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), COUNT);
}
