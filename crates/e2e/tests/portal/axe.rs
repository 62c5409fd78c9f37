//! Accessibility by axe-core: every rule of WCAG 2 A and AA that it knows, and its best practices.

use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::read::GzDecoder;
use serde_json::{Value, json};
use std::io::Read as _;

use crate::browser::Browser;

/// The one version that is asked; MPL-2.0, for tests only.
const VERSION: &str = "4.14.1";
/// The rules that are asked.
const TAGS: [&str; 7] = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice", "section508"];

/// The script, from the folder where it was put before, else from the registry that npm is set to.
pub async fn script() -> Result<String, String> {
    let kept = target().join(format!("axe-core-{VERSION}.js"));
    if let Ok(text) = std::fs::read_to_string(&kept) {
        return Ok(text);
    }
    let folder = target().join(format!("axe-core-{VERSION}.tmp"));
    std::fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
    let archive = pack(&folder)?;
    let mut text = String::new();
    let bytes = std::fs::File::open(&archive).map_err(|e| e.to_string())?;
    let mut tar = tar::Archive::new(GzDecoder::new(bytes));
    for entry in tar.entries().map_err(|e| e.to_string())? {
        let mut entry = entry.map_err(|e| e.to_string())?;
        if entry.path().is_ok_and(|path| path == Path::new("package/axe.min.js")) {
            entry.read_to_string(&mut text).map_err(|e| e.to_string())?;
        }
    }
    let _ = std::fs::remove_dir_all(&folder);
    if text.is_empty() {
        return Err("the package has no axe.min.js".to_owned());
    }
    std::fs::write(&kept, &text).map_err(|e| e.to_string())?;
    Ok(text)
}

/// Fetches the package with npm, which verifies it.
#[expect(clippy::disallowed_methods, reason = "npm fetches what only the tests need")]
fn pack(folder: &Path) -> Result<PathBuf, String> {
    let ran = std::process::Command::new("npm")
        .args(["pack", "--silent", &format!("axe-core@{VERSION}")])
        .current_dir(folder)
        .stdin(std::process::Stdio::null())
        .output()
        .map_err(|e| format!("npm: {e}"))?;
    if !ran.status.success() {
        return Err(format!("npm pack: {}", String::from_utf8_lossy(&ran.stderr)));
    }
    Ok(folder.join(String::from_utf8_lossy(&ran.stdout).trim()))
}

fn target() -> PathBuf {
    let own = std::env::current_exe().expect("a test knows where it is");
    let target = own.ancestors().find(|dir| dir.file_name().is_some_and(|name| name == "target"));
    target.expect("tests are in target").to_owned()
}

/// What is looked for.
#[derive(Debug, Clone, Copy)]
pub enum Rules {
    /// Everything.
    All,
    /// These.
    Only(&'static [&'static str]),
}

/// What axe finds wrong with the page that is open: one line for each element.
pub async fn violations(browser: &Browser, script: &str, rules: Rules) -> Vec<String> {
    if browser.value("typeof window.axe").await != json!("object") {
        browser.run(&format!("{script}; arguments[arguments.length - 1](1);"), json!([])).await;
    }
    let ask = "const done = arguments[arguments.length - 1]; axe.run(document, arguments[0]).then(r => done({ violations: r.violations, looked: r.passes.length + r.inapplicable.length + r.violations.length }), e => done({ error: String(e) }));";
    let only = match rules {
        Rules::All => json!({ "type": "tag", "values": TAGS }),
        Rules::Only(rules) => json!({ "type": "rule", "values": rules }),
    };
    let options = json!({ "runOnly": only, "resultTypes": ["violations"] });
    let answer =
        tokio::time::timeout(Duration::from_secs(60), browser.run(ask, json!([options]))).await.expect("axe ends");
    assert!(answer["looked"].as_u64().is_some_and(|n| n > 0), "axe looked at nothing: {answer}");
    let line = |violation: &Value, node: &Value| {
        format!(
            "{} ({}): {} — {}",
            violation["id"].as_str().unwrap_or_default(),
            violation["impact"].as_str().unwrap_or_default(),
            node["html"].as_str().unwrap_or_default().chars().take(160).collect::<String>(),
            node["failureSummary"]
                .as_str()
                .unwrap_or_default()
                .replace('\n', " ")
                .chars()
                .take(240)
                .collect::<String>()
        )
    };
    let all = answer["violations"].as_array().cloned().unwrap_or_default();
    let nodes = |v: &Value| v["nodes"].as_array().cloned().unwrap_or_default();
    all.iter().flat_map(|v| nodes(v).iter().map(|node| line(v, node)).collect::<Vec<_>>()).collect()
}
