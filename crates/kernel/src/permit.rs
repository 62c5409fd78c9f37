use std::collections::{BTreeMap, BTreeSet};

use api::{Access, Action};
use async_trait::async_trait;
use base::{Actor, PersonName, Problem, Result, Secret, ServiceName, TeamName, Time, TokenId};
use facts::{Fact as _, PersonChanged, TeamState, TokenChanged};
use tokio::sync::broadcast;

use crate::Platform;

pub use api::access::Role;

/// What a caller shows to prove who they are.
#[derive(Clone)]
pub enum Credential {
    /// Nothing.
    None,
    /// A token, by whatever transport: bearer, basic password.
    Token(Secret<String>),
    /// A session of the portal. It never comes over the network: the portal alone hands it over.
    Session {
        /// What the cookie holds.
        secret: Secret<String>,
        /// Whether a person is there; what a page does by itself keeps no session alive.
        attended: bool,
    },
}

impl Credential {
    /// The same credential, used by nobody who is there.
    #[must_use]
    pub fn unattended(self) -> Self {
        match self {
            Self::Session { secret, .. } => Self::Session { secret, attended: false },
            other => other,
        }
    }
}

/// Who a credential stands for, and the most that it may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// For records.
    pub actor: Actor,
    /// The account; `None` for nobody and for the platform itself.
    pub person: Option<PersonName>,
    /// Whether a platform admin.
    pub admin: bool,
    /// Role in each team.
    pub teams: BTreeMap<TeamName, Role>,
    /// What the credential allows at most.
    pub scopes: BTreeSet<Action>,
    /// The only services that the credential is for; empty: all.
    pub services: BTreeSet<ServiceName>,
    /// The credential.
    pub token: Option<TokenId>,
    /// When the credential ends if nobody uses it meanwhile; `None`: time does not end it.
    pub until: Option<Time>,
}

impl Identity {
    /// Nobody.
    pub const fn anonymous() -> Self {
        Self {
            actor: Actor::Anonymous,
            person: None,
            admin: false,
            teams: BTreeMap::new(),
            scopes: BTreeSet::new(),
            services: BTreeSet::new(),
            token: None,
            until: None,
        }
    }

    /// Whether both may do the same. How long their credentials live is no part of it.
    pub fn equals_in_rights(&self, other: &Self) -> bool {
        *self == Self { until: self.until, ..other.clone() }
    }
}

/// What a call is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Nothing in particular, or the installation.
    Installation,
    /// A team.
    Team(TeamName),
    /// A service and the team that owns it.
    Service(ServiceName, TeamName),
    /// A service that does not exist.
    NoService(ServiceName),
}

/// Proof that a call was allowed. Only [`authorize`] and `Permit::platform` make one, and a
/// handler cannot be called without one.
#[derive(Debug, Clone)]
pub struct Permit {
    identity: Identity,
    target: Target,
}

impl Permit {
    /// The permit of a part of the platform acting by itself: a reconciler or a job.
    pub(crate) fn platform(part: &str) -> Self {
        let identity = Identity { actor: Actor::platform(part), admin: true, ..Identity::anonymous() };
        Self { identity, target: Target::Installation }
    }

    /// Who was allowed.
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What for.
    pub const fn target(&self) -> &Target {
        &self.target
    }
}

/// Knows credentials and decides; implemented by the `access` capability.
#[async_trait]
pub trait Authority: Send + Sync {
    /// Who the credential stands for; `Unauthenticated` when it is unknown, expired or revoked.
    /// [`Credential::None`] is nobody.
    async fn identify(&self, platform: &Platform, credential: &Credential) -> Result<Identity>;

    /// Whether this identity may do this. Pure. What the caller may not even see is answered as not found.
    fn decide(&self, identity: &Identity, access: Access, target: &Target) -> Result<()>;

    /// Whether a list may show this identity something of this team and service.
    fn may_see(&self, identity: &Identity, team: &TeamName, service: Option<&ServiceName>) -> bool;

    /// Whether [`Authority::may_see`] is true for this identity whatever is asked about: a list needs
    /// not ask about each then.
    fn sees_all(&self, identity: &Identity) -> bool;
}

/// The one place where a request becomes allowed: identifies, finds the target in the path, decides.
pub async fn authorize(
    platform: &Platform,
    credential: &Credential,
    access: Access,
    params: &BTreeMap<String, String>,
) -> Result<Permit> {
    let authority = platform.authority();
    let identity = match access {
        Access::Public => Identity::anonymous(),
        _ => authority.identify(platform, credential).await?,
    };
    let target = target(platform, access, params).await?;
    authority.decide(&identity, access, &target)?;
    Ok(Permit { identity, target })
}

/// Notices that somebody's rights may be other ones than they were.
pub struct RightsWatch(broadcast::Receiver<store::Wake>);

impl RightsWatch {
    /// From now on.
    pub fn new(platform: &Platform) -> Self {
        Self(platform.store().wakes())
    }

    /// Waits for the next change. What time alone ends, the life of a token, is none.
    pub async fn changed(&mut self) {
        loop {
            match self.0.recv().await {
                Ok(wake) if !touches_rights(&wake.kind) => {}
                // Who lags behind may have missed one.
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => return,
                // The store is closing, and whoever waits here ends with it.
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}

/// Whether a wake-up of this kind may mean that somebody's rights are other ones now.
fn touches_rights(kind: &str) -> bool {
    let kinds = [TokenChanged::KIND, PersonChanged::KIND, TeamState::KIND, facts::ServiceState::KIND, store::ANYTHING];
    kinds.contains(&kind)
}

async fn target(platform: &Platform, access: Access, params: &BTreeMap<String, String>) -> Result<Target> {
    match access {
        Access::Public | Access::SignedIn | Access::Platform(_) => Ok(Target::Installation),
        Access::Team(_) => Ok(Target::Team(parameter(params, "team")?.parse()?)),
        Access::Service(_) | Access::ServiceOrNew(_) => {
            let text = parameter(params, "service").or_else(|_| parameter(params, "repository"))?;
            let service: ServiceName = text.strip_suffix(".git").unwrap_or(text).parse()?;
            let mut read = platform.store().read().await?;
            let state: Option<facts::ServiceState> = crate::ctx::latest(&mut read, service.as_str()).await?;
            Ok(match state {
                Some(state) => Target::Service(service, state.team),
                None => Target::NoService(service),
            })
        }
    }
}

fn parameter<'a>(params: &'a BTreeMap<String, String>, name: &str) -> Result<&'a str> {
    params
        .get(name)
        .map(String::as_str)
        .ok_or_else(|| Problem::internal("path-without-subject", format!("the path has no `{name}`")))
}
