//! The endpoints about the installation itself.

use api::platform::{self, Alive, GetPlatform, Healthz, Readyz};
use base::Result;
use kernel::{Answer, Call, Ctx, Endpoints};

use crate::doctor::Doctor;

/// The endpoints about the installation.
pub fn endpoints(doctor: Doctor) -> Endpoints {
    Endpoints::new()
        .on::<Healthz, _, _>(async |_: Ctx, _: Call<Healthz>| Ok(alive(Vec::new()).into()))
        .on::<Readyz, _, _>(readyz)
        .on::<GetPlatform, _, _>(get)
        .on::<platform::Doctor, _, _>(move |ctx, call| {
            let doctor = doctor.clone();
            async move { Ok(doctor.examine(&ctx, call.query.thorough).await.into()) }
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
