//! What a push means: the default branch is deployed, everything else is kept.

use std::time::Duration;

use api::deliver::Progress as Told;
use async_trait::async_trait;
use base::{Problem, Result, ServiceName, TeamName, Time};
use facts::{ServiceState, ServiceWanted};
use kernel::{Ctx, Target};
use ports::{Advice, Progress, PushUpdate, PushVerdict, ReceivePolicy};

use super::build::is_ours;
use super::landing;
use super::progress::{Follow, Position};
use super::submit::{admit, first};
use crate::model::{Landing, one_line};
use crate::state;

/// Branches whose pushes are deployed.
const DEFAULT_BRANCHES: [&str; 2] = ["refs/heads/main", "refs/heads/master"];
/// How long a new service may take to come into being.
const CREATED_WITHIN: Duration = Duration::from_secs(10);
/// It is looked for this often.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Longest line kept of a message or an author.
const LINE_CHARS_MAX: usize = 200;

pub(super) struct Push {
    ctx: Ctx,
    service: ServiceName,
    began: Time,
}

impl Push {
    pub(super) fn new(ctx: &Ctx, service: &ServiceName) -> Self {
        Self { ctx: ctx.clone(), service: service.clone(), began: ctx.now() }
    }
}

#[async_trait]
impl ReceivePolicy for Push {
    async fn judge(&self, update: &PushUpdate) -> PushVerdict {
        let verdict = match (is_default(update), &update.new) {
            (true, None) => Err(Problem::conflict("default-branch", "the branch that is deployed cannot be deleted")),
            (true, Some(commit)) => self.welcome(update, commit).await,
            (false, _) => self.create().await,
        };
        match verdict {
            Ok(()) => PushVerdict::Accept,
            Err(problem) => PushVerdict::Refuse(problem.to_string()),
        }
    }

    async fn landed(&self, updates: &[PushUpdate], progress: &dyn Progress) {
        if let Err(problem) = self.tell(updates, progress).await {
            tracing::warn!(service = %self.service, %problem, "a push could not be deployed");
            // The person may be gone; the log has it.
            let _ = say(progress, &format!("error: {problem}")).await;
        }
    }
}

impl Push {
    async fn welcome(&self, update: &PushUpdate, commit: &str) -> Result<()> {
        self.create().await?;
        admit(&self.ctx, &self.service).await?;
        let mut tx = self.ctx.begin().await?;
        state::put_landing(&mut tx, &self.landing(update, commit)).await?;
        tx.commit().await
    }

    /// Sees to it that the service exists.
    async fn create(&self) -> Result<()> {
        let state = self.state().await?;
        if let Some(state) = state {
            return match state.removed {
                false => Ok(()),
                true => {
                    Err(Problem::conflict("service-removed", format!("the service `{}` was removed", self.service))
                        .hint(format!("bring it back: `orlop service restore {}`", self.service)))
                }
            };
        }
        if !matches!(self.ctx.permit().target(), Target::NoService(_)) {
            return Err(Problem::not_found("service-not-found", format!("there is no service `{}`", self.service)));
        }
        let team = self.team()?;
        let wanted = ServiceWanted { service: self.service.clone(), team, description: String::new() };
        let mut tx = self.ctx.begin().await?;
        self.ctx.publish(&mut tx, &wanted).await?;
        tx.commit().await?;
        self.created().await
    }

    /// The team that a new service belongs to: the only one of whoever pushes.
    fn team(&self) -> Result<TeamName> {
        let mut teams = self.ctx.permit().identity().teams.keys();
        let how = format!("make the service first: `orlop service create {} --team TEAM`", self.service);
        match (teams.next(), teams.next()) {
            (Some(team), None) => Ok(team.clone()),
            (None, _) => Err(Problem::conflict(
                "no-team",
                format!("the service `{}` does not exist, and you are in no team", self.service),
            )
            .hint(how)),
            (Some(_), Some(_)) => {
                let all: Vec<&str> = self.ctx.permit().identity().teams.keys().map(TeamName::as_str).collect();
                Err(Problem::conflict(
                    "which-team",
                    format!("the service `{}` does not exist, and it could belong to {}", self.service, all.join(", ")),
                )
                .hint(how))
            }
        }
    }

    async fn created(&self) -> Result<()> {
        let clock = &self.ctx.platform().ports().clock;
        let began = clock.elapsed();
        while clock.elapsed().saturating_sub(began) < CREATED_WITHIN {
            if self.state().await?.is_some_and(|state| !state.removed) {
                return Ok(());
            }
            clock.sleep(LOOK_EVERY).await;
        }
        Err(Problem::timeout(
            "service-not-created",
            format!("the service `{}` did not come into being within 10 s", self.service),
        )
        .hint("push again"))
    }

    async fn state(&self) -> Result<Option<ServiceState>> {
        kernel::latest(&mut self.ctx.read().await?, self.service.as_str()).await
    }

    /// Deploys the default branch and says what happens to everything else.
    async fn tell(&self, updates: &[PushUpdate], progress: &dyn Progress) -> Result<()> {
        let deployed = updates.iter().find(|update| is_default(update) && update.new.is_some());
        for update in updates.iter().filter(|update| Some(*update) != deployed) {
            let done = if update.new.is_some() { "stored" } else { "removed" };
            say(
                progress,
                &format!(
                    "{done} {}; pushes to main or master are deployed",
                    one_line(&update.reference, LINE_CHARS_MAX)
                ),
            )
            .await?;
        }
        match deployed {
            Some(update) => self.deploy(update, progress).await,
            None => Ok(()),
        }
    }

    async fn deploy(&self, update: &PushUpdate, progress: &dyn Progress) -> Result<()> {
        let ctx = &self.ctx;
        let Some(commit) = &update.new else { return Ok(()) };
        let environment = first(&state::environments(&mut ctx.read().await?).await?)?;
        say(progress, &format!("deploying {} of {} to {environment}", short(commit), self.service)).await?;
        let landing = self.landing(update, commit);
        let source = match landing::deploy(ctx, &landing, None).await {
            Ok(Some(source)) => source,
            Ok(None) => return Ok(()),
            Err(problem) => {
                self.fails(&landing, &problem).await?;
                if is_ours(&problem) {
                    say(progress, "the push is kept, and deploying it is tried again").await?;
                }
                return Err(problem);
            }
        };
        let mut follow = Follow::new(ctx.clone(), self.service.clone(), source, Position::default());
        while let Some(event) = follow.next().await? {
            for line in lines(&event.data) {
                // Nobody listens any more: the deploy goes on without them.
                if say(progress, &line).await.is_err() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// A fault of the platform is tried again without the person: git would not send the commit again.
    async fn fails(&self, landing: &Landing, problem: &Problem) -> Result<()> {
        let mut tx = self.ctx.begin().await?;
        match is_ours(problem) {
            true => landing::enqueue(&mut tx, landing).await?,
            false => drop(state::take_landing(&mut tx, landing).await?),
        }
        tx.commit().await
    }

    fn landing(&self, update: &PushUpdate, commit: &str) -> Landing {
        Landing {
            service: self.service.clone(),
            reference: update.reference.clone(),
            commit: commit.to_owned(),
            message: one_line(&update.subject, LINE_CHARS_MAX),
            author: one_line(&update.author, LINE_CHARS_MAX),
            created: self.began,
            actor: self.ctx.actor().clone(),
        }
    }
}

fn is_default(update: &PushUpdate) -> bool {
    DEFAULT_BRANCHES.contains(&update.reference.as_str())
}

fn short(commit: &str) -> &str {
    commit.get(..9).unwrap_or(commit)
}

async fn say(progress: &dyn Progress, line: &str) -> Result<()> {
    progress.say(Advice::Line(line.to_owned())).await
}

/// An event as lines beside `remote:`.
fn lines(event: &Told) -> Vec<String> {
    match event {
        Told::Stage { stage, text, .. } => vec![format!("{stage:>8}  {text}")],
        Told::Line { text, .. } => vec![format!("          {text}")],
        Told::Done { ok, text, evidence, url, .. } => {
            let mut out = vec![String::new(), format!("{} {text}", if *ok { "done:" } else { "failed:" })];
            if !ok {
                out.extend(evidence.iter().map(|line| format!("    {line}")));
            }
            out.extend(url.iter().map(|url| format!("    {url}")));
            out.push(String::new());
            out
        }
    }
}
