//! Every text field of the interface, from its own description, and requests with a text in one.

use reqwest::Method;
use serde_json::{Value, json};

use crate::http::Api;

/// One text field of one endpoint.
#[derive(Debug, Clone)]
pub struct Field {
    endpoint: String,
    method: Method,
    path: String,
    place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Path(String),
    Query(String),
    /// A JSON pointer into the body, and the body with it.
    Body(String, Value),
    Header(&'static str),
}

impl Field {
    pub fn name(&self) -> String {
        match &self.place {
            Place::Path(name) => format!("{} path {name}", self.endpoint),
            Place::Query(name) => format!("{} query {name}", self.endpoint),
            Place::Body(pointer, _) => format!("{} body {pointer}", self.endpoint),
            Place::Header(name) => format!("{} header {name}", self.endpoint),
        }
    }
}

/// Every text field, from the interface's own description.
pub fn fields() -> Vec<Field> {
    let document = api::document();
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let endpoint = operation["operationId"].as_str().expect("an id").to_owned();
            let method: Method = method.to_ascii_uppercase().parse().expect("a method");
            let field = |place| Field { endpoint: endpoint.clone(), method: method.clone(), path: path.clone(), place };
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let name = parameter["name"].as_str().expect("a name").to_owned();
                match parameter["in"].as_str() {
                    Some("path") => all.push(field(Place::Path(name))),
                    Some("query") => all.push(field(Place::Query(name))),
                    _ => {}
                }
            }
            if method != Method::GET {
                all.push(field(Place::Header("idempotency-key")));
            }
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            if !schema.is_null() {
                let whole = example(&document, schema, 0);
                let mut pointers = Vec::new();
                texts(&whole, String::new(), &mut pointers);
                all.extend(pointers.into_iter().map(|pointer| field(Place::Body(pointer, whole.clone()))));
            }
        }
    }
    all
}

/// A value of a schema with every text in it.
fn example(document: &Value, schema: &Value, depth: usize) -> Value {
    if depth > 8 {
        return Value::Null;
    }
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap_or_default();
        return example(document, &document["components"]["schemas"][name], depth + 1);
    }
    for key in ["oneOf", "anyOf", "allOf"] {
        let options = schema[key].as_array().into_iter().flatten();
        if let Some(option) = options.into_iter().find(|option| option["type"] != "null") {
            return example(document, option, depth + 1);
        }
    }
    if let Some(first) = schema["enum"].as_array().and_then(|words| words.first()) {
        return first.clone();
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().find(|k| *k != "null").cloned().unwrap_or_default(),
        kind => kind.clone(),
    };
    match kind.as_str() {
        Some("object") => {
            let mut out = serde_json::Map::new();
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                out.insert(name.clone(), example(document, property, depth + 1));
            }
            if schema["additionalProperties"].is_object() {
                out.insert("name".into(), example(document, &schema["additionalProperties"], depth + 1));
            }
            Value::Object(out)
        }
        Some("array") => json!([example(document, &schema["items"], depth + 1)]),
        Some("integer" | "number") => json!(1),
        Some("boolean") => json!(false),
        _ => json!("dev"),
    }
}

fn texts(value: &Value, at: String, out: &mut Vec<String>) {
    match value {
        Value::String(_) => out.push(at),
        Value::Object(map) => {
            map.iter().for_each(|(k, v)| texts(v, format!("{at}/{}", k.replace('~', "~0").replace('/', "~1")), out))
        }
        Value::Array(items) => items.iter().enumerate().for_each(|(n, v)| texts(v, format!("{at}/{n}"), out)),
        _ => {}
    }
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

/// One request with the text in the field.
pub async fn send(api: &Api, field: &Field, text: &str) -> (u16, String) {
    let mut path = field.path.clone();
    if let Place::Path(name) = &field.place {
        path = path.replace(&format!("{{{name}}}"), &encoded(text));
    }
    for (name, value) in [
        ("service", "shop"),
        ("team", "pay"),
        ("person", "ada"),
        ("environment", "dev"),
        ("name", "A"),
        ("number", "1"),
        ("template", "web"),
        ("repository", "shop.git"),
        ("token", "tok_01hzzzzzzzzzzzzzzzzzzzzzzz"),
        ("source", "src_01hzzzzzzzzzzzzzzzzzzzzzzz"),
        ("build", "bld_01hzzzzzzzzzzzzzzzzzzzzzzz"),
        ("rollout", "ro_01hzzzzzzzzzzzzzzzzzzzzzzz"),
        ("view", "mine"),
    ] {
        path = path.replace(&format!("{{{name}}}"), value);
    }
    if let Place::Query(name) = &field.place {
        path = format!("{path}?{name}={}", encoded(text));
    }
    let mut request = api.request(field.method.clone(), &path).timeout(std::time::Duration::from_secs(20));
    match &field.place {
        Place::Body(pointer, body) => {
            let mut body = body.clone();
            *body.pointer_mut(pointer).expect("its own pointer") = json!(text);
            request = request.json(&body);
        }
        Place::Header(name) => match reqwest::header::HeaderValue::from_bytes(text.as_bytes()) {
            Ok(value) => request = request.header(*name, value),
            // No client can send it.
            Err(_) => return (0, String::new()),
        },
        _ => {}
    }
    match request.send().await {
        Ok(response) => {
            let status = response.status().as_u16();
            let is_stream =
                response.headers().get("content-type").is_some_and(|v| v.as_bytes().starts_with(b"text/event"));
            (status, if is_stream { String::new() } else { response.text().await.unwrap_or_default() })
        }
        Err(e) => (999, e.to_string()),
    }
}

#[test]
fn every_field_is_found() {
    let fields = fields();
    let names: std::collections::BTreeSet<String> = fields.iter().map(Field::name).collect();
    println!("{} fields: {names:?}", fields.len());
    for name in
        ["getService path service", "listServices query search", "createTeam body /team", "issueToken body /scopes/0"]
    {
        assert!(names.contains(name), "{name}");
    }
}
