//! The one place of the benchmarks that starts programs.
#![expect(clippy::disallowed_methods, reason = "starts what is measured: every start goes through this module")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::cpu;

/// A program that runs until it is dropped.
#[derive(Debug)]
pub struct Program {
    child: Child,
    lines: BufReader<ChildStdout>,
    name: String,
}

impl Program {
    /// Starts a program on these processors; what it says on its error stream goes to a file or is shown.
    ///
    /// # Errors
    /// Which program could not be started, and why.
    pub fn start(argv: &[String], cores: &[usize], log: Option<&Path>) -> Result<Self, String> {
        let (program, args) = argv.split_first().ok_or("no program was named")?;
        let failed = |why: std::io::Error| format!("`{program}` could not be started: {why}");
        let errors = match log {
            Some(path) => Stdio::from(std::fs::File::create(path).map_err(failed)?),
            None => Stdio::inherit(),
        };
        let before = cpu::allowed().map_err(failed)?;
        cpu::pin(cores).map_err(failed)?;
        let started =
            Command::new(program).args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors).spawn();
        cpu::pin(&before).map_err(failed)?;
        let mut child = started.map_err(failed)?;
        let out = child.stdout.take().ok_or("a program without output")?;
        Ok(Self { child, lines: BufReader::new(out), name: program.clone() })
    }

    /// This very program in another role.
    ///
    /// # Errors
    /// As [`Program::start`].
    pub fn role(args: &[&str], cores: &[usize]) -> Result<Self, String> {
        let own = std::env::current_exe().map_err(|why| why.to_string())?.display().to_string();
        let argv: Vec<String> = std::iter::once(own).chain(args.iter().map(|arg| (*arg).to_owned())).collect();
        Self::start(&argv, cores, None)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line that it writes.
    ///
    /// # Errors
    /// Where it ended instead.
    pub fn line(&mut self) -> Result<String, String> {
        let mut line = String::new();
        match self.lines.read_line(&mut line) {
            Ok(read) if read > 0 => Ok(line.trim_end().to_owned()),
            _ => Err(format!("`{}` ended before it said what was waited for", self.name)),
        }
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // nginx's master takes its workers along only if it is asked.
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        for _ in 0..60 {
            if !self.runs() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a program to its end; what it wrote to both streams, and whether it ended well.
pub fn said(argv: &[&str]) -> Option<(bool, String)> {
    let (program, args) = argv.split_first()?;
    let output = Command::new(program).args(args).stdin(Stdio::null()).output().ok()?;
    let both = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&both).into_owned()))
}

/// Where a program is found: on the path, or where Debian keeps what only root needs.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':').chain(["/usr/sbin", "/usr/local/sbin"]).map(|dir| Path::new(dir).join(name)).find(|p| p.is_file())
}

/// A program that is killed when this is dropped.
#[derive(Debug)]
pub struct Bare(Child);

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a program in a folder, with these variables besides.
///
/// # Errors
/// Why it could not be started.
pub fn start_in(folder: &Path, argv: &[&str], env: &[(&str, &dyn std::fmt::Display)]) -> Result<Bare, String> {
    let (program, args) = argv.split_first().ok_or("no program was named")?;
    let env = env.iter().map(|(name, value)| (name, value.to_string()));
    let mut command = Command::new(program);
    command.args(args).current_dir(folder).envs(env).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().map(Bare).map_err(|why| format!("`{program}` could not be started: {why}"))
}

/// Whether a request is answered there now.
pub fn answers(address: std::net::SocketAddr) -> bool {
    use std::io::{Read as _, Write as _};
    let Ok(mut stream) = std::net::TcpStream::connect(address) else { return false };
    let mut start = [0; 12];
    stream.write_all(b"GET / HTTP/1.1\r\nHost: bare\r\n\r\n").is_ok()
        && stream.read_exact(&mut start).is_ok()
        && start.starts_with(b"HTTP/1.1 200")
}
