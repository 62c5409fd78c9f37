use api::{Access, Action};
use base::{Problem, Result, ServiceName, TeamName};

use crate::{Identity, Target};

/// Whether this identity may do this. Everything that is not allowed here is refused; what the
/// caller may not see is answered as if it did not exist.
pub(crate) fn decide(identity: &Identity, access: Access, target: &Target) -> Result<()> {
    if access == Access::Public {
        return Ok(());
    }
    if identity.person.is_none() {
        return Err(Problem::unauthenticated("no-credential", "this needs a token")
            .hint("`orlop login`, or send `Authorization: Bearer TOKEN`"));
    }
    match (access, target) {
        (Access::Public | Access::SignedIn, _) => Ok(()),
        (Access::Platform(action), _) => platform(identity, action),
        (Access::Team(action), Target::Team(team)) => team_of(identity, team, action),
        (Access::Service(action) | Access::ServiceOrNew(action), Target::Service(service, team)) => {
            service_of(identity, service, team, action)
        }
        (Access::ServiceOrNew(action), Target::NoService(service)) => new_service(identity, service, action),
        (Access::Service(_), Target::NoService(service)) => Err(no_service(service)),
        _ => Err(Problem::internal("target-mismatch", "the access rule and its target do not fit")),
    }
}

/// Whether a list may show something of this team and service.
pub(crate) fn may_see(identity: &Identity, team: &TeamName, service: Option<&ServiceName>) -> bool {
    let in_scope = match service {
        Some(service) => names(identity, service),
        None => true,
    };
    in_scope && in_team(identity, team, Action::Read)
}

/// Whether [`may_see`] is true whatever is asked about.
pub(crate) fn sees_all(identity: &Identity) -> bool {
    platform(identity, Action::Read).is_ok()
}

fn platform(identity: &Identity, action: Action) -> Result<()> {
    if identity.admin && identity.scopes.contains(&action) && identity.services.is_empty() {
        return Ok(());
    }
    if identity.admin {
        return Err(scope(action));
    }
    Err(Problem::forbidden("not-admin", "this is for platform admins").hint("ask a platform admin to do it"))
}

fn team_of(identity: &Identity, team: &TeamName, action: Action) -> Result<()> {
    if !in_team(identity, team, Action::Read) {
        return Err(Problem::not_found("team-not-found", format!("there is no team `{team}` that you may see"))
            .hint("`orlop team list` shows yours"));
    }
    if !identity.services.is_empty() && action != Action::Read {
        return Err(
            Problem::forbidden("token-services", "this token is for some services only").hint("use another token")
        );
    }
    need(identity, team, action)
}

fn service_of(identity: &Identity, service: &ServiceName, team: &TeamName, action: Action) -> Result<()> {
    if !names(identity, service) || !in_team(identity, team, Action::Read) {
        return Err(no_service(service));
    }
    need(identity, team, action)
}

/// A service that does not exist may be made by pushing to it, when it is clear whose it will be.
fn new_service(identity: &Identity, service: &ServiceName, action: Action) -> Result<()> {
    let mut able = identity.teams.keys().filter(|team| in_team(identity, team, action));
    match (able.next(), able.next()) {
        (Some(_), None) if names(identity, service) => Ok(()),
        (Some(_), Some(_)) => Err(no_service(service)
            .hint(format!("make it in one of your teams: `orlop service create {service} --team TEAM`"))),
        _ => Err(no_service(service)),
    }
}

fn need(identity: &Identity, team: &TeamName, action: Action) -> Result<()> {
    if in_team(identity, team, action) {
        return Ok(());
    }
    let role = identity.teams.get(team);
    if identity.admin || role.is_some_and(|role| role.allows(action)) {
        return Err(scope(action));
    }
    let role = role.map_or("none", |role| role.word());
    Err(Problem::forbidden(
        "role",
        format!("your role in team `{team}` is {role}, which does not allow `{}`", action.word()),
    )
    .hint(format!("ask an owner of `{team}` for a higher role: `orlop team member set {team} YOU --role developer`")))
}

/// Whether role and scope together allow this in this team.
fn in_team(identity: &Identity, team: &TeamName, action: Action) -> bool {
    let by_role = identity.admin || identity.teams.get(team).is_some_and(|role| role.allows(action));
    by_role && identity.scopes.contains(&action)
}

/// Whether the credential is for this service.
fn names(identity: &Identity, service: &ServiceName) -> bool {
    identity.services.is_empty() || identity.services.contains(service)
}

fn no_service(service: &ServiceName) -> Problem {
    Problem::not_found("service-not-found", format!("there is no service `{service}` that you may see"))
        .hint(format!("`orlop service list` shows yours; `orlop service create {service}` makes it"))
}

fn scope(action: Action) -> Problem {
    Problem::forbidden(
        "scope",
        format!("your role allows `{0}`, but this token's scopes do not name `{0}`", action.word()),
    )
    .hint(format!("use a token with that scope: `orlop token create NAME --scope {}`", action.word()))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use api::ACTIONS;
    use api::access::Role;
    use base::Kind;

    use super::*;

    fn person(admin: bool, role: Option<Role>, scopes: &[Action]) -> Identity {
        Identity {
            person: Some("ada".parse().unwrap()),
            admin,
            teams: role.map(|r| ("pay".parse().unwrap(), r)).into_iter().collect::<BTreeMap<_, _>>(),
            scopes: scopes.iter().copied().collect::<BTreeSet<_>>(),
            ..Identity::anonymous()
        }
    }

    fn service() -> Target {
        Target::Service("shop".parse().unwrap(), "pay".parse().unwrap())
    }

    fn outcome(identity: &Identity, access: Access, target: &Target) -> Option<Kind> {
        decide(identity, access, target).err().map(|p| p.kind)
    }

    /// For each action, what a person with this role gets on a service of the team.
    fn check(identity: &Identity, expect: [Option<Kind>; 6]) {
        let got = ACTIONS.map(|action| outcome(identity, Access::Service(action), &service()));
        assert_eq!(got, expect, "{identity:?}");
    }

    const YES: Option<Kind> = None;
    const NO: Option<Kind> = Some(Kind::Forbidden);
    const HIDDEN: Option<Kind> = Some(Kind::NotFound);

    #[test]
    fn roles() {
        check(&person(false, Some(Role::Viewer), &ACTIONS), [YES, NO, NO, NO, NO, NO]);
        check(&person(false, Some(Role::Developer), &ACTIONS), [YES, YES, YES, YES, NO, NO]);
        check(&person(false, Some(Role::Owner), &ACTIONS), [YES, YES, YES, YES, YES, NO]);
        check(&person(false, None, &ACTIONS), [HIDDEN; 6]);
        check(&person(true, None, &ACTIONS), [YES; 6]);
    }

    #[test]
    fn scopes_limit_every_role() {
        check(&person(false, Some(Role::Owner), &[Action::Read]), [YES, NO, NO, NO, NO, NO]);
        check(&person(true, None, &[Action::Read, Action::Deploy]), [YES, YES, NO, NO, NO, NO]);
        check(&person(false, Some(Role::Owner), &[Action::Deploy]), [HIDDEN; 6]);
    }

    #[test]
    fn nobody_is_let_in_anywhere_but_to_public_things() {
        let nobody = Identity::anonymous();
        assert_eq!(outcome(&nobody, Access::Public, &Target::Installation), None);
        for access in [Access::SignedIn, Access::Platform(Action::Admin), Access::Service(Action::Read)] {
            assert_eq!(outcome(&nobody, access, &service()), Some(Kind::Unauthenticated));
        }
    }

    #[test]
    fn tokens_for_some_services_reach_no_others() {
        let mut ada = person(true, Some(Role::Owner), &ACTIONS);
        ada.services.insert("other".parse().unwrap());
        check(&ada, [HIDDEN; 6]);
        assert_eq!(outcome(&ada, Access::Platform(Action::Admin), &Target::Installation), NO);
        assert_eq!(outcome(&ada, Access::Team(Action::Deploy), &Target::Team("pay".parse().unwrap())), NO);
        assert!(!may_see(&ada, &"pay".parse().unwrap(), Some(&"shop".parse().unwrap())));
        ada.services.insert("shop".parse().unwrap());
        check(&ada, [YES; 6]);
    }

    /// The caller of a column of the matrix, as a credential makes them known.
    fn caller(column: &str) -> Identity {
        const FIVE: &[Action] = &[Action::Read, Action::Deploy, Action::Operate, Action::Configure, Action::Manage];
        let only = |mut identity: Identity, service: &str| {
            identity.services.insert(service.parse().unwrap());
            identity
        };
        let in_team = |team: &str, role: Role| {
            let mut identity = person(false, None, &ACTIONS);
            identity.teams.insert(team.parse().unwrap(), role);
            identity
        };
        let owner = |scopes| person(false, Some(Role::Owner), scopes);
        match column {
            "nobody" | "made-up" | "revoked" | "expired" | "removed" => Identity::anonymous(),
            "lone" | "former" => person(false, None, &ACTIONS),
            "rival-viewer" => in_team("rival", Role::Viewer),
            "rival-owner" => in_team("rival", Role::Owner),
            "viewer" => in_team("pay", Role::Viewer),
            "developer" => in_team("pay", Role::Developer),
            "owner" => owner(&ACTIONS),
            "owner-read" => owner(&[Action::Read]),
            "owner-deploy" => owner(&[Action::Read, Action::Deploy]),
            "owner-blind" => owner(&[Action::Deploy]),
            "owner-this" => only(owner(FIVE), "shop"),
            "owner-that" => only(owner(FIVE), "stock"),
            "admin-read" => person(true, None, &[Action::Read]),
            "admin-this" => only(person(true, None, &[Action::Read, Action::Admin]), "shop"),
            "admin" => {
                let mut admin = person(true, Some(Role::Owner), &ACTIONS);
                admin.teams.insert("rival".parse().unwrap(), Role::Owner);
                admin
            }
            other => panic!("the matrix has a caller `{other}` that this test does not know"),
        }
    }

    #[test]
    fn every_endpoint_for_every_caller_is_decided_as_the_matrix_says() {
        let matrix = sim::Matrix::read();
        assert_eq!(matrix.gaps(api::TABLE.iter().map(|row| row.id)), Vec::<String>::new());
        let mut wrong = Vec::new();
        let free = ["gitRefs", "gitReceivePack", "gitUploadPack", "getService"];
        for row in api::TABLE.iter() {
            let mut lines = vec![(row.id.to_owned(), service())];
            if free.contains(&row.id) {
                lines.push((format!("{}@free", row.id), Target::NoService("new".parse().unwrap())));
            }
            for (line, subject) in lines {
                let target = match row.access {
                    Access::Public | Access::SignedIn | Access::Platform(_) => Target::Installation,
                    Access::Team(_) => Target::Team("pay".parse().unwrap()),
                    Access::Service(_) | Access::ServiceOrNew(_) => subject,
                };
                for column in &matrix.callers {
                    let status = outcome(&caller(column), row.access, &target).map_or(200, Kind::status);
                    let (want, got) = (matrix.expect(&line, column), sim::Cell::of_status(status));
                    if want != got {
                        wrong.push(format!("{line} for {column}: want {want:?}, got {got:?} ({status})"));
                    }
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn who_sees_all_sees_each() {
        let callers = sim::Matrix::read().callers;
        let all: Vec<&str> = callers.into_iter().filter(|column| sees_all(&caller(column))).collect();
        assert_eq!(all, ["admin-read", "admin"]);
        for column in all {
            for (team, service) in
                [("pay", Some("shop")), ("rival", Some("stock")), ("none", Some("new")), ("pay", None)]
            {
                let service = service.map(|name| name.parse().unwrap());
                assert!(may_see(&caller(column), &team.parse().unwrap(), service.as_ref()), "{column} {team}");
            }
        }
    }

    #[test]
    fn a_refusal_says_what_is_missing() {
        let refused = |identity: &Identity, access, target: &Target, code: &str, words: &[&str]| {
            let problem = decide(identity, access, target).expect_err("it is refused");
            let said = format!("{} {}", problem.message, problem.hint.unwrap_or_default());
            assert_eq!(problem.code, code, "{said}");
            words.iter().for_each(|word| assert!(said.contains(word), "{said} lacks {word}"));
        };
        let (all, team) = (Target::Installation, Target::Team("pay".parse().unwrap()));
        for (role, action, words) in [
            (Role::Viewer, Action::Operate, ["is viewer", "`operate`"]),
            (Role::Developer, Action::Manage, ["is developer", "`manage`"]),
            (Role::Owner, Action::Admin, ["is owner", "`admin`"]),
        ] {
            let ada = person(false, Some(role), &ACTIONS);
            refused(&ada, Access::Service(action), &service(), "role", &words);
            refused(&ada, Access::Team(action), &team, "role", &words);
            refused(&ada, Access::Platform(action), &all, "not-admin", &[]);
        }
        let words = ["read", "deploy", "operate", "configure", "manage", "admin"];
        for (action, word) in ACTIONS.into_iter().zip(words) {
            let others: Vec<Action> = ACTIONS.into_iter().filter(|other| *other != action).collect();
            let said = [&*format!("name `{word}`"), &*format!("--scope {word}")];
            refused(&person(true, None, &others), Access::Platform(action), &all, "scope", &said);
            if action != Action::Read {
                refused(&person(true, None, &others), Access::Service(action), &service(), "scope", &said);
            }
        }
        let blind = person(false, Some(Role::Owner), &[Action::Read]);
        refused(&blind, Access::Team(Action::Deploy), &team, "scope", &["--scope deploy"]);
        let mut only = person(false, Some(Role::Owner), &ACTIONS);
        only.services.insert("shop".parse().unwrap());
        refused(&only, Access::Team(Action::Deploy), &team, "token-services", &[]);
        assert_eq!(outcome(&only, Access::Team(Action::Read), &team), YES);
        refused(&person(false, None, &ACTIONS), Access::Team(Action::Read), &team, "team-not-found", &["`pay`"]);
        let found = Problem::internal("target-mismatch", "").kind;
        assert_eq!(outcome(&only, Access::Team(Action::Read), &all), Some(found));
    }

    #[test]
    fn a_list_shows_what_role_and_credential_let_see() {
        let (pay, shop, stock): (TeamName, ServiceName, ServiceName) =
            ("pay".parse().unwrap(), "shop".parse().unwrap(), "stock".parse().unwrap());
        let viewer = person(false, Some(Role::Viewer), &ACTIONS);
        assert!(may_see(&viewer, &pay, None) && may_see(&viewer, &pay, Some(&shop)));
        let mut only = viewer.clone();
        only.services.insert(shop.clone());
        assert!(may_see(&only, &pay, None) && may_see(&only, &pay, Some(&shop)));
        assert!(!may_see(&only, &pay, Some(&stock)));
        let stranger = person(false, None, &ACTIONS);
        assert!(!may_see(&stranger, &pay, None) && !may_see(&stranger, &pay, Some(&shop)));
        let blind = person(false, Some(Role::Owner), &[Action::Deploy]);
        assert!(!may_see(&blind, &pay, None) && !may_see(&blind, &pay, Some(&shop)));
    }

    #[test]
    fn a_push_makes_a_service_only_where_its_team_is_clear() {
        let new = Target::NoService("shop".parse().unwrap());
        let push = Access::ServiceOrNew(Action::Deploy);
        assert_eq!(outcome(&person(false, Some(Role::Developer), &ACTIONS), push, &new), YES);
        assert_eq!(outcome(&person(false, Some(Role::Viewer), &ACTIONS), push, &new), HIDDEN);
        assert_eq!(outcome(&person(true, None, &ACTIONS), push, &new), HIDDEN);
        let mut two = person(false, Some(Role::Owner), &ACTIONS);
        two.teams.insert("web".parse().unwrap(), Role::Owner);
        let problem = decide(&two, push, &new).unwrap_err();
        assert!(problem.hint.unwrap().contains("--team TEAM"));
        assert_eq!(outcome(&person(true, Some(Role::Owner), &ACTIONS), Access::Service(Action::Read), &new), HIDDEN);
    }
}
