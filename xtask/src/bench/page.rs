//! The page that people read: each benchmark owns the part between its two markers.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::command;

const PAGE: &str = "docs/benchmarks.md";

/// Puts each result in the place of the one before it; what stands outside the markers is kept.
///
/// # Errors
/// Where the page is not there, has no place for a result, or cannot be written.
pub fn write(root: &Path, results: &[Value]) -> Result<(), String> {
    let path = root.join(PAGE);
    let mut page = std::fs::read_to_string(&path).map_err(|why| format!("{PAGE} cannot be read: {why}"))?;
    for result in results {
        page = put(&page, text(&result["name"]), &part(result))?;
    }
    std::fs::write(&path, page).map_err(|why| format!("{PAGE} could not be written: {why}"))
}

fn put(page: &str, name: &str, part: &str) -> Result<String, String> {
    let (begin, end) = (format!("<!-- bench:{name} -->\n"), format!("<!-- /bench:{name} -->"));
    let found = page.split_once(&begin).and_then(|(before, rest)| Some((before, rest.split_once(&end)?.1)));
    let (before, after) = found
        .ok_or_else(|| format!("{PAGE} has no place for `{name}`: add the lines `{}` and `{end}`", begin.trim_end()))?;
    Ok(format!("{before}{begin}{part}{end}{after}"))
}

/// One benchmark as Markdown.
fn part(result: &Value) -> String {
    let mut out = String::new();
    let quick = if result["quick"] == Value::Bool(true) { " (quick: few and short rounds)" } else { "" };
    let _ =
        writeln!(out, "\n{}; {} s{quick}. {}.\n", text(&result["machine"]), result["tookSeconds"], load_line(result));
    let targets = list(&result["targets"]);
    if !targets.is_empty() {
        out.push_str("| aimed at | target | measured | met |\n|---|---|---|---|\n");
        for target in targets {
            let cells = [text(&target["what"]), text(&target["target"]), text(&target["measured"]), met(target)];
            let _ = writeln!(out, "| {} |", cells.join(" | "));
        }
        out.push('\n');
    }
    for table in list(&result["tables"]) {
        let columns: Vec<&str> = list(&table["columns"]).iter().map(text).collect();
        let _ = writeln!(out, "**{}**\n\n| {} |", text(&table["title"]), columns.join(" | "));
        let _ = writeln!(out, "|{}", "---|".repeat(columns.len()));
        for row in list(&table["rows"]) {
            let cells: Vec<&str> = list(row).iter().map(text).collect();
            let _ = writeln!(out, "| {} |", cells.join(" | "));
        }
        out.push('\n');
    }
    for note in list(&result["notes"]) {
        let _ = writeln!(out, "{}\n", text(note));
    }
    out
}

fn load_line(result: &Value) -> String {
    format!("Processes that ran or waited to run when it began (1 minute): {}", text(&result["loadBefore"]))
}

/// A target as a line for the terminal.
pub fn target_line(target: &Value) -> String {
    let (what, aim, measured) = (text(&target["what"]), text(&target["target"]), text(&target["measured"]));
    format!("{:<8} {what}: {measured} (target {aim})", met(target))
}

fn met(target: &Value) -> &'static str {
    match target["met"] {
        Value::Bool(true) => "yes",
        Value::Bool(false) => "NO",
        _ => "not measured",
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Processes that ran or waited to run over the last minute.
pub fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}

/// When and on what: date, revision, processor, memory, kernel.
pub fn machine(root: &Path) -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(':').map_or(String::new(), |(_, value)| value.trim().to_owned())
    };
    let cpus = read("/proc/cpuinfo");
    let count = cpus.lines().filter(|line| line.starts_with("processor")).count();
    let memory = field(&read("/proc/meminfo"), "MemTotal");
    let memory = memory.split(' ').next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) >> 20;
    let kernel = read("/proc/sys/kernel/osrelease");
    let said = |program: &str, args: &[&str]| command::output(root, program, args).unwrap_or_default();
    let (date, revision) =
        (said("date", &["-u", "+%Y-%m-%d %H:%M UTC"]), said("git", &["rev-parse", "--short", "HEAD"]));
    format!(
        "{}, revision {}, {count} × {}, {memory} GiB, Linux {}",
        date.trim(),
        revision.trim(),
        field(&cpus, "model name"),
        kernel.trim().split('-').next().unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_part_replaces_the_one_before_it_and_nothing_else() {
        let page = "# Title\n<!-- bench:a -->\nold\n<!-- /bench:a -->\nkept\n<!-- bench:b -->\n<!-- /bench:b -->\n";
        let page = put(page, "a", "new\n").unwrap();
        assert_eq!(
            page,
            "# Title\n<!-- bench:a -->\nnew\n<!-- /bench:a -->\nkept\n<!-- bench:b -->\n<!-- /bench:b -->\n"
        );
        assert!(put(&page, "c", "new").is_err_and(|why| why.contains("bench:c")));
    }

    #[test]
    fn results_become_tables() {
        let result = json!({
            "name": "a", "machine": "here", "tookSeconds": 3, "loadBefore": "0.1", "quick": true,
            "targets": [{ "what": "speed", "target": "≥ 1", "measured": "2", "met": true }],
            "tables": [{ "title": "T", "columns": ["x", "y"], "rows": [["1", "2"]] }],
            "notes": ["A note."],
        });
        let part = part(&result);
        for line in ["| speed | ≥ 1 | 2 | yes |", "| x | y |", "|---|---|", "| 1 | 2 |", "A note.", "quick"] {
            assert!(part.contains(line), "{line} is missing in {part}");
        }
    }
}
