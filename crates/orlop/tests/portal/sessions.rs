//! A session: what it may, and when it ends.

use std::time::Duration;

use crate::House;

const COOKIE: &str = "orlop-session-7400";
const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn the_cookie_is_understood_by_the_portal_alone() {
    let house = House::new().await;
    assert_eq!(house.admin.get("/services").await.status, 200);
    let secret = house.admin.cookie(COOKIE).expect("a session");
    assert!(secret.starts_with("session_"));
    assert_eq!(house.admin.api("GET", "/v1/whoami", None, None).await.status, 401, "by the cookie");
    assert_eq!(house.anonymous().api("GET", "/v1/whoami", Some(&secret), None).await.status, 401, "as a bearer token");
    let token = house.token(&["read"]).await;
    let other = house.anonymous();
    other.keep(COOKIE, &token);
    assert_eq!(other.get("/services").await.status, 303, "a token is no session");
}

#[tokio::test]
async fn signing_out_ends_the_session_for_everybody_who_has_it() {
    let house = House::new().await;
    let olga = house.person("olga").await;
    let copied = house.anonymous();
    copied.keep(COOKIE, &olga.cookie(COOKIE).unwrap());
    assert_eq!(copied.get("/services").await.status, 200);
    let out = olga.send("/services", "/sign-out", &[]).await;
    assert_eq!((out.status, out.header("location")), (303, "/sign-in"));
    assert!(olga.cookie(COOKIE).is_none());
    assert_eq!(copied.get("/services").await.status, 303);
}

#[tokio::test]
async fn a_session_can_do_no_more_than_its_token_and_ends_with_it() {
    let house = House::new().await;
    let token = house.token(&["read"]).await;
    let reader = house.by_token(&token).await;
    assert_eq!(reader.get("/services/shop").await.status, 200);
    assert_eq!(reader.get("/people").await.status, 403);
    assert_eq!(reader.send("/services/shop", "/services/shop/do/remove", &[]).await.status, 403);
    let wider = reader.send("/tokens", "/tokens", &[("name", "t"), ("scope", "deploy")]).await;
    assert_eq!(wider.status, 403, "{}", wider.text);
    // Revoked on the page that lists it.
    let me = house.anonymous().api("GET", "/v1/whoami", Some(&token), None).await.text;
    let me: serde_json::Value = serde_json::from_str(&me).expect("JSON");
    let action = format!("/tokens/{}/revoke", me["token"]["token"].as_str().expect("an id"));
    assert!(house.admin.get("/tokens").await.text.contains(&format!("action=\"{action}\"")), "{action}");
    house.admin.sent("/tokens", &action, &[]).await;
    assert_eq!(reader.get("/services").await.status, 303, "it ended with the token");
}

#[tokio::test]
async fn sessions_lapse_and_end() {
    let house = House::new().await;
    let (idle, busy, open) = (house.person("olga").await, house.person("dave").await, house.person("vera").await);
    for _ in 0..4 {
        house.world.clock.advance(4 * HOUR);
        assert_eq!(busy.get("/services").await.status, 200, "somebody is there");
        // What a page does by itself keeps nothing alive.
        let live = [("orlop-live", "1"), ("accept", "text/html")];
        open.ask("GET", "/services", &live, axum::body::Body::empty()).await;
    }
    assert_eq!(idle.get("/services").await.status, 303, "nobody was there for 12 hours");
    assert_eq!(open.get("/services").await.status, 303, "only the page was there");
    for _ in 0..40 {
        house.world.clock.advance(4 * HOUR);
        busy.get("/services").await;
    }
    assert_eq!(busy.get("/services").await.status, 303, "seven days are over");
}

#[tokio::test]
async fn sessions_are_listed_and_can_be_ended() {
    let house = House::new().await;
    let (one, other) = (house.person("olga").await, house.person("olga").await);
    let page = one.get("/tokens").await.text;
    let sessions = page.split("<h2>Tokens</h2>").next().unwrap();
    assert!(sessions.contains("this one"), "{sessions}");
    let action =
        sessions.split("action=\"/tokens/").nth(1).and_then(|rest| rest.split('"').next()).expect("the other one");
    one.sent("/tokens", &format!("/tokens/{action}"), &[]).await;
    assert_eq!(other.get("/services").await.status, 303);
    assert_eq!(one.get("/services").await.status, 200);
}
