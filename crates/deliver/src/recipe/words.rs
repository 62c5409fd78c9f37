//! One command line as people write it in a `Procfile` or a script of `package.json`, taken apart
//! by the rules of the shell (POSIX.1 XCU 2.2 quoting, 2.6.2 parameter expansion, 2.9.1 simple
//! commands) so that it can run without one. What only a shell can do is told apart and why.
//!
//! One difference: a variable within a longer unquoted word (`--workers=$N`) is never split at
//! spaces.

use std::iter::Peekable;
use std::str::Chars;

use base::placeholder::{escape, is_name};

/// Longest line that is read, bytes.
pub(super) const LINE_BYTES_MAX: usize = 16 << 10;

/// A command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// A simple command.
    Direct {
        /// Leading `NAME=value`, in order, values with placeholders.
        env: Vec<(String, String)>,
        /// Program and arguments with placeholders.
        argv: Vec<String>,
    },
    /// Needs `/bin/sh`.
    Shell {
        /// What in it does.
        why: &'static str,
    },
}

impl Line {
    /// The arguments with which a shell runs this line. `$` is escaped: the shell expands it itself.
    pub(super) fn shell(line: &str) -> Vec<String> {
        vec!["/bin/sh".to_owned(), "-c".to_owned(), escape(line)]
    }
}

/// Takes a line apart.
///
/// # Errors
/// What is wrong with it, in words: a quote that does not end, no command at all.
pub(super) fn parse(line: &str) -> Result<Line, String> {
    if line.len() > LINE_BYTES_MAX {
        return Err(format!("the line has {} bytes; at most {LINE_BYTES_MAX} are read", line.len()));
    }
    let mut reader = Reader { left: line.chars().peekable(), words: Vec::new(), word: None };
    match reader.read() {
        Ok(()) => simple_command(reader.words),
        Err(Stop::Shell(why)) => Ok(Line::Shell { why }),
        Err(Stop::Bad(what)) => Err(what.to_owned()),
    }
}

/// Words that the shell itself understands as the first of a command (POSIX.1 XCU 2.4, 2.14 and 1.6).
const SHELL_ONLY: &[&str] = &[
    "!", "{", "}", ".", ":", "[", "[[", "alias", "bg", "break", "case", "cd", "command", "continue", "do", "done",
    "elif", "else", "esac", "eval", "exit", "export", "fg", "fi", "for", "getopts", "hash", "if", "jobs", "local",
    "read", "readonly", "return", "set", "shift", "source", "then", "times", "trap", "type", "ulimit", "umask",
    "unalias", "unset", "until", "wait", "while",
];

fn simple_command(words: Vec<Word>) -> Result<Line, String> {
    let mut words = words.into_iter().peekable();
    let mut env = Vec::new();
    while let Some(word) = words.next_if(|word| word.equals.is_some()) {
        let (name, value) = word.text.split_once('=').unwrap_or((&word.text, ""));
        env.push((name.to_owned(), value.to_owned()));
    }
    let mut rest: Vec<Word> = words.collect();
    if rest.first().is_some_and(|word| word.plain && word.text == "exec") && env.is_empty() {
        if rest.get(1).is_none_or(|word| word.text.starts_with('-')) {
            return Ok(Line::Shell { why: "`exec` with options" });
        }
        rest.remove(0);
    }
    match rest.first() {
        None => return Err("there is no command in it".to_owned()),
        Some(word) if word.text.is_empty() => return Err("the command is empty".to_owned()),
        Some(word) if word.plain && SHELL_ONLY.contains(&word.text.as_str()) => {
            return Ok(Line::Shell { why: "a word that only a shell knows" });
        }
        Some(_) => {}
    }
    if rest.iter().any(|word| word.may_split) {
        return Ok(Line::Shell { why: "an unquoted variable that may be several words" });
    }
    Ok(Line::Direct { env, argv: rest.into_iter().map(|word| word.text).collect() })
}

#[derive(Debug)]
struct Word {
    /// With placeholders.
    text: String,
    /// Nothing in it was quoted or expanded.
    plain: bool,
    /// It is `NAME=…` with nothing quoted up to the `=`.
    equals: Option<usize>,
    /// It is one unquoted variable and nothing else.
    may_split: bool,
}

enum Stop {
    Shell(&'static str),
    Bad(&'static str),
}

struct Reader<'l> {
    left: Peekable<Chars<'l>>,
    words: Vec<Word>,
    word: Option<Word>,
}

impl Reader<'_> {
    fn read(&mut self) -> Result<(), Stop> {
        while let Some(c) = self.left.next() {
            match c {
                ' ' | '\t' | '\r' => self.words.extend(self.word.take()),
                '|' | '&' | ';' => return Err(Stop::Shell("several commands in one line")),
                '<' | '>' => return Err(Stop::Shell("a redirection")),
                '(' | ')' => return Err(Stop::Shell("parentheses")),
                '\n' => return Err(Stop::Shell("several lines")),
                '`' => return Err(Stop::Shell("the output of another command")),
                '*' | '?' | '[' => return Err(Stop::Shell("a wildcard")),
                '~' if self.tilde_counts() => return Err(Stop::Shell("`~` for the home directory")),
                '#' if self.word.is_none() => break,
                '\'' => self.single()?,
                '"' => self.double()?,
                '\\' => {
                    let c = self.left.next().ok_or(Stop::Bad("it ends with a backslash"))?;
                    self.literal(c);
                }
                '$' => self.variable(true)?,
                '=' => {
                    let word = self.word();
                    if word.plain && word.equals.is_none() && is_name(&word.text) {
                        word.equals = Some(word.text.len());
                    }
                    word.text.push('=');
                    word.may_split = false;
                }
                c => {
                    let word = self.word();
                    word.text.push(c);
                    word.may_split = false;
                }
            }
        }
        self.words.extend(self.word.take());
        Ok(())
    }

    /// The word being read; a new one if there is none.
    fn word(&mut self) -> &mut Word {
        self.word.get_or_insert(Word { text: String::new(), plain: true, equals: None, may_split: false })
    }

    /// The text of the word being read, in which something is quoted now.
    fn quoted(&mut self) -> &mut String {
        let word = self.word();
        word.plain = false;
        word.may_split = false;
        &mut word.text
    }

    fn tilde_counts(&self) -> bool {
        self.word.as_ref().is_none_or(|word| word.equals.is_some() && word.text.ends_with(['=', ':']))
    }

    fn single(&mut self) -> Result<(), Stop> {
        self.quoted();
        loop {
            match self.left.next().ok_or(Stop::Bad("a single quote `'` does not end"))? {
                '\'' => return Ok(()),
                c => self.literal(c),
            }
        }
    }

    fn double(&mut self) -> Result<(), Stop> {
        self.quoted();
        loop {
            match self.left.next().ok_or(Stop::Bad("a double quote `\"` does not end"))? {
                '"' => return Ok(()),
                '`' => return Err(Stop::Shell("the output of another command")),
                '$' => self.variable(false)?,
                '\\' => match self.left.next_if(|c| "$`\"\\\n".contains(*c)) {
                    Some('\n') => {}
                    Some(c) => self.literal(c),
                    None => self.literal('\\'),
                },
                c => self.literal(c),
            }
        }
    }

    fn literal(&mut self, c: char) {
        let text = self.quoted();
        text.push(c);
        if c == '$' {
            text.push('$');
        }
    }

    /// What follows a `$`.
    fn variable(&mut self, unquoted: bool) -> Result<(), Stop> {
        const OTHER: Stop = Stop::Shell("an expansion other than `$NAME` and `${NAME:-text}`");
        match self.left.peek() {
            Some('(') => return Err(Stop::Shell("the output of another command")),
            Some('{') => {
                self.left.next();
                let inner: String = self.until('}').ok_or(Stop::Bad("a `${` does not end"))?;
                let (name, default) = inner.split_once(":-").map_or((&*inner, None), |(n, d)| (n, Some(d)));
                let simple = |d: &str| !d.contains(['$', '`', '"', '\'', '\\', '{', '~']);
                if !is_name(name) || !default.is_none_or(simple) {
                    return Err(OTHER);
                }
                if unquoted && default.is_some_and(|d| d.contains(char::is_whitespace)) {
                    return Err(Stop::Shell("an unquoted variable that may be several words"));
                }
                self.put(unquoted && default.is_none() && name != "PORT", &format!("${{{inner}}}"));
            }
            Some(c) if c.is_ascii_alphabetic() || *c == '_' => {
                let mut name = String::new();
                while let Some(c) = self.left.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                    name.push(c);
                }
                self.put(unquoted && name != "PORT", &format!("${{{name}}}"));
            }
            Some(c) if c.is_ascii_digit() || "@*#?-$!".contains(*c) => return Err(OTHER),
            _ => self.literal('$'),
        }
        Ok(())
    }

    fn put(&mut self, may_split: bool, placeholder: &str) {
        let fresh = self.word.is_none();
        let word = self.word();
        word.plain = false;
        word.may_split = may_split && (fresh || word.may_split);
        word.text.push_str(placeholder);
    }

    fn until(&mut self, end: char) -> Option<String> {
        let mut text = String::new();
        loop {
            match self.left.next()? {
                c if c == end => return Some(text),
                c => text.push(c),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `A=1 | word | word`, `sh: why`, `bad: what`.
    fn check(line: &str, expect: &str) {
        let shown = match parse(line) {
            Ok(Line::Direct { env, argv }) => {
                env.into_iter().map(|(n, v)| format!("{n}={v}")).chain(argv).collect::<Vec<_>>().join(" | ")
            }
            Ok(Line::Shell { why }) => format!("sh: {why}"),
            Err(what) => format!("bad: {what}"),
        };
        assert_eq!(shown, expect, "{line}");
    }

    #[test]
    fn words() {
        check("gunicorn --config gunicorn.conf.py shop.wsgi", "gunicorn | --config | gunicorn.conf.py | shop.wsgi");
        check("  a\tb  ", "a | b");
        check(r#"a 'b c' "d e" f\ g h"i"'j'"#, "a | b c | d e | f g | hij");
        check(r#"a '' """#, "a |  | ");
        check(r#"a "x\"y\\z\n" '\n'"#, r#"a | x"y\z\n | \n"#);
        check("a b#c # comment; with | anything", "a | b#c");
        check("exec ./shop --port=$PORT", "./shop | --port=${PORT}");
        check("a --opt=b c=d", "a | --opt=b | c=d");
        check("a x~y {b,c} %d", "a | x~y | {b,c} | %d");
    }

    #[test]
    fn variables_become_placeholders() {
        check("a $PORT ${PORT} \"$X y\" --n=$N", "a | ${PORT} | ${PORT} | ${X} y | --n=${N}");
        check("a ${N:-3} \"${N:-3 4}\" 0.0.0.0:${PORT:-5000}", "a | ${N:-3} | ${N:-3 4} | 0.0.0.0:${PORT:-5000}");
        check(r"a '${X}' \${X} x$ '$$'", "a | $${X} | $${X} | x$$ | $$$$");
    }

    #[test]
    fn assignments() {
        check("A=1 B=\"x $Y\" C= cmd D=2", "A=1 | B=x ${Y} | C= | cmd | D=2");
        check("P=src:$P cmd", "P=src:${P} | cmd");
        check("A=$B cmd", "A=${B} | cmd");
        check("'A'=1 cmd", "A=1 | cmd");
        check("1A=1 cmd", "1A=1 | cmd");
    }

    #[test]
    fn what_only_a_shell_can_do() {
        for line in ["a && b", "a | b", "a; b", "a &"] {
            check(line, "sh: several commands in one line");
        }
        for line in ["a > b", "a 2>&1", "a < b"] {
            check(line, "sh: a redirection");
        }
        for line in ["a $(b)", "a `b`", "a \"`b`\"", "a \"$(b)\""] {
            check(line, "sh: the output of another command");
        }
        for line in ["a *.py", "a [bc]", "a b?", "[ a"] {
            check(line, "sh: a wildcard");
        }
        for line in ["cd x", "export A=1", "if", "A=1 cd x"] {
            check(line, "sh: a word that only a shell knows");
        }
        for line in ["a $OPTS", "$CMD", "a ${OPTS}", "a $X$Y", "a ${N:-3 4}"] {
            check(line, "sh: an unquoted variable that may be several words");
        }
        for line in ["a $1", "a $$", "a ${A:=b}", "a ${#A}", "a ${A:-$B}", "a ${}"] {
            check(line, "sh: an expansion other than `$NAME` and `${NAME:-text}`");
        }
        check("a ~/x", "sh: `~` for the home directory");
        check("A=~/x a", "sh: `~` for the home directory");
        check("exec -a x y", "sh: `exec` with options");
        check("(a)", "sh: parentheses");
    }

    #[test]
    fn what_is_wrong() {
        check("a 'b", "bad: a single quote `'` does not end");
        check("a \"b", "bad: a double quote `\"` does not end");
        check("a \\", "bad: it ends with a backslash");
        check("a ${B", "bad: a `${` does not end");
        for line in ["", "  ", "# x", "A=1"] {
            check(line, "bad: there is no command in it");
        }
        check("'' a", "bad: the command is empty");
        check(&"x".repeat(LINE_BYTES_MAX + 1), "bad: the line has 16385 bytes; at most 16384 are read");
    }

    #[test]
    fn a_shell_gets_its_line_unchanged() {
        let argv = Line::shell("echo $$ ${A} '$' && x");
        let back = base::placeholder::expand(&argv[2], |_| Some("!")).unwrap();
        assert_eq!(back, "echo $$ ${A} '$' && x");
    }

    proptest! {
        #[test]
        fn never_panics(line in "\\PC{0,80}") {
            let _ = parse(&line);
        }

        /// Any words, quoted, come back as they were.
        #[test]
        fn quoted_words_come_back(words in prop::collection::vec("[^'\u{0}\n]{1,12}", 1..6)) {
            let line = words.iter().map(|w| format!("'{w}'")).collect::<Vec<_>>().join(" ");
            let Ok(Line::Direct { env, argv }) = parse(&line) else { panic!("not direct: {line}") };
            let back: Vec<String> =
                argv.iter().map(|a| base::placeholder::expand(a, |_| None).unwrap()).collect();
            prop_assert!(env.is_empty());
            prop_assert_eq!(back, words);
        }
    }
}
