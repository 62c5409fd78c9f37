//! Somebody of another team, with their own service to go in through: nothing of a stranger's is
//! read, changed or named, whatever ids stand in paths, queries and bodies.

use api::{Method as Verb, Shape, TABLE};
use reqwest::Method;
use serde_json::{Value, json};

use crate::access::{person, token};
use crate::http::{Api, Reply};
use crate::support::{Installation, Up, fixture};

/// Words that belong to the team `pay` alone. None of them may reach anybody else.
struct Marks(Vec<String>);

impl Marks {
    fn found_in(&self, text: &str) -> Vec<&str> {
        self.0.iter().map(String::as_str).filter(|mark| text.contains(mark)).collect()
    }
}

/// Two teams, each with a service that runs; and a stranger, owner of the second.
struct Scene {
    place: Installation,
    up: Up,
    admin: Api,
    stranger: Api,
    reader: Api,
    marks: Marks,
    source: String,
    build: String,
    rollout: String,
    instance: String,
    token: String,
    secret: String,
}

impl Scene {
    async fn new() -> Self {
        let place = Installation::new();
        let up = place.up();
        let admin = Api::admin(&up).await;
        for team in ["quark-pay", "rival"] {
            admin.post("/v1/teams", json!({ "team": team })).await.ok();
        }
        let owner = person(&admin, "quark-olga", Some(("quark-pay", "owner"))).await;
        let stranger = person(&admin, "ivan", Some(("rival", "owner"))).await;
        let reader = person(&admin, "ruth", Some(("rival", "viewer"))).await;
        for (api, team, service) in [(&owner, "quark-pay", "quark-shop"), (&stranger, "rival", "till")] {
            api.post(&format!("/v1/teams/{team}/services"), json!({ "service": service })).await.ok();
        }
        let value = json!({ "value": "quark-value" });
        owner.send(Method::PUT, "/v1/services/quark-shop/settings/QUARK_NAME", Some(value)).await.ok();
        let issued = owner.post("/v1/tokens", json!({ "name": "quark-token" })).await.ok();
        let (token, secret) = (text(&issued, "/token/token"), text(&issued, "/secret"));
        let folder = place.copy(&fixture("static"), "pages");
        for (api, service, times) in [(&owner, "quark-shop", 2), (&stranger, "till", 1)] {
            for _ in 0..times {
                deploy(&place, &up, api, &folder, service);
            }
        }
        let first = async |list: &str, key: &str| {
            text(&owner.get(&format!("/v1/services/quark-shop/{list}")).await.ok(), &format!("/items/0/{key}"))
        };
        let (source, build) = (first("builds", "source").await, first("builds", "build").await);
        let (rollout, instance) = (first("rollouts", "rollout").await, first("instances", "instance").await);
        let release = first("releases", "release").await;
        let words = ["quark-", "QUARK_"].map(str::to_owned);
        let ids = [&source, &build, &rollout, &instance, &release, &token].map(Clone::clone);
        let marks = Marks(words.into_iter().chain(ids).collect());
        Self { place, up, admin, stranger, reader, marks, source, build, rollout, instance, token, secret }
    }
}

fn text(value: &Value, at: &str) -> String {
    value.pointer(at).and_then(Value::as_str).unwrap_or_else(|| panic!("{at} in {value}")).to_owned()
}

fn deploy(place: &Installation, up: &Up, api: &Api, folder: &std::path::Path, service: &str) {
    let mut command = place.command(["deploy", "--service", service]);
    command.current_dir(folder).env("ORLOP_URL", &up.url).env("ORLOP_TOKEN", api.token.as_deref().expect("a token"));
    let output = command.output().expect("the binary starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_another_team_is_reached() {
    let scene = Scene::new().await;
    ids_of_others_through_ones_own_service(&scene).await;
    ids_of_others_in_bodies_and_queries(&scene).await;
    nothing_is_named_in_any_answer(&scene).await;
    events_are_filtered(&scene).await;
    // The owner's things are as they were.
    let build = scene.admin.get(&format!("/v1/services/quark-shop/builds/{}", scene.build)).await.ok();
    assert_eq!(build["state"], "succeeded");
    assert_eq!(scene.admin.with(&scene.secret).get("/v1/whoami").await.status, 200, "the token is good");
    drop((scene.place, scene.up));
}

/// 404, and not a word of it.
fn is_hidden(scene: &Scene, what: &str, reply: &Reply) {
    assert_eq!(reply.status, 404, "{what}: {}", reply.text);
    // The id itself was in the question.
    let told: Vec<_> = scene.marks.found_in(&reply.text).into_iter().filter(|mark| !what.contains(mark)).collect();
    assert!(told.is_empty(), "{what} tells {told:?}: {}", reply.text);
}

async fn ids_of_others_through_ones_own_service(scene: &Scene) {
    let Scene { source, build, rollout, .. } = scene;
    for (method, path) in [
        (Method::GET, format!("deploys/{source}/events")),
        (Method::GET, format!("builds/{build}")),
        (Method::GET, format!("builds/{build}/log")),
        (Method::POST, format!("builds/{build}/cancel")),
        (Method::GET, "releases/2".to_owned()),
        (Method::GET, format!("rollouts/{rollout}")),
        (Method::GET, format!("rollouts/{rollout}/events")),
        (Method::POST, format!("rollouts/{rollout}/cancel")),
        (Method::DELETE, "settings/QUARK_NAME".to_owned()),
    ] {
        let path = format!("/v1/services/till/{path}");
        let reply = scene.stranger.send(method.clone(), &path, None).await;
        is_hidden(scene, &format!("{method} {path}"), &reply);
    }
    let versions = scene.stranger.get("/v1/services/till/settings/QUARK_NAME/versions").await.ok();
    assert_eq!(versions["items"], json!([]));
    let path = format!("/v1/tokens/{}", scene.token);
    is_hidden(scene, &path, &scene.stranger.send(Method::DELETE, &path, None).await);
}

async fn ids_of_others_in_bodies_and_queries(scene: &Scene) {
    let stranger = &scene.stranger;
    let start = json!({ "environment": "dev", "release": 2 });
    let reply = stranger.post("/v1/services/till/rollouts", start).await;
    assert!([404, 422].contains(&reply.status.as_u16()), "{}", reply.text);
    // Neither giving away to, nor taking from a team that one is not in; unknown and foreign read alike.
    let give =
        async |team: &str| stranger.send(Method::PATCH, "/v1/services/till", Some(json!({ "team": team }))).await;
    let (foreign, unknown) = (give("quark-pay").await, give("quark-none").await);
    assert_eq!((foreign.status.as_u16(), unknown.status.as_u16()), (403, 403), "{} {}", foreign.text, unknown.text);
    let plain = |reply: &Reply, team: &str| reply.json()["detail"].to_string().replace(team, "TEAM");
    assert_eq!(plain(&foreign, "quark-pay"), plain(&unknown, "quark-none"));
    let taken = stranger.post("/v1/teams/quark-pay/services", json!({ "service": "mine" })).await;
    assert_eq!((taken.status.as_u16(), taken.code().as_str()), (404, "team-not-found"), "{}", taken.text);
    // A token that names a foreign service opens nothing of it.
    let wide = token(stranger, json!({ "name": "wide", "scopes": ["read"], "services": ["quark-shop"] })).await;
    assert_eq!(wide.get("/v1/services/quark-shop").await.status, 404);
    let mine = text(&wide.get("/v1/whoami").await.ok(), "/token/token");
    stranger.send(Method::DELETE, &format!("/v1/tokens/{mine}"), None).await.ok();
    for query in [
        "/v1/services?team=quark-pay".to_owned(),
        "/v1/services?search=quark".to_owned(),
        format!("/v1/services/till/logs?instance={}&tail=1000", scene.instance),
    ] {
        let reply = stranger.get(&query).await;
        let told: Vec<_> = scene.marks.found_in(&reply.text).into_iter().filter(|m| !query.contains(m)).collect();
        assert!(told.is_empty() && !reply.text.contains("index.html"), "{query} tells {told:?}: {}", reply.text);
    }
}

/// Every answer that a stranger can have, in pages of one so that marks of pages show, too.
async fn nothing_is_named_in_any_answer(scene: &Scene) {
    let mut read = 0;
    for row in TABLE.iter().filter(|row| row.method == Verb::Get && row.shape == Shape::Json) {
        let own = row.path.replace("{service}", "till").replace("{team}", "rival").replace("{number}", "1");
        let own = own.replace("{name}", "A");
        if own.contains('{') {
            continue;
        }
        for caller in [&scene.stranger, &scene.reader] {
            let mut after = String::new();
            for _ in 0..200 {
                let reply = caller.get(&format!("{own}?limit=1{after}")).await;
                // Where there are no pages, such a query is refused.
                let reply = if reply.status == 422 { caller.get(&own).await } else { reply };
                let told = scene.marks.found_in(&reply.text);
                assert!(told.is_empty(), "{own} tells {told:?}: {}", reply.text);
                read += 1;
                match reply.json()["next"].as_str() {
                    Some(next) => after = format!("&after={next}"),
                    None => break,
                }
            }
        }
    }
    assert!(read >= 60, "only {read} answers were read");
}

async fn events_are_filtered(scene: &Scene) {
    let all = scene.admin.get("/v1/audit?limit=500").await.ok();
    let all = all["items"].as_array().expect("items").clone();
    let about = |mark: &str| all.iter().filter(|fact| fact.to_string().contains(mark)).count();
    assert!(about("quark-") > 20 && about("till") > 10, "there is something to filter");
    for (caller, query) in [(&scene.stranger, ""), (&scene.reader, ""), (&scene.stranger, "&service=quark-shop")] {
        let mine = caller.events_for(&format!("/v1/events?after=0{query}"), std::time::Duration::from_secs(3)).await;
        let told = scene.marks.found_in(&mine);
        assert!(told.is_empty(), "the events tell {told:?}");
        assert_eq!(mine.contains("\"till\""), query.is_empty(), "what is one's own is there: {mine}");
    }
}
