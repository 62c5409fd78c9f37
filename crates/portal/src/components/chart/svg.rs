//! Heights to SVG. The plot is stretched to the width there is; what is text is not.

use std::fmt::Write as _;
use std::ops::Range;
use std::time::Duration;

use base::Time;

use super::{Chart, Form, Scale, Series, Unit, Value};
use crate::components::text::{clean, escape};

/// Height of the plot, and of the line of times beneath it, pixels.
const PLOT: u32 = 150;
const TIMES: u32 = 22;
/// Most times beneath a plot.
const TIMES_MAX: u64 = 6;
/// Lengths between two times beneath a plot, seconds.
const BEATS: [u64; 12] = [10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600];

/// Text made fit for an attribute or an element; what would act in it is shown by its number.
fn text(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    // Writing to a text never fails.
    let _ = escape(&clean(raw), &mut out);
    out
}

/// A coordinate, two digits behind the point at most.
fn at(n: f64) -> String {
    let text = format!("{n:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// From heights, which grow upwards, to rows, which grow downwards.
fn y(height: f64) -> String {
    at(100.0 - height)
}

pub(super) fn chart(chart: &Chart) -> String {
    let tops = heights_of_stacks(chart)
        .into_iter()
        .chain(chart.series.iter().flat_map(|series| series.points.iter().flatten().map(|value| value.top())));
    let scale = Scale::over(chart.unit, tops);
    let mut out = format!(
        "<svg class=\"chart\" width=\"100%\" height=\"{}\" role=\"group\" aria-label=\"{}\">",
        PLOT.saturating_add(TIMES),
        text(&chart.words())
    );
    let _ = write!(
        out,
        "<svg class=\"plot\" width=\"100%\" height=\"{PLOT}\" viewBox=\"0 0 {} 100\" preserveAspectRatio=\"none\" aria-hidden=\"true\">",
        chart.len.max(1)
    );
    gaps(chart, &mut out);
    for (height, _) in scale.lines(chart.unit) {
        let _ = write!(out, "<path class=\"rule\" d=\"M0 {}H{}\"/>", y(height), chart.len);
    }
    let mut floor = vec![0.0; chart.len];
    for series in &chart.series {
        match series.form {
            Form::Line => line(series, &scale, &mut out),
            Form::Band => band(series, &scale, &mut out),
            Form::Stacked => stacked(series, &scale, &mut floor, &mut out),
        }
    }
    steps(chart, &mut out);
    out.push_str("</svg>");
    for (height, words) in scale.lines(chart.unit) {
        // The text stands on its line.
        let row = f64::from(PLOT) * (100.0 - height) / 100.0;
        let _ = write!(out, "<text class=\"tick\" x=\"4\" y=\"{}\">{}</text>", at((row - 4.0).max(10.0)), text(&words));
    }
    times(chart, &mut out);
    marks(chart, &mut out);
    out.push_str("</svg>");
    out
}

/// The sums of the stacked series in each step.
fn heights_of_stacks(chart: &Chart) -> Vec<f64> {
    let mut sums = vec![0.0; chart.len];
    for series in chart.series.iter().filter(|series| series.form == Form::Stacked) {
        for (sum, point) in sums.iter_mut().zip(&series.points) {
            *sum += point.map_or(0.0, Value::top);
        }
    }
    sums
}

/// Steps in a row that nobody observed, in any series.
fn gaps(chart: &Chart, out: &mut String) {
    let is_gap = |step: usize| chart.series.iter().all(|series| series.points.get(step).copied().flatten().is_none());
    for gap in runs(chart.len, is_gap) {
        let (from, to) = (clock(chart.at(gap.start)), clock(chart.at(gap.end)));
        let _ = write!(
            out,
            "<rect class=\"gap\" x=\"{}\" y=\"0\" width=\"{}\" height=\"100\"><title>{from}–{to} UTC: nobody observed</title></rect>",
            gap.start,
            gap.len()
        );
    }
}

/// The longest runs of steps for which something is so.
fn runs(len: usize, is_so: impl Fn(usize) -> bool) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for step in (0..len).filter(|step| is_so(*step)) {
        match runs.last_mut().filter(|run| run.end == step) {
            Some(run) => run.end = step.saturating_add(1),
            None => runs.push(step..step.saturating_add(1)),
        }
    }
    runs
}

fn path(class: &str, tone: &str, d: &str, out: &mut String) {
    if !d.is_empty() {
        let _ = write!(out, "<path class=\"{class} {tone}\" d=\"{d}\"/>");
    }
}

fn line(series: &Series, scale: &Scale, out: &mut String) {
    let mut d = String::new();
    let mut before: Option<f64> = None;
    for (step, point) in series.points.iter().enumerate() {
        let height = point.map(|value| scale.height(value.top()));
        if let Some(height) = height {
            match before {
                Some(last) if last == height => {}
                Some(_) => {
                    let _ = write!(d, "H{step}V{}", y(height));
                }
                None => {
                    let _ = write!(d, "M{step} {}", y(height));
                }
            }
        } else if before.is_some() {
            let _ = write!(d, "H{step}");
        }
        before = height;
    }
    if before.is_some() {
        let _ = write!(d, "H{}", series.points.len());
    }
    path("line", series.tone.class(), &d, out);
}

/// Rectangles of the same low and high side in a row become one.
fn boxes(sides: &[Option<(f64, f64)>]) -> String {
    let mut d = String::new();
    let mut from = 0;
    while let Some(first) = sides.get(from) {
        let same = sides.iter().skip(from).take_while(|next| *next == first).count();
        let to = from.saturating_add(same.max(1));
        if let Some((low, high)) = first.filter(|(low, high)| high > low) {
            let _ = write!(d, "M{from} {}V{}H{to}V{}Z", y(low), y(high), y(low));
        }
        from = to;
    }
    d
}

fn band(series: &Series, scale: &Scale, out: &mut String) {
    let sides = |value: Value| match value {
        Value::Exactly(n) => (scale.height(n), scale.height(n) + 1.0),
        Value::Between(above, Some(at_most)) => (scale.height(above), scale.height(at_most)),
        Value::Between(above, None) => (scale.height(above), scale.top()),
    };
    let sides: Vec<_> = series.points.iter().map(|point| point.map(sides)).collect();
    path("band", series.tone.class(), &boxes(&sides), out);
}

fn stacked(series: &Series, scale: &Scale, floor: &mut [f64], out: &mut String) {
    let mut sides = Vec::with_capacity(floor.len());
    for (floor, point) in floor.iter_mut().zip(&series.points) {
        let low = *floor;
        *floor += point.map_or(0.0, Value::top);
        sides.push(point.map(|_| (scale.height(low), scale.height(*floor))));
    }
    path("area", series.tone.class(), &boxes(&sides), out);
}

/// What one sees who points at a step: the time and every number.
fn steps(chart: &Chart, out: &mut String) {
    for step in 0..chart.len {
        let _ = write!(out, "<rect class=\"step\" x=\"{step}\" y=\"0\" width=\"1\" height=\"100\"><title>");
        let _ = write!(out, "{} UTC", clock(chart.at(step)));
        for series in &chart.series {
            let value = chart.unit.value(series.points.get(step).copied().flatten());
            let _ = write!(out, "\n{}: {}", text(&series.name), text(&value));
        }
        out.push_str("</title></rect>");
    }
}

/// Times beneath the plot, at whole multiples of what leaves them room. The script of the page puts
/// them into the reader's zone.
fn times(chart: &Chart, out: &mut String) {
    let span = chart.step.as_secs().saturating_mul(u64::try_from(chart.len).unwrap_or(u64::MAX));
    let beat = BEATS.into_iter().find(|beat| span.div_ceil(*beat) <= TIMES_MAX).unwrap_or(43_200);
    let beat_us = i64::try_from(beat.saturating_mul(1_000_000)).unwrap_or(i64::MAX);
    let first = chart.start.micros().saturating_add(beat_us.saturating_sub(1)).div_euclid(beat_us.max(1));
    let mut next = Time::from_micros(first.saturating_mul(beat_us));
    while let Some(part) = chart.part(next) {
        if (0.02..=0.96).contains(&part) {
            let _ = write!(
                out,
                "<text class=\"time\" x=\"{}%\" y=\"{}\" data-time=\"{next}\">{}</text>",
                at(part * 100.0),
                PLOT.saturating_add(15),
                clock(next)
            );
        }
        next = next.plus(Duration::from_secs(beat));
    }
}

/// Deploys and the like: lines from top to bottom that lead to what happened.
fn marks(chart: &Chart, out: &mut String) {
    for mark in &chart.marks {
        let Some(part) = chart.part(mark.at) else { continue };
        let x = at(part * 100.0);
        let anchor = if part > 0.9 { " end" } else { "" };
        let _ = write!(
            out,
            "<a class=\"mark {}\" href=\"{}\"><line x1=\"{x}%\" y1=\"0\" x2=\"{x}%\" y2=\"{PLOT}\"/><text class=\"mark-label{anchor}\" x=\"{x}%\" y=\"11\">{}</text><title>{} UTC: {}</title></a>",
            mark.tone.class(),
            text(&mark.href),
            text(&mark.label),
            clock(mark.at),
            text(&mark.about)
        );
    }
}

/// Hours and minutes of an instant, UTC.
fn clock(at: Time) -> String {
    at.to_string().get(11..16).unwrap_or_default().to_owned()
}

pub(super) fn sparkline(points: &[Option<f64>], what: &str) -> String {
    let scale = Scale::over(Unit::PerSecond, points.iter().flatten().copied());
    let sides: Vec<_> = points.iter().map(|point| point.map(|n| (0.0, scale.height(n)))).collect();
    let mut out = format!(
        "<svg class=\"spark\" viewBox=\"0 0 {} 100\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\">",
        points.len().max(1),
        text(what)
    );
    for gap in runs(points.len(), |step| points.get(step).copied().flatten().is_none()) {
        let _ = write!(out, "<rect class=\"gap\" x=\"{}\" y=\"0\" width=\"{}\" height=\"100\"/>", gap.start, gap.len());
    }
    path("area", "c-main", &boxes(&sides), &mut out);
    let _ = write!(out, "<path class=\"rule\" d=\"M0 100H{}\"/>", points.len().max(1));
    let _ = write!(out, "<title>{}</title></svg>", text(what));
    out
}
