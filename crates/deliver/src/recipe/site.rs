//! A folder of files that the platform serves itself.

use std::collections::BTreeMap;

use base::ProcessName;

use super::plan::{ProcessKind, Runs};
use super::{Output, Plan, RecipeName, Tree, command};

/// Where a site may be, relative to the source.
const FOLDERS: [&str; 5] = ["", "public", "dist", "site", "_site"];

/// The plan for a source that has an `index.html` in one of the usual places.
pub(super) fn plan(tree: &Tree) -> Option<Plan> {
    let folder = FOLDERS.into_iter().find(|folder| {
        let index = if folder.is_empty() { "index.html".to_owned() } else { format!("{folder}/index.html") };
        tree.has(&index)
    })?;
    let output = output(folder);
    let shown = if folder.is_empty() { "the root" } else { folder };
    let served = match tree.paths().filter(|path| output.place(path).is_some()).count() {
        1 => "it is served as a site".to_owned(),
        files => format!("{files} files are served as a site"),
    };
    Some(Plan {
        evidence: vec![format!("found index.html in {shown}: {served}")],
        output,
        processes: BTreeMap::from([(
            ProcessName::web(),
            Runs { command: Vec::new(), env: BTreeMap::new(), kind: ProcessKind::Site },
        )]),
        ..command::bare(RecipeName::Site)
    })
}

/// The folder without what is not for visitors: hidden files (but `.well-known`, RFC 8615), the
/// service file, tools.
pub(super) fn output(folder: &str) -> Output {
    let leave_out = ["**/.*", "!.well-known", "node_modules", "orlop.yaml", "orlop.yml", "Procfile"];
    Output::Folder { from: folder.to_owned(), leave_out: leave_out.map(str::to_owned).to_vec() }
}
