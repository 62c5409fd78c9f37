//! The reader's own credentials: tokens for programs, sessions of browsers.

use api::access::{IssueToken, ListTokens, NewToken, RevokeToken, Token, TokenKind, TokenPath};
use api::{ACTIONS, Nothing, PageQuery};
use askama::Template;
use axum::Router;
use axum::extract::Path;
use axum::routing::{get, post};
use base::{Problem, Time, TokenId};
use serde::Deserialize;

use super::Outcome;

use crate::client::Also;
use crate::components::{Text, When};
use crate::form::{Done, Filled};
use crate::shell::{Section, Shell, html};
use crate::site::Site;
use crate::visit::Visit;

pub(crate) fn routes() -> Router<Site> {
    Router::new().route("/tokens", get(list).post(issue)).route("/tokens/{token}/revoke", post(revoke))
}

struct TokenView {
    id: String,
    name: Text,
    scopes: String,
    services: String,
    created: When,
    ends: Option<When>,
    over: bool,
    used: Option<When>,
    this: bool,
}

impl TokenView {
    fn of(token: Token, now: Time, this: TokenId) -> Self {
        let ends = token.expires.into_iter().chain(token.lapses).min();
        Self {
            this: token.token == this,
            id: token.token.to_string(),
            name: Text(token.name),
            scopes: token.scopes.iter().map(|scope| scope.word()).collect::<Vec<_>>().join(", "),
            services: token.services.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            created: When::new(token.created, now),
            over: ends.is_some_and(|at| at <= now),
            ends: ends.map(|at| When::new(at, now)),
            used: token.used.map(|at| When::new(at, now)),
        }
    }
}

#[derive(Template)]
#[template(path = "tokens.html")]
struct TokensPage {
    shell: Shell,
    tokens: Vec<TokenView>,
    sessions: Vec<TokenView>,
    scopes: Vec<(&'static str, bool)>,
}

async fn list(visit: Visit) -> Outcome {
    let page = visit.api.ask::<ListTokens>(&Nothing {}, &PageQuery { limit: Some(500), after: None }).await?;
    let this = visit.me.token.token;
    let (sessions, tokens): (Vec<Token>, Vec<Token>) =
        page.items.into_iter().partition(|token| token.kind == TokenKind::Session);
    let views = |all: Vec<Token>| all.into_iter().map(|one| TokenView::of(one, visit.now, this)).collect();
    let given = |action: &api::Action| visit.me.token.scopes.contains(action);
    // Only what this session has itself can be handed on.
    let scopes = ACTIONS.iter().filter(|action| given(action));
    let scopes = scopes.map(|a| (a.word(), matches!(a, api::Action::Read | api::Action::Deploy))).collect();
    let (tokens, sessions) = (views(tokens), views(sessions));
    html(&TokensPage { shell: visit.shell(Section::Tokens, "Tokens and sessions"), tokens, sessions, scopes })
}

#[derive(Template)]
#[template(path = "token.html")]
struct IssuedPage {
    shell: Shell,
    name: Text,
    secret: String,
}

/// The token is shown once, on the answer itself: it is in no address and no cookie.
async fn issue(filled: Filled<Vec<(String, String)>>) -> Outcome {
    let Filled { visit, key, fields } = filled;
    let value = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.trim().to_owned());
    let scopes = ACTIONS.into_iter().filter(|action| fields.iter().any(|(f, v)| f == "scope" && v == action.word()));
    let lifetime = match value("lifetime").filter(|text| !text.is_empty()) {
        Some(text) => Some(text.parse().map_err(|_| {
            Problem::unprocessable("bad-lifetime", "the lifetime is not a span").hint("for example `90d`")
        })?),
        None => None,
    };
    let services = value("services").unwrap_or_default();
    let services =
        services.split([',', ' ']).filter(|s| !s.is_empty()).map(str::parse).collect::<std::result::Result<_, _>>();
    let body = NewToken {
        name: value("name").unwrap_or_default(),
        scopes: scopes.collect(),
        services: services.map_err(Problem::from)?,
        lifetime,
    };
    let issued = visit
        .api
        .call::<IssueToken>(&Nothing {}, &Nothing {}, &body, Also { key: Some(&key), ..Also::default() })
        .await?
        .value;
    let shell = visit.shell(Section::Tokens, "A new token").crumb("Tokens", "/tokens");
    html(&IssuedPage { shell, name: Text(issued.token.name), secret: issued.secret })
}

#[derive(Deserialize)]
struct Nothings {}

async fn revoke(Path(path): Path<TokenPath>, filled: Filled<Nothings>) -> Outcome {
    let Filled { visit, key, fields: Nothings {} } = filled;
    visit.api.call::<RevokeToken>(&path, &Nothing {}, &Nothing {}, Also { key: Some(&key), ..Also::default() }).await?;
    Ok(Done::to("/tokens", "Revoked; it stopped working at once.").see(visit.headers()))
}
