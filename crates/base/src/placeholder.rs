//! Placeholders in the arguments and the environment of a process, so that a command can use a
//! setting or its port without a shell.
//!
//! `${NAME}` is the value of that variable, or nothing where it is unset; `${NAME:-text}` is `text`
//! where the variable is unset or empty (POSIX.1 XCU 2.6.2 *Parameter Expansion*); `$$` is one `$`.
//! Any other `$` stands for itself. Values are put in as they are: never split into words, never
//! expanded again.

use crate::{Problem, Result};

/// Longest text that a placeholder may grow to, bytes: the kernel takes no longer argument
/// (execve(2), `MAX_ARG_STRLEN`).
pub const EXPANDED_BYTES_MAX: usize = 128 << 10;

/// Puts the values in. `value` gives the value of a variable, or `None` if it is unset.
///
/// # Errors
/// `argument-too-long` if the result is over [`EXPANDED_BYTES_MAX`].
pub fn expand<'v>(text: &str, value: impl Fn(&str) -> Option<&'v str>) -> Result<String> {
    let mut out = String::with_capacity(text.len());
    for part in Parts(text) {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Variable { name, default } => {
                out.push_str(value(name).filter(|v| !v.is_empty()).unwrap_or(default.unwrap_or_default()));
            }
        }
        if out.len() > EXPANDED_BYTES_MAX {
            return Err(Problem::unprocessable(
                "argument-too-long",
                format!("an argument or variable grew over {EXPANDED_BYTES_MAX} bytes when settings were put in"),
            )
            .hint("give the long value as a setting, which the program reads from its environment"));
        }
    }
    Ok(out)
}

/// The text whose expansion is `text` itself, whatever it has in it.
pub fn escape(text: &str) -> String {
    text.replace('$', "$$")
}

/// The variables that a text asks for, in order, with repetitions.
pub fn names(text: &str) -> impl Iterator<Item = &str> {
    Parts(text).filter_map(|part| match part {
        Part::Variable { name, .. } => Some(name),
        Part::Text(_) => None,
    })
}

/// Whether this can be the name of a variable: letters, digits and `_`, not starting with a digit.
pub fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

enum Part<'t> {
    Text(&'t str),
    Variable { name: &'t str, default: Option<&'t str> },
}

/// What is left to read.
struct Parts<'t>(&'t str);

impl<'t> Iterator for Parts<'t> {
    type Item = Part<'t>;

    fn next(&mut self) -> Option<Part<'t>> {
        if self.0.is_empty() {
            return None;
        }
        let Some((before, after)) = self.0.split_once('$') else {
            return Some(Part::Text(std::mem::take(&mut self.0)));
        };
        if !before.is_empty() {
            self.0 = self.0.get(before.len()..).unwrap_or_default();
            return Some(Part::Text(before));
        }
        if let Some(rest) = after.strip_prefix('$') {
            self.0 = rest;
            return Some(Part::Text("$"));
        }
        if let Some((variable, rest)) = after.strip_prefix('{').and_then(variable) {
            self.0 = rest;
            return Some(variable);
        }
        self.0 = after;
        Some(Part::Text("$"))
    }
}

/// Reads `NAME}` or `NAME:-text}`; gives it and what follows.
fn variable(text: &str) -> Option<(Part<'_>, &str)> {
    let (inner, rest) = text.split_once('}')?;
    let (name, default) = inner.split_once(":-").map_or((inner, None), |(name, default)| (name, Some(default)));
    is_name(name).then_some((Part::Variable { name, default }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &str) {
        let value = |name: &str| match name {
            "PORT" => Some("8080"),
            "EMPTY" => Some(""),
            "SLY" => Some("${PORT} $$"),
            _ => None,
        };
        assert_eq!(expand(text, value).unwrap(), expect, "{text}");
    }

    #[test]
    fn values_are_put_in() {
        check("", "");
        check("0.0.0.0:${PORT}", "0.0.0.0:8080");
        check("${PORT}${PORT}", "80808080");
        check("${NOPE}", "");
        check("${NOPE:-3}-${EMPTY:-4}-${PORT:-5}-${NOPE:-}", "3-4-8080-");
        check("${SLY}", "${PORT} $$");
    }

    #[test]
    fn everything_else_stands_for_itself() {
        for text in ["$", "$PORT", "${", "${PORT", "${}", "${1}", "${a b}", "${PORT:+x}", "a$b", "ä$ö", "$(x)"] {
            check(text, text);
        }
        check("$${PORT}", "${PORT}");
        check("$$$${PORT}", "$${PORT}");
        check("$$${PORT}", "$8080");
    }

    #[test]
    fn escaped_text_comes_back() {
        for text in ["", "$", "$$", "${PORT}", "a $PORT ${X:-y} $$ b", "ä$"] {
            check(&escape(text), text);
        }
    }

    #[test]
    fn growth_is_bounded() {
        let big = "x".repeat(64 << 10);
        let problem = expand(&"${A}".repeat(1000), |_| Some(&big)).unwrap_err();
        assert_eq!(problem.code, "argument-too-long");
    }

    #[test]
    fn names_are_told() {
        assert_eq!(names("a ${B:-c} $$ ${D}").collect::<Vec<_>>(), ["B", "D"]);
    }
}
