use std::collections::BTreeMap;

use api::manifest::{self, Manifest};
use base::{Problem, ProcessName, Result, ServiceName, TeamName};
use facts::{Health, ProcessWanted, ServiceKind};

use super::party::is_main;
use crate::model::{Spec, TASK};
use crate::recipe::{Plan, ProcessKind, RecipeName, Runs, Wish};

/// What detection has to know of the service file.
pub(crate) fn wish(manifest: &Manifest) -> Result<Wish> {
    let recipe = match (manifest.build.recipe, manifest.kind) {
        (Some(recipe), _) => Some(recipe.as_str().parse::<RecipeName>()?),
        (None, Some(manifest::Kind::Site)) => Some(RecipeName::Site),
        (None, _) => None,
    };
    Ok(Wish { recipe, command: main_command(manifest).map(|(_, command)| command.clone()) })
}

/// The command that makes a guess unnecessary, and the process that has it, where it is named.
fn main_command(manifest: &Manifest) -> Option<(Option<&ProcessName>, &Vec<String>)> {
    if let Some(command) = &manifest.run.command {
        return Some((None, command));
    }
    let named =
        |(name, process): (&'_ ProcessName, &'_ manifest::Process)| process.command.as_ref().map(|_| name.clone());
    let main = manifest.processes.get_key_value(&ProcessName::web()).and_then(named);
    let first = || manifest.processes.iter().find_map(named);
    let name = main.or_else(first)?;
    let (name, process) = manifest.processes.get_key_value(&name)?;
    Some((Some(name), process.command.as_ref()?))
}

/// Whether the service file is about the service that is deployed.
///
/// # Errors
/// `other-service` and `other-team`.
pub(crate) fn belongs(manifest: &Manifest, service: &ServiceName, team: Option<&TeamName>) -> Result<()> {
    if let Some(named) = &manifest.service
        && named != service
    {
        return Err(Problem::unprocessable(
            "other-service",
            format!("the service file is for `{named}`, and this is `{service}`"),
        )
        .at("orlop.yaml: service")
        .hint(format!("deploy to `{named}`, or write `service: {service}`")));
    }
    if let (Some(named), Some(team)) = (&manifest.team, team)
        && named != team
    {
        return Err(Problem::unprocessable(
            "other-team",
            format!("the service file names the team `{named}`, and `{service}` belongs to `{team}`"),
        )
        .at("orlop.yaml: team")
        .hint(format!(
            "write `team: {team}`, or give the service away: `orlop service set {service} --team {named}`"
        )));
    }
    Ok(())
}

/// Puts recipe and service file together: all that it takes to run a release.
///
/// # Errors
/// `other-service`, `other-team`, `process-without-command`, `reserved-process`, `nothing-to-run`.
pub(crate) fn resolve(
    plan: Plan,
    manifest: &Manifest,
    service: &ServiceName,
    team: Option<&TeamName>,
) -> Result<(Plan, Spec)> {
    belongs(manifest, service, team)?;
    let mut plan = plan;
    rename_main(&mut plan, manifest);
    if manifest.kind == Some(manifest::Kind::Worker) {
        plan = plan.into_worker();
    }
    if let Some(command) = &manifest.run.release {
        plan = plan.with_release(command.clone());
    }
    add_processes(&mut plan, manifest)?;
    let plan = plan.runnable()?;
    let count = plan.processes.len();
    let processes: Vec<ProcessWanted> =
        plan.processes.iter().map(|(name, runs)| process(name, runs, manifest, is_main(name, count))).collect();
    let release = plan.release.as_ref().map(|command| task(command, &plan, manifest));
    if release.is_some() && processes.iter().any(|process| process.process.as_str() == TASK) {
        return Err(Problem::unprocessable(
            "reserved-process",
            format!("a process cannot be named `{TASK}` beside a release command"),
        )
        .at(format!("orlop.yaml: processes.{TASK}"))
        .hint("give the process another name"));
    }
    let spec = Spec {
        kind: kind(&plan.processes),
        processes,
        release,
        needs: manifest.needs.clone(),
        variables: manifest.settings.clone(),
        hosts: manifest.routes.iter().map(|route| route.host.clone()).collect(),
    };
    Ok((plan, spec))
}

/// Where the command that stood for the main process is that of a named process, the plan's main
/// process takes its name.
fn rename_main(plan: &mut Plan, manifest: &Manifest) {
    let Some((Some(name), command)) = main_command(manifest) else { return };
    let made = plan.processes.iter().find(|(_, runs)| runs.command == *command).map(|(made, _)| made.clone());
    if let Some(made) = made
        && made != *name
        && let Some(mut runs) = plan.processes.remove(&made)
    {
        runs.kind = kind_of(name);
        plan.processes.insert(name.clone(), runs);
    }
}

fn add_processes(plan: &mut Plan, manifest: &Manifest) -> Result<()> {
    for (name, wanted) in &manifest.processes {
        match (&wanted.command, plan.processes.get_mut(name)) {
            (Some(command), Some(runs)) => runs.command.clone_from(command),
            (Some(command), None) => {
                let runs = Runs { command: command.clone(), env: plan.env.clone(), kind: kind_of(name) };
                plan.processes.insert(name.clone(), runs);
            }
            (None, Some(_)) => {}
            (None, None) => {
                let known: Vec<String> = plan.processes.keys().map(ToString::to_string).collect();
                return Err(Problem::unprocessable(
                    "process-without-command",
                    format!("nobody says what the process `{name}` runs; known are: {}", known.join(", ")),
                )
                .at(format!("orlop.yaml: processes.{name}"))
                .hint(format!("write `processes: {{ {name}: {{ command: [\"./program\"] }} }}`")));
            }
        }
    }
    Ok(())
}

fn kind_of(name: &ProcessName) -> ProcessKind {
    if *name == ProcessName::web() { ProcessKind::Web } else { ProcessKind::Worker }
}

fn kind(processes: &BTreeMap<ProcessName, Runs>) -> ServiceKind {
    let has = |kind| processes.values().any(|runs| runs.kind == kind);
    match (has(ProcessKind::Site), has(ProcessKind::Web)) {
        (true, _) => ServiceKind::Site,
        (_, true) => ServiceKind::Web,
        _ => ServiceKind::Worker,
    }
}

fn process(name: &ProcessName, runs: &Runs, manifest: &Manifest, main: bool) -> ProcessWanted {
    let shape = manifest.process(name, main);
    let kind = match runs.kind {
        ProcessKind::Web => ServiceKind::Web,
        ProcessKind::Worker => ServiceKind::Worker,
        ProcessKind::Site => ServiceKind::Site,
    };
    ProcessWanted {
        process: name.clone(),
        kind,
        task: false,
        command: runs.command.clone(),
        env: runs.env.clone(),
        health: (kind != ServiceKind::Worker)
            .then(|| Health { path: shape.health.map(|path| path.as_str().to_owned()) }),
        instances_min: shape.instances.min,
        instances_max: shape.instances.max,
        cpu: shape.cpu,
        memory: shape.memory,
        stop: shape.stop,
    }
}

fn task(command: &[String], plan: &Plan, manifest: &Manifest) -> ProcessWanted {
    let name: ProcessName = TASK.parse().unwrap_or_else(|_| ProcessName::worker());
    let shape = manifest.process(&name, true);
    ProcessWanted {
        process: name,
        kind: ServiceKind::Worker,
        task: true,
        command: command.to_vec(),
        env: plan.env.clone(),
        health: None,
        instances_min: 1,
        instances_max: 1,
        cpu: shape.cpu,
        memory: shape.memory,
        stop: shape.stop,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::{Entry, Tree, detect_for};

    fn tree(files: &[(&str, &str)]) -> Tree {
        let entry =
            |text: &str| Entry { size: text.len() as u64, executable: false, content: Some(text.as_bytes().to_vec()) };
        Tree::new(files.iter().map(|(path, text)| ((*path).to_owned(), entry(text))).collect())
    }

    fn spec(yaml: &str, files: &[(&str, &str)]) -> Result<Spec> {
        let manifest = manifest::parse(yaml, "orlop.yaml")?;
        let plan = detect_for(&tree(files), &wish(&manifest)?)?;
        Ok(resolve(plan, &manifest, &"shop".parse().unwrap(), Some(&"shopping".parse().unwrap()))?.1)
    }

    /// Each process as `name kind command min-max health`.
    fn check(yaml: &str, files: &[(&str, &str)], expect: &[&str]) -> Spec {
        let spec = spec(yaml, files).unwrap_or_else(|problem| panic!("{yaml}: {problem}"));
        let shown: Vec<String> = spec
            .processes
            .iter()
            .chain(&spec.release)
            .map(|p| {
                let health = p.health.as_ref().map(|h| h.path.clone().unwrap_or_else(|| "port".to_owned()));
                let kind = format!("{:?}", p.kind).to_lowercase();
                let command = p.command.join(" ");
                format!(
                    "{} {kind} [{command}] {}-{} {}",
                    p.process,
                    p.instances_min,
                    p.instances_max,
                    health.unwrap_or_default()
                )
            })
            .collect();
        assert_eq!(shown, expect, "{yaml}");
        spec
    }

    const PROC: &[(&str, &str)] = &[("Procfile", "web: ./shop\nworker: ./shop work\nrelease: ./shop migrate\n")];

    #[test]
    fn recipe_and_service_file_together_say_what_runs() {
        check("", &[("index.html", "x")], &["web site [] 1-1 port"]);
        check("run: { command: [./shop], health: /h }", &[("shop", "x")], &["web web [./shop] 1-1 /h"]);
        check("kind: worker\nrun: { command: [./shop] }", &[("shop", "x")], &["worker worker [./shop] 1-1 "]);
        check(
            "size: { instances: 2..4 }",
            PROC,
            &["web web [./shop] 2-4 port", "worker worker [./shop work] 1-1 ", "release worker [./shop migrate] 1-1 "],
        );
        check(
            "processes: { worker: { size: { instances: 3 } } }\nrun: { release: [./up] }",
            PROC,
            &["web web [./shop] 1-1 port", "worker worker [./shop work] 3-3 ", "release worker [./up] 1-1 "],
        );
        check(
            "processes: { mailer: { command: [./mail] }, sweeper: { command: [./sweep] } }",
            &[("mail", "x")],
            &["mailer worker [./mail] 1-1 ", "sweeper worker [./sweep] 1-1 "],
        );
    }

    #[test]
    fn contradictions_are_refused_with_their_place() {
        let no = |yaml: &str, code: &str| {
            let problem = spec(yaml, PROC).unwrap_err();
            assert_eq!(problem.code, code, "{problem}");
            assert!(problem.hint.is_some() && problem.place.is_some_and(|place| place.starts_with("orlop.yaml")));
        };
        no("service: shopp", "other-service");
        no("team: stock", "other-team");
        no("processes: { mailer: { size: { instances: 2 } } }", "process-without-command");
        no("processes: { release: { command: [./x] } }", "reserved-process");
    }
}
