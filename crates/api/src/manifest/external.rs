use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use base::{HostName, Problem, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::suggest::shown;

/// Ports of schemes (IANA service names and port numbers, and the drivers' own documents).
const PORTS: [(&str, u16); 21] = [
    ("http", 80),
    ("https", 443),
    ("ws", 80),
    ("wss", 443),
    ("postgres", 5432),
    ("postgresql", 5432),
    ("mysql", 3306),
    ("mariadb", 3306),
    ("redis", 6379),
    ("rediss", 6379),
    ("valkey", 6379),
    ("amqp", 5672),
    ("amqps", 5671),
    ("nats", 4222),
    ("mongodb", 27017),
    ("kafka", 9092),
    ("smtp", 25),
    ("smtps", 465),
    ("ldap", 389),
    ("ldaps", 636),
    ("mqtt", 1883),
];

/// The URL of something outside the installation (RFC 3986 §3: scheme, authority without user
/// information, and what follows). Its port is known: written, or the scheme's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalUrl {
    text: String,
    host: String,
    port: u16,
}

impl ExternalUrl {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The host name or address to connect to; an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port to connect to.
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for ExternalUrl {
    type Err = Problem;
    fn from_str(text: &str) -> Result<Self> {
        // Everything an error shows is from before the authority: there may be a password in it.
        let (scheme, rest) = text.split_once("://").filter(|(scheme, _)| is_scheme(scheme)).ok_or_else(|| {
            bad("there is no `scheme://` at its begin").hint("write the whole URL: `https://api.example.com`")
        })?;
        if text.len() > 2048 || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(bad("it has spaces or characters outside ASCII, or is longer than 2048 bytes")
                .hint("percent-encode what is not plain ASCII; host names with other letters are written as `xn--…`"));
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err(bad("there is a user name or password in it, and a service file is no place for secrets")
                .hint(
                    "remove what stands before `@`, and keep it as a secret: `orlop setting set --secret PASSWORD`",
                ));
        }
        let (host, port) = split_port(authority)?;
        let port = match port {
            Some(digits) => digits.parse().ok().filter(|port| *port > 0).ok_or_else(|| {
                bad(format!("`{}` is not a port", shown(digits))).hint("a port is a number from 1 to 65535")
            })?,
            None => PORTS.iter().find(|(known, _)| *known == scheme).map(|(_, port)| *port).ok_or_else(|| {
                bad(format!("the port of `{scheme}` is not known"))
                    .hint(format!("write it: `{scheme}://{}:PORT`", shown(authority)))
            })?,
        };
        Ok(Self { text: text.to_owned(), host: host_of(host)?, port })
    }
}

fn is_scheme(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+.-".contains(&b))
}

fn split_port(authority: &str) -> Result<(&str, Option<&str>)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest
            .split_once(']')
            .ok_or_else(|| bad("the bracket of its address is not closed").hint("write `[::1]:8080`"))?;
        if host.parse::<Ipv6Addr>().is_err() {
            return Err(
                bad(format!("`[{}]` is not an address", shown(host))).hint("brackets are for IPv6 addresses: `[::1]`")
            );
        }
        return match after.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if after.is_empty() => Ok((host, None)),
            None => Err(bad("something other than a port follows its address").hint("write `[::1]:8080`")),
        };
    }
    Ok(authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))))
}

fn host_of(text: &str) -> Result<String> {
    let address = match text.contains(':') {
        true => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        false => text.parse::<IpAddr>().ok(),
    };
    match (address, text.to_ascii_lowercase().parse::<HostName>()) {
        (Some(address), _) => Ok(address.to_string()),
        (None, Ok(host)) => Ok(host.to_string()),
        (None, Err(_)) if text.is_empty() => Err(bad("it has no host").hint("write it: `https://api.example.com`")),
        (None, Err(_)) => {
            Err(bad(format!("`{}` is neither a host name nor an address", shown(text))).hint(HostName::RULE))
        }
    }
}

fn bad(what: impl fmt::Display) -> Problem {
    Problem::unprocessable("bad-value", format!("the URL cannot be used: {what}"))
}

impl fmt::Display for ExternalUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for ExternalUrl {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for ExternalUrl {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, host: &str, port: u16) {
        let url: ExternalUrl = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!((url.host(), url.port(), url.as_str()), (host, port, text));
    }

    fn refused(text: &str, says: &str) {
        let problem = text.parse::<ExternalUrl>().unwrap_err();
        assert!(problem.to_string().contains(says), "{text}: {problem}");
        assert!(problem.to_string().len() < 500, "{problem}");
    }

    #[test]
    fn host_and_port_are_known() {
        check("https://api.stripe.com", "api.stripe.com", 443);
        check("https://API.Stripe.com/v1?x=a@b", "api.stripe.com", 443);
        check("http://10.0.0.1:8080/", "10.0.0.1", 8080);
        check("redis://[::1]", "::1", 6379);
        check("redis://[fe80::1]:7000/0", "fe80::1", 7000);
        check("postgres://db:5433/shop", "db", 5433);
        check("tcp://db:1", "db", 1);
    }

    #[test]
    fn the_rest_is_refused() {
        refused("api.stripe.com", "scheme://");
        refused("://x", "scheme://");
        refused("HTTP://x", "scheme://");
        refused("http://", "no host");
        refused("http:///x", "no host");
        refused("tcp://db", "tcp://db:PORT");
        refused("http://a b", "spaces");
        refused("http://bücher.example", "xn--");
        refused("http://a:0", "not a port");
        refused("http://a:65536", "not a port");
        refused("http://a:", "not a port");
        refused("http://[::1", "not closed");
        refused("http://[::1]x", "address");
        refused("http://[a]", "not an address");
        refused("http://a_b", "neither");
        refused("http://999.1.1.1", "neither");
        refused(&format!("http://{}", "a.".repeat(5000)), "2048");
    }

    #[test]
    fn a_password_is_refused_and_not_shown() {
        let problem = "postgres://ada:hunter2@db/shop".parse::<ExternalUrl>().unwrap_err();
        assert!(problem.to_string().contains("no place for secrets"), "{problem}");
        assert!(!problem.to_string().contains("hunter2"), "{problem}");
    }
}
