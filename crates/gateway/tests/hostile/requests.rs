//! Every case in front of every back end, and proof that the checker can fail.

use std::collections::BTreeMap;

use base::InstanceId;

use crate::backend::{Backend, Tail};
use crate::case::{Case, requests};
use crate::check::{Checker, Face, Finding, Logged, Mode};
use crate::evidence;
use crate::support::{self, Front};

/// Cases longer than this are sent whole only, bytes.
const PIECES_MAX: usize = 3000;

pub fn all() -> Vec<Case> {
    [
        ("line", include_str!("requests/line.txt")),
        ("host", include_str!("requests/host.txt")),
        ("field", include_str!("requests/field.txt")),
        ("length", include_str!("requests/length.txt")),
        ("chunk", include_str!("requests/chunk.txt")),
        ("connection", include_str!("requests/connection.txt")),
    ]
    .into_iter()
    .flat_map(|(group, text)| requests(group, text))
    .collect()
}

/// A gateway of one worker, so that all clients share its connections to the back end.
async fn gateway(back: &Backend) -> Front {
    let mut front = Front::with(|options| options.workers = 1).await;
    let id = InstanceId::new(base::Time::from_micros(1), [7; 10]);
    let backend = support::backend_at(1, &[(id, back.address)]);
    front.route(vec![support::route("app", vec![backend])]).await;
    front
}

fn face(front: &Front) -> Face {
    let mut tail = Tail::new(front.dir.path().join("access.log"));
    let read = move |line: &String| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        let text = |name: &str| line[name].as_str().unwrap_or("").to_owned();
        Logged {
            method: text("method"),
            path: text("path"),
            bytes: line["bytesIn"].as_u64().unwrap(),
            passed: !line["instance"].is_null(),
            broken: !line["code"].is_null(),
        }
    };
    Face { address: front.address, log: Box::new(move || tail.lines().iter().map(read).collect()) }
}

/// What was done in front of one back end.
#[derive(Debug, Default, serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    /// Cases by the way they were sent.
    sent: BTreeMap<&'static str, u64>,
    seen_behind: usize,
    findings: Vec<String>,
}

async fn in_front_of(back: &Backend, cases: &[Case]) -> Part {
    let mut front = gateway(back).await;
    let mut checker = Checker::new(face(&front), back);
    let mut part = Part::default();
    let say = |name: &str, finding: &Finding| format!("{name}: {:?}: {}", finding.kind, finding.text);
    for case in cases {
        let modes: &[Mode] = if case.bytes.len() <= PIECES_MAX {
            &[Mode::Whole, Mode::Pieces(7), Mode::Pieces(1)]
        } else {
            &[Mode::Whole]
        };
        for mode in modes {
            let found = checker.run(case, *mode).await;
            *part.sent.entry(mode.name()).or_default() += 1;
            let name = format!("{} / {} ({}), {}", case.group, case.name, case.rule, mode.name());
            part.findings.extend(found.iter().map(|f| say(&name, f)));
        }
    }
    front.stop().await;
    part.findings.extend(checker.finish().await.iter().map(|f| say("at the end", f)));
    part.seen_behind = back.seen().len();
    part
}

#[tokio::test]
async fn every_case_in_front_of_every_back_end() {
    let cases = all();
    let mut by_group: BTreeMap<&str, usize> = BTreeMap::new();
    for case in &cases {
        *by_group.entry(case.group).or_default() += 1;
    }
    assert!(cases.len() >= 250, "{} cases", cases.len());
    let mut names: Vec<_> = cases.iter().map(|c| (c.group, &c.name)).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), cases.len(), "two cases have one name");
    let there = [Some(Backend::hyper().await), Backend::node(), Backend::python(), Backend::nginx().await];
    let names = ["hyper", "node", "python", "nginx"];
    let missing: Vec<_> = names.into_iter().zip(&there).filter(|(_, back)| back.is_none()).map(|(n, _)| n).collect();
    let backs: Vec<Backend> = there.into_iter().flatten().collect();
    let parts = futures_util::future::join_all(backs.iter().map(|back| in_front_of(back, &cases))).await;
    let parts: BTreeMap<&str, Part> = backs.iter().map(|b| b.name).zip(parts).collect();
    let findings: Vec<String> =
        parts.iter().flat_map(|(back, part)| part.findings.iter().map(move |f| format!("{back}: {f}"))).collect();
    let outcomes: Vec<_> = cases
        .iter()
        .map(|c| serde_json::json!({"group": c.group, "case": c.name, "must": c.rule, "outcome": c.outcome()}))
        .collect();
    evidence::write(
        "gate",
        &serde_json::json!({
            "cases": cases.len(),
            "casesByGroup": by_group,
            "backEnds": parts,
            "missing": missing,
            "outcomes": outcomes,
        }),
    );
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
    skipped_without(&missing);
}

/// Says loudly what was left out for want of a program; an error where CI promises that all are there.
pub fn skipped_without(missing: &[&str]) {
    if !missing.is_empty() {
        eprintln!("SKIPPED in part: this machine lacks {missing:?}; .ci/run installs what is missing");
        assert!(std::env::var_os("CI").is_none(), "CI has to have {missing:?}");
    }
}
