//! HTTP/1.1 to instances: one request at a time on a connection that is read and written in place,
//! by the task that waits for the answer. What comes back is framed by RFC 9112 alone, as strictly
//! as the gate frames what clients send: an answer that is not valid is never passed on.

mod conn;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzz;
mod head;
mod reply;
mod upload;

pub(crate) use conn::{Conn, Lost, Patience};
pub(crate) use reply::Reply;
