//! One file for each verb; verbs of a noun lie in the noun's folder.

/// Declares a noun's verbs: the enum that clap reads and its dispatch.
macro_rules! noun {
    ($(#[$meta:meta])* $($module:ident => $name:ident),+ $(,)?) => {
        $(mod $module;)+

        $(#[$meta])*
        #[derive(Debug, clap::Subcommand)]
        #[command(disable_help_subcommand = true)]
        pub enum Verb {
            $($name($module::Args),)+
        }

        impl Verb {
            pub async fn run(self, ctx: &crate::context::Ctx<'_>) -> base::Result<crate::Exit> {
                match self {
                    $(Self::$name(args) => args.run(ctx).await,)+
                }
            }
        }
    };
}

pub mod audit;
pub mod build;
pub mod builds;
pub mod cancel;
pub mod completion;
pub mod deploy;
pub mod doctor;
pub mod env;
pub mod events;
pub mod explain;
pub mod git_credential;
pub mod git_remote;
pub mod login;
pub mod logout;
pub mod logs;
pub mod metrics;
pub mod new;
pub mod open;
pub mod person;
pub mod platform;
pub mod promote;
pub mod release;
pub mod releases;
pub mod restart;
pub mod rollback;
pub mod rollout;
pub mod route;
pub mod runs;
pub mod scale;
pub mod service;
pub mod setting;
pub mod status;
pub mod team;
pub mod token;
pub mod topology;
pub mod traffic;
pub mod view;
pub mod whoami;
pub mod why;
