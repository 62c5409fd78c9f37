//! The audit trail, and whether it is what was written.

use api::Nothing;
use api::access::{AuditQuery, AuditVerification, ListAudit, VerifyAudit};
use askama::Template;
use axum::Router;
use axum::extract::Query;
use axum::routing::get;
use serde::Deserialize;

use super::Outcome;
use super::telling::Told;
use crate::links;
use crate::shell::{Section, Shell, html};
use crate::site::Site;
use crate::visit::Visit;

pub(crate) fn routes() -> Router<Site> {
    Router::new().route("/audit", get(list))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Asked {
    kind: String,
    subject: String,
    after: String,
    verify: String,
}

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    shell: Shell,
    asked: Asked,
    facts: Vec<Told>,
    next: Option<String>,
    verification: Option<AuditVerification>,
}

async fn list(visit: Visit, Query(asked): Query<Asked>) -> Outcome {
    let given = |text: &String| Some(text.trim().to_owned()).filter(|t| !t.is_empty());
    let query = AuditQuery {
        limit: Some(100),
        after: given(&asked.after),
        kind: given(&asked.kind),
        subject: given(&asked.subject),
    };
    let page = visit.api.ask::<ListAudit>(&Nothing {}, &query).await?;
    let verification = match asked.verify.is_empty() {
        true => None,
        false => Some(visit.api.get::<VerifyAudit>(&Nothing {}).await?),
    };
    let next = page
        .next
        .map(|after| links::query("/audit", &[("kind", &asked.kind), ("subject", &asked.subject), ("after", &after)]));
    let facts = page.items.into_iter().map(|record| Told::of(record, visit.now)).collect();
    html(&AuditPage { shell: visit.shell(Section::Audit, "Audit"), asked, facts, next, verification })
}
