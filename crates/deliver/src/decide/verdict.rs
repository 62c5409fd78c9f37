use base::Problem;
use ports::ExitKind;

use super::BuildSite;

/// Why a build's task failed, and what to do about it. `step` is the last one that began.
pub(crate) fn verdict(kind: &ExitKind, evidence: &str, step: Option<&str>, site: &BuildSite) -> Problem {
    let at = step.map_or_else(|| "before its first step".to_owned(), |step| format!("in the step `{step}`"));
    let failed =
        |code: &'static str, what: String| Problem::unprocessable(code, format!("the build failed {at}: {what}"));
    match kind {
        ExitKind::Status { status: 127 } => failed(
            "build-failed",
            "its program could not be started (exit status 127)".to_owned(),
        )
        .hint(
            "the lines above name the program; an operator can add its folder to `build.path` and `build.host_paths`",
        ),
        ExitKind::Status { status } => failed("build-failed", format!("exit status {status}"))
            .hint("the lines above are its last ones; run the same command in your working copy to see it fail"),
        ExitKind::Memory => failed("build-memory", format!("it needed more than {} of memory", site.memory))
            .hint("build with fewer parallel jobs, or let an operator raise `build.memory`"),
        ExitKind::Disk => failed("build-disk", format!("it wrote more than {}", site.disk))
            .hint("leave out what is not needed, or let an operator raise `build.disk`"),
        ExitKind::Deadline => failed("build-deadline", format!("it took longer than {}", base::Span(site.deadline)))
            .hint("make the build faster, or let an operator raise `build.deadline`"),
        ExitKind::Signal { signal } => failed("build-failed", format!("it was killed by signal {signal}"))
            .hint("the lines above are its last ones"),
        ExitKind::Lost => {
            Problem::unavailable("build-lost", format!("the build vanished {at}: the machine was restarted"))
                .hint("deploy again")
        }
        ExitKind::NotStarted => failed("build-not-started", format!("it could not be started: {evidence}"))
            .hint("ask an operator to run `orlop doctor`"),
        ExitKind::Stopped { .. } => failed("build-stopped", "it was stopped".to_owned()).hint("deploy again"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use base::{Bytes, MilliCpu};

    use super::*;

    #[test]
    fn each_bound_names_its_key() {
        let site = BuildSite {
            path: String::new(),
            passed: BTreeMap::new(),
            host_paths: Vec::new(),
            cpu: MilliCpu(1),
            memory: Bytes(1 << 30),
            disk: Bytes(2 << 30),
            tasks: 1,
            deadline: Duration::from_secs(60),
        };
        let check = |kind: ExitKind, words: &[&str]| {
            let text = verdict(&kind, "e", Some("compile"), &site).to_string();
            for word in words.iter().chain(&["`compile`"]) {
                assert!(text.contains(word), "{text} lacks {word}");
            }
        };
        check(ExitKind::Memory, &["1Gi", "build.memory"]);
        check(ExitKind::Disk, &["2Gi", "build.disk"]);
        check(ExitKind::Deadline, &["1m", "build.deadline"]);
        check(ExitKind::Status { status: 3 }, &["exit status 3"]);
    }
}
