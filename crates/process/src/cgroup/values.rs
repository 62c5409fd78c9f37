//! Which files of a group say what, without touching any.

use super::{Controller, Version};
use crate::launch::Limits;

/// One line to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) file: &'static str,
    pub(super) value: String,
    /// Whether the instance must not start when this fails.
    pub(super) required: bool,
}

/// Period of processor limits, microseconds: the kernel's own default.
const PERIOD_US: u64 = 100_000;
/// The smallest quota the kernel takes, microseconds.
const QUOTA_US_MIN: u64 = 1_000;
/// Where the instance's own init is counted too.
const INIT_TASKS: u64 = 1;

/// The lines that put these limits into a group with this controller
/// (kernel documentation, admin-guide/cgroup-v1 and admin-guide/cgroup-v2).
pub(super) fn settings(version: Version, controller: Controller, limits: &Limits) -> Vec<Setting> {
    let must = |file, value: String| Setting { file, value, required: true };
    let may = |file, value: String| Setting { file, value, required: false };
    let quota = (u64::from(limits.cpu.0) * PERIOD_US / 1000).max(QUOTA_US_MIN);
    let memory = limits.memory.0.to_string();
    let tasks = (u64::from(limits.tasks_max) + INIT_TASKS).to_string();
    let weight = u64::from(limits.cpu_weight.clamp(1, 10_000));
    match (version, controller) {
        (Version::V1, Controller::Memory) => vec![
            must("memory.limit_in_bytes", memory.clone()),
            // Exists only where the kernel accounts swap.
            may("memory.memsw.limit_in_bytes", memory),
        ],
        (Version::V1, Controller::Cpu) => vec![
            must("cpu.cfs_period_us", PERIOD_US.to_string()),
            must("cpu.cfs_quota_us", quota.to_string()),
            // 100 is the normal weight of version 2, 1024 the normal share of version 1.
            must("cpu.shares", (weight * 1024 / 100).clamp(2, 262_144).to_string()),
        ],
        (_, Controller::Cpuacct) => vec![],
        (_, Controller::Pids) => vec![must("pids.max", tasks)],
        (Version::V2, Controller::Memory) => {
            vec![must("memory.max", memory), may("memory.swap.max", "0".into()), may("memory.oom.group", "1".into())]
        }
        (Version::V2, Controller::Cpu) => {
            vec![must("cpu.max", format!("{quota} {PERIOD_US}")), must("cpu.weight", weight.to_string())]
        }
    }
}

/// The number after a word at the start of a line: `oom_kill 3`.
pub(super) fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::{Bytes, MilliCpu};

    fn check(version: Version, controller: Controller, expect: &[(&str, &str)]) {
        let limits =
            Limits { cpu: MilliCpu(250), cpu_weight: 50, memory: Bytes(1 << 28), tasks_max: 64, disk_max: Bytes(0) };
        let got = settings(version, controller, &limits);
        let got: Vec<(&str, &str)> = got.iter().map(|s| (s.file, s.value.as_str())).collect();
        assert_eq!(got, expect, "{version:?} {controller:?}");
    }

    #[test]
    fn limits_in_the_words_of_both_versions() {
        check(
            Version::V1,
            Controller::Memory,
            &[("memory.limit_in_bytes", "268435456"), ("memory.memsw.limit_in_bytes", "268435456")],
        );
        check(
            Version::V1,
            Controller::Cpu,
            &[("cpu.cfs_period_us", "100000"), ("cpu.cfs_quota_us", "25000"), ("cpu.shares", "512")],
        );
        check(Version::V1, Controller::Pids, &[("pids.max", "65")]);
        check(
            Version::V2,
            Controller::Memory,
            &[("memory.max", "268435456"), ("memory.swap.max", "0"), ("memory.oom.group", "1")],
        );
        check(Version::V2, Controller::Cpu, &[("cpu.max", "25000 100000"), ("cpu.weight", "50")]);
        check(Version::V2, Controller::Pids, &[("pids.max", "65")]);
    }

    #[test]
    fn fields_are_whole_words() {
        assert_eq!(field("oom 1\noom_kill 3\n", "oom_kill"), Some(3));
        assert_eq!(field("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n", "oom_kill"), Some(2));
        assert_eq!(field("low 0\n", "oom_kill"), None);
    }
}
