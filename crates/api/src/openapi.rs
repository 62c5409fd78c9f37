//! The OpenAPI 3.1 document, made from the endpoint table.

use serde_json::{Map, Value, json};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use crate::forms::{self, IDEMPOTENCY_KEY, IF_MATCH};
use crate::{Access, Endpoint, Method, ProblemBody, Row, Shape, TABLE};

/// What the document says about one endpoint; filled by [`describe`].
#[derive(Default)]
pub(crate) struct Describe {
    path: Value,
    query: Value,
    body: Option<Value>,
    /// An absent body reads as an empty object: it may be left out where that is a whole one.
    needs_body: bool,
    reply: Option<Value>,
    schemas: Vec<(String, RefOr<Schema>)>,
}

pub(crate) fn describe<E: Endpoint>(out: &mut Describe) {
    out.path = to_value(E::Path::schema());
    out.query = to_value(E::Query::schema());
    out.body = reference::<E::Body>(&mut out.schemas);
    out.needs_body = to_value(E::Body::schema())["required"].as_array().is_some_and(|names| !names.is_empty());
    out.reply = reference::<E::Reply>(&mut out.schemas);
    E::Path::schemas(&mut out.schemas);
    E::Query::schemas(&mut out.schemas);
}

/// A reference to the named schema of a type, or nothing for an empty one.
fn reference<T: ToSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) -> Option<Value> {
    let name = T::name();
    if name == "Nothing" {
        return None;
    }
    T::schemas(schemas);
    schemas.push((name.clone().into_owned(), T::schema()));
    Some(json!({ "$ref": format!("#/components/schemas/{name}") }))
}

fn to_value(schema: RefOr<Schema>) -> Value {
    serde_json::to_value(schema).unwrap_or_default()
}

/// The document as a value.
pub fn document() -> Value {
    let mut schemas = Map::new();
    schemas.insert("ProblemBody".into(), to_value(ProblemBody::schema()));
    let mut paths: Map<String, Value> = Map::new();
    for row in TABLE.iter() {
        let mut about = Describe::default();
        (row.describe)(&mut about);
        let operation = operation(row, &about);
        for (name, schema) in about.schemas {
            schemas.insert(name, to_value(schema));
        }
        let item = paths.entry(row.path.to_owned()).or_insert_with(|| json!({}));
        item[row.method.word().to_ascii_lowercase()] = operation;
    }
    forms::beyond_types(&mut schemas);
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Orlop",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Push code, get a running URL, see the truth about it, take it back.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "security": [{ "bearer": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer" },
                "basic": { "type": "http", "scheme": "basic", "description": "any user name, the token as password (git)" },
            },
        },
    });
    forms::unsigned(&mut document);
    document
}

/// The document as text, made once.
pub fn document_json() -> &'static str {
    static TEXT: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| document().to_string());
    &TEXT
}

fn operation(row: &Row, about: &Describe) -> Value {
    let mut parameters = parameters(&about.path, "path");
    if row.shape != Shape::Raw || row.method == Method::Get {
        parameters.extend(self::parameters(&about.query, "query"));
        if let Some(form) = forms::cursor(row.id) {
            parameters.iter_mut().filter(|p| p["name"] == "after").for_each(|p| p["schema"]["pattern"] = form.into());
        }
        parameters.iter_mut().filter(|p| p["in"] == "query").for_each(|p| forms::storable(&mut p["schema"]));
    }
    if row.method.is_mutating() && row.shape != Shape::Raw {
        parameters.push(header(
            "Idempotency-Key",
            IDEMPOTENCY_KEY,
            "repeat the call with the same key and it happens once; remembered for 24 hours",
        ));
        parameters.push(header("If-Match", IF_MATCH, "do it only if the ETag is still this one"));
    }
    if row.shape == Shape::Events {
        parameters.push(header("Last-Event-ID", forms::event_id(row.id), "go on behind this event"));
    }
    let mut operation = json!({
        "operationId": row.id,
        "summary": row.summary.trim(),
        "tags": [tag(row.path)],
        "parameters": parameters,
        "responses": responses(row, about.reply.as_ref()),
    });
    if row.access == Access::Public {
        operation["security"] = json!([]);
    }
    match (row.shape, &about.body) {
        (Shape::Json, Some(body)) => {
            operation["requestBody"] =
                json!({ "required": about.needs_body, "content": { "application/json": { "schema": body } } });
        }
        (Shape::Upload, _) => {
            operation["requestBody"] = json!({ "required": true, "content": { "application/gzip": { "schema": { "type": "string", "contentMediaType": "application/gzip" } } } });
        }
        (Shape::Raw, _) if row.method.is_mutating() => {
            operation["requestBody"] = json!({ "required": true, "content": { "application/octet-stream": {} } });
        }
        _ => {}
    }
    operation
}

fn tag(path: &str) -> &str {
    let mut parts = path.split('/').filter(|p| !p.is_empty() && *p != "v1");
    let first = parts.next().unwrap_or("platform");
    match (first, parts.nth(1)) {
        ("services", Some(noun)) => noun,
        _ => first,
    }
}

fn header(name: &str, pattern: &str, description: &str) -> Value {
    json!({ "name": name, "in": "header", "required": false, "description": description, "schema": { "type": "string", "pattern": pattern } })
}

/// The properties of an object schema as parameters.
fn parameters(schema: &Value, place: &str) -> Vec<Value> {
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let Some(properties) = schema["properties"].as_object() else { return Vec::new() };
    properties
        .iter()
        .map(|(name, property)| {
            json!({
                "name": name,
                "in": place,
                "required": place == "path" || required.contains(&name.as_str()),
                "description": property["description"].as_str().unwrap_or_default(),
                "schema": property,
            })
        })
        .collect()
}

/// One event of a stream (WHATWG HTML §9.2); its data are JSON.
fn event() -> Value {
    let text = json!({ "type": "string" });
    json!({ "type": "object", "properties": { "id": text, "event": text, "data": text }, "required": ["data"] })
}

fn responses(row: &Row, reply: Option<&Value>) -> Value {
    let content = match (row.shape, reply) {
        (Shape::Events, Some(reply)) => json!({
            "text/event-stream": { "schema": event(), "x-event-data": reply }
        }),
        (Shape::Raw, _) => json!({ "application/octet-stream": {} }),
        (_, Some(reply)) => json!({ "application/json": { "schema": reply } }),
        (_, None) => json!({ "application/json": { "schema": { "type": "object" } } }),
    };
    let problem = json!({
        "description": "a problem (RFC 9457)",
        "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/ProblemBody" } } },
    });
    json!({ "200": { "description": "done", "content": content }, "default": problem })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_resolves_and_every_endpoint_is_there() {
        let doc = document();
        let schemas = doc["components"]["schemas"].as_object().unwrap();
        let text = doc.to_string();
        for part in text.split("#/components/schemas/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(schemas.contains_key(name), "no schema `{name}`");
        }
        for row in TABLE.iter() {
            let op = &doc["paths"][row.path][row.method.word().to_ascii_lowercase()];
            assert_eq!(op["operationId"], row.id);
            for param in row.path.split('{').skip(1).map(|p| p.split('}').next().unwrap()) {
                let found =
                    op["parameters"].as_array().unwrap().iter().any(|p| p["in"] == "path" && p["name"] == param);
                assert!(found, "{}: `{param}` is not described", row.id);
            }
        }
    }
}
