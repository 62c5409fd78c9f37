//! The gateway as a whole: real sockets on loopback, real requests, small real instances.

mod admin;
mod closing;
mod drain;
mod handed;
mod instances;
mod protocols;
mod routing;
mod support;
mod timeouts;
