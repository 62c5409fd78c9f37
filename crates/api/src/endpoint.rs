use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{access, catalog, deliver, observe, platform, route, run};

/// One endpoint of the public API, as a type.
pub trait Endpoint: Send + Sync + 'static {
    /// OpenAPI operation id and key of the access matrix.
    const ID: &'static str;
    /// HTTP method.
    const METHOD: Method;
    /// Path template: `/v1/services/{service}`.
    const PATH: &'static str;
    /// Who may call it.
    const ACCESS: Access;
    /// How body and reply travel.
    const SHAPE: Shape;
    /// One line for documents and help.
    const SUMMARY: &'static str;
    /// Parameters in the path.
    type Path: Serialize + DeserializeOwned + ToSchema + Send + 'static;
    /// Parameters in the query.
    type Query: Serialize + DeserializeOwned + ToSchema + Send + 'static;
    /// The JSON body, or [`Nothing`].
    type Body: Serialize + DeserializeOwned + ToSchema + Send + 'static;
    /// The JSON reply, or one event of a stream.
    type Reply: Serialize + DeserializeOwned + ToSchema + Send + 'static;
}

/// HTTP methods in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// Reads.
    Get,
    /// Makes or starts.
    Post,
    /// Sets.
    Put,
    /// Changes a part.
    Patch,
    /// Removes.
    Delete,
}

impl Method {
    /// The word on the wire.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// Whether it may change something; such calls take an `Idempotency-Key`.
    pub const fn is_mutating(self) -> bool {
        !matches!(self, Self::Get)
    }
}

/// Who may call an endpoint. Decided once, after routing, before anything is read; the subject
/// comes from the path parameter `{service}`, `{team}` or `{repository}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Anybody.
    Public,
    /// Anybody with a valid credential; the handler shows only what the caller may see.
    SignedIn,
    /// Platform admins.
    Platform(Action),
    /// By role in the team of the path.
    Team(Action),
    /// By role in the team that owns the service of the path.
    Service(Action),
    /// As [`Access::Service`]; where no such service exists, whoever may make one in their only team.
    ServiceOrNew(Action),
}

/// What a role or a token's scope allows, from the weakest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// See services, releases, logs, names of settings.
    Read,
    /// Push, deploy, promote, roll back.
    Deploy,
    /// Scale and restart.
    Operate,
    /// Change settings and secrets.
    Configure,
    /// Change members and ownership, remove services.
    Manage,
    /// Everything about the installation: people, teams, audit.
    Admin,
}

impl Action {
    /// The word on the wire, in commands and on every page.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Deploy => "deploy",
            Self::Operate => "operate",
            Self::Configure => "configure",
            Self::Manage => "manage",
            Self::Admin => "admin",
        }
    }
}

/// All actions, from the weakest.
pub const ACTIONS: [Action; 6] =
    [Action::Read, Action::Deploy, Action::Operate, Action::Configure, Action::Manage, Action::Admin];

/// How body and reply travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// JSON in, JSON out.
    Json,
    /// Server-sent events out, each with a resumable id.
    Events,
    /// Raw bytes in (gzip-compressed tar), JSON out.
    Upload,
    /// Bytes in and out as another protocol says (git).
    Raw,
}

/// An empty body, query or path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// One row of the endpoint table.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// See [`Endpoint::ID`].
    pub id: &'static str,
    /// See [`Endpoint::METHOD`].
    pub method: Method,
    /// See [`Endpoint::PATH`].
    pub path: &'static str,
    /// See [`Endpoint::ACCESS`].
    pub access: Access,
    /// See [`Endpoint::SHAPE`].
    pub shape: Shape,
    /// See [`Endpoint::SUMMARY`].
    pub summary: &'static str,
    pub(crate) describe: fn(&mut crate::openapi::Describe),
}

impl Row {
    pub(crate) const fn of<E: Endpoint>() -> Self {
        Self {
            id: E::ID,
            method: E::METHOD,
            path: E::PATH,
            access: E::ACCESS,
            shape: E::SHAPE,
            summary: E::SUMMARY,
            describe: crate::openapi::describe::<E>,
        }
    }
}

/// Fills the path template of an endpoint; parameters are percent-encoded (RFC 3986 §2.1).
pub fn path_of<E: Endpoint>(path: &E::Path) -> String {
    let values = serde_json::to_value(path).unwrap_or_default();
    let mut out = String::new();
    for (i, part) in E::PATH.split(['{', '}']).enumerate() {
        if i % 2 == 0 {
            out.push_str(part);
        } else {
            let text = match values.get(part) {
                Some(serde_json::Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
                None => String::new(),
            };
            encode(&text, &mut out);
        }
    }
    out
}

fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~@+:".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

/// Declares endpoints and their rows.
macro_rules! endpoints {
    ($($(#[doc = $summary:literal])+ $name:ident = $id:literal: $method:ident $path:literal,
       $access:expr, $shape:ident { $($part:ident: $type:ty),* $(,)? })*) => {
        $(
            $(#[doc = $summary])+
            #[derive(Debug, Clone, Copy)]
            pub struct $name;

            impl $crate::Endpoint for $name {
                const ID: &'static str = $id;
                const METHOD: $crate::Method = $crate::Method::$method;
                const PATH: &'static str = $path;
                const ACCESS: $crate::Access = $access;
                const SHAPE: $crate::Shape = $crate::Shape::$shape;
                const SUMMARY: &'static str = concat!($($summary),+);
                $crate::endpoint::endpoint_types!($($part: $type),*);
            }
        )*

        pub(crate) const ROWS: &[$crate::Row] = &[$($crate::Row::of::<$name>()),*];
    };
}

/// Fills in [`Nothing`] for the parts that an endpoint does not name. Order: path, query, body, reply.
macro_rules! endpoint_types {
    ($(path: $p:ty)? $(, query: $q:ty)? $(, body: $b:ty)? $(, reply: $r:ty)?) => {
        $crate::endpoint::endpoint_types!(@one Path $($p)?);
        $crate::endpoint::endpoint_types!(@one Query $($q)?);
        $crate::endpoint::endpoint_types!(@one Body $($b)?);
        $crate::endpoint::endpoint_types!(@one Reply $($r)?);
    };
    (query: $q:ty $(, body: $b:ty)? $(, reply: $r:ty)?) => {
        $crate::endpoint::endpoint_types!(path: $crate::Nothing, query: $q $(, body: $b)? $(, reply: $r)?);
    };
    (body: $b:ty $(, reply: $r:ty)?) => {
        $crate::endpoint::endpoint_types!(path: $crate::Nothing, body: $b $(, reply: $r)?);
    };
    (reply: $r:ty) => {
        $crate::endpoint::endpoint_types!(path: $crate::Nothing, reply: $r);
    };
    (@one $name:ident) => { type $name = $crate::Nothing; };
    (@one $name:ident $type:ty) => { type $name = $type; };
}

pub(crate) use {endpoint_types, endpoints};

/// Every endpoint of the installation, by capability.
pub static TABLE: std::sync::LazyLock<Vec<Row>> = std::sync::LazyLock::new(|| {
    [access::ROWS, catalog::ROWS, deliver::ROWS, run::ROWS, route::ROWS, observe::ROWS, platform::ROWS].concat()
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_routes_are_unique() {
        let mut ids: Vec<_> = TABLE.iter().map(|r| r.id).collect();
        let mut routes: Vec<_> = TABLE.iter().map(|r| (r.method.word(), r.path)).collect();
        let n = TABLE.len();
        ids.sort_unstable();
        ids.dedup();
        routes.sort_unstable();
        routes.dedup();
        assert_eq!((ids.len(), routes.len()), (n, n));
    }

    #[test]
    fn access_rules_find_their_subject_in_the_path() {
        for row in TABLE.iter() {
            let wanted: &[&str] = match row.access {
                Access::Public | Access::SignedIn | Access::Platform(_) => continue,
                Access::Team(_) => &["{team}"],
                Access::Service(_) | Access::ServiceOrNew(_) => &["{service}", "{repository}"],
            };
            assert!(wanted.iter().any(|w| row.path.contains(w)), "{}: {} lacks its subject", row.id, row.path);
        }
    }

    #[test]
    fn reading_never_mutates_and_nothing_mutating_is_public_but_signing_in() {
        for row in TABLE.iter().filter(|r| r.method.is_mutating() && r.access == Access::Public) {
            assert_eq!(row.id, "signIn");
        }
    }

    #[test]
    fn paths_are_encoded() {
        #[derive(Serialize, Deserialize, ToSchema)]
        struct P {
            service: String,
        }
        struct E;
        impl Endpoint for E {
            const ID: &'static str = "e";
            const METHOD: Method = Method::Get;
            const PATH: &'static str = "/a/{service}/b";
            const ACCESS: Access = Access::Public;
            const SHAPE: Shape = Shape::Json;
            const SUMMARY: &'static str = "";
            type Path = P;
            type Query = Nothing;
            type Body = Nothing;
            type Reply = Nothing;
        }
        assert_eq!(path_of::<E>(&P { service: "x/../ü".into() }), "/a/x%2F..%2F%C3%BC/b");
    }
}
