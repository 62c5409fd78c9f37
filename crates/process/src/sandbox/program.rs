//! The last steps before the instance's program takes over: its place, its limits, its walls.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};

use super::{landlock, seccomp};
use crate::launch::Plan;
use crate::sys;

/// Search path for a command without a slash, where the instance has no `PATH` of its own.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Most open files of one process.
const FILES_MAX: u64 = 65_536;
/// The kernel should end the program, not init, when memory runs out.
const OOM_SCORE: &str = "500";

/// Becomes the program. Returns only when that failed, with the reason.
pub(super) fn enter(plan: &Plan, out: &OwnedFd, err: &OwnedFd) -> String {
    match shut_in(plan, out, err) {
        Ok(()) => exec(plan),
        Err(why) => why,
    }
}

fn shut_in(plan: &Plan, out: &OwnedFd, err: &OwnedFd) -> Result<(), String> {
    let said = |what: &'static str| move |e: std::io::Error| format!("{what}: {e}");
    rustix::process::setsid().map_err(|e| format!("start a session: {e}"))?;
    let _ = std::fs::write("/proc/self/oom_score_adj", OOM_SCORE);
    let null = std::fs::File::open("/dev/null").map_err(said("open /dev/null"))?;
    sys::become_fd(null.as_fd(), 0).map_err(said("set standard input"))?;
    sys::become_fd(out.as_fd(), 1).map_err(said("set standard output"))?;
    sys::become_fd(err.as_fd(), 2).map_err(said("set standard error"))?;
    sys::close_from(3, true).map_err(said("close descriptors"))?;
    std::env::set_current_dir(&plan.workdir)
        .map_err(|e| format!("enter the working directory {}: {e}", plan.workdir))?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    limit(plan)?;
    drop_rights()?;
    if plan.walls.landlock > 0 {
        landlock::restrict(plan)?;
    }
    sys::default_signals();
    if plan.walls.seccomp {
        seccomp::restrict(plan)?;
    }
    Ok(())
}

fn limit(plan: &Plan) -> Result<(), String> {
    // One more for init, which the kernel counts as the same user.
    let tasks = u64::from(plan.tasks_max).saturating_add(1);
    let mut limits = vec![(libc::RLIMIT_CORE, 0), (libc::RLIMIT_NOFILE, FILES_MAX), (libc::RLIMIT_NPROC, tasks)];
    limits.extend(plan.file_bytes_max.map(|bytes| (libc::RLIMIT_FSIZE, bytes)));
    for (resource, value) in limits {
        sys::limit(resource, value).map_err(|e| format!("set resource limit {resource}: {e}"))?;
    }
    Ok(())
}

/// No capability in any set, none to be had by exec, none by set-user-id programs.
fn drop_rights() -> Result<(), String> {
    let said = |what: &'static str| move |e: std::io::Error| format!("{what}: {e}");
    for capability in 0..64 {
        // The kernel answers EINVAL beyond its last capability.
        if sys::prctl(libc::PR_CAPBSET_DROP, capability).is_err() {
            break;
        }
    }
    sys::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as u64).map_err(said("clear capabilities"))?;
    sys::set_capabilities(sys::Capabilities::None).map_err(said("drop capabilities"))?;
    sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1).map_err(said("forbid new privileges"))
}

fn exec(plan: &Plan) -> String {
    let Some(name) = plan.command.first() else { return "the command is empty".to_owned() };
    let c = |text: &str| CString::new(text).map_err(|_| "the command or environment has a zero byte".to_owned());
    let prepared = (|| {
        let argv = plan.command.iter().map(|s| c(s)).collect::<Result<Vec<_>, _>>()?;
        let env = plan.env.iter().map(|(k, v)| c(&format!("{k}={v}"))).collect::<Result<Vec<_>, _>>()?;
        Ok::<_, String>((argv, env))
    })();
    let (argv, env) = match prepared {
        Ok(prepared) => prepared,
        Err(why) => return why,
    };
    let mut why = format!("program `{name}` was not found");
    for path in candidates(name, plan.env.get("PATH").map_or(PATH, String::as_str)) {
        let Ok(file) = CString::new(path.as_str()) else { continue };
        let error = sys::exec(&file, &argv, &env);
        match error.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR) if !std::path::Path::new(&path).exists() => {}
            Some(libc::ENOENT) => why = format!("start {path}: its interpreter or loader was not found"),
            _ => why = format!("start {path}: {error}"),
        }
    }
    why
}

/// Where a command may be: itself if it has a slash, otherwise in each folder of the search path.
fn candidates(name: &str, path: &str) -> Vec<String> {
    if name.contains('/') {
        return vec![name.to_owned()];
    }
    path.split(':')
        .filter(|dir| dir.starts_with('/'))
        .map(|dir| format!("{}/{name}", dir.trim_end_matches('/')))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_searched_as_execvp_does_but_never_in_the_working_directory() {
        assert_eq!(candidates("/app/server", "/bin"), ["/app/server"]);
        assert_eq!(candidates("./server", "/bin"), ["./server"]);
        assert_eq!(candidates("node", "/opt/node/bin/:/usr/bin"), ["/opt/node/bin/node", "/usr/bin/node"]);
        assert_eq!(candidates("node", "::.:/bin"), ["/bin/node"]);
    }
}
