use base::{Kind, Problem};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A problem on the wire (RFC 9457 §3, media type `application/problem+json`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProblemBody {
    /// URI of the page that explains the code.
    #[serde(rename = "type")]
    pub type_uri: String,
    /// The kind of problem in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What was tried and what was found.
    pub detail: String,
    /// The stable word for programs.
    pub code: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Where in the input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Which request; also in the server's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
}

impl ProblemBody {
    /// The wire form of a problem. What is internal stays internal: its message is not shown.
    pub fn of(problem: &Problem, instance: Option<String>) -> Self {
        Self {
            type_uri: format!("/help/errors/{}", problem.code),
            title: title(problem.kind).to_owned(),
            status: problem.kind.status(),
            detail: problem.message.clone(),
            code: problem.code.clone().into_owned(),
            hint: problem.hint.clone(),
            place: problem.place.clone(),
            instance,
        }
    }

    /// Back from the wire.
    pub fn into_problem(self) -> Problem {
        let mut problem = Problem::new(Kind::from_status(self.status), self.code, self.detail);
        problem.hint = self.hint;
        problem.place = self.place;
        problem
    }
}

/// A kind in words.
fn title(kind: Kind) -> &'static str {
    match kind {
        Kind::Invalid => "The request cannot be understood",
        Kind::Unauthenticated => "No valid credential",
        Kind::Forbidden => "Not allowed",
        Kind::NotFound => "Not found",
        Kind::Conflict => "Not possible in the present state",
        Kind::Stale => "Changed by somebody else in the meantime",
        Kind::TooLarge => "Too large",
        Kind::Unprocessable => "A value is not acceptable",
        Kind::TooMany => "Too many",
        Kind::Internal => "A fault of the platform",
        Kind::Unavailable => "Not possible at the moment",
        Kind::Timeout => "Took too long",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_survives_the_wire() {
        let p = Problem::not_found("service-not-found", "no service `x`").hint("orlop service list").at("path");
        let json = serde_json::to_string(&ProblemBody::of(&p, None)).unwrap();
        assert_eq!(serde_json::from_str::<ProblemBody>(&json).unwrap().into_problem(), p);
    }
}
