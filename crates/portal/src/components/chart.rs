//! Pictures of series over time, as SVG that needs no script: axes with units, exact values on
//! hover, deploys as marks, gaps as gaps. Colours are classes, for light and dark. Behind each picture
//! stands a table with the same numbers ([`Chart::rows`]).

mod pictures;
mod scale;
mod svg;

pub(crate) use pictures::{pictures, requests_in};
use scale::Scale;
pub(crate) use scale::Unit;

use std::fmt;
use std::time::Duration;

use askama::Template;
use askama::filters::HtmlSafe;
use base::Time;

use super::time::Clock;

/// One picture.
#[derive(Debug, Clone)]
pub(crate) struct Chart {
    /// What it shows, for the head and for who cannot see it.
    pub title: String,
    /// What a number means.
    pub unit: Unit,
    /// Begin of the first step.
    pub start: Time,
    /// Length of a step.
    pub step: Duration,
    /// How many steps.
    pub len: usize,
    /// Drawn one over the other, or on top of each other where they are stacked.
    pub series: Vec<Series>,
    /// What happened when.
    pub marks: Vec<Mark>,
}

/// One series of a picture.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    /// Its name in legend and table.
    pub name: String,
    /// How it is drawn.
    pub form: Form,
    /// Its colour by meaning.
    pub tone: Tone,
    /// One for each step; none where nobody looked.
    pub points: Vec<Option<Value>>,
}

/// A number, or the bounds between which it lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value {
    /// Exactly this.
    Exactly(f64),
    /// Above the first, and at most the second where there is one.
    Between(f64, Option<f64>),
}

/// How a series is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A line in steps.
    Line,
    /// A filled band on top of the stacked series before it.
    Stacked,
    /// The band between the bounds of each value.
    Band,
}

/// A colour by meaning; the words are classes of the style sheet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// What is usual.
    Main,
    /// A second of the same sort.
    Second,
    /// A third of the same sort.
    Third,
    /// What went well.
    Good,
    /// What is to be looked at.
    Warn,
    /// What failed.
    Bad,
}

impl Tone {
    /// The class.
    pub(crate) const fn class(self) -> &'static str {
        match self {
            Self::Main => "c-main",
            Self::Second => "c-second",
            Self::Third => "c-third",
            Self::Good => "c-good",
            Self::Warn => "c-warn",
            Self::Bad => "c-bad",
        }
    }

    /// The tone of the series with this number, where all are of the same sort.
    pub(crate) fn of(number: usize) -> Self {
        let tones = [Self::Main, Self::Second, Self::Third, Self::Good, Self::Warn];
        tones.get(number.checked_rem(tones.len()).unwrap_or(0)).copied().unwrap_or(Self::Main)
    }
}

/// Something that happened, drawn as a line from top to bottom.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    /// When.
    pub at: Time,
    /// In a word or two: `#42`.
    pub label: String,
    /// In a sentence.
    pub about: String,
    /// Where it leads; a path of the portal.
    pub href: String,
    /// Its colour.
    pub tone: Tone,
}

/// A row of the table behind a picture: the begin of the step and the text of each value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// Begin of the step.
    pub at: Clock,
    /// One text for each series; a dash where nobody looked.
    pub cells: Vec<String>,
}

/// Markup that this module made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Svg(String);

impl fmt::Display for Svg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl HtmlSafe for Svg {}

/// A picture as it stands on a page: head, legend, and the table behind it.
#[derive(Debug, Clone, Template)]
#[template(path = "picture.html")]
pub(crate) struct Picture {
    id: String,
    title: String,
    /// Class and name of each series.
    legend: Vec<(&'static str, String)>,
    svg: Svg,
    rows: Vec<Row>,
    is_empty: bool,
}

impl HtmlSafe for Picture {}

impl Picture {
    pub(crate) fn of(chart: Chart) -> Self {
        let word = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        Self {
            id: format!("picture-{}", chart.title.chars().map(word).collect::<String>()),
            legend: chart.series.iter().map(|series| (series.tone.class(), series.name.clone())).collect(),
            svg: chart.svg(),
            rows: chart.rows(),
            is_empty: chart.is_empty(),
            title: chart.title,
        }
    }
}

impl Value {
    /// The most that it may be, as far as is known.
    fn top(self) -> f64 {
        match self {
            Self::Exactly(n) => n,
            // More than the last bound: the axis needs the room above it.
            Self::Between(above, at_most) => at_most.unwrap_or(above + 1.0),
        }
    }
}

impl Chart {
    /// The picture.
    pub(crate) fn svg(&self) -> Svg {
        Svg(svg::chart(self))
    }

    /// The same numbers as a table, the newest first.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let cell = |series: &Series, step: usize| self.unit.value(series.points.get(step).copied().flatten());
        let row =
            |step: usize| Row { at: Clock(self.at(step)), cells: self.series.iter().map(|s| cell(s, step)).collect() };
        (0..self.len).rev().map(row).collect()
    }

    /// Whether anything was observed at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.series.iter().all(|series| series.points.iter().all(Option::is_none))
    }

    /// Begin of a step.
    fn at(&self, step: usize) -> Time {
        self.start.plus(self.step.saturating_mul(u32::try_from(step).unwrap_or(u32::MAX)))
    }

    /// Where an instant lies on the axis, from 0 to 1.
    fn part(&self, at: Time) -> Option<f64> {
        let whole = self.step.as_secs_f64() * self.len as f64;
        let part = at.since(self.start).as_secs_f64() / whole;
        (at >= self.start && part.is_finite() && part <= 1.0).then_some(part)
    }

    /// For who cannot see the picture: what it shows, and the newest number of each series.
    fn words(&self) -> String {
        let newest = |series: &Series| {
            let value = series.points.iter().rev().copied().flatten().next();
            format!("{} {}", series.name, self.unit.value(value))
        };
        let all: Vec<String> = self.series.iter().map(newest).collect();
        format!("{}. Newest: {}. All numbers are in the table below.", self.title, all.join(", "))
    }
}

/// A small picture of one series for a line of a list: no axes, the range in words.
pub(crate) fn sparkline(points: &[Option<f64>], what: &str) -> Svg {
    Svg(svg::sparkline(points, what))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exactly(points: &[Option<f64>]) -> Vec<Option<Value>> {
        points.iter().map(|point| point.map(Value::Exactly)).collect()
    }

    fn chart(series: Vec<Series>, unit: Unit) -> Chart {
        let start = Time::from_micros(1_800_000_000_000_000);
        Chart { title: "Requests".into(), unit, start, step: Duration::from_secs(60), len: 4, series, marks: vec![] }
    }

    fn series(form: Form, points: Vec<Option<Value>>) -> Series {
        Series { name: "ok <b>".into(), form, tone: Tone::Good, points }
    }

    #[test]
    fn a_gap_is_a_gap_and_every_step_tells_its_value() {
        let line = series(Form::Line, exactly(&[Some(1.5), None, Some(0.0), Some(6.0)]));
        let svg = chart(vec![line], Unit::PerSecond).svg().0;
        let path = svg.split("class=\"line c-good\" d=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        assert_eq!(path, "M0 75H1M2 100H3V0H4", "a move over the gap, steps elsewhere");
        assert_eq!(svg.matches("<title>").count(), 5, "one for each step and one for the gap's mark");
        assert!(svg.contains("nobody observed"), "{svg}");
        assert!(svg.contains("ok &lt;b&gt;: 6/s") && !svg.contains("<b>"), "names are text: {svg}");
        assert!(!svg.contains("style=") && !svg.contains("<script"), "{svg}");
    }

    #[test]
    fn stacked_series_stand_on_each_other() {
        let below = series(Form::Stacked, exactly(&[Some(1.5), Some(1.5), None, Some(1.5)]));
        let above = series(Form::Stacked, exactly(&[Some(4.5), Some(0.0), None, Some(1.5)]));
        let svg = chart(vec![below, above], Unit::PerSecond).svg().0;
        let paths: Vec<&str> =
            svg.split("class=\"area c-good\" d=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(paths[0], "M0 100V75H2V100ZM3 100V75H4V100Z");
        assert_eq!(paths[1], "M0 75V0H1V75ZM3 75V50H4V75Z", "a band without height is not drawn");
    }

    #[test]
    fn bounds_are_drawn_as_what_is_known() {
        let ms = |above, at_most| Some(Value::Between(above, at_most));
        let band = series(Form::Band, vec![ms(0.0, Some(1.0)), ms(5000.0, None), None, ms(10.0, Some(20.0))]);
        let chart = chart(vec![band], Unit::Millis);
        assert!(chart.svg().0.contains("class=\"band c-good\""));
        let cells: Vec<String> = chart.rows().into_iter().flat_map(|row| row.cells).collect();
        assert_eq!(cells, ["10–20 ms", "–", "> 5000 ms", "≤ 1 ms"]);
    }

    #[test]
    fn marks_lead_to_what_happened() {
        let mut chart = chart(vec![series(Form::Line, exactly(&[Some(1.0); 4]))], Unit::PerSecond);
        let mark = |s| Mark {
            at: chart.start.plus(Duration::from_secs(s)),
            label: "#42".into(),
            about: "release 42 by \"ada\"".into(),
            href: "/services/shop/rollouts/ro_1".into(),
            tone: Tone::Main,
        };
        chart.marks = vec![mark(120), mark(1000)];
        let svg = chart.svg().0;
        assert_eq!(svg.matches("<a ").count(), 1, "what lies outside is not drawn");
        assert!(svg.contains("href=\"/services/shop/rollouts/ro_1\"") && svg.contains("x1=\"50%\""), "{svg}");
        assert!(svg.contains("release 42 by &quot;ada&quot;"), "{svg}");
    }

    #[test]
    fn nothing_breaks_it() {
        for points in
            [vec![], exactly(&[None; 4]), exactly(&[Some(f64::NAN), Some(f64::INFINITY), Some(-1.0), Some(1e300)])]
        {
            let mut chart = chart(vec![series(Form::Line, points)], Unit::Bytes);
            let svg = chart.svg().0;
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            chart.len = 0;
            chart.svg();
        }
        assert!(sparkline(&[], "none").0.contains("none"));
        let spark = sparkline(&[Some(0.0), None, Some(2.0)], "requests").0;
        assert!(spark.contains("role=\"img\"") && spark.contains("class=\"gap\""), "{spark}");
    }
}
