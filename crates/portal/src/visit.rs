use api::Nothing;
use api::access::{Me, Whoami};
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse as _, Redirect, Response};
use base::{Digest, Kind, Result, Time};
use http::request::Parts;
use http::{HeaderMap, Uri};

use crate::client::{Api, Session};
use crate::fault::Fault;
use crate::shell::{Section, Shell};
use crate::site::Site;
use crate::{cookie, links};

/// A header of requests that a page makes by itself.
pub(crate) const UNATTENDED: &str = "orlop-live";

/// A signed-in person who asks for a page.
pub(crate) struct Visit {
    /// The API with their session.
    pub api: Api,
    /// Who they are.
    pub me: Me,
    /// When they ask.
    pub now: Time,
    /// Proves that a form came from a page of this session.
    pub form_token: String,
    site: Site,
    headers: HeaderMap,
    path: String,
}

impl Visit {
    pub(crate) async fn of(site: &Site, headers: &HeaderMap, uri: &Uri) -> Result<Self> {
        let secret = cookie::session(headers)
            .ok_or_else(|| base::Problem::unauthenticated("no-session", "nobody is signed in here"))?;
        let form_token = form_token(secret.expose());
        let session = Session { secret, attended: !headers.contains_key(UNATTENDED) };
        let api = Api::new(site.transport(), Some(session));
        let me = api.get::<Whoami>(&Nothing {}).await?;
        let path = uri.path_and_query().map_or("/", |p| p.as_str()).to_owned();
        Ok(Self { api, me, now: site.now(), form_token, site: site.clone(), headers: headers.clone(), path })
    }

    /// The surroundings of a page.
    pub(crate) fn shell(&self, section: Section, title: impl Into<String>) -> Shell {
        let mut shell = Shell::bare(&self.site, &self.headers, title);
        shell.section = section;
        shell.path.clone_from(&self.path);
        shell.form_token.clone_from(&self.form_token);
        shell.me = Some(self.me.clone());
        shell
    }

    /// Whether they may do what is for platform admins.
    pub(crate) fn is_admin(&self) -> bool {
        is_admin(&self.me)
    }

    pub(crate) const fn headers(&self) -> &HeaderMap {
        &self.headers
    }
}

/// Whether a person with this credential may do what is for platform admins: the menu shows it to them alone.
pub(crate) fn is_admin(me: &Me) -> bool {
    me.admin && me.token.services.is_empty() && me.token.scopes.contains(&api::Action::Admin)
}

/// A text that only the pages of one session hold. It tells nothing about the secret it is made of.
fn form_token(secret: &str) -> String {
    Digest::of(format!("form of {secret}").as_bytes()).to_string()
}

impl FromRequestParts<Site> for Visit {
    type Rejection = Response;

    /// Whoever is not signed in is led to the page where they can be, and back.
    async fn from_request_parts(parts: &mut Parts, site: &Site) -> Result<Self, Response> {
        match Self::of(site, &parts.headers, &parts.uri).await {
            Ok(visit) => Ok(visit),
            Err(problem) if problem.kind != Kind::Unauthenticated => Err(Fault(problem).into_response()),
            Err(problem) if !parts.method.is_safe() || parts.headers.contains_key(UNATTENDED) => {
                Err(Fault(problem.hint("sign in again: /sign-in")).into_response())
            }
            Err(_) => {
                let wanted = parts.uri.path_and_query().map_or("/", |p| p.as_str());
                Err(Redirect::to(&links::sign_in(wanted)).into_response())
            }
        }
    }
}
