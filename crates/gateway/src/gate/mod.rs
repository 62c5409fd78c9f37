//! The strict gate in front of HTTP/1: every byte of a connection passes a framer that knows where
//! a request begins and ends by RFC 9112 alone, without any leniency. hyper sees only what passed.
//! What is refused becomes one synthetic request at its place in the pipeline, so that the answer
//! is a proper error page, the log has its line, and nothing behind it is ever read as a request.

mod chunk;
mod field;
mod framer;
mod head;
mod io;
mod line;
mod refusal;
mod shared;

#[cfg(feature = "fuzzing")]
pub(crate) use chunk::Chunked;
pub(crate) use chunk::{Chunks, Piece};
pub(crate) use field::{is_disguised, is_token, split as split_field};
pub(crate) use framer::{Framer, Stop};
pub(crate) use head::HeadLimits;
pub(crate) use io::{Guard, Protocol, Timeouts};
pub(crate) use line::{check_method, check_target};
pub(crate) use refusal::{REFUSED_METHOD, Refusal};
pub(crate) use shared::{Shared, Upgrade};
