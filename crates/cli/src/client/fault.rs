use api::ProblemBody;
use base::{Kind, Problem};
use reqwest::{Response, Url};

use super::retry::retry_after;

/// Most of a foreign error page that is read, bytes.
const FAULT_BYTES_MAX: usize = 256 << 10;

/// The problem that an answer carries (RFC 9457), or what can be said of any other answer.
pub async fn problem_of(mut response: Response, server: &Url) -> Problem {
    let status = response.status().as_u16();
    let retry = retry_after(&response).and_then(|pause| u32::try_from(pause.as_secs()).ok());
    let mut bytes = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > FAULT_BYTES_MAX {
            break;
        }
    }
    let mut problem = match serde_json::from_slice::<ProblemBody>(&bytes) {
        Ok(body) => from_body(body),
        Err(_) => foreign(status, server),
    };
    problem.retry_after_s = problem.retry_after_s.or(retry);
    if problem.kind == Kind::Unauthenticated && problem.hint.is_none() {
        problem.hint = Some(format!("orlop login {}", shown(server)));
    }
    problem
}

/// A problem from its wire form. Of a fault of the platform, the request's name leads to its log.
pub fn from_body(body: ProblemBody) -> Problem {
    let instance = body.instance.clone();
    let mut problem = body.into_problem();
    if let (Kind::Internal, None, Some(instance)) = (problem.kind, &problem.hint, instance) {
        problem.hint = Some(format!("look for {instance} in the server's log"));
    }
    problem
}

fn foreign(status: u16, server: &Url) -> Problem {
    let server = shown(server);
    let kind = if (300..400).contains(&status) { Kind::Invalid } else { Kind::from_status(status) };
    Problem::new(kind, "foreign-answer", format!("{server} answered {status} in a form that Orlop does not use"))
        .hint(format!("see whether {server} is the address of an Orlop server: curl {server}/healthz"))
}

/// No answer came.
pub fn not_answered(error: &reqwest::Error, server: &Url) -> Problem {
    let server = shown(server);
    if error.is_connect() {
        return Problem::unavailable("server-not-reached", format!("tried {server}: {}", root(error)))
            .hint("start it with `orlop up`, or name another one: orlop --url URL …");
    }
    if error.is_timeout() {
        return Problem::timeout("server-too-slow", format!("tried {server}: no answer within the deadline"))
            .hint("orlop doctor");
    }
    Problem::unavailable("connection-lost", format!("the connection to {server} broke: {}", root(error)))
        .hint("run the command again")
}

/// An answer that is not what the contract says.
pub fn not_understood(url: &Url, error: &serde_json::Error) -> Problem {
    Problem::internal("reply-not-understood", format!("the reply of {} is not what was expected: {error}", url.path()))
        .hint("see whether both are of the same version: orlop --version; orlop doctor")
}

/// The address of a server without its path.
pub fn shown(server: &Url) -> String {
    server.origin().ascii_serialization()
}

/// The innermost cause, which is what says what went wrong.
fn root(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
