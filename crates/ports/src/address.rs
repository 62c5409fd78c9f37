use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use base::{EnvironmentName, HostName, InstanceId, Problem, Result, ServiceName};
use serde::{Deserialize, Serialize};

/// What stands before the path of a socket in the text form of an [`Address`].
const SOCKET_PREFIX: &str = "unix:";

/// Where the port of an instance is reached.
///
/// As text, and so in JSON: `127.0.0.1:20000`, or `unix:/folder/connect.sock`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Address {
    /// At an address of the host.
    Tcp(SocketAddr),
    /// In a network of the instance's own, which no address of the host leads to. Whoever of the
    /// platform's own user connects to this Unix stream socket (absolute path) gets one byte and
    /// with it, as ancillary data (`SCM_RIGHTS`, unix(7)), the descriptor of a TCP socket that is
    /// connected to the port or is about to be: it becomes writable, or has an error (connect(2),
    /// EINPROGRESS). Then the other end closes; it closes without the byte where there is none to give.
    Socket(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Socket(path) => write!(f, "{SOCKET_PREFIX}{}", path.display()),
        }
    }
}

impl FromStr for Address {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self> {
        match text.strip_prefix(SOCKET_PREFIX) {
            Some(path) if path.starts_with('/') => Ok(Self::Socket(PathBuf::from(path))),
            Some(path) => Err(bad(format!("`{path}` is not an absolute path"))),
            None => text.parse().map(Self::Tcp).map_err(|e| bad(format!("`{text}` is not an address: {e}"))),
        }
    }
}

fn bad(what: String) -> Problem {
    Problem::unprocessable("bad-address", what).hint("write `127.0.0.1:20000`, or `unix:` and an absolute path")
}

impl TryFrom<String> for Address {
    type Error = Problem;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}

/// Who calls, and what for: what an engine tells the gateway with each connection that an instance
/// makes to a service that it needs.
///
/// On the gateway's socket for callers (a Unix stream socket, for the platform's own user only) one
/// connection carries this value as JSON, at most [`Caller::BYTES_MAX`], with the descriptor of the
/// instance's connection beside its first byte (`SCM_RIGHTS`), and ends. The gateway serves the
/// connection as one of its own, knows who calls, and answers for these hosts and no others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Caller {
    /// The service that calls.
    pub service: ServiceName,
    /// In which environment.
    pub environment: EnvironmentName,
    /// Which instance of it.
    pub instance: InstanceId,
    /// The hosts that it may ask for.
    pub hosts: Vec<HostName>,
}

impl Caller {
    /// Most bytes of the JSON form.
    pub const BYTES_MAX: usize = 64 << 10;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_text_and_back() {
        for text in ["127.0.0.1:20000", "[::1]:80", "unix:/var/lib/orlop/engine/instances/x/connect.sock"] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
            assert_eq!(matches!(address, Address::Socket(_)), text.starts_with("unix:"));
        }
        for bad in ["", "127.0.0.1", "unix:", "unix:connect.sock", "/connect.sock", "localhost:80"] {
            assert_eq!(bad.parse::<Address>().unwrap_err().code, "bad-address", "{bad}");
        }
    }
}
