//! What the platform says about itself: the documents that ship with it, and what is made of its own tables.

mod markdown;
mod search;

use std::sync::LazyLock;

pub(crate) use search::{Found, search};

/// A document of the repository, as a page.
struct Source {
    topic: &'static str,
    title: &'static str,
    /// What it is for, in one line.
    about: &'static str,
    path: &'static str,
    text: &'static str,
}

/// The documents in the order of the menu.
const SOURCES: [Source; 3] = [
    Source {
        topic: "tour",
        title: "Tour",
        about: "what the platform is, and how to begin",
        path: "README.md",
        text: include_str!("../../../../README.md"),
    },
    Source {
        topic: "architecture",
        title: "Architecture",
        about: "how it is built, and what follows from that",
        path: "ARCHITECTURE.md",
        text: include_str!("../../../../ARCHITECTURE.md"),
    },
    Source {
        topic: "benchmarks",
        title: "Benchmarks",
        about: "how fast it is, measured",
        path: "docs/benchmarks.md",
        text: include_str!("../../../../docs/benchmarks.md"),
    },
];

/// A document, rendered.
pub(crate) struct Topic {
    pub topic: &'static str,
    pub title: &'static str,
    pub about: &'static str,
    pub html: String,
    pub sections: Vec<Section>,
}

/// A part of a document under one heading.
pub(crate) struct Section {
    pub heading: String,
    pub anchor: String,
    /// Its text, without marks.
    pub text: String,
    /// How deep the heading is, from 1.
    pub level: u8,
}

/// All documents, rendered once.
pub(crate) fn topics() -> &'static [Topic] {
    static TOPICS: LazyLock<Vec<Topic>> = LazyLock::new(|| SOURCES.iter().map(render).collect());
    &TOPICS
}

fn render(source: &Source) -> Topic {
    let (html, sections) = markdown::render(source.text, &|target| to_page(source.path, target));
    Topic { topic: source.topic, title: source.title, about: source.about, html, sections }
}

/// Where a link of a document leads here: to another page of the help, to elsewhere, or nowhere.
fn to_page(from: &str, target: &str) -> Option<String> {
    if target.starts_with('#') {
        return Some(target.to_owned());
    }
    if target.starts_with("https://") || target.starts_with("http://") {
        return Some(target.to_owned());
    }
    let (path, anchor) = target.split_once('#').map_or((target, String::new()), |(path, at)| (path, format!("#{at}")));
    let folder = from.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let path = parts.join("/");
    if path == "docs/errors.md" {
        return Some(format!("/help/errors{anchor}"));
    }
    let known = SOURCES.iter().find(|source| source.path == path)?;
    Some(format!("/help/{}{anchor}", known.topic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_pages_that_are_there_or_nowhere() {
        assert_eq!(to_page("README.md", "ARCHITECTURE.md#the-map").as_deref(), Some("/help/architecture#the-map"));
        assert_eq!(to_page("docs/benchmarks.md", "../README.md").as_deref(), Some("/help/tour"));
        assert_eq!(to_page("README.md", "docs/errors.md").as_deref(), Some("/help/errors"));
        assert_eq!(to_page("README.md", "crates/base/README.md"), None);
        assert_eq!(to_page("README.md", "#here").as_deref(), Some("#here"));
        assert_eq!(to_page("README.md", "javascript:alert(1)"), None);
        assert_eq!(to_page("README.md", "//evil.test"), None);
    }

    #[test]
    fn every_document_is_rendered_and_every_anchor_is_there() {
        for topic in topics() {
            assert!(topic.html.len() > 1_000 && !topic.sections.is_empty(), "{}", topic.topic);
            assert!(!topic.html.contains("<script"), "{}", topic.topic);
            for section in topic.sections.iter().filter(|section| !section.anchor.is_empty()) {
                assert!(
                    topic.html.contains(&format!("id=\"{}\"", section.anchor)),
                    "{}#{}",
                    topic.topic,
                    section.anchor
                );
            }
            let anchors: Vec<&str> =
                topic.html.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
            for anchor in anchors {
                assert!(topic.sections.iter().any(|s| s.anchor == anchor), "{}: #{anchor} leads nowhere", topic.topic);
            }
        }
    }
}
