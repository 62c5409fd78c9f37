//! Figures that tests leave behind: `target/evidence/<name>.json`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

/// Writes figures where those who judge a build look for them. They are printed as well.
pub fn evidence(name: &str, figures: &Value) {
    println!("{name}: {figures}");
    let folder = folder();
    let text = format!("{figures:#}\n");
    let written =
        std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(folder.join(format!("{name}.json")), text));
    if let Err(error) = written {
        println!("the figures could not be written to {}: {error}", folder.display());
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/evidence")
}

/// Measured spans beside what was aimed at. Nothing is asserted about them: machines differ.
pub fn target(spans: &[Duration], aim: Duration) -> Value {
    let mut sorted: Vec<u128> = spans.iter().map(Duration::as_millis).collect();
    sorted.sort_unstable();
    let at = |share: usize| sorted.get((sorted.len().saturating_sub(1)) * share / 100).copied().unwrap_or_default();
    let met = sorted.iter().filter(|ms| **ms <= aim.as_millis()).count();
    json!({
        "targetMs": aim.as_millis(), "count": sorted.len(), "withinTarget": met,
        "p50Ms": at(50), "p95Ms": at(95), "worstMs": at(100),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_counted_against_the_target() {
        let spans: Vec<_> = (1..=100).map(|n| Duration::from_millis(n * 10)).collect();
        let said = target(&spans, Duration::from_millis(500));
        assert_eq!((&said["withinTarget"], &said["worstMs"]), (&json!(50), &json!(1000)), "{said}");
        assert_eq!(target(&[], Duration::ZERO)["count"], json!(0));
    }
}
