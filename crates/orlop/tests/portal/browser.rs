//! As much of a browser as these tests need: it keeps cookies, and sends forms as they stand on a page.

use std::collections::BTreeMap;
use std::sync::Mutex;

use axum::body::Body;
use http::{HeaderMap, Request};
use http_body_util::BodyExt as _;
use serde_json::Value;
use server::Router;
use tower::ServiceExt as _;

const HOST: &str = "127.0.0.1:7400";
const ORIGIN: &str = "http://127.0.0.1:7400";

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Reply {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }
}

pub struct Browser {
    router: Router,
    cookies: Mutex<BTreeMap<String, String>>,
}

impl Browser {
    pub fn new(router: &Router) -> Self {
        Self { router: router.clone(), cookies: Mutex::default() }
    }

    /// Signs in with a one-time code or a token.
    pub async fn signed_in(router: &Router, field: &str, secret: &str) -> Self {
        let browser = Self::new(router);
        let reply = browser.post("/sign-in", &[(field, secret)]).await;
        assert_eq!(reply.status, 303, "{}", reply.text);
        assert!(browser.cookie("orlop-session-7400").is_some());
        browser
    }

    pub fn cookie(&self, name: &str) -> Option<String> {
        self.cookies.lock().unwrap().get(name).cloned()
    }

    pub fn keep(&self, name: &str, value: &str) {
        self.cookies.lock().unwrap().insert(name.to_owned(), value.to_owned());
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, &[("accept", "text/html")], Body::empty()).await
    }

    /// Sends fields as a page of the portal would.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        self.form(path, fields, &[("origin", ORIGIN), ("sec-fetch-site", "same-origin")]).await
    }

    /// Sends fields with other headers than a page of the portal would.
    pub async fn form(&self, path: &str, fields: &[(&str, &str)], headers: &[(&str, &str)]) -> Reply {
        let text: Vec<String> =
            fields.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
        let mut all = vec![("content-type", "application/x-www-form-urlencoded"), ("accept", "text/html")];
        all.extend_from_slice(headers);
        self.ask("POST", path, &all, Body::from(text.join("&"))).await
    }

    /// Opens a page, takes the proof from its forms, and sends one; follows where that leads.
    pub async fn sent(&self, page: &str, action: &str, fields: &[(&str, &str)]) -> Reply {
        let reply = self.send(page, action, fields).await;
        match reply.status {
            303 => self.get(reply.header("location")).await,
            200 => reply,
            status => panic!("{action} from {page}: {status} {}", reply.text),
        }
    }

    /// The same, wherever it leads.
    pub async fn send(&self, page: &str, action: &str, fields: &[(&str, &str)]) -> Reply {
        let shown = self.get(page).await;
        let proof = (field(&shown.text, "form-token"), field(&shown.text, "form-key"));
        let mut all = vec![("form-token", proof.0.as_str()), ("form-key", proof.1.as_str())];
        all.extend_from_slice(fields);
        self.post(action, &all).await
    }

    /// Asks the API as a program would, with the cookies of this browser besides.
    pub async fn api(&self, method: &str, path: &str, token: Option<&str>, body: Option<Value>) -> Reply {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
        self.ask(method, path, &headers, body.map_or_else(Body::empty, |body| Body::from(body.to_string()))).await
    }

    pub async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Body) -> Reply {
        let mut request = Request::builder().method(method).uri(path);
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.header("host", HOST);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let cookies: Vec<String> = self.cookies.lock().unwrap().iter().map(|(n, v)| format!("{n}={v}")).collect();
        if !cookies.is_empty() {
            request = request.header("cookie", cookies.join("; "));
        }
        let request = request.body(body).unwrap_or_else(|e| panic!("{path}: {e}"));
        let response = self.router.clone().oneshot(request).await.expect("the router always answers");
        let (head, body) = response.into_parts();
        for set in head.headers.get_all("set-cookie") {
            let text = set.to_str().expect("a cookie is text");
            let (name, value) = text.split(';').next().and_then(|one| one.split_once('=')).expect("a cookie");
            match text.contains("Max-Age=0") {
                true => self.cookies.lock().unwrap().remove(name),
                false => self.cookies.lock().unwrap().insert(name.to_owned(), value.to_owned()),
            };
        }
        let bytes = body.collect().await.expect("a whole body").to_bytes();
        Reply {
            status: head.status.as_u16(),
            headers: head.headers,
            text: String::from_utf8_lossy(&bytes).into_owned(),
        }
    }
}

/// The value of the first hidden field of this name.
pub fn field(page: &str, name: &str) -> String {
    let mark = format!("name=\"{name}\" value=\"");
    page.split(&mark).nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default().to_owned()
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}
