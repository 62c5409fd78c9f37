use std::fmt;

use askama::filters::HtmlSafe;

use super::layout::{Layout, NODE_H, NODE_W, Point, layout};
use crate::components::{Tone, clean, escape};

/// Room around the picture.
const MARGIN: f64 = 12.0;
/// Letters of a node's name that fit.
const LABEL_CHARS_MAX: usize = 20;

/// How much a part of the picture is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// As all others.
    Plain,
    /// What the reader asked for.
    Chosen,
    /// Not what the reader asked for.
    Dim,
}

/// A node of the picture.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// What it is.
    pub label: String,
    /// What stands beneath in small letters.
    pub below: String,
    /// Its state.
    pub tone: Tone,
    /// All of it in words, on hover and for those who do not see.
    pub told: String,
    /// Where it leads.
    pub href: String,
    pub look: Look,
    /// Several that are folded into one.
    pub folded: bool,
}

/// An edge of the picture.
#[derive(Debug, Clone)]
pub(crate) struct Edge {
    pub from: usize,
    pub to: usize,
    pub told: String,
    pub look: Look,
}

/// A graph, drawn.
#[derive(Debug, Clone)]
pub(crate) struct Drawing {
    nodes: Vec<Node>,
    edges: Vec<Edge>,
    layout: Layout,
    title: String,
}

impl Drawing {
    pub(crate) fn new(title: impl Into<String>, nodes: Vec<Node>, edges: Vec<(usize, usize, String, Look)>) -> Self {
        let pairs: Vec<(usize, usize)> = edges.iter().map(|(from, to, _, _)| (*from, *to)).collect();
        let layout = layout(nodes.len(), &pairs);
        let edges = edges.into_iter().map(|(from, to, told, look)| Edge { from, to, told, look }).collect();
        Self { nodes, edges, layout, title: title.into() }
    }
}

impl HtmlSafe for Drawing {}

impl fmt::Display for Drawing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (w, h) = (self.layout.width + MARGIN * 2.0, self.layout.height + MARGIN * 2.0);
        write!(
            f,
            "<svg class=\"graph\" width=\"{w:.0}\" height=\"{h:.0}\" viewBox=\"{:.0} {:.0} {w:.0} {h:.0}\" role=\"group\" aria-label=\"",
            -MARGIN, -MARGIN
        )?;
        escape(&clean(&self.title), f)?;
        f.write_str("\"><defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\"/></marker></defs>")?;
        for route in &self.layout.routes {
            let edge = self.edges.iter().find(|edge| (edge.from, edge.to) == (route.from, route.to));
            let look = edge.map_or(Look::Plain, |edge| edge.look);
            let back = if route.back { " back" } else { "" };
            write!(f, "<path class=\"edge{}{back}\" marker-end=\"url(#tip)\" d=\"", class(look))?;
            curve(&route.points, f)?;
            f.write_str("\"><title>")?;
            escape(&clean(edge.map_or("", |edge| &edge.told)), f)?;
            f.write_str("</title></path>")?;
        }
        for (id, node) in self.nodes.iter().enumerate() {
            if let Some(at) = self.layout.nodes.get(&id) {
                node.draw(*at, f)?;
            }
        }
        f.write_str("</svg>")
    }
}

impl Node {
    fn draw(&self, at: Point, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (x, y) = (at.x - NODE_W / 2.0, at.y - NODE_H / 2.0);
        let folded = if self.folded { " folded" } else { "" };
        write!(f, "<a class=\"node {}{}{folded}\" href=\"", self.tone.word(), class(self.look))?;
        escape(&self.href, f)?;
        f.write_str("\"><title>")?;
        escape(&clean(&self.told), f)?;
        write!(f, "</title><rect x=\"{x:.0}\" y=\"{y:.0}\" width=\"{NODE_W:.0}\" height=\"{NODE_H:.0}\" rx=\"6\"/>")?;
        write!(
            f,
            "<path class=\"mark\" transform=\"translate({:.0} {:.0})\" d=\"{}\"/>",
            x + 9.0,
            y + 8.0,
            self.tone.shape()
        )?;
        write!(f, "<text x=\"{:.0}\" y=\"{:.0}\">", x + 27.0, y + 17.0)?;
        escape(&shortened(&self.label), f)?;
        write!(f, "</text><text class=\"below\" x=\"{:.0}\" y=\"{:.0}\">", x + 27.0, y + 31.0)?;
        escape(&shortened(&self.below), f)?;
        f.write_str("</text></a>")
    }
}

const fn class(look: Look) -> &'static str {
    match look {
        Look::Plain => "",
        Look::Chosen => " chosen",
        Look::Dim => " dim",
    }
}

fn shortened(text: &str) -> String {
    let text = clean(text);
    if text.chars().count() <= LABEL_CHARS_MAX {
        return text.into_owned();
    }
    text.chars().take(LABEL_CHARS_MAX.saturating_sub(1)).chain(['…']).collect()
}

/// Straight where it passes a layer, bent between.
fn curve(points: &[Point], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut last: Option<Point> = None;
    for point in points {
        match last {
            None => write!(f, "M{:.1} {:.1}", point.x, point.y)?,
            Some(from) => {
                let middle = (from.x + point.x) / 2.0;
                write!(f, "C{middle:.1} {:.1} {middle:.1} {:.1} {:.1} {:.1}", from.y, point.y, point.x, point.y)?;
            }
        }
        last = Some(*point);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_others_do_nothing_in_a_picture() {
        let node = |label: &str| Node {
            label: label.into(),
            below: "<b>".into(),
            tone: Tone::Good,
            told: "\"><script>alert(1)</script>".into(),
            href: "/topology?focus=\"onload=x".into(),
            look: Look::Plain,
            folded: false,
        };
        let nodes = vec![node("</text><script>"), node("a-name-that-is-much-too-long-for-it\u{202e}")];
        let text =
            Drawing::new("it's <all>", nodes, vec![(0, 1, "</title><img src=x>".into(), Look::Chosen)]).to_string();
        for bad in ["<script", "<img", "<b>", "\"onload", "\u{202e}", "<all>"] {
            assert!(!text.contains(bad), "{bad} in {text}");
        }
        assert!(text.contains("a-name-that-is-much…"), "{text}");
        assert_eq!(text.matches("class=\"node").count(), 2);
        assert_eq!(text.matches("class=\"edge chosen\"").count(), 1);
    }
}
