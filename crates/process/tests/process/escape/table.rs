//! What is tried, what it would break, and which walls stand before it. The walls are named as the
//! engine's features; each of them alone holds the attempt. An attempt without walls stands on what
//! no instance starts without: user, mount and process namespaces, and the loss of all rights.

use self::Place::{Build, Instance, Named};

/// Where an attempt is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// An instance that may connect to one address.
    Instance,
    /// An instance that may connect to one host by its name.
    Named,
    /// A build.
    Build,
}

impl Place {
    pub(super) const ALL: [Self; 3] = [Instance, Named, Build];

    pub(super) fn word(self) -> &'static str {
        match self {
            Instance => "instance",
            Named => "instance with names",
            Build => "build",
        }
    }
}

/// One attempt.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) breaks: &'static str,
    pub(super) from: &'static [Place],
    walls: &'static [&'static str],
    /// What holds a build where that is not what holds an instance.
    build: Option<&'static [&'static str]>,
    /// What holds an instance that may look names up.
    names: &'static [&'static str],
    /// Whether hosts without the thing are common: a device, a file.
    pub(super) may_lack: bool,
    /// The capability (capabilities(7)) that it takes where there is no sandbox; root of a container may lack it.
    pub(super) capability: Option<u32>,
    /// Whether only a sandbox without that wall can show it: without any sandbox there is nothing to see.
    pub(super) only_left_out: bool,
}

impl Row {
    pub(super) fn walls(&self, from: Place) -> &'static [&'static str] {
        match (from, self.build) {
            (Build, Some(walls)) => walls,
            (Named, _) => self.names,
            _ => self.walls,
        }
    }

    const fn lack(mut self) -> Self {
        self.may_lack = true;
        self
    }

    const fn capability(mut self, number: u32) -> Self {
        self.capability = Some(number);
        self
    }

    const fn left_out(mut self) -> Self {
        self.only_left_out = true;
        self
    }

    const fn build(mut self, walls: &'static [&'static str]) -> Self {
        self.build = Some(walls);
        self
    }

    /// Builds are on the host's network.
    const fn net(self) -> Self {
        self.build(&["build-network"])
    }

    const fn named(mut self, walls: &'static [&'static str]) -> Self {
        self.from = &[Instance, Named, Build];
        self.names = walls;
        self
    }
}

const fn row(name: &'static str, breaks: &'static str, walls: &'static [&'static str]) -> Row {
    Row {
        name,
        breaks,
        from: &[Instance, Build],
        walls,
        build: None,
        names: &[],
        may_lack: false,
        capability: None,
        only_left_out: false,
    }
}

const SYS_RESOURCE: u32 = 24;
const FILES: &str = "files of the host";
const PLATFORM: &str = "the platform's own files and sockets";
const OTHERS: &str = "another instance";
const DEVICES: &str = "disks and memory of the machine";
const MOUNTS: &str = "the file system inside, and through it the host's";
const KERNEL: &str = "the kernel";
const MACHINE: &str = "the machine";
const RIGHTS: &str = "rights that it was not given";
const REACH: &str = "ports and hosts that were not declared";
const SECCOMP: &[&str] = &["seccomp"];
const PROC: &[&str] = &["private-proc"];
const UDP: &[&str] = &["seccomp", "network-namespace"];
const NET: &[&str] = &["network-namespace"];

/// Every attempt, in the order of the guest.
pub(super) const ROWS: &[Row] = &[
    row("host-file-read", FILES, &[]),
    row("host-file-write", FILES, &[]),
    row("host-file-by-dots", FILES, &[]),
    row("host-file-by-root-of-init", FILES, &[]),
    row("host-file-by-own-root", FILES, &[]),
    row("host-file-by-symlink", FILES, &[]),
    row("host-file-by-hard-link", FILES, &[]),
    row("host-file-by-handle", FILES, SECCOMP),
    row("open-by-handle", FILES, &[]),
    row("host-file-by-chroot", FILES, &[]),
    row("passwords", FILES, &[]),
    row("home-of-root", FILES, &[]),
    row("host-logs", FILES, &[]),
    row("host-settings", FILES, &[]).lack(),
    row("kernel-settings", FILES, &[]),
    row("engine-folder", PLATFORM, &[]),
    row("database", PLATFORM, &[]),
    row("engine-socket", PLATFORM, &[]),
    row("keeper-socket", PLATFORM, &[]),
    row("host-socket", FILES, &[]),
    row("neighbour-state", OTHERS, &[]),
    row("neighbour-files", OTHERS, &[]),
    row("host-shared-memory-file", FILES, &[]),
    row("inherited-descriptors", PLATFORM, &[]),
    row("write-root", MOUNTS, &[]),
    row("write-programs", MOUNTS, &[]),
    row("write-settings", MOUNTS, &[]),
    row("write-run", MOUNTS, &[]),
    row("write-artifact", MOUNTS, &[]),
    row("device-of-a-disk", DEVICES, &[]),
    row("device-of-memory", DEVICES, &[]),
    row("dev-mem", DEVICES, &[]).lack(),
    row("dev-kmsg", DEVICES, &[]).lack(),
    row("dev-disk", DEVICES, &[]).lack(),
    row("dev-fuse", DEVICES, &[]).lack(),
    row("dev-console", DEVICES, &[]).lack(),
    row("remount-writable", MOUNTS, &[]),
    row("mount", MOUNTS, &[]),
    row("unmount", MOUNTS, &[]),
    row("control-group", MACHINE, &[]),
    row("set-user-id-program", RIGHTS, &[]),
    row("unshare-user", RIGHTS, SECCOMP),
    row("unshare-mounts", MOUNTS, &[]),
    row("unshare-network", REACH, &[]),
    row("clone-user", RIGHTS, SECCOMP),
    row("clone-network", REACH, SECCOMP),
    row("clone3-user", RIGHTS, SECCOMP),
    row("join-namespace", RIGHTS, &[]),
    row("pivot-root", MOUNTS, &[]),
    row("chroot", MOUNTS, &[]),
    row("open-tree", MOUNTS, &[]),
    row("open-tree-attr", MOUNTS, SECCOMP),
    row("move-mount", MOUNTS, SECCOMP),
    row("fsopen", MOUNTS, &[]),
    row("fspick", MOUNTS, SECCOMP),
    row("fsmount", MOUNTS, SECCOMP),
    row("mount-attributes", MOUNTS, SECCOMP),
    row("quota", FILES, SECCOMP),
    row("watch-all-files", FILES, SECCOMP),
    row("trace-another", OTHERS, SECCOMP),
    row("trace-me", KERNEL, SECCOMP),
    row("read-memory-of-another", OTHERS, SECCOMP),
    row("write-memory-of-another", OTHERS, SECCOMP),
    row("steal-descriptor", OTHERS, &[]),
    row("advise-another", OTHERS, SECCOMP),
    row("compare-processes", OTHERS, SECCOMP),
    row("performance-events", KERNEL, SECCOMP),
    row("migrate-pages", OTHERS, SECCOMP),
    row("move-pages", OTHERS, SECCOMP),
    row("bpf", KERNEL, SECCOMP),
    row("userfaultfd", KERNEL, SECCOMP),
    row("io-uring", KERNEL, SECCOMP),
    row("keyring", KERNEL, SECCOMP),
    row("add-key", KERNEL, SECCOMP),
    row("request-key", KERNEL, SECCOMP),
    row("splice-memory", KERNEL, SECCOMP),
    row("load-kernel", MACHINE, SECCOMP),
    row("load-kernel-file", MACHINE, SECCOMP),
    row("load-module", MACHINE, SECCOMP),
    row("load-module-file", MACHINE, SECCOMP),
    row("unload-module", MACHINE, SECCOMP),
    row("reboot", MACHINE, SECCOMP),
    row("swap-on", MACHINE, SECCOMP),
    row("swap-off", MACHINE, SECCOMP),
    row("accounting", MACHINE, SECCOMP),
    row("kernel-log", MACHINE, SECCOMP),
    row("set-time", MACHINE, SECCOMP),
    row("set-clock", MACHINE, SECCOMP),
    row("tune-clock", MACHINE, SECCOMP),
    row("set-host-name", MACHINE, &[]),
    row("set-domain-name", MACHINE, &[]),
    row("type-into-terminal", MACHINE, SECCOMP),
    row("terminal-selection", MACHINE, SECCOMP),
    #[cfg(target_arch = "x86_64")]
    row("io-ports", MACHINE, &[]),
    #[cfg(target_arch = "x86_64")]
    row("io-privilege", MACHINE, &[]),
    #[cfg(target_arch = "x86_64")]
    row("segment-table", KERNEL, SECCOMP),
    #[cfg(target_arch = "x86_64")]
    row("second-numbering", KERNEL, SECCOMP),
    #[cfg(target_arch = "x86_64")]
    row("other-language", KERNEL, SECCOMP),
    row("proc-core-pattern", MACHINE, &[]),
    row("proc-modprobe", MACHINE, &[]).lack(),
    row("proc-overcommit", MACHINE, &[]),
    row("proc-forwarding", MACHINE, &[]),
    row("proc-file-max", MACHINE, &[]),
    row("proc-sysrq", MACHINE, &[]).lack(),
    row("proc-irq", MACHINE, &[]).lack(),
    row("proc-kcore", MACHINE, PROC).lack(),
    row("proc-addresses", KERNEL, PROC).lack(),
    row("proc-keys", KERNEL, PROC).lack(),
    row("proc-timers", KERNEL, PROC).lack(),
    row("proc-kernel-log", MACHINE, &[]).lack(),
    row("sys-kernel-switch", MACHINE, &[]).lack(),
    row("signal-platform", PLATFORM, &[]),
    row("signal-keeper", PLATFORM, &[]),
    row("signal-neighbour", OTHERS, &[]),
    row("see-platform", PLATFORM, &[]),
    row("see-neighbour", OTHERS, &[]),
    row("environment-of-another", OTHERS, &[]),
    row("memory-of-another", OTHERS, &[]),
    row("descriptors-of-another", OTHERS, &[]),
    row("become-root", RIGHTS, &[]),
    row("become-root-group", RIGHTS, &[]),
    row("join-groups", RIGHTS, &[]),
    row("take-capabilities", RIGHTS, &[]),
    row("bounding-set", RIGHTS, &[]),
    row("secure-bits", RIGHTS, &[]),
    row("priority", OTHERS, &[]),
    row("real-time", OTHERS, &[]),
    row("disk-priority", OTHERS, &[]),
    row("never-end-for-memory", OTHERS, &[]).capability(SYS_RESOURCE),
    row("more-processes", OTHERS, &[]).capability(SYS_RESOURCE),
    row("more-files", OTHERS, &[]).capability(SYS_RESOURCE),
    row("host-shared-memory", OTHERS, &["ipc-namespace"]),
    row("host-semaphore", OTHERS, &["ipc-namespace"]),
    row("host-message-queue", OTHERS, &["ipc-namespace"]),
    row("host-socket-without-path", PLATFORM, &["landlock-scopes", "network-namespace"]).build(&["landlock-scopes"]),
    row("host-name", MACHINE, &["uts-namespace"]),
    row("control-group-names", MACHINE, &["cgroup-namespace"]).left_out(),
    row("connect-control-plane", REACH, &["landlock-tcp", "network-namespace"]).net(),
    row("connect-neighbour", REACH, &["landlock-tcp", "network-namespace"]).net().left_out(),
    row("connect-undeclared-port", REACH, &["landlock-tcp", "network-namespace"]).net(),
    row("connect-undeclared-host", REACH, NET).net(),
    row("connect-over-ipv6", REACH, &["landlock-tcp", "network-namespace"]).net(),
    row("metadata-route", REACH, UDP).net().named(NET),
    row("udp-to-host", REACH, UDP).net().named(NET),
    row("listen-elsewhere", REACH, &["landlock-tcp", "network-namespace"]).net(),
    row("listen-unbound", REACH, NET).net(),
    row("host-network-namespace", REACH, NET).net(),
    row("first-data-connects", REACH, &["seccomp", "network-namespace"]),
    row("socket-raw", REACH, &[]),
    row("socket-packet", REACH, &[]),
    row("socket-multipath", REACH, SECCOMP),
    row("socket-sctp", REACH, SECCOMP),
    row("socket-smc", REACH, SECCOMP),
    row("socket-vsock", REACH, SECCOMP),
    row("socket-crypto", KERNEL, SECCOMP),
    row("socket-xdp", REACH, &[]),
    row("socket-tipc", REACH, SECCOMP),
    row("socket-can", REACH, SECCOMP),
    row("socket-bluetooth", REACH, SECCOMP),
    row("netlink-audit", MACHINE, SECCOMP),
    row("netlink-filter", MACHINE, SECCOMP),
    row("netlink-generic", MACHINE, SECCOMP),
    row("interface-flags", MACHINE, &[]),
];

/// A wall, and attempts that must notice when it is left out.
pub(super) const LEFT_OUT: &[(&[&str], &[&str])] = &[
    (&["seccomp"], &["unshare-user", "clone-user", "io-uring", "keyring", "trace-me", "userfaultfd", "netlink-audit"]),
    (&["network-namespace"], &["host-network-namespace"]),
    // Each of them hides such sockets.
    (&["landlock-scopes", "network-namespace"], &["host-socket-without-path"]),
    (&["landlock-tcp", "network-namespace"], &["connect-control-plane", "connect-neighbour", "listen-elsewhere"]),
    (&["ipc-namespace"], &["host-shared-memory", "host-semaphore", "host-message-queue"]),
    (&["uts-namespace"], &["host-name"]),
    (&["cgroup-namespace"], &["control-group-names"]),
];
