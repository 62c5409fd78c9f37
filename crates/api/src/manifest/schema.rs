use serde_json::{Map, Value, json};

use super::keys::{KEYS, Key, Support, Takes, within};

/// The JSON Schema (draft 2020-12) of the service file, for editors and checks in other places. What
/// the platform cannot do yet is not in it.
pub fn schema() -> Value {
    let mut schema = block("");
    schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("title".to_owned(), json!("orlop.yaml"));
    schema.insert(
        "description".to_owned(),
        json!("What a service is and needs. Every key is optional; an empty file is valid."),
    );
    // An empty file is a null in YAML.
    schema.insert("type".to_owned(), json!(["object", "null"]));
    Value::Object(schema)
}

/// A block of known keys.
fn block(path: &str) -> Map<String, Value> {
    let keys = within(path).filter(|key| key.support == Support::Now);
    let properties: Map<String, Value> =
        keys.map(|key| (key.name().to_owned(), Value::Object(property(key)))).collect();
    let mut schema = object(json!({ "type": "object", "additionalProperties": false }));
    if path == "needs.*" {
        // A need is exactly one thing.
        schema.insert("minProperties".to_owned(), json!(1));
        schema.insert("maxProperties".to_owned(), json!(1));
    }
    if path == "routes[]" {
        schema.insert("required".to_owned(), json!(["host"]));
    }
    schema.insert("properties".to_owned(), Value::Object(properties));
    schema
}

fn property(key: &Key) -> Map<String, Value> {
    let mut schema = match key.takes {
        Takes::Keys => nullable(key, block(key.path)),
        Takes::Names(form) => {
            let each = KEYS.iter().find(|each| each.parent() == key.path && each.name() == "*").map(property);
            let names = json!({ "pattern": form.pattern, "maxLength": form.chars_max });
            nullable(key, object(json!({ "type": "object", "propertyNames": names, "additionalProperties": each })))
        }
        Takes::Blocks => {
            let each = Value::Object(block(&format!("{}[]", key.path)));
            nullable(key, object(json!({ "type": "array", "items": each })))
        }
        Takes::Command => object(json!({
            "type": "array", "minItems": 1, "items": { "type": ["string", "number", "boolean"] }
        })),
        Takes::Text(form) if form.pattern.is_empty() => {
            object(json!({ "type": ["string", "number", "boolean"], "maxLength": form.chars_max }))
        }
        // An unquoted `2` or `0.5` is a number to an editor; the pattern is about text only.
        Takes::Text(form) if form.pattern.starts_with("^[0-9]") => {
            object(json!({ "type": ["string", "number"], "pattern": form.pattern, "maxLength": form.chars_max }))
        }
        Takes::Text(form) => object(json!({ "type": "string", "pattern": form.pattern, "maxLength": form.chars_max })),
        Takes::Words(words, _) => object(json!({ "enum": words })),
    };
    schema.insert("description".to_owned(), json!(key.meaning));
    if !key.default.is_empty() {
        schema.insert("$comment".to_owned(), json!(format!("Default: {}.", key.default)));
    }
    schema
}

/// A block may be left empty; `needs.x:` may not.
fn nullable(key: &Key, mut schema: Map<String, Value>) -> Map<String, Value> {
    if (key.name() != "*" || key.path == "processes.*")
        && let Some(kind) = schema.get_mut("type")
    {
        *kind = json!([kind.take(), "null"]);
    }
    schema
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
