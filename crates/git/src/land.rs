//! From a pack in quarantine to refs that have moved: build and check the objects, ask the policy,
//! keep the objects, move the refs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use base::{Result, ServiceName};
use gix::ObjectId;
use ports::{PushUpdate, PushVerdict, ReceiveLimits, ReceivePolicy};
use tokio::time::Instant;

use crate::commands::{Command, Request};
use crate::intake::{self, Spooled};
use crate::layout::Repository;
use crate::pack::Kind;
use crate::quarantine::Quarantine;
use crate::store::Store;
use crate::{Shared, commit, refs};

/// Longest time a policy may think about one update, and about all of a push.
const JUDGE_MAX: Duration = Duration::from_secs(30);
const JUDGE_ALL_MAX: Duration = Duration::from_secs(300);

/// What a push is about.
pub(crate) struct Push {
    pub shared: Arc<Shared>,
    pub service: ServiceName,
    pub repository: Repository,
    pub limits: ReceiveLimits,
    pub policy: Box<dyn ReceivePolicy>,
}

/// Carries the commands out. Refusals are noted in the commands; the updates that took effect
/// come back, with notes for the person. An error means that nothing has changed.
pub(crate) async fn land(
    push: &Push,
    request: &mut Request,
    pack: Result<Option<Spooled>>,
) -> Result<(Vec<PushUpdate>, Vec<String>)> {
    let Built { quarantine, notes, mut described } = build(push, request, pack?).await?;
    refuse_rest(&mut request.commands, request.atomic);
    judge(push, request, &described).await;
    let commands = request.commands.clone();
    let (repository, limits, atomic) = (push.repository.clone(), push.limits, request.atomic);
    let lock = push.shared.locks.of(&push.service).lock_owned().await;
    request.commands = push
        .shared
        .gates
        .blocking(move || {
            let _lock = lock;
            settle(&repository, quarantine.as_ref(), commands, &limits, atomic)
        })
        .await?;
    let mut moved = Vec::new();
    for (command, update) in request.commands.iter().zip(described.drain(..)) {
        if command.refused.is_none() {
            moved.extend(update);
        }
    }
    Ok((moved, notes))
}

struct Built {
    quarantine: Option<Quarantine>,
    notes: Vec<String>,
    described: Vec<Option<PushUpdate>>,
}

/// Builds the objects and describes every update that is still possible.
async fn build(push: &Push, request: &mut Request, pack: Option<Spooled>) -> Result<Built> {
    let (repository, limits, shallow) = (push.repository.clone(), push.limits, request.shallow);
    let mut commands = request.commands.clone();
    let (commands, built) = push
        .shared
        .gates
        .blocking(move || {
            let pack = pack.map(|p| intake::build(&repository, p, &limits, shallow)).transpose()?;
            let (quarantine, notes) = pack.map_or((None, Vec::new()), |(q, notes)| (Some(q), notes));
            let present = refs::list(&repository.open()?)?;
            refs::refuse_clashes(&mut commands);
            let store = match &quarantine {
                Some(quarantine) => quarantine.store()?,
                None => Store::open(repository.objects())?,
            };
            let mut described = Vec::with_capacity(commands.len());
            for command in &mut commands {
                if command.refused.is_none() {
                    command.refused = refs::conflict(&present, command);
                }
                described.push(describe(&store, command)?);
            }
            Ok((commands, Built { quarantine, notes, described }))
        })
        .await?;
    request.commands = commands;
    Ok(built)
}

/// The update as the policy sees it: commits, not tag objects.
fn describe(store: &Store, command: &mut Command) -> Result<Option<PushUpdate>> {
    if command.refused.is_some() {
        return Ok(None);
    }
    let peel = |id: Option<ObjectId>| id.map(|id| store.peel(id)).transpose().map(Option::flatten);
    let new = peel(command.new)?;
    if let Some(id) = command.new {
        command.refused = match (store.kind(&id)?, new) {
            (None, _) => Some("its object is missing; `git fsck` in your clone".to_owned()),
            (Some(kind), _) if kind != Kind::Commit && command.name.starts_with("refs/heads/") => {
                Some(format!("a branch must be a commit, this is a {}", kind.word()))
            }
            (_, None) => Some("a tag must lead to a commit".to_owned()),
            _ => None,
        };
    }
    let (subject, author) = new.map(|id| commit::subject_author(store, &id)).transpose()?.unwrap_or_default();
    Ok(command.refused.is_none().then_some(PushUpdate {
        reference: command.name.clone(),
        old: peel(command.old)?.map(|id| id.to_string()),
        new: new.map(|id| id.to_string()),
        subject,
        author,
    }))
}

async fn judge(push: &Push, request: &mut Request, described: &[Option<PushUpdate>]) {
    let ends = Instant::now() + JUDGE_ALL_MAX;
    for (command, update) in request.commands.iter_mut().zip(described) {
        let (None, Some(update)) = (&command.refused, update) else { continue };
        let until = ends.min(Instant::now() + JUDGE_MAX);
        command.refused = match tokio::time::timeout_at(until, push.policy.judge(update)).await {
            Ok(PushVerdict::Accept) => None,
            Ok(PushVerdict::Refuse(why)) => Some(why),
            Err(_) => Some("the platform did not decide in time; push again".to_owned()),
        };
    }
}

/// An atomic push is refused as a whole.
fn refuse_rest(commands: &mut [Command], atomic: bool) {
    if atomic && commands.iter().any(|c| c.refused.is_some()) {
        for command in commands {
            command.refused.get_or_insert_with(|| "atomic push: another ref was refused".to_owned());
        }
    }
}

/// Under the repository's lock: looks at the refs once more, keeps the objects, moves the refs.
fn settle(
    repository: &Repository,
    quarantine: Option<&Quarantine>,
    mut commands: Vec<Command>,
    limits: &ReceiveLimits,
    atomic: bool,
) -> Result<Vec<Command>> {
    let present = refs::list(&repository.open()?)?;
    let mut room = (limits.refs_max as usize).saturating_sub(present.len());
    for command in commands.iter_mut().filter(|c| c.refused.is_none()) {
        command.refused = refs::conflict(&present, command);
        if command.refused.is_none() && command.old.is_none() {
            match room.checked_sub(1) {
                Some(left) => room = left,
                None => command.refused = Some(format!("a repository has at most {} refs", limits.refs_max)),
            }
        }
    }
    refuse_rest(&mut commands, atomic);
    if commands.iter().all(|c| c.refused.is_some()) {
        return Ok(commands);
    }
    if let Some(quarantine) = quarantine {
        // Other pushes may have landed since this one began to stream.
        if repository.bytes_on_disk()?.saturating_add(quarantine.bytes()) > limits.repository_bytes_max {
            return Err(intake::quota(limits));
        }
        quarantine.migrate()?;
    }
    move_refs(repository, &mut commands, atomic)?;
    Ok(commands)
}

/// Moves what is not refused: together if atomic, else one by one. What fails is refused, also
/// where the ref is seen at its new place: what the disk did not confirm may be gone tomorrow.
fn move_refs(repository: &Repository, commands: &mut [Command], atomic: bool) -> Result<()> {
    let accepted: Vec<&Command> = commands.iter().filter(|c| c.refused.is_none()).collect();
    let batches: Vec<&[&Command]> = if atomic { vec![&accepted] } else { accepted.chunks(1).collect() };
    let mut failed = BTreeSet::new();
    for batch in batches {
        if let Err(problem) = refs::apply(repository, batch) {
            tracing::error!(%problem, first = %batch.first().map_or("", |c| &c.name), "refs could not be moved");
            failed.extend(batch.iter().map(|command| command.name.clone()));
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    let present = refs::list(&repository.open()?)?;
    for command in commands.iter_mut().filter(|c| c.refused.is_none() && failed.contains(&c.name)) {
        let why = match refs::find(&present, &command.name) == command.new {
            false => "the server could not move it; its log tells why",
            true => "the server's disk did not confirm it; see its log, then `git fetch` shows where it is",
        };
        command.refused = Some(why.to_owned());
    }
    Ok(())
}
