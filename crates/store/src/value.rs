use std::fmt;

use base::{
    Actor, BuildId, Digest, EnvironmentName, FactSeq, Generation, HostName, InstanceId, JobId, NeedName, PersonId,
    PersonName, ProcessName, ReleaseId, RolloutId, ServiceName, SettingName, SourceId, TeamName, TemplateName, Time,
    TokenId, ViewName,
};

/// A parameter of a statement. NULL has a type because PostgreSQL wants one.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// For a `TEXT` column.
    Text(String),
    /// For a `BIGINT` column.
    Int(i64),
    /// NULL for a `TEXT` column.
    NullText,
    /// NULL for a `BIGINT` column.
    NullInt,
}

/// The parameters of a statement in the order of `$1`, `$2`, …
///
/// Each is anything that is `Into<Value>`: texts, numbers, `bool`, [`Time`](base::Time), JSON, every
/// name and id of `base`, references to these, and `Option`s of them.
#[macro_export]
macro_rules! args {
    ($($value:expr),* $(,)?) => { ::std::vec![$($crate::Value::from($value)),*] };
}

/// Something that has a column type; tells which NULL an absent one is.
pub trait Column {
    /// NULL of the column type.
    const NULL: Value;
}

impl<T: Column + Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(T::NULL, Into::into)
    }
}

macro_rules! convert {
    ($null:ident: $($type:ty => |$v:ident| $make:expr),* $(,)?) => {$(
        impl Column for $type {
            const NULL: Value = Value::$null;
        }
        impl Column for &$type {
            const NULL: Value = Value::$null;
        }
        impl From<$type> for Value {
            fn from($v: $type) -> Self {
                $make
            }
        }
        impl From<&$type> for Value {
            fn from(value: &$type) -> Self {
                let $v = value.clone();
                $make
            }
        }
    )*};
}

macro_rules! by_display {
    ($($type:ty),* $(,)?) => { convert! { NullText: $($type => |v| Self::Text(v.to_string())),* } };
}

convert! { NullText:
    String => |v| Self::Text(v),
    serde_json::Value => |v| Self::Text(v.to_string()),
}
convert! { NullInt:
    i64 => |v| Self::Int(v),
    i32 => |v| Self::Int(v.into()),
    u32 => |v| Self::Int(v.into()),
    u16 => |v| Self::Int(v.into()),
    bool => |v| Self::Int(v.into()),
    Time => |v| Self::Int(v.micros()),
    FactSeq => |v| Self::Int(v.0),
    Generation => |v| Self::Int(v.0),
}
by_display! {
    Actor, BuildId, Digest, EnvironmentName, HostName, InstanceId, JobId, NeedName, PersonId, PersonName, ProcessName,
    ReleaseId, RolloutId, ServiceName, SettingName, SourceId, TeamName, TemplateName, TokenId, ViewName,
}

impl Column for &str {
    const NULL: Value = Value::NullText;
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<&&str> for Value {
    fn from(value: &&str) -> Self {
        Self::Text((*value).to_owned())
    }
}

impl fmt::Debug for Value {
    /// Shows the type alone: parameters must not reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text(_) => "Text(…)",
            Self::Int(_) => "Int(…)",
            Self::NullText => "NullText",
            Self::NullInt => "NullInt",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_becomes_text_or_int() {
        let team: TeamName = "payments".parse().unwrap();
        let none: Option<Time> = None;
        let nothing: Option<&TeamName> = None;
        let got =
            args!["a", String::from("b"), 7i64, 7u32, true, Time::from_micros(5), &team, Some(&team), none, nothing];
        let want = [
            Value::Text("a".into()),
            Value::Text("b".into()),
            Value::Int(7),
            Value::Int(7),
            Value::Int(1),
            Value::Int(5),
            Value::Text("payments".into()),
            Value::Text("payments".into()),
            Value::NullInt,
            Value::NullText,
        ];
        assert!(got == want);
        assert_eq!(format!("{:?}", args!["hunter2", 99i64]), "[Text(…), Int(…)]");
    }
}
