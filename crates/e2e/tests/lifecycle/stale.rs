//! Two control planes of one installation: the one that was replaced deletes and changes nothing any
//! more, whether it hung meanwhile or never noticed.

use std::time::Duration;

use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use store::testing::Cluster;

use crate::http::{Api, Reply};
use crate::support::{Installation, Up, eventually, runs};

fn signal(up: &Up, signal: Signal) {
    kill_process(Pid::from_raw(up.pid).expect("a process"), signal).expect("it is there");
}

/// What came of a call: its answer, or none because nobody was there any more.
async fn call(api: &Api, method: Method, path: &str, body: Option<Value>) -> Option<Reply> {
    let request = api.request(method, path);
    let request = match body {
        Some(body) => request.json(&body),
        None => request,
    };
    match request.send().await {
        Ok(response) => Some(Reply::of(response).await),
        Err(_) => None,
    }
}

/// Everything about the service, as its people see it.
async fn everything(api: &Api) -> Vec<Value> {
    let mut all = Vec::new();
    for path in ["/v1/services/shop", "/v1/services/shop/settings", "/v1/services/shop/activity", "/v1/teams/main"] {
        all.push(api.get(path).await.ok());
    }
    all
}

async fn seeded(up: &Up) -> Api {
    let admin = Api::admin(up).await;
    admin.post("/v1/teams/main/services", json!({ "service": "shop" })).await.ok();
    admin.send(Method::PUT, "/v1/services/shop/settings/A", Some(json!({ "value": "before" }))).await.ok();
    admin
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_hung_while_it_was_replaced_is_refused() {
    let first = Installation::new();
    let old = first.up();
    let stale = seeded(&old).await;
    signal(&old, Signal::STOP);
    // As on a machine that lost its lock: somebody else holds the folder now.
    std::fs::remove_file(first.data.join("run/lock")).expect("the lock");
    let mut second = Installation::new();
    second.data = first.data.clone();
    let new = second.up();
    assert_ne!((new.pid, &new.url), (old.pid, &old.url));
    let admin = stale.at(&new);
    admin.send(Method::PUT, "/v1/services/shop/settings/A", Some(json!({ "value": "after" }))).await.ok();
    let before = everything(&admin).await;
    // They wait in front of the one that hangs, and are the first that it sees when it goes on.
    let calls = [
        (Method::DELETE, "/v1/services/shop", None),
        (Method::PUT, "/v1/services/shop/settings/A", Some(json!({ "value": "stale" }))),
        (Method::DELETE, "/v1/services/shop/settings/A", None),
        (Method::POST, "/v1/teams", Some(json!({ "team": "stale" }))),
    ];
    let waiting: Vec<_> = calls
        .map(|(method, path, body)| {
            let stale = stale.clone();
            tokio::spawn(async move { call(&stale, method, path, body).await })
        })
        .into();
    tokio::time::sleep(Duration::from_millis(500)).await;
    signal(&old, Signal::CONT);
    let mut refused = 0;
    for one in waiting {
        match one.await.expect("no panic") {
            Some(reply) => {
                assert_eq!((reply.status.as_u16(), &*reply.code()), (409, "stale-controller"), "{}", reply.text);
                refused += 1;
            }
            None => println!("the one that was replaced had ended before it answered"),
        }
    }
    println!("stale control plane over SQLite: {refused} of 4 calls were refused, the others never answered");
    eventually("it ends by itself", || !runs(old.pid));
    assert_eq!(everything(&admin).await, before, "nothing has changed");
    assert_eq!(admin.get("/v1/teams/stale").await.status, 404);
    assert!(second.orlop(["audit", "verify"]).ok().out.contains("ok"));
    second.orlop(["down"]).ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_over_one_postgres_only_the_newer_one_writes() {
    let Some(cluster) = Cluster::own().await else { return };
    let database = cluster.database().await;
    let place = || {
        let mut place = Installation::new();
        place.flags = vec!["--database".to_owned(), database.clone()];
        place
    };
    let first = place();
    let old = first.up();
    let stale = seeded(&old).await;
    // Writes without a pause, until nobody answers any more.
    let writer = {
        let stale = stale.clone();
        tokio::spawn(async move {
            let (mut done, mut refused) = (Vec::new(), 0);
            for n in 0..100_000 {
                let body = json!({ "value": n.to_string() });
                match call(&stale, Method::PUT, "/v1/services/shop/settings/N", Some(body)).await {
                    Some(reply) if reply.status == 200 => done.push(n.to_string()),
                    Some(reply) => {
                        assert_eq!(reply.code(), "stale-controller", "{}", reply.text);
                        refused += 1;
                    }
                    None => break,
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            (done, refused)
        })
    };
    let second = place();
    std::fs::create_dir_all(&second.data).expect("a folder");
    std::fs::copy(first.data.join("master.key"), second.data.join("master.key")).expect("the same secrets");
    let new = second.up();
    let admin = stale.at(&new);
    let from_now_on = everything(&admin).await;
    let removed = call(&stale, Method::DELETE, "/v1/services/shop", None).await;
    let (done, refused) = writer.await.expect("no panic");
    if let Some(reply) = removed {
        assert_eq!((reply.status.as_u16(), &*reply.code()), (409, "stale-controller"), "{}", reply.text);
    }
    eventually("the one that was replaced ends by itself", || !runs(old.pid));
    assert_eq!(everything(&admin).await, from_now_on, "once the new one leads, the old one changes nothing");
    // What it acknowledged before is there, every single write: at most 500 versions are listed.
    let versions = admin.get("/v1/services/shop/settings/N/versions").await.ok();
    let seen: Vec<&str> =
        versions["items"].as_array().expect("a list").iter().filter_map(|v| v["value"].as_str()).collect();
    let newest: Vec<&str> = done.iter().rev().take(500).map(String::as_str).collect();
    assert_eq!(seen, newest);
    println!("stale control plane over PostgreSQL: {} writes acknowledged and there, {refused} refused", done.len());
    assert!(!done.is_empty());
    assert!(second.orlop(["audit", "verify"]).ok().out.contains("ok"));
    second.orlop(["down"]).ok();
    first.orlop(["down"]);
}
