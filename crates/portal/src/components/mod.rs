//! The small set of things that pages are made of. Each is a value that a template writes as
//! `{{ value }}`: it escapes what it shows. All of them stand on `/style`.

mod ansi;
mod badge;
pub(crate) mod chart;
mod exact;
mod log;
mod offer;
mod text;
mod time;

pub(crate) use ansi::{Output, plain};
pub(crate) use badge::{Badge, Tone};
pub(crate) use exact::{exactly, say_actor};
pub(crate) use log::log_line;
pub(crate) use offer::Offer;
pub(crate) use text::{Text, clean, escape};
pub(crate) use time::When;

use askama::Template;
use askama::filters::HtmlSafe;

/// The beginning of a form that changes something. There is no other way to begin one.
#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<form method="post" action="{{ action }}"><input type="hidden" name="form-token" value="{{ token }}"><input type="hidden" name="form-key" value="{{ key }}">"#
)]
pub(crate) struct FormStart {
    pub action: String,
    pub token: String,
    pub key: String,
}

impl HtmlSafe for FormStart {}

/// Where there is nothing yet: what that means, and what to do.
#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<div class="empty"><p class="empty-title">{{ title }}</p><p>{{ text }}</p>{% if let Some(command) = command %}<pre class="command"><code>{{ command }}</code></pre>{% endif %}</div>"#
)]
pub(crate) struct Empty {
    pub title: String,
    pub text: String,
    /// The next command.
    pub command: Option<String>,
}

impl HtmlSafe for Empty {}

impl Empty {
    pub(crate) fn new(title: impl Into<String>, text: impl Into<String>) -> Self {
        Self { title: title.into(), text: text.into(), command: None }
    }

    /// With the command that ends the emptiness.
    #[must_use]
    pub(crate) fn command(mut self, command: impl Into<String>) -> Self {
        self.command = Some(command.into());
        self
    }
}

/// A tab of a page that has several.
pub(crate) struct Tab {
    pub word: &'static str,
    pub path: String,
    pub current: bool,
}
