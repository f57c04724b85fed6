//! JSON as Java's data binding holds it: numbers by their size, and texts for messages as Java writes them.

use std::fmt;

use connect_api::{OffsetMap, float64};
use serde_json::Value as Json;

/// A value of an untyped map.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the names are the documentation")]
pub enum JavaValue {
    Null,
    Bool(bool),
    Long(i64),
    /// A whole number beyond 64 bits, as it was written.
    Big(String),
    Double(f64),
    Text(String),
    List(Vec<JavaValue>),
    Map(JavaMap),
}

/// An untyped map in the order of its members.
pub type JavaMap = indexmap::IndexMap<String, JavaValue>;

impl fmt::Display for JavaValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(b) => b.fmt(f),
            Self::Long(n) => n.fmt(f),
            Self::Big(text) | Self::Text(text) => f.write_str(text),
            Self::Double(v) => f.write_str(&float64(*v)),
            Self::List(all) => {
                let texts: Vec<String> = all.iter().map(ToString::to_string).collect();
                write!(f, "[{}]", texts.join(", "))
            }
            Self::Map(all) => {
                let texts: Vec<String> = all.iter().map(|(k, v)| format!("{k}={v}")).collect();
                write!(f, "{{{}}}", texts.join(", "))
            }
        }
    }
}

/// The map as a source partition or offset, which hold primitive values only; else Kafka Connect's text.
pub fn primitives(map: &JavaMap) -> Result<OffsetMap, String> {
    let refuse = |field: &str, kind: &str| {
        format!("Offsets may only contain primitive types as values, but field {field} contains {kind}")
    };
    let mut made = OffsetMap::new();
    for (field, value) in map {
        let value = match value {
            JavaValue::Null => Json::Null,
            JavaValue::Bool(b) => (*b).into(),
            JavaValue::Long(n) => (*n).into(),
            JavaValue::Double(v) => (*v).into(),
            JavaValue::Text(text) => text.clone().into(),
            JavaValue::Big(_) => return Err(refuse(field, "class java.math.BigInteger")),
            JavaValue::List(_) => return Err(refuse(field, "ARRAY")),
            JavaValue::Map(_) => return Err(refuse(field, "MAP")),
        };
        made.insert(field.clone(), value);
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_javas_and_only_primitives_are_offsets() {
        let inner = JavaValue::Map(JavaMap::from([
            ("a".into(), JavaValue::List(vec![JavaValue::Long(1), JavaValue::Null])),
            ("b".into(), JavaValue::Double(1e10)),
        ]));
        assert_eq!(inner.to_string(), "{a=[1, null], b=1.0E10}");
        let map = JavaMap::from([("x".into(), JavaValue::Null), ("y".into(), inner)]);
        let e = primitives(&map).expect_err("nested");
        assert_eq!(e, "Offsets may only contain primitive types as values, but field y contains MAP");
    }
}
