//! The first part of a push: which refs shall move where, and what the client understands
//! (gitprotocol-pack, "Reference Update Request").

use base::{Problem, Result};
use gix::ObjectId;
use ports::ReceiveLimits;

use crate::body::{Body, Packet};
use crate::fault::protocol;

/// Longest name of a ref, bytes: its last part and `.lock` fit into a file name.
const REF_BYTES_MAX: usize = 240;
/// Longest command section, bytes.
const SECTION_BYTES_MAX: usize = 1 << 20;

/// Everything before the pack.
#[derive(Debug)]
pub(crate) struct Request {
    pub commands: Vec<Command>,
    pub report_status: bool,
    pub side_band: bool,
    pub atomic: bool,
    /// The client's own history is cut short.
    pub shallow: bool,
}

/// One ref that shall move.
#[derive(Debug, Clone)]
pub(crate) struct Command {
    pub name: String,
    /// Where the client believes it is.
    pub old: Option<ObjectId>,
    /// Where it shall go; `None` deletes it.
    pub new: Option<ObjectId>,
    /// Why it may not, if that is clear already.
    pub refused: Option<String>,
}

impl Request {
    /// Whether a pack follows (only deletions come without one).
    pub(crate) fn has_pack(&self) -> bool {
        self.commands.iter().any(|c| c.new.is_some())
    }
}

/// Reads the section; `None` where the client only asks whether it may push (an empty body or a
/// single flush, which git sends before a large body).
pub(crate) async fn read(body: &mut Body, limits: &ReceiveLimits) -> Result<Option<Request>> {
    let mut request =
        Request { commands: Vec::new(), report_status: false, side_band: false, atomic: false, shallow: false };
    let mut bytes = 0usize;
    loop {
        let line = match body.packet().await? {
            Packet::Line(line) => line,
            Packet::Flush if !request.commands.is_empty() => break,
            Packet::Flush | Packet::End if request.commands.is_empty() && !request.shallow => return Ok(None),
            Packet::Flush => return Err(protocol("it names no ref")),
            Packet::End => return Err(protocol("it ends within the list of refs")),
        };
        bytes = bytes.saturating_add(line.len());
        if bytes > SECTION_BYTES_MAX || request.commands.len() >= limits.refs_max as usize {
            return Err(Problem::too_large(
                "too-many-refs",
                format!("one push may move at most {} refs", limits.refs_max),
            )
            .hint("push fewer branches and tags at once, by their names"));
        }
        request.take(&line)?;
    }
    refuse_twins(&mut request.commands);
    Ok(Some(request))
}

impl Request {
    fn take(&mut self, line: &[u8]) -> Result<()> {
        if let Some(id) = line.strip_prefix(b"shallow ") {
            id_of(id)?;
            self.shallow = true;
            return Ok(());
        }
        if line.starts_with(b"push-cert") {
            return Err(protocol("signed pushes are not offered here"));
        }
        let mut parts = line.splitn(2, |b| *b == 0);
        let command = parts.next().unwrap_or_default();
        if let Some(capabilities) = parts.next().filter(|_| self.commands.is_empty()) {
            self.capabilities(capabilities)?;
        }
        self.commands.push(parse(command)?);
        Ok(())
    }

    fn capabilities(&mut self, text: &[u8]) -> Result<()> {
        for word in text.split(|b| *b == b' ') {
            match word {
                b"report-status" => self.report_status = true,
                b"side-band-64k" => self.side_band = true,
                b"atomic" => self.atomic = true,
                b"push-options" | b"report-status-v2" => return Err(protocol("it uses what was not offered")),
                b"object-format=sha256" => return Err(protocol("the repository has SHA-1 ids")),
                _ => {}
            }
        }
        Ok(())
    }
}

/// `OLD NEW NAME`.
fn parse(line: &[u8]) -> Result<Command> {
    let text = std::str::from_utf8(line).map_err(|_| protocol("the name of a ref is not UTF-8"))?;
    let mut parts = text.splitn(3, ' ');
    let (Some(old), Some(new), Some(name)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(protocol("a line names no ref"));
    };
    if name.chars().any(char::is_control) {
        return Err(protocol("the name of a ref has control characters"));
    }
    let present = |id: ObjectId| (!id.is_null()).then_some(id);
    let (old, new) = (present(id_of(old.as_bytes())?), present(id_of(new.as_bytes())?));
    let refused = refusal(name).or_else(|| (old.is_none() && new.is_none()).then(|| "nothing to delete".to_owned()));
    Ok(Command { name: name.to_owned(), old, new, refused })
}

fn id_of(hex: &[u8]) -> Result<ObjectId> {
    ObjectId::from_hex(hex).map_err(|_| protocol("an object id is not 40 hex digits"))
}

/// Why a ref of this name may not be pushed.
fn refusal(name: &str) -> Option<String> {
    let short = name.strip_prefix("refs/heads/").or_else(|| name.strip_prefix("refs/tags/"));
    if name.len() > REF_BYTES_MAX {
        return Some(format!("the name is longer than {REF_BYTES_MAX} bytes"));
    }
    let Some(short) = short else {
        return Some("only branches (refs/heads/…) and tags (refs/tags/…) can be pushed".to_owned());
    };
    if short == "HEAD" || short.starts_with('-') {
        return Some("a branch or tag may not have this name".to_owned());
    }
    gix::validate::reference::name(name.into()).err().map(|e| format!("bad name: {e}"))
}

/// Two commands for one ref have no meaning: both are refused.
fn refuse_twins(commands: &mut [Command]) {
    let mut seen = std::collections::HashMap::<String, usize>::new();
    for command in commands.iter() {
        *seen.entry(command.name.clone()).or_default() += 1;
    }
    for command in commands {
        if seen.get(&command.name).is_some_and(|n| *n > 1) {
            command.refused = Some("it is named more than once in this push".to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_refs() {
        let long = format!("refs/heads/{}", "a".repeat(REF_BYTES_MAX));
        for (name, allowed) in [
            ("refs/heads/main", true),
            ("refs/heads/feature/x", true),
            ("refs/tags/v1.0", true),
            ("refs/heads/é", true),
            ("HEAD", false),
            ("refs/heads/", false),
            ("refs/heads/HEAD", false),
            ("refs/heads/-x", false),
            ("refs/heads/../x", false),
            ("refs/heads/a..b", false),
            ("refs/heads/a.lock", false),
            ("refs/heads/a.lock/b", false),
            ("refs/heads/.a", false),
            ("refs/heads/a/", false),
            ("refs/heads//a", false),
            ("refs/heads/a b", false),
            ("refs/heads/a~1", false),
            ("refs/heads/a:b", false),
            ("refs/heads/a@{1}", false),
            ("refs/heads/a\\b", false),
            ("refs/orlop/x", false),
            ("refs/notes/x", false),
            ("refs/heads", false),
            ("main", false),
            ("../config", false),
            (&long, false),
        ] {
            assert_eq!(refusal(name).is_none(), allowed, "{name}: {:?}", refusal(name));
        }
    }

    #[test]
    fn lines() {
        let (a, zero) = ("1".repeat(40), "0".repeat(40));
        let command = parse(format!("{zero} {a} refs/heads/main").as_bytes()).unwrap();
        assert!(command.old.is_none() && command.new.is_some() && command.refused.is_none());
        assert!(parse(format!("{zero} {zero} refs/heads/main").as_bytes()).unwrap().refused.is_some());
        for bad in
            ["", "x", &format!("{a} {a}"), &format!("{a} {a}x refs/heads/a"), &format!("{a} {a} refs/heads/\u{7}")]
        {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
