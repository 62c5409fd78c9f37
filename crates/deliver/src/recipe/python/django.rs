//! Django: everything follows from the settings module that `manage.py` names.

use base::Result;

use super::super::{Tree, problem};
use super::requirements::Requirements;
use super::{Guess, is_module};

pub(super) struct Site {
    /// `shop.settings`.
    pub(super) settings: String,
    /// `shop.wsgi` and `shop.asgi`, where there are such files.
    wsgi: Option<String>,
    asgi: Option<String>,
    /// The settings name a STATIC_ROOT.
    pub(super) collects_static: bool,
}

pub(super) fn read(tree: &Tree) -> Result<Site> {
    let text = tree.text("manage.py")?.unwrap_or_default();
    let settings = settings_module(text).ok_or_else(|| {
        problem("no-django-settings", "found manage.py, but no DJANGO_SETTINGS_MODULE in it").at("manage.py").hint(
            "add to manage.py: `os.environ.setdefault(\"DJANGO_SETTINGS_MODULE\", \"shop.settings\")`, or name another \
             recipe with `build.recipe` in orlop.yaml",
        )
    })?;
    let files = settings_files(tree, &settings);
    let collects_static = files.iter().filter_map(|file| tree.clue(file)).any(has_static_root);
    Ok(Site { wsgi: entry(tree, &settings, "wsgi"), asgi: entry(tree, &settings, "asgi"), settings, collects_static })
}

/// The text in quotes that follows `DJANGO_SETTINGS_MODULE` on its line.
fn settings_module(text: &str) -> Option<String> {
    text.lines().filter(|line| !line.trim_start().starts_with('#')).find_map(|line| {
        let (_, after) = line.split_once("DJANGO_SETTINGS_MODULE")?;
        let mut quoted = after.split(['"', '\'']).map(str::trim).filter(|part| is_module(part));
        quoted.next().map(str::to_owned)
    })
}

/// The file of the settings module, and those beside it where it is a package.
fn settings_files(tree: &Tree, settings: &str) -> Vec<String> {
    let path = settings.replace('.', "/");
    let beside = path.rsplit_once('/').map(|(folder, _)| folder.to_owned());
    let packages = [Some(path.clone()), beside.filter(|folder| folder.ends_with("settings"))];
    let names = ["base.py", "common.py", "production.py", "prod.py", "settings.py"];
    let inside = packages.into_iter().flatten().flat_map(|folder| names.map(|name| format!("{folder}/{name}")));
    [format!("{path}.py")].into_iter().chain(inside).filter(|file| tree.has(file)).collect()
}

/// `STATIC_ROOT = …` at the start of a line, and not `None`.
fn has_static_root(text: &str) -> bool {
    text.lines().any(|line| {
        let value = line.strip_prefix("STATIC_ROOT").and_then(|rest| rest.trim_start().strip_prefix('='));
        value.is_some_and(|value| !value.starts_with('=') && !matches!(value.trim(), "None" | "\"\"" | "''"))
    })
}

/// The module `wsgi` or `asgi` in the settings' package or one above it.
fn entry(tree: &Tree, settings: &str, what: &str) -> Option<String> {
    let mut package = settings;
    while let Some((above, _)) = package.rsplit_once('.') {
        package = above;
        if tree.has(&format!("{}/{what}.py", package.replace('.', "/"))) {
            return Some(format!("{package}.{what}"));
        }
    }
    None
}

/// The server that is listed; without one, Django's own, which says of itself that it is for development.
pub(super) fn start(site: &Site, needs: &Requirements, warn: bool) -> Result<Guess> {
    if let Some(wsgi) = site.wsgi.as_ref().filter(|_| needs.has("gunicorn")) {
        let command = format!("python3 -m gunicorn --bind 0.0.0.0:${{PORT}} --access-logfile - {wsgi}:application");
        return Ok(Guess::new(&command, format!("found gunicorn: it serves `{wsgi}:application`")));
    }
    if let Some(asgi) = site.asgi.as_ref().filter(|_| needs.has("uvicorn")) {
        let command = format!("python3 -m uvicorn --host 0.0.0.0 --port ${{PORT}} {asgi}:application");
        return Ok(Guess::new(&command, format!("found uvicorn: it serves `{asgi}:application`")));
    }
    let mut guess =
        Guess::new("python3 manage.py runserver 0.0.0.0:${PORT} --noreload", "Django's own server runs".to_owned());
    if warn {
        let file = needs.file;
        guess.evidence.push(format!(
            "warning: that server is for development; add the line `gunicorn` to {file} and it is used instead"
        ));
    }
    Ok(guess)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_module_is_found() {
        for (text, expect) in [
            (r#"    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")"#, Some("shop.settings")),
            ("os.environ['DJANGO_SETTINGS_MODULE'] = 'config.settings.production'", Some("config.settings.production")),
            ("# os.environ['DJANGO_SETTINGS_MODULE'] = 'x.settings'", None),
            ("os.environ['DJANGO_SETTINGS_MODULE'] = name", None),
            ("os.environ['DJANGO_SETTINGS_MODULE'] = '../../x; rm'", None),
            ("", None),
        ] {
            assert_eq!(settings_module(text).as_deref(), expect, "{text}");
        }
    }

    #[test]
    fn static_root_counts_only_when_it_is_set() {
        for (text, expect) in [
            ("STATIC_ROOT = BASE_DIR / 'staticfiles'", true),
            ("x = 1\nSTATIC_ROOT='x'", true),
            ("# STATIC_ROOT = 'x'", false),
            ("STATIC_ROOT = None", false),
            ("STATIC_ROOTS = 'x'", false),
            ("STATIC_ROOT == 'x'", false),
        ] {
            assert_eq!(has_static_root(text), expect, "{text}");
        }
    }
}
