//! What the data directory says about the instances.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use base::{Generation, InstanceId, Time};
use ports::{Address, ExitKind, InstanceSeen, InstanceState};

use super::{REMOVED_KEPT, usage};
use crate::files::{self, CONNECT, DataDir, META, Meta, STATE, State};
use crate::pack::remove_tree;
use crate::{log, sys};

/// The end of the name of a directory that is being removed.
const GONE: &str = ".gone";

/// One instance: who it is and what it does.
pub(super) struct Found {
    pub(super) meta: Meta,
    pub(super) state: State,
}

impl Found {
    pub(super) fn is_running(&self) -> bool {
        self.state.state.is_running()
    }

    /// As callers see it.
    pub(super) fn seen(self, data: &DataDir) -> InstanceSeen {
        let Self { meta, state } = self;
        let address = meta.port.map(|port| match meta.own_network {
            true => Address::Socket(data.instance(meta.id).join(CONNECT)),
            false => Address::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        });
        let running = state.state.is_running();
        let (mut memory, mut cpu_us) = (None, state.cpu_us);
        if running {
            let of_tree = || state.init.map_or((None, None), usage::of_tree);
            memory = state.groups.memory().or_else(|| of_tree().0);
            cpu_us = state.groups.cpu_us().or_else(|| of_tree().1);
        }
        InstanceSeen {
            id: meta.id,
            service: meta.service,
            environment: meta.environment,
            release: meta.release,
            process: meta.process,
            purpose: meta.purpose,
            generation: meta.generation.max(state.generation),
            state: state.state,
            address,
            started: state.started,
            since: state.since,
            evidence: state.evidence,
            memory,
            cpu_us,
        }
    }
}

/// One instance, if it was ever started. Writes down the loss of one whose keeper is gone.
pub(super) fn one(data: &DataDir, id: InstanceId) -> io::Result<Option<Found>> {
    let dir = data.instance(id);
    let Some(meta) = files::read::<Meta>(&dir.join(META))? else { return Ok(None) };
    let alive = files::is_locked(&dir)?;
    // Read after the lock was asked for: a keeper writes its last state before it lets go.
    let state = match files::read::<State>(&dir.join(STATE))? {
        Some(state) if state.state.is_running() && !alive => lose(&dir, state)?,
        Some(state) => state,
        None if alive => beginning(&meta),
        None => return Ok(None),
    };
    Ok(Some(Found { meta, state }))
}

/// All instances that were started and not removed.
pub(super) fn all(data: &DataDir) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for id in data.ids()? {
        found.extend(one(data, id)?);
    }
    Ok(found)
}

/// A keeper has the lock and has not written yet.
fn beginning(meta: &Meta) -> State {
    State {
        generation: meta.generation,
        state: InstanceState::Starting,
        started: meta.created,
        since: meta.created,
        evidence: "its keeper is starting".to_owned(),
        keeper: 0,
        init: None,
        boot: sys::boot_id(),
        groups: Default::default(),
        cpu_us: None,
    }
}

/// Nobody else writes the state of an instance whose keeper is gone.
fn lose(dir: &Path, state: State) -> io::Result<State> {
    let (evidence, same_boot) = if state.boot == sys::boot_id() {
        (format!("its keeper (process {}) ended without a word, and the instance with it", state.keeper), true)
    } else {
        ("the machine was restarted".to_owned(), false)
    };
    if same_boot {
        state.groups.remove();
    }
    let lost = State {
        state: InstanceState::Exited { kind: ExitKind::Lost },
        since: sys::now(),
        evidence,
        init: None,
        ..state
    };
    match files::write(&dir.join(STATE), &lost, true) {
        // It is true all the same, and written down once there is room.
        Err(e) if log::is_no_room(&e) => Ok(lost),
        written => written.map(|()| lost),
    }
}

/// Forgets an instance: out of sight at once, then from the disk.
pub(super) fn remove(data: &DataDir, id: InstanceId, generation: Generation) -> io::Result<()> {
    files::write(&data.removed().join(id.to_string()), &generation, true)?;
    let gone = data.instances().join(format!("{id}{GONE}"));
    match fs::rename(data.instance(id), &gone) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        other => other?,
    }
    remove_tree(&gone)
}

/// The generation with which an instance was removed not long ago.
pub(super) fn removed_at(data: &DataDir, id: InstanceId) -> io::Result<Option<Generation>> {
    files::read(&data.removed().join(id.to_string()))
}

/// What an earlier engine left half done: removals, starts that never came to a keeper, archives.
pub(super) fn sweep(data: &DataDir, now: Time) -> io::Result<()> {
    for entry in fs::read_dir(data.instances())? {
        let path = entry?.path();
        let half_started = || !path.join(STATE).exists() && !files::is_locked(&path).unwrap_or(true);
        if path.to_string_lossy().ends_with(GONE) || half_started() {
            remove_tree(&path)?;
        }
    }
    for entry in fs::read_dir(data.images())? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "part") {
            remove_tree(&path)?;
        }
    }
    for entry in fs::read_dir(data.removed())? {
        let entry = entry?;
        let written = entry.metadata()?.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let written = Time::from_micros(i64::try_from(written.as_micros()).unwrap_or(0));
        if now.since(written) > REMOVED_KEPT {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
