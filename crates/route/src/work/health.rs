use api::platform::{Check, Verdict};
use async_trait::async_trait;
use kernel::{Ctx, DoctorCheck};

/// Asks the gateway how it is.
pub(crate) struct GatewayHealth;

#[async_trait]
impl DoctorCheck for GatewayHealth {
    async fn check(&self, ctx: &Ctx) -> Vec<Check> {
        let name = "gateway".to_owned();
        let check = match ctx.platform().ports().gateway.status().await {
            Ok(status) => match status.degraded {
                None => Check { name, verdict: Verdict::Ok, found: found(&status), fix: None },
                Some(why) => Check {
                    name,
                    verdict: Verdict::Limited,
                    found: format!("serves its last good snapshot: {why}"),
                    fix: Some("see the gateway's log in the data directory; `orlop up` hands it a new snapshot".into()),
                },
            },
            Err(problem) => Check {
                name,
                verdict: Verdict::Broken,
                found: format!("does not answer: {problem}"),
                fix: Some("run `orlop up`: it starts a gateway where none runs".into()),
            },
        };
        vec![check]
    }
}

fn found(status: &ports::GatewayStatus) -> String {
    let at: Vec<String> = status.listeners.iter().map(|l| l.address.to_string()).collect();
    let refused = match status.refused {
        0 => String::new(),
        n => format!("; refused {n} connections beyond its bounds (of one client: `gateway.connections_per_client`)"),
    };
    format!("serves {} routes on {} (snapshot {}){refused}", status.routes, at.join(", "), status.generation)
}
