//! Landlock (kernel documentation, userspace-api/landlock): a second wall behind the mount
//! namespace for files, and the only one for TCP, since instances share the host's network.

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetStatus, Scope,
};
use ports::Network;

use crate::launch::Plan;
use crate::sys;

/// The newest version whose rules were tried with this crate.
const VERSION_MAX: i64 = 7;

/// The version of the interface that this kernel speaks; 0 where Landlock is missing or off.
pub(crate) fn version() -> u8 {
    u8::try_from(sys::landlock_version().clamp(0, VERSION_MAX)).unwrap_or(0)
}

/// Restricts this process and all its children for good.
pub(super) fn restrict(plan: &Plan) -> Result<(), String> {
    let status = rules(plan).map_err(|e| format!("restrict files and ports with Landlock: {e}"))?;
    match status {
        RulesetStatus::FullyEnforced => Ok(()),
        other => Err(format!("restrict files and ports with Landlock: the kernel enforces only {other:?}")),
    }
}

fn rules(plan: &Plan) -> Result<RulesetStatus, Box<dyn std::error::Error>> {
    let abi = ABI::from(i32::from(plan.walls.landlock));
    let mut set = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    set = set.handle_access(AccessFs::from_all(abi))?;
    let tcp = (plan.walls.landlock >= 4).then_some(&plan.network).and_then(|network| match network {
        Network::Host => None,
        Network::Only(connects) => Some(connects),
    });
    if tcp.is_some() {
        set = set.handle_access(AccessNet::from_all(abi))?;
    }
    if plan.walls.landlock >= 6 {
        set = set.scope(Scope::from_all(abi))?;
    }
    let mut set = set.create()?;
    set = beneath(set, "/", AccessFs::from_read(abi))?;
    for path in writable(plan) {
        set = beneath(set, &path, AccessFs::from_all(abi))?;
    }
    let device = AccessFs::from_file(abi) & !AccessFs::Execute;
    for name in ["null", "zero", "full", "random", "urandom"] {
        set = beneath(set, &format!("/dev/{name}"), device)?;
    }
    if plan.walls.proc {
        // A process may rename itself and make itself a likelier victim; all else in /proc stays closed.
        set = beneath(set, "/proc", AccessFs::from_read(abi) | AccessFs::WriteFile)?;
    }
    for connect in tcp.into_iter().flatten() {
        set = set.add_rule(NetPort::new(connect.port, AccessNet::ConnectTcp))?;
    }
    if let (Some(_), Some(port)) = (tcp, plan.port) {
        set = set.add_rule(NetPort::new(port, AccessNet::BindTcp))?;
    }
    Ok(set.restrict_self()?.ruleset)
}

fn beneath(
    set: RulesetCreated,
    path: &str,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, Box<dyn std::error::Error>> {
    Ok(set.add_rule(PathBeneath::new(PathFd::new(path)?, access))?)
}

fn writable(plan: &Plan) -> Vec<String> {
    let scratch = ["/tmp", "/home/app", "/dev/shm"].map(str::to_owned);
    scratch.into_iter().chain(plan.binds.iter().filter(|b| b.writable).map(|b| b.target.clone())).collect()
}
