//! The program that the tests run inside instances. Its words say what to do; what happened goes to
//! standard output, one line each, so that a test reads it in the log.

#![allow(unsafe_code, reason = "it tries system calls that no library offers")]
#![allow(clippy::disallowed_methods, reason = "it tries what programs do, among it starting others")]

mod attack;
mod bomb;
mod escape;
mod serve;
mod talk;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["exit", status] => return ExitCode::from(status.parse::<u8>().unwrap_or(99)),
        ["abort"] => std::process::abort(),
        ["say", out, err] => {
            println!("{out}");
            eprintln!("{err}");
        }
        ["count", many, every_ms] => count(number(many), number(every_ms)),
        ["env", name] => println!("{name}={}", std::env::var(name).unwrap_or_else(|_| "(unset)".into())),
        ["write", path, text] => attack::tell("write", std::fs::write(path, text)),
        ["append", path, text] => {
            use std::fs::OpenOptions;
            let file = OpenOptions::new().create(true).append(true).open(path);
            attack::tell("append", file.and_then(|mut f| f.write_all(text.as_bytes())));
        }
        ["read", path] => attack::tell("read", std::fs::read_to_string(path).map(|t| print!("{t}"))),
        ["tree"] => attack::make_tree(),
        ["serve", rest @ ..] => return serve::serve(rest),
        ["sleep", ..] => forever(),
        ["stubborn"] => {
            serve::ignore_term();
            println!("ignoring SIGTERM");
            forever();
        }
        ["partial"] => {
            print!("no line feed");
            let _ = std::io::stdout().flush();
        }
        ["flood", bytes] => flood(number(bytes)),
        ["orphans"] => attack::orphans(),
        ["eat", bytes] => attack::eat(number(bytes)),
        ["eat-child", bytes] => attack::eat_child(bytes),
        ["fill", path, bytes] => attack::fill(path, number(bytes)),
        ["fork-bomb"] => attack::fork_bomb(),
        ["threads", many] => attack::threads(number(many)),
        ["spin", millis] => spin(number(millis)),
        ["bomb", what @ ..] => return bomb::go_off(what),
        ["shared", what, key] => return escape::shared(what, number(key) as i32),
        ["escape", only @ ..] => return escape::run(only),
        ["talk", host, port, text] => attack::tell_text("talk", talk::talk(host, port, text)),
        ["bulk", host, port, bytes] => attack::tell_text("bulk", talk::bulk(host, port, number(bytes))),
        ["many", host, port, count] => attack::tell_text("many", talk::many(host, port, number(count))),
        ["slow", host, port, bytes] => attack::tell_text("slow", talk::slow(host, port, number(bytes))),
        ["ping", host, port, count] => talk::tell(talk::ping(host, port, number(count))),
        ["meet", host, port, count] => talk::tell(talk::meet(host, port, number(count))),
        ["flow", host, port, mib] => talk::tell(talk::flow(host, port, number(mib))),
        ["attack", what @ ..] => return attack::attack(what),
        other => {
            eprintln!("unknown words {other:?}");
            return ExitCode::from(98);
        }
    }
    ExitCode::SUCCESS
}

fn number(word: &str) -> u64 {
    word.parse().unwrap_or(0)
}

fn forever() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

/// Numbers, one a line.
fn count(many: u64, every_ms: u64) {
    for n in 0..many {
        println!("{n}");
        std::thread::sleep(Duration::from_millis(every_ms));
    }
}

/// Lines as fast as possible.
fn flood(bytes: u64) {
    let line = format!("{}\n", "flood ".repeat(20));
    let mut out = std::io::stdout().lock();
    let mut left = bytes;
    while left > 0 && out.write_all(line.as_bytes()).is_ok() {
        left = left.saturating_sub(line.len() as u64);
    }
    let _ = writeln!(out, "the last line");
}

fn spin(millis: u64) {
    let until = std::time::Instant::now() + Duration::from_millis(millis);
    let mut n = 0u64;
    while std::time::Instant::now() < until {
        n = std::hint::black_box(n.wrapping_add(1));
    }
    println!("spun");
}
