//! What was measured, for the record: printed, and in `target/evidence`.

use std::path::Path;

/// Writes a record to `target/evidence/<name>.json` and prints its figures.
pub fn write(name: &str, record: &serde_json::Value) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/evidence");
    let text = serde_json::to_string_pretty(record).expect("a record is JSON");
    let mut figures = record.clone();
    if let Some(figures) = figures.as_object_mut() {
        figures.retain(|_, value| !value.is_array());
    }
    println!("{name}: {figures}");
    std::fs::create_dir_all(&folder).expect("the folder for evidence can be made");
    std::fs::write(folder.join(format!("{name}.json")), text).expect("evidence can be written");
}
