//! What a `.gitmodules` may say: the rules of `git fsck` that protect whoever clones with
//! submodules (gitmodulesName, gitmodulesPath, gitmodulesUrl, gitmodulesUpdate; CVE-2018-11235,
//! CVE-2018-17456, CVE-2019-19604, CVE-2020-5260). Orlop itself follows no submodule.

use base::{Problem, Result};
use gix::ObjectId;
use gix::bstr::{BStr, ByteSlice as _};
use gix::config::File;

use crate::fault;
use crate::store::Store;
use crate::tree::shown;

/// Largest one, bytes.
const BYTES_MAX: usize = 1 << 20;

/// Whether a file of this name is one for git, on any file system: there, names like it are the same.
pub(crate) fn is_modules(name: &[u8]) -> bool {
    let name = String::from_utf8_lossy(name);
    // HFS+ does not see some characters; NTFS has short names, and no dots and blanks at the end.
    let plain: String = name.chars().filter(|c| !is_ignored(*c)).collect();
    let plain = plain.split(':').next().unwrap_or_default().trim_end_matches(['.', ' ']).to_ascii_lowercase();
    plain == ".gitmodules" || (plain.starts_with("gitmod~") || plain.starts_with("gi7eba~"))
}

/// Characters that HFS+ ignores in names (git, `utf8.c`, next_hfs_char).
fn is_ignored(c: char) -> bool {
    matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}')
}

/// Looks at each of these files.
pub(crate) fn check(store: &Store, ids: impl IntoIterator<Item = ObjectId>) -> Result<()> {
    for id in ids {
        // What is missing was told before this.
        if let Some((_, data)) = store.read(&id)?
            && let Err(what) = look(&data)
        {
            return Err(refused(&id, &what));
        }
    }
    Ok(())
}

fn refused(id: &ObjectId, what: &str) -> Problem {
    fault::pack(format!("`.gitmodules` (blob {id}) {what}"))
        .hint("take it out of the history: `git log --all -- .gitmodules` shows the commits that have it")
}

fn look(data: &[u8]) -> Result<(), String> {
    if data.len() > BYTES_MAX {
        return Err(format!("is larger than {BYTES_MAX} bytes"));
    }
    let file: File = data.as_bstr().try_into().map_err(|_| "cannot be read as a configuration of git".to_owned())?;
    for section in file.sections_by_name("submodule").into_iter().flatten() {
        if let Some(name) = section.header().subsection_name() {
            name_allowed(name)?;
        }
        for key in ["url", "path", "branch"] {
            for value in section.values(key) {
                value_allowed(key, value.as_bstr())?;
            }
        }
        if let Some(value) = section.values("update").iter().find(|value| value.starts_with(b"!")) {
            return Err(format!("has the update `{}`, which is a command", shown(value)));
        }
    }
    Ok(())
}

fn name_allowed(name: &BStr) -> Result<(), String> {
    let climbs = name.split(|b| *b == b'/' || *b == b'\\').any(|part| part == b"..");
    if name.is_empty() || climbs || name.starts_with(b"-") {
        return Err(format!("has a submodule of the name `{}`", shown(name)));
    }
    Ok(())
}

fn value_allowed(key: &str, value: &BStr) -> Result<(), String> {
    // A line that ends within, also written in the way of URLs, begins something else for who reads it.
    let is_broken = value.iter().any(|b| *b < 0x20) || value.to_ascii_lowercase().contains_str("%0a");
    if value.starts_with(b"-") || (key == "url" && is_broken) {
        return Err(format!("has the {key} `{}`, which a program could take for an option or a command", shown(value)));
    }
    Ok(())
}

/// What holds for all bytes.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz(data: &[u8]) {
    let _ = is_modules(data);
    if let Err(what) = look(data) {
        assert!(!what.is_empty() && !what.chars().any(char::is_control), "{what:?}");
    }
    // Whatever comes behind the hyphen, and between the section and its URL.
    let quoted = data.replace(b"\\", b"\\\\").replace(b"\"", b"\\\"").replace(b"\n", b"\\n");
    let option = [&b"[submodule \"x\"]\n\turl = \"-"[..], &*quoted, b"\"\n"].concat();
    assert!(look(&option).is_err(), "an option was let through");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, says: &str) {
        match look(text.as_bytes()) {
            Ok(()) => assert_eq!(says, "", "{text:?} is taken"),
            Err(what) => assert!(!says.is_empty() && what.contains(says), "{text:?}: {what}"),
        }
    }

    #[test]
    fn what_git_refuses_is_refused() {
        check("[submodule \"x\"]\n\tpath = x\n\turl = https://example.org/x.git\n", "");
        check("[submodule \"a/b\"]\n\tpath = a/b\n\turl = ../b.git\n\tbranch = main\n", "");
        check("", "");
        check("[submodule \"x\"]\n\turl = --upload-pack=touch /tmp/x\n", "url `--upload-pack");
        check("[SubModule \"x\"]\n\tURL = -x\n", "url `-x");
        check("[submodule \"x\"]\n\turl = \"-x\"\n", "url `-x");
        check("[submodule \"x\"]\n\turl = good\n\turl = -x\n", "url `-x");
        check("[submodule \"x\"]\n\turl = \\\n-x\n", "url `-x");
        check("[submodule \"x\"]\n\turl = https://a%0ahost=b/\n", "url `https");
        check("[submodule \"x\"]\n\turl = \"https://a\\nhost=b/\"\n", "url `https");
        check("[submodule \"x\"]\n\tpath = -x\n", "path `-x");
        check("[submodule \"../x\"]\n\tpath = x\n", "the name `../x");
        check("[submodule \"a\\\\..\\\\b\"]\n\tpath = x\n", "the name");
        check("[submodule \"x\"]\n\tupdate = !touch /tmp/x\n", "a command");
        check("[submodule \"x\"]\n\tupdate = none\n", "");
        check("[submodule \"x", "cannot be read");
        check(&"#\n".repeat(BYTES_MAX), "larger than");
    }

    #[test]
    fn names_that_are_the_same_to_some_file_system() {
        for name in [".gitmodules", ".GitModules", ".git\u{200c}modules", ".gitmodules ", ".gitmodules:$x", "GITMOD~1"]
        {
            assert!(is_modules(name.as_bytes()), "{name:?}");
        }
        for name in ["gitmodules", ".gitmodule", ".gitmodules.txt", "a.gitmodules", "\u{ff}"] {
            assert!(!is_modules(name.as_bytes()), "{name:?}");
        }
    }
}
