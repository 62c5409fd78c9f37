//! A control plane with this one capability over a real SQLite store. The world plays its
//! neighbours: it answers wishes with what is seen, by a behaviour for each release number.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::Endpoint;
use api::access::Role;
use api::deliver::Progress;
use async_trait::async_trait;
use base::{Actor, Generation, InstanceId, Problem, Result, RolloutId, ServiceName, TeamName, Time};
use facts::{
    Fact, InstanceView, InstancesSeen, InstancesWanted, ProcessSeen, RouteSeen, ServedShare, ServiceState,
    TrafficWanted,
};
use futures_util::StreamExt;
use kernel::{
    Admission, Authority, Config, Credential, Ctx, ErasedHandler, Identity, Permit, Platform, Ports, RawCall, RawReply,
    Target,
};
use ports::{ByteStream, ExitKind, InstanceState};
use serde_json::Value;
use store::testing::{TestClock, TestRandom, options};

use crate::ports::{Memory, NoGateway, Pushes, Settings, Tasks, collect, stream};

/// How the instances of a release behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acts {
    Well,
    /// Ends again and again.
    Crashes,
    /// Never answers its probe.
    Deaf,
    /// Answers while it has no traffic, and fails under it.
    BreaksUnderTraffic,
    /// Its answers through the gateway are errors.
    Errors,
    /// Its release command fails.
    TaskFails,
}

pub struct World {
    pub platform: Platform,
    pub clock: Arc<TestClock>,
    pub objects: Arc<Memory>,
    pub engine: Arc<Tasks>,
    pub vault: Arc<Settings>,
    pub sources: Arc<Pushes>,
    pub acts: Mutex<BTreeMap<i64, Acts>>,
    /// Requests of old instances that are under way.
    pub in_flight: Mutex<u64>,
    /// Whether neighbours answer at all.
    pub silent: Mutex<bool>,
    pub teams: Arc<Mutex<Vec<TeamName>>>,
    handlers: BTreeMap<&'static str, (api::Row, ErasedHandler)>,
    started: Mutex<BTreeMap<(RolloutId, String), (InstanceId, Time)>>,
    _dir: tempfile::TempDir,
}

struct Everybody(Arc<Mutex<Vec<TeamName>>>);

#[async_trait]
impl Authority for Everybody {
    async fn identify(&self, _: &Platform, _: &Credential) -> Result<Identity> {
        let teams = self.0.lock().unwrap().iter().map(|team| (team.clone(), Role::Developer)).collect();
        let person: base::PersonName = "ada".parse().unwrap();
        Ok(Identity { actor: Actor::Person(person.clone()), person: Some(person), teams, ..Identity::anonymous() })
    }
    fn decide(&self, _: &Identity, _: api::Access, _: &Target) -> Result<()> {
        Ok(())
    }
    fn may_see(&self, _: &Identity, _: &TeamName, _: Option<&ServiceName>) -> bool {
        true
    }
    fn sees_all(&self, _: &Identity) -> bool {
        true
    }
}

impl World {
    /// With the service `shop`.
    pub async fn new() -> Self {
        let world = Self::empty().await;
        world.service("shop", false).await;
        world
    }

    /// Without any service.
    pub async fn empty() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = TestClock::at(1_700_000_000_000_000);
        let random = TestRandom::seeded(7);
        let vars = [("HTTP_PROXY", "http://proxy"), ("SECRET", "hunter2"), ("PATH", "/usr/bin")];
        let vars = vars.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let mut capability = deliver::capability(deliver::BuildEnvironment { vars });
        let url = format!("sqlite:{}", dir.path().join("orlop.db").display());
        let store = store::Store::open(store::Options {
            migrations: capability.migrations.clone(),
            ..options(&url, clock.clone(), random.clone())
        })
        .await
        .unwrap();
        let objects = Arc::new(Memory::default());
        let engine = Arc::new(Tasks {
            objects: objects.clone(),
            all: Mutex::default(),
            end: Mutex::new(Some(ExitKind::Status { status: 0 })),
            clock: clock.clone(),
        });
        let vault = Arc::new(Settings::default());
        let sources = Arc::new(Pushes { update: Mutex::new(push("refs/heads/main")), tree: Mutex::default() });
        let ports = Ports {
            engine: engine.clone(),
            gateway: Arc::new(NoGateway),
            objects: objects.clone(),
            sources: sources.clone(),
            vault: vault.clone(),
            signals: Arc::new(sim::Recent::default()),
            clock: clock.clone(),
            random,
        };
        let teams = Arc::new(Mutex::new(vec!["shopping".parse().unwrap()]));
        let admission = Admission::new(std::mem::take(&mut capability.hooks));
        let platform =
            Platform::new(store, ports, Config::defaults(dir.path()), Arc::new(Everybody(teams.clone())), admission);
        let endpoints = std::mem::take(&mut capability.endpoints);
        platform.driver().install(&[capability]);
        let handlers = endpoints.into_mounted().into_iter().map(|m| (m.row.id, (m.row, m.handler))).collect();
        Self {
            platform,
            clock,
            objects,
            engine,
            vault,
            sources,
            acts: Mutex::default(),
            in_flight: Mutex::default(),
            silent: Mutex::new(false),
            teams,
            handlers,
            started: Mutex::default(),
            _dir: dir,
        }
    }

    /// Lets a service exist, or be removed.
    pub async fn service(&self, name: &str, removed: bool) {
        let team = "shopping".parse().unwrap();
        self.publish(&ServiceState { service: name.parse().unwrap(), team, description: String::new(), removed }).await;
    }

    pub async fn publish<F: Fact>(&self, fact: &F) {
        let ctx = self.platform.ctx("world");
        let mut tx = ctx.begin().await.unwrap();
        ctx.publish(&mut tx, fact).await.unwrap();
        tx.commit().await.unwrap();
    }

    pub async fn latest<F: Fact>(&self, subject: &str) -> Option<(F, Generation)> {
        kernel::latest_with(&mut self.platform.store().read().await.unwrap(), subject).await.unwrap()
    }

    #[expect(clippy::too_many_arguments, reason = "a request has this many parts")]
    async fn raw(
        &self,
        id: &str,
        path: &[(&str, &str)],
        query: &str,
        body: Value,
        content: Option<Vec<u8>>,
        head: http::request::Parts,
        after: Option<String>,
    ) -> Result<RawReply> {
        let (row, handler) = &self.handlers[id];
        let path: BTreeMap<String, String> = path.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let permit: Permit = kernel::authorize(&self.platform, &Credential::None, row.access, &path).await?;
        let call = RawCall {
            path,
            query: query.to_owned(),
            json: if body.is_null() { Vec::new() } else { body.to_string().into_bytes() },
            stream: content.map(stream),
            head,
            if_match: None,
            last_event_id: after,
        };
        handler(Ctx::new(self.platform.clone(), permit, None), call).await
    }

    /// Calls an endpoint about the service `shop`.
    pub async fn call<E: Endpoint>(&self, path: &[(&str, &str)], query: &str, body: Value) -> Result<E::Reply> {
        let path: Vec<_> = [("service", "shop")].iter().chain(path).copied().collect();
        self.call_at::<E>(&path, query, body).await
    }

    /// Calls an endpoint that is about no single service.
    pub async fn call_at<E: Endpoint>(&self, path: &[(&str, &str)], query: &str, body: Value) -> Result<E::Reply> {
        match self.raw(E::ID, path, query, body, None, head(&[]), None).await? {
            RawReply::Json(value, _) => Ok(serde_json::from_value(value).unwrap()),
            _ => panic!("{} answers otherwise", E::ID),
        }
    }

    pub async fn upload(&self, files: &[(&str, &str)]) -> Result<api::deliver::Deploy> {
        self.upload_bytes(gzip(&tarball(files)), "").await
    }

    pub async fn upload_bytes(&self, body: Vec<u8>, query: &str) -> Result<api::deliver::Deploy> {
        match self.raw("uploadSource", &[("service", "shop")], query, Value::Null, Some(body), head(&[]), None).await? {
            RawReply::Json(value, _) => Ok(serde_json::from_value(value).unwrap()),
            _ => panic!("an upload answers otherwise"),
        }
    }

    /// All events of a stream, each with its id.
    pub async fn events<E: Endpoint>(&self, path: &[(&str, &str)], after: Option<&str>) -> Vec<(String, E::Reply)> {
        let path: Vec<_> = [("service", "shop")].iter().chain(path).copied().collect();
        match self.raw(E::ID, &path, "", Value::Null, None, head(&[]), after.map(str::to_owned)).await.unwrap() {
            RawReply::Events(mut events) => {
                let mut all = Vec::new();
                while let Some(event) = events.next().await {
                    let event = event.unwrap();
                    all.push((event.id.unwrap_or_default(), serde_json::from_value(event.data).unwrap()));
                }
                all
            }
            _ => panic!("{} answers otherwise", E::ID),
        }
    }

    /// A call that speaks git; its head and body.
    pub async fn git(
        &self,
        id: &str,
        query: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<(http::response::Parts, Vec<u8>)> {
        match self.raw(id, &[("repository", "shop.git")], query, Value::Null, Some(body), head(headers), None).await? {
            RawReply::Http(response) => {
                let (parts, body): (_, ByteStream) = response.into_parts();
                Ok((parts, collect(body).await?))
            }
            _ => panic!("git answers otherwise"),
        }
    }

    /// One round of everybody.
    pub async fn tick(&self) {
        self.platform.driver().work_once(&self.platform, "w").await.unwrap();
        self.reconcile().await;
        self.play().await;
        self.clock.advance(Duration::from_millis(250));
    }

    pub async fn reconcile(&self) -> Value {
        let status = self.platform.driver().run_once(&self.platform, "deliver.rollout").await.unwrap();
        assert_eq!(status["troubled"], serde_json::json!([]));
        status
    }

    pub async fn ticks(&self, count: usize) {
        for _ in 0..count {
            self.tick().await;
        }
    }

    /// Rounds until nothing is under way.
    pub async fn settle(&self) {
        for _ in 0..2000 {
            self.tick().await;
            let open = self.reconcile().await["underWay"].as_u64().unwrap();
            let builds = self.call::<api::deliver::ListBuilds>(&[], "", Value::Null).await.unwrap().items;
            if open == 0 && builds.iter().all(|build| build.ended.is_some()) {
                self.ticks(2).await;
                return;
            }
        }
        panic!("it never ends: {:?}", self.rollouts().await);
    }

    /// Uploads, lets it run to its end, and tells how.
    pub async fn deploy(&self, files: &[(&str, &str)]) -> Progress {
        let deploy = self.upload(files).await.unwrap();
        self.settle().await;
        self.done(&deploy).await
    }

    pub async fn done(&self, deploy: &api::deliver::Deploy) -> Progress {
        let source = deploy.source.to_string();
        self.events::<api::deliver::WatchDeploy>(&[("source", &source)], None).await.pop().unwrap().1
    }

    pub async fn rollouts(&self) -> Vec<api::deliver::Rollout> {
        self.call::<api::deliver::ListRollouts>(&[], "", Value::Null).await.unwrap().items
    }

    /// The newest rollout as `state number`.
    pub async fn newest(&self) -> String {
        let all = self.rollouts().await;
        format!("{:?} {}", all[0].state, all[0].number).to_lowercase()
    }

    /// What is wanted in dev: releases of the sets, and the shares as `release=weight`.
    pub async fn wanted(&self, environment: &str) -> String {
        let subject = format!("shop/{environment}");
        let Some((instances, _)) = self.latest::<InstancesWanted>(&subject).await else { return "nothing".to_owned() };
        let (traffic, _) = self.latest::<TrafficWanted>(&subject).await.unwrap();
        let number = |id: RolloutId| instances.sets.iter().find(|s| s.rollout == id).map_or(0, |s| s.number);
        let sets: Vec<String> = instances.sets.iter().map(|set| set.number.to_string()).collect();
        let shares: Vec<String> =
            traffic.shares.iter().map(|s| format!("{}={}", number(s.rollout), s.weight)).collect();
        let closed = if traffic.closed { " closed" } else { "" };
        format!("{} | {}{closed}", sets.join(","), shares.join(","))
    }

    fn act(&self, number: i64) -> Acts {
        self.acts.lock().unwrap().get(&number).copied().unwrap_or(Acts::Well)
    }

    /// Answers every wish with what is seen.
    async fn play(&self) {
        if *self.silent.lock().unwrap() {
            return;
        }
        let mut read = self.platform.store().read().await.unwrap();
        let wishes = kernel::all_latest::<InstancesWanted>(&mut read).await.unwrap();
        let traffic = kernel::all_latest::<TrafficWanted>(&mut read).await.unwrap();
        drop(read);
        for (wish, generation) in &wishes {
            let route = traffic.iter().find(|(t, _)| t.subject() == wish.subject());
            let seen = self.instances(wish, *generation, route.map(|(t, _)| t));
            self.tell(&seen, *generation).await;
            if let Some((wanted, generation)) = route {
                self.tell(&self.route(wish, wanted, *generation), *generation).await;
            }
        }
    }

    async fn tell<F: Fact + PartialEq>(&self, fact: &F, generation: Generation) {
        let ctx = self.platform.ctx("world");
        let mut tx = ctx.begin().await.unwrap();
        if ctx.publish_if_new(&mut tx, fact, generation).await.unwrap() {
            tx.commit().await.unwrap();
        }
    }

    fn instances(
        &self,
        wish: &InstancesWanted,
        generation: Generation,
        traffic: Option<&TrafficWanted>,
    ) -> InstancesSeen {
        let now = ports::Clock::now(&*self.clock);
        let mut started = self.started.lock().unwrap();
        let mut processes = Vec::new();
        for set in &wish.sets {
            let under_traffic =
                traffic.is_some_and(|t| t.shares.iter().any(|s| s.rollout == set.rollout && s.weight > 0));
            for wanted in &set.processes {
                let key = (set.rollout, wanted.process.to_string());
                let count = started.len() as u8;
                let (id, since) = *started.entry(key).or_insert_with(|| (InstanceId::new(now, [count; 10]), now));
                let age = now.since(since).as_secs();
                let exited = |status| InstanceState::Exited { kind: ExitKind::Status { status } };
                let (state, crashes) = match (self.act(set.number), wanted.task) {
                    (Acts::TaskFails, true) => (exited(4), 1),
                    (_, true) => (exited(0), 0),
                    (Acts::Crashes, _) => (exited(1), u32::try_from(age).unwrap()),
                    (Acts::Deaf, _) => (InstanceState::Starting, 0),
                    (Acts::BreaksUnderTraffic, _) if under_traffic => (exited(9), 1),
                    _ => (InstanceState::Ready, 0),
                };
                let view = InstanceView { id, state, since, evidence: "what the probe saw".to_owned(), address: None };
                processes.push(ProcessSeen {
                    rollout: set.rollout,
                    release: set.release,
                    process: wanted.process.clone(),
                    task: wanted.task,
                    wanted: 1,
                    crashes,
                    crash_loop: false,
                    trouble: String::new(),
                    last_lines: if crashes > 0 { vec!["its last words".to_owned()] } else { Vec::new() },
                    instances: vec![view],
                });
            }
        }
        InstancesSeen { service: wish.service.clone(), environment: wish.environment.clone(), generation, processes }
    }

    fn route(&self, wish: &InstancesWanted, wanted: &TrafficWanted, generation: Generation) -> RouteSeen {
        let share = |rollout, release, weight, in_flight| {
            let number = wish.sets.iter().find(|set| set.rollout == rollout).map_or(0, |set| set.number);
            let ok = self.act(number) != Acts::Errors;
            let probe = format!("GET / through the gateway: {}", if ok { 200 } else { 500 });
            ServedShare { rollout, release, weight, instances: 1, members: Vec::new(), in_flight, probe, probe_ok: ok }
        };
        let mut shares: Vec<ServedShare> =
            wanted.shares.iter().map(|s| share(s.rollout, s.release, s.weight, 0)).collect();
        for set in &wish.sets {
            if !wanted.shares.iter().any(|s| s.rollout == set.rollout) {
                shares.push(share(set.rollout, set.release, 0, *self.in_flight.lock().unwrap()));
            }
        }
        let taken = wanted.hosts.iter().any(|host| host.as_str() == "taken.example.com");
        RouteSeen {
            service: wanted.service.clone(),
            environment: wanted.environment.clone(),
            generation,
            snapshot: generation,
            hosts: wanted.hosts.clone(),
            url: String::new(),
            shares,
            problem: if taken { "taken.example.com belongs to another service".to_owned() } else { String::new() },
            since: Time::default(),
        }
    }
}

pub fn push(reference: &str) -> ports::PushUpdate {
    ports::PushUpdate {
        reference: reference.to_owned(),
        old: None,
        new: Some("0123456789abcdef0123456789abcdef01234567".to_owned()),
        subject: "a message".to_owned(),
        author: "Ada <ada@example.org>".to_owned(),
    }
}

fn head(headers: &[(&str, &str)]) -> http::request::Parts {
    let mut request = http::Request::builder();
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

pub fn tarball(files: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, path, content.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}

/// The code of the problem.
pub fn code<T>(outcome: Result<T, Problem>) -> String {
    match outcome {
        Ok(_) => "no problem".to_owned(),
        Err(problem) => problem.code.into_owned(),
    }
}
