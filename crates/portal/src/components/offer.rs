use askama::Template;
use askama::filters::HtmlSafe;

/// Something to do: a button that leads to the page which says exactly what it will do, or the reason why
/// this reader may not.
#[derive(Debug, Clone, Template)]
#[template(
    ext = "html",
    source = r#"{% if let Some(why) = denied %}<span class="denied" title="{{ why }}">{{ word }}: {{ crate::components::Text::from(why.clone()) }}</span>{% else %}<a class="button{% if danger %} danger{% endif %}" href="{{ path }}">{{ word }}</a>{% endif %}"#
)]
pub(crate) struct Offer {
    pub word: String,
    pub path: String,
    /// Why not, where not.
    pub denied: Option<String>,
    pub danger: bool,
}

impl HtmlSafe for Offer {}
