use std::collections::BTreeMap;

use api::access::{Setting, SettingVerdict};
use base::limits::SETTING_BYTES_MAX;
use base::{Problem, Result, SettingName};

use crate::model::SettingRow;

/// Which version of each setting holds, from the newest versions of every scope that applies:
/// the more specific scope wins; a removed one leaves the less specific in force.
pub(crate) fn current(newest: Vec<SettingRow>) -> Vec<SettingRow> {
    let mut chosen: BTreeMap<SettingName, SettingRow> = BTreeMap::new();
    for row in newest.into_iter().filter(|row| !row.removed) {
        let rank = |r: &SettingRow| (r.scope.service.is_some(), r.scope.environment.is_some());
        let better = chosen.get(&row.name).is_none_or(|have| rank(&row) > rank(have));
        if better {
            chosen.insert(row.name.clone(), row);
        }
    }
    chosen.into_values().collect()
}

/// What holds in two environments, by name.
pub(crate) fn paired(
    from: Vec<SettingRow>,
    to: Vec<SettingRow>,
) -> impl Iterator<Item = (SettingName, Option<SettingRow>, Option<SettingRow>)> {
    let mut pairs: BTreeMap<SettingName, (Option<SettingRow>, Option<SettingRow>)> = BTreeMap::new();
    for row in from {
        let name = row.name.clone();
        pairs.entry(name).or_default().0 = Some(row);
    }
    for row in to {
        let name = row.name.clone();
        pairs.entry(name).or_default().1 = Some(row);
    }
    pairs.into_iter().map(|(name, (from, to))| (name, from, to))
}

/// How two sides compare, as they are shown. Two secrets are never compared by value: the answer
/// would let somebody who may write one of them find out the other.
pub(crate) fn verdict(from: Option<&Setting>, to: Option<&Setting>) -> SettingVerdict {
    let (from, to) = match (from, to) {
        (Some(from), Some(to)) => (from, to),
        (Some(_), None) => return SettingVerdict::OnlyFrom,
        (None, _) => return SettingVerdict::OnlyTo,
    };
    let same = (&from.service, &from.environment, from.version) == (&to.service, &to.environment, to.version);
    match (&from.value, &to.value) {
        _ if same => SettingVerdict::Equal,
        (Some(from), Some(to)) if from == to => SettingVerdict::Equal,
        (Some(_), Some(_)) => SettingVerdict::Different,
        _ if from.secret != to.secret => SettingVerdict::Different,
        _ => SettingVerdict::Own,
    }
}

/// Whether a setting may have this name and value.
pub(crate) fn value_allowed(name: &SettingName, value: &str) -> Result<()> {
    if name.is_reserved() {
        return Err(Problem::unprocessable("reserved-name", format!("`{name}` is set by the platform itself"))
            .hint("choose another name; PORT, HOME, PATH, TMPDIR and ORLOP_… are reserved"));
    }
    if value.len() > SETTING_BYTES_MAX {
        return Err(Problem::too_large(
            "setting-too-large",
            format!("the value of `{name}` is larger than {SETTING_BYTES_MAX} bytes"),
        ));
    }
    if value.contains('\0') {
        return Err(Problem::unprocessable(
            "bad-value",
            format!("the value of `{name}` contains a NUL, which no environment variable can"),
        )
        .hint("encode binary values, for example as base64"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use base::{Actor, Time};

    use super::*;
    use crate::model::Scope;

    fn row(service: bool, environment: bool, version: i64, removed: bool) -> SettingRow {
        SettingRow {
            scope: Scope {
                service: service.then(|| "shop".parse().unwrap()),
                environment: environment.then(|| "dev".parse().unwrap()),
            },
            name: "A".parse().unwrap(),
            version,
            secret: false,
            removed,
            sealed: String::new(),
            created: Time::default(),
            actor: Actor::Anonymous,
        }
    }

    fn check(rows: &[SettingRow], expect: Option<i64>) {
        for rows in [rows.to_vec(), rows.iter().rev().cloned().collect()] {
            assert_eq!(current(rows).first().map(|r| r.version), expect);
        }
    }

    #[test]
    fn the_more_specific_wins_and_removal_uncovers() {
        check(&[row(false, false, 1, false), row(true, false, 2, false), row(true, true, 3, false)], Some(3));
        check(&[row(false, false, 1, false), row(false, true, 2, false)], Some(2));
        check(&[row(true, false, 1, false), row(false, true, 2, false)], Some(1));
        check(&[row(false, false, 1, false), row(true, true, 3, true)], Some(1));
        check(&[row(false, false, 1, true)], None);
    }

    #[test]
    fn names_and_values() {
        assert!(value_allowed(&"A".parse().unwrap(), "x").is_ok());
        assert!(value_allowed(&"PORT".parse().unwrap(), "1").is_err());
        assert!(value_allowed(&"ORLOP_X".parse().unwrap(), "1").is_err());
        assert!(value_allowed(&"A".parse().unwrap(), "a\0b").is_err());
        assert!(value_allowed(&"A".parse().unwrap(), &"x".repeat(SETTING_BYTES_MAX + 1)).is_err());
    }

    fn shown(environment: Option<&str>, version: i64, secret: bool, value: Option<&str>) -> Setting {
        Setting {
            name: "A".parse().unwrap(),
            service: Some("shop".parse().unwrap()),
            environment: environment.map(|e| e.parse().unwrap()),
            version,
            secret,
            removed: false,
            value: value.map(str::to_owned),
            created: Time::default(),
            actor: Actor::Anonymous,
        }
    }

    #[test]
    fn values_are_compared_only_where_they_may_be_read() {
        let all = shown(None, 1, false, Some("a"));
        let dev = shown(Some("dev"), 1, false, Some("a"));
        let other = shown(Some("dev"), 1, false, Some("b"));
        let secret = shown(Some("dev"), 1, true, None);
        let own = shown(Some("prod"), 1, true, None);
        for (from, to, expect) in [
            (Some(&all), Some(&all), SettingVerdict::Equal),
            (Some(&all), Some(&dev), SettingVerdict::Equal),
            (Some(&all), Some(&other), SettingVerdict::Different),
            (Some(&secret), Some(&secret), SettingVerdict::Equal),
            (Some(&secret), Some(&own), SettingVerdict::Own),
            (Some(&secret), Some(&all), SettingVerdict::Different),
            (Some(&all), None, SettingVerdict::OnlyFrom),
            (None, Some(&all), SettingVerdict::OnlyTo),
        ] {
            assert_eq!(verdict(from, to), expect);
        }
    }
}
