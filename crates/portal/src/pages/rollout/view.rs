//! A rollout as a person sees it: the closed machine with what is behind and ahead, where the traffic is,
//! and what stopping it would do. Pure: the page and the tests make it of the same values.

use api::deliver::{Release, Rollout, RolloutState as S};
use api::route::{Route, Share};
use base::{ReleaseId, Time};

use crate::components::{Badge, Text, When, exactly};
use crate::spans::{is_final, state_word};

/// A state of the machine, as a line.
pub(crate) struct Step {
    pub word: &'static str,
    /// `good`, `busy`, `bad`, `quiet` or `ahead`.
    pub look: &'static str,
    /// What happened in it, or what is awaited there.
    pub text: Text,
    pub at: Option<When>,
    pub took: Option<String>,
}

/// What of a release decides which states it passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub has_command: bool,
    pub takes_traffic: bool,
}

impl Shape {
    /// Reads the resolved manifest of a release. What cannot be read passes all states.
    pub(crate) fn of(manifest: &serde_json::Value) -> Self {
        let processes = manifest.get("processes").and_then(serde_json::Value::as_array);
        let is_worker =
            |process: &serde_json::Value| process.get("kind").and_then(|kind| kind.as_str()) == Some("worker");
        Self {
            has_command: manifest.get("release").is_some_and(|command| !command.is_null()),
            takes_traffic: processes.is_none_or(|all| !all.iter().all(is_worker)),
        }
    }
}

/// What was, what is, and what comes where nothing goes wrong.
pub(crate) fn steps(rollout: &Rollout, shape: Shape, now: Time) -> Vec<Step> {
    let ends = rollout.history.iter().skip(1).map(|step| Some(step.at)).chain([rollout.ended]);
    let last = rollout.history.len().saturating_sub(1);
    let behind = rollout.history.iter().zip(ends).enumerate().map(|(place, (step, end))| {
        let here = place == last;
        let reason = if here { &rollout.reason } else { &step.reason };
        let took = (!is_final(step.state)).then(|| exactly(end.unwrap_or(now).since(step.at)));
        Step {
            word: state_word(step.state),
            look: look(step.state, here),
            text: Text::from(reason.clone()),
            at: Some(When::new(step.at, now)),
            took,
        }
    });
    let ahead = ahead(rollout.state, shape).into_iter().map(|state| Step {
        word: state_word(state),
        look: "ahead",
        text: Text::from(awaited(state)),
        at: None,
        took: None,
    });
    behind.chain(ahead).collect()
}

const fn look(state: S, here: bool) -> &'static str {
    match state {
        S::Failed => "bad",
        S::Superseded | S::Cancelled => "quiet",
        S::Undoing if here => "bad",
        _ if here && !is_final(state) => "busy",
        _ => "good",
    }
}

/// The states that come behind one, where nothing goes wrong.
fn ahead(state: S, shape: Shape) -> Vec<S> {
    if is_final(state) {
        return Vec::new();
    }
    if state == S::Undoing {
        return vec![S::Failed];
    }
    [S::Pending, S::Releasing, S::Starting, S::Shifting, S::Verifying, S::Draining, S::Succeeded]
        .into_iter()
        .filter(|one| (*one != S::Releasing || shape.has_command) && (*one != S::Shifting || shape.takes_traffic))
        .skip_while(|one| *one != state)
        .skip(1)
        .collect()
}

/// What each state waits for.
const fn awaited(state: S) -> &'static str {
    match state {
        S::Pending => "needs and settings are checked",
        S::Releasing => "the release command ends with status 0",
        S::Starting => "every process is ready",
        S::Shifting => "a request through the gateway is answered well, then all traffic moves",
        S::Verifying => "it is watched under all traffic, without a crash",
        S::Draining => "the old release finishes its requests and ends",
        S::Succeeded => "it is current, observed healthy on its route",
        S::Undoing => "traffic moves back",
        S::Failed => "what served before has everything again",
        S::Superseded | S::Cancelled => "",
    }
}

/// One release's part of the traffic.
pub(crate) struct Part {
    pub name: String,
    pub percent: u32,
    pub instances: u32,
    pub probe: Text,
    /// Whether it is the release of this rollout.
    pub new: bool,
}

/// Where the traffic of the place is, the rollout's own release last.
pub(crate) fn traffic(rollout: &Rollout, routes: &[Route], releases: &[Release]) -> Vec<Part> {
    let route = routes.iter().find(|route| route.environment == rollout.environment);
    let mut parts: Vec<Part> =
        route.iter().flat_map(|route| &route.shares).map(|share| part(rollout, share, releases)).collect();
    parts.sort_by_key(|part| part.new);
    parts
}

fn part(rollout: &Rollout, share: &Share, releases: &[Release]) -> Part {
    let new = share.release == rollout.release;
    let number = if new { Some(rollout.number) } else { number_of(share.release, releases) };
    Part {
        name: number.map_or_else(|| format!("release {}", share.release.short()), |number| format!("release {number}")),
        percent: share.percent,
        instances: share.instances,
        probe: Text::from(share.probe.clone()),
        new,
    }
}

fn number_of(wanted: ReleaseId, releases: &[Release]) -> Option<i64> {
    releases.iter().find(|release| release.release == wanted).map(|release| release.number)
}

/// What stopping a rollout now would do, one line each; nothing where it has ended.
pub(crate) fn undo(rollout: &Rollout, parts: &[Part]) -> Vec<String> {
    let new = format!("release {}", rollout.number);
    let old = parts.iter().find(|part| !part.new).map(|part| part.name.clone());
    let has_moved = parts.iter().any(|part| part.new && part.percent > 0);
    let serves = |old: &Option<String>| match old {
        Some(old) => format!("{old} serves on"),
        None => "nothing served before, and nothing serves then".to_owned(),
    };
    match rollout.state {
        state if is_final(state) => Vec::new(),
        S::Undoing => vec!["it is being taken back already".to_owned()],
        S::Verifying | S::Shifting if has_moved => vec![
            match &old {
                Some(old) => format!("all traffic goes back to {old} at once"),
                None => "the route answers that nothing runs: nothing served before".to_owned(),
            },
            format!("the instances of {new} end"),
            "the rollout ends as cancelled".to_owned(),
        ],
        S::Draining => vec![
            match &old {
                Some(old) => format!("the instances of {old} start again, while {new} serves on"),
                None => format!("what served before starts again, while {new} serves on"),
            },
            "once they are ready, all traffic goes back to them".to_owned(),
            format!("if they are not ready in time, {new} keeps the traffic and the rollout ends as failed"),
        ],
        _ => vec![
            "no traffic has moved: nothing changes for those who use it".to_owned(),
            format!("the instances of {new} end"),
            serves(&old),
        ],
    }
}

/// The head of a rollout: state, and what comes next by when.
pub(crate) struct Head {
    pub badge: Badge,
    pub reason: Text,
    pub since: When,
    pub next: Option<Text>,
    pub deadline: Option<When>,
    pub ended: bool,
}

impl Head {
    pub(crate) fn of(rollout: &Rollout, now: Time) -> Self {
        let ended = is_final(rollout.state);
        Self {
            badge: Badge::rollout(rollout.state),
            reason: Text::from(rollout.reason.clone()),
            since: When::new(rollout.since, now),
            next: Some(rollout.next.clone()).filter(|next| !next.is_empty() && !ended).map(Text::from),
            deadline: rollout.deadline.filter(|_| !ended).map(|at| When::new(at, now)),
            ended,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::samples::{at, rollout, route};

    const WEB: Shape = Shape { has_command: true, takes_traffic: true };

    fn told(states: &[(&str, u64)], shape: Shape) -> Vec<String> {
        let told = steps(&rollout(states), shape, at(100));
        told.iter().map(|step| format!("{} {}", step.word, step.look)).collect()
    }

    #[test]
    fn behind_here_and_ahead() {
        assert_eq!(
            told(&[("pending", 1), ("releasing", 2), ("starting", 5)], WEB),
            [
                "pending good",
                "releasing good",
                "starting busy",
                "shifting ahead",
                "verifying ahead",
                "draining ahead",
                "succeeded ahead"
            ]
        );
        let worker = Shape { has_command: false, takes_traffic: false };
        assert_eq!(
            told(&[("pending", 1)], worker),
            ["pending busy", "starting ahead", "verifying ahead", "draining ahead", "succeeded ahead"]
        );
        assert_eq!(told(&[("pending", 1), ("undoing", 9)], WEB), ["pending good", "undoing bad", "failed ahead"]);
        assert_eq!(told(&[("pending", 1), ("failed", 9)], WEB), ["pending good", "failed bad"]);
        assert_eq!(told(&[("pending", 1), ("succeeded", 9)], WEB), ["pending good", "succeeded good"]);
        assert_eq!(told(&[("pending", 1), ("cancelled", 9)], WEB), ["pending good", "cancelled quiet"]);
    }

    #[test]
    fn what_a_release_is_decides_its_way() {
        let of = |json: serde_json::Value| Shape::of(&json);
        assert_eq!(of(serde_json::json!({"processes": [{"kind": "web"}, {"kind": "worker"}], "release": {}})), WEB);
        let worker = of(serde_json::json!({"processes": [{"kind": "worker"}], "release": null}));
        assert_eq!(worker, Shape { has_command: false, takes_traffic: false });
        assert_eq!(of(serde_json::json!("strange")), Shape { has_command: false, takes_traffic: true });
    }

    #[test]
    fn stopping_says_what_it_does() {
        let undone = |states: &[(&str, u64)], shares: &[(bool, u32)]| {
            let rollout = rollout(states);
            let parts = traffic(&rollout, &[route(&rollout, shares)], &[]);
            undo(&rollout, &parts).join("; ")
        };
        let early = undone(&[("pending", 1), ("starting", 2)], &[(false, 100)]);
        assert!(early.contains("no traffic has moved") && early.contains("serves on"), "{early}");
        assert!(undone(&[("shifting", 1)], &[(false, 100), (true, 0)]).contains("no traffic has moved"));
        let moved = undone(&[("verifying", 1)], &[(false, 0), (true, 100)]);
        assert!(moved.contains("all traffic goes back to release"), "{moved}");
        assert!(undone(&[("draining", 1)], &[(true, 100)]).contains("starts again"));
        assert_eq!(undone(&[("succeeded", 1)], &[]), "");
        assert!(undone(&[("starting", 1)], &[]).contains("nothing served before"));
    }

    #[test]
    fn the_text_of_others_stays_text() {
        let mut hostile = rollout(&[("starting", 1)]);
        hostile.reason = "<img src=x onerror=alert(1)>\u{202e}".into();
        let text = steps(&hostile, WEB, at(2)).iter().map(|step| step.text.to_string()).collect::<String>();
        assert!(text.contains("&lt;img") && !text.contains("<img") && !text.contains('\u{202e}'), "{text}");
    }
}
