//! The table of all keys of a service file.

use serde::{Serialize, Serializer};

/// One key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Where it stands: `run.command`. `*` is any name, `[]` any item of a list.
    pub path: &'static str,
    /// What may stand there.
    pub takes: Takes,
    /// What is so where it is left out.
    pub default: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// How it is written, from the left margin on.
    pub example: &'static str,
    /// Whether the platform can do it.
    pub support: Support,
}

/// What may stand behind a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// A block of the keys beneath it in the table.
    Keys,
    /// A block of names of one's own choice, of this sort.
    Names(Form),
    /// A list of blocks.
    Blocks,
    /// A program and its arguments.
    Command,
    /// Text in a form.
    Text(Form),
    /// One of these words. The words of the second list are known and not supported yet.
    Words(&'static [&'static str], &'static [&'static str]),
}

/// The form of a text: what it is, for people, and its pattern (ECMA-262, as JSON Schema wants).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// Read after "takes".
    pub what: &'static str,
    /// Pattern of the whole text; empty where any text will do.
    pub pattern: &'static str,
    /// Longest text, characters.
    pub chars_max: usize,
}

/// Whether the platform can do what a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// It can.
    Now,
    /// It cannot yet; what to do instead.
    NotYet(&'static str),
}

impl Key {
    /// The last part of the path: `command`.
    pub fn name(&self) -> &'static str {
        self.path.rsplit('.').next().unwrap_or(self.path)
    }

    /// The path of what it stands in; `""` for the file itself, `None` for that.
    pub fn parent(&self) -> &'static str {
        self.path.rsplit_once('.').map_or("", |(parent, _)| parent)
    }
}

impl Takes {
    /// In words.
    pub fn words(&self) -> String {
        match self {
            Self::Keys => "a block of keys".to_owned(),
            Self::Names(form) => format!("a block with {}s as keys", form.what.trim_start_matches("a ")),
            Self::Blocks => "a list of blocks of keys".to_owned(),
            Self::Command => "a list: the program and each of its arguments".to_owned(),
            Self::Text(form) => form.what.to_owned(),
            Self::Words(words, _) => super::suggest::one_of(words.iter().copied()),
        }
    }
}

impl Serialize for Takes {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.words())
    }
}

const fn form(what: &'static str, pattern: &'static str, chars_max: usize) -> Form {
    Form { what, pattern, chars_max }
}

const SERVICE: Form = form("a service name", LABEL, 40);
const TEAM: Form = form("a team name", LABEL, 40);
const PROCESS: Form = form("a process name", LABEL, 30);
const NEED: Form = form("a need name", LABEL, 40);
const SETTING: Form = form("a setting name", "^[A-Z][A-Z0-9_]*$", 128);
const ANY: Form = form("text, a number, `true` or `false`", "", base::limits::SETTING_BYTES_MAX);
const PATH: Form = form("a path that begins with `/`", "^/[!-~]*$", 1024);
const SPAN: Form = form("a span of time", "^[0-9]+(ms|s|m|h|d)$", 20);
const CPU: Form = form("cores, or thousandths of a core with `m`", "^[0-9]+(m|\\.[0-9]{1,3})?$", 20);
const MEMORY: Form = form("an amount of memory", "^[0-9]+([KMGT]i?)?$", 20);
const INSTANCES: Form = form("a number, or a range `A..B`", "^[0-9]+(\\.\\.[0-9]+)?$", 20);
const HOST: Form = form("a host name", "^[a-z0-9-]+(\\.[a-z0-9-]+)*$", 253);
const URL: Form = form("a URL without a password", "^[a-z][a-z0-9+.-]*://[!-~]+$", 2048);

/// A DNS label without double hyphens: the grammar of most names.
const LABEL: &str = "^[a-z](-?[a-z0-9])*$";
const KINDS: &[&str] = &["web", "worker", "site"];
const KINDS_LATER: &[&str] = &["job", "cron", "function"];
const RECIPES: &[&str] = &["rust", "go", "python", "node", "site", "procfile", "command"];
const RECIPES_LATER: &[&str] = &["dockerfile", "image"];

const fn key(
    path: &'static str,
    takes: Takes,
    default: &'static str,
    meaning: &'static str,
    example: &'static str,
) -> Key {
    Key { path, takes, default, meaning, example, support: Support::Now }
}

const fn later(path: &'static str, takes: Takes, meaning: &'static str, instead: &'static str) -> Key {
    Key { path, takes, default: "", meaning, example: "", support: Support::NotYet(instead) }
}

/// Every key there is, in the order of the file, a block before what stands in it.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key("service", Takes::Text(SERVICE), "the name of the folder or repository",
        "The name of the service, unique in the installation. Its host names begin with it.", "service: checkout"),
    key("team", Takes::Text(TEAM), "your only team", "The team that owns the service.", "team: payments"),
    key("kind", Takes::Words(KINDS, KINDS_LATER), "what the recipe finds; `web` where that is not plain",
        "What the service is: `web` answers requests on $PORT, `worker` listens to nobody, `site` is a folder of files that the platform serves.",
        "kind: web"),
    key("build", Takes::Keys, "detected", "How the source becomes something that runs.", "build: { recipe: rust }"),
    key("build.recipe", Takes::Words(RECIPES, RECIPES_LATER), "detected from the files",
        "By which recipe the source is built. `command` builds nothing and runs `run.command` as it is.", "build: { recipe: rust }"),
    key("run", Takes::Keys, "what the recipe says", "What runs: the process that gets the traffic, or the only one.",
        "run: { command: [\"./checkout\"], health: /healthz }"),
    key("run.command", Takes::Command, "what the recipe says",
        "The program and its arguments; no shell is involved. `${NAME}` in an argument is the value of that environment variable; $PORT is the port to listen on.",
        "run: { command: [\"./checkout\", \"--port\", \"${PORT}\"] }"),
    key("run.health", Takes::Text(PATH), "the port accepts a connection",
        "A path that answers 200 to 399 once an instance can take requests. Traffic waits for it.", "run: { health: /healthz }"),
    key("run.release", Takes::Command, "nothing",
        "Runs once to its end before traffic moves to a new release: database migrations. If it fails, the release gets no traffic.",
        "run: { release: [\"./checkout\", \"migrate\"] }"),
    key("run.stop", Takes::Text(SPAN), "30s",
        "How long an instance may take to end after SIGTERM before it is ended by force; at most 15m.", "run: { stop: 30s }"),
    key("size", Takes::Keys, "cpu 500m, memory 512Mi, one instance", "How large one instance is, and how many there are.",
        "size: { cpu: 500m, memory: 256Mi, instances: 2 }"),
    key("size.cpu", Takes::Text(CPU), "500m", "The most processor time of one instance.", "size: { cpu: 500m }"),
    key("size.memory", Takes::Text(MEMORY), "512Mi", "The most memory of one instance; it is ended when it takes more.",
        "size: { memory: 256Mi }"),
    key("size.instances", Takes::Text(INSTANCES), "1",
        "How many instances run, or the range that `orlop scale` may choose from; it starts with the lower end.", "size: { instances: 2 }"),
    key("processes", Takes::Names(PROCESS), "what the recipe says",
        "Several processes of one service. `web` gets the traffic, every other name is a worker. What is set here wins over `run` and `size`.",
        "processes: { worker: { command: [\"./checkout\", \"work\"] } }"),
    key("processes.*", Takes::Keys, "", "One process of the service.", "processes: { worker: { command: [\"./checkout\", \"work\"] } }"),
    key("processes.*.command", Takes::Command, "what the recipe says", "Like `run.command`, for this process.",
        "processes: { worker: { command: [\"./checkout\", \"work\"] } }"),
    key("processes.*.health", Takes::Text(PATH), "the port accepts a connection", "Like `run.health`; only for the process `web`.",
        "processes: { web: { health: /healthz } }"),
    key("processes.*.stop", Takes::Text(SPAN), "as `run.stop`", "Like `run.stop`, for this process.", "processes: { worker: { stop: 2m } }"),
    key("processes.*.size", Takes::Keys, "cpu and memory as in `size`, one instance", "Like `size`, for this process.",
        "processes: { worker: { size: { memory: 1Gi, instances: 2 } } }"),
    key("processes.*.size.cpu", Takes::Text(CPU), "as `size.cpu`", "Like `size.cpu`, for this process.", "processes: { worker: { size: { cpu: 1 } } }"),
    key("processes.*.size.memory", Takes::Text(MEMORY), "as `size.memory`", "Like `size.memory`, for this process.",
        "processes: { worker: { size: { memory: 1Gi } } }"),
    key("processes.*.size.instances", Takes::Text(INSTANCES), "1",
        "Like `size.instances`, for this process; 0 for a worker that does not run.", "processes: { worker: { size: { instances: 2 } } }"),
    key("needs", Takes::Names(NEED), "nothing",
        "What the service reaches outside itself. A need `inventory` gives the environment variable INVENTORY_URL; what is not listed cannot be reached.",
        "needs: { inventory: { service: inventory }, stripe: { external: \"https://api.stripe.com\" } }"),
    key("needs.*", Takes::Keys, "", "One thing that the service needs: another service or something outside.",
        "needs: { inventory: { service: inventory } }"),
    key("needs.*.service", Takes::Text(SERVICE), "", "Another service of the installation, in the same environment.",
        "needs: { inventory: { service: inventory } }"),
    key("needs.*.external", Takes::Text(URL), "", "Something outside the installation; its host and port can be reached.",
        "needs: { stripe: { external: \"https://api.stripe.com\" } }"),
    later("needs.*.store", Takes::Text(ANY), "A database, cache or bucket that the platform provides.",
        "run the store yourself and name it: `{ external: \"postgres://db.example.com:5432\" }`, with its password as a setting: `orlop setting set DB_PASSWORD=…`"),
    key("settings", Takes::Names(SETTING), "nothing",
        "Environment variables of the instances. Values set with `orlop setting set` win over these; secrets belong only there.",
        "settings: { LOG_LEVEL: info, POOL: 5 }"),
    key("settings.*", Takes::Text(ANY), "",
        "The value, with `${needs.NAME.url}`, `${needs.NAME.host}`, `${needs.NAME.port}` and `${settings.NAME}` put in; `$${` is a plain `${`.",
        "settings: { STAGE: live, BUCKET: \"shop-${settings.STAGE}\" }"),
    key("routes", Takes::Blocks, "<service>-<environment>.<domain>", "Host names of one's own for the service, beside the platform's.",
        "routes: [ { host: shop.example.com } ]"),
    key("routes[].host", Takes::Text(HOST), "", "A host name that points to the platform; no scheme, port or path.",
        "routes: [ { host: shop.example.com } ]"),
    key("rollout", Takes::Keys, "replace", "How a new release takes over.", "rollout: { strategy: replace }"),
    key("rollout.strategy", Takes::Words(&["replace"], &["canary"]), "replace",
        "`replace`: new instances start beside the old ones, take all traffic once they are ready, and the old ones end when they have finished.",
        "rollout: { strategy: replace }"),
    later("rollout.steps", Takes::Text(ANY), "Shares of the traffic that a new release gets one after the other.",
        "remove it: a release takes all traffic once it is ready, and is taken back by itself if it fails"),
    later("rollout.bake", Takes::Text(ANY), "How long each step of a rollout is watched.",
        "remove it: a rollout is watched for a fixed time before it counts as done"),
    later("scale", Takes::Keys, "How the number of instances follows the load.",
        "remove it, and set the number: `size: { instances: 2 }` or `orlop scale`"),
    later("objectives", Takes::Blocks, "What the service promises about availability and latency.", "remove it"),
];

/// The key at a path with `*` and `[]`; the file itself is not in the table.
pub(super) fn at(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// The keys that stand directly in the block at this path; `""` for the file itself.
pub(super) fn within(path: &str) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(move |key| key.parent() == path && key.name() != "*")
}
