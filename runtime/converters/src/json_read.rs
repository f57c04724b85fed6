//! JSON text straight into values: the envelope and values without schema.

use std::{fmt, sync::Arc};

use connect_api::{Map, Result, Value};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// The outer object of a document with a schema. A member that stands twice counts as its last.
#[derive(Default)]
pub(crate) struct Envelope<'a> {
    pub(crate) schema: Option<&'a RawValue>,
    pub(crate) payload: Option<&'a RawValue>,
    /// Whether there are members of other names.
    pub(crate) others: bool,
}

impl<'de> Deserialize<'de> for Envelope<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Envelope<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with schema and payload")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Envelope<'de>, A::Error> {
                let mut envelope = Envelope::default();
                while let Some(key) = map.next_key_seed(Text)? {
                    match &*key {
                        "schema" => envelope.schema = Some(map.next_value()?),
                        "payload" => envelope.payload = Some(map.next_value()?),
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                            envelope.others = true;
                        }
                    }
                }
                Ok(envelope)
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// The document with zeros in front of numbers taken out; `None` if there are none.
pub(crate) fn without_leading_zeros(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let (mut in_string, mut escaped, mut in_number) = (false, false, false);
    for (i, &b) in text.iter().enumerate() {
        if in_string {
            in_string = escaped || b != b'"';
            escaped = !escaped && b == b'\\';
        } else {
            in_string = b == b'"';
            let leading = b == b'0' && !in_number && text.get(i + 1).is_some_and(u8::is_ascii_digit);
            if leading {
                continue;
            }
            // A sign does not begin the digits: -007 is accepted, too.
            in_number = b.is_ascii_digit() || (in_number && matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
        }
        out.push(b);
    }
    (out.len() < text.len()).then_some(out)
}

/// The value of a document without schema.
pub(crate) fn schemaless(text: &[u8]) -> Result<Value, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = Schemaless.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// Reads text into a shared one.
pub(crate) struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = Arc<str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Arc<str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Text {
    type Value = Arc<str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_str<E>(self, v: &str) -> Result<Arc<str>, E> {
        Ok(v.into())
    }
}

/// Reads any value.
pub(crate) struct Schemaless;

impl<'de> DeserializeSeed<'de> for Schemaless {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Schemaless {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Boolean(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(Value::Int64(v))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        // Java would keep the low 64 bits of what is too large; a rounded number is nearer to the truth.
        Ok(i64::try_from(v).map_or(Value::Float64(v as f64), Value::Int64))
    }

    fn visit_f64<E>(self, v: f64) -> Result<Value, E> {
        Ok(Value::Float64(v))
    }

    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(Value::String(v.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(Schemaless)? {
            items.push(item);
        }
        Ok(Value::array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Map::new();
        while let Some(key) = map.next_key_seed(Text)? {
            entries.insert(Value::String(key), map.next_value_seed(Schemaless)?);
        }
        Ok(Value::Map(Arc::new(entries)))
    }
}
