//! The strict gate, as a table of raw bytes. After every case the number of requests that the
//! instance saw is the number that the log in front says were forwarded.

use std::time::Duration;

use crate::support::*;

/// What becomes of the requests of a case, in order; 0: the connection is closed without an answer.
type Expect = &'static [u16];

struct Case {
    name: &'static str,
    bytes: String,
    expect: Expect,
    /// Where the rule is written.
    rule: &'static str,
}

fn case(name: &'static str, rule: &'static str, expect: Expect, bytes: impl Into<String>) -> Case {
    Case { name, bytes: bytes.into(), expect, rule }
}

const H: &str = "Host: app.localhost\r\n";
const END: &str = "Connection: close\r\n\r\n";

/// A request with these header lines (each with its line end).
fn get(lines: &str) -> String {
    format!("GET / HTTP/1.1\r\n{H}{lines}{END}")
}

fn post(lines: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\n{H}{lines}\r\n{body}")
}

fn line(line: &str) -> String {
    format!("{line}\r\n{H}{END}")
}

const OK: Expect = &[200];
const BAD: Expect = &[400];

fn request_lines() -> Vec<Case> {
    vec![
        case("plain", "9112 §3", OK, line("GET / HTTP/1.1")),
        case("any token is a method", "9110 §9.1", OK, line("PROPFIND / HTTP/1.1")),
        case("query", "9112 §3.2.1", OK, line("GET /a?b=c&d=%20 HTTP/1.1")),
        case("raw braces in a query", "leniency", OK, line("GET /?{a}|[b] HTTP/1.1")),
        case("absolute-form", "9112 §3.2.2", OK, line("GET http://app.localhost/x HTTP/1.1")),
        case("absolute-form in capitals", "9110 §4.2.3", OK, line("GET HTTP://APP.localhost HTTP/1.1")),
        case("absolute-form with port 80", "9110 §4.2.3", OK, line("GET http://app.localhost:80/ HTTP/1.1")),
        case("asterisk-form", "9112 §3.2.4", OK, line("OPTIONS * HTTP/1.1")),
        case("asterisk with GET", "9112 §3.2.4", BAD, line("GET * HTTP/1.1")),
        case("absolute-form of another host", "9112 §3.2.2", BAD, line("GET http://evil.localhost/ HTTP/1.1")),
        case("absolute-form with another port", "9112 §3.2.2", BAD, line("GET http://app.localhost:81/ HTTP/1.1")),
        case("absolute-form with user", "9110 §4.2.4", BAD, line("GET http://u@app.localhost/ HTTP/1.1")),
        case("absolute-form of another scheme", "9112 §3.2.2", BAD, line("GET ftp://app.localhost/ HTTP/1.1")),
        case("authority-form", "9112 §3.2.3", BAD, line("GET app.localhost:80 HTTP/1.1")),
        case("relative target", "9112 §3.2", BAD, line("GET a HTTP/1.1")),
        case("fragment", "9112 §3.2", BAD, line("GET /#f HTTP/1.1")),
        case("two spaces before the target", "9112 §3", BAD, line("GET  / HTTP/1.1")),
        case("two spaces before the version", "9112 §3", BAD, line("GET /  HTTP/1.1")),
        case("tab instead of space", "9112 §3", BAD, line("GET\t/ HTTP/1.1")),
        case("space after the version", "9112 §3", BAD, line("GET / HTTP/1.1 ")),
        case("space before the method", "9112 §3", BAD, line(" GET / HTTP/1.1")),
        case("space in the target", "9112 §3.2", BAD, line("GET /a b HTTP/1.1")),
        case("NUL in the target", "9112 §3.2", BAD, line("GET /\0 HTTP/1.1")),
        case("bare CR in the target", "9112 §2.2", BAD, line("GET /\ra HTTP/1.1")),
        case("DEL in the target", "9112 §3.2", BAD, line("GET /\x7f HTTP/1.1")),
        case("UTF-8 in the target", "9112 §3.2", BAD, line("GET /ä HTTP/1.1")),
        case("quote in the target", "3986 §3.3", BAD, line("GET /\" HTTP/1.1")),
        case("less-than in the target", "3986 §3.3", BAD, line("GET /< HTTP/1.1")),
        case("backslash in the path", "3986 §3.3", BAD, line("GET /a\\..\\b HTTP/1.1")),
        case("broken percent in the path", "3986 §2.1", BAD, line("GET /%2 HTTP/1.1")),
        case("method with a slash", "9110 §5.6.2", BAD, line("GE/T / HTTP/1.1")),
        case("method with a colon", "9110 §5.6.2", BAD, line("GET: / HTTP/1.1")),
        case("long method", "9112 §3", &[501], line(&format!("{} / HTTP/1.1", "M".repeat(33)))),
        case("CONNECT", "9110 §9.3.6", &[501], line("CONNECT / HTTP/1.1")),
        case("TRACE", "9110 §9.3.8", &[501], line("TRACE / HTTP/1.1")),
        case("the gate's own method", "own", &[501], line("ORLOP-REFUSED / HTTP/1.1")),
        case("HTTP/0.9", "9112 §3", BAD, "GET /\r\n\r\n"),
        case("HTTP/2.0 in text", "9110 §15.6.6", &[505], line("GET / HTTP/2.0")),
        case("HTTP/1.2", "9110 §15.6.6", &[505], line("GET / HTTP/1.2")),
        case("http in small letters", "9112 §2.3", BAD, line("GET / http/1.1")),
        case("version of two digits", "9112 §2.3", BAD, line("GET / HTTP/1.10")),
        case("no version digit", "9112 §2.3", &[505], line("GET / HTTP/1.x")),
        case("long target", "9110 §15.5.15", &[414], line(&format!("GET /{} HTTP/1.1", "a".repeat(9000)))),
        case("endless request line", "9110 §15.5.15", &[414], "G".repeat(40_000)),
        case("one empty line first", "9112 §2.2", OK, format!("\r\n{}", get(""))),
        case("two empty lines first", "9112 §2.2", BAD, format!("\r\n\r\n{}", get(""))),
        case("a bare LF first", "9112 §2.2", BAD, format!("\n{}", get(""))),
        case("TLS hello", "own", BAD, "\x16\x03\x01\x02"),
        case("PRI over HTTP/1.1", "9113 §3.4", &[501], line("PRI / HTTP/1.1")),
    ]
}

fn hosts() -> Vec<Case> {
    let host = |h: &str| format!("GET / HTTP/1.1\r\n{h}{END}");
    vec![
        case("port", "9110 §7.2", OK, host("Host: app.localhost:80\r\n")),
        case("empty port", "3986 §3.2.3", OK, host("Host: app.localhost:\r\n")),
        case("capitals", "3986 §3.2.2", OK, host("HOST: APP.LocalHost\r\n")),
        case("dot at the end", "1034 §3.1", OK, host("Host: app.localhost.\r\n")),
        case("spaces around", "9112 §5.1", OK, host("Host: \t app.localhost \r\n")),
        case("none", "9112 §3.2", BAD, host("")),
        case("two", "9112 §3.2", BAD, host("Host: app.localhost\r\nHost: evil\r\n")),
        case("two alike", "9112 §3.2", BAD, host("Host: app.localhost\r\nhost: app.localhost\r\n")),
        case("empty", "9112 §3.2", BAD, host("Host:\r\n")),
        case("user", "9110 §7.2", BAD, host("Host: u@app.localhost\r\n")),
        case("path", "9110 §7.2", BAD, host("Host: app.localhost/x\r\n")),
        case("list", "9110 §7.2", BAD, host("Host: app.localhost, evil\r\n")),
        case("space inside", "9110 §7.2", BAD, host("Host: app.localhost evil\r\n")),
        case("port of letters", "9110 §7.2", BAD, host("Host: app.localhost:http\r\n")),
        case("port too large", "9110 §7.2", BAD, host("Host: app.localhost:99999\r\n")),
        case("percent", "own", BAD, host("Host: app%2elocalhost\r\n")),
        case(
            "none with absolute-form",
            "9112 §3.2",
            BAD,
            "GET http://app.localhost/ HTTP/1.1\r\nConnection: close\r\n\r\n",
        ),
        case("HTTP/1.0 without", "own", BAD, "GET / HTTP/1.0\r\n\r\n"),
        case("HTTP/1.0 with", "9112 §2.3", OK, format!("GET / HTTP/1.0\r\n{H}\r\n")),
        case("unknown address literal", "own", &[404], host("Host: [::1]:80\r\n")),
    ]
}

fn fields() -> Vec<Case> {
    let many: String = (0..101).map(|n| format!("X-{n}: 1\r\n")).collect();
    vec![
        case("no space after the colon", "9112 §5.1", OK, get("A:b\r\n")),
        case("empty value", "9110 §5.5", OK, get("A:\r\n")),
        case("obs-text", "9110 §5.5", OK, get("A: ä\r\n")),
        case("odd token", "9110 §5.6.2", OK, get("!#$%&'*+-.^_`|~0a: b\r\n")),
        case("underscore of no consequence", "own", OK, get("api_key: b\r\n")),
        case("space before the colon", "9112 §5.1", BAD, get("A : b\r\n")),
        case("tab before the colon", "9112 §5.1", BAD, get("Content-Length\t: 5\r\n")),
        case("folded", "9112 §5.2", BAD, get("A: b\r\n c\r\n")),
        case("folded with a tab", "9112 §5.2", BAD, get("A: b\r\n\tc\r\n")),
        case("space before the first", "9112 §2.2", BAD, format!("GET / HTTP/1.1\r\n A: b\r\n{H}{END}")),
        case("no colon", "9112 §5", BAD, get("A\r\n")),
        case("no name", "9112 §5", BAD, get(": b\r\n")),
        case("NUL in a name", "9110 §5.1", BAD, get("A\0: b\r\n")),
        case("NUL in a value", "9110 §5.5", BAD, get("A: b\0c\r\n")),
        case("bare CR in a value", "9110 §5.5", BAD, get("A: b\rc\r\n")),
        case("CR before CRLF", "9112 §2.2", BAD, get("A: b\r\r\n")),
        case("bare LF at the end", "9112 §2.2", BAD, get("A: b\n")),
        case("bare LF smuggles a header", "9112 §2.2", BAD, get("A: b\nContent-Length: 5\r\n")),
        case("bare LF ends the head", "9112 §2.2", BAD, format!("GET / HTTP/1.1\r\n{H}\n")),
        case("only bare LF", "9112 §2.2", BAD, "GET / HTTP/1.1\nHost: app.localhost\n\n"),
        case("DEL in a value", "9110 §5.5", BAD, get("A: \x7f\r\n")),
        case("escape in a value", "9110 §5.5", BAD, get("A: \x1b[0m\r\n")),
        case("UTF-8 in a name", "9110 §5.1", BAD, get("Ä: b\r\n")),
        case("brackets in a name", "9110 §5.1", BAD, get("A[]: b\r\n")),
        case("disguised forwarding", "9110 §17.10", BAD, get("X_Forwarded_For: 1\r\n")),
        case("disguised length", "9110 §17.10", BAD, get("Content_Length: 5\r\n")),
        case("too many", "6585 §5", &[431], get(&many)),
        case("too large", "6585 §5", &[431], get(&format!("A: {}\r\n", "a".repeat(33_000)))),
        case("together too large", "6585 §5", &[431], get(&format!("A: {}\r\n", "a".repeat(1000)).repeat(40))),
        case("connection names host", "9110 §7.6.1", BAD, get("Connection: host\r\n")),
        case("connection names length", "9110 §7.6.1", BAD, get("Connection: content-length\r\n")),
        case("connection is no token", "9110 §7.6.1", BAD, get("Connection: a b\r\n")),
        case("connection with empty elements", "9110 §5.6.1", OK, get("Connection: , close,,\r\n")),
        case("other expectation", "9110 §10.1.1", &[417], get("Expect: 200-ok\r\n")),
        case("expectation without a body", "9110 §10.1.1", OK, get("Expect: 100-Continue\r\n")),
    ]
}

fn lengths() -> Vec<Case> {
    let chunked = |te: &str| post(&format!("{te}Connection: close\r\n"), "5\r\nhello\r\n0\r\n\r\n");
    let length = |cl: &str| post(&format!("{cl}Connection: close\r\n"), "hello");
    let body = |body: &str| post("Transfer-Encoding: chunked\r\nConnection: close\r\n", body);
    let te = "Transfer-Encoding: chunked\r\n";
    vec![
        case("length", "9112 §6.2", OK, length("Content-Length: 5\r\n")),
        case("zeros in front", "9110 §8.6", OK, length("Content-Length: 0005\r\n")),
        case("chunked", "9112 §7.1", OK, chunked(te)),
        case("chunked in capitals", "9112 §7", OK, chunked("Transfer-Encoding: CHUNKED\r\n")),
        case("GET with a body", "9110 §9.3.1", OK, length("Content-Length: 5\r\n").replace("POST", "GET")),
        case("GET with chunks", "9110 §9.3.1", OK, chunked(te).replace("POST", "GET")),
        case("both", "9112 §6.1", BAD, chunked(&format!("Content-Length: 5\r\n{te}"))),
        case("both the other way", "9112 §6.1", BAD, chunked(&format!("{te}Content-Length: 5\r\n"))),
        case("length twice", "9112 §6.3", BAD, length("Content-Length: 5\r\nContent-Length: 5\r\n")),
        case("two lengths", "9112 §6.3", BAD, length("Content-Length: 5\r\nContent-Length: 6\r\n")),
        case("length list", "9112 §6.3", BAD, length("Content-Length: 5, 5\r\n")),
        case("plus", "9110 §8.6", BAD, length("Content-Length: +5\r\n")),
        case("minus", "9110 §8.6", BAD, length("Content-Length: -5\r\n")),
        case("hexadecimal", "9110 §8.6", BAD, length("Content-Length: 0x5\r\n")),
        case("space inside", "9110 §8.6", BAD, length("Content-Length: 5 5\r\n")),
        case("empty length", "9110 §8.6", BAD, length("Content-Length:\r\n")),
        case("quoted length", "9110 §8.6", BAD, length("Content-Length: \"5\"\r\n")),
        case("too large", "9110 §8.6", BAD, length("Content-Length: 99999999999999999999\r\n")),
        case("largest", "own", BAD, length("Content-Length: 18446744073709551615\r\n")),
        case("not chunked", "9112 §6.3", BAD, chunked("Transfer-Encoding: identity\r\n")),
        case("gzip", "9112 §6.1", BAD, chunked("Transfer-Encoding: gzip\r\n")),
        case("gzip, chunked", "9112 §6.1", &[501], chunked("Transfer-Encoding: gzip, chunked\r\n")),
        case("chunked, gzip", "9112 §6.3", BAD, chunked("Transfer-Encoding: chunked, gzip\r\n")),
        case("chunked twice", "9112 §6.1", BAD, chunked("Transfer-Encoding: chunked, chunked\r\n")),
        case("chunked on two lines", "9112 §6.1", BAD, chunked(&te.repeat(2))),
        case("almost chunked", "9112 §7", BAD, chunked("Transfer-Encoding: xchunked\r\n")),
        case("chunked with a parameter", "9112 §7", BAD, chunked("Transfer-Encoding: chunked;a=b\r\n")),
        case("chunked with a vertical tab", "9110 §5.5", BAD, chunked("Transfer-Encoding: \x0bchunked\r\n")),
        case("quoted chunked", "9112 §7", BAD, chunked("Transfer-Encoding: \"chunked\"\r\n")),
        case("empty coding", "9112 §6.1", BAD, chunked("Transfer-Encoding:\r\n")),
        case("chunked, and nothing", "9112 §6.1", BAD, chunked("Transfer-Encoding: chunked,\r\n")),
        case("chunked in HTTP/1.0", "9112 §6.1", BAD, chunked(te).replace("HTTP/1.1", "HTTP/1.0")),
        case("chunk extension", "9112 §7.1.1", OK, body("5;a=b\r\nhello\r\n0\r\n\r\n")),
        case("capital hex", "9112 §7.1", OK, body("A\r\n0123456789\r\n0\r\n\r\n")),
        case("trailer", "9112 §7.1.2", OK, body("0\r\nA: b\r\n\r\n")),
        case("chunk size with a space", "9112 §7.1", BAD, body("5 \r\nhello\r\n0\r\n\r\n")),
        case("chunk size with 0x", "9112 §7.1", BAD, body("0x5\r\nhello\r\n0\r\n\r\n")),
        case("chunk size with a sign", "9112 §7.1", BAD, body("-5\r\nhello\r\n0\r\n\r\n")),
        case("chunk size with an underscore", "9112 §7.1", BAD, body("0_5\r\nhello\r\n0\r\n\r\n")),
        case("chunk size too large", "9112 §7.1", BAD, body("ffffffffffffffff0\r\nhello\r\n0\r\n\r\n")),
        case("no chunk size", "9112 §7.1", BAD, body("\r\nhello\r\n0\r\n\r\n")),
        case("bare LF after the size", "9112 §2.2", BAD, body("5\nhello\r\n0\r\n\r\n")),
        case("bare LF in an extension", "9112 §2.2", BAD, body("5;a\nhello\r\n0\r\n\r\n")),
        case("bare CR in an extension", "9112 §2.2", BAD, body("5;a\rb\r\nhello\r\n0\r\n\r\n")),
        case("long extension", "own", BAD, body(&format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(300)))),
        case("chunk longer than it says", "9112 §7.1", BAD, body("5\r\nhello!\r\n0\r\n\r\n")),
        case("chunk ends in bare LF", "9112 §7.1", BAD, body("5\r\nhello\n0\r\n\r\n")),
        case("trailer with a space", "9112 §5.1", BAD, body("0\r\nA : b\r\n\r\n")),
        case("trailer folded", "9112 §5.2", BAD, body("0\r\nA: b\r\n c\r\n\r\n")),
        case("endless trailer", "6585 §5", &[431], body(&format!("0\r\nA: {}\r\n\r\n", "a".repeat(9000)))),
    ]
}

fn pipelines() -> Vec<Case> {
    let one = format!("GET / HTTP/1.1\r\n{H}\r\n");
    let smuggled = format!("GET /smuggled HTTP/1.1\r\n{H}\r\n");
    let both =
        format!("POST / HTTP/1.1\r\n{H}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}");
    let chunk = format!("POST / HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n");
    vec![
        case("two", "9112 §9.3.2", &[200, 200], format!("{one}{}", get(""))),
        case(
            "body and another",
            "9112 §9.3.2",
            &[200, 200],
            post("Content-Length: 5\r\n", &format!("hello{}", get(""))),
        ),
        case("good and bad", "9112 §9.3.2", &[200, 400], format!("{one}GET / HTTP/1.1\r\n\r\n{smuggled}")),
        case("nothing behind a refusal", "9112 §9.3.2", BAD, format!("GET / HTTP/1.1\r\n\r\n{smuggled}")),
        case("CL.TE", "9112 §11.2", BAD, both),
        case("broken chunk and another", "9112 §11.2", BAD, format!("{chunk}5\r\nhelloX\r\n0\r\n\r\n{smuggled}")),
        case("bare LF chunk and another", "9112 §11.2", BAD, format!("{chunk}0\n\n{smuggled}")),
        case("request in a body", "9112 §6.2", OK, {
            let lines = format!("Content-Length: {}\r\nConnection: close\r\n", smuggled.len());
            post(&lines, &smuggled)
        }),
        case("nothing behind close", "9112 §9.6", OK, format!("{}{smuggled}", get(""))),
        case("extra CRLF between", "9112 §2.2", &[200, 200], format!("{one}\r\n{}", get(""))),
    ]
}

#[tokio::test]
async fn table() {
    let mut front = Front::start().await;
    let up = Upstream::start().await;
    front.one(&up).await;
    let (mut failures, mut lines, mut total) = (Vec::new(), 0, 0);
    let (mut forwarded, mut begun) = (0u64, 0u64);
    let groups = [
        ("line", request_lines()),
        ("host", hosts()),
        ("field", fields()),
        ("length", lengths()),
        ("pipeline", pipelines()),
    ];
    for (group, cases) in groups {
        for Case { name, bytes, expect, rule } in cases {
            total += 1;
            let answer = raw_open(front.address, &bytes, Duration::from_secs(3)).await;
            let got = answer.statuses();
            if got != expect {
                failures.push(format!("{group}: {name} (RFC {rule}): {got:?}, not {expect:?}: {}", answer.all));
                tokio::time::sleep(Duration::from_millis(100)).await;
                lines = front.log(0).await.len();
                forwarded = up.seen();
                continue;
            }
            if answer.body.contains("\"fault\"") && expect.len() == 1 {
                assert_eq!(answer.problem()["fault"], "client", "{name}");
            }
            // What is logged in front is what was seen behind.
            lines += expect.len();
            let log = front.log(lines).await;
            assert_eq!(log.len(), lines, "{name}: {:?}", log.last());
            let new = log.iter().skip(lines - expect.len()).filter(|l| !l["instance"].is_null());
            let (whole, broken): (Vec<_>, Vec<_>) = new.partition(|l| l["code"].is_null());
            let (before, seen) = (forwarded, up.seen());
            forwarded = seen;
            begun += broken.len() as u64;
            // The head of a body that breaks midway may have reached the instance or not.
            let (least, most) = (before + whole.len() as u64, before + (whole.len() + broken.len()) as u64);
            assert!((least..=most).contains(&seen), "{name}: {seen} seen behind, {least} to {most} logged in front");
        }
    }
    assert!(failures.is_empty(), "{} of {total}:\n{}", failures.len(), failures.join("\n"));
    assert!(total >= 150 && forwarded > 30 && begun > 10, "{total} {forwarded} {begun}");
}

/// The whole table once more, every case cut into small pieces: nothing may depend on where the
/// network cuts.
#[tokio::test]
async fn table_in_pieces() {
    use tokio::io::AsyncWriteExt as _;
    let mut front = Front::start().await;
    let up = Upstream::start().await;
    front.one(&up).await;
    let mut failures = Vec::new();
    let cases = [request_lines(), hosts(), fields(), lengths(), pipelines()].into_iter().flatten();
    for case in cases.filter(|c| c.bytes.len() < 1000) {
        let stream = tokio::net::TcpStream::connect(front.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (mut read, mut write) = stream.into_split();
        let bytes = case.bytes.clone().into_bytes();
        let send = async {
            for piece in bytes.chunks(7) {
                if write.write_all(piece).await.is_err() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            write
        };
        let mut back = Vec::new();
        let receive = tokio::io::AsyncReadExt::read_to_end(&mut read, &mut back);
        let both = async { tokio::join!(send, receive) };
        let _ = tokio::time::timeout(Duration::from_secs(3), both).await;
        let text = String::from_utf8_lossy(&back);
        let got: Vec<u16> =
            text.match_indices("HTTP/1.").filter_map(|(at, _)| text[at + 9..at + 12].parse().ok()).collect();
        if got != case.expect {
            failures.push(format!("{}: {got:?}, not {:?}", case.name, case.expect));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
