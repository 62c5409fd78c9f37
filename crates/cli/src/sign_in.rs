//! Which server, and with which credential.

use std::fs;
use std::path::PathBuf;

use api::Nothing;
use api::access::{IssuedToken, Me, SignIn, SignInCode, Whoami};
use base::{Problem, Result, Secret, Time};
use reqwest::Url;
use serde::Deserialize;

use crate::Host;
use crate::client::{Client, is_local};
use crate::context::Ctx;
use crate::credentials::{Credential, Credentials, data_folder};
use crate::exit::usage;

/// The client that a command uses. The environment and the flag win over what is remembered; on
/// the machine where `orlop up` runs, its one-time code signs in without a question, once.
pub async fn connect(ctx: &Ctx<'_>) -> Result<Client> {
    let host = ctx.host;
    let named = named_server(ctx)?;
    if let Some(token) = host.variable("ORLOP_TOKEN") {
        let url = match named {
            Some(url) => url,
            None => known_server(host)?.ok_or_else(no_server)?,
        };
        return Client::new(&url, Some(Secret::new(token)), host);
    }
    let mut known = Credentials::load(host)?;
    let local = LocalSignIn::find(host);
    let url = match (named, known.current.as_deref(), &local) {
        (Some(url), _, _) => url,
        // A platform that was started anew here is meant, not the one that was here before.
        (None, Some(current), Some(local)) if is_local(&server(current)?) => local.url.clone(),
        (None, Some(current), _) => server(current)?,
        (None, None, Some(local)) => local.url.clone(),
        (None, None, None) => return Err(no_server()),
    };
    if let Some(credential) = known.servers.remove(&address(&url)) {
        return Client::new(&url, Some(Secret::new(credential.token)), host);
    }
    match local.filter(|local| address(&local.url) == address(&url)) {
        Some(local) => {
            let me = with_local(ctx, &local).await?;
            ctx.out.say(&format!("Signed in to {} as {me}: `orlop up` left a one-time code for you.", address(&url)));
            let token = Credentials::load(host)?.servers.remove(&address(&url)).map(|c| Secret::new(c.token));
            Client::new(&url, token, host)
        }
        None => Err(Problem::unauthenticated("not-signed-in", format!("nobody is signed in to {}", address(&url)))
            .hint(format!("orlop login {}", address(&url)))),
    }
}

/// The server that `--url` or `ORLOP_URL` names.
pub fn named_server(ctx: &Ctx<'_>) -> Result<Option<Url>> {
    let named = ctx.globals.url.clone().or_else(|| ctx.host.variable("ORLOP_URL"));
    named.as_deref().map(server).transpose()
}

/// The server signed in to last, else the one that runs here.
pub fn known_server(host: &dyn Host) -> Result<Option<Url>> {
    match Credentials::load(host)?.current {
        Some(current) => server(&current).map(Some),
        None => Ok(LocalSignIn::find(host).map(|local| local.url)),
    }
}

pub fn no_server() -> Problem {
    Problem::unauthenticated("no-server", "no server is known here")
        .hint("start one with `orlop up`, or sign in to one: orlop login https://orlop.example.com")
}

/// Reads a server's address: a scheme and a host, nothing secret in it.
pub fn server(text: &str) -> Result<Url> {
    let bad = |why: &str| {
        usage(format!("`{}` is not the address of a server: {why}", crate::text::clean(text)))
            .hint("write it as https://orlop.example.com or http://127.0.0.1:7000")
    };
    let url = Url::parse(text).map_err(|e| bad(&e.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(bad("it does not begin with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(usage("the address of a server must not carry a name or a password").hint("orlop login URL"));
    }
    Ok(url)
}

/// The form under which a server is remembered.
pub fn address(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// Trades a one-time code for a token and remembers it.
pub async fn with_code(ctx: &Ctx<'_>, url: &Url, code: String) -> Result<IssuedToken> {
    let client = Client::new(url, None, ctx.host)?;
    let name = Some(format!("command line on {}", ctx.host.machine()));
    let issued = client.send::<SignIn>(&Nothing {}, &SignInCode { code, name, session: false }).await?;
    let (person, expires) = (issued.token.person.to_string(), issued.token.expires);
    remember(ctx, url, Credential { token: issued.secret.clone(), person, expires })?;
    Ok(issued)
}

/// Sees whether a token works and remembers it.
pub async fn with_token(ctx: &Ctx<'_>, url: &Url, token: String) -> Result<Me> {
    let client = Client::new(url, Some(Secret::new(token.clone())), ctx.host)?;
    let me = client.get::<Whoami>(&Nothing {}).await?;
    remember(ctx, url, Credential { token, person: me.person.to_string(), expires: me.token.expires })?;
    Ok(me)
}

/// Uses the code that `orlop up` left, which works once.
pub async fn with_local(ctx: &Ctx<'_>, local: &LocalSignIn) -> Result<String> {
    let issued = with_code(ctx, &local.url, local.code.clone()).await?;
    // A used code is of no use to anybody; that the file stays where it cannot be removed is harmless.
    let _ = fs::remove_file(&local.path);
    Ok(issued.token.person.to_string())
}

fn remember(ctx: &Ctx<'_>, url: &Url, credential: Credential) -> Result<()> {
    let mut known = Credentials::load(ctx.host)?;
    known.current = Some(address(url));
    known.servers.insert(address(url), credential);
    known.save(ctx.host)
}

/// The one-time code that `orlop up` leaves for the person who started it.
pub struct LocalSignIn {
    pub url: Url,
    code: String,
    path: PathBuf,
}

impl LocalSignIn {
    /// The code, if there is one that still works. Only a server on this machine can leave one.
    pub fn find(host: &dyn Host) -> Option<Self> {
        #[derive(Deserialize)]
        struct File {
            url: String,
            code: String,
            expires: Time,
        }
        let path = data_folder(host).ok()?.join("run/sign-in.json");
        let file: File = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
        let url = server(&file.url).ok()?;
        (file.expires > host.now() && is_local(&url)).then_some(Self { url, code: file.code, path })
    }
}
