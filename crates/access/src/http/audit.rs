use api::Page;
use api::access::{AuditRecord, AuditVerification, ListActivity, ListAudit, VerifyAudit, WatchEvents};
use base::{FactSeq, Problem, Result};
use kernel::{Answer, Call, Ctx, EventStream};
use store::StoredFact;

use crate::work;

/// Facts looked through for one page of a service's activity.
const LOOKED_THROUGH: u32 = 2_000;

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
    let service = call.path.service;
    let size = call.query.size();
    let mut read = ctx.read().await?;
    let facts = store::facts_before(&mut read, cursor(call.query.after.as_deref())?, &[], None, LOOKED_THROUGH).await?;
    let more = facts.len() >= usize::try_from(LOOKED_THROUGH).unwrap_or(usize::MAX);
    let last = facts.last().map(|f| f.seq.to_string());
    let of_service = |fact: &StoredFact| fact.body.get("service").and_then(|s| s.as_str()) == Some(service.as_str());
    let mut items: Vec<_> = facts.into_iter().filter(of_service).map(work::record).collect();
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let next = match items.len() > size {
        true => {
            items.truncate(size);
            items.last().map(|r| r.seq.to_string())
        }
        false => last.filter(|_| more),
    };
    Ok(Page { items, next }.into())
}

/// Checks the whole chain.
pub(crate) async fn verify(ctx: Ctx, _: Call<VerifyAudit>) -> Result<Answer<AuditVerification>> {
    let found = ctx.platform().store().verify_facts().await?;
    let (first_bad, problem) = found.first_bad.map_or((None, None), |(seq, what)| (Some(seq), Some(what)));
    Ok(AuditVerification { ok: found.ok, checked: i64::try_from(found.facts).unwrap_or(i64::MAX), first_bad, problem }
        .into())
}

/// Changes as they happen.
pub(crate) async fn watch(ctx: Ctx, call: Call<WatchEvents>) -> Result<EventStream<AuditRecord>> {
    work::watch(ctx, call.query, call.last_event_id.as_deref()).await
}

fn cursor(text: Option<&str>) -> Result<Option<FactSeq>> {
    let bad = |_| Problem::unprocessable("bad-cursor", "`after` is not the `next` of a page").at("query.after");
    text.map(|t| t.parse().map(FactSeq).map_err(bad)).transpose()
}
