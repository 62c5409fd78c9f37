use std::collections::BTreeMap;

use api::deliver::{NeedDifference, SettingDifference, SettingPointer};
use api::manifest::Need;
use base::{NeedName, SettingName};
use ports::SettingRef;

/// The settings in which two sets of versions differ, by name.
pub(crate) fn settings(from: &[SettingRef], to: &[SettingRef]) -> Vec<SettingDifference> {
    let by_name = |set: &[SettingRef]| -> BTreeMap<SettingName, SettingRef> {
        set.iter().map(|setting| (setting.name.clone(), setting.clone())).collect()
    };
    differing(by_name(from), by_name(to))
        .map(|(name, from, to)| SettingDifference {
            name: name.to_string(),
            from: from.as_ref().map(pointer),
            to: to.as_ref().map(pointer),
        })
        .collect()
}

/// The needs in which two releases differ, by name.
pub(crate) fn needs(from: &BTreeMap<NeedName, Need>, to: &BTreeMap<NeedName, Need>) -> Vec<NeedDifference> {
    differing(from.clone(), to.clone())
        .map(|(name, from, to)| NeedDifference {
            name: name.to_string(),
            from: from.as_ref().map(spoken),
            to: to.as_ref().map(spoken),
        })
        .collect()
}

fn differing<K: Ord, V: PartialEq>(
    from: BTreeMap<K, V>,
    to: BTreeMap<K, V>,
) -> impl Iterator<Item = (K, Option<V>, Option<V>)> {
    let mut pairs: BTreeMap<K, (Option<V>, Option<V>)> = BTreeMap::new();
    for (key, value) in from {
        pairs.insert(key, (Some(value), None));
    }
    for (key, value) in to {
        pairs.entry(key).or_insert((None, None)).1 = Some(value);
    }
    pairs.into_iter().filter(|(_, (from, to))| from != to).map(|(key, (from, to))| (key, from, to))
}

fn pointer(setting: &SettingRef) -> SettingPointer {
    let scope = match (&setting.service, &setting.environment) {
        (None, _) => "platform",
        (Some(_), None) => "service",
        (Some(_), Some(_)) => "environment",
    };
    SettingPointer { version: setting.version, scope: scope.to_owned() }
}

fn spoken(need: &Need) -> String {
    match need {
        Need::Service(service) => format!("service {service}"),
        Need::External(url) => url.as_str().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(name: &str, version: i64, environment: Option<&str>) -> SettingRef {
        SettingRef {
            name: name.parse().unwrap(),
            service: Some("shop".parse().unwrap()),
            environment: environment.map(|e| e.parse().unwrap()),
            version,
            secret: false,
        }
    }

    #[test]
    fn one_version_of_one_setting_is_no_difference_and_everything_else_is() {
        let dev = [setting("A", 1, None), setting("B", 1, None), setting("C", 1, Some("dev")), setting("E", 2, None)];
        let prod = [setting("A", 1, None), setting("C", 1, Some("prod")), setting("D", 3, None), setting("E", 1, None)];
        let told: Vec<String> = settings(&dev, &prod)
            .into_iter()
            .map(|d| {
                let side =
                    |side: Option<SettingPointer>| side.map_or("-".into(), |s| format!("{} {}", s.scope, s.version));
                format!("{}: {} | {}", d.name, side(d.from), side(d.to))
            })
            .collect();
        assert_eq!(
            told,
            ["B: service 1 | -", "C: environment 1 | environment 1", "D: - | service 3", "E: service 2 | service 1"]
        );
        assert_eq!(settings(&dev, &dev), []);
    }

    #[test]
    fn needs_differ_by_what_they_mean() {
        let of = |pairs: &[(&str, Need)]| -> BTreeMap<NeedName, Need> {
            pairs.iter().map(|(name, need)| (name.parse().unwrap(), need.clone())).collect()
        };
        let service = |name: &str| Need::Service(name.parse().unwrap());
        let from = of(&[("stock", service("inventory")), ("mail", service("post"))]);
        let to = of(&[("stock", service("warehouse"))]);
        let told = needs(&from, &to);
        assert_eq!(told.len(), 2);
        assert_eq!(
            (told[0].name.as_str(), told[0].from.as_deref(), told[0].to.as_deref()),
            ("mail", Some("service post"), None)
        );
        assert_eq!(
            (told[1].from.as_deref(), told[1].to.as_deref()),
            (Some("service inventory"), Some("service warehouse"))
        );
    }
}
