//! What changes something is sent by a page of the portal, in the session that it belongs to.

use crate::House;
use crate::browser::field;

/// Whether a team is there by now.
async fn is_there(house: &House, team: &str) -> bool {
    house.admin.get(&format!("/teams/{team}")).await.status == 200
}

#[tokio::test]
async fn a_form_of_another_site_does_nothing() {
    let house = House::new().await;
    let page = house.admin.get("/teams").await.text;
    let proof = [("form-token", field(&page, "form-token")), ("form-key", field(&page, "form-key"))];
    let fields = [("form-token", proof[0].1.as_str()), ("form-key", proof[1].1.as_str()), ("team", "stolen")];
    let ours = ("origin", "http://127.0.0.1:7400");
    for headers in [
        &[][..],
        &[("origin", "http://evil.test")],
        &[("origin", "null")],
        &[("origin", "http://127.0.0.1:7401")],
        &[ours, ("sec-fetch-site", "cross-site")],
        &[ours, ("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "same-origin"), ("origin", "http://evil.test")],
        &[ours, ("host", "evil.test")],
    ] {
        let reply = house.admin.form("/teams", &fields, headers).await;
        assert_eq!(reply.status, 403, "{headers:?}: {}", reply.text);
        let reply = house.admin.form("/sign-in", &[("code", "once_x")], headers).await;
        assert_eq!(reply.status, 403, "signing somebody in from elsewhere, {headers:?}: {}", reply.text);
    }
    assert!(!is_there(&house, "stolen").await);
    assert_eq!(house.admin.form("/teams", &fields, &[ours]).await.status, 303);
    assert!(is_there(&house, "stolen").await, "the same form counts when it comes from here");
}

#[tokio::test]
async fn a_form_without_the_sessions_own_token_does_nothing() {
    let house = House::new().await;
    let olga = house.person("olga").await;
    let other = field(&olga.get("/teams").await.text, "form-token");
    for token in ["", "x", other.as_str()] {
        let reply = house.admin.post("/teams", &[("form-token", token), ("form-key", "k"), ("team", "stolen")]).await;
        assert_eq!(reply.status, 403, "{}", reply.text);
        assert!(reply.text.contains("form-of-another-session"), "{}", reply.text);
    }
    assert!(!is_there(&house, "stolen").await);
}

#[tokio::test]
async fn what_is_sent_twice_is_done_once() {
    let house = House::new().await;
    let page = house.admin.get("/teams").await.text;
    let proof = (field(&page, "form-token"), field(&page, "form-key"));
    let fields = [("form-token", proof.0.as_str()), ("form-key", proof.1.as_str()), ("team", "once")];
    assert_eq!(house.admin.post("/teams", &fields).await.status, 303);
    assert_eq!(house.admin.post("/teams", &fields).await.status, 303, "the answer of the first time");
    let changed = [fields[0], fields[1], ("team", "twice")];
    assert_eq!(house.admin.post("/teams", &changed).await.status, 303, "another form on the way back");
    assert!(is_there(&house, "twice").await);
}

#[tokio::test]
async fn redirects_stay_here() {
    let house = House::new().await;
    for to in ["//evil.test", "https://evil.test", "/\\evil.test", "/\t/evil.test", "javascript:alert(1)", ""] {
        let reply = house.admin.post("/theme", &[("theme", "dark"), ("to", to)]).await;
        assert_eq!((reply.status, reply.header("location")), (303, "/"), "{to:?}");
        let token = house.token(&["read"]).await;
        let reply = house.anonymous().post("/sign-in", &[("token", &token), ("to", to)]).await;
        assert_eq!((reply.status, reply.header("location")), (303, "/"), "{to:?}");
    }
    let reply = house.admin.post("/theme", &[("theme", "dark"), ("to", "/services?q=a")]).await;
    assert_eq!(reply.header("location"), "/services?q=a");
    assert!(house.admin.get("/services").await.text.contains("data-theme=\"dark\""));
}

#[tokio::test]
async fn names_of_others_are_refused() {
    let house = House::new().await;
    for host in ["evil.test", "evil.test:7400", "127.0.0.1.evil.test"] {
        let reply = house
            .admin
            .ask("GET", "/services", &[("host", host), ("accept", "text/html")], axum::body::Body::empty())
            .await;
        assert_eq!(reply.status, 403, "{host}");
        assert!(reply.text.contains("unknown-host") && !reply.text.contains("shop"), "{}", reply.text);
    }
}
