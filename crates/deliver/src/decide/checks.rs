use std::collections::BTreeSet;

use api::manifest::{Need, Reference, references};
use base::{Problem, Result, ServiceName, SettingName};
use ports::SettingRef;

use crate::model::{Place, Spec};

/// Whether a release can begin in a place: its needs exist, and the settings it names have values.
///
/// # Errors
/// `need-not-found` and `setting-not-set`, each with the line to change or the command to run.
pub(crate) fn check(
    spec: &Spec,
    place: &Place,
    services: &BTreeSet<ServiceName>,
    settings: &[SettingRef],
) -> Result<()> {
    for (name, need) in &spec.needs {
        if let Need::Service(service) = need
            && !services.contains(service)
        {
            return Err(Problem::unprocessable(
                "need-not-found",
                format!("the need `{name}` is the service `{service}`, which does not exist"),
            )
            .at(format!("orlop.yaml: needs.{name}.service"))
            .hint(format!("make it: `orlop service create {service}`, or name another one in orlop.yaml under `needs.{name}.service`")));
        }
    }
    let set: BTreeSet<&SettingName> = settings.iter().map(|setting| &setting.name).collect();
    for (variable, template) in &spec.variables {
        for reference in references(template)? {
            if let Reference::Setting(name) = &reference
                && !set.contains(name)
                && !spec.variables.contains_key(name)
            {
                return Err(Problem::unprocessable(
                    "setting-not-set",
                    format!("the setting `{variable}` uses `{name}`, which has no value in {}", place.environment),
                )
                .at(format!("orlop.yaml: settings.{variable}"))
                .hint(format!("orlop setting set {name}=… --service {} --env {}", place.service, place.environment)));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use facts::ServiceKind;

    use super::*;

    fn check_with(needs: &[(&str, &str)], variables: &[(&str, &str)], set: &[&str]) -> Result<()> {
        let spec = Spec {
            kind: ServiceKind::Web,
            processes: Vec::new(),
            release: None,
            needs: needs.iter().map(|(n, s)| (n.parse().unwrap(), Need::Service(s.parse().unwrap()))).collect(),
            variables: variables.iter().map(|(n, v)| (n.parse().unwrap(), (*v).to_owned())).collect::<BTreeMap<_, _>>(),
            hosts: Vec::new(),
        };
        let place = Place { service: "shop".parse().unwrap(), environment: "prod".parse().unwrap() };
        let settings: Vec<SettingRef> = set
            .iter()
            .map(|name| SettingRef {
                name: name.parse().unwrap(),
                service: None,
                environment: None,
                version: 1,
                secret: false,
            })
            .collect();
        check(&spec, &place, &["stock".parse().unwrap()].into(), &settings)
    }

    #[test]
    fn what_is_missing_is_named_with_what_to_do() {
        assert!(check_with(&[("stock", "stock")], &[("A", "${settings.B} ${needs.stock.url}")], &["B"]).is_ok());
        assert!(check_with(&[], &[("A", "${settings.B}"), ("B", "x")], &[]).is_ok());
        let problem = check_with(&[("stock", "stok")], &[], &[]).unwrap_err();
        assert!(
            problem.to_string().contains("needs.stock.service") && problem.to_string().contains("stok"),
            "{problem}"
        );
        let problem = check_with(&[], &[("A", "x${settings.DB}")], &["B"]).unwrap_err();
        assert!(problem.to_string().contains("orlop setting set DB=… --service shop --env prod"), "{problem}");
    }
}
