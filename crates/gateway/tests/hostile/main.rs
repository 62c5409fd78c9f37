//! Hostile input: raw requests and answers, floods, slow clients and broken snapshots against the
//! real gateway, each with a checker that is itself tried on planted bugs.

mod answer;
mod answers;
mod backend;
mod case;
mod check;
mod evidence;
mod http2;
mod mutate;
mod planted;
mod process;
mod requests;
mod slow;
mod snapshots;
#[path = "../it/support.rs"]
#[allow(dead_code, reason = "the other test target uses the rest")]
mod support;

use case::show;
