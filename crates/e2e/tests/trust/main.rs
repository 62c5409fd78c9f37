//! What people entrust to the platform: their secrets stay where they were put, and their words are
//! never taken for commands.

mod fields;
#[path = "../support/http.rs"]
mod http;
mod injection;
mod needles;
mod places;
mod record;
mod secrets;
mod strings;
#[path = "../support/mod.rs"]
mod support;
mod traced;
