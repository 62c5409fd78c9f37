//! The platform's own log: to standard error, readable in a terminal, JSON lines elsewhere.

use std::io::{IsTerminal as _, Write};

use tracing_subscriber::EnvFilter;

/// Says something on standard error, which may be a file on a disk without room: then it is not said.
/// `eprintln` would end the thread instead.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($text)*);
    }};
}
pub(crate) use say;

/// Standard error that never fails.
struct Quiet;

impl Write for Quiet {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let _ = std::io::stderr().write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Starts logging. `ORLOP_LOG` chooses what (`debug`, `deliver=trace`); default: warnings.
pub(crate) fn start() {
    let filter = EnvFilter::try_from_env("ORLOP_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| Quiet);
    // A second start in one process changes nothing.
    let _ = match std::io::stderr().is_terminal() {
        true => builder.compact().try_init(),
        false => builder.json().try_init(),
    };
}
