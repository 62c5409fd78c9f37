use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

use api::Nothing;
use api::catalog::{ListTemplates, RenderTemplate, TemplateFile, TemplateInputs, TemplatePath};
use base::{Problem, Result, ServiceName, TemplateName};
use serde::Serialize;

use crate::Exit;
use crate::context::Ctx;
use crate::output::Table;

/// Start a new service from a template
///
/// Writes its files into a new folder and overwrites nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop new --list
  orlop new rust-web shop
  orlop new python-web shop --path services/shop")]
pub struct Args {
    /// The template
    #[arg(value_name = "TEMPLATE", required_unless_present = "list")]
    template: Option<TemplateName>,
    /// The name of the new service
    #[arg(value_name = "NAME", required_unless_present = "list")]
    name: Option<ServiceName>,
    /// The folder to write to; default: NAME
    #[arg(long, value_name = "FOLDER")]
    path: Option<PathBuf>,
    /// Show the templates
    #[arg(long, conflicts_with_all = ["template", "name", "path"])]
    list: bool,
}

/// The reply of `--json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Made {
    folder: PathBuf,
    files: Vec<String>,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let (Some(template), Some(service)) = (self.template, self.name) else { return list(ctx).await };
        let folder = self.path.unwrap_or_else(|| PathBuf::from(service.as_str()));
        let root = ctx.folder()?.join(&folder);
        let inputs = TemplateInputs { service };
        let made = ctx.client().await?.send::<RenderTemplate>(&TemplatePath { template }, &inputs).await?;
        write(&root, &made.files)?;
        let files = made.files.into_iter().map(|file| file.path).collect();
        let reply = Made { folder, files };
        ctx.out.reply(&reply, |_| reply.files.join("\n"))?;
        let folder = reply.folder.display();
        ctx.out.say(&format!(
            "Made {} in {folder}.\nNext:\n  cd {folder}\n  orlop deploy",
            crate::text::count(reply.files.len() as u64, "file")
        ));
        Ok(Exit::Done)
    }
}

async fn list(ctx: &Ctx<'_>) -> Result<Exit> {
    let page = ctx.client().await?.get::<ListTemplates>(&Nothing {}).await?;
    ctx.out.reply(&page, |paint| {
        let mut table = Table::new(["TEMPLATE", "LANGUAGE", "DESCRIPTION"]);
        for t in &page.items {
            table.plain([t.template.to_string(), t.language.clone(), t.description.clone()]);
        }
        table.show(*paint, "This server has no templates.")
    })?;
    Ok(Exit::Done)
}

/// Writes the files of a template beneath `root`. Looks at all of them before it writes the first.
fn write(root: &Path, files: &[TemplateFile]) -> Result<()> {
    for file in files {
        let path = Path::new(&file.path);
        if file.path.is_empty() || !path.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(Problem::internal("bad-template", "the template has a file outside its folder")
                .at(file.path.escape_debug()));
        }
        if fs::symlink_metadata(root.join(path)).is_ok() {
            return Err(Problem::conflict(
                "file-exists",
                "a file of the template is there already; nothing was written",
            )
            .at(root.join(path).display())
            .hint("choose another folder: --path FOLDER"));
        }
    }
    for file in files {
        let path = root.join(&file.path);
        let failed = |e| Problem::invalid("not-written", format!("the file cannot be written: {e}")).at(path.display());
        fs::create_dir_all(path.parent().unwrap_or(root)).map_err(failed)?;
        let mode = if file.executable { 0o755 } else { 0o644 };
        let opened = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&path);
        opened.and_then(|mut out| out.write_all(file.content.as_bytes())).map_err(failed)?;
    }
    Ok(())
}
