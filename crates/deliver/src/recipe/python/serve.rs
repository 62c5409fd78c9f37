//! What serves in a Python source that is not Django: Flask, FastAPI and their like, or a script.

use base::Result;

use super::super::{Tree, problem, shown};
use super::requirements::Requirements;
use super::{Guess, is_module};

/// Files that are programs by their name, in the order in which they are tried.
pub(super) const SCRIPTS: &[&str] = &["main.py", "app.py", "server.py", "application.py", "run.py", "__main__.py"];
/// Files in which an application object is looked for.
const MODULES: &[&str] = &[
    "wsgi.py",
    "asgi.py",
    "app.py",
    "main.py",
    "server.py",
    "application.py",
    "app/main.py",
    "app/app.py",
    "src/main.py",
    "src/app.py",
    "api/main.py",
];
/// Classes whose object is an application, and how it is called.
const CLASSES: &[(&str, Interface)] = &[
    ("FastAPI", Interface::Asgi),
    ("Starlette", Interface::Asgi),
    ("Litestar", Interface::Asgi),
    ("Quart", Interface::Asgi),
    ("Flask", Interface::Wsgi),
    ("Bottle", Interface::Wsgi),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Interface {
    /// PEP 3333.
    Wsgi,
    /// asgi.readthedocs.io.
    Asgi,
}

/// An application object that was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Framework {
    class: &'static str,
    interface: Interface,
    /// `app.main`.
    module: String,
    /// `app`, or `create_app()`.
    object: String,
}

/// The first application object in one of the usual files.
pub(super) fn framework(tree: &Tree) -> Option<Framework> {
    MODULES.iter().find_map(|file| {
        let text = tree.clue(file)?;
        let module = file.trim_end_matches(".py").replace('/', ".");
        CLASSES.iter().find_map(|(class, interface)| {
            let object = object(text, class)?;
            Some(Framework { class, interface: *interface, module: module.clone(), object })
        })
    })
}

/// `name = Class(` or `name: Class = mod.Class(` at the start of a line; a function `create_app`
/// in a file that makes one elsewhere.
fn object(text: &str, class: &str) -> Option<String> {
    let call = format!("{class}(");
    let assigned = text.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        let name = name.split(':').next().unwrap_or_default().trim_end();
        let value = value.trim_start();
        let made = value.starts_with(&call) || value.split_once('.').is_some_and(|(_, rest)| rest.starts_with(&call));
        (made && base::placeholder::is_name(name)).then(|| name.to_owned())
    });
    let factory = || {
        let defined = text.lines().any(|line| line.starts_with("def create_app("));
        (defined && text.contains(&call)).then(|| "create_app()".to_owned())
    };
    assigned.or_else(factory)
}

pub(super) fn start(tree: &Tree, needs: &Requirements) -> Result<Guess> {
    if let Some(found) = framework(tree) {
        return served(&found, needs);
    }
    if let Some(script) = SCRIPTS.iter().find(|script| tree.has(script)) {
        return Ok(Guess::new(&format!("python3 {script}"), format!("found {script}: it runs")));
    }
    if let [(name, entry)] = needs.scripts.as_slice()
        && let Some((module, function)) = entry.split_once(':').filter(|(m, f)| is_module(m) && is_module(f))
    {
        let first = function.split('.').next().unwrap_or_default();
        let code = format!("import sys; from {module} import {first}; sys.exit({function}())");
        let command = vec!["python3".to_owned(), "-c".to_owned(), code];
        return Ok(Guess {
            command,
            evidence: vec![format!("the script `{}` of [project.scripts] runs", shown(name))],
        });
    }
    Err(problem(
        "nothing-to-start",
        format!(
            "{}; found nothing to start: neither manage.py nor an application in {}, nor a script",
            needs.evidence,
            MODULES.join(", ")
        ),
    )
    .hint("add a file `Procfile` with the line `web: python3 server.py` (listen on os.environ[\"PORT\"])"))
}

fn served(found: &Framework, needs: &Requirements) -> Result<Guess> {
    let Framework { class, interface, module, object } = found;
    let app = format!("{module}:{object}");
    let uvicorn = needs.has("uvicorn") || needs.has_extra("fastapi", "standard") || needs.has_extra("fastapi", "all");
    let guess = |command: String, server: &str| {
        Ok(Guess::new(&command, format!("found {class} `{app}` and {server}, which serves it")))
    };
    match interface {
        Interface::Asgi if uvicorn => {
            let factory = if object.ends_with("()") { "--factory " } else { "" };
            let app = app.trim_end_matches("()");
            guess(format!("python3 -m uvicorn {factory}--host 0.0.0.0 --port ${{PORT}} {app}"), "uvicorn")
        }
        Interface::Asgi if needs.has("hypercorn") && !object.ends_with("()") => {
            guess(format!("python3 -m hypercorn --bind 0.0.0.0:${{PORT}} {app}"), "hypercorn")
        }
        Interface::Wsgi if needs.has("gunicorn") => {
            guess(format!("python3 -m gunicorn --bind 0.0.0.0:${{PORT}} --access-logfile - {app}"), "gunicorn")
        }
        Interface::Wsgi if needs.has("waitress") && !object.ends_with("()") => {
            guess(format!("python3 -m waitress --listen=0.0.0.0:${{PORT}} {app}"), "waitress")
        }
        Interface::Wsgi if *class == "Flask" => {
            let command = format!("python3 -m flask --app {app} run --host 0.0.0.0 --port ${{PORT}}");
            let mut guess = Guess::new(&command, format!("found Flask `{app}`: Flask's own server runs"));
            let file = needs.file;
            guess.evidence.push(format!(
                "warning: that server is for development; add the line `gunicorn` to {file} and it is used instead"
            ));
            Ok(guess)
        }
        _ => {
            let (server, file) = (if *interface == Interface::Asgi { "uvicorn" } else { "gunicorn" }, needs.file);
            Err(problem("no-python-server", format!("found {class} `{app}`, but {file} lists no server for it"))
                .at(file)
                .hint(format!("add the line `{server}` to {file}, or a file `Procfile` with the command that serves")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn application_objects() {
        for (text, class, expect) in [
            ("from flask import Flask\napp = Flask(__name__)", "Flask", Some("app")),
            ("server=flask.Flask(__name__)", "Flask", Some("server")),
            ("api: FastAPI = FastAPI(title='x')", "FastAPI", Some("api")),
            ("def create_app():\n    app = Flask(__name__)\n    return app", "Flask", Some("create_app()")),
            ("    app = Flask(__name__)", "Flask", None),
            ("# app = Flask(__name__)", "Flask", None),
            ("app = MyFlask(x)", "Flask", None),
            ("a b = Flask(x)", "Flask", None),
        ] {
            assert_eq!(object(text, class).as_deref(), expect, "{text}");
        }
    }
}
