//! What a client learns before it pushes (gitprotocol-http "Smart Server Response",
//! gitprotocol-pack "Reference Discovery").

use base::Result;

use crate::layout::Repository;
use crate::packet::{self, FLUSH};
use crate::refs;

/// Everything here is implemented; what is not here (push options, certificates, shallow
/// updates, report-status-v2) a client may not use.
const CAPABILITIES: &str =
    "report-status delete-refs side-band-64k quiet atomic ofs-delta object-format=sha1 agent=orlop";

/// The whole body for `service=git-receive-pack`.
pub(crate) fn receive(repository: &Repository) -> Result<Vec<u8>> {
    let refs = if repository.exists() { refs::list(&repository.open()?)? } else { Vec::new() };
    let mut out = Vec::new();
    packet::write(&mut out, b"# service=git-receive-pack\n");
    out.extend_from_slice(FLUSH);
    let mut capabilities = format!("\0{CAPABILITIES}");
    for (name, id) in refs {
        packet::write(&mut out, format!("{id} {name}{capabilities}\n").as_bytes());
        capabilities.clear();
    }
    if !capabilities.is_empty() {
        let nothing = gix::ObjectId::null(gix::hash::Kind::Sha1);
        packet::write(&mut out, format!("{nothing} capabilities^{{}}{capabilities}\n").as_bytes());
    }
    out.extend_from_slice(FLUSH);
    Ok(out)
}
