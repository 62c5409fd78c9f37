//! Values of a file as typed values, each fault with its place and key.

use std::str::FromStr;

use base::{Bytes, Problem, Span};

use super::Manifest;
use super::node::{At, Entry, Fault, Node, Value};
use super::suggest::{as_label, as_setting, shown};

/// The text behind a key, if the key is there.
pub(super) fn text<'n>(block: Option<&'n Node>, key: &str) -> Option<(At, &'n str)> {
    let node = block?.get(key)?;
    match &node.value {
        Value::Scalar(text) => Some((node.at, text)),
        _ => None,
    }
}

/// The value behind a key, if the key is there. `path` is the path of the block, with its dot.
pub(super) fn typed<T>(block: Option<&Node>, path: &str, key: &str) -> Result<Option<T>, Fault>
where
    T: FromStr,
    T::Err: Into<Problem>,
{
    text(block, key).map(|(at, text)| read(at, &format!("{path}{key}"), text)).transpose()
}

/// One value.
pub(super) fn read<T>(at: At, path: &str, text: &str) -> Result<T, Fault>
where
    T: FromStr,
    T::Err: Into<Problem>,
{
    text.parse().map_err(|fault: T::Err| {
        let problem: Problem = fault.into();
        let code = if problem.code == "not-yet" { "not-yet" } else { "bad-value" };
        let like =
            as_label(text).filter(|like| like != text && problem.code == "bad-name" && like.parse::<T>().is_ok());
        let hint = match like {
            Some(like) => Some(format!("write `{}: {like}`", path.rsplit('.').next().unwrap_or(path))),
            None => problem.hint,
        };
        let problem = Problem { hint, ..Problem::unprocessable(code, format!("`{path}`: {}", problem.message)) };
        Fault::new(at, problem)
    })
}

/// The name that a key is.
pub(super) fn name<T>(path: &str, entry: &Entry) -> Result<T, Fault>
where
    T: FromStr,
    T::Err: Into<Problem>,
{
    entry.key.parse().map_err(|fault: T::Err| {
        let problem: Problem = fault.into();
        let mut like = [as_label(&entry.key), as_setting(&entry.key)].into_iter().flatten();
        let hint = match like.find(|like| like.parse::<T>().is_ok()) {
            Some(like) => Some(format!("write `{like}:`")),
            None => problem.hint,
        };
        Fault::new(
            entry.at,
            Problem { hint, ..Problem::unprocessable("bad-value", format!("`{path}`: {}", problem.message)) },
        )
    })
}

/// A command: a program, not empty, and arguments without NUL, of bounded length (execve(2)).
pub(super) fn command(block: Option<&Node>, path: &str, key: &str) -> Result<Option<Vec<String>>, Fault> {
    let Some(Value::List(items)) = block.and_then(|block| block.get(key)).map(|node| &node.value) else {
        return Ok(None);
    };
    let path = format!("{path}{key}");
    let bad = |at: At, what: &str| Fault::new(at, Problem::unprocessable("bad-value", format!("`{path}` {what}")));
    let mut command = Vec::with_capacity(items.len());
    for item in items {
        let Value::Scalar(argument) = &item.value else { continue };
        if argument.contains('\0') {
            return Err(
                bad(item.at, "has an argument with a NUL character").hint("remove `\\0`: no program can be given it")
            );
        }
        if argument.len() > ARGUMENT_BYTES_MAX || command.len() >= ARGUMENTS_MAX {
            return Err(bad(item.at, "is too long").hint(format!(
                "at most {ARGUMENTS_MAX} arguments of {ARGUMENT_BYTES_MAX} bytes; put long text in a setting or a file"
            )));
        }
        if command.is_empty() && argument.trim().is_empty() {
            return Err(bad(item.at, "begins with an empty text where the program belongs")
                .hint("write `[\"./program\", \"argument\"]`"));
        }
        no_reference(item.at, &path, argument)?;
        command.push(argument.clone());
    }
    Ok(Some(command))
}

/// Most arguments of a command.
const ARGUMENTS_MAX: usize = 500;
/// Longest argument.
const ARGUMENT_BYTES_MAX: usize = 32 << 10;

/// References belong to settings; a command reads the environment variables that come of them.
fn no_reference(at: At, path: &str, argument: &str) -> Result<(), Fault> {
    let begin = ["${needs.", "${settings."].into_iter().filter_map(|begin| argument.find(begin)).min();
    let Some(start) = begin.filter(|start| !argument.get(..*start).unwrap_or_default().ends_with('$')) else {
        return Ok(());
    };
    let inner = argument
        .get(start..)
        .and_then(|rest| rest.get(2..))
        .and_then(|rest| rest.split('}').next())
        .unwrap_or_default();
    let hint = match inner.split('.').collect::<Vec<_>>()[..] {
        ["settings", name] => format!("write `${{{}}}`: each setting is an environment variable", shown(name)),
        ["needs", need, "url"] => {
            format!(
                "write `${{{}_URL}}`: each need gives that environment variable",
                shown(&need.replace('-', "_").to_uppercase())
            )
        }
        _ => {
            format!("make it a setting, `settings: {{ NAME: \"${{{}}}\" }}`, and write `${{NAME}}` here", shown(inner))
        }
    };
    let what = format!("`{path}`: `${{{}}}` is read in settings and not in commands", shown(inner));
    Err(Fault::new(at, Problem::unprocessable("bad-reference", what)).hint(hint))
}

/// Time to stop, bounded.
pub(super) fn stop(block: Option<&Node>, path: &str) -> Result<Option<Span>, Fault> {
    let stop: Option<Span> = typed(block, path, "stop")?;
    match (stop, text(block, "stop")) {
        (Some(span), Some((at, _))) if span > Manifest::STOP_MAX => {
            let what = format!("`{path}stop`: {span} is longer than {}, the most there is", Manifest::STOP_MAX);
            Err(Fault::new(at, Problem::unprocessable("bad-value", what))
                .hint("write `stop: 30s`; give longer work to a worker that can resume it"))
        }
        _ => Ok(stop),
    }
}

/// Memory, which nobody means to be a few bytes.
pub(super) fn memory(block: Option<&Node>, path: &str) -> Result<Option<Bytes>, Fault> {
    let memory: Option<Bytes> = typed(block, path, "memory")?;
    match (memory, text(block, "memory")) {
        (Some(Bytes(bytes)), Some((at, typed))) if bytes < 1 << 20 => {
            let what = format!("`{path}memory`: `{}` is {bytes} bytes, too little for any program", shown(typed));
            let number: String = typed.chars().take_while(char::is_ascii_digit).take(6).collect();
            Err(Fault::new(at, Problem::unprocessable("bad-value", what)).hint(format!("write `memory: {number}Mi`")))
        }
        _ => Ok(memory),
    }
}
