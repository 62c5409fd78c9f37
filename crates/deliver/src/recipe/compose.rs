//! Puts a plan together from what a language, a Procfile and the service file say.

use std::collections::BTreeMap;

use base::{ProcessName, Result};

use super::plan::{Plan, ProcessKind, Runs};
use super::procfile::{Procfile, kind_of};
use super::{APP, Language, RecipeName, Start, Told, Tree, Wish, command, go, node, problem, python, rust, site};

/// A recipe that builds: its name, what it looks for, whether it fits, what it makes of it.
struct Row {
    name: RecipeName,
    looks_for: &'static str,
    fits: fn(&Tree) -> bool,
    language: fn(&Tree, &Told) -> Result<Language>,
}

/// In the order of detection. A web framework of Python comes before Node because such services
/// often carry a `package.json` for their style sheets.
const LANGUAGES: [Row; 5] = [
    Row { name: RecipeName::Rust, looks_for: "Cargo.toml", fits: rust::fits, language: rust::language },
    Row { name: RecipeName::Go, looks_for: "go.mod", fits: go::fits, language: go::language },
    Row { name: RecipeName::Python, looks_for: "manage.py", fits: python::fits_surely, language: python::language },
    Row { name: RecipeName::Node, looks_for: "package.json", fits: node::fits, language: node::language },
    Row {
        name: RecipeName::Python,
        looks_for: "requirements.txt, pyproject.toml, app.py, main.py",
        fits: python::fits,
        language: python::language,
    },
];

pub(super) fn plan(tree: &Tree, wish: &Wish) -> Result<Plan> {
    if wish.recipe == Some(RecipeName::Command) {
        return Ok(command::plan());
    }
    let procfile = match tree.text("Procfile")? {
        Some(text) if wish.recipe != Some(RecipeName::Site) => Some(Procfile::parse(text)?),
        _ => None,
    };
    let told = Told { procfile: procfile.as_ref(), command: wish.command.as_deref() };
    let plan = match wish.recipe {
        None => detected(tree, &told)?,
        Some(RecipeName::Site) => wanted_site(tree)?,
        Some(RecipeName::Procfile) if told.procfile.is_none() => return Err(does_not_fit(tree, RecipeName::Procfile)),
        Some(RecipeName::Procfile) => command::bare(RecipeName::Procfile),
        Some(name) => match LANGUAGES.iter().find(|row| row.name == name && (row.fits)(tree)) {
            Some(row) => of_language((row.language)(tree, &told)?, &told)?,
            None if name == RecipeName::Python && told.anything() => {
                of_language(python::language(tree, &told)?, &told)?
            }
            None => return Err(does_not_fit(tree, name)),
        },
    };
    Ok(match procfile {
        Some(file) => with_procfile(plan, file),
        None => plan,
    }
    .tidy())
}

fn detected(tree: &Tree, told: &Told) -> Result<Plan> {
    let fitting: Vec<&Row> = LANGUAGES.iter().filter(|row| (row.fits)(tree)).collect();
    let Some(row) = fitting.first() else {
        return match site::plan(tree) {
            _ if told.procfile.is_some() => Ok(command::bare(RecipeName::Procfile)),
            Some(site) => Ok(site),
            None if told.command.is_some() => Ok(command::plan()),
            None => Err(nothing(tree)),
        };
    };
    let language = (row.language)(tree, told)?;
    let mut plan = match (&language.start, site::plan(tree)) {
        (Err(why), Some(site)) if !told.anything() => {
            let mut site = site;
            site.evidence.push(format!("found {} too, and nothing to start: {}", row.looks_for, why.message));
            return Ok(site);
        }
        _ => of_language(language, told)?,
    };
    let mut others: Vec<RecipeName> = fitting.iter().map(|row| row.name).filter(|name| *name != row.name).collect();
    others.dedup();
    for other in others {
        plan.evidence.push(format!(
            "the recipe `{other}` fits too: to use it, write `build: {{ recipe: {other} }}` in orlop.yaml"
        ));
    }
    Ok(plan)
}

fn of_language(language: Language, told: &Told) -> Result<Plan> {
    let mut processes = BTreeMap::new();
    if !told.anything() {
        let runs = match language.start? {
            Start::Command(command, own) => {
                Runs { command, env: laid_over(&language.env, own), kind: ProcessKind::Web }
            }
            Start::Site => Runs { command: Vec::new(), env: BTreeMap::new(), kind: ProcessKind::Site },
        };
        processes.insert(ProcessName::web(), runs);
    }
    let mut plan = Plan {
        recipe: language.recipe,
        evidence: language.evidence,
        steps: language.steps,
        caches: language.caches,
        tools: language.tools.into_iter().map(str::to_owned).collect(),
        runtime_tools: language.runtime_tools.into_iter().map(str::to_owned).collect(),
        output: language.output,
        env: language.env,
        processes,
        release: None,
    };
    if told.procfile.is_some() {
        plan.evidence.push("found Procfile: it says what runs".to_owned());
    }
    if told.anything() && !language.programs.is_empty() {
        // Programs that the build makes can be named without `./`.
        plan.env.insert("PATH".to_owned(), format!("{APP}:${{PATH}}"));
    }
    Ok(plan)
}

fn wanted_site(tree: &Tree) -> Result<Plan> {
    if let Some(language) = node::site(tree)? {
        return of_language(language, &Told { procfile: None, command: None });
    }
    site::plan(tree).ok_or_else(|| does_not_fit(tree, RecipeName::Site))
}

/// Lets a Procfile say what runs.
fn with_procfile(mut plan: Plan, file: Procfile) -> Plan {
    for (process, command) in file.processes {
        plan.evidence.push(format!("Procfile: `{process}` runs `{}`", super::shown(&command.line)));
        plan.needs_program_of(&command.argv);
        let env = laid_over(&plan.env, command.env);
        let kind = kind_of(&process);
        plan.processes.insert(process, Runs { command: command.argv, env, kind });
    }
    if let Some(command) = file.release {
        plan.evidence.push(format!("Procfile: `{}` runs before each release", super::shown(&command.line)));
        plan.needs_program_of(&command.argv);
        let own = command.env.iter().map(|(name, value)| format!("{name}={value}"));
        let wrapped = (!command.env.is_empty()).then(|| "env".to_owned());
        let release: Vec<String> = wrapped.into_iter().chain(own).chain(command.argv).collect();
        plan.needs_program_of(&release);
        plan.release = Some(release);
    }
    plan.evidence.extend(file.notes);
    plan
}

/// What a process asks for over what the recipe gives. Where the recipe's value makes room for
/// another of the same name (`/app/x:${PATH}`, `${NODE_ENV:-production}`) it is put in there.
fn laid_over(base: &BTreeMap<String, String>, own: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut all = base.clone();
    for (name, value) in own {
        let given = all.get(&name).map(String::as_str).unwrap_or_default();
        let room = given.find(&format!("${{{name}")).and_then(|start| {
            let length = given.get(start..)?.find('}')?.saturating_add(1);
            Some(start..start.saturating_add(length))
        });
        let value = match room {
            Some(room) => {
                let mut text = given.to_owned();
                text.replace_range(room, &value);
                text
            }
            None => value,
        };
        all.insert(name, value);
    }
    all
}

fn nothing(tree: &Tree) -> base::Problem {
    let looked_for: Vec<&str> = LANGUAGES.iter().map(|row| row.looks_for).collect();
    let found: Vec<&str> = tree.paths().filter(|path| !path.contains('/')).collect();
    let found = if found.is_empty() { "no file".to_owned() } else { super::listed(found) };
    let deeper = tree.paths().find_map(|path| {
        let (folder, name) = path.split_once('/')?;
        ["Cargo.toml", "go.mod", "manage.py", "package.json", "requirements.txt", "pyproject.toml"]
            .contains(&name)
            .then(|| super::shown(folder))
    });
    let fix = match deeper {
        Some(folder) => format!("if the service is in `{folder}`, deploy that folder: `orlop deploy {folder}`; else "),
        None => String::new(),
    };
    problem(
        "nothing-to-detect",
        format!(
            "looked for Procfile, {}, and index.html (also in public, dist, site, _site), and found {found}",
            looked_for.join(", ")
        ),
    )
    .hint(format!(
        "{fix}add a file `Procfile` with the line `web: ./server` (your command; listen on $PORT), or write in orlop.yaml: \
         `build: {{ recipe: command }}` and `run: {{ command: [\"./server\"] }}`"
    ))
}

fn does_not_fit(tree: &Tree, name: RecipeName) -> base::Problem {
    let needs = match name {
        RecipeName::Procfile => "Procfile".to_owned(),
        RecipeName::Site => "index.html (also in public, dist, site, _site)".to_owned(),
        _ => LANGUAGES.iter().filter(|row| row.name == name).map(|row| row.looks_for).collect::<Vec<_>>().join(", "),
    };
    let fitting: Vec<&str> = LANGUAGES.iter().filter(|row| (row.fits)(tree)).map(|row| row.name.as_str()).collect();
    let hint = match fitting.first() {
        Some(other) => format!("write `build: {{ recipe: {other} }}` in orlop.yaml, or leave `build.recipe` out"),
        None => format!("add one of {needs}, or leave `build.recipe` out of orlop.yaml"),
    };
    problem("recipe-does-not-fit", format!("orlop.yaml wants the recipe `{name}`, which looks for {needs}: not found"))
        .hint(hint)
}
