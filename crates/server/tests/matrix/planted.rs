//! Each check, switched off by itself, has to show in the matrix.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use access::Gatekeeper;
use api::{ACTIONS, Access};
use async_trait::async_trait;
use base::{Actor, Kind, Problem, Result, ServiceName, TeamName};
use kernel::{Authority, Credential, Identity, Platform, Role, Target};
use tokio::sync::Mutex;

use crate::cast::Cast;
use crate::house::House;

/// One check that is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    SaysYesToAll,
    SaysYesToWhoeverIsSignedIn,
    RemembersCredentials,
    TakesUnknownTokens,
    ForgetsScopes,
    ForgetsServicesOfTokens,
    EverybodyIsAdmin,
    NobodyIsAdmin,
    ViewersDevelop,
    DevelopersOwn,
    OwnersView,
    EverybodyIsInEveryTeam,
    AsksAboutNoTeam,
    AsksAboutNoService,
    AsksAboutNoInstallation,
    TakesEveryServiceForANewOne,
    TellsThatHiddenThingsExist,
    HidesWhatIsForbidden,
    HidesThatNobodyIsSignedIn,
    SessionsForgetTheirLimits,
    SessionsOutliveTheirEnd,
}

const FAULTS: [Fault; 21] = [
    Fault::SaysYesToAll,
    Fault::SaysYesToWhoeverIsSignedIn,
    Fault::RemembersCredentials,
    Fault::TakesUnknownTokens,
    Fault::ForgetsScopes,
    Fault::ForgetsServicesOfTokens,
    Fault::EverybodyIsAdmin,
    Fault::NobodyIsAdmin,
    Fault::ViewersDevelop,
    Fault::DevelopersOwn,
    Fault::OwnersView,
    Fault::EverybodyIsInEveryTeam,
    Fault::AsksAboutNoTeam,
    Fault::AsksAboutNoService,
    Fault::AsksAboutNoInstallation,
    Fault::TakesEveryServiceForANewOne,
    Fault::TellsThatHiddenThingsExist,
    Fault::HidesWhatIsForbidden,
    Fault::HidesThatNobodyIsSignedIn,
    Fault::SessionsForgetTheirLimits,
    Fault::SessionsOutliveTheirEnd,
];

/// The real gatekeeper without one of its checks.
struct Without {
    planted: Fault,
    /// Whether it is missing by now.
    on: AtomicBool,
    remembered: Mutex<BTreeMap<String, Identity>>,
}

impl Without {
    fn fault(&self) -> Option<Fault> {
        self.on.load(Ordering::SeqCst).then_some(self.planted)
    }
}

#[async_trait]
impl Authority for Without {
    async fn identify(&self, platform: &Platform, credential: &Credential) -> Result<Identity> {
        let known = Gatekeeper.identify(platform, credential).await;
        let (Credential::Token(token) | Credential::Session { secret: token, .. }) = credential else { return known };
        let is_session = matches!(credential, Credential::Session { .. });
        let mut remembered = self.remembered.lock().await;
        if let Ok(identity) = &known {
            remembered.insert(token.expose().clone(), identity.clone());
        }
        match (self.fault(), known) {
            (Some(Fault::RemembersCredentials), known) => match remembered.get(token.expose()) {
                Some(identity) => Ok(identity.clone()),
                None => known,
            },
            (Some(Fault::TakesUnknownTokens), Err(_)) => {
                let eve: base::PersonName = "eve".parse()?;
                Ok(Identity { actor: Actor::Person(eve.clone()), person: Some(eve), ..Identity::anonymous() })
            }
            (Some(Fault::SessionsOutliveTheirEnd), Err(problem)) if is_session => {
                remembered.get(token.expose()).cloned().ok_or(problem)
            }
            (Some(Fault::SessionsForgetTheirLimits), known) if is_session => known.map(|identity| Identity {
                scopes: ACTIONS.into_iter().collect(),
                services: std::collections::BTreeSet::new(),
                ..identity
            }),
            (Some(fault), known) => known.map(|identity| altered(fault, identity)),
            (None, known) => known,
        }
    }

    fn decide(&self, identity: &Identity, access: Access, target: &Target) -> Result<()> {
        let Some(fault) = self.fault() else { return Gatekeeper.decide(identity, access, target) };
        let (access, target) = match (fault, access, target) {
            (Fault::SaysYesToAll, ..) => return Ok(()),
            (Fault::SaysYesToWhoeverIsSignedIn, ..) if identity.person.is_some() => return Ok(()),
            (Fault::AsksAboutNoTeam, Access::Team(_), _)
            | (Fault::AsksAboutNoService, Access::Service(_) | Access::ServiceOrNew(_), _)
            | (Fault::AsksAboutNoInstallation, Access::Platform(_), _) => (Access::SignedIn, target.clone()),
            (Fault::TakesEveryServiceForANewOne, Access::ServiceOrNew(_), Target::Service(service, _)) => {
                (access, Target::NoService(service.clone()))
            }
            _ => (access, target.clone()),
        };
        let decided = Gatekeeper.decide(identity, access, &target);
        decided.map_err(|problem| match (fault, problem.kind) {
            (Fault::TellsThatHiddenThingsExist, Kind::NotFound) => Problem::forbidden("role", "not yours"),
            (Fault::HidesWhatIsForbidden, Kind::Forbidden)
            | (Fault::HidesThatNobodyIsSignedIn, Kind::Unauthenticated) => {
                Problem::not_found("service-not-found", "nothing here")
            }
            _ => problem,
        })
    }

    fn may_see(&self, identity: &Identity, team: &TeamName, service: Option<&ServiceName>) -> bool {
        Gatekeeper.may_see(identity, team, service)
    }

    fn sees_all(&self, identity: &Identity) -> bool {
        Gatekeeper.sees_all(identity)
    }
}

fn altered(fault: Fault, mut identity: Identity) -> Identity {
    let raise = |from: Role, to: Role, identity: &mut Identity| {
        identity.teams.values_mut().filter(|role| **role == from).for_each(|role| *role = to);
    };
    match fault {
        Fault::ForgetsScopes => identity.scopes = ACTIONS.into_iter().collect(),
        Fault::ForgetsServicesOfTokens => identity.services.clear(),
        Fault::EverybodyIsAdmin => identity.admin = true,
        Fault::NobodyIsAdmin => identity.admin = false,
        Fault::ViewersDevelop => raise(Role::Viewer, Role::Developer, &mut identity),
        Fault::DevelopersOwn => raise(Role::Developer, Role::Owner, &mut identity),
        Fault::OwnersView => raise(Role::Owner, Role::Viewer, &mut identity),
        Fault::EverybodyIsInEveryTeam => {
            identity.teams.entry("pay".parse().expect("a name")).or_insert(Role::Viewer);
        }
        _ => {}
    }
    identity
}

const fn transports(fault: Fault) -> &'static [&'static str] {
    match fault {
        Fault::SessionsForgetTheirLimits | Fault::SessionsOutliveTheirEnd => &["session"],
        _ => &["bearer"],
    }
}

/// The cast is made while everything is in order; then the check is gone.
#[tokio::test]
async fn no_check_can_be_missing_unnoticed() {
    let mut unnoticed = Vec::new();
    for fault in FAULTS {
        let without = Arc::new(Without { planted: fault, on: AtomicBool::new(false), remembered: Mutex::default() });
        let house = House::new(Some(Arc::clone(&without) as Arc<dyn Authority>)).await;
        let cast = Cast::of(&house).await;
        without.on.store(true, Ordering::SeqCst);
        let (cells, wrong) = crate::mismatches(&house, &cast, transports(fault)).await;
        println!("without a check ({fault:?}): {} of {cells} cells differ", wrong.len());
        if wrong.is_empty() {
            unnoticed.push(fault);
        }
    }
    assert!(unnoticed.is_empty(), "these went unnoticed: {unnoticed:?}");
}
