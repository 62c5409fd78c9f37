//! What surrounds every page: menu, title, where one is, palette, theme.

use api::access::Me;
use askama::Template;
use axum::body::Body;
use axum::response::Response;
use base::{Problem, Time};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};

use crate::components::FormStart;
use crate::cookie::Cookie;
use crate::fault::Fault;
use crate::site::Site;
use crate::{assets, form, visit};

/// The parts of the portal, as the menu shows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Home,
    Services,
    Environments,
    Topology,
    Runs,
    Teams,
    People,
    Tokens,
    Audit,
    Platform,
    Help,
    None,
}

/// A line of the menu.
pub(crate) struct Entry {
    pub section: Section,
    pub word: &'static str,
    pub path: &'static str,
    /// Typed behind `g`.
    pub key: &'static str,
    /// Whether it begins a group.
    pub begins: bool,
    admins: bool,
}

const fn entry(section: Section, word: &'static str, path: &'static str, key: &'static str) -> Entry {
    Entry { section, word, path, key, begins: false, admins: false }
}

const fn for_admins(of: Entry) -> Entry {
    Entry { admins: true, ..of }
}

const fn begins(of: Entry) -> Entry {
    Entry { begins: true, ..of }
}

/// The menu. A page that is not built yet has no line here: nothing leads nowhere.
const MENU: &[Entry] = &[
    entry(Section::Home, "Home", "/", "h"),
    entry(Section::Services, "Services", "/services", "s"),
    entry(Section::Environments, "Environments", "/environments", "e"),
    entry(Section::Topology, "Topology", "/topology", "t"),
    entry(Section::Runs, "Runs", "/runs", "r"),
    begins(entry(Section::Teams, "Teams", "/teams", "m")),
    for_admins(entry(Section::People, "People", "/people", "u")),
    entry(Section::Tokens, "Tokens", "/tokens", "k"),
    for_admins(entry(Section::Audit, "Audit", "/audit", "a")),
    begins(entry(Section::Platform, "Platform", "/platform", "p")),
    entry(Section::Help, "Help", "/help", "i"),
];

/// A step on the way to a page.
pub(crate) struct Crumb {
    pub word: String,
    pub path: String,
}

/// What surrounds a page.
pub(crate) struct Shell {
    pub title: String,
    pub section: Section,
    pub crumbs: Vec<Crumb>,
    /// The path and query of this page.
    pub path: String,
    pub me: Option<Me>,
    pub form_token: String,
    pub now: Time,
    /// `light`, `dark`, or empty: as the system has it.
    pub theme: &'static str,
    /// Services whose changes this page shows, by commas; `*`: all; empty: it is not live.
    pub live: String,
    /// Seconds after which it is made again even if nothing happened; 0: never.
    pub every: u32,
    /// The address that the page has from now on, where it is the answer to a form; empty: its own.
    pub at: String,
    /// What the action before wants said.
    pub said: Option<String>,
    key: String,
}

impl Shell {
    pub(crate) fn bare(site: &Site, headers: &HeaderMap, title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            section: Section::None,
            crumbs: Vec::new(),
            path: "/".to_owned(),
            me: None,
            form_token: String::new(),
            now: site.now(),
            theme: match Cookie::Theme.read(headers).as_deref() {
                Some("dark") => "dark",
                Some("light") => "light",
                _ => "",
            },
            live: String::new(),
            every: 0,
            at: String::new(),
            said: form::said(headers),
            key: site.key(),
        }
    }

    /// Adds a step on the way here.
    #[must_use]
    pub(crate) fn crumb(mut self, word: impl Into<String>, path: impl Into<String>) -> Self {
        self.crumbs.push(Crumb { word: word.into(), path: path.into() });
        self
    }

    /// The page shows changes of these services as they happen: names by commas, or `*`.
    #[must_use]
    pub(crate) fn live(mut self, subjects: impl Into<String>) -> Self {
        self.live = subjects.into();
        self
    }

    /// The page shows what no fact tells of, and is made again so often, in seconds.
    #[must_use]
    pub(crate) fn every(mut self, seconds: u32) -> Self {
        self.every = seconds;
        self
    }

    /// The page is the answer to a form, and goes on under an address of its own: reloading it sends nothing.
    #[must_use]
    pub(crate) fn at(mut self, path: impl Into<String>) -> Self {
        self.at = path.into();
        self
    }

    pub(crate) fn menu(&self) -> impl Iterator<Item = &'static Entry> {
        let admin = self.me.as_ref().is_some_and(visit::is_admin);
        MENU.iter().filter(move |entry| admin || !entry.admins)
    }

    /// Begins a form that changes something; templates close it with `</form>`.
    pub(crate) fn form(&self, action: impl std::fmt::Display) -> FormStart {
        FormStart { action: action.to_string(), token: self.form_token.clone(), key: self.key.clone() }
    }

    pub(crate) fn css(&self) -> &'static str {
        assets::css()
    }

    pub(crate) fn js(&self) -> &'static str {
        assets::js()
    }

    /// The theme that the toggle leads to.
    pub(crate) fn other_theme(&self) -> &'static str {
        match self.theme {
            "" => "dark",
            "dark" => "light",
            _ => "",
        }
    }
}

/// A page as an answer.
pub(crate) fn html(page: &impl Template) -> Result<Response, Fault> {
    let text = page.render().map_err(|e| Problem::internal("page-not-made", e))?;
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    Ok(response)
}
