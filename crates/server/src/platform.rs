//! The endpoints about the installation itself.

use std::sync::Arc;

use api::Page;
use api::platform::{self, Alive, Check, GetPlatform, Healthz, Readyz, Verdict};
use async_trait::async_trait;
use base::Result;
use kernel::{Answer, Call, Capability, Ctx, DoctorCheck, Endpoints};

/// The questions of the doctor, of all capabilities.
#[derive(Clone, Default)]
pub struct Doctor {
    checks: Arc<Vec<Arc<dyn DoctorCheck>>>,
}

impl Doctor {
    /// Collects what the capabilities registered.
    pub fn of(capabilities: &[Capability]) -> Self {
        let checks = capabilities.iter().flat_map(|c| c.checks.iter().cloned());
        let own: Arc<dyn DoctorCheck> = Arc::new(Database);
        Self { checks: Arc::new(std::iter::once(own).chain(checks).collect()) }
    }
}

/// The endpoints about the installation.
pub fn endpoints(doctor: Doctor) -> Endpoints {
    Endpoints::new()
        .on::<Healthz, _, _>(async |_: Ctx, _: Call<Healthz>| Ok(alive(Vec::new()).into()))
        .on::<Readyz, _, _>(readyz)
        .on::<GetPlatform, _, _>(get)
        .on::<platform::Doctor, _, _>(move |ctx, _| {
            let doctor = doctor.clone();
            async move { examine(&ctx, &doctor).await }
        })
}

fn alive(waiting_for: Vec<String>) -> Alive {
    Alive { ok: waiting_for.is_empty(), version: env!("CARGO_PKG_VERSION").to_owned(), waiting_for }
}

async fn readyz(ctx: Ctx, _: Call<Readyz>) -> Result<Answer<Alive>> {
    let mut waiting = Vec::new();
    if let Err(problem) = ctx.read().await {
        waiting.push(format!("database: {problem}"));
    }
    if let Err(problem) = ctx.platform().ports().gateway.status().await {
        waiting.push(format!("gateway: {problem}"));
    }
    Ok(alive(waiting).into())
}

async fn get(ctx: Ctx, _: Call<GetPlatform>) -> Result<Answer<platform::Platform>> {
    let platform = ctx.platform();
    let config = platform.config();
    let reports = platform.driver().reports().into_iter();
    let jobs = platform.store().jobs(&Default::default()).await?;
    Ok(platform::Platform {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started: platform.started(),
        database: format!("{:?}", platform.store().kind()).to_lowercase(),
        api: format!("http://{}", config.listen),
        gateway: format!("http://{}", config.gateway.listen),
        domain: config.domain.to_string(),
        reconcilers: reports
            .map(|(name, report)| platform::Reconciler {
                name: name.to_owned(),
                runs: report.runs,
                failures: report.failures,
                last_run: report.last_run,
                last_took_us: u64::try_from(report.last_took.as_micros()).unwrap_or(u64::MAX),
                last_error: report.last_error,
                status: report.status,
            })
            .collect(),
        jobs: jobs
            .into_iter()
            .map(|job| platform::Job {
                job: job.id,
                kind: job.kind,
                state: job.state.as_str().to_owned(),
                attempts: job.attempts,
                error: job.error,
            })
            .collect(),
    }
    .into())
}

async fn examine(ctx: &Ctx, doctor: &Doctor) -> Result<Answer<Page<Check>>> {
    let mut checks = Vec::new();
    for question in doctor.checks.iter() {
        checks.extend(question.check(ctx).await);
    }
    checks.sort_by(|a, b| b.verdict.cmp(&a.verdict).then_with(|| a.name.cmp(&b.name)));
    Ok(Page::whole(checks).into())
}

/// Asks the database.
struct Database;

#[async_trait]
impl DoctorCheck for Database {
    async fn check(&self, ctx: &Ctx) -> Vec<Check> {
        let name = "database".to_owned();
        vec![match ctx.platform().store().check().await {
            Ok(found) => Check { name, verdict: Verdict::Ok, found, fix: None },
            Err(problem) => Check {
                name,
                verdict: Verdict::Broken,
                found: problem.to_string(),
                fix: problem.hint.or_else(|| Some("restore the newest backup".to_owned())),
            },
        }]
    }
}
