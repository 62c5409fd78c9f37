//! The portal: pages for people. It is a client of the public API like any other, called in this
//! process with the person's own session; it has no other source of data and no rights of its own.

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

mod assets;
mod client;
mod components;
mod cookie;
mod fault;
mod form;
mod graph;
mod guard;
mod help;
mod links;
mod live;
mod pages;
mod rights;
mod shell;
mod site;
mod spans;
mod sse;
mod visit;

pub use client::{Session, Transport};
pub use site::{Options, router};
