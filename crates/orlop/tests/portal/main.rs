//! The portal over the real router, with every capability: every page as each role, and what must not be
//! possible through it.

#[path = "../simulation/install.rs"]
mod install;
#[path = "../../src/pages.rs"]
mod joined;

mod browser;
mod forms;
mod hostile;
mod roles;
mod sessions;

use std::sync::Arc;

use kernel::{Capability, Platform};
use ports::Random;
use server::Router;
use sim::{Installation as _, World};

use crate::browser::Browser;
use crate::install::Installed;

/// An installation with people, teams and services, and its portal.
pub struct House {
    /// Its clock is set by hand.
    pub world: World,
    router: Router,
    /// A platform admin, signed in.
    pub admin: Browser,
}

impl House {
    /// With its people, teams and services.
    pub async fn new() -> Self {
        let installed = Installed::default();
        let world = World::new(Arc::new(Installed::default()), 1).await;
        let platform: Platform = world.platform().clone();
        let random: Arc<dyn Random> = Arc::clone(&platform.ports().random);
        let capabilities: Vec<Capability> = installed.capabilities(platform.store(), &random);
        let doctor = server::platform_endpoints(server::Doctor::of(&capabilities)).into_mounted();
        let endpoints = capabilities.into_iter().flat_map(|c| c.endpoints.into_mounted()).chain(doctor).collect();
        let router = joined::over(&platform, server::router(&platform, endpoints));
        let code = access::first_sign_in(&platform.ctx("test")).await.expect("a code").code;
        let admin = Browser::signed_in(&router, "code", &code).await;
        let house = Self { world, router, admin };
        house.fill().await;
        house
    }

    /// Teams `pay` and `rival`; a viewer, developer and owner of `pay`, an owner of `rival`; a service each.
    async fn fill(&self) {
        let admin = &self.admin;
        for team in ["pay", "rival"] {
            admin.sent("/teams", "/teams", &[("team", team)]).await;
        }
        for (person, team, role) in [
            ("vera", "pay", "viewer"),
            ("dave", "pay", "developer"),
            ("olga", "pay", "owner"),
            ("ivan", "rival", "owner"),
        ] {
            admin.sent("/people", "/people", &[("person", person)]).await;
            let page = format!("/teams/{team}");
            admin.sent(&page, &format!("{page}/members"), &[("person", person), ("role", role)]).await;
        }
        let token = self.token(&["read", "deploy", "operate", "configure", "manage", "admin"]).await;
        for (service, team) in [("shop", "pay"), ("till", "rival")] {
            let body = serde_json::json!({ "service": service, "description": hostile::DESCRIPTION });
            let path = format!("/v1/teams/{team}/services");
            let reply = self.anonymous().api("POST", &path, Some(&token), Some(body)).await;
            assert_eq!(reply.status, 200, "{}", reply.text);
        }
    }

    /// A browser in which nobody is signed in.
    pub fn anonymous(&self) -> Browser {
        Browser::new(&self.router)
    }

    /// A person, signed in by a link that the admin made.
    pub async fn person(&self, name: &str) -> Browser {
        let page = self.admin.sent("/people", &format!("/people/{name}/sign-in"), &[]).await;
        let code = page.text.split("code=").nth(1).and_then(|rest| rest.split('<').next()).expect("a code").to_owned();
        Browser::signed_in(&self.router, "code", &code).await
    }

    /// A token of the admin with these scopes, made on the page for that.
    pub async fn token(&self, scopes: &[&str]) -> String {
        let fields: Vec<(&str, &str)> =
            [("name", "t"), ("lifetime", "9d")].into_iter().chain(scopes.iter().map(|s| ("scope", *s))).collect();
        let page = self.admin.sent("/tokens", "/tokens", &fields).await;
        let at = page.text.find("orlop_").unwrap_or_else(|| panic!("no token: {}", page.text));
        page.text[at..].split('<').next().expect("a token").to_owned()
    }

    /// Signed in with a token.
    pub async fn by_token(&self, token: &str) -> Browser {
        Browser::signed_in(&self.router, "token", token).await
    }
}
