//! YAML (1.2.2) as a tree that knows where everything stands. It is built from the events of
//! serde-saphyr's parser and not through its deserializer, because a scalar keeps its text that
//! way: the setting `1.10` stays `1.10`. Depth, values and text are bounded while it is built, so
//! neither nesting nor aliases can make it grow.

use std::collections::{HashMap, HashSet};
use std::fmt;

use base::limits::MANIFEST_BYTES_MAX;
use base::{Problem, Result};
use serde_saphyr::granit_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput, Tag, options};

use super::suggest::shown;

/// Deepest nesting; the deepest key there is (`processes.web.size.cpu`) needs five.
const DEPTH_MAX: usize = 16;
/// Most values, counting each use of an alias in full.
const NODES_MAX: usize = 10_000;

/// A place in a file: line and column, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct At {
    line: usize,
    column: usize,
}

/// A problem and where it is.
#[derive(Debug)]
pub(super) struct Fault {
    at: At,
    problem: Box<Problem>,
}

/// One value of the file.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) at: At,
    pub(super) value: Value,
    /// How many values are in it, itself included.
    count: usize,
    /// Bytes of text in it.
    bytes: usize,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    /// Nothing, `~` or `null`.
    Empty,
    /// Its text, without quotes.
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) at: At,
    pub(super) value: Node,
}

impl At {
    fn of(marker: &Marker) -> Self {
        Self { line: marker.line().max(1), column: marker.col().saturating_add(1) }
    }

    /// The place behind this text.
    pub(super) fn after(text: &str) -> Self {
        let last = text.rsplit('\n').next().unwrap_or_default();
        Self { line: text.matches('\n').count().saturating_add(1), column: last.chars().count().saturating_add(1) }
    }
}

impl Fault {
    pub(super) fn new(at: At, problem: Problem) -> Self {
        Self { at, problem: Box::new(problem) }
    }

    pub(super) fn hint(self, hint: impl fmt::Display) -> Self {
        Self { problem: Box::new(self.problem.hint(hint)), ..self }
    }

    pub(super) fn in_file(self, name: &str) -> Problem {
        self.problem.at(format!("{name}:{}:{}", self.at.line, self.at.column))
    }
}

impl Node {
    fn new(at: At, value: Value) -> Self {
        let (count, bytes) = match &value {
            Value::Empty => (0, 0),
            Value::Scalar(text) => (0, text.len()),
            Value::List(items) => total(items.iter(), 0),
            Value::Map(entries) => total(entries.iter().map(|e| &e.value), entries.iter().map(|e| e.key.len()).sum()),
        };
        Self { at, value, count: count.saturating_add(1), bytes }
    }

    pub(super) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// What it is, for people: "a list".
    pub(super) fn found(&self) -> String {
        match &self.value {
            Value::Empty => "nothing".to_owned(),
            Value::Scalar(text) => format!("the text `{}`", shown(text)),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a block of keys".to_owned(),
        }
    }
}

fn total<'n>(nodes: impl Iterator<Item = &'n Node>, keys: usize) -> (usize, usize) {
    nodes.fold((0, keys), |(count, bytes), n| (count.saturating_add(n.count), bytes.saturating_add(n.bytes)))
}

/// The tree of the only document in the text; `None` if there is nothing in it.
pub(super) fn compose(text: &str) -> Result<Option<Node>, Fault> {
    let limits = options! {
        emit_comments: false,
        flow_nesting_limit: DEPTH_MAX,
        block_nesting_limit: DEPTH_MAX,
    };
    let parser = Parser::new_from_str_with_options(text, limits);
    let mut composer = Composer { parser, anchors: HashMap::new(), nodes: 0, bytes: 0 };
    let mut root = None;
    loop {
        match composer.next()? {
            (Event::DocumentStart(..), span) if root.is_some() => {
                return Err(bad(
                    At::of(&span.start),
                    "a second document begins here, and a service file is one document",
                )
                .hint("remove the line `---`, or keep each service in a folder with its own file"));
            }
            (Event::DocumentStart(..), _) => {
                let first = composer.next()?;
                root = Some(composer.node(first, 0)?);
            }
            (Event::StreamEnd, _) => break,
            _ => {}
        }
    }
    Ok(root.filter(|root| !matches!(root.value, Value::Empty)))
}

struct Composer<'t> {
    parser: Parser<'t, StrInput<'t>>,
    /// What was anchored so far, by the parser's id.
    anchors: HashMap<usize, Node>,
    /// Values so far.
    nodes: usize,
    /// Bytes that came out of aliases so far.
    bytes: usize,
}

impl<'t> Composer<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span), Fault> {
        match self.parser.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err(syntax(&error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, (event, span): (Event<'t>, Span), depth: usize) -> Result<Node, Fault> {
        let at = At::of(&span.start);
        self.nodes = self.nodes.saturating_add(1);
        self.bounded(at)?;
        if depth > DEPTH_MAX {
            return Err(too_deep(at));
        }
        let tag_at = span.tag_start().map_or(at, |start| At::of(&start));
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self::tag(tag_at, tag.as_deref())?;
                let empty = style == ScalarStyle::Plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                (if empty { Value::Empty } else { Value::Scalar(text.into_owned()) }, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self::tag(tag_at, tag.as_deref())?;
                (Value::List(self.list(depth)?), anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                self::tag(tag_at, tag.as_deref())?;
                (Value::Map(self.map(depth)?), anchor)
            }
            Event::Alias(id) => return self.alias(at, id),
            other => return Err(bad(at, format!("a value was expected here, and {other:?} found"))),
        };
        let node = Node::new(at, value);
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
            self.nodes = self.nodes.saturating_add(node.count);
            self.bytes = self.bytes.saturating_add(node.bytes);
            self.bounded(at)?;
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, Fault> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                next => items.push(self.node(next, depth.saturating_add(1))?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Vec<Entry>, Fault> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut seen = HashSet::new();
        loop {
            let next = self.next()?;
            if matches!(next.0, Event::MappingEnd) {
                return Ok(entries);
            }
            let (key, at) = self.key(next, depth)?;
            if !seen.insert(key.clone()) {
                let first = entries.iter().find(|e| e.key == key).map_or(at.line, |e| e.at.line);
                let what = format!("the key `{}` stands here a second time, first on line {first}", shown(&key));
                return Err(Fault::new(at, Problem::unprocessable("duplicate-key", what))
                    .hint("keep one of the two, with everything that belongs under it"));
            }
            let next = self.next()?;
            let value = self.node(next, depth.saturating_add(1))?;
            entries.push(Entry { key, at, value });
        }
    }

    fn key(&mut self, next: (Event<'t>, Span), depth: usize) -> Result<(String, At), Fault> {
        let node = self.node(next, depth.saturating_add(1))?;
        match node.value {
            Value::Scalar(key) => Ok((key, node.at)),
            _ => Err(bad(node.at, format!("a key is expected here, and {} found", node.found()))
                .hint("write `key: value`; text with `{` or `[` in it needs quotes")),
        }
    }

    /// A copy of what the alias stands for; the bounds count it in full.
    fn alias(&mut self, at: At, id: usize) -> Result<Node, Fault> {
        let Some(node) = self.anchors.get(&id) else {
            return Err(bad(at, "this alias stands inside of what it stands for").hint("write the value out"));
        };
        self.nodes = self.nodes.saturating_add(node.count);
        self.bytes = self.bytes.saturating_add(node.bytes);
        let (nodes, bytes) = (self.nodes, self.bytes);
        check_bounds(at, nodes, bytes)?;
        Ok(Node { at, ..node.clone() })
    }

    fn bounded(&self, at: At) -> Result<(), Fault> {
        check_bounds(at, self.nodes, self.bytes)
    }
}

fn check_bounds(at: At, nodes: usize, bytes: usize) -> Result<(), Fault> {
    let over = if nodes > NODES_MAX {
        format!("with its aliases the file has more than {NODES_MAX} values")
    } else if bytes > MANIFEST_BYTES_MAX {
        format!("aliases make the file longer than {MANIFEST_BYTES_MAX} bytes")
    } else {
        return Ok(());
    };
    Err(Fault::new(at, Problem::too_large("manifest-too-large", over))
        .hint("write values out instead of using aliases"))
}

/// Tags of the core schema say what is plain to see; others ask for what a service file has not.
fn tag(at: At, tag: Option<&Tag>) -> Result<(), Fault> {
    match tag {
        Some(tag) if tag.is_custom() && tag.original() != "!" => {
            let what = format!("`{}` is a tag, and a service file has none", shown(&tag.original()));
            Err(bad(at, what).hint("put quotes around text that begins with `!`"))
        }
        _ => Ok(()),
    }
}

fn too_deep(at: At) -> Fault {
    bad(at, format!("the file nests deeper than {DEPTH_MAX} levels"))
        .hint("no key of a service file needs more than five")
}

fn bad(at: At, what: impl fmt::Display) -> Fault {
    Fault::new(at, Problem::unprocessable("bad-yaml", what))
}

fn syntax(error: &ScanError) -> Fault {
    use serde_saphyr::granit_parser::ErrorKind as E;
    let at = At::of(error.marker());
    let hint = match error.kind() {
        E::RecursionLimitExceeded => return too_deep(at),
        E::TabNotAllowed | E::TabInBlockIndentation | E::TabInIndentation | E::TabAtBlockScalarStart => {
            "indent with spaces: YAML does not take tabs there"
        }
        E::UnknownAnchor => "put quotes around text that begins with `*`; an alias needs its anchor `&name` before it",
        E::UnclosedQuotedScalar => "close the quote",
        E::InvalidIndentation | E::InvalidSimpleKey | E::SimpleKeyExpected => {
            "keys of one block begin in the same column, each followed by a colon and a space"
        }
        E::MappingValueNotAllowed | E::InvalidColonPlacement => {
            "keys of one block begin in the same column; text with `: ` in it needs quotes"
        }
        E::UnclosedFlowCollection { .. } | E::UnexpectedEofFlowSequence | E::UnexpectedEofFlowMapping => {
            "close the bracket that was opened"
        }
        E::UnknownQuotedScalarEscape => "use single quotes where a backslash shall stand for itself",
        _ => "put quotes around text with special characters, and indent with spaces",
    };
    // The parser may quote the file; the message is cleaned like any foreign text.
    bad(at, format!("this is not YAML: {}", shown(&error.info()))).hint(hint)
}
