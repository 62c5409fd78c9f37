//! Built-in templates: the files that `orlop new` begins a service with. Each is a whole program
//! with a health check, graceful stop, structured logs, tests and a README, and builds without a
//! network. They are kept as `templates/<name>/<path>.tmpl`, so that nothing in them (a
//! `Cargo.toml`, a `.gitignore`) means anything to this repository.

use api::catalog::{Template, TemplateFile};
use base::{Problem, Result, ServiceName, TemplateName};

/// What stands for the service's name in a file.
const PLACEHOLDER: &str = "{{service}}";

/// A template as it is kept.
#[derive(Debug, Clone, Copy)]
pub struct TemplateSource {
    /// Its name, in the grammar of [`TemplateName`].
    pub name: &'static str,
    /// One line.
    pub description: &'static str,
    /// What it is written in.
    pub language: &'static str,
    /// Path and text of each file.
    files: &'static [(&'static str, &'static str)],
}

/// A file of a template: its path there, and where it is kept if that is not the same.
macro_rules! files {
    ($folder:literal: $($path:literal $(= $kept:literal)?),* $(,)?) => {
        &[$(($path, files!(@text $folder, $path $(, $kept)?))),*]
    };
    (@text $folder:literal, $path:literal) => {
        include_str!(concat!("../../templates/", $folder, "/", $path, ".tmpl"))
    };
    (@text $folder:literal, $path:literal, $kept:literal) => {
        include_str!(concat!("../../templates/", $kept, ".tmpl"))
    };
}

/// In the order in which they are offered.
const TEMPLATES: &[TemplateSource] = &[
    TemplateSource {
        name: "web",
        description: "A web service without dependencies",
        language: "Rust",
        files: files!("web":
            ".gitignore" = "rust/gitignore", "Cargo.lock" = "rust/Cargo.lock", "Cargo.toml" = "rust/Cargo.toml",
            "README.md", "orlop.yaml", "src/connection.rs", "src/http.rs", "src/log.rs" = "rust/log.rs", "src/main.rs",
            "src/pages.rs", "src/server.rs", "src/stop.rs" = "rust/stop.rs",
        ),
    },
    TemplateSource {
        name: "worker",
        description: "A program that works in the background and listens to nobody",
        language: "Rust",
        files: files!("worker":
            ".gitignore" = "rust/gitignore", "Cargo.lock" = "rust/Cargo.lock", "Cargo.toml" = "rust/Cargo.toml",
            "README.md", "orlop.yaml", "src/log.rs" = "rust/log.rs", "src/main.rs", "src/stop.rs" = "rust/stop.rs",
            "src/work.rs",
        ),
    },
    TemplateSource {
        name: "site",
        description: "A folder of pages that the platform serves",
        language: "HTML",
        files: files!("site":
            ".gitignore" = "site/gitignore", "README.md", "orlop.yaml", "public/404.html", "public/icon.svg",
            "public/index.html", "public/style.css",
        ),
    },
    TemplateSource {
        name: "python-web",
        description: "A web service with nothing but the standard library",
        language: "Python",
        files: files!("python-web":
            ".gitignore" = "python-web/gitignore", "README.md", "main.py", "orlop.yaml", "pages.py", "test_pages.py",
        ),
    },
    TemplateSource {
        name: "node-web",
        description: "A web service with nothing but Node's own modules",
        language: "JavaScript",
        files: files!("node-web":
            ".gitignore" = "node-web/gitignore", "README.md", "orlop.yaml", "package-lock.json", "package.json",
            "pages.js", "pages.test.js", "server.js",
        ),
    },
];

/// Every template, in the order in which they are offered.
pub const fn templates() -> &'static [TemplateSource] {
    TEMPLATES
}

/// The files of a new service, sorted by path.
///
/// # Errors
/// `template-not-found`, with the names there are.
pub fn render(template: &TemplateName, service: &ServiceName) -> Result<Vec<TemplateFile>> {
    let source = TEMPLATES.iter().find(|source| source.name == template.as_str()).ok_or_else(|| {
        let names: Vec<String> = TEMPLATES.iter().map(|source| format!("`{}`", source.name)).collect();
        Problem::not_found("template-not-found", format!("there is no template `{template}`"))
            .hint(format!("use one of {}", names.join(", ")))
    })?;
    let file = |(path, text): &(&str, &str)| {
        let name = if path.starts_with("Cargo.") { package_name(service) } else { service.to_string() };
        TemplateFile { path: (*path).to_owned(), content: text.replace(PLACEHOLDER, &name), executable: false }
    };
    Ok(source.files.iter().map(file).collect())
}

/// The name of the Cargo package. A few names that a service may have are those of folders in which
/// Cargo keeps its own things, and it refuses them for programs.
fn package_name(service: &ServiceName) -> String {
    match service.as_str() {
        name @ ("build" | "deps" | "examples" | "incremental") => format!("{name}-service"),
        name => name.to_owned(),
    }
}

impl TemplateSource {
    /// As the API shows it.
    ///
    /// # Errors
    /// Never for a built-in template; the grammar of its name is checked by a test.
    pub fn listed(&self) -> Result<Template> {
        Ok(Template {
            template: self.name.parse()?,
            description: self.description.to_owned(),
            language: self.language.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn files(template: &str, service: &str) -> Vec<TemplateFile> {
        render(&template.parse().unwrap(), &service.parse().unwrap()).unwrap()
    }

    #[test]
    fn every_template_is_listed_and_has_what_it_needs() {
        for source in templates() {
            assert_eq!(source.listed().unwrap().template.as_str(), source.name);
            let files = files(source.name, "shop-2");
            let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
            assert!(paths.is_sorted(), "{paths:?}");
            for path in ["README.md", "orlop.yaml", ".gitignore"] {
                assert!(paths.contains(&path), "{} lacks {path}", source.name);
            }
            for file in &files {
                let mut doubled = file.content.split("{{").skip(1);
                let left = doubled.any(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic()));
                assert!(!left, "{}: {} has a placeholder left", source.name, file.path);
                assert!(file.content.ends_with('\n') && !file.content.contains('\r'), "{}", file.path);
                assert!(Path::new(&file.path).components().all(|c| matches!(c, std::path::Component::Normal(_))));
            }
        }
    }

    #[test]
    fn the_service_file_of_each_is_taken_and_names_the_service() {
        for source in templates() {
            let files = files(source.name, "shop-2");
            let text = &files.iter().find(|file| file.path == "orlop.yaml").unwrap().content;
            let manifest = api::manifest::parse(text, "orlop.yaml").unwrap();
            assert_eq!(manifest.service.unwrap().as_str(), "shop-2");
        }
    }

    #[test]
    fn what_is_kept_is_used() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
        let mut kept = BTreeSet::new();
        let mut folders = vec![root];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    assert!(path.to_str().unwrap().ends_with(".tmpl"), "{path:?}");
                    kept.insert(std::fs::read_to_string(path).unwrap());
                }
            }
        }
        let used: BTreeSet<String> =
            templates().iter().flat_map(|source| source.files.iter().map(|(_, text)| (*text).to_owned())).collect();
        assert_eq!(kept.len(), used.len(), "a file is kept that no template has");
        assert_eq!(kept, used);
    }

    #[test]
    fn an_unknown_template_is_told_with_those_there_are() {
        let problem = render(&"wep".parse().unwrap(), &"shop".parse().unwrap()).unwrap_err();
        assert_eq!(problem.code, "template-not-found");
        assert!(problem.hint.unwrap().contains("`python-web`"));
    }

    #[test]
    fn names_that_cargo_keeps_for_itself_are_avoided() {
        let toml =
            |service: &str| files("web", service).into_iter().find(|file| file.path == "Cargo.toml").unwrap().content;
        assert!(toml("build").contains("name = \"build-service\""));
        assert!(toml("shop").contains("name = \"shop\""));
    }
}
