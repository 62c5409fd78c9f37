use api::Page;
use api::errors::{ErrorCode, explain_error};
use api::manifest::{Explanation, explain, explanations};
use base::{Problem, Result};

use crate::Exit;
use crate::context::Ctx;
use crate::output::{Paint, Table, Tone};

/// Explain a key of the service file, with an example, or the code of an error
///
/// Without a key: all of them. Needs no server.
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop explain
  orlop explain run.health
  orlop explain stale-version
  orlop explain needs")]
pub struct Args {
    /// The key: its path, or its last word where only one key ends so; or the code of an error
    #[arg(value_name = "KEY|CODE")]
    key: Option<String>,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let Some(key) = self.key else {
            let page = Page::whole(explanations());
            ctx.out.reply(&page, |paint| {
                let mut table = Table::new(["KEY", "MEANING"]);
                for key in &page.items {
                    table.plain([key.key.to_owned(), key.meaning.to_owned()]);
                }
                table.text(*paint)
            })?;
            return Ok(Exit::Done);
        };
        if let Some(code) = explain_error(&key).filter(|_| explain(&key).is_none()) {
            ctx.out.reply(&code, |paint| show_code(&code, *paint))?;
            return Ok(Exit::Done);
        }
        let found = explain(&key).ok_or_else(|| {
            let key = crate::text::clean(&key);
            Problem::not_found("unknown-key", format!("`{key}` is no key of the service file and no code of an error"))
                .hint("see all keys: orlop explain")
        })?;
        ctx.out.reply(&found, |paint| show(&found, *paint))?;
        Ok(Exit::Done)
    }
}

fn show_code(code: &ErrorCode, paint: Paint) -> String {
    let name = |name: &str| paint.tone(Tone::Quiet, &format!("{name:<8}"));
    format!(
        "{}  {}\n  {} {}\n  {} {}",
        paint.tone(Tone::Strong, code.code),
        code.means,
        name("do"),
        code.advice,
        name("about"),
        code.group
    )
}

fn show(key: &Explanation, paint: Paint) -> String {
    let mut text = format!("{}  {}", paint.tone(Tone::Strong, key.key), key.meaning);
    let mut part = |name: &str, value: &str| {
        if !value.is_empty() {
            let value = value.lines().collect::<Vec<_>>().join(&format!("\n{:11}", ""));
            text.push_str(&format!("\n  {} {value}", paint.tone(Tone::Quiet, &format!("{name:<8}"))));
        }
    };
    part("takes", &key.takes);
    part("default", key.default.unwrap_or_default());
    part("example", key.example.unwrap_or_default());
    part("within", &key.within.join("\n"));
    part("later", &key.words_not_yet.join(", "));
    part("not yet", key.not_yet.unwrap_or_default());
    text
}
