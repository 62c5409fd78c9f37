//! Endpoint bodies.

mod audit;
mod page;
mod people;
mod rights;
mod sessions;
mod settings;
mod sign_in;
mod teams;
mod tokens;
mod views;

use api::access::*;
use kernel::Endpoints;

use crate::SettingVault;

pub(crate) fn endpoints(vault: &SettingVault) -> Endpoints {
    let tail = std::sync::Arc::new(crate::work::Tail::default());
    let endpoints = Endpoints::new()
        .on::<Whoami, _, _>(sign_in::whoami)
        .on::<SignIn, _, _>(sign_in::sign_in)
        .on::<IssueSignIn, _, _>(sign_in::issue)
        .on::<GetAccess, _, _>(rights::of_service)
        .on::<GetTeamAccess, _, _>(rights::of_team)
        .on::<StartSession, _, _>(sessions::start)
        .on::<ListTeams, _, _>(teams::list)
        .on::<CreateTeam, _, _>(teams::create)
        .on::<GetTeam, _, _>(teams::get)
        .on::<RemoveTeam, _, _>(teams::remove)
        .on::<SetMember, _, _>(teams::set_member)
        .on::<RemoveMember, _, _>(teams::remove_member)
        .on::<ListPeople, _, _>(people::list)
        .on::<CreatePerson, _, _>(people::create)
        .on::<RemovePerson, _, _>(people::remove)
        .on::<ListTokens, _, _>(tokens::list)
        .on::<IssueToken, _, _>(tokens::issue)
        .on::<RevokeToken, _, _>(tokens::revoke)
        .on::<ListViews, _, _>(views::list)
        .on::<SaveView, _, _>(views::save)
        .on::<RemoveView, _, _>(views::remove)
        .on::<ListAudit, _, _>(audit::list)
        .on::<VerifyAudit, _, _>(audit::verify)
        .on::<ListActivity, _, _>(audit::activity)
        .on_events::<WatchEvents, _, _>(move |ctx, call| audit::watch(ctx, call, std::sync::Arc::clone(&tail)));
    settings::endpoints(endpoints, vault)
}

/// Closes over the vault, which only these handlers need.
macro_rules! with_vault {
    ($vault:expr, $handler:path) => {{
        let vault = $vault.clone();
        move |ctx: kernel::Ctx, call: kernel::Call<_>| {
            let vault = vault.clone();
            async move { $handler(ctx, call, &vault).await }
        }
    }};
}

pub(crate) use with_vault;
