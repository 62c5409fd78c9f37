use super::rollout::Limits;
use crate::model::Release;

/// What a rollout of a release does, in order, one line each: the way through the machine where
/// nothing goes wrong, and what happens where something does.
pub(crate) fn steps_ahead(release: &Release, old: Option<i64>, limits: &Limits) -> Vec<String> {
    let span = |span| base::Span(span).to_string();
    let new = release.number;
    let old = old.map(|old| if old == new { "what runs now".to_owned() } else { format!("release {old}") });
    let mut steps = vec!["needs and settings are checked; where one is missing, nothing begins".to_owned()];
    if let Some(task) = &release.spec.release {
        steps.push(format!(
            "the release command runs, at most {}: {}; where it fails, nothing else happens",
            span(limits.release),
            task.command.join(" ")
        ));
    }
    let beside = old.as_ref().map_or(String::new(), |old| format!(" beside {old}"));
    steps.push(format!("instances of release {new} start{beside}, at most {}", span(limits.start)));
    let returns = match &old {
        Some(old) => format!("{old} gets everything back"),
        None => "nothing serves".to_owned(),
    };
    if release.spec.takes_traffic() {
        steps.push(format!("release {new} is asked through the gateway; after a good answer all traffic moves to it"));
        steps.push(format!("it is watched under traffic for {}; where it fails, {returns}", span(limits.verify)));
    } else {
        steps.push(format!("it is watched for {}; where it fails, {returns}", span(limits.verify)));
    }
    steps.extend(old.map(|old| format!("{old} finishes its requests, at most {}, and ends", span(limits.drain))));
    steps
}
