//! Finds out what this host can isolate and limit, by doing it: a keeper without an instance raises
//! each wall once and says what happened.

use std::path::PathBuf;

use ports::{Availability, Feature, Network};
use serde::{Deserialize, Serialize};

use crate::cgroup::{Controller, Group};
use crate::launch::{Plan, Scratch, Walls};
use crate::sandbox::{self, Message};

/// What the probing process answers.
#[derive(Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) walls: Walls,
    /// Why a wall is missing: its name and what was found.
    pub(crate) missing: Vec<(String, String)>,
}

impl Answer {
    /// Does without a network for each instance, as if the host had none to give.
    pub(crate) fn share_network(&mut self) {
        if std::mem::take(&mut self.walls.network) {
            self.missing.push(("network-namespace".to_owned(), "it is switched off".to_owned()));
        }
    }
}

/// Tries every wall and prints an [`Answer`].
pub(crate) fn answer() -> Result<(), String> {
    let answer = try_all()?;
    println!("{}", serde_json::to_string(&answer).map_err(|e| e.to_string())?);
    Ok(())
}

/// One wall: its name, and how to put it into a set.
type Wall = (&'static str, fn(&mut Walls));

fn try_all() -> Result<Answer, String> {
    let mut text = String::new();
    std::io::Read::read_to_string(&mut std::io::stdin(), &mut text).map_err(|e| format!("read the order: {e}"))?;
    let (root, uid): (PathBuf, Option<u32>) =
        serde_json::from_str(&text).map_err(|e| format!("read the order: {e}"))?;
    let landlock = sandbox::landlock_version();
    let mut answer = Answer { walls: Walls::default(), missing: Vec::new() };
    // What everything else stands on comes first.
    if let Err(why) = attempt(&root, uid, answer.walls) {
        answer.missing.push(("sandbox".to_owned(), why));
        return Ok(answer);
    }
    let walls: [Wall; 6] = [
        ("ipc-namespace", |w| w.ipc = true),
        ("uts-namespace", |w| w.uts = true),
        ("cgroup-namespace", |w| w.cgroup = true),
        ("private-proc", |w| w.proc = true),
        ("seccomp", |w| w.seccomp = true),
        ("network-namespace", |w| w.network = true),
    ];
    for (name, raise) in walls {
        let mut with = answer.walls;
        raise(&mut with);
        match attempt(&root, uid, with) {
            Ok(()) => answer.walls = with,
            Err(why) => answer.missing.push((name.to_owned(), why)),
        }
    }
    let with = Walls { landlock, ..answer.walls };
    match (landlock, attempt(&root, uid, with)) {
        (0, _) => answer.missing.push(("landlock-files".to_owned(), "the kernel has no Landlock".to_owned())),
        (_, Ok(())) => answer.walls = with,
        (_, Err(why)) => answer.missing.push(("landlock-files".to_owned(), why)),
    }
    if answer.walls.landlock < 4 {
        let why = format!("Landlock of this kernel has version {landlock}; rules for TCP came with version 4");
        answer.missing.push(("landlock-tcp".to_owned(), why));
    }
    if answer.walls.landlock < 6 {
        let why = format!("Landlock of this kernel has version {landlock}; scopes came with version 6");
        answer.missing.push(("landlock-scopes".to_owned(), why));
    }
    Ok(answer)
}

/// The answer as it is, with walls that are not raised all the same: a hole for the tests to find.
#[cfg(feature = "testbed")]
pub(crate) fn without(mut answer: Answer, left_out: &[String]) -> Answer {
    for name in left_out {
        match name.as_str() {
            "ipc-namespace" => answer.walls.ipc = false,
            "uts-namespace" => answer.walls.uts = false,
            "cgroup-namespace" => answer.walls.cgroup = false,
            "seccomp" => answer.walls.seccomp = false,
            "network-namespace" => answer.walls.network = false,
            "landlock-tcp" => answer.walls.landlock = answer.walls.landlock.min(3),
            "landlock-scopes" => answer.walls.landlock = answer.walls.landlock.min(5),
            other => panic!("`{other}` cannot be left out"),
        }
    }
    answer
}

/// Starts a program that does not exist behind these walls: everything went well if that is what
/// init complains of.
fn attempt(root: &std::path::Path, uid: Option<u32>, walls: Walls) -> Result<(), String> {
    const NOBODY: &str = "/nonexistent/probe";
    let plan = Plan {
        command: vec![NOBODY.to_owned()],
        env: Default::default(),
        workdir: "/".to_owned(),
        hostname: "probe".to_owned(),
        uid,
        root: root.to_owned(),
        binds: Vec::new(),
        scratch: Scratch::Memory(1 << 20),
        network: Network::Only(Vec::new()),
        port: Some(1),
        tasks_max: 1000,
        file_bytes_max: None,
        walls,
    };
    let running = sandbox::start(&plan, |_| Ok(()))?;
    let (heard, sockets) = answer_of(&running);
    sandbox::end(running.init);
    match heard {
        _ if walls.network && !sockets => Err("no socket came from a network inside".to_owned()),
        Ok(Some(Message::Failed(why))) if why.contains(NOBODY) && why.contains("was not found") => Ok(()),
        Ok(Some(Message::Failed(why))) => Err(why),
        Ok(_) => Err("the first process inside vanished".to_owned()),
        Err(e) => Err(format!("talk to the first process inside: {e}")),
    }
}

/// What init says in the end, and whether it gave sockets of the network inside before.
fn answer_of(running: &sandbox::Running) -> (std::io::Result<Option<Message>>, bool) {
    let mut sockets = false;
    loop {
        match Message::receive(&running.control) {
            Ok(Some(Message::Sockets(some))) => sockets = !some.is_empty(),
            Ok(Some(Message::Doors(_))) => {}
            last => return (last, sockets),
        }
    }
}

/// Everything that the engine says about this host.
pub(crate) fn features(answer: &Answer, groups: &[Group], no_groups: &[(Controller, String)]) -> Vec<Feature> {
    let sandbox = answer.missing.iter().find(|(name, _)| name == "sandbox").map(|(_, why)| why.clone());
    let mut out = Vec::new();
    for (name, purpose, fix) in WALLS {
        let own = answer.missing.iter().find(|(missing, _)| missing == name).map(|(_, why)| why.clone());
        out.push(feature(name, purpose, own.or_else(|| sandbox.clone()), fix));
    }
    for (name, purpose, controller) in LIMITS {
        let why = no_groups.iter().find(|(c, _)| c == controller).map(|(_, why)| why.clone());
        let works = groups.iter().any(|g| g.controllers.contains(controller));
        out.push(feature(name, purpose, why.filter(|_| !works), GROUPS_FIX));
    }
    out.push(feature(
        "tasks-limit",
        "an instance cannot fill the process table (by resource limit)",
        sandbox.clone(),
        USER_FIX,
    ));
    out.push(feature("disk-limit", "an instance cannot fill the disk", sandbox, USER_FIX));
    out.push(feature(
        "build-network",
        "a build reaches nothing but the registries of packages",
        Some(
            "builds are on the host's network, because nobody has declared where their packages come from: they reach \
             what the host reaches, the ports of loopback and a metadata address included"
                .to_owned(),
        ),
        "build only what you trust with the host's network, or let a firewall bound what the users 2000000000 and up reach",
    ));
    out
}

fn feature(name: &str, purpose: &str, missing: Option<String>, fix: &str) -> Feature {
    let availability = match missing {
        None => Availability::Works,
        Some(why) => Availability::Missing { why, fix: fix.to_owned() },
    };
    Feature { name: name.to_owned(), purpose: purpose.to_owned(), availability }
}

const USER_FIX: &str = "run the platform as root, or allow user namespaces to its user: `sysctl -w user.max_user_namespaces=10000`, \
     and where AppArmor restricts them `sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`; Linux 5.12 or later";
const KERNEL_FIX: &str = "run a kernel that has it switched on";
const LANDLOCK_FIX: &str = "run Linux 6.7 or later with `landlock` in the boot parameter `lsm=`";
const SCOPES_FIX: &str = "run Linux 6.12 or later with `landlock` in the boot parameter `lsm=`";
const PROC_FIX: &str = "do not mount anything over parts of /proc where the platform runs";
const GROUPS_FIX: &str = "run the platform as root, or let the service manager delegate a control group to it: `Delegate=yes` in its systemd unit";

const WALLS: [(&str, &str, &str); 12] = [
    ("user-namespace", "an instance has no rights over the host", USER_FIX),
    ("mount-namespace", "an instance sees no files of the host but its system directories", USER_FIX),
    ("pid-namespace", "an instance sees and signals only its own processes, which all end with it", USER_FIX),
    ("ipc-namespace", "instances share no memory segments or message queues", KERNEL_FIX),
    ("uts-namespace", "an instance has a host name of its own", KERNEL_FIX),
    ("cgroup-namespace", "an instance does not see the control groups of the host", KERNEL_FIX),
    ("private-proc", "an instance sees only itself in /proc", PROC_FIX),
    ("seccomp", "system calls that no service needs are refused", KERNEL_FIX),
    (
        "network-namespace",
        "an instance is reached through the gateway only, and reaches declared hosts only",
        "run a kernel that allows network namespaces to this user: `sysctl -w user.max_net_namespaces=10000`; until \
         then instances share the host's network, so let a firewall keep other machines away from the ports \
         20000-29999 of this one",
    ),
    ("landlock-files", "a second wall around files", LANDLOCK_FIX),
    ("landlock-scopes", "an instance reaches no socket without a path and signals no process but its own", SCOPES_FIX),
    ("landlock-tcp", "an instance listens on its own port only and connects to declared ports only", LANDLOCK_FIX),
];

const LIMITS: [(&str, &str, &Controller); 3] = [
    ("memory-limit", "an instance cannot take the memory of others", &Controller::Memory),
    ("cpu-limit", "an instance cannot take the processor from others", &Controller::Cpu),
    (
        "pids-limit",
        "an instance cannot make more processes and threads than declared (by control group)",
        &Controller::Pids,
    ),
];
