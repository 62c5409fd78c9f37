//! Starting an instance: everything it needs is put into place, then a keeper is started.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use base::{Generation, InstanceId, Problem, Result};
use ports::{Base, InstanceSeen, InstanceSpec, Mount, Network};
use tokio::io::AsyncWriteExt;

use super::{ProcessEngine, order, stale, view};
use crate::files::{self, DataDir, META, Meta};
use crate::launch::{Epoch, Launch, Limits, Plan};
use crate::net::Inside;
use crate::options::Options;
use crate::pack::{self, blocking, io_problem, make_private};
use crate::{probe, shim};

/// What the host gives one instance.
struct Given {
    port: Option<u16>,
    uid: Option<u32>,
}

impl ProcessEngine {
    /// Starts an instance that was never started. The caller holds its lock.
    pub(super) async fn start(&self, spec: &InstanceSpec, generation: Generation) -> Result<InstanceSeen> {
        if let Some(why) = &self.no_sandbox {
            return Err(Problem::unavailable(
                "isolation-missing",
                format!("nothing can be isolated on this host: {why}"),
            )
            .hint("`orlop doctor` says what to change"));
        }
        order::check(spec, self.data.path(), self.options.gateway.as_deref())?;
        self.check_removed(spec.id, generation).await?;
        let image = self.image(spec).await?;
        // Ports and users are found and written down by one at a time.
        let (dir, given) = self.claim(spec, generation).await?;
        self.furnish(spec, &dir, &given).await?;
        let launch = self.launch(spec, generation, image.as_deref(), &dir, &given)?;
        self.keep(spec.id, &dir, &launch).await?;
        self.news.watch(spec.id);
        let found = self.look(spec.id).await?;
        found.map(|found| found.seen(&self.data)).ok_or_else(|| {
            Problem::internal("keeper-failed", format!("the keeper of {} left no state", spec.id))
                .hint(format!("see {}", dir.join("keeper.err").display()))
        })
    }

    async fn check_removed(&self, id: InstanceId, generation: Generation) -> Result<()> {
        let data = self.data.clone();
        let removed =
            blocking(move || view::removed_at(&data, id).map_err(|e| io_problem("look for a removal", &e))).await?;
        match removed {
            Some(seen) if generation < seen => Err(stale(id, generation, seen)),
            _ => Ok(()),
        }
    }

    async fn image(&self, spec: &InstanceSpec) -> Result<Option<PathBuf>> {
        let Base::Artifact(digest) = &spec.base else { return Ok(None) };
        let _guard = self.images.lock(*digest).await;
        pack::fetch_image(self.options.objects.as_ref(), &self.data.images(), digest).await.map(Some)
    }

    /// Makes the instance's directory and writes down what it gets.
    async fn claim(&self, spec: &InstanceSpec, generation: Generation) -> Result<(PathBuf, Given)> {
        let _guard = self.claims.lock().await;
        let data = self.data.clone();
        let metas = blocking(move || metas(&data).map_err(|e| io_problem("read the instances", &e))).await?;
        let own_network = self.walls.network && matches!(spec.network, Network::Only(_));
        let shared = metas.iter().filter(|meta| !meta.own_network);
        let ports: BTreeSet<u16> = shared.filter_map(|meta| meta.port).collect();
        let uids: BTreeSet<u32> = metas.iter().filter_map(|meta| meta.uid).collect();
        let caches = spec.mounts.iter().any(|mount| matches!(mount, Mount::Cache { .. }));
        let given = Given {
            port: match spec.port {
                true if own_network => Some(self.own_port(spec)?),
                true => Some(self.taken.port(&ports)?),
                false => None,
            },
            uid: match self.root {
                true if caches => Some(self.taken.cache_uid()),
                true => Some(self.taken.uid(&uids)?),
                false => None,
            },
        };
        let meta = Meta {
            id: spec.id,
            service: spec.service.clone(),
            environment: spec.environment.clone(),
            release: spec.release,
            process: spec.process.clone(),
            purpose: spec.purpose,
            generation,
            port: given.port,
            own_network,
            uid: given.uid,
            image: match &spec.base {
                Base::Artifact(digest) => Some(*digest),
                Base::Workspace { .. } => None,
            },
            created: self.options.clock.now(),
        };
        let dir = self.data.instance(spec.id);
        let path = dir.clone();
        blocking(move || {
            let said = |e: std::io::Error| io_problem("make the instance's directory", &e);
            // What a start that never came to a keeper has left.
            pack::remove_tree(&path).map_err(said)?;
            make_private(&path, None).map_err(said)?;
            std::fs::create_dir(path.join("root")).map_err(said)?;
            files::write(&path.join(META), &meta, true).map_err(said)
        })
        .await?;
        Ok((dir, given))
    }

    /// In a network of its own every instance may have the same port.
    fn own_port(&self, spec: &InstanceSpec) -> Result<u16> {
        Inside::of(&spec.network).free_port(self.taken.ports()).ok_or_else(|| {
            Problem::unprocessable("no-free-port", format!("the connections of {} leave no port for itself", spec.id))
                .hint("declare fewer ports, or widen the range of ports in the configuration")
        })
    }

    /// Puts sources, caches and folders for temporary files into place.
    async fn furnish(&self, spec: &InstanceSpec, dir: &Path, given: &Given) -> Result<()> {
        if let Base::Workspace { source } = &spec.base {
            let objects = self.options.objects.as_ref();
            pack::fetch_source(objects, source, &dir.join("workspace"), given.uid).await?;
        }
        let mut folders: Vec<PathBuf> = Vec::new();
        if matches!(spec.base, Base::Workspace { .. }) {
            let scratch = dir.join("scratch");
            folders.push(scratch.clone());
            folders.extend(["tmp", "home", "shm"].map(|name| scratch.join(name)));
        }
        for mount in &spec.mounts {
            if let Mount::Cache { name, .. } = mount {
                folders.push(self.data.caches().join(name));
            }
        }
        let owner = given.uid;
        blocking(move || {
            folders
                .iter()
                .try_for_each(|path| make_private(path, owner))
                .map_err(|e| io_problem("make a folder for the instance", &e))
        })
        .await
    }

    fn launch(
        &self,
        spec: &InstanceSpec,
        generation: Generation,
        image: Option<&Path>,
        dir: &Path,
        given: &Given,
    ) -> Result<Launch> {
        let mut env: BTreeMap<String, String> =
            spec.env.iter().map(|(name, value)| (name.clone(), value.expose().clone())).collect();
        env.extend(given.port.map(|port| ("PORT".to_owned(), port.to_string())));
        let binds = order::binds(spec, image, dir, &self.data.caches(), &self.options.binary);
        let command = arguments(spec, &env)?;
        let on_disk = binds.iter().any(|bind| bind.writable);
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        Ok(Launch {
            id: spec.id,
            generation,
            epoch: Epoch::begin(self.options.clock.now()),
            health: spec.health.clone(),
            port: given.port,
            limits: Limits {
                cpu: spec.cpu,
                cpu_weight: spec.cpu_weight,
                memory: spec.memory,
                tasks_max: spec.tasks_max,
                disk_max: spec.disk_max,
            },
            deadline_ms: spec.deadline.map(millis),
            stop_grace_ms: millis(spec.stop_grace),
            plan: Plan {
                command,
                env,
                workdir: spec.workdir.clone(),
                hostname: order::hostname(spec),
                uid: given.uid,
                root: dir.join("root"),
                binds,
                scratch: order::scratch(spec, dir),
                network: spec.network.clone(),
                port: given.port,
                tasks_max: spec.tasks_max,
                file_bytes_max: on_disk.then_some(spec.disk_max.0),
                walls: self.walls,
            },
            calls: order::calls(spec, self.options.gateway.as_deref()),
            cgroups: self.groups.clone(),
            hidden: spec.hidden.iter().map(|(name, value)| (name.clone(), value.expose().clone())).collect(),
        })
    }

    /// Starts a keeper and waits until the instance runs or has ended.
    async fn keep(&self, id: InstanceId, dir: &Path, launch: &Launch) -> Result<()> {
        let order = serde_json::to_vec(launch)
            .map_err(|e| Problem::internal("keeper-failed", format!("write the order for a keeper: {e}")))?;
        let place = dir.to_string_lossy();
        let words = [shim::KEEP, &*place];
        let output = tokio::select! {
            output = run(&self.options, &words, &order) => output,
            () = self.options.clock.sleep(self.options.start_timeout) => {
                let most = self.options.start_timeout.as_secs();
                return Err(Problem::timeout("keeper-slow", format!("the keeper of {id} has not started it within {most} s"))
                    .hint("the machine is overloaded; it is looked at again").retry_after(5));
            }
        }
        .map_err(|e| keeper_failed(&self.options, &e.to_string()))?;
        if output.status.success() { Ok(()) } else { Err(keeper_failed(&self.options, &said(&output))) }
    }

    /// Removes unpacked artifacts beyond the number that is kept, those that no instance uses.
    pub(super) async fn sweep_images(&self) {
        let _guard = self.claims.lock().await;
        let (data, keep) = (self.data.clone(), self.options.images_kept);
        let swept = blocking(move || sweep_images(&data, keep).map_err(|e| io_problem("sweep artifacts", &e))).await;
        if let Err(problem) = swept {
            tracing::warn!(%problem, "unpacked artifacts could not be cleared up");
        }
    }
}

/// The arguments with variables put in; only here is the port known.
fn arguments(spec: &InstanceSpec, env: &BTreeMap<String, String>) -> Result<Vec<String>> {
    let value = |name: &str| env.get(name).map(String::as_str);
    spec.command.iter().map(|argument| base::placeholder::expand(argument, value)).collect()
}

fn metas(data: &DataDir) -> std::io::Result<Vec<Meta>> {
    let mut metas = Vec::new();
    for id in data.ids()? {
        metas.extend(files::read::<Meta>(&data.instance(id).join(META))?);
    }
    Ok(metas)
}

fn sweep_images(data: &DataDir, keep: usize) -> std::io::Result<()> {
    let used: BTreeSet<String> = metas(data)?.into_iter().filter_map(|meta| meta.image).map(|d| d.hex()).collect();
    let mut unused = Vec::new();
    for entry in std::fs::read_dir(data.images())? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !used.contains(&name) && !name.ends_with(".part") {
            unused.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    unused.sort_unstable();
    let too_many = unused.len().saturating_sub(keep);
    unused.into_iter().take(too_many).try_for_each(|(_, path)| pack::remove_tree(&path))
}

/// The platform's own binary with the hidden subcommand.
#[expect(clippy::disallowed_methods, reason = "the one place of this crate where a program of the host is started")]
fn command(options: &Options, words: &[&str]) -> Command {
    let mut command = Command::new(&options.binary);
    command.args(&options.shim_args).args(words).env_clear().current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs the platform's binary as a keeper; what it needs to know goes through standard input.
async fn run(options: &Options, words: &[&str], input: &[u8]) -> std::io::Result<Output> {
    let mut child = tokio::process::Command::from(command(options, words)).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input).await?;
    }
    child.wait_with_output().await
}

/// Lets a process without an instance try what this host can do.
pub(super) fn probe(options: &Options, data: &DataDir, root: bool) -> Result<probe::Answer> {
    let failed = |why: String| keeper_failed(options, &why);
    let place = data.path().join("probe");
    std::fs::create_dir_all(&place).map_err(|e| failed(e.to_string()))?;
    let order =
        serde_json::to_vec(&(&place, root.then(|| *options.uids.start()))).map_err(|e| failed(e.to_string()))?;
    let mut child = command(options, &[shim::PROBE]).spawn().map_err(|e| failed(e.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        std::io::Write::write_all(&mut stdin, &order).map_err(|e| failed(e.to_string()))?;
    }
    let output = child.wait_with_output().map_err(|e| failed(e.to_string()))?;
    let _ = std::fs::remove_dir(&place);
    if !output.status.success() {
        return Err(failed(said(&output)));
    }
    serde_json::from_slice(&output.stdout).map_err(|e| failed(format!("its answer makes no sense: {e}")))
}

fn said(output: &Output) -> String {
    format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim())
}

fn keeper_failed(options: &Options, why: &str) -> Problem {
    let binary = options.binary.display();
    Problem::internal("keeper-failed", format!("run {binary} {} as a keeper: {why}", options.shim_args.join(" ")))
        .hint("check that the platform's binary is where it was started from and may be executed")
}
