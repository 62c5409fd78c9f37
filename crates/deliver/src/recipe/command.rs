//! Sources that are ready to run as they are.

use std::collections::BTreeMap;

use super::{Output, Plan, RecipeName};

/// The command comes from the service file; the caller puts it in.
pub(super) fn plan() -> Plan {
    bare(RecipeName::Command)
}

/// No steps; the whole source becomes the artifact.
pub(super) fn bare(recipe: RecipeName) -> Plan {
    Plan {
        recipe,
        evidence: vec!["nothing is built: the files are taken as they are".to_owned()],
        steps: Vec::new(),
        caches: Vec::new(),
        tools: Vec::new(),
        runtime_tools: Vec::new(),
        output: whole(),
        env: BTreeMap::new(),
        processes: BTreeMap::new(),
        release: None,
    }
}

/// Everything but the history.
pub(super) fn whole() -> Output {
    Output::Folder { from: String::new(), leave_out: vec![".git".to_owned()] }
}
