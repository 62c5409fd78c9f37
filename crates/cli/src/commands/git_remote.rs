use base::Result;
use serde::Serialize;

use crate::Exit;
use crate::args::WhichFirst;
use crate::context::Ctx;
use crate::sign_in::address;

/// Set the git remote `orlop`, so that `git push orlop main` deploys
///
/// Git asks this command for the token, which is therefore in no file of the repository.
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop git-remote && git push orlop main
  orlop git-remote shop --print")]
pub struct Args {
    #[command(flatten)]
    which: WhichFirst,
    /// Show the git commands and change nothing
    #[arg(long)]
    print: bool,
}

/// The reply of `--json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Remote {
    remote: &'static str,
    url: String,
    /// Whether the repository was changed.
    set: bool,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let service = ctx.service(self.which.service)?;
        let server = address(ctx.client().await?.url());
        let url = format!("{server}/git/{service}.git");
        let (helper, folder) = (format!("credential.{server}.helper"), ctx.folder()?);
        let config = |args: [&'static str; 2], value: &'static str| {
            [&["config", "--local"][..], &args, &[helper.as_str(), value]]
                .concat()
                .iter()
                .map(ToString::to_string)
                .collect()
        };
        let known = !self.print && ctx.host.git(&folder, &["remote", "get-url", "orlop"]).is_ok();
        let verb = if known { "set-url" } else { "add" };
        let commands: [Vec<String>; 3] = [
            ["remote", verb, "orlop", &url].map(String::from).to_vec(),
            // An empty helper first: those of other places are not asked and keep no copy of the token.
            config(["--replace-all", "--"], ""),
            config(["--add", "--"], "!orlop git-credential"),
        ];
        let remote = Remote { remote: "orlop", url: url.clone(), set: !self.print };
        if self.print {
            ctx.out.reply(&remote, |_| commands.each_ref().map(|c| shown(c)).join("\n"))?;
            return Ok(Exit::Done);
        }
        for command in &commands {
            let args: Vec<_> = command.iter().map(String::as_str).collect();
            ctx.host.git(&folder, &args)?;
        }
        ctx.out.reply(&remote, |_| url)?;
        ctx.out.say("The remote `orlop` is set. Deploy with: git push orlop main");
        Ok(Exit::Done)
    }
}

/// A git command as it is typed.
fn shown(args: &[String]) -> String {
    let quoted = |arg: &String| {
        let is_plain = !arg.is_empty() && arg.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._/:@[]".contains(&b));
        if is_plain { arg.clone() } else { format!("'{arg}'") }
    };
    format!("git {}", args.iter().map(quoted).collect::<Vec<_>>().join(" "))
}
