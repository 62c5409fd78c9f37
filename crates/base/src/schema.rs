//! How the words of this crate look in an OpenAPI document: strings with a description.

use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{RefOr, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};

use crate::*;

fn text(description: &str, pattern: Option<&str>, length_max: Option<usize>, example: &str) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(SchemaType::new(Type::String))
        .description(Some(description))
        .pattern(pattern)
        .max_length(length_max)
        .examples([serde_json::Value::from(example)])
        .into()
}

macro_rules! words {
    ($($name:ident: $description:expr, $pattern:expr, $(at most $length:literal,)? $example:literal;)*) => {$(
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                text($description, $pattern, None$(.or(Some($length)))?, $example)
            }
        }

        impl ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
        }
    )*};
}

/// A DNS label without double hyphens: the grammar of most names.
const LABEL: &str = "^[a-z](-?[a-z0-9])*$";

words! {
    ServiceName: ServiceName::RULE, Some(LABEL), at most 40, "checkout";
    TeamName: TeamName::RULE, Some(LABEL), at most 40, "payments";
    EnvironmentName: EnvironmentName::RULE, Some("^[a-z][a-z0-9]*(-[0-9]+)?$"), at most 16, "dev";
    ProcessName: ProcessName::RULE, Some(LABEL), at most 30, "web";
    NeedName: NeedName::RULE, Some(LABEL), at most 40, "inventory";
    TemplateName: TemplateName::RULE, Some(LABEL), at most 40, "web";
    ViewName: ViewName::RULE, Some(LABEL), at most 40, "payments-down";
    SettingName: SettingName::RULE, Some("^[A-Z][A-Z0-9_]*$"), at most 128, "LOG_LEVEL";
    PersonName: PersonName::RULE, Some("^[a-z][a-z0-9._+@-]*$"), at most 64, "ada";
    HostName: HostName::RULE, None, at most 253, "shop.example.com";
    Actor: "who did it: `person:NAME`, `platform:PART` or `anonymous`", None, "person:ada";
    Digest: "the SHA-256 of some bytes", Some("^sha256:[0-9a-f]{64}$"),
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    Bytes: "an amount of memory or storage", Some("^[0-9]+([KMGT]i?)?$"), "256Mi";
    MilliCpu: "an amount of processor: cores, or thousandths of a core with `m`", Some("^[0-9]+(m|\\.[0-9]{1,3})?$"), "500m";
    Span: "a span of time", Some("^[0-9]+(ms|s|m|h|d)$"), "30s";
    SourceId: "id of a source", Some("^src_[0-7][0-9a-hjkmnp-tv-z]{25}$"), "src_01kb0000000000000000000000";
    BuildId: "id of a build", Some("^bld_[0-7][0-9a-hjkmnp-tv-z]{25}$"), "bld_01kb0000000000000000000000";
    ReleaseId: "id of a release", Some("^rel_[0-7][0-9a-hjkmnp-tv-z]{25}$"), "rel_01kb0000000000000000000000";
    RolloutId: "id of a rollout", Some("^ro_[0-7][0-9a-hjkmnp-tv-z]{25}$"), "ro_01kb0000000000000000000000";
    InstanceId: "id of an instance", Some("^in_[0-7][0-9a-hjkmnp-tv-z]{25}$"), "in_01kb0000000000000000000000";
    JobId: "id of a job", Some("^job_[0-7][0-9a-hjkmnp-tv-z]{25}$"), "job_01kb0000000000000000000000";
    TokenId: "id of a token", Some("^tok_[0-7][0-9a-hjkmnp-tv-z]{25}$"), "tok_01kb0000000000000000000000";
    PersonId: "id of a person", Some("^per_[0-7][0-9a-hjkmnp-tv-z]{25}$"), "per_01kb0000000000000000000000";
}

impl PartialSchema for Time {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::String))
            .format(Some(SchemaFormat::KnownFormat(utoipa::openapi::KnownFormat::DateTime)))
            .description(Some("an instant, RFC 3339, UTC"))
            .into()
    }
}

impl ToSchema for Time {}

macro_rules! counters {
    ($($name:ident: $description:literal;)*) => {$(
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new().schema_type(SchemaType::new(Type::Integer)).description(Some($description)).into()
            }
        }

        impl ToSchema for $name {}
    )*};
}

counters! {
    FactSeq: "place in the order of all facts";
    Generation: "version of an intent";
}
