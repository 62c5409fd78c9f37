//! What was measured, for the record.

use std::path::Path;

use serde_json::Value;

/// Writes `target/evidence/NAME.json`.
pub fn record(name: &str, value: &Value) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/evidence");
    let text = serde_json::to_string_pretty(value).expect("a record is JSON");
    let written =
        std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(folder.join(format!("{name}.json")), text));
    if let Err(error) = written {
        println!("the record could not be written to {}: {error}", folder.display());
    }
}
