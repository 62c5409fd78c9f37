//! The life of an installation on its machine: begun, taken over, killed, ended.

mod backups;
mod databases;
mod deaths;
mod doors;
mod load;
mod network;
mod ordinary;
mod removal;
mod stale;
mod starts;
#[path = "../support/mod.rs"]
mod support;

#[path = "../support/http.rs"]
mod http;
