//! Records and headers, as tasks, transforms and converters pass them on.

use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
};

use serde_json::Value as Json;

use crate::{Error, Result, Schema, Value};

/// A topic name, shared by all records of the topic.
pub type Topic = Arc<str>;

/// A source partition or a source offset: a flat JSON object of primitives, in the order written.
///
/// Offsets are looked up by the exact bytes of the partition's JSON, so a task must always write its
/// members in one order.
pub type OffsetMap = serde_json::Map<String, Json>;

/// A header: key, value and the schema of the value.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// Key; several headers may share one.
    pub key: Arc<str>,
    /// Schema of the value; none for schemaless values.
    pub schema: Option<Schema>,
    /// Value.
    pub value: Value,
}

/// An ordered multimap of headers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Headers(Vec<Header>);

impl Headers {
    /// No headers.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Appends a header after checking the value against the schema. A struct brings its own.
    pub fn add(
        &mut self,
        key: impl Into<Arc<str>>,
        value: impl Into<Value>,
        schema: Option<Schema>,
    ) -> Result<&mut Self> {
        let value = value.into();
        let schema = schema.or_else(|| match &value {
            Value::Struct(s) => Some(s.schema().clone()),
            _ => None,
        });
        if let Some(schema) = &schema {
            if value.is_null() && !schema.is_optional() {
                return Err(Error::data(format!("A null value requires an optional schema but was {schema}")));
            }
            if !value.is_null() && !value.fits(schema) {
                return Err(Error::data(format!("The value {value} is not compatible with the schema {schema}")));
            }
        }
        self.0.push(Header { key: key.into(), schema, value });
        Ok(self)
    }

    /// Appends a text header.
    pub fn add_string(&mut self, key: impl Into<Arc<str>>, value: impl Into<Arc<str>>) -> &mut Self {
        self.0.push(Header { key: key.into(), schema: Some(Schema::string()), value: Value::String(value.into()) });
        self
    }

    /// Appends what was read, without a check.
    pub fn push(&mut self, header: Header) {
        self.0.push(header);
    }

    /// The last header of that key.
    pub fn last(&self, key: &str) -> Option<&Header> {
        self.0.iter().rev().find(|h| &*h.key == key)
    }

    /// All headers of that key in order.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a Header> {
        self.0.iter().filter(move |h| &*h.key == key)
    }

    /// Removes all headers of that key.
    pub fn remove(&mut self, key: &str) {
        self.0.retain(|h| &*h.key != key);
    }

    /// All headers in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Header> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> IntoIterator for &'a Headers {
    type Item = &'a Header;
    type IntoIter = std::slice::Iter<'a, Header>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

/// What source and sink records share, and what a transform may change.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Topic that the record goes to or came from.
    pub topic: Topic,
    /// Kafka partition; `None` leaves the choice to the partitioner.
    pub partition: Option<i32>,
    /// Milliseconds since 1970; `None` lets Kafka stamp the record.
    pub timestamp: Option<i64>,
    /// Schema of the key; `None` for schemaless keys.
    pub key_schema: Option<Schema>,
    /// Key.
    pub key: Value,
    /// Schema of the value; `None` for schemaless values.
    pub value_schema: Option<Schema>,
    /// Value; null is a tombstone.
    pub value: Value,
    /// Headers.
    pub headers: Headers,
}

impl Record {
    /// A record with nothing but its topic.
    pub fn new(topic: impl Into<Topic>) -> Self {
        Self {
            topic: topic.into(),
            partition: None,
            timestamp: None,
            key_schema: None,
            key: Value::Null,
            value_schema: None,
            value: Value::Null,
            headers: Headers::new(),
        }
    }
}

/// A record that a source task made.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceRecord {
    /// The record.
    pub record: Record,
    /// Where in its source it stood: partition and the offset to resume behind it. `None` tracks
    /// nothing; a later record's offset then covers this one.
    pub source: Option<(Arc<OffsetMap>, OffsetMap)>,
}

impl SourceRecord {
    /// A record for the topic with nothing else set.
    pub fn new(topic: impl Into<Topic>) -> Self {
        Self { record: Record::new(topic), source: None }
    }

    /// Sets key and schema.
    pub fn key(mut self, schema: Option<Schema>, key: impl Into<Value>) -> Self {
        (self.record.key_schema, self.record.key) = (schema, key.into());
        self
    }

    /// Sets value and schema.
    pub fn value(mut self, schema: Option<Schema>, value: impl Into<Value>) -> Self {
        (self.record.value_schema, self.record.value) = (schema, value.into());
        self
    }

    /// Sets the time stamp, milliseconds since 1970.
    pub fn timestamp(mut self, ms: i64) -> Self {
        self.record.timestamp = Some(ms);
        self
    }

    /// Sets where in its source the record stood.
    pub fn at(mut self, partition: &Arc<OffsetMap>, offset: OffsetMap) -> Self {
        self.source = Some((partition.clone(), offset));
        self
    }
}

/// What a Kafka record's time stamp says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimestampType {
    /// There is none.
    #[default]
    None,
    /// Set by the producer.
    CreateTime,
    /// Set by the broker.
    LogAppendTime,
}

/// Where in Kafka a sink record stood, whatever transforms made of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Origin {
    /// Topic.
    pub topic: Topic,
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// Kind of the time stamp.
    pub timestamp_type: TimestampType,
}

/// A record for a sink task.
#[derive(Debug, Clone, PartialEq)]
pub struct SinkRecord {
    /// The record after converters and transforms.
    pub record: Record,
    /// Where it stood in Kafka.
    pub origin: Origin,
}

macro_rules! deref_record {
    ($($name:ident),*) => {$(
        impl Deref for $name {
            type Target = Record;

            fn deref(&self) -> &Record {
                &self.record
            }
        }

        impl DerefMut for $name {
            fn deref_mut(&mut self) -> &mut Record {
                &mut self.record
            }
        }
    )*};
}
deref_record!(SourceRecord, SinkRecord);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_check_values_against_schemas() {
        let mut h = Headers::new();
        h.add("a", 1i32, Some(Schema::int32())).expect("fits");
        let e = h.add("a", "x", Some(Schema::int32())).expect_err("text");
        assert_eq!(e.message(), "The value x is not compatible with the schema Schema{INT32}");
        let e = h.add("a", Value::Null, Some(Schema::int32())).expect_err("null");
        assert_eq!(e.message(), "A null value requires an optional schema but was Schema{INT32}");
        h.add_string("a", "2");
        assert_eq!(h.all("a").count(), 2);
        assert_eq!(h.last("a").map(|h| h.value.clone()), Some(Value::from("2")));
        h.remove("a");
        assert!(h.is_empty());
    }
}
