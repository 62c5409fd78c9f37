//! References in settings: `${needs.NAME.url}`, `${needs.NAME.host}`, `${needs.NAME.port}` and
//! `${settings.NAME}`. Before a `{`, `$$` is one plain `$`: `$${x}` is the text `${x}`. Every other
//! `$` stands for itself. What is put in is never read again.

use std::collections::BTreeMap;
use std::fmt;

use base::limits::SETTING_BYTES_MAX;
use base::{NeedName, Problem, Result, SettingName};

use super::suggest::{as_setting, nearest, one_of, shown};

/// Something that a setting asks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reference {
    /// A part of the address of a need.
    Need {
        /// Which need.
        need: NeedName,
        /// Which part.
        part: NeedPart,
    },
    /// The value of a setting.
    Setting(SettingName),
}

/// A part of the address of a need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NeedPart {
    /// `https://api.example.com/v1`
    Url,
    /// `api.example.com`
    Host,
    /// `443`
    Port,
}

impl NeedPart {
    const ALL: [(&'static str, Self); 3] = [("url", Self::Url), ("host", Self::Host), ("port", Self::Port)];

    /// The word in a reference.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Url => "url",
            Self::Host => "host",
            Self::Port => "port",
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Need { need, part } => write!(f, "${{needs.{need}.{}}}", part.as_str()),
            Self::Setting(name) => write!(f, "${{settings.{name}}}"),
        }
    }
}

/// What a text asks for, in order, with repetitions.
///
/// # Errors
/// `bad-reference` if there is a `${` that begins none of the references there are.
pub fn references(text: &str) -> Result<Vec<Reference>> {
    let mut found = Vec::new();
    walk(text, |piece| {
        if let Piece::Reference(reference) = piece {
            found.push(reference);
        }
        Ok(())
    })?;
    Ok(found)
}

/// Puts values in. `lookup` gives the value of a reference, or `None` if there is none.
///
/// # Errors
/// `bad-reference`; `unknown-reference` where `lookup` has nothing (see [`missing_reference`] for a problem
/// that names what there is); `setting-too-long` if the result is over
/// [`SETTING_BYTES_MAX`](base::limits::SETTING_BYTES_MAX) bytes.
pub fn expand(text: &str, lookup: impl Fn(&Reference) -> Option<String>) -> Result<String> {
    expand_with(text, |reference| lookup(reference).ok_or_else(|| missing_reference(reference, [], [])))
}

fn expand_with(text: &str, mut value: impl FnMut(&Reference) -> Result<String>) -> Result<String> {
    let mut out = String::with_capacity(text.len());
    walk(text, |piece| {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Reference(reference) => out.push_str(&value(&reference)?),
        }
        if out.len() > SETTING_BYTES_MAX {
            return Err(Problem::unprocessable(
                "setting-too-long",
                format!("with its references put in, the value is longer than {SETTING_BYTES_MAX} bytes"),
            )
            .hint("shorten it, or give the program the parts as settings of their own"));
        }
        Ok(())
    })?;
    Ok(out)
}

/// Puts values into all settings of a service file, which may ask for each other. `lookup` is asked
/// first, so that a value set on the platform wins over the one in the file.
///
/// # Errors
/// As [`expand`], and `setting-cycle`; each tells the setting it is about.
pub fn resolve_settings(
    settings: &BTreeMap<SettingName, String>,
    lookup: impl Fn(&Reference) -> Option<String>,
) -> Result<BTreeMap<SettingName, String>> {
    let mut resolver = Resolver { settings, lookup, done: BTreeMap::new() };
    settings.keys().map(|name| Ok((name.clone(), resolver.setting(name)?))).collect()
}

struct Resolver<'s, L> {
    settings: &'s BTreeMap<SettingName, String>,
    lookup: L,
    /// `None` while it is being found out.
    done: BTreeMap<SettingName, Option<String>>,
}

impl<L: Fn(&Reference) -> Option<String>> Resolver<'_, L> {
    fn setting(&mut self, name: &SettingName) -> Result<String> {
        match self.done.get(name) {
            Some(Some(value)) => return Ok(value.clone()),
            Some(None) => {
                return Err(Problem::unprocessable("setting-cycle", format!("the setting `{name}` asks for itself"))
                    .hint(format!("write the value of `{name}` out")));
            }
            None => {}
        }
        self.done.insert(name.clone(), None);
        let settings = self.settings;
        let text = settings.get(name).map_or("", String::as_str);
        let value = expand_with(text, |reference| self.value(reference)).map_err(|problem| match &problem.place {
            Some(_) => problem,
            None => problem.at(format!("settings.{name}")),
        })?;
        self.done.insert(name.clone(), Some(value.clone()));
        Ok(value)
    }

    fn value(&mut self, reference: &Reference) -> Result<String> {
        if let Some(value) = (self.lookup)(reference) {
            return Ok(value);
        }
        match reference {
            Reference::Setting(name) if self.settings.contains_key(name) => self.setting(name),
            _ => Err(missing_reference(reference, [], self.settings.keys())),
        }
    }
}

/// Checks that everything a text asks for exists.
///
/// # Errors
/// `bad-reference`, `undeclared-need`, `unknown-reference`.
pub fn check_references<'n>(
    text: &str,
    needs: impl IntoIterator<Item = &'n NeedName> + Clone,
    settings: impl IntoIterator<Item = &'n SettingName> + Clone,
) -> Result<()> {
    for reference in references(text)? {
        let there = match &reference {
            Reference::Need { need, .. } => needs.clone().into_iter().any(|known| known == need),
            Reference::Setting(name) => settings.clone().into_iter().any(|known| known == name),
        };
        if !there {
            return Err(missing_reference(&reference, needs, settings));
        }
    }
    Ok(())
}

/// The problem that something asked for does not exist: with the nearest that does, and what to add.
pub fn missing_reference<'n>(
    reference: &Reference,
    needs: impl IntoIterator<Item = &'n NeedName>,
    settings: impl IntoIterator<Item = &'n SettingName>,
) -> Problem {
    match reference {
        Reference::Need { need, part } => {
            let add = format!("add to the service file: `needs: {{ {need}: {{ service: {need} }} }}`");
            let near = nearest(need.as_str(), needs.into_iter().map(NeedName::as_str));
            Problem::unprocessable(
                "undeclared-need",
                format!("`{reference}` asks for the need `{need}`, which is not declared"),
            )
            .hint(match near {
                Some(near) => format!("write `${{needs.{near}.{}}}` if you meant that, or {add}", part.as_str()),
                None => add,
            })
        }
        Reference::Setting(name) => {
            let add = format!("set it: `orlop setting set {name}=VALUE`");
            let near = nearest(name.as_str(), settings.into_iter().map(SettingName::as_str));
            Problem::unprocessable(
                "unknown-reference",
                format!("`{reference}` asks for the setting `{name}`, which has no value"),
            )
            .hint(match near {
                Some(near) => format!("write `${{settings.{near}}}` if you meant that, or {add}"),
                None => add,
            })
        }
    }
}

enum Piece<'t> {
    Text(&'t str),
    Reference(Reference),
}

/// Calls for each piece of a text, in order.
fn walk<'t>(text: &'t str, mut each: impl FnMut(Piece<'t>) -> Result<()>) -> Result<()> {
    let mut rest = text;
    while let Some(start) = rest.find('$') {
        let (before, from) = rest.split_at(start);
        each(Piece::Text(before))?;
        let after = from.trim_start_matches('$');
        let dollars = from.len().saturating_sub(after.len());
        let (run, _) = from.split_at(dollars);
        match after.strip_prefix('{') {
            // Pairs are plain dollars; one that is left over begins a reference.
            Some(inside) => {
                let (plain, _) = run.split_at(dollars / 2);
                each(Piece::Text(plain))?;
                if dollars.is_multiple_of(2) {
                    rest = after;
                    let (brace, behind) = rest.split_at(1);
                    each(Piece::Text(brace))?;
                    rest = behind;
                } else {
                    let (inner, behind) = inside.split_once('}').ok_or_else(|| {
                        bad(format!("`${{{}` has no `}}`", shown(inside)))
                            .hint("close it, or write `$${` for the text `${`")
                    })?;
                    each(Piece::Reference(reference(inner)?))?;
                    rest = behind;
                }
            }
            None => {
                each(Piece::Text(run))?;
                rest = after;
            }
        }
    }
    each(Piece::Text(rest))
}

/// Reads what stands between the braces.
fn reference(inner: &str) -> Result<Reference> {
    if let Some(name) = inner.strip_prefix("settings.") {
        return name.parse().map(Reference::Setting).map_err(|fault: base::BadName| {
            let like = as_setting(name)
                .map_or_else(|| SettingName::RULE.to_owned(), |like| format!("write `${{settings.{like}}}`"));
            bad(fault).hint(like)
        });
    }
    if let Some((need, word)) = inner.strip_prefix("needs.").map(|rest| rest.split_once('.').unwrap_or((rest, ""))) {
        let need: NeedName = need.parse().map_err(|fault: base::BadName| bad(fault).hint(NeedName::RULE))?;
        let part = NeedPart::ALL.iter().find(|(known, _)| *known == word).map(|(_, part)| *part);
        let words = NeedPart::ALL.iter().map(|(word, _)| *word);
        return part.map(|part| Reference::Need { need: need.clone(), part }).ok_or_else(|| {
            let like = nearest(word, words.clone()).unwrap_or("url");
            bad(format!("a need has {}, and no `{}`", one_of(words), shown(word)))
                .hint(format!("write `${{needs.{need}.{like}}}`"))
        });
    }
    let problem = bad(format!("`${{{}}}` is not a reference", shown(inner)));
    Err(match inner {
        "PORT" => {
            problem.hint("the port is known only to the process: read PORT there, or write `${PORT}` in `run.command`")
        }
        _ => match inner.parse::<SettingName>() {
            Ok(name) => problem.hint(format!("write `${{settings.{name}}}`, or `$${{{name}}}` for the text itself")),
            Err(_) => problem.hint("write `${settings.NAME}` or `${needs.NAME.url}`, or `$${` for the text `${`"),
        },
    })
}

fn bad(what: impl fmt::Display) -> Problem {
    Problem::unprocessable("bad-reference", what)
}
