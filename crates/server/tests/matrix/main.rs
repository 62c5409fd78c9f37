//! Every endpoint × every caller × every transport, through the real router and the real decision,
//! against the table that was written by hand. Each check, switched off, must show.

mod cast;
mod ended;
mod house;
mod planted;

use std::collections::BTreeMap;

use api::{Row, TABLE};
use http::Method;
use http::header::{ACCEPT, AUTHORIZATION, COOKIE};
use sim::{Cell, Matrix};

use crate::cast::Cast;
use crate::house::{House, Reply};

/// The ways in which a credential travels.
const TRANSPORTS: [&str; 4] = ["bearer", "basic", "event stream", "session"];
/// Endpoints that are asked about a service that does not exist, too.
const FREE: [&str; 4] = ["gitRefs", "gitReceivePack", "gitUploadPack", "getService"];

/// The path of an endpoint, about `service`.
fn path(row: &Row, service: &str) -> String {
    let values = BTreeMap::from([
        ("service", service),
        ("repository", service),
        ("team", "pay"),
        ("person", "vera"),
        ("environment", "dev"),
        ("name", "A"),
        ("number", "1"),
        ("template", "web"),
        ("token", "tok_01hzzzzzzzzzzzzzzzzzzzzzzz"),
        ("source", "src_01hzzzzzzzzzzzzzzzzzzzzzzz"),
        ("build", "bld_01hzzzzzzzzzzzzzzzzzzzzzzz"),
        ("rollout", "ro_01hzzzzzzzzzzzzzzzzzzzzzzz"),
        ("view", "mine"),
    ]);
    let filled = row.path.split('/').map(|part| match part.strip_prefix('{').and_then(|p| p.strip_suffix('}')) {
        Some(name) => values.get(name).copied().unwrap_or_else(|| panic!("{} has an unknown parameter", row.path)),
        None => part,
    });
    filled.collect::<Vec<_>>().join("/")
}

/// A request with the credential of a caller by one of the transports.
fn of(cast: &Cast, transport: &str, caller: &str) -> Vec<(http::HeaderName, String)> {
    match transport {
        "session" => {
            let session = http::HeaderName::from_static(house::SESSION);
            cast.session(caller).map(|secret| (session, secret.to_owned())).into_iter().collect()
        }
        _ => by(transport, cast.token(caller)),
    }
}

/// A request with a token by one of the transports.
fn by(transport: &str, token: Option<&str>) -> Vec<(http::HeaderName, String)> {
    let Some(token) = token else { return Vec::new() };
    let basic =
        || format!("Basic {}", base64::Engine::encode(&base64::prelude::BASE64_STANDARD, format!("git:{token}")));
    match transport {
        "basic" => vec![(AUTHORIZATION, basic())],
        "event stream" => vec![(AUTHORIZATION, format!("Bearer {token}")), (ACCEPT, "text/event-stream".to_owned())],
        _ => vec![(AUTHORIZATION, format!("Bearer {token}"))],
    }
}

async fn ask(house: &House, row: &Row, service: &str, headers: &[(http::HeaderName, String)]) -> Reply {
    let method: Method = row.method.word().parse().expect("a method");
    house.send(method, &path(row, service), headers, None).await
}

/// Every cell that is not as the table says; and how many there are.
async fn mismatches(house: &House, cast: &Cast, transports: &[&str]) -> (usize, Vec<String>) {
    let matrix = Matrix::read();
    let gaps = matrix.gaps(TABLE.iter().map(|row| row.id));
    assert!(gaps.is_empty(), "the matrix and the endpoint table differ: {gaps:?}");
    let (mut cells, mut wrong) = (0, Vec::new());
    for row in TABLE.iter() {
        let free = FREE.contains(&row.id).then(|| (format!("{}@free", row.id), "new"));
        for (line, service) in std::iter::once((row.id.to_owned(), "shop")).chain(free) {
            for caller in &matrix.callers {
                for transport in transports {
                    cells += 1;
                    let reply = ask(house, row, service, &of(cast, transport, caller)).await;
                    let (want, got) = (matrix.expect(&line, caller), reply.cell());
                    if want != got || (got == Cell::Allowed) != (reply.reached == Some(row.id.to_owned())) {
                        wrong.push(format!("{line} for {caller} by {transport}: want {want:?}, got {reply:?}"));
                    }
                }
            }
        }
    }
    (cells, wrong)
}

#[tokio::test]
async fn every_endpoint_for_every_caller_by_every_transport() {
    let house = House::new(None).await;
    let cast = Cast::of(&house).await;
    let (cells, wrong) = mismatches(&house, &cast, &TRANSPORTS).await;
    println!("access matrix: {cells} cells, {} mismatches", wrong.len());
    assert!(wrong.is_empty(), "{} of {cells} cells are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(cells, (TABLE.len() + FREE.len()) * 20 * TRANSPORTS.len());
}

/// A credential that comes in another way than those is none: no cookie, no token in an address, no session
/// that came over the network, no token as a session; and of two credentials neither counts.
#[tokio::test]
async fn what_is_no_transport_lets_nobody_in() {
    let house = House::new(None).await;
    let cast = Cast::of(&house).await;
    let token = cast.token("admin").expect("the admin has a token");
    let session = cast.session("admin").expect("the admin has a session");
    let as_session = http::HeaderName::from_static(house::SESSION);
    let matrix = Matrix::read();
    for row in TABLE.iter() {
        let ways: [(&str, Vec<(http::HeaderName, String)>); 10] = [
            ("", vec![(COOKIE, format!("orlop-session={session}; __Host-orlop-session={session}"))]),
            ("", by("bearer", Some(session))),
            ("", by("basic", Some(session))),
            ("", vec![(as_session.clone(), token.to_owned())]),
            ("", vec![(COOKIE, format!("session={token}; token={token}; orlop={token}"))]),
            ("", vec![(http::HeaderName::from_static("x-api-key"), token.to_owned())]),
            ("", vec![(AUTHORIZATION, token.to_owned())]),
            ("", vec![(AUTHORIZATION, format!("Token {token}"))]),
            ("", vec![(AUTHORIZATION, format!("Bearer {token}")), (AUTHORIZATION, format!("Bearer {token}"))]),
            (token, Vec::new()),
        ];
        for (in_query, headers) in ways {
            let method: Method = row.method.word().parse().expect("a method");
            let address = match in_query {
                "" => path(row, "shop"),
                token => format!("{}?token={token}&access_token={token}&private_token={token}", path(row, "shop")),
            };
            let reply = house.send(method, &address, &headers, None).await;
            assert_eq!(reply.cell(), matrix.expect(row.id, "nobody"), "{} with {headers:?}: {reply:?}", row.id);
        }
    }
}

/// Who may not read something gets, word for word, the answer for what does not exist.
#[tokio::test]
async fn what_is_hidden_reads_like_what_does_not_exist() {
    let house = House::new(None).await;
    let cast = Cast::of(&house).await;
    let matrix = Matrix::read();
    let mut compared = 0;
    for row in TABLE.iter() {
        for caller in &matrix.callers {
            if matrix.expect(row.id, caller) != Cell::Hidden {
                continue;
            }
            let headers = by("bearer", cast.token(caller));
            let hidden = ask(&house, row, "shop", &headers).await;
            let method: Method = row.method.word().parse().expect("a method");
            let address = path(row, "ghost").replace("/teams/pay", "/teams/ghost");
            let absent = house.send(method, &address, &headers, None).await;
            if absent.cell() == Cell::Allowed {
                // They may make a service of this name by pushing to it.
                assert!(FREE.contains(&row.id), "{} for {caller}: {absent:?}", row.id);
                continue;
            }
            let plain = |reply: &Reply, name: &str| reply.text.replace(name, "NAME").replace(&reply.request, "REQUEST");
            assert_eq!(hidden.status, absent.status, "{} for {caller}", row.id);
            let name = if row.path.contains("{team}") { "pay" } else { "shop" };
            assert_eq!(plain(&hidden, name), plain(&absent, "ghost"), "{} for {caller}", row.id);
            compared += 1;
        }
    }
    assert!(compared > 200, "only {compared} answers were compared");
}
