use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base::{Generation, HostName, Result, ServiceName};
use facts::{InstancesSeen, InstancesWanted, RouteSeen, ServedShare, TrafficWanted};
use kernel::Ctx;
use ports::{Backend, GatewayStatus, ProbeAnswer, Route};

use super::traffic::{Decision, View};
use crate::model::Place;

/// A probe through the gateway may take this long.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// Publishes what is served of each place of these services. Returns the services of which
/// something is still on its way.
pub(crate) async fn publish(
    ctx: &Ctx,
    services: &BTreeSet<ServiceName>,
    view: &View,
    decision: &Decision,
    gateway: &GatewayStatus,
) -> Result<BTreeSet<ServiceName>> {
    let told = Told::load(ctx, services).await?;
    let mut unsettled = BTreeSet::new();
    for (wish, generation) in view.wishes.iter().filter(|(wish, _)| services.contains(&wish.service)) {
        let place = Place { service: wish.service.clone(), environment: wish.environment.clone() };
        let (at, route) =
            decision.routes.get(&place).map_or((Generation(0), None), |(at, route)| (*at, route.as_ref()));
        let before = told.routes.get(&place);
        let path = told.paths.get(&place).cloned();
        let look = Look {
            ctx,
            view,
            decision,
            gateway,
            wish,
            generation: *generation,
            place: &place,
            route,
            at,
            path,
            before: before.map(|(fact, _)| fact),
        };
        let shares = look.shares().await;
        if shares.iter().any(|s| (s.weight == 0 && s.in_flight > 0) || (s.weight > 0 && !s.probe_ok)) {
            unsettled.insert(place.service.clone());
        }
        let mut fact = look.fact(shares);
        if let Some((old, old_generation)) = before {
            fact.since = old.since;
            if *old == fact && old_generation == generation {
                continue;
            }
            fact.since = ctx.now();
        }
        let mut tx = ctx.begin().await?;
        ctx.publish_at(&mut tx, &fact, *generation).await?;
        tx.commit().await?;
    }
    Ok(unsettled)
}

/// What others were told before, and by which path the health of a place is asked.
#[derive(Default)]
struct Told {
    routes: BTreeMap<Place, (RouteSeen, Generation)>,
    paths: BTreeMap<Place, String>,
}

impl Told {
    async fn load(ctx: &Ctx, services: &BTreeSet<ServiceName>) -> Result<Self> {
        let mut told = Self::default();
        let mut read = ctx.read().await?;
        for service in services {
            for (fact, generation) in kernel::latest_of::<RouteSeen>(&mut read, service).await? {
                let place = Place { service: fact.service.clone(), environment: fact.environment.clone() };
                told.routes.insert(place, (fact, generation));
            }
            for (wanted, _) in kernel::latest_of::<InstancesWanted>(&mut read, service).await? {
                let place = Place { service: wanted.service.clone(), environment: wanted.environment.clone() };
                told.paths.extend(health_path(wanted).map(|path| (place, path)));
            }
        }
        Ok(told)
    }
}

/// The path that the newest set of a place names for its health.
fn health_path(wanted: InstancesWanted) -> Option<String> {
    let newest = wanted.sets.into_iter().next_back()?;
    newest.processes.into_iter().filter(|p| !p.task).find_map(|p| p.health)?.path
}

struct Look<'a> {
    ctx: &'a Ctx,
    view: &'a View,
    decision: &'a Decision,
    gateway: &'a GatewayStatus,
    wish: &'a TrafficWanted,
    generation: Generation,
    place: &'a Place,
    route: Option<&'a Route>,
    /// The generation that the route came with.
    at: Generation,
    path: Option<String>,
    before: Option<&'a RouteSeen>,
}

impl Look<'_> {
    fn fact(&self, shares: Vec<ServedShare>) -> RouteSeen {
        let hosts = self.decision.hosts.of.get(self.place).cloned().unwrap_or_default();
        let degraded = self.gateway.degraded.as_ref().map(|why| format!("the gateway is degraded: {why}"));
        RouteSeen {
            service: self.place.service.clone(),
            environment: self.place.environment.clone(),
            generation: self.generation,
            snapshot: self.at,
            url: hosts.first().map(|host| self.ctx.platform().url_of(host)).unwrap_or_default(),
            hosts,
            shares,
            problem: self.decision.hosts.problems.get(self.place).cloned().or(degraded).unwrap_or_default(),
            since: self.ctx.now(),
        }
    }

    /// What is served of each rollout that has a share, and of those that are still finishing requests.
    async fn shares(&self) -> Vec<ServedShare> {
        let mut shares = Vec::new();
        for backend in self.route.map_or(&[][..], |route| &route.backends) {
            shares.push(self.share(backend).await);
        }
        shares.extend(self.draining());
        shares
    }

    async fn share(&self, backend: &Backend) -> ServedShare {
        let (probe, probe_ok) = self.probe(backend).await;
        ServedShare {
            rollout: backend.rollout,
            release: backend.release,
            weight: backend.weight,
            instances: u32::try_from(backend.instances.len()).unwrap_or(u32::MAX),
            members: backend.instances.iter().map(|instance| instance.id).collect(),
            in_flight: 0,
            probe,
            probe_ok,
        }
    }

    /// The answer of a request through the gateway; asked anew only where something changed, the last answer was not
    /// good, or it was wished anew.
    async fn probe(&self, backend: &Backend) -> (String, bool) {
        let known = self.before.and_then(|b| b.shares.iter().find(|s| s.rollout == backend.rollout));
        if let Some(known) = known
            && known.probe_ok
            && self.before.is_some_and(|before| before.snapshot >= self.at && before.generation >= self.generation)
        {
            return (known.probe.clone(), true);
        }
        if backend.instances.is_empty() {
            return ("no instance is ready".to_owned(), false);
        }
        let Some(host) = self.route.and_then(|route| route.hosts.first()) else {
            return ("the route has no host".to_owned(), false);
        };
        self.ask(host, backend).await
    }

    async fn ask(&self, host: &HostName, backend: &Backend) -> (String, bool) {
        let gateway = &self.ctx.platform().ports().gateway;
        let path = self.path.as_deref().unwrap_or("/");
        match gateway.probe(host, backend.rollout, path, PROBE_TIMEOUT).await {
            Ok(answer) => judge(&answer, path, self.path.is_some(), host),
            Err(problem) => (format!("GET {path} for {host}: {problem}"), false),
        }
    }

    /// Rollouts without a share whose instances still have requests.
    fn draining(&self) -> Vec<ServedShare> {
        let shared = |rollout| self.wish.shares.iter().any(|s| s.rollout == rollout);
        let seen = self
            .view
            .instances
            .iter()
            .find(|s: &&InstancesSeen| s.service == self.place.service && s.environment == self.place.environment);
        let processes = seen.map_or(&[][..], |s| &s.processes);
        processes
            .iter()
            .filter(|p| !p.task && !shared(p.rollout) && p.instances.iter().any(|i| i.address.is_some()))
            .map(|p| {
                let of = |id| self.gateway.in_flight.iter().find(|(i, _)| *i == id).map_or(0, |(_, n)| *n);
                ServedShare {
                    rollout: p.rollout,
                    release: p.release,
                    weight: 0,
                    instances: 0,
                    members: Vec::new(),
                    in_flight: p.instances.iter().map(|i| of(i.id)).sum(),
                    probe: String::new(),
                    probe_ok: false,
                }
            })
            .collect()
    }
}

/// With a health path only 200–399 is good; without one every answer of the instance is.
fn judge(answer: &ProbeAnswer, path: &str, named: bool, host: &HostName) -> (String, bool) {
    let ok = !answer.from_gateway && (!named || (200..400).contains(&answer.status));
    let by = if answer.from_gateway { "the gateway itself" } else { "the instance" };
    (format!("GET {path} for {host} through the gateway: {} from {by}", answer.status), ok)
}

#[cfg(test)]
mod tests {
    use base::{InstanceId, ReleaseId, Time};

    use super::*;

    #[test]
    fn an_error_page_of_the_gateway_is_never_good() {
        let host: HostName = "a-dev.localhost".parse().unwrap();
        let answer = |status, from_gateway| ProbeAnswer {
            status,
            release: ReleaseId::new(Time::default(), [0; 10]),
            instance: InstanceId::new(Time::default(), [0; 10]),
            took_us: 1,
            from_gateway,
        };
        for (status, from_gateway, named, good) in [
            (200, false, true, true),
            (302, false, true, true),
            (404, false, true, false),
            (500, false, true, false),
            (404, false, false, true),
            (200, true, true, false),
            (502, true, false, false),
        ] {
            assert_eq!(
                judge(&answer(status, from_gateway), "/", named, &host).1,
                good,
                "{status} {from_gateway} {named}"
            );
        }
    }
}
