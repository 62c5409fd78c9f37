//! What ends with a right: in virtual time, within a second of the change.

use std::sync::Arc;
use std::time::Duration;

use api::{Row, Shape, TABLE};
use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::header::AUTHORIZATION;
use http::{Method, Request};
use kernel::{ByteStream, Mounted, RawReply};
use serde_json::json;
use server::Router;
use tower::ServiceExt as _;

use crate::cast::{Cast, done};
use crate::house::House;

/// Steps of virtual time; ten make the second that is promised.
const STEP: Duration = Duration::from_millis(100);
const STEPS: u32 = 10;
/// Real time for the machine to come to a decision within one step. Not a measure of anything.
const PATIENCE: Duration = Duration::from_secs(3);

/// Every endpoint, with handlers that go on until they are ended.
fn endless(house: &House) -> Router {
    let handler = |row: Row| Mounted {
        row,
        handler: Arc::new(move |_, mut call| {
            Box::pin(async move {
                let body: ByteStream = Box::pin(stream::pending());
                match (row.shape, call.stream.take()) {
                    (Shape::Events, _) => Ok(RawReply::Events(Box::pin(stream::pending()))),
                    (Shape::Raw, _) if !row.method.is_mutating() => Ok(RawReply::Http(http::Response::new(body))),
                    (_, Some(mut sent)) => {
                        while sent.next().await.is_some() {}
                        Ok(RawReply::Json(json!({ "reached": row.id }), None))
                    }
                    _ => Ok(RawReply::Json(json!({ "reached": row.id }), None)),
                }
            })
        }),
    };
    server::router(house.platform(), TABLE.iter().copied().map(handler).collect())
}

/// How a thing that was under way ended.
#[derive(Debug)]
enum End {
    /// Its answer was cut off, with these last words.
    Words(String),
    /// It was answered with this status.
    Status(u16),
}

/// Begins something; gives its end when that comes.
async fn begun(router: Router, token: String, method: Method, path: &str) -> tokio::task::JoinHandle<End> {
    let body = match method {
        Method::GET => Body::empty(),
        _ => Body::from_stream(
            stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"x"))]).chain(stream::pending()),
        ),
    };
    let request = Request::builder().method(method).uri(path).header(AUTHORIZATION, format!("Bearer {token}"));
    let request = request.body(body).expect("a request");
    tokio::spawn(async move {
        let response = router.oneshot(request).await.expect("the router always answers");
        let status = response.status().as_u16();
        if status != 200 {
            return End::Status(status);
        }
        let mut words = String::new();
        let mut body: BodyDataStream = response.into_body().into_data_stream();
        while let Some(Ok(chunk)) = body.next().await {
            words.push_str(&String::from_utf8_lossy(&chunk));
        }
        End::Words(words)
    })
}

/// Waits for the end; at most one second of virtual time goes by.
async fn end(house: &House, what: &str, mut task: tokio::task::JoinHandle<End>) -> End {
    for _ in 0..=STEPS {
        match tokio::time::timeout(PATIENCE, &mut task).await {
            Ok(end) => return end.expect("no panic"),
            Err(_) => house.world.clock.advance(STEP),
        }
    }
    panic!("{what} goes on a second after the right to it has ended");
}

const LOG: &str = "/v1/services/shop/logs";
const UPLOAD: &str = "/v1/services/shop/sources";
const PUSH: &str = "/git/shop.git/git-receive-pack";
const REFS: &str = "/git/shop.git/info/refs";

#[tokio::test]
async fn everything_that_is_under_way_ends_with_its_token() {
    let house = House::new(None).await;
    let cast = Cast::of(&house).await;
    for (method, path) in [
        (Method::GET, "/v1/events"),
        (Method::GET, LOG),
        (Method::GET, REFS),
        (Method::POST, UPLOAD),
        (Method::POST, PUSH),
    ] {
        let (token, id) = cast.another(&house, "owner").await;
        let task = begun(endless(&house), token, method.clone(), path).await;
        settle().await;
        assert!(!task.is_finished(), "{path} goes on while its token is good");
        done(&house, Method::DELETE, &format!("/v1/tokens/{id}"), cast.token("owner").expect("a token"), None).await;
        match end(&house, path, task).await {
            End::Status(status) => assert_eq!((method, status), (Method::POST, 401), "{path}"),
            End::Words(words) if path == REFS => assert_eq!(words, ""),
            End::Words(words) => assert!(words.contains("bad-token"), "{path}: {words}"),
        }
    }
}

#[tokio::test]
async fn streams_end_with_the_person_and_with_the_membership() {
    let house = House::new(None).await;
    let cast = Cast::of(&house).await;
    let admin = cast.token("admin").expect("a token");
    for (who, member, act, path, code) in [
        ("dave", "developer", "/v1/people/dave", "/v1/events", "bad-token"),
        ("vera", "viewer", "/v1/teams/pay/members/vera", "/v1/events", "rights-changed"),
        ("ruth", "rival-viewer", "/v1/teams/rival/members/ruth", "/v1/events", "rights-changed"),
    ] {
        let token = cast.token(member).expect("a token").to_owned();
        let task = begun(endless(&house), token, Method::GET, path).await;
        settle().await;
        done(&house, Method::DELETE, act, admin, None).await;
        match end(&house, who, task).await {
            End::Words(words) => assert!(words.contains(code), "{who}: {words}"),
            End::Status(status) => panic!("{who}: {status}"),
        }
    }
    // What is about one service goes by the right to that service.
    let former = done(&house, Method::POST, "/v1/people", admin, Some(json!({ "person": "eva" }))).await;
    assert_eq!(former["person"], "eva");
    let eva = cast.person(&house, "eva", "pay", "viewer").await;
    let task = begun(endless(&house), eva, Method::GET, LOG).await;
    settle().await;
    done(&house, Method::PUT, "/v1/teams/rival/members/eva", admin, Some(json!({ "role": "viewer" }))).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    house.world.clock.advance(STEP * 2);
    settle().await;
    assert!(!task.is_finished(), "another team is nothing to it");
    done(&house, Method::DELETE, "/v1/teams/pay/members/eva", admin, None).await;
    match end(&house, "eva", task).await {
        End::Words(words) => assert!(words.contains("service-not-found"), "{words}"),
        End::Status(status) => panic!("{status}"),
    }
}

/// Time ends a token, too; that is looked at every two seconds.
#[tokio::test]
async fn a_stream_ends_when_its_token_expires() {
    let house = House::new(None).await;
    let cast = Cast::of(&house).await;
    let token = cast.short(&house, "owner").await;
    let task = begun(endless(&house), token, Method::GET, LOG).await;
    settle().await;
    house.world.clock.advance(Duration::from_secs(3));
    match end(&house, "an expired token", task).await {
        End::Words(words) => assert!(words.contains("bad-token"), "{words}"),
        End::Status(status) => panic!("{status}"),
    }
}

/// What was answered once under a key is not told again to somebody who may not ask any more.
#[tokio::test]
async fn a_remembered_answer_is_told_only_to_who_may_ask() {
    let house = House::new(None).await;
    let cast = Cast::of(&house).await;
    let (token, id) = cast.another(&house, "owner").await;
    let path = "/v1/teams/pay/members/vera";
    let keyed = async |token: &str| {
        let headers =
            [(AUTHORIZATION, format!("Bearer {token}")), ("idempotency-key".parse().expect("a name"), "k".to_owned())];
        house.real(Method::PUT, path, &headers, Some(json!({ "role": "viewer" }))).await
    };
    let first = keyed(&token).await;
    let again = keyed(&token).await;
    assert_eq!((first.status, again.status, &first.text), (200, 200, &again.text));
    assert!(!first.replayed && again.replayed, "the answer was remembered");
    // Of the same person, but for reading only.
    let narrow = keyed(cast.token("owner-read").expect("a token")).await;
    assert_eq!((narrow.status, narrow.replayed), (403, false), "{}", narrow.text);
    done(&house, Method::DELETE, &format!("/v1/tokens/{id}"), cast.token("owner").expect("a token"), None).await;
    let revoked = keyed(&token).await;
    assert_eq!((revoked.status, revoked.replayed), (401, false), "{}", revoked.text);
}

/// Lets what was begun come to where it waits.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(500)).await;
}
