use std::cell::RefCell;
use std::io::Write as _;
use std::time::Duration;

use base::Time;
use http::Version;

use super::Exchange;
use crate::core::now;
use crate::log::{json_number, json_string};

/// Longest path or host in a log line, bytes.
const TEXT_BYTES_MAX: usize = 2048;

/// One line of the access log. Query strings are left out: they carry tokens and names.
pub(super) fn write(out: &mut Vec<u8>, exchange: &Exchange) {
    out.extend_from_slice(b"{\"time\":\"");
    write_time(out, now());
    out.extend_from_slice(b"\",\"id\":\"");
    out.extend_from_slice(exchange.id.as_bytes());
    out.extend_from_slice(b"\",\"client\":\"");
    out.extend_from_slice(exchange.client.address.as_bytes());
    if let Some(caller) = &exchange.client.caller {
        out.extend_from_slice(b"\",\"caller\":\"");
        out.extend_from_slice(caller.place.as_bytes());
        let _ = write!(out, "\",\"callerInstance\":\"{}", caller.told.instance);
    }
    out.extend_from_slice(b"\",\"protocol\":\"");
    out.extend_from_slice(match exchange.version {
        Version::HTTP_2 => b"HTTP/2",
        Version::HTTP_10 => b"HTTP/1.0",
        _ => b"HTTP/1.1",
    });
    out.extend_from_slice(b"\",\"method\":");
    json_string(out, exchange.method.as_str().as_bytes());
    if let Some(host) = &exchange.host {
        out.extend_from_slice(b",\"host\":");
        json_string(out, cut(host.as_bytes()));
    }
    out.extend_from_slice(b",\"path\":");
    json_string(out, cut(exchange.uri.path().as_bytes()));
    let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    for (name, number) in [
        (&b",\"status\":"[..], u64::from(exchange.status)),
        (b",\"bytesIn\":", exchange.bytes_in()),
        (b",\"bytesOut\":", exchange.bytes_out),
        (b",\"headUs\":", micros(exchange.head)),
        (b",\"tookUs\":", micros(exchange.started.elapsed())),
    ] {
        out.extend_from_slice(name);
        json_number(out, number);
    }
    if let Some(route) = &exchange.route {
        out.extend_from_slice(&route.log_part);
    }
    if let Some(backend) = &exchange.backend {
        out.extend_from_slice(&backend.log_part);
    }
    if let Some(instance) = &exchange.instance {
        out.extend_from_slice(&instance.log_part);
    }
    if exchange.attempts > 1 {
        let _ = write!(out, ",\"attempts\":{}", exchange.attempts);
    }
    if let Some(code) = exchange.code {
        let _ = write!(out, ",\"code\":\"{code}\"");
    }
    if exchange.is_probe {
        out.extend_from_slice(b",\"probe\":true");
    }
    out.extend_from_slice(b",\"trace\":\"");
    out.extend_from_slice(exchange.traceparent.as_bytes().get(3..35).unwrap_or(b""));
    out.extend_from_slice(b"\"}");
}

fn cut(text: &[u8]) -> &[u8] {
    text.get(..TEXT_BYTES_MAX).unwrap_or(text)
}

/// RFC 3339; the part down to the second is formatted once a second.
fn write_time(out: &mut Vec<u8>, time: Time) {
    thread_local! {
        static SECOND: RefCell<(i64, String)> = const { RefCell::new((i64::MIN, String::new())) };
    }
    let micros = time.micros();
    let second = micros.div_euclid(1_000_000);
    SECOND.with_borrow_mut(|(known, text)| {
        if *known != second {
            *known = second;
            let whole = Time::from_micros(second.saturating_mul(1_000_000)).to_string();
            *text = whole.split('.').next().unwrap_or("").to_owned();
        }
        out.extend_from_slice(text.as_bytes());
    });
    let _ = write!(out, ".{:06}Z", micros.rem_euclid(1_000_000));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_base() {
        for micros in [0, 1_790_000_000_123_456, 1_790_000_000_999_999, 1_790_000_001_000_000, -1] {
            let mut out = Vec::new();
            write_time(&mut out, Time::from_micros(micros));
            assert_eq!(String::from_utf8(out).unwrap(), Time::from_micros(micros).to_string());
        }
    }
}
