use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::FULL;
use crate::manifest::*;

/// The keys of a value as paths of the table.
fn paths(value: &Value, path: &str, out: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (name, inner) in map {
                let free = matches!(path, "processes" | "needs" | "settings");
                let name = if free { "*" } else { name };
                let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
                paths(inner, &path, out);
                out.insert(path);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| paths(item, &format!("{path}[]"), out)),
        _ => {}
    }
}

#[test]
fn the_table_has_the_keys_of_the_types_and_no_others() {
    let mut file = parse(FULL, FILE).unwrap();
    // `run.health` and `processes.web.health` exclude each other in a file, not in the types.
    let web = file.processes.get_mut(&"web".parse().unwrap()).unwrap();
    (web.health, web.command) = (file.run.health.clone(), file.run.command.clone());
    let mut types = BTreeSet::new();
    paths(&serde_json::to_value(&file).unwrap(), "", &mut types);
    let table: BTreeSet<String> =
        KEYS.iter().filter(|key| key.support == Support::Now).map(|key| key.path.to_owned()).collect();
    assert_eq!(types, table);
}

#[test]
fn every_key_is_explained_and_its_example_is_taken() {
    for key in KEYS {
        let text = explain(key.path).unwrap_or_else(|| panic!("{}", key.path));
        assert_eq!(text.key, key.path);
        assert!(text.meaning.ends_with('.') && text.meaning.len() > 15, "{}", key.path);
        assert!(!text.takes.is_empty());
        match text.example {
            Some(example) => {
                assert!(!example.contains('\n'), "{} is shown in one line", key.path);
                parse(example, FILE).unwrap_or_else(|problem| panic!("{}: {problem}", key.path));
                let mut used = BTreeSet::new();
                let value = serde_json::to_value(parse(example, FILE).unwrap()).unwrap();
                paths(&value, "", &mut used);
                assert!(used.contains(key.path), "the example of {} has other keys", key.path);
            }
            None => assert!(text.not_yet.is_some(), "{}", key.path),
        }
    }
    assert_eq!(explanations().len(), KEYS.len());
}

#[test]
fn keys_are_found_as_people_type_them() {
    let found = |text: &str| explain(text).map(|explanation| explanation.key);
    assert_eq!(found("run.command"), Some("run.command"));
    assert_eq!(found("recipe"), Some("build.recipe"));
    assert_eq!(found("needs.inventory.service"), Some("needs.*.service"));
    assert_eq!(found("settings.LOG_LEVEL"), Some("settings.*"));
    assert_eq!(found("routes[0].host"), Some("routes[].host"));
    assert_eq!(found("routes.host"), Some("routes[].host"));
    assert_eq!(found("scale"), Some("scale"));
    assert_eq!(found("xyzzy"), None);
    assert_eq!(found(""), None);
    assert_eq!(found("run.command.x"), None);
    assert!(explain("run").unwrap().within.contains(&"run.health"));
    assert!(explain("scale").unwrap().not_yet.is_some());
    assert_eq!(explain("kind").unwrap().words_not_yet, ["job", "cron", "function"]);
}

/// Whether a value fits a schema: the part of JSON Schema that ours uses, without patterns.
fn fits(schema: &Value, value: &Value) -> Result<(), String> {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let allowed =
        |types: &Value| types == kind || types.as_array().is_some_and(|types| types.iter().any(|t| t == kind));
    if schema.get("type").is_some_and(|types| !allowed(types)) {
        return Err(format!("{value} is no {}", schema["type"]));
    }
    if schema.get("enum").is_some_and(|words| !words.as_array().unwrap().contains(value)) {
        return Err(format!("{value} is none of {}", schema["enum"]));
    }
    for item in value.as_array().into_iter().flatten() {
        fits(&schema["items"], item)?;
    }
    for (name, inner) in value.as_object().into_iter().flatten() {
        match schema["properties"].get(name) {
            Some(property) => fits(property, inner)?,
            None if schema["additionalProperties"].is_object() => fits(&schema["additionalProperties"], inner)?,
            None => return Err(format!("no property {name}")),
        }
    }
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    match required.filter_map(Value::as_str).find(|name| value.get(name).is_none()) {
        Some(name) => Err(format!("{name} is missing")),
        None => Ok(()),
    }
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

#[test]
fn the_schema_takes_what_the_parser_takes() {
    let schema = schema();
    let examples = KEYS.iter().map(|key| key.example).filter(|example| !example.is_empty());
    for text in examples.chain([FULL, "{}", "settings:\nprocesses: { web: }", "size: { cpu: 0.5, instances: 2 }"]) {
        parse(text, FILE).unwrap();
        fits(&schema, &yaml(text)).unwrap_or_else(|fault| panic!("{text}\n{fault}"));
    }
    for text in [
        "servcie: x",
        "kind: cron",
        "scale: {}",
        "run: x",
        "run: { command: x }",
        "routes: [ {} ]",
        "needs: { a: { store: x } }",
    ] {
        assert!(parse(text, FILE).is_err(), "{text}");
        assert!(fits(&schema, &yaml(text)).is_err(), "{text}");
    }
}

#[test]
fn the_schema_is_a_schema() {
    let schema = schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["properties"]["kind"]["enum"], json!(["web", "worker", "site"]));
    assert_eq!(schema["properties"]["settings"]["propertyNames"]["pattern"], "^[A-Z][A-Z0-9_]*$");
    assert_eq!(schema["properties"]["scale"], Value::Null);
    // No schema is so open that it takes anything by accident.
    fn closed(at: &str, schema: &Value) {
        assert!(schema.get("type").is_some() || schema.get("enum").is_some(), "{at} takes anything");
        for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
            closed(&format!("{at}.{name}"), inner);
        }
        for inner in ["items", "additionalProperties"] {
            if schema[inner].is_object() {
                closed(&format!("{at}.{inner}"), &schema[inner]);
            }
        }
    }
    closed("", &schema);
}
