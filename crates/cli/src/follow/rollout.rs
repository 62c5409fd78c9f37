use std::time::Duration;

use api::Nothing;
use api::deliver::{Rollout, RolloutPath, RolloutState, WatchRollout};
use base::{Result, Time};

use super::until::{Came, Until};
use crate::Exit;
use crate::client::Ending;
use crate::context::Ctx;
use crate::output::{Paint, Tone};
use crate::text::{clean, millis, span, until as until_text, word};

/// Follows a rollout until it is final. Each state is talk; the final rollout is the data of `--json`.
pub async fn rollout(ctx: &Ctx<'_>, begun: &Rollout, deadline: Duration) -> Result<Exit> {
    let path = RolloutPath { service: begun.service.clone(), rollout: begun.rollout };
    let mut events = ctx.client().await?.events::<WatchRollout>(path, Nothing {}, Ending::Marked);
    let mut until = Until::new(ctx, deadline);
    let mut told: Option<(RolloutState, String)> = None;
    let mut state = word(&begun.state);
    loop {
        match until.next(&mut events, |elapsed| format!("{state}  {}", span(elapsed))).await {
            Ok(Came::Event(now)) => {
                state = word(&now.state);
                tell(ctx, &now, &mut told)?;
                if is_final(now.state) {
                    return end(ctx, &now);
                }
            }
            Ok(Came::End) => {}
            Ok(Came::Interrupted) => {
                let (service, id) = (&begun.service, begun.rollout);
                ctx.out.say(&format!(
                    "No longer following; the rollout goes on.\n  follow  orlop rollout watch {id} --service {service}\n  \
                     cancel  orlop rollout cancel {id} --service {service}"
                ));
                return Ok(Exit::Failed);
            }
            Err(problem) => {
                return Err(problem.hint(format!("orlop rollout watch {} --service {}", begun.rollout, begun.service)));
            }
        }
    }
}

/// Whether a rollout in this state will not change any more.
pub fn is_final(state: RolloutState) -> bool {
    use RolloutState::{Cancelled, Failed, Succeeded, Superseded};
    matches!(state, Succeeded | Failed | Superseded | Cancelled)
}

/// Tells a state once; again only when its reason is another.
fn tell(ctx: &Ctx<'_>, now: &Rollout, told: &mut Option<(RolloutState, String)>) -> Result<()> {
    if ctx.out.json {
        return ctx.out.event(now, |_| String::new());
    }
    if told.as_ref().is_some_and(|(state, reason)| *state == now.state && *reason == now.reason) || is_final(now.state)
    {
        return Ok(());
    }
    let talk = ctx.out.talk;
    let offset = format!("{:>8}", span(now.since.since(now.created)));
    let name = format!("{:<9}", word(&now.state));
    ctx.out.say(&format!(
        "{}  {} {}",
        talk.tone(Tone::Quiet, &offset),
        talk.tone(Tone::Strong, &name),
        clean(&now.reason)
    ));
    for line in &now.evidence {
        ctx.out.say(&talk.tone(Tone::Quiet, &format!("{:>8}  {}", "", clean(line))));
    }
    *told = Some((now.state, now.reason.clone()));
    Ok(())
}

fn end(ctx: &Ctx<'_>, now: &Rollout) -> Result<Exit> {
    let ok = now.state == RolloutState::Succeeded;
    if !ctx.out.json {
        let took = now.ended.map_or(0, |ended| u64::try_from(ended.since(now.created).as_millis()).unwrap_or(u64::MAX));
        let state = ctx.out.talk.tone(now.state.into(), &word(&now.state));
        let what = format!("release {} in {}", now.number, now.environment);
        ctx.out.say(&format!("{state} {what}: {} ({})", clean(&now.reason), millis(took)));
        for line in &now.evidence {
            ctx.out.say(&format!("  {}", clean(line)));
        }
        if !ok {
            ctx.out.say(&format!("  fix   orlop why {} --service {}", now.rollout, now.service));
        }
    }
    Ok(if ok { Exit::Done } else { Exit::Failed })
}

/// A rollout with all that is known of it.
pub fn describe(rollout: &Rollout, now: Time, paint: Paint) -> String {
    let mut text = format!(
        "{}  {} of release {} in {}  {}\n{}",
        rollout.rollout,
        clean(&rollout.cause),
        rollout.number,
        rollout.environment,
        paint.tone(rollout.state.into(), &word(&rollout.state)),
        clean(&rollout.reason),
    );
    for line in &rollout.evidence {
        text.push_str(&format!("\n  seen  {}", clean(line)));
    }
    if !rollout.next.is_empty() {
        let by = rollout.deadline.map_or_else(String::new, |at| format!(", {} at the latest", until_text(at, now)));
        text.push_str(&format!("\n  next  {}{by}", clean(&rollout.next)));
    }
    for step in &rollout.history {
        let offset = span(step.at.since(rollout.created));
        text.push_str(&format!("\n{offset:>8}  {:<10} {}", word(&step.state), clean(&step.reason)));
    }
    text
}
