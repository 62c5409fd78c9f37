use std::time::Duration;

use base::{Generation, HostName, Result};
use facts::{InstancesSeen, InstancesWanted, RouteSeen, ServedShare, TrafficWanted, place as subject};
use kernel::Ctx;
use ports::{Backend, ProbeAnswer, Route};

use super::traffic::{Served, View};
use crate::model::Place;

/// A probe through the gateway may take this long.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// Publishes what is served of each place. Returns whether something is still on its way.
pub(crate) async fn publish(ctx: &Ctx, view: &View, served: &Served) -> Result<bool> {
    let mut unsettled = false;
    for (wish, generation) in &view.wishes {
        let place = Place { service: wish.service.clone(), environment: wish.environment.clone() };
        let name = subject(&place.service, &place.environment);
        let mut read = ctx.read().await?;
        let before = kernel::latest_with::<RouteSeen>(&mut read, &name).await?;
        let path = health_path(&mut read, &name).await?;
        drop(read);
        let route =
            served.snapshot.routes.iter().find(|r| r.service == place.service && r.environment == place.environment);
        let look =
            Look { ctx, view, served, wish, place: &place, route, path, before: before.as_ref().map(|(fact, _)| fact) };
        let shares = look.shares().await;
        unsettled |= shares.iter().any(|s| (s.weight == 0 && s.in_flight > 0) || (s.weight > 0 && !s.probe_ok));
        let mut fact = look.fact(*generation, shares);
        if let Some((old, old_generation)) = &before {
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

/// The path that the newest set of a place names for its health.
async fn health_path(read: &mut impl store::Read, name: &str) -> Result<Option<String>> {
    let wanted: Option<InstancesWanted> = kernel::latest(read, name).await?;
    Ok(wanted
        .and_then(|w| w.sets.into_iter().next_back())
        .and_then(|set| set.processes.into_iter().filter(|p| !p.task).find_map(|p| p.health))
        .and_then(|health| health.path))
}

struct Look<'a> {
    ctx: &'a Ctx,
    view: &'a View,
    served: &'a Served,
    wish: &'a TrafficWanted,
    place: &'a Place,
    route: Option<&'a Route>,
    path: Option<String>,
    before: Option<&'a RouteSeen>,
}

impl Look<'_> {
    fn fact(&self, generation: Generation, shares: Vec<ServedShare>) -> RouteSeen {
        let hosts = self.served.hosts.of.get(self.place).cloned().unwrap_or_default();
        let degraded = self.served.gateway.degraded.as_ref().map(|why| format!("the gateway is degraded: {why}"));
        RouteSeen {
            service: self.place.service.clone(),
            environment: self.place.environment.clone(),
            generation,
            snapshot: self.served.gateway.generation,
            url: hosts.first().map(|host| self.ctx.platform().url_of(host)).unwrap_or_default(),
            hosts,
            shares,
            problem: self.served.hosts.problems.get(self.place).cloned().or(degraded).unwrap_or_default(),
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
            in_flight: 0,
            probe,
            probe_ok,
        }
    }

    /// The answer of a request through the gateway; asked anew only where something changed or the
    /// last answer was not good.
    async fn probe(&self, backend: &Backend) -> (String, bool) {
        let known = self.before.and_then(|b| b.shares.iter().find(|s| s.rollout == backend.rollout));
        if let Some(known) = known
            && known.probe_ok
            && !self.served.changed.contains(self.place)
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
                let of = |id| self.served.gateway.in_flight.iter().find(|(i, _)| *i == id).map_or(0, |(_, n)| *n);
                ServedShare {
                    rollout: p.rollout,
                    release: p.release,
                    weight: 0,
                    instances: 0,
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
