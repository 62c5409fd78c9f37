use base::Result;
use clap_complete::{Shell, generate};

use crate::Exit;
use crate::context::Ctx;

/// Write the completion script of a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "EXAMPLES:
  orlop completion bash > ~/.local/share/bash-completion/completions/orlop
  orlop completion zsh > ~/.zfunc/_orlop
  orlop completion fish > ~/.config/fish/completions/orlop.fish")]
pub struct Args {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

impl Args {
    pub async fn run(self, ctx: &Ctx<'_>) -> Result<Exit> {
        let mut script = Vec::new();
        generate(self.shell, &mut ctx.command.clone(), "orlop", &mut script);
        ctx.out.data(&String::from_utf8_lossy(&script))?;
        Ok(Exit::Done)
    }
}
