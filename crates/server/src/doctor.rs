use std::sync::Arc;
use std::time::Duration;

use api::Page;
use api::platform::{Check, Verdict};
use base::{Result, Time};
use kernel::{Capability, Ctx, DoctorCheck};
use tokio::sync::Mutex;

/// A look through the pages of the database that is older is renewed when somebody asks.
const LOOK_LASTS: Duration = Duration::from_secs(3600);
/// What is said before the first look is over.
const LOOKING: &str = "its pages are being looked through";

/// Asks everything that can be wrong with the installation.
#[derive(Clone, Default)]
pub struct Doctor {
    checks: Arc<Vec<Arc<dyn DoctorCheck>>>,
    /// Held while the pages are looked through: one look serves all who ask meanwhile.
    looked: Arc<Mutex<Option<Look>>>,
}

/// What a look through all pages of the database found.
#[derive(Clone)]
struct Look {
    at: Time,
    found: Result<String>,
}

impl Doctor {
    /// Collects what the capabilities registered.
    pub fn of(capabilities: &[Capability]) -> Self {
        let checks = capabilities.iter().flat_map(|c| c.checks.iter().cloned()).collect();
        Self { checks: Arc::new(checks), looked: Arc::default() }
    }

    /// All answers, the worst first.
    pub(crate) async fn examine(&self, ctx: &Ctx, thorough: bool) -> Page<Check> {
        let mut checks = vec![database(self.database(ctx, thorough).await)];
        for question in self.checks.iter() {
            checks.extend(question.check(ctx).await);
        }
        checks.sort_by(|a, b| b.verdict.cmp(&a.verdict).then_with(|| a.name.cmp(&b.name)));
        Page::whole(checks)
    }

    async fn database(&self, ctx: &Ctx, thorough: bool) -> Result<String> {
        let store = ctx.platform().store();
        let answers = store.check(false).await?;
        if !store.has_pages() {
            return Ok(answers);
        }
        if thorough {
            return self.look(ctx).await;
        }
        // Held: somebody looks right now.
        let Ok(last) = self.looked.try_lock().map(|look| look.clone()) else {
            return Ok(format!("{answers}; {LOOKING}"));
        };
        if last.as_ref().is_none_or(|look| ctx.now().since(look.at) > LOOK_LASTS) {
            let (doctor, ctx) = (self.clone(), ctx.clone());
            tokio::spawn(async move { doctor.look(&ctx).await });
        }
        match last {
            None => Ok(format!("{answers}; {LOOKING}")),
            Some(Look { at, found }) => found.map(|found| format!("{found} (pages looked through at {at})")),
        }
    }

    /// Looks through all pages, unless somebody did since this was asked for.
    async fn look(&self, ctx: &Ctx) -> Result<String> {
        let asked = ctx.now();
        let mut last = self.looked.lock().await;
        if let Some(look) = last.as_ref().filter(|look| look.at > asked) {
            return look.found.clone();
        }
        let found = ctx.platform().store().check(true).await;
        // What kept it from looking says nothing of the pages, and is no answer for an hour.
        if found.as_ref().err().is_none_or(|problem| problem.code == "storage-corrupt") {
            *last = Some(Look { at: ctx.now(), found: found.clone() });
        }
        found
    }
}

fn database(asked: Result<String>) -> Check {
    let name = "database".to_owned();
    match asked {
        Ok(found) => Check { name, verdict: Verdict::Ok, found, fix: None },
        Err(problem) => Check {
            name,
            verdict: Verdict::Broken,
            found: problem.to_string(),
            fix: problem.hint.or_else(|| Some("restore the newest backup".to_owned())),
        },
    }
}
