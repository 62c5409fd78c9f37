//! What the reader may do, so that nothing is offered that would be refused. The API decides; this only
//! says beforehand what it would say, by the same table of roles ([`api::access::Role::allows`]).

use api::Action;
use api::access::Me;
use base::{ServiceName, TeamName};

/// The rights of one credential.
#[derive(Clone, Copy)]
pub(crate) struct Rights<'a> {
    me: &'a Me,
}

impl<'a> Rights<'a> {
    pub(crate) const fn of(me: &'a Me) -> Self {
        Self { me }
    }

    /// Why this is not allowed; nothing where it is. Without a service: about a new one of the team.
    pub(crate) fn why_not(&self, action: Action, team: &TeamName, service: Option<&ServiceName>) -> Option<String> {
        let word = action.word();
        let token = &self.me.token;
        let named = service
            .map_or(token.services.is_empty(), |service| token.services.is_empty() || token.services.contains(service));
        let role = self.me.teams.get(team.as_str()).copied();
        if !self.me.admin && !role.is_some_and(|role| role.allows(action)) {
            let role = role.map_or_else(|| "no role".to_owned(), |role| format!("the role {}", role.word()));
            return Some(format!("You have {role} in {team}, which does not allow to {word}. Ask an owner of {team}."));
        }
        if !named {
            return Some("This session is for some services only.".to_owned());
        }
        (!token.scopes.contains(&action)).then(|| format!("This session was not given the right to {word}."))
    }

    /// The reader's teams in which they may do this, in order.
    pub(crate) fn teams(&self, action: Action) -> Vec<TeamName> {
        let named = self.me.teams.keys().filter_map(|team| team.parse::<TeamName>().ok());
        named.filter(|team| self.why_not(action, team, None).is_none()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn me(admin: bool, role: Option<&str>, scopes: &[&str], services: &[&str]) -> Me {
        let teams: serde_json::Map<String, serde_json::Value> =
            role.map(|role| ("pay".to_owned(), role.into())).into_iter().collect();
        serde_json::from_value(serde_json::json!({
            "person": "ada", "admin": admin, "teams": teams,
            "token": {"token": "tok_01hzzzzzzzzzzzzzzzzzzzzzzz", "person": "ada", "name": "n", "kind": "session", "scopes": scopes,
                "services": services, "created": "2026-01-01T00:00:00Z"},
        }))
        .unwrap()
    }

    fn check(me: &Me, action: Action, expect: Option<&str>) {
        let why = Rights::of(me).why_not(action, &"pay".parse().unwrap(), Some(&"shop".parse().unwrap()));
        match expect {
            None => assert_eq!(why, None),
            Some(says) => assert!(why.as_ref().is_some_and(|why| why.contains(says)), "{why:?}"),
        }
    }

    #[test]
    fn role_scope_and_services_each_can_refuse() {
        let all = ["read", "deploy", "operate", "configure", "manage", "admin"];
        check(&me(false, Some("viewer"), &all, &[]), Action::Deploy, Some("role viewer"));
        check(&me(false, Some("developer"), &all, &[]), Action::Deploy, None);
        check(&me(false, Some("developer"), &all, &[]), Action::Manage, Some("role developer"));
        check(&me(false, Some("owner"), &all, &[]), Action::Manage, None);
        check(&me(false, None, &all, &[]), Action::Deploy, Some("no role"));
        check(&me(true, None, &all, &[]), Action::Deploy, None);
        check(&me(false, Some("owner"), &["read"], &[]), Action::Deploy, Some("was not given"));
        check(&me(false, Some("owner"), &all, &["other"]), Action::Deploy, Some("some services"));
        let owner = me(false, Some("owner"), &all, &[]);
        assert_eq!(Rights::of(&owner).teams(Action::Deploy).len(), 1);
        assert_eq!(Rights::of(&me(false, Some("viewer"), &all, &[])).teams(Action::Deploy).len(), 0);
    }
}
