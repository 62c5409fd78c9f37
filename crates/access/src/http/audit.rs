use std::sync::Arc;

use api::Page;
use api::access::{AuditRecord, AuditVerification, ListActivity, ListAudit, VerifyAudit, WatchEvents};
use base::{FactSeq, Problem, Result};
use kernel::{Answer, Call, Ctx, EventStream};

use crate::work::{self, Tail};

/// The audit trail, newest first.
pub(crate) async fn list(ctx: Ctx, call: Call<ListAudit>) -> Result<Answer<Page<AuditRecord>>> {
    let query = call.query;
    let page = api::PageQuery { limit: query.limit, after: query.after };
    let before = cursor(page.after.as_deref())?;
    let kinds: Vec<&str> = query.kind.iter().map(String::as_str).collect();
    let mut read = ctx.read().await?;
    let facts = store::facts_before(&mut read, before, &kinds, query.subject.as_deref(), page.size()).await?;
    Ok(Page::of_rows(facts, page.size(), |fact| fact.seq.to_string(), |fact| Some(work::record(fact))).into())
}

/// What happened to one service, newest first.
pub(crate) async fn activity(ctx: Ctx, call: Call<ListActivity>) -> Result<Answer<Page<AuditRecord>>> {
    let (service, size) = (call.path.service, call.query.size());
    let before = cursor(call.query.after.as_deref())?;
    let facts = store::facts_about(&mut ctx.read().await?, service.as_str(), before, size).await?;
    Ok(Page::of_rows(facts, size, |fact| fact.seq.to_string(), |fact| Some(work::record(fact))).into())
}

/// Checks the whole chain.
pub(crate) async fn verify(ctx: Ctx, _: Call<VerifyAudit>) -> Result<Answer<AuditVerification>> {
    let found = ctx.platform().store().verify_facts().await?;
    let (first_bad, problem) = found.first_bad.map_or((None, None), |(seq, what)| (Some(seq), Some(what)));
    Ok(AuditVerification { ok: found.ok, checked: i64::try_from(found.facts).unwrap_or(i64::MAX), first_bad, problem }
        .into())
}

/// Changes as they happen.
pub(crate) async fn watch(ctx: Ctx, call: Call<WatchEvents>, tail: Arc<Tail>) -> Result<EventStream<AuditRecord>> {
    work::watch(ctx, tail, call.query, call.last_event_id.as_deref()).await
}

fn cursor(text: Option<&str>) -> Result<Option<FactSeq>> {
    let bad = |_| Problem::unprocessable("bad-cursor", "`after` is not the `next` of a page").at("query.after");
    text.map(|t| t.parse().map(FactSeq).map_err(bad)).transpose()
}
