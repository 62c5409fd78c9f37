//! What the document says beyond the Rust types: the exact form of texts and numbers that are read
//! by hand. Clients made from the document send what is taken.

use serde_json::{Map, Value, json};

/// `If-Match`: one ETag of this API, or anything that exists (RFC 9110 §13.1.1).
pub(crate) const IF_MATCH: &str = r#"^(\*|"?-?[0-9]{1,18}"?)$"#;
/// `Idempotency-Key`: printable ASCII, not empty, with or without quotes, no blank at either end
/// (HTTP strips those: RFC 9110 §5.5).
pub(crate) const IDEMPOTENCY_KEY: &str = r#"^([!-~]|[!#-~][!-~]|"[!#-~]|[!-~][ -~]{1,253}[!-~])$"#;
/// One line for people, in any script: no control character, and something else than blanks (Unicode's
/// `White_Space`).
const LINE: &str = concat!(
    r"^[^\u0000-\u001f\u007f-\u009f]*",
    r"[^\u0000-\u0020\u007f-\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]",
    r"[^\u0000-\u001f\u007f-\u009f]*$"
);
/// Longest line for people, characters as they are sent.
const LINE_CHARS_MAX: u32 = 100;
/// Places in an order.
const NUMBER: &str = "^[0-9]{1,18}$";

/// A place in each of several logs.
const LOG_PLACES: &str =
    "^(in_[0-7][0-9a-hjkmnp-tv-z]{25}=[0-9]{1,18}(;in_[0-7][0-9a-hjkmnp-tv-z]{25}=[0-9]{1,18})*)?$";

/// `Last-Event-ID` of a stream: each gives ids of its own form.
pub(crate) fn event_id(operation: &str) -> &'static str {
    match operation {
        "watchDeploy" => r"^[0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9}$",
        "watchLogs" => LOG_PLACES,
        _ => NUMBER,
    }
}

/// The form of `after` where a list does not go by names.
pub(crate) fn cursor(operation: &str) -> Option<&'static str> {
    Some(match operation {
        "listAudit" | "listActivity" | "listReleases" => NUMBER,
        "searchLogs" => LOG_PLACES,
        "listBuilds" => "^bld_[0-7][0-9a-hjkmnp-tv-z]{25}$",
        "listRollouts" => "^ro_[0-7][0-9a-hjkmnp-tv-z]{25}$",
        "listRuns" => "^[0-7][0-9a-hjkmnp-tv-z]{25}$",
        "listTokens" => "^tok_[0-7][0-9a-hjkmnp-tv-z]{25}$",
        _ => return None,
    })
}

/// Texts of the query: whatever can be stored.
const NO_NUL: &str = r"^[^\u0000]*$";
/// A description: one line, or nothing.
const DESCRIPTION: &str = r"^[^\u0000-\u001f\u007f-\u009f]*$";
/// Longest description, characters.
const DESCRIPTION_CHARS_MAX: u32 = 200;

/// Says of a text in the query that nothing else is said of what it may hold.
pub(crate) fn storable(schema: &mut Value) {
    let is_text = schema["type"] == "string" || schema["type"].as_array().is_some_and(|t| t.contains(&"string".into()));
    if let (true, Value::Object(map)) = (is_text, schema) {
        map.entry("pattern").or_insert(NO_NUL.into());
    }
}

/// Says of schemas what their types cannot.
pub(crate) fn beyond_types(schemas: &mut Map<String, Value>) {
    let mut put = |at: &str, key: &str, value: Value| {
        let (name, pointer) = at.split_once('/').unwrap_or((at, ""));
        let pointer = if pointer.is_empty() { String::new() } else { format!("/{pointer}") };
        if let Some(Value::Object(found)) = schemas.get_mut(name).and_then(|schema| schema.pointer_mut(&pointer)) {
            found.insert(key.to_owned(), value);
        }
    };
    for schema in ["NewToken", "NewSession", "SignInCode"] {
        put(&format!("{schema}/properties/name"), "pattern", LINE.into());
        put(&format!("{schema}/properties/name"), "maxLength", LINE_CHARS_MAX.into());
    }
    put("NewRollout", "oneOf", one_way_to_roll_out());
    for schema in ["NewService", "ServiceChange"] {
        put(&format!("{schema}/properties/description"), "pattern", DESCRIPTION.into());
        put(&format!("{schema}/properties/description"), "maxLength", DESCRIPTION_CHARS_MAX.into());
    }
}

/// Exactly one of `release`, `from`, `rollback`, `restart`; only `rollback` may come with `release`.
fn one_way_to_roll_out() -> Value {
    let (none, no, yes) = (json!({ "type": "null" }), json!({ "const": false }), json!({ "const": true }));
    json!([
        { "required": ["release"], "properties": { "release": { "type": "integer" }, "from": none, "restart": no } },
        { "required": ["from"], "properties": { "from": { "type": "string" }, "release": none, "rollback": no, "restart": no } },
        { "required": ["rollback"], "properties": { "rollback": yes, "release": none, "from": none, "restart": no } },
        { "required": ["restart"], "properties": { "restart": yes, "release": none, "from": none, "rollback": no } },
    ])
}

/// Unsigned numbers of 32 bits go up to their own end, not to the one of signed numbers, which
/// `int32` would say.
pub(crate) fn unsigned(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if map.get("format").is_some_and(|f| f == "int32") && map.get("minimum").is_some_and(|m| m == 0) {
                map.remove("format");
                map.entry("maximum").or_insert(u32::MAX.into());
            }
            map.values_mut().for_each(unsigned);
        }
        Value::Array(items) => items.iter_mut().for_each(unsigned),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use crate::openapi::document;

    #[test]
    fn operations_with_a_form_of_their_own_are_there() {
        let forms = crate::TABLE.iter().filter(|row| super::cursor(row.id).is_some()).count();
        let ids = crate::TABLE.iter().filter(|row| super::event_id(row.id) != super::NUMBER).count();
        assert_eq!((forms, ids), (8, 2));
    }

    #[test]
    fn the_document_says_it() {
        let doc = document();
        let at = |pointer: &str| doc.pointer(pointer).unwrap_or_else(|| panic!("{pointer}"));
        assert_eq!(at("/components/schemas/NewRollout/oneOf").as_array().unwrap().len(), 4);
        assert_eq!(at("/components/schemas/NewToken/properties/name/pattern"), super::LINE);
        for schema in ["NewSession", "SignInCode"] {
            assert_eq!(at(&format!("/components/schemas/{schema}/properties/name/maxLength")), super::LINE_CHARS_MAX);
        }
        assert_eq!(at("/components/schemas/ScaleTo/properties/instances/maximum"), 100);
        let needs_body = |id: &str| at(&format!("/paths/{id}/requestBody/required")).as_bool();
        assert_eq!(needs_body("~1v1~1teams/post"), Some(true));
        assert_eq!(needs_body("~1v1~1services~1{service}/patch"), Some(false));
        let text = doc.to_string();
        for said in [super::IF_MATCH, super::IDEMPOTENCY_KEY, super::NUMBER, "^bld_[0-7]"] {
            assert!(text.contains(serde_json::to_string(said).unwrap().trim_matches('"')), "{said}");
        }
    }
}
