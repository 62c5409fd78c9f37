//! The one-time code that `orlop up` leaves.

use serde_json::json;

use crate::http::Api;
use crate::support::Installation;

#[tokio::test]
async fn a_code_works_once() {
    let place = Installation::new();
    let up = place.up();
    let nobody = Api::anonymous(&up);
    let body = json!({ "code": up.code });
    let together = futures_util::future::join_all((0..6).map(|_| nobody.post("/v1/sign-in", body.clone()))).await;
    let statuses: Vec<u16> = together.iter().map(|r| r.status.as_u16()).collect();
    assert_eq!(statuses.iter().filter(|s| **s == 200).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|s| **s == 401).count(), 5, "{statuses:?}");
    let late = nobody.post("/v1/sign-in", body).await;
    assert_eq!((late.status.as_u16(), late.code().as_str()), (401, "bad-code"));
    assert!(late.json()["hint"].as_str().unwrap_or_default().contains("orlop up"), "{}", late.text);
    let secret = together.iter().find(|r| r.status == 200).unwrap().json()["secret"].as_str().unwrap().to_owned();
    assert_eq!(nobody.with(&secret).get("/v1/whoami").await.ok()["person"], "admin");
}

/// What was used up stays so when the platform starts again, which leaves another code.
#[tokio::test]
async fn a_used_code_stays_used() {
    let place = Installation::new();
    let old = place.up();
    Api::admin(&old).await;
    place.orlop(["down"]).ok();
    let new = place.up();
    assert_ne!(old.code, new.code);
    let reply = Api::anonymous(&new).post("/v1/sign-in", json!({ "code": old.code })).await;
    assert_eq!((reply.status.as_u16(), reply.code().as_str()), (401, "bad-code"), "{}", reply.text);
    Api::admin(&new).await.get("/v1/whoami").await.ok();
}

/// The page for browsers takes the same code, once, and gives nothing away.
#[tokio::test]
async fn the_sign_in_page() {
    let place = Installation::new();
    let up = place.up();
    let nobody = Api::anonymous(&up);
    let page = nobody.get(&format!("/sign-in?code={}", up.code)).await;
    assert_eq!(page.status, 200);
    let post = async |code: &str| {
        // As a browser sends it from the page itself.
        let request = nobody.request(reqwest::Method::POST, "/sign-in").header("origin", up.url.as_str());
        let request = request.form(&[("code", code)]);
        crate::http::Reply::of(request.send().await.unwrap()).await
    };
    assert_eq!(post("once_nonsense\"><script>").await.status, 401);
    let done = post(&up.code).await;
    assert!([200, 303].contains(&done.status.as_u16()), "looking does not use the code up: {}", done.text);
    assert!(done.header("cache-control").contains("no-store"));
    assert_eq!(post(&up.code).await.status, 401);
}
