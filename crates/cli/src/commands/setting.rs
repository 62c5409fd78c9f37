noun! {
    /// List, set, remove and compare settings and secrets
    list => List,
    set => Set,
    unset => Unset,
    history => History,
    compare => Compare,
    restore => Restore,
}

use api::access::Setting;
use base::{EnvironmentName, Time};
use clap::Args as ClapArgs;

use crate::args::Which;
use crate::output::{Paint, Table};
use crate::text::{actor, ago};

/// Whose settings.
#[derive(Debug, ClapArgs)]
pub struct Scope {
    #[command(flatten)]
    which: Which,
    /// Only in this environment; default: in all
    #[arg(short, long = "env", value_name = "ENV")]
    environment: Option<EnvironmentName>,
}

/// Settings without the values of secrets.
fn table(settings: &[Setting], now: Time, paint: Paint, empty: &str) -> String {
    let mut table = Table::new(["NAME", "ENV", "VERSION", "SET", "BY", "VALUE"]);
    for s in settings {
        let value = match (&s.value, s.removed, s.secret) {
            (_, true, _) => "(removed)".to_owned(),
            (Some(value), _, false) => one_line(value),
            _ => "(secret)".to_owned(),
        };
        let place = s.environment.as_ref().map_or_else(|| "all".to_owned(), ToString::to_string);
        let (set, by) = (ago(s.created, now), actor(&s.actor));
        table.plain([s.name.to_string(), place, s.version.to_string(), set, by, value]);
    }
    table.show(paint, empty)
}

/// The beginning of a value that has many lines or is long.
fn one_line(value: &str) -> String {
    let first: String = value.lines().next().unwrap_or_default().chars().take(80).collect();
    if first.len() < value.len() { format!("{first}…") } else { first }
}
