//! Sites that Node builds and nobody serves but the platform.

use base::Result;

use super::super::words::{self, Line};
use super::super::{Language, RecipeName, Start, Tree, shown, site};
use super::package::Package;
use super::{base, fits};

/// Tools that make a site: the dependency by which they are known, where they put it.
const MAKERS: &[(&str, &str)] = &[
    ("react-scripts", "build"),
    ("@docusaurus/core", "build"),
    ("@sveltejs/adapter-static", "build"),
    ("gatsby", "public"),
    ("hexo", "public"),
    ("@11ty/eleventy", "_site"),
    ("vitepress", ".vitepress/dist"),
    ("astro", "dist"),
    ("@vue/cli-service", "dist"),
    ("parcel", "dist"),
    ("webpack", "dist"),
    ("vite", "dist"),
];
/// Programs that serve while somebody develops and are not meant to serve others.
const DEVELOPMENT: &[&str] = &[
    "astro",
    "eleventy",
    "gatsby",
    "hexo",
    "ng",
    "parcel",
    "react-scripts",
    "vite",
    "vue-cli-service",
    "webpack",
    "webpack-dev-server",
];
/// Options with which a build is told where to put its result.
const OUT_OPTIONS: &[&str] =
    &["--outDir", "--out-dir", "--outdir", "--output", "--output-path", "--dist-dir", "-o", "-d"];

impl Package {
    /// Whether nothing in it would serve requests: no start, or one that is for development.
    pub(super) fn serves_nothing(&self, tree: &Tree) -> bool {
        match self.scripts.get("start").map(|line| words::parse(line)) {
            Some(Ok(Line::Direct { argv, .. })) => {
                argv.first().is_some_and(|program| DEVELOPMENT.contains(&program.as_str()))
            }
            Some(_) => false,
            None => {
                let server = ["server.js", "server.mjs", "app.js", "index.js"].iter().any(|file| tree.has(file));
                !server && self.main.is_none()
            }
        }
    }
}

/// The plan for a source of which the service file says that it is a site; `None` if Node does not build it.
pub(in super::super) fn site(tree: &Tree) -> Result<Option<Language>> {
    if !fits(tree) {
        return Ok(None);
    }
    let package = Package::read(tree)?;
    Ok(package.scripts.contains_key("build").then(|| built(tree, &package)))
}

/// Node builds, the platform serves.
pub(super) fn built(tree: &Tree, package: &Package) -> Language {
    let (folder, why) = folder(package);
    let mut language = base(tree, package);
    language.recipe = RecipeName::Site;
    language.evidence.push(format!("the script `build` makes a site in {} ({why})", shown(&folder)));
    // What only the build needed does not leave the workspace anyway.
    language.steps.retain(|step| step.name == "install dependencies" || step.name == "build");
    language.output = site::output(&folder);
    language.runtime_tools.clear();
    language.env.clear();
    language.start = Ok(Start::Site);
    language
}

fn folder(package: &Package) -> (String, String) {
    let line = package.scripts.get("build").map(String::as_str).unwrap_or_default();
    let words: Vec<&str> = line.split_whitespace().collect();
    let plain = |folder: &&str| {
        folder.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b))
            && !folder.starts_with(['/', '-'])
            && !folder.split('/').any(|segment| segment == "..")
    };
    let told = words.iter().enumerate().find_map(|(at, word)| match word.split_once('=') {
        Some((option, folder)) if OUT_OPTIONS.contains(&option) => Some(folder),
        None if OUT_OPTIONS.contains(word) => words.get(at.saturating_add(1)).copied(),
        _ => None,
    });
    if let Some(folder) =
        told.map(|folder| folder.trim_start_matches("./").trim_end_matches('/')).filter(plain).filter(|f| !f.is_empty())
    {
        return (folder.to_owned(), "its build script says so".to_owned());
    }
    match MAKERS.iter().find(|(maker, _)| package.dependencies.contains(*maker)) {
        Some((maker, folder)) => ((*folder).to_owned(), format!("as `{maker}` does")),
        None => ("dist".to_owned(), "the usual folder; say otherwise with `--outDir FOLDER` in the script".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::super::Entry;
    use super::*;

    fn check(build: &str, dependency: &str, expect: &str) {
        let text = format!(r#"{{"scripts":{{"build":{build:?}}},"devDependencies":{{{dependency:?}:"1"}}}}"#);
        let entry = Entry { size: 1, executable: false, content: Some(text.into_bytes()) };
        let tree = Tree::new(BTreeMap::from([("package.json".to_owned(), entry)]));
        let package = Package::read(&tree).unwrap();
        assert_eq!(folder(&package).0, expect, "{build}");
    }

    #[test]
    fn the_folder_of_the_result() {
        check("vite build", "vite", "dist");
        check("vite build --outDir=./www/", "vite", "www");
        check("tsc && vite build --outDir www", "vite", "www");
        check("react-scripts build", "react-scripts", "build");
        check("make", "x", "dist");
        for sly in ["a --outDir ../x", "a --outDir /etc", "a --outDir", "a --outDir -x", "a --outDir=", "a -o $X"] {
            check(sly, "x", "dist");
        }
    }
}
