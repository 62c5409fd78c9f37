//! Markdown as HTML that can do nothing: raw HTML and pictures are dropped, links lead where they are let.

use std::collections::BTreeSet;

use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html};

use super::Section;
use crate::components::{clean, escape};

/// The HTML of a text, and its sections. `link` says where a target leads, if anywhere.
pub(crate) fn render(text: &str, link: &dyn Fn(&str) -> Option<String>) -> (String, Vec<Section>) {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let mut state =
        State { link, out: Vec::new(), sections: vec![Section::top()], anchors: BTreeSet::new(), links: Vec::new() };
    let events: Vec<Event<'_>> = Parser::new_ext(text, options).collect();
    let mut rest = events.into_iter().peekable();
    while let Some(event) = rest.next() {
        if let Event::Start(Tag::Heading { level, .. }) = &event {
            let mut inside = Vec::new();
            while let Some(part) = rest.next_if(|part| !matches!(part, Event::End(TagEnd::Heading(_)))) {
                inside.push(part);
            }
            state.heading(*level as u8, &inside);
            state.push(event);
            inside.into_iter().for_each(|part| state.push(part));
        } else {
            state.push(event);
        }
    }
    let mut out = String::new();
    html::push_html(&mut out, state.out.into_iter());
    state.sections.retain(|section| !section.text.trim().is_empty() || !section.heading.is_empty());
    (out, state.sections)
}

struct State<'a, 'b> {
    link: &'b dyn Fn(&str) -> Option<String>,
    out: Vec<Event<'a>>,
    sections: Vec<Section>,
    anchors: BTreeSet<String>,
    /// For each open link: whether it leads somewhere.
    links: Vec<bool>,
}

impl<'a> State<'a, '_> {
    /// A section begins; the anchor of its heading is put before it.
    fn heading(&mut self, level: u8, inside: &[Event<'a>]) {
        let heading: String = inside.iter().filter_map(text_of).collect();
        let mut anchor = anchor(&heading);
        let mut again = 1_u32;
        while !self.anchors.insert(anchor.clone()) {
            anchor = format!("{}-{again}", self::anchor(&heading));
            again = again.saturating_add(1);
        }
        self.sections.push(Section { heading, anchor, text: String::new(), level });
    }

    fn push(&mut self, event: Event<'a>) {
        if let Some(text) = text_of(&event)
            && let Some(section) = self.sections.last_mut()
        {
            section.text.push_str(text);
        }
        match event {
            // What somebody wrote as HTML is not shown at all, whatever it is.
            Event::Html(_) | Event::InlineHtml(_) | Event::Start(Tag::HtmlBlock | Tag::Image { .. }) => {}
            Event::End(TagEnd::HtmlBlock | TagEnd::Image) => {}
            Event::Start(Tag::Heading { level, classes, attrs, .. }) => {
                let id = self.sections.last().map(|section| CowStr::from(section.anchor.clone()));
                self.out.push(Event::Start(Tag::Heading { level, id, classes, attrs }));
            }
            Event::Start(Tag::Link { dest_url, .. }) => {
                let to = (self.link)(&dest_url);
                self.links.push(to.is_some());
                if let Some(to) = to {
                    let mut tag = String::from("<a href=\"");
                    let _never_fails = escape(&clean(&to), &mut tag);
                    tag.push_str(if to.starts_with('h') { "\" rel=\"noreferrer\">" } else { "\">" });
                    self.out.push(Event::InlineHtml(tag.into()));
                }
            }
            Event::End(TagEnd::Link) => {
                if self.links.pop() == Some(true) {
                    self.out.push(Event::InlineHtml("</a>".into()));
                }
            }
            // What is wider than the page is scrolled, also by keys.
            Event::Start(Tag::Table(_)) => {
                self.out.push(Event::Html("<div class=\"scroll\" tabindex=\"0\">".into()));
                self.out.push(event);
            }
            Event::End(TagEnd::Table) => {
                self.out.push(event);
                self.out.push(Event::Html("</div>".into()));
            }
            Event::Start(Tag::CodeBlock(_)) => {
                self.out.push(Event::Html("<pre tabindex=\"0\"><code>".into()));
            }
            Event::End(TagEnd::CodeBlock) => {
                if let Some(section) = self.sections.last_mut() {
                    section.text.push(' ');
                }
                self.out.push(Event::Html("</code></pre>\n".into()));
            }
            other => {
                if matches!(other, Event::End(TagEnd::Paragraph | TagEnd::Item | TagEnd::TableCell))
                    && let Some(section) = self.sections.last_mut()
                {
                    section.text.push(' ');
                }
                self.out.push(other);
            }
        }
    }
}

impl Section {
    fn top() -> Self {
        Self { heading: String::new(), anchor: String::new(), text: String::new(), level: 1 }
    }
}

fn text_of<'e>(event: &'e Event<'_>) -> Option<&'e str> {
    match event {
        Event::Text(text) | Event::Code(text) => Some(text),
        Event::SoftBreak | Event::HardBreak => Some(" "),
        _ => None,
    }
}

/// The anchor of a heading, as forges of code make it: small letters, hyphens for blanks, nothing else.
fn anchor(heading: &str) -> String {
    heading
        .trim()
        .chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            c if c.is_alphanumeric() || c == '-' || c == '_' => c.to_lowercase().next(),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(text: &str) -> String {
        render(text, &|to| (to.starts_with("https://") || to.starts_with('#')).then(|| to.to_owned())).0
    }

    #[test]
    fn what_is_hostile_is_text_or_nothing() {
        for (text, bad) in [
            ("<script>alert(1)</script>", "<script"),
            ("a <img src=x onerror=alert(1)> b", "<img"),
            ("[x](javascript:alert(1))", "javascript:"),
            ("[x](data:text/html,<script>alert(1)</script>)", "data:"),
            ("![x](https://evil.test/p.png)", "<img"),
            ("<https://evil.test/\"onmouseover=alert(1)>", "test/\"onmouseover=alert(1)\""),
            ("[x](https://a.test/\"onclick=alert(1))", "\"onclick"),
            ("```html\n</code></pre><script>alert(1)</script>\n```", "<script"),
            ("# <b onclick=x>heading</b>", "<b "),
            ("| a |\n|---|\n| <iframe src=x> |", "<iframe"),
            ("`<svg onload=x>`", "<svg"),
            ("<div\nonclick=x>\n\ntext\n\n</div>", "<div"),
        ] {
            let out = html(text);
            assert!(!out.contains(bad), "{text:?} became {out}");
        }
    }

    #[test]
    fn headings_have_anchors_and_links_lead_where_they_may() {
        let (out, sections) = render("Top.\n\n# The map\n\nA `b` c\n\n# The map\n\n[here](#x) [there](y.md)", &|to| {
            to.starts_with('#').then(|| to.to_owned())
        });
        assert!(out.contains("<h1 id=\"the-map\">") && out.contains("<h1 id=\"the-map-1\">"), "{out}");
        assert!(out.contains("<a href=\"#x\">here</a> there"), "{out}");
        let told: Vec<String> = sections.iter().map(|s| format!("{}|{}", s.anchor, s.text.trim())).collect();
        assert_eq!(told, ["|Top.", "the-map|The mapA b c", "the-map-1|The maphere there"]);
    }
}
