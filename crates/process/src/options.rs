use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ports::{Clock, Objects};

/// How a [`crate::ProcessEngine`] is made.
#[derive(Clone)]
pub struct Options {
    /// The directory of the engine's files. One engine at a time works on it.
    pub data: PathBuf,
    /// Where artifacts (`oci/blobs/sha256/<hex>`) and sources come from.
    pub objects: Arc<dyn Objects>,
    /// Time for records and waits.
    pub clock: Arc<dyn Clock>,
    /// The platform's own binary: run again for keepers and lent to instances with
    /// [`ports::Mount::Platform`].
    pub binary: PathBuf,
    /// Words before those of the engine, such as `["shim"]`: the binary must pass everything after
    /// them to [`crate::shim_main`].
    pub shim_args: Vec<String>,
    /// Users of the host that belong to instances, one each, where the platform runs as root. The
    /// first is shared by all that use caches. Must hold nobody else.
    pub uids: RangeInclusive<u32>,
    /// Loopback ports that are given to instances; outside the kernel's range for outgoing connections.
    pub ports: RangeInclusive<u16>,
    /// The gateway's socket for callers ([`ports::Caller`]); without it an instance that needs other
    /// services of the installation is refused, where it would have a network of its own.
    pub gateway: Option<PathBuf>,
    /// Whether instances get a network of their own where this host can give it to them. Without
    /// it they share the host's, as on a host that cannot; [`ports::Engine::features`] says so.
    pub own_network: bool,
    /// How long a keeper may take to start an instance.
    pub start_timeout: Duration,
    /// Unpacked artifacts that no instance uses and that are kept for quick starts.
    pub images_kept: usize,
    /// Walls that are left out of every sandbox although the engine claims them, by the names of
    /// [`ports::Engine::features`]: a planted hole that the tests must find. Never part of the product.
    #[cfg(feature = "testbed")]
    pub left_out: Vec<String>,
}

impl Options {
    /// The usual values for everything that has one.
    pub fn new(data: PathBuf, objects: Arc<dyn Objects>, clock: Arc<dyn Clock>, binary: PathBuf) -> Self {
        Self {
            data,
            objects,
            clock,
            binary,
            shim_args: vec!["shim".to_owned()],
            uids: 2_000_000_000..=2_000_065_535,
            ports: 20_000..=29_999,
            gateway: None,
            own_network: true,
            start_timeout: Duration::from_secs(30),
            images_kept: 20,
            #[cfg(feature = "testbed")]
            left_out: Vec::new(),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("data", &self.data).field("binary", &self.binary).finish_non_exhaustive()
    }
}
