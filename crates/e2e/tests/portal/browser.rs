//! A real browser: headless Chromium, driven over WebDriver (W3C) by a small client of our own. A
//! driver program of the browser's own version is all that is needed besides.
#![expect(clippy::disallowed_methods, reason = "starts the driver of the browser under test")]

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::{Client, Method};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};

/// A page that is not as it should be within this span never will be.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// The name of an element in answers of a driver (WebDriver §12.1).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// How a page is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// A desk, light colours.
    Light,
    /// A desk, dark colours.
    Dark,
    /// A telephone, light colours.
    Narrow,
}

impl View {
    pub const ALL: [Self; 3] = [Self::Light, Self::Dark, Self::Narrow];

    pub const fn word(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
            Self::Narrow => "narrow",
        }
    }

    const fn size(self) -> (u32, u32) {
        match self {
            Self::Narrow => (390, 844),
            _ => (1280, 900),
        }
    }
}

/// Why there is no browser here.
pub fn missing() -> Option<String> {
    let lacks = |names: &[&str]| find(names).is_none().then(|| names.join(" or "));
    let lacking = [lacks(&DRIVERS), lacks(&BROWSERS)].into_iter().flatten().collect::<Vec<_>>();
    (!lacking.is_empty()).then(|| format!("not on the path: {}", lacking.join(", ")))
}

const DRIVERS: [&str; 2] = ["chromedriver", "chromium.chromedriver"];
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

fn find(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let all = std::env::split_paths(&path).flat_map(|dir| names.iter().map(move |name| dir.join(name)));
    all.into_iter().find(|path| path.is_file())
}

/// One browser window with cookies of its own. Everything ends when it is dropped.
pub struct Browser {
    client: Client,
    session: String,
    driver: Driver,
    _profile: tempfile::TempDir,
}

struct Driver {
    child: Child,
    url: String,
}

impl Drop for Driver {
    fn drop(&mut self) {
        // The driver began a group of its own, and the browser is in it.
        if let Some(pid) = Pid::from_raw(self.child.id().cast_signed()) {
            let _ = kill_process_group(pid, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

impl Driver {
    fn start() -> Self {
        let program = find(&DRIVERS).expect("asked for before");
        let mut child = Command::new(program)
            .args(["--port=0", "--log-level=SEVERE"])
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the driver starts");
        let lines = BufReader::new(child.stdout.take().expect("its output is a pipe")).lines();
        let port = lines.map_while(Result::ok).find_map(|line| {
            let port = line.strip_prefix("ChromeDriver was started successfully on port ")?;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        let url = format!("http://127.0.0.1:{}", port.expect("the driver says on which port it listens"));
        Self { child, url }
    }
}

impl Browser {
    /// A new one, without a past.
    pub async fn start() -> Self {
        let driver = Driver::start();
        let profile = tempfile::Builder::new().prefix("orlop-browser-").tempdir().expect("a temporary folder");
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(90)).build().expect("a client");
        let browser = find(&BROWSERS).expect("asked for before");
        let arguments = json!([
            "--headless=new",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--no-proxy-server",
            "--disable-background-networking",
            "--disable-component-update",
            "--no-first-run",
            "--hide-scrollbars",
            "--force-device-scale-factor=1",
            "--lang=en-GB",
            format!("--user-data-dir={}", profile.path().display()),
        ]);
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": { "binary": browser, "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
            "unhandledPromptBehavior": "ignore",
        }}});
        let url = format!("{}/session", driver.url);
        let answer: Value =
            client.post(url).json(&wanted).send().await.expect("the driver answers").json().await.expect("JSON");
        let session = answer.pointer("/value/sessionId").and_then(Value::as_str);
        let session = session.unwrap_or_else(|| panic!("no session: {answer}")).to_owned();
        let browser = Self { client, session, driver, _profile: profile };
        browser.look(View::Light).await;
        browser
    }

    /// A command that must succeed.
    async fn tell(&self, method: Method, what: &str, body: Option<Value>) -> Value {
        self.try_tell(method, what, body).await.unwrap_or_else(|problem| panic!("{what}: {problem}"))
    }

    async fn try_tell(&self, method: Method, what: &str, body: Option<Value>) -> Result<Value, Value> {
        let request = self.client.request(method, format!("{}/session/{}/{what}", self.driver.url, self.session));
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        let mut answer: Value = request.send().await.expect("the driver answers").json().await.expect("JSON");
        let value = answer["value"].take();
        if value.get("error").is_some_and(Value::is_string) { Err(value) } else { Ok(value) }
    }

    /// Something that WebDriver has no words for (Chrome DevTools Protocol).
    pub async fn devtools(&self, command: &str, params: Value) -> Value {
        self.tell(Method::POST, "goog/cdp/execute", Some(json!({ "cmd": command, "params": params }))).await
    }

    /// Size and colours.
    pub async fn look(&self, view: View) {
        let (width, height) = view.size();
        let metrics =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": view == View::Narrow });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
        let scheme = if view == View::Dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }, { "name": "prefers-reduced-motion", "value": "reduce" }]);
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    /// Switches scripts of pages off or on; those of the tests run all the same.
    pub async fn scripts(&self, on: bool) {
        self.devtools("Emulation.setScriptExecutionDisabled", json!({ "value": !on })).await;
    }

    pub async fn open(&self, url: &str) {
        self.tell(Method::POST, "url", Some(json!({ "url": url }))).await;
    }

    pub async fn url(&self) -> String {
        self.tell(Method::GET, "url", None).await.as_str().unwrap_or_default().to_owned()
    }

    /// The value of an expression.
    pub async fn value(&self, expression: &str) -> Value {
        let script = json!({ "script": format!("return ({expression});"), "args": [] });
        self.tell(Method::POST, "execute/sync", Some(script)).await
    }

    /// Runs a script that calls back with its last argument.
    pub async fn run(&self, script: &str, args: Value) -> Value {
        self.tell(Method::POST, "execute/async", Some(json!({ "script": script, "args": args }))).await
    }

    /// What a person reads on the page.
    pub async fn text(&self) -> String {
        self.value("document.body ? document.body.innerText : ''").await.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until an expression is true.
    #[track_caller]
    pub fn until<'a>(&'a self, what: &str, expression: &str) -> impl Future<Output = ()> + use<'a> {
        let place = std::panic::Location::caller();
        let (what, expression) = (what.to_owned(), format!("!!({expression})"));
        async move {
            let begun = tokio::time::Instant::now();
            while self.value(&expression).await != json!(true) {
                if begun.elapsed() > PATIENCE {
                    let (url, text) = (self.url().await, self.text().await);
                    panic!("{place}: this did not come about: {what}\nat {url} one reads:\n{text}");
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// Waits until a person can read this.
    #[track_caller]
    pub fn until_text<'a>(&'a self, text: &str) -> impl Future<Output = ()> + use<'a> {
        let expression = format!("document.body && document.body.innerText.includes({})", json!(text));
        self.until(&format!("`{text}` on the page"), &expression)
    }

    /// Clicks the first element of a CSS selector, as a person does.
    #[track_caller]
    pub fn click<'a>(&'a self, selector: &str) -> impl Future<Output = ()> + use<'a> {
        let (place, selector) = (std::panic::Location::caller(), selector.to_owned());
        async move {
            let wanted = json!({ "using": "css selector", "value": selector });
            let found = self.try_tell(Method::POST, "element", Some(wanted)).await;
            let found = match found {
                Ok(found) => found,
                Err(problem) => {
                    panic!("{place}: no {selector} at {}: {problem}\n{}", self.url().await, self.text().await)
                }
            };
            let id = found[ELEMENT].as_str().unwrap_or_default().to_owned();
            if let Err(problem) = self.try_tell(Method::POST, &format!("element/{id}/click"), Some(json!({}))).await {
                panic!("{place}: {selector} cannot be clicked at {}: {problem}", self.url().await);
            }
        }
    }

    /// Types into the first element of a selector.
    pub async fn fill(&self, selector: &str, text: &str) {
        let wanted = json!({ "using": "css selector", "value": selector });
        let found = self.tell(Method::POST, "element", Some(wanted)).await;
        let id = found[ELEMENT].as_str().unwrap_or_default().to_owned();
        self.tell(Method::POST, &format!("element/{id}/value"), Some(json!({ "text": text }))).await;
    }

    /// Presses keys, one after the other, wherever the focus is. Names of keys that are no characters
    /// are those of WebDriver §17.4.2: `Tab`, `Enter`, `Escape`, `ArrowDown`, `Control+k`.
    pub async fn press(&self, keys: &[&str]) {
        let mut actions = Vec::new();
        for key in keys {
            let (held, key) = match key.split_once('+').filter(|(_, key)| !key.is_empty()) {
                Some((held, key)) => (Some(code(held)), code(key)),
                None => (None, code(key)),
            };
            actions.extend(held.iter().map(|held| json!({ "type": "keyDown", "value": held })));
            actions.push(json!({ "type": "keyDown", "value": key }));
            actions.push(json!({ "type": "keyUp", "value": key }));
            actions.extend(held.iter().map(|held| json!({ "type": "keyUp", "value": held })));
        }
        let keyboard = json!({ "actions": [{ "type": "key", "id": "keys", "actions": actions }] });
        self.tell(Method::POST, "actions", Some(keyboard)).await;
    }

    /// Which element has the focus: its tag, id, name, and what it says.
    pub async fn focus(&self) -> String {
        let script = "(() => { const e = document.activeElement; return e ? e.tagName.toLowerCase() + '#' + e.id + ' ' + (e.getAttribute('href') || e.name || '') + ' ' + (e.innerText || e.ariaLabel || '').trim().slice(0, 60) : '' })()";
        self.value(script).await.as_str().unwrap_or_default().to_owned()
    }

    /// The whole page as a PNG.
    pub async fn picture(&self) -> Vec<u8> {
        use base64::Engine as _;
        let size = self.devtools("Page.getLayoutMetrics", json!({})).await;
        let of = |name: &str| size.pointer(&format!("/cssContentSize/{name}")).and_then(Value::as_f64).unwrap_or(800.0);
        let clip = json!({ "x": 0, "y": 0, "width": of("width"), "height": of("height").min(6000.0), "scale": 1 });
        let wanted = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let answer = self.devtools("Page.captureScreenshot", wanted).await;
        let text = answer["data"].as_str().unwrap_or_default();
        base64::engine::general_purpose::STANDARD.decode(text).expect("base 64")
    }

    /// What the console said since it was last asked: errors of scripts, of the network, of the policy.
    pub async fn console(&self) -> Vec<String> {
        let said = self.tell(Method::POST, "se/log", Some(json!({ "type": "browser" }))).await;
        let severe = |entry: &&Value| entry["level"] != json!("INFO") && entry["level"] != json!("DEBUG");
        let words = |entry: &Value| {
            format!(
                "{}: {}",
                entry["level"].as_str().unwrap_or_default(),
                entry["message"].as_str().unwrap_or_default()
            )
        };
        said.as_array().into_iter().flatten().filter(severe).map(words).collect()
    }

    /// All cookies, those that scripts do not see too.
    pub async fn cookies(&self) -> Vec<Value> {
        self.tell(Method::GET, "cookie", None).await.as_array().cloned().unwrap_or_default()
    }

    /// Forgets who was signed in.
    pub async fn forget(&self) {
        self.tell(Method::DELETE, "cookie", None).await;
    }
}

fn code(key: &str) -> String {
    let named = match key {
        "Tab" => '\u{e004}',
        "Enter" => '\u{e007}',
        "Escape" => '\u{e00c}',
        "ArrowDown" => '\u{e015}',
        "ArrowUp" => '\u{e013}',
        "Space" => ' ',
        "Shift" => '\u{e008}',
        "Control" => '\u{e009}',
        key => return key.to_owned(),
    };
    named.to_string()
}
