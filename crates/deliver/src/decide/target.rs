use api::deliver::NewRollout;
use base::{EnvironmentName, Problem, Result};

/// Which release shall be rolled out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// This one, by number.
    Release(i64),
    /// What another environment runs.
    From(EnvironmentName),
    /// What ran here successfully before the current one.
    Previous,
    /// The newest successful rollout of this release here, with the settings it had.
    PreviousOf(i64),
    /// What runs here now.
    Restart,
}

/// Reads what was asked for.
///
/// # Errors
/// `which-rollout` unless exactly one thing is asked for.
pub(crate) fn target(asked: &NewRollout) -> Result<Target> {
    match (asked.release, &asked.from, asked.rollback, asked.restart) {
        (Some(number), None, false, false) => Ok(Target::Release(number)),
        (None, Some(from), false, false) if *from == asked.environment => {
            Err(Problem::unprocessable("same-environment", format!("{from} cannot be promoted to itself"))
                .at("body.from")
                .hint("name another environment, or use `restart` to start anew what runs"))
        }
        (None, Some(from), false, false) => Ok(Target::From(from.clone())),
        (None, None, true, false) => Ok(Target::Previous),
        (Some(number), None, true, false) => Ok(Target::PreviousOf(number)),
        (None, None, false, true) => Ok(Target::Restart),
        _ => Err(Problem::unprocessable(
            "which-rollout",
            "exactly one of `release`, `from`, `rollback`, `restart` must be given",
        )
        .at("body")
        .hint("name one of them; only `rollback` may come with `release`, the number to go back to")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_thing_is_asked_for() {
        let asked = |release, from: Option<&str>, rollback, restart| {
            target(&NewRollout {
                environment: "dev".parse().unwrap(),
                release,
                from: from.map(|f| f.parse().unwrap()),
                rollback,
                restart,
                reason: None,
            })
        };
        let staging: EnvironmentName = "staging".parse().unwrap();
        assert_eq!(asked(Some(3), None, false, false).unwrap(), Target::Release(3));
        assert_eq!(asked(None, Some("staging"), false, false).unwrap(), Target::From(staging));
        assert_eq!(asked(None, None, true, false).unwrap(), Target::Previous);
        assert_eq!(asked(Some(3), None, true, false).unwrap(), Target::PreviousOf(3));
        assert_eq!(asked(None, None, false, true).unwrap(), Target::Restart);
        assert_eq!(asked(None, Some("dev"), false, false).unwrap_err().code, "same-environment");
        for (release, from, rollback, restart) in [
            (None, None, false, false),
            (Some(3), Some("staging"), false, false),
            (Some(3), None, false, true),
            (None, Some("staging"), true, false),
            (None, None, true, true),
            (Some(3), None, true, true),
        ] {
            assert_eq!(asked(release, from, rollback, restart).unwrap_err().code, "which-rollout");
        }
    }
}
