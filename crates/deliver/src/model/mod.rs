//! Values of this subject.

mod build;
mod landing;
mod release;
mod rollout;

pub(crate) use build::{Build, MarkedStep, Marker, NewStage, Source, Stage, Submission, build_word, marker_line};
pub(crate) use landing::Landing;
pub(crate) use release::{Artifact, Release, Spec, TASK};
pub(crate) use rollout::{
    Cause, Current, Place, Rollout, RolloutStep, Running, Stopped, api_state, state_word, word_state,
};

/// The key of a source's archive among the objects.
pub(crate) fn source_key(source: base::SourceId) -> String {
    format!("{SOURCES}{source}.tar")
}

/// The source that a key is of.
pub(crate) fn source_of(key: &str) -> Option<base::SourceId> {
    key.strip_prefix(SOURCES)?.strip_suffix(".tar")?.parse().ok()
}

/// Where all sources are.
pub(crate) const SOURCES: &str = "sources/";

/// The key of the log of a build that has ended.
pub(crate) fn log_key(build: base::BuildId) -> String {
    format!("logs/builds/{build}")
}

/// The key of a blob of an artifact (OCI image-layout: `blobs/<algorithm>/<hex>`).
pub(crate) fn blob_key(hex: &str) -> String {
    format!("{BLOBS}{hex}")
}

/// Where all blobs are.
pub(crate) const BLOBS: &str = "oci/blobs/sha256/";

/// Text of others as one short line without control characters.
pub(crate) fn one_line(text: &str, chars_max: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    let mut out: String = line.chars().take(chars_max).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if line.chars().nth(chars_max).is_some() {
        out.push('…');
    }
    out
}
