//! The API of a real installation, from outside.

mod access;
mod foreign;
mod problems;
mod repeats;
mod revoked;
mod schemathesis;
mod streams;
#[path = "../support/mod.rs"]
mod support;

#[path = "../support/http.rs"]
mod http;
