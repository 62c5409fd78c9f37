//! Processor time and memory of processes, as Linux counts them.

use std::fs;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Keeps this thread, and every program it starts from now on, on these processors.
///
/// # Errors
/// Where the operating system refuses.
pub fn pin(cores: &[usize]) -> std::io::Result<()> {
    let mut set = CpuSet::new();
    cores.iter().for_each(|core| set.set(*core));
    Ok(sched_setaffinity(None, &set)?)
}

/// The processors that this thread may use.
///
/// # Errors
/// Where the operating system refuses.
pub fn allowed() -> std::io::Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect())
}

/// Time that a process and its children, which still live, have had on processors, microseconds.
pub fn used_us(pid: u32) -> f64 {
    family(pid).into_iter().map(own_us).sum()
}

/// A process and its children, and theirs.
pub fn family(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    let mut next = 0;
    while let Some(pid) = all.get(next).copied() {
        next += 1;
        for task in tasks(pid) {
            let children = fs::read_to_string(format!("/proc/{pid}/task/{task}/children")).unwrap_or_default();
            all.extend(children.split_whitespace().filter_map(|word| word.parse::<u32>().ok()));
        }
    }
    all
}

fn tasks(pid: u32) -> Vec<u32> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn own_us(pid: u32) -> f64 {
    let of = |task: u32| {
        let text = fs::read_to_string(format!("/proc/{pid}/task/{task}/schedstat")).unwrap_or_default();
        text.split_whitespace().next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(0.0)
    };
    tasks(pid).into_iter().map(of).sum::<f64>() / 1000.0
}

/// Time that all processors of the machine were not idle since it started, microseconds.
pub fn machine_us() -> f64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let first = text.lines().next().unwrap_or_default();
    let ticks: Vec<f64> = first.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal; a tick is a hundredth of a second (USER_HZ).
    let busy = ticks.iter().take(8).enumerate().filter(|(at, _)| !matches!(at, 3 | 4)).map(|(_, ticks)| ticks);
    busy.sum::<f64>() * 10_000.0
}

/// Memory of one process, KiB.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    /// All that is resident, shared or not.
    pub resident_kib: f64,
    /// With its share of what it shares (proportional set size).
    pub proportional_kib: f64,
    /// What no other process has.
    pub private_kib: f64,
}

impl Memory {
    /// For people.
    pub fn told(&self) -> String {
        let mb = |kib: f64| kib * 1024.0 / 1e6;
        format!(
            "{:.1} MB ({:.1} MB private, {:.1} MB resident with all that is shared)",
            mb(self.proportional_kib),
            mb(self.private_kib),
            mb(self.resident_kib)
        )
    }

    /// For programs.
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({ "residentKib": self.resident_kib, "proportionalKib": self.proportional_kib,
            "privateKib": self.private_kib })
    }
}

/// What `smaps_rollup` says of a process.
pub fn memory(pid: u32) -> Memory {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let of = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0)
    };
    Memory {
        resident_kib: of("Rss"),
        proportional_kib: of("Pss"),
        private_kib: of("Private_Clean") + of("Private_Dirty"),
    }
}

/// Proportional memory of a process and its children, KiB.
pub fn family_kib(pid: u32) -> f64 {
    family(pid).into_iter().map(|pid| memory(pid).proportional_kib).sum()
}

/// How many processors others kept busy while something was measured.
#[derive(Debug)]
pub struct Others {
    begun: std::time::Instant,
    machine: f64,
}

impl Others {
    /// From now on.
    pub fn begin() -> Self {
        Self { begun: std::time::Instant::now(), machine: machine_us() }
    }

    /// Processors that were busy with something other than the `own_us` microseconds of what was measured.
    pub fn end(&self, own_us: f64) -> f64 {
        let span = self.begun.elapsed().as_micros() as f64;
        ((machine_us() - self.machine - own_us) / span).max(0.0)
    }
}

/// How many files and connections this process and its children may have open is raised to what is allowed.
///
/// # Errors
/// Where fewer than `wanted` can be had, with what can.
pub fn raise_open_files(wanted: u64) -> Result<(), String> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    let hard = limit.maximum.unwrap_or(u64::MAX);
    if hard < wanted {
        limit.maximum = Some(wanted);
    }
    limit.current = Some(wanted.max(limit.current.unwrap_or(0)));
    setrlimit(Resource::Nofile, limit)
        .map_err(|why| format!("{wanted} open files are needed, {hard} are allowed ({why}): raise `ulimit -n`"))
}

/// Processes whose command line, its words parted by NUL, is one that is looked for.
pub fn processes(is_wanted: impl Fn(&str) -> bool) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let line = |pid: &u32| fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    pids.filter(|pid| is_wanted(&String::from_utf8_lossy(&line(pid)))).collect()
}
