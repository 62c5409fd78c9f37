//! The HTTP face of the control plane: mounts the endpoint table, decides who may call once after
//! routing, keeps limits and deadlines, and turns every failure into a problem (RFC 9457).

#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

mod call;
mod credential;
mod doctor;
mod idempotency;
mod listen;
mod pages;
mod patience;
mod platform;
mod reply;
mod router;
mod still;

pub use axum::Router;
pub use doctor::Doctor;
pub use listen::{Options, Server};
pub use platform::endpoints as platform_endpoints;
pub use router::router;
