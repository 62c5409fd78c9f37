use std::collections::BTreeMap;

use base::SettingName;

use crate::manifest::*;

fn lookup(reference: &Reference) -> Option<String> {
    Some(
        match reference.to_string().as_str() {
            "${needs.db.url}" => "postgres://db:5432",
            "${needs.db.host}" => "db",
            "${needs.db.port}" => "5432",
            "${settings.A}" => "1",
            "${settings.SLY}" => "${settings.A} $${",
            _ => return None,
        }
        .to_owned(),
    )
}

fn check(text: &str, expect: &str) {
    assert_eq!(expand(text, lookup).as_deref(), Ok(expect), "{text}");
}

#[test]
fn values_are_put_in_once() {
    check("", "");
    check("${needs.db.url}?pool=${settings.A}", "postgres://db:5432?pool=1");
    check("${needs.db.host}:${needs.db.port}", "db:5432");
    check("${settings.SLY}", "${settings.A} $${");
}

#[test]
fn dollars() {
    for text in ["$", "$$", "$$$", "$A", "a$", "$(x)", "$ {", "}", "ä$ö", "$}"] {
        check(text, text);
    }
    check("$${settings.A}", "${settings.A}");
    check("$$${settings.A}", "$1");
    check("$$$${settings.A}", "$${settings.A}");
    check("$${", "${");
    check("$${a} ${settings.A}", "${a} 1");
}

#[test]
fn what_is_asked_for_is_listed() {
    let found = references("${needs.db.url} $${needs.x.url} ${settings.A} ${settings.A}").unwrap();
    let shown: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["${needs.db.url}", "${settings.A}", "${settings.A}"]);
}

#[test]
fn faults() {
    let refused = |text: &str, code: &str, says: &str| {
        let problem = expand(text, lookup).unwrap_err();
        assert_eq!(problem.code, code, "{text}: {problem}");
        assert!(problem.to_string().contains(says), "{text}: {problem}");
        assert!(problem.hint.is_some() && problem.to_string().len() < 600, "{problem}");
    };
    refused("${settings.A", "bad-reference", "no `}`");
    refused("${}", "bad-reference", "not a reference");
    refused("${settings.a-b}", "bad-reference", "${settings.A_B}");
    refused("${settings.}", "bad-reference", "setting name");
    refused("${needs.db}", "bad-reference", "${needs.db.url}");
    refused("${needs.db.prot}", "bad-reference", "${needs.db.port}");
    refused("${needs.DB.url}", "bad-reference", "lower-case");
    refused("${needs.db.url.x}", "bad-reference", "url");
    refused("${settings.NOPE}", "unknown-reference", "orlop setting set NOPE=");
    refused("${needs.nope.url}", "undeclared-need", "{ service: nope }");
    refused(&format!("${{{}}}", "x".repeat(100_000)), "bad-reference", "not a reference");
    let big = |_: &Reference| Some("x".repeat(40_000));
    assert_eq!(expand("${settings.A}${settings.A}", big).unwrap_err().code, "setting-too-long");
}

#[test]
fn what_is_missing_names_the_nearest() {
    let needs = ["db".parse().unwrap(), "inventory".parse().unwrap()];
    let settings = ["LOG_LEVEL".parse().unwrap()];
    let says = |text: &str, expect: &str| {
        let problem = wanted(text, &needs, &settings).unwrap_err();
        assert!(problem.hint.as_deref().unwrap().contains(expect), "{problem}");
    };
    says(
        "${settings.LOG_LEVL}",
        "write `${settings.LOG_LEVEL}` if you meant that, or set it: `orlop setting set LOG_LEVL=VALUE`",
    );
    says("${needs.inventori.host}", "${needs.inventory.host}");
    wanted("${needs.db.url} ${settings.LOG_LEVEL}", &needs, &settings).unwrap();
}

fn wanted(text: &str, needs: &[base::NeedName], settings: &[SettingName]) -> base::Result<()> {
    check_references(text, needs, settings)
}

fn settings(of: &[(&str, &str)]) -> BTreeMap<SettingName, String> {
    of.iter().map(|(name, value)| (name.parse().unwrap(), (*value).to_owned())).collect()
}

#[test]
fn settings_ask_for_each_other_and_the_platform_wins() {
    let of = settings(&[("B", "<${settings.C}>"), ("C", "c${settings.A}"), ("A", "from the file"), ("D", "$${x}")]);
    let resolved = resolve_settings(&of, lookup).unwrap();
    assert_eq!(resolved, settings(&[("A", "from the file"), ("B", "<c1>"), ("C", "c1"), ("D", "${x}")]));
    let problem = resolve_settings(&settings(&[("B", "${settings.C}"), ("C", "${settings.B}")]), lookup).unwrap_err();
    assert_eq!(problem.code, "setting-cycle");
    let problem = resolve_settings(&settings(&[("B", "${settings.NOPE}")]), lookup).unwrap_err();
    assert_eq!((problem.code.as_ref(), problem.place.as_deref()), ("unknown-reference", Some("settings.B")));
}

#[test]
fn settings_that_double_each_other_are_bounded() {
    let names: Vec<String> = (0..40).map(|n| format!("S{n}")).collect();
    let mut of = settings(&[("S0", "xxxxxxxx")]);
    for pair in names.windows(2) {
        of.insert(pair[1].parse().unwrap(), format!("${{settings.{0}}}${{settings.{0}}}", pair[0]));
    }
    assert_eq!(resolve_settings(&of, |_| None).unwrap_err().code, "setting-too-long");
}
