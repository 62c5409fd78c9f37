//! Python: dependencies by pip into a folder of the source, so that nothing in the artifact
//! depends on where it was built (a virtual environment has its absolute path in it).

mod django;
mod requirements;
mod serve;

use std::collections::BTreeMap;

use base::Result;

use super::{Cache, Language, Output, RecipeName, SOURCE_DATE_EPOCH, Start, Step, Told, Tree, shown};
use requirements::Requirements;

/// Where dependencies are put, in the workspace and in the artifact.
const PACKAGES: &str = ".orlop/python";

/// Whether there is a web framework: such sources are Python whatever else is in them.
pub(super) fn fits_surely(tree: &Tree) -> bool {
    tree.has("manage.py") || serve::framework(tree).is_some()
}

pub(super) fn fits(tree: &Tree) -> bool {
    const FILES: &[&str] = &["requirements.txt", "pyproject.toml", "Pipfile", "setup.py"];
    fits_surely(tree)
        || FILES.iter().chain(serve::SCRIPTS).any(|file| tree.has(file))
        || requirements::FOLDER_FILES.iter().any(|file| tree.has(file))
}

pub(super) fn language(tree: &Tree, told: &Told) -> Result<Language> {
    let needs = requirements::read(tree)?;
    let mut evidence = vec![needs.evidence.clone()];
    evidence.extend(version(tree));
    let env = run_env(tree, &needs);
    let mut steps = install(&needs).into_iter().collect::<Vec<_>>();
    let start = if tree.has("manage.py") {
        let site = django::read(tree)?;
        evidence.push(format!("found manage.py with settings `{}`", shown(&site.settings)));
        if site.collects_static {
            evidence.push("the settings have STATIC_ROOT: `collectstatic` runs in the build".to_owned());
            steps.push(collect_static(&site.settings));
        }
        django::start(&site, &needs, !told.anything())
    } else {
        serve::start(tree, &needs)
    };
    let start = start.map(|guess| {
        if !told.anything() {
            evidence.extend(guess.evidence);
        }
        Start::Command(guess.command, BTreeMap::new())
    });
    Ok(Language {
        recipe: RecipeName::Python,
        evidence,
        caches: if needs.arguments.is_empty() { Vec::new() } else { vec![Cache::new("pip")] },
        tools: if steps.is_empty() { Vec::new() } else { vec!["python3"] },
        steps,
        runtime_tools: vec!["python3"],
        output: Output::Folder {
            from: String::new(),
            leave_out: [".git", ".venv", "venv", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".tox"]
                .map(str::to_owned)
                .to_vec(),
        },
        env,
        start,
        programs: Vec::new(),
    })
}

fn install(needs: &Requirements) -> Option<Step> {
    if needs.arguments.is_empty() {
        return None;
    }
    // With SOURCE_DATE_EPOCH pip compiles to files that are checked by content, not by time (PEP 552).
    let env = super::env([("PIP_CACHE_DIR", "/cache/pip"), ("PYTHONHASHSEED", "0"), SOURCE_DATE_EPOCH]);
    let fixed = ["python3", "-m", "pip", "install", "--no-input", "--disable-pip-version-check"];
    let place = ["--no-warn-script-location", "--root-user-action=ignore", "--target", "/workspace/.orlop/python"];
    let words = fixed.into_iter().chain(place).map(str::to_owned).chain(needs.arguments.iter().cloned());
    Some(Step::new("install dependencies", words, &env))
}

/// Settings often refuse to load without a secret key; no page is made with this one.
fn collect_static(settings: &str) -> Step {
    let mut env = super::env([
        ("PYTHONPATH", "/workspace/.orlop/python"),
        ("PYTHONDONTWRITEBYTECODE", "1"),
        ("SECRET_KEY", "for-collectstatic-only"),
        ("DJANGO_SECRET_KEY", "for-collectstatic-only"),
        SOURCE_DATE_EPOCH,
    ]);
    env.insert("DJANGO_SETTINGS_MODULE".to_owned(), settings.to_owned());
    Step::new("collect static files", ["python3", "manage.py", "collectstatic", "--noinput"], &env)
}

fn run_env(tree: &Tree, needs: &Requirements) -> BTreeMap<String, String> {
    let mut env = super::env([("PYTHONUNBUFFERED", "1"), ("PYTHONDONTWRITEBYTECODE", "1")]);
    let own_sources = needs.source_layout && tree.has_folder("src");
    let mut path: Vec<&str> = if needs.arguments.is_empty() { Vec::new() } else { vec!["/app/.orlop/python"] };
    path.extend(own_sources.then_some("/app/src"));
    if !path.is_empty() {
        env.insert("PYTHONPATH".to_owned(), format!("{}:${{PYTHONPATH}}", path.join(":")));
    }
    if !needs.arguments.is_empty() {
        env.insert("PATH".to_owned(), format!("/app/{PACKAGES}/bin:${{PATH}}"));
    }
    env
}

/// Which version the source asks for: it gets the host's, and is told so.
fn version(tree: &Tree) -> Option<String> {
    let place = [".python-version", "runtime.txt"].into_iter().find(|file| tree.has(file))?;
    let asked = tree.clue(place)?.lines().find(|line| !line.trim().is_empty())?;
    Some(format!("{place} asks for {}: the host's python3 is used, whichever that is", shown(asked.trim())))
}

/// What was guessed to serve.
struct Guess {
    command: Vec<String>,
    evidence: Vec<String>,
}

impl Guess {
    /// A command given as one text with spaces between words, and why.
    fn new(command: &str, evidence: String) -> Self {
        Self { command: command.split(' ').map(str::to_owned).collect(), evidence: vec![evidence] }
    }
}

/// `a.b.c`: safe in an argument and importable.
fn is_module(text: &str) -> bool {
    text.len() <= 200 && !text.is_empty() && text.split('.').all(base::placeholder::is_name)
}
