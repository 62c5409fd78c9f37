//! The one configuration loader: defaults, then the file, then the environment, then flags.
//! Unknown keys are refused with the nearest known one; `orlop config dump` prints the result.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use base::{Bytes, HostName, MilliCpu, Problem, Result, Span};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

/// The configuration of an installation.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Everything that Orlop keeps is beneath this directory.
    pub data: PathBuf,
    /// Where state is kept; empty: SQLite in the data directory. `postgres://…` for PostgreSQL.
    pub database: String,
    /// Where the API listens.
    pub listen: SocketAddr,
    /// Names under which the portal may be asked for, besides `localhost` and addresses; others are refused,
    /// since another site could let its own name lead here.
    pub hosts: Vec<HostName>,
    /// Services answer at `<service>-<environment>.<domain>`.
    pub domain: HostName,
    /// The traffic data plane.
    pub gateway: GatewayConfig,
    /// Builds.
    pub build: BuildConfig,
    /// Rollouts.
    pub rollout: RolloutConfig,
    /// Bounds for instances; sizes are the manifest's.
    pub instance: InstanceConfig,
    /// When what is needed no more is deleted.
    pub deletion: DeletionConfig,
}

/// When what is needed no more is deleted.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeletionConfig {
    /// Artifacts, sources and logs of builds that no kept release needs are deleted so long after
    /// that was recorded.
    pub delay: Span,
}

/// The traffic data plane.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayConfig {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The port that clients use, if something in front of the gateway maps it; 0: the port of `listen`.
    pub public_port: u16,
    /// Connections of one client address (IPv6: of one /64), or of one service that calls another, at a time.
    pub connections_per_client: u64,
}

impl GatewayConfig {
    /// The port in the URLs of services.
    pub fn public_port(&self) -> u16 {
        if self.public_port == 0 { self.listen.port() } else { self.public_port }
    }
}

/// Builds.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildConfig {
    /// Builds at once.
    pub concurrency: u32,
    /// Processor limit of one build.
    pub cpu: MilliCpu,
    /// Memory limit of one build.
    pub memory: Bytes,
    /// Most that one build may write.
    pub disk: Bytes,
    /// A build is ended after this long.
    pub deadline: Span,
    /// New builds are refused when the data directory's disk has less free space than this.
    pub disk_reserve: Bytes,
    /// `PATH` of builds and instances; empty: that of `orlop up`.
    pub path: String,
    /// Folders and files of the host that builds may read beside the system: toolchains, package
    /// settings, CA bundles. Those on `path` and of known toolchains are found by themselves.
    pub host_paths: Vec<PathBuf>,
    /// Environment variables of `orlop up` that are handed to builds: proxies, package mirrors, CA bundles.
    pub pass_env: Vec<String>,
}

/// Rollouts.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RolloutConfig {
    /// New instances must be ready within this span.
    pub start_deadline: Span,
    /// A release command must end within this span.
    pub release_deadline: Span,
    /// The gateway must have taken new weights within this span.
    pub shift_deadline: Span,
    /// A new release is watched this long under all traffic before the old one ends.
    pub verify: Span,
    /// The old instances' requests may take this long to finish.
    pub drain_deadline: Span,
    /// A worker that has run this long without ending counts as ready.
    pub worker_ready: Span,
}

/// Bounds for instances.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstanceConfig {
    /// Most bytes of temporary files.
    pub disk: Bytes,
    /// Most processes and threads.
    pub tasks: u32,
    /// Folders and files of the host that instances may read beside the system: interpreters.
    /// Those on the builds' `path` are found by themselves.
    pub host_paths: Vec<PathBuf>,
}

/// The environment variables that builds get by default, as `*` patterns: what companies use for
/// proxies, CA certificates and package mirrors. Tokens of other kinds are not among them.
const PASSED: [&str; 24] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "GIT_SSL_CAINFO",
    "PIP_*",
    "UV_*",
    "POETRY_*",
    "npm_config_*",
    "NPM_CONFIG_*",
    "YARN_*",
    "CARGO_HTTP_*",
    "CARGO_NET_*",
    "CARGO_REGISTRIES_*",
    "GOPROXY",
];

impl Config {
    /// The defaults beneath a data directory.
    pub fn defaults(data: &Path) -> Self {
        let span = |s| Span(std::time::Duration::from_secs(s));
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Self {
            data: data.to_owned(),
            database: String::new(),
            listen: local(7400),
            hosts: Vec::new(),
            domain: LOCALHOST.parse().unwrap_or_else(|_| unreachable!("`localhost` is a host name")),
            gateway: GatewayConfig { listen: local(8080), public_port: 0, connections_per_client: 10_000 },
            build: BuildConfig {
                concurrency: 2,
                cpu: MilliCpu(4000),
                memory: Bytes(4 << 30),
                disk: Bytes(8 << 30),
                deadline: span(1800),
                disk_reserve: Bytes(1 << 30),
                path: String::new(),
                host_paths: Vec::new(),
                pass_env: PASSED.iter().map(|s| (*s).to_owned()).collect(),
            },
            rollout: RolloutConfig {
                start_deadline: span(60),
                release_deadline: span(600),
                shift_deadline: span(30),
                verify: span(2),
                drain_deadline: span(30),
                worker_ready: span(2),
            },
            instance: InstanceConfig { disk: Bytes(1 << 30), tasks: 512, host_paths: Vec::new() },
            deletion: DeletionConfig { delay: span(7 * 24 * 3600) },
        }
    }

    /// Loads: defaults, `file` if it exists, variables `ORLOP_…` (`ORLOP_GATEWAY__LISTEN` for
    /// `gateway.listen`), then `flags` (dotted keys). `data` itself may come from all but the file.
    pub fn load(
        data: &Path,
        file: Option<&Path>,
        env: &BTreeMap<String, String>,
        flags: &[(String, String)],
    ) -> Result<Self> {
        let defaults = Table::try_from(Self::defaults(data)).map_err(|e| Problem::internal("config-defaults", e))?;
        let mut table = defaults.clone();
        if let Some(path) = file
            && let Some(text) = read_file(path)?
        {
            let place = path.display().to_string();
            let layer: Table = toml::from_str(&text)
                .map_err(|e| Problem::invalid("bad-config", e.message()).at(at_line(&place, &text, e.span())))?;
            overlay(&mut table, layer, "", &place)?;
            Self::read(&table).map_err(|e| Problem::invalid("bad-config", e.message()).at(&place))?;
        }
        let mut set = |key: &str, value: &str, place: String| {
            set(&mut table, key, value, &place)?;
            // Each is read at once, so that a value that cannot be used is blamed on where it stands.
            Self::read(&table)
                .map(drop)
                .map_err(|e| Problem::invalid("bad-config", format!("`{key}`: {}", e.message())).at(&place))
        };
        for (name, value) in env {
            if let Some(key) = key_of_variable(name) {
                set(&key, value, format!("environment variable {name}"))?;
            }
        }
        for (key, value) in flags {
            set(key, value, format!("flag for `{key}`"))?;
        }
        Self::read(&table).map_err(|e| Problem::invalid("bad-config", e.message()))
    }

    fn read(table: &Table) -> std::result::Result<Self, toml::de::Error> {
        table.clone().try_into()
    }

    /// The result as a TOML text that can be a configuration file.
    pub fn dump(&self) -> Result<String> {
        toml::to_string_pretty(self).map_err(|e| Problem::internal("config-dump", e))
    }

    /// The same to be shown: the database's password is masked.
    #[must_use]
    pub fn without_secrets(mut self) -> Self {
        if let Some((head, user, rest)) = user_information(&self.database)
            && let Some((name, _)) = user.split_once(':')
        {
            self.database = format!("{head}{name}:{MASKED}{rest}");
        }
        if let Some((before, behind)) = self.database.split_once(PASSWORD_PARAMETER) {
            let after = behind.find('&').and_then(|end| behind.get(end..)).unwrap_or_default();
            self.database = format!("{before}{PASSWORD_PARAMETER}{MASKED}{after}");
        }
        self
    }

    /// The URL of the state database.
    pub fn database_url(&self) -> String {
        if self.database.is_empty() {
            format!("sqlite:{}", self.data.join("orlop.db").display())
        } else {
            self.database.clone()
        }
    }
}

const LOCALHOST: &str = "localhost";
/// Stands where a password stood.
const MASKED: &str = "MASKED";
/// Where PostgreSQL takes a password besides.
const PASSWORD_PARAMETER: &str = "password=";

/// Whether a URL carries a password (RFC 3986 §3.2.1).
pub fn has_password(url: &str) -> bool {
    user_information(url).is_some_and(|(_, user, _)| user.split_once(':').is_some_and(|(_, word)| !word.is_empty()))
        || url.contains(PASSWORD_PARAMETER)
}

/// What stands before, in and behind the user information of a URL.
fn user_information(url: &str) -> Option<(&str, &str, &str)> {
    let begin = url.find("://")?.saturating_add("://".len());
    let (head, rest) = url.split_at_checked(begin)?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let at = rest.get(..end)?.rfind('@')?;
    let (user, behind) = rest.split_at_checked(at)?;
    Some((head, user, behind))
}

/// Variables that begin with the prefix and are not keys.
const NOT_KEYS: [&str; 6] = ["ORLOP_DATA", "ORLOP_CONFIG", "ORLOP_URL", "ORLOP_TOKEN", "ORLOP_LOG", "ORLOP_BIN"];

fn key_of_variable(name: &str) -> Option<String> {
    if NOT_KEYS.contains(&name) || name.starts_with("ORLOP_TEST_") || name.starts_with("ORLOP_REQUIRE_") {
        return None;
    }
    Some(name.strip_prefix("ORLOP_")?.to_ascii_lowercase().replace("__", "."))
}

fn read_file(path: &Path) -> Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Problem::invalid("config-unreadable", format!("cannot read {}: {e}", path.display()))),
    }
}

fn at_line(place: &str, text: &str, span: Option<std::ops::Range<usize>>) -> String {
    let start = span.map_or(0, |s| s.start);
    let line = text.bytes().take(start).filter(|b| *b == b'\n').count().saturating_add(1);
    format!("{place}:{line}")
}

/// Lays one table over another; keys that the lower one does not have are refused.
fn overlay(lower: &mut Table, upper: Table, prefix: &str, place: &str) -> Result<()> {
    for (key, value) in upper {
        let full = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match (lower.get_mut(&key), value) {
            (None, _) => return Err(unknown(&full, lower.keys(), place)),
            (Some(Value::Table(lower)), Value::Table(upper)) => overlay(lower, upper, &full, place)?,
            (Some(slot), value) => *slot = value,
        }
    }
    Ok(())
}

/// Sets one dotted key from a text; the type is that of the default.
fn set(table: &mut Table, key: &str, text: &str, place: &str) -> Result<()> {
    let (head, rest) = key.split_once('.').map_or((key, None), |(h, r)| (h, Some(r)));
    let known: Vec<String> = table.keys().cloned().collect();
    match (table.get_mut(head), rest) {
        (Some(Value::Table(inner)), Some(rest)) => set(inner, rest, text, place),
        (Some(slot), None) if !slot.is_table() => {
            *slot = convert(slot, text).ok_or_else(|| {
                Problem::invalid("bad-config", format!("`{text}` is not a {}", slot.type_str())).at(place)
            })?;
            Ok(())
        }
        _ => Err(unknown(key, known.iter(), place)),
    }
}

fn convert(like: &Value, text: &str) -> Option<Value> {
    Some(match like {
        Value::Integer(_) => Value::Integer(text.parse().ok()?),
        Value::Boolean(_) => Value::Boolean(text.parse().ok()?),
        Value::Float(_) => Value::Float(text.parse().ok()?),
        Value::Array(_) => Value::Array(
            text.split(',').filter(|s| !s.is_empty()).map(|s| Value::String(s.trim().to_owned())).collect(),
        ),
        _ => Value::String(text.to_owned()),
    })
}

fn unknown<'a>(key: &str, known: impl Iterator<Item = &'a String>, place: &str) -> Problem {
    let last = key.rsplit('.').next().unwrap_or(key);
    let known: Vec<&str> = known.map(String::as_str).collect();
    let nearest = known.iter().max_by(|a, b| {
        let score = |k: &str| strsim::jaro_winkler(k, last);
        score(a).total_cmp(&score(b))
    });
    let problem = Problem::invalid("unknown-config-key", format!("unknown key `{key}`")).at(place);
    match nearest {
        Some(nearest) => problem.hint(format!("did you mean `{nearest}`? known here: {}", known.join(", "))),
        None => problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(file: &str, env: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Config> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("orlop.toml");
        std::fs::write(&path, file).unwrap();
        let env = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let flags: Vec<_> = flags.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Config::load(Path::new("/data"), Some(&path), &env, &flags)
    }

    #[test]
    fn later_layers_win() {
        let file = "domain = \"a.example\"\n[gateway]\nlisten = \"127.0.0.1:1\"\n[build]\nconcurrency = 3\n";
        let config = load(
            file,
            &[("ORLOP_GATEWAY__LISTEN", "127.0.0.1:2"), ("ORLOP_DOMAIN", "b.example"), ("PATH", "/bin")],
            &[("domain", "c.example")],
        )
        .unwrap();
        assert_eq!(config.domain.as_str(), "c.example");
        assert_eq!(config.gateway.listen.port(), 2);
        assert_eq!(config.build.concurrency, 3);
        assert_eq!(config.instance.tasks, 512, "defaults stay");
    }

    #[test]
    fn a_value_that_cannot_be_used_names_its_place() {
        let (soon, file) = ("soon", "[build]\ndeadline = \"later\"\n");
        let of_flag = load("", &[], &[("build.deadline", soon)]).unwrap_err();
        assert!(of_flag.message.contains("`build.deadline`") && of_flag.message.contains("`soon`"), "{of_flag}");
        let of_file = load(file, &[("ORLOP_DOMAIN", "b.example")], &[]).unwrap_err();
        assert!(of_file.place.unwrap().ends_with("orlop.toml") && of_file.message.contains("`later`"));
    }

    #[test]
    fn unknown_keys_name_the_nearest_and_the_place() {
        for (file, env, flags) in [
            ("domian = \"x\"\n", vec![], vec![]),
            ("", vec![("ORLOP_DOMIAN", "x")], vec![]),
            ("", vec![], vec![("domian", "x")]),
        ] {
            let problem = load(file, &env, &flags).unwrap_err();
            assert_eq!(problem.code, "unknown-config-key");
            assert!(problem.hint.unwrap().contains("`domain`"));
            assert!(problem.place.is_some());
        }
        assert!(load("[gateway]\nport = 1\n", &[], &[]).is_err());
        assert!(load("[gateway.listen]\nport = 1\n", &[], &[]).is_err(), "a table where a text belongs");
    }

    #[test]
    fn wrong_types_are_refused() {
        assert!(load("listen = 5\n", &[], &[]).is_err());
        assert!(load("", &[("ORLOP_BUILD__CONCURRENCY", "many")], &[]).is_err());
        assert!(load("domain = \"Not A Host\"\n", &[], &[]).is_err());
        let problem = load("a = [\n", &[], &[]).unwrap_err();
        assert!(problem.place.unwrap().contains("orlop.toml:"), "names the line");
    }

    #[test]
    fn what_is_dumped_can_be_loaded() {
        let config = load("", &[], &[]).unwrap();
        let again = load(&config.dump().unwrap(), &[], &[]).unwrap();
        assert_eq!(config.dump().unwrap(), again.dump().unwrap());
    }

    #[test]
    fn a_password_in_an_address_is_seen_and_masked() {
        let check = |url: &str, has: bool, shown: &str| {
            assert_eq!(has_password(url), has, "{url}");
            let config = Config { database: url.to_owned(), ..Config::defaults(Path::new("/data")) };
            assert_eq!(config.without_secrets().database, shown);
        };
        check("", false, "");
        check("sqlite:/data/a:b@c.db", false, "sqlite:/data/a:b@c.db");
        check("postgres://orlop@db/orlop", false, "postgres://orlop@db/orlop");
        check("postgres://orlop:pa@ss:w@db/orlop?x=@", true, "postgres://orlop:MASKED@db/orlop?x=@");
        check("postgres://db/orlop?password=x&a=b", true, "postgres://db/orlop?password=MASKED&a=b");
    }
}
