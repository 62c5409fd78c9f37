//! Twenty rollouts, and visitors of every kind who notice none of them.

use std::collections::BTreeMap;

use base::Result;
use e2e::{Installation, Options, Source, ensure, evidence};
use serde_json::json;

use crate::load::{Kind, Load};

/// Rollouts that are begun, the broken ones included.
const ROLLOUTS: u32 = 20;

#[test]
fn twenty_rollouts_under_every_kind_of_load() {
    if crate::has("twenty rollouts", &["python3"]) {
        crate::run(rollouts());
    }
}

async fn rollouts() -> Result<()> {
    // A WebSocket keeps its instance busy until the drain deadline: that is how long each rollout takes.
    let place = Installation::with(Options::with(&["rollout.drain_deadline=3s", "rollout.start_deadline=12s"])).await?;
    let source = Source::of(&place, "streams", "live")?;
    let mut marks = BTreeMap::new();
    source.deploy().await?.good()?;
    remember(&source, "first", &mut marks).await?;
    let kinds = [
        Kind::KeepAlive,
        Kind::KeepAlive,
        Kind::NewConnection,
        Kind::Streaming,
        Kind::Streaming,
        Kind::WebSocket,
        Kind::WebSocket,
    ];
    let load = Load::begin(&place.client, &source.host("dev"), &kinds);
    load.more(2).await?;
    let (mut mark, mut broken) = ("first".to_owned(), Vec::new());
    for n in 1..=ROLLOUTS {
        let next = format!("mark-{n}");
        match n % 4 {
            // One that answers every request with an error, or ends at once, must never answer a visitor's.
            2 => {
                let fault = if n % 8 == 2 { "BROKEN = \"answers 500\"" } else { "BROKEN = \"ends\"" };
                source.edit("server.py", "BROKEN = None", fault)?;
                source.edit("server.py", &format!("MARK = \"{mark}\""), &format!("MARK = \"{next}\""))?;
                source.deploy().await?.bad(&[])?;
                source.edit("server.py", fault, "BROKEN = None")?;
                source.edit("server.py", &format!("MARK = \"{next}\""), &format!("MARK = \"{mark}\""))?;
                broken.push(next);
            }
            3 => drop(source.orlop(&["rollback", "--env", "dev", "--service", "live"]).await?.done()?),
            0 => drop(source.orlop(&["restart", "--env", "dev", "--service", "live"]).await?.done()?),
            _ => {
                source.edit("server.py", &format!("MARK = \"{mark}\""), &format!("MARK = \"{next}\""))?;
                source.deploy().await?.good()?;
                remember(&source, &next, &mut marks).await?;
                mark = next;
            }
        }
        load.more(1).await?;
    }
    let seen = load.end().await;
    let finished = source.rollouts().await?.iter().filter(|r| r.ended.is_some()).count();
    let figures = json!({
        "rollouts": finished,
        "broken": broken.len(),
        "answers": seen.answers.iter().map(|(kind, n)| (format!("{kind:?}"), *n)).collect::<BTreeMap<_, _>>(),
        "webSocketsClosedCleanly": seen.farewells,
        "failures": seen.failures.len(),
    });
    evidence("rollouts-under-load", &figures);
    seen.all_well()?;
    ensure!(finished > ROLLOUTS as usize, "only {finished} rollouts: {figures}");
    ensure!(seen.farewells > 0, "no WebSocket lived through a drain: this proves nothing");
    for (release, text) in &seen.pairs {
        let said = marks.get(text.as_str());
        ensure!(said == Some(release), "an answer {text:?} came with the release {release:?}; {text:?} is of {said:?}");
        ensure!(!broken.contains(text), "a broken release answered a visitor: {text}");
    }
    Ok(())
}

/// Which release a text is of: the header names it as the gateway does.
async fn remember(source: &Source<'_>, mark: &str, marks: &mut BTreeMap<String, String>) -> Result<()> {
    let answer = source.ask("/").await?;
    let newest = source.releases().await?.first().cloned();
    let named =
        newest.is_some_and(|r| r.release.to_string() == answer.release || r.number.to_string() == answer.release);
    ensure!(answer.body == mark && named, "{answer:?} is not of the newest release, {mark}");
    marks.insert(mark.to_owned(), answer.release);
    Ok(())
}
