//! System calls that an instance may not make. They are answered with `EPERM`, as if the user had
//! no right to them, so that programs which try one go on without it.

use std::collections::BTreeMap;

use ports::Network;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, sock_filter,
};

use crate::launch::Plan;

/// Calls that nothing inside an instance has a use for.
const DENIED: &[libc::c_long] = &[
    // other namespaces, other roots, other mounts
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_quotactl,
    libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark,
    // other processes
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_perf_event_open,
    libc::SYS_lookup_dcookie,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
    // interfaces of the kernel with a long list of past holes
    libc::SYS_bpf,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_vmsplice,
    // the machine itself
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_vhangup,
    libc::SYS_nfsservctl,
];

/// Calls that exist only on x86-64.
#[cfg(target_arch = "x86_64")]
const DENIED_HERE: &[libc::c_long] =
    &[libc::SYS_ioperm, libc::SYS_iopl, libc::SYS_modify_ldt, libc::SYS_uselib, libc::SYS_ustat, libc::SYS_sysfs];
#[cfg(not(target_arch = "x86_64"))]
const DENIED_HERE: &[libc::c_long] = &[];

/// Flags of `clone` that make namespaces.
const NAMESPACE_FLAGS: [i32; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// The low bits of a socket's type; the rest are flags (socket(2)).
const SOCKET_TYPE: u64 = 0xf;
const IPPROTO_TCP: u64 = 6;
const IPPROTO_UDP: u64 = 17;

/// Restricts this process and all its children for good.
pub(super) fn restrict(plan: &Plan) -> Result<(), String> {
    for program in programs(asks_name_servers(plan))? {
        seccompiler::apply_filter(&program).map_err(|e| format!("restrict system calls: {e}"))?;
    }
    Ok(())
}

fn programs(udp: bool) -> Result<Vec<BpfProgram>, String> {
    let said = |e: seccompiler::BackendError| format!("make the filter of system calls: {e}");
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        DENIED.iter().chain(DENIED_HERE).map(|call| (*call, Vec::new())).collect();
    rules.insert(libc::SYS_clone, namespaces().map_err(said)?);
    rules.insert(libc::SYS_socket, sockets(udp).map_err(said)?);
    rules.insert(libc::SYS_ioctl, terminals().map_err(said)?);
    // Landlock does not see a connection that is opened by the first data sent (TCP fast open).
    for (call, argument) in [(libc::SYS_sendto, 3), (libc::SYS_sendmsg, 2), (libc::SYS_sendmmsg, 3)] {
        rules.insert(call, vec![rule(&[has(argument, libc::MSG_FASTOPEN as u64)]).map_err(said)?]);
    }
    let denied = compile(rules, libc::EPERM)?;
    // A filter cannot look behind the pointer that clone3 takes; libc falls back to clone when the
    // call does not exist.
    let missing = compile([(libc::SYS_clone3, Vec::new())].into(), libc::ENOSYS)?;
    Ok(vec![denied, missing])
}

fn compile(rules: BTreeMap<i64, Vec<SeccompRule>>, errno: i32) -> Result<BpfProgram, String> {
    let said = |e: seccompiler::BackendError| format!("make the filter of system calls: {e}");
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(said)?;
    let answer = SeccompAction::Errno(errno.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, answer, arch).map_err(said)?;
    let program: BpfProgram = filter.try_into().map_err(said)?;
    Ok(no_second_numbering().into_iter().chain(program).collect())
}

/// x86-64 knows every call under a second number with bit 30 set (the x32 ABI), which a list of
/// numbers would miss.
fn no_second_numbering() -> Vec<sock_filter> {
    if !cfg!(target_arch = "x86_64") {
        return Vec::new();
    }
    let refuse = u32::from(SeccompAction::Errno(libc::ENOSYS.unsigned_abs()));
    // Load the call's number (offset 0 of struct seccomp_data); if >= 2^30, refuse; otherwise go on.
    vec![
        sock_filter { code: 0x20, jt: 0, jf: 0, k: 0 },
        sock_filter { code: 0x35, jt: 0, jf: 1, k: 0x4000_0000 },
        sock_filter { code: 0x06, jt: 0, jf: 0, k: refuse },
    ]
}

type Made<T> = Result<T, seccompiler::BackendError>;

fn namespaces() -> Made<Vec<SeccompRule>> {
    NAMESPACE_FLAGS.iter().map(|flag| rule(&[has(0, u64::from(flag.unsigned_abs()))])).collect()
}

/// Typing into another's terminal.
fn terminals() -> Made<Vec<SeccompRule>> {
    [libc::TIOCSTI, libc::TIOCLINUX].iter().map(|request| rule(&[is(1, *request)])).collect()
}

/// Only local sockets, TCP, UDP and the read side of route netlink (which lists addresses). Other
/// kinds of stream (MPTCP, SCTP, SMC) would pass by Landlock's rules for TCP. UDP only where a
/// declared host has a name that must be looked up.
fn sockets(udp: bool) -> Made<Vec<SeccompRule>> {
    let (inet, inet6, netlink) = (libc::AF_INET as u64, libc::AF_INET6 as u64, libc::AF_NETLINK as u64);
    let (stream, datagram) = (libc::SOCK_STREAM as u64, libc::SOCK_DGRAM as u64);
    let kind = |kind: u64| (1u8, SeccompCmpOp::MaskedEq(SOCKET_TYPE), kind);
    let mut rules = vec![rule(&[not(0, libc::AF_UNIX as u64), not(0, inet), not(0, inet6), not(0, netlink)])?];
    rules.push(rule(&[is(0, netlink), not(2, libc::NETLINK_ROUTE as u64)])?);
    for family in [inet, inet6] {
        for other in [0u64, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15] {
            rules.push(rule(&[is(0, family), kind(other)])?);
        }
        rules.push(rule(&[is(0, family), kind(stream), not(2, 0), not(2, IPPROTO_TCP)])?);
        if udp {
            rules.push(rule(&[is(0, family), kind(datagram), not(2, 0), not(2, IPPROTO_UDP)])?);
        } else {
            rules.push(rule(&[is(0, family), kind(datagram)])?);
        }
    }
    Ok(rules)
}

/// Whether it must look names up. In a network of its own they are written down.
fn asks_name_servers(plan: &Plan) -> bool {
    !plan.has_own_network() && needs_names(&plan.network)
}

fn needs_names(network: &Network) -> bool {
    match network {
        Network::Host => true,
        Network::Only(connects) => {
            connects.iter().any(|c| c.host != "localhost" && c.host.parse::<std::net::IpAddr>().is_err())
        }
    }
}

type Test = (u8, SeccompCmpOp, u64);

fn is(argument: u8, value: u64) -> Test {
    (argument, SeccompCmpOp::Eq, value)
}

fn not(argument: u8, value: u64) -> Test {
    (argument, SeccompCmpOp::Ne, value)
}

fn has(argument: u8, bits: u64) -> Test {
    (argument, SeccompCmpOp::MaskedEq(bits), bits)
}

/// All tests of a rule must hold. The kernel reads these arguments as 32 bits wide.
fn rule(tests: &[Test]) -> Made<SeccompRule> {
    let conditions = tests
        .iter()
        .map(|(argument, op, value)| SeccompCondition::new(*argument, SeccompCmpArgLen::Dword, op.clone(), *value))
        .collect::<Made<Vec<_>>>()?;
    SeccompRule::new(conditions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ports::{Connect, Way};

    #[test]
    fn both_filters_compile_for_every_network() {
        for udp in [true, false] {
            let programs = programs(udp).unwrap();
            assert_eq!(programs.len(), 2);
            assert!(programs.iter().all(|p| p.len() < 4096), "the kernel takes 4096 instructions");
        }
    }

    #[test]
    fn udp_is_open_only_for_names() {
        let only = |host: &str| Network::Only(vec![Connect { host: host.into(), port: 1, way: Way::Direct }]);
        assert!(needs_names(&Network::Host));
        assert!(needs_names(&only("db.example.org")));
        assert!(!needs_names(&only("localhost")));
        assert!(!needs_names(&only("10.0.0.7")));
        assert!(!needs_names(&only("::1")));
        assert!(!needs_names(&Network::Only(vec![])));
    }
}
