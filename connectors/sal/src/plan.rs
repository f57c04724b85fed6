//! From the items of a message to a typed record, as the registered schema of the topic says.

use std::sync::Arc;

use connect_api::{Error, Result, Schema, Struct, Topic, Type, Value, logical::Logical};
use connect_converters::connect_schema_from_avro;
use serde_json::Value as Json;

/// The items in front of those of the topic, and the fields that they go to.
pub const HEADER: [&str; 6] = ["sal_revcode", "sal_created", "sal_ingested", "sal_sequence", "sal_host", "sal_origin"];

/// The field of the time at which the message was read.
pub const KAFKA_TIMESTAMP: &str = "kafka_timestamp";

/// Where a parameter of a string's schema has the symbols of the enumeration that it was.
const SYMBOL: &str = "io.confluent.connect.avro.Enum.";

/// How messages of one SAL topic become records.
#[derive(Debug)]
pub struct Plan {
    topic: Topic,
    text: Box<str>,
    schema: Schema,
    timestamp: Option<(usize, Kind)>,
    header: [Option<Slot>; HEADER.len()],
    slots: Vec<Slot>,
}

/// A field, and how many items it takes.
#[derive(Debug)]
struct Slot {
    index: usize,
    name: Arc<str>,
    kind: Kind,
    /// Of an array.
    count: Option<usize>,
}

#[derive(Debug)]
enum Kind {
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Text,
    Bytes,
    Enumeration(Vec<Box<str>>),
    /// Milliseconds since 1970, as Connect has it.
    Time,
    /// Seconds with a fraction, in a field of milliseconds since 1970.
    Seconds {
        logical: bool,
    },
}

impl Plan {
    /// For messages that become records of this topic, by the text of its Avro schema.
    ///
    /// # Errors
    ///
    /// If the text is no schema of a record, or of one that no message can fill.
    pub fn new(topic: &str, text: &str) -> Result<Self> {
        let unusable = |e: Error| Error::data(format!("the schema of {topic} cannot be used")).caused_by(e);
        let schema = connect_schema_from_avro(text).map_err(unusable)?;
        if schema.kind() != Type::Struct {
            return Err(unusable(Error::data(format!("it is of type {} and not a record", schema.kind()))));
        }
        Self::of(topic, text, schema).map_err(unusable)
    }

    fn of(topic: &str, text: &str, schema: Schema) -> Result<Self> {
        let json: Json = serde_json::from_str(text).map_err(|e| Error::data("parsing it").caused_by(e))?;
        let attributes = json["fields"].as_array().map_or(&[][..], Vec::as_slice);
        if attributes.len() != schema.fields().len() {
            return Err(Error::data("its fields are not where those of a record are"));
        }
        let mut header = [const { None }; HEADER.len()];
        let mut timestamp = None;
        let mut slots = Vec::new();
        for (field, json) in schema.fields().iter().zip(attributes) {
            let within = |e: Error| e.context(format!("field {}", field.name()));
            let slot = |kind, count| Slot { index: field.index(), name: field.shared_name().clone(), kind, count };
            if field.name() == KAFKA_TIMESTAMP {
                timestamp = Some((field.index(), seconds(field.schema()).map_err(within)?));
            } else if let Some(at) = HEADER.iter().position(|name| *name == field.name()) {
                let kind = match at {
                    1 | 2 => seconds(field.schema()),
                    _ => Kind::of(field.schema()),
                };
                header[at] = Some(slot(kind.map_err(within)?, None));
            } else if let Some(place) = json["sal_index"].as_u64() {
                let count = count(json);
                let kind = match (field.schema().kind(), count) {
                    (Type::Array, Some(_)) => match field.schema().value_schema()? {
                        Some(element) => Kind::of(element),
                        None => Err(Error::data("nothing says of what type its elements are")),
                    },
                    (Type::Array, None) => Err(Error::data("it is an array without a sal_count")),
                    _ => Kind::of(field.schema()),
                };
                let count = count.filter(|_| field.schema().kind() == Type::Array);
                slots.push((place, slot(kind.map_err(within)?, count)));
            } else if !field.schema().is_optional() && field.schema().default().is_none() {
                return Err(within(Error::data("it has neither a sal_index nor a default, so no item goes there")));
            }
        }
        slots.sort_by_key(|(place, _)| *place);
        let slots = slots.into_iter().map(|(_, slot)| slot).collect();
        Ok(Self { topic: topic.into(), text: text.into(), schema, timestamp, header, slots })
    }

    /// The topic that the records go to.
    pub fn topic(&self) -> &Topic {
        &self.topic
    }

    /// The text of the Avro schema.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The schema of the records.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The record of a message that was read at this time, in milliseconds since 1970. Items too many are left out.
    ///
    /// # Errors
    ///
    /// If there are too few items, or one is not of its field's type.
    pub fn record(&self, items: &[&str], now: i64) -> Result<Value> {
        let mut values = vec![Value::Null; self.schema.fields().len()];
        if let Some((index, kind)) = &self.timestamp {
            values[*index] = kind.time(now);
        }
        let mut left = items.iter().copied();
        for (name, slot) in HEADER.iter().zip(&self.header) {
            let item = left.next().ok_or_else(|| self.too_few(items, name))?;
            if let Some(slot) = slot {
                values[slot.index] = self.value(slot, item)?;
            }
        }
        for slot in &self.slots {
            let mut next = || left.next().ok_or_else(|| self.too_few(items, &slot.name));
            values[slot.index] = match slot.count {
                None => self.value(slot, next()?)?,
                Some(count) => {
                    let elements = (0..count).map(|_| self.value(slot, next()?));
                    Value::array(elements.collect::<Result<_>>()?)
                }
            };
        }
        Ok(Struct::from_values(&self.schema, values)?.into_value())
    }

    fn value(&self, slot: &Slot, item: &str) -> Result<Value> {
        slot.kind.value(item).ok_or_else(|| {
            let wanted = slot.kind.wanted();
            Error::data(format!("{item:?} for field {} of {} is not {wanted}", slot.name, self.topic))
        })
    }

    fn too_few(&self, items: &[&str], field: &str) -> Error {
        let own: usize = self.slots.iter().map(|slot| slot.count.unwrap_or(1)).sum();
        let (have, need) = (items.len(), HEADER.len() + own);
        Error::data(format!(
            "the message has {have} items and {} needs {need}: none is left for field {field}",
            self.topic
        ))
    }
}

/// How many elements an array has; beside its type, or beside the field in schemas that were written by hand.
fn count(field: &Json) -> Option<usize> {
    let members = field["type"].as_array().into_iter().flatten();
    let mut places = members.chain([&field["type"], field]);
    places.find_map(|place| place["sal_count"].as_u64()).and_then(|count| usize::try_from(count).ok())
}

fn seconds(schema: &Schema) -> Result<Kind> {
    match Kind::of(schema)? {
        Kind::Time => Ok(Kind::Seconds { logical: true }),
        Kind::Long => Ok(Kind::Seconds { logical: false }),
        _ => Err(Error::data("it has to be a long, of timestamp-millis")),
    }
}

impl Kind {
    fn of(schema: &Schema) -> Result<Self> {
        if let Some(logical) = Logical::of(schema) {
            return match logical {
                Logical::Timestamp => Ok(Self::Time),
                _ => Err(Error::data(format!("no item is of the logical type {}", schema.name().unwrap_or_default()))),
            };
        }
        Ok(match schema.kind() {
            Type::Boolean => Self::Boolean,
            Type::Int32 => Self::Int,
            Type::Int64 => Self::Long,
            Type::Float32 => Self::Float,
            Type::Float64 => Self::Double,
            Type::Bytes => Self::Bytes,
            Type::String => {
                let parameters = schema.parameters().unwrap_or_default().iter();
                let symbols: Vec<_> = parameters.filter_map(|(k, _)| Some(k.strip_prefix(SYMBOL)?.into())).collect();
                if symbols.is_empty() { Self::Text } else { Self::Enumeration(symbols) }
            }
            other => return Err(Error::data(format!("no item is of type {other}"))),
        })
    }

    fn value(&self, item: &str) -> Option<Value> {
        Some(match self {
            Self::Boolean => match item {
                "1" => true.into(),
                "0" => false.into(),
                _ => Value::Boolean(item.to_ascii_lowercase().parse().ok()?),
            },
            Self::Int => Value::Int32(item.parse().ok()?),
            Self::Long => Value::Int64(item.parse().ok()?),
            Self::Float => {
                let number: f64 = item.parse().ok()?;
                let narrow = number as f32;
                // What a float cannot hold would become infinite.
                Value::Float32(Some(narrow).filter(|n| n.is_finite() || !number.is_finite())?)
            }
            Self::Double => Value::Float64(item.parse().ok()?),
            Self::Text => Value::from(item),
            Self::Bytes => Value::Bytes(connect_api::Bytes::copy_from_slice(item.as_bytes())),
            Self::Enumeration(symbols) => Value::from(symbols.iter().find(|symbol| ***symbol == *item)?.as_ref()),
            Self::Time => Value::Timestamp(whole(item.parse().ok()?)?),
            Self::Seconds { .. } => self.time(whole(item.parse::<f64>().ok()? * 1000.0)?),
        })
    }

    fn time(&self, ms: i64) -> Value {
        if matches!(self, Self::Seconds { logical: false }) { Value::Int64(ms) } else { Value::Timestamp(ms) }
    }

    fn wanted(&self) -> String {
        match self {
            Self::Boolean => "true, false, 1 or 0".into(),
            Self::Int => "an integer of 32 bits".into(),
            Self::Long => "an integer of 64 bits".into(),
            Self::Float => "a number of 32 bits".into(),
            Self::Double => "a number".into(),
            Self::Text | Self::Bytes => "a text".into(),
            Self::Enumeration(symbols) => format!("one of {}", symbols.join(", ")),
            Self::Time => "a time in milliseconds since 1970".into(),
            Self::Seconds { .. } => "a time in seconds since 1970".into(),
        }
    }
}

/// The nearest whole number of milliseconds, of times that a date can have.
fn whole(ms: f64) -> Option<i64> {
    const YEAR_9999: f64 = 253_402_300_800_000.0;
    (ms.abs() < YEAR_9999).then(|| ms.round() as i64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TOPIC: &str = "lsst.sal.Dome_test";

    /// A schema with these fields behind those that all have.
    fn schema(own: Json) -> String {
        let time = json!({"type": "long", "logicalType": "timestamp-millis"});
        let mut fields = vec![
            json!({"name": "kafka_timestamp", "type": time}),
            json!({"name": "sal_revcode", "type": "string"}),
            json!({"name": "sal_created", "type": time}),
            json!({"name": "sal_ingested", "type": time}),
            json!({"name": "sal_sequence", "type": "long"}),
            json!({"name": "sal_origin", "type": "int"}),
            json!({"name": "sal_host", "type": "int"}),
        ];
        fields.extend(own.as_array().expect("fields").iter().cloned());
        json!({"type": "record", "namespace": "lsst.sal", "name": "Dome_test", "fields": fields}).to_string()
    }

    fn plan(own: Json) -> Result<Plan> {
        Plan::new(TOPIC, &schema(own))
    }

    fn record(plan: &Plan, own: &[&str]) -> Result<Value> {
        plan.record(&[&["r1", "1547758756.33", "1547758754.9", "12", "1", "2"], own].concat(), 99)
    }

    /// What a field of this type makes of an item.
    fn field(kind: Json, item: &str) -> Result<Value> {
        let plan = plan(json!([{"name": "f", "type": kind, "sal_index": 0}]))?;
        record(&plan, &[item]).map(|value| value.get("f").cloned().expect("the field"))
    }

    #[test]
    fn the_header_comes_first_with_the_host_in_front_of_the_origin() {
        let value = record(&plan(json!([])).expect("a plan"), &[]).expect("a record");
        let get = |name: &str| value.get(name).cloned().expect("a field");
        assert_eq!(get("kafka_timestamp"), Value::Timestamp(99));
        assert_eq!(get("sal_revcode"), Value::from("r1"));
        assert_eq!(get("sal_created"), Value::Timestamp(1_547_758_756_330));
        assert_eq!(get("sal_ingested"), Value::Timestamp(1_547_758_754_900));
        assert_eq!(get("sal_sequence"), Value::Int64(12));
        assert_eq!((get("sal_host"), get("sal_origin")), (Value::Int32(1), Value::Int32(2)));
    }

    #[test]
    fn items_become_what_their_fields_are() {
        let enumeration = json!({"type": "enum", "name": "f", "symbols": ["OPEN", "SHUT"]});
        let time = json!({"type": "long", "logicalType": "timestamp-millis"});
        for (kind, item, value) in [
            (json!("int"), "+7", Value::Int32(7)),
            (json!("long"), "-9223372036854775808", Value::Int64(i64::MIN)),
            (json!("float"), "1.5", Value::Float32(1.5)),
            (json!("double"), "1.0e+05", Value::Float64(100_000.0)),
            (json!("double"), "nan", Value::Float64(f64::NAN)),
            (json!("boolean"), "0", Value::Boolean(false)),
            (json!("boolean"), "1", Value::Boolean(true)),
            (json!("boolean"), "False", Value::Boolean(false)),
            (json!("boolean"), "true", Value::Boolean(true)),
            (json!("string"), "", Value::from("")),
            (json!("bytes"), "\u{e9}", Value::Bytes("\u{e9}".into())),
            (json!(["null", "double"]), "2", Value::Float64(2.0)),
            (enumeration.clone(), "SHUT", Value::from("SHUT")),
            (time.clone(), "1547758756330", Value::Timestamp(1_547_758_756_330)),
        ] {
            assert_eq!(field(kind.clone(), item).expect(item), value, "{kind} {item}");
        }
        for (kind, item, wanted) in [
            (json!("int"), "3.0", "an integer of 32 bits"),
            (json!("int"), "2147483648", "an integer of 32 bits"),
            (json!("long"), "", "an integer of 64 bits"),
            (json!("float"), "1e300", "a number of 32 bits"),
            (json!("double"), "north", "a number"),
            (json!("boolean"), "maybe", "true, false, 1 or 0"),
            (enumeration, "open", "one of OPEN, SHUT"),
            (time, "1e300", "a time in milliseconds since 1970"),
        ] {
            let e = field(kind, item).expect_err(item);
            assert_eq!(e.class(), connect_api::ErrorClass::Data);
            let text = format!("{item:?} for field f of lsst.sal.Dome_test is not {wanted}");
            assert_eq!(e.message(), text);
        }
    }

    #[test]
    fn arrays_take_as_many_items_as_they_have_elements_and_fields_come_in_the_order_of_their_index() {
        let array = |count: u8| json!({"type": "array", "items": "int", "sal_count": count});
        let own = json!([
            {"name": "last", "type": "string", "sal_index": 2},
            {"name": "three", "type": array(3), "sal_index": 0},
            {"name": "two", "type": {"type": "array", "items": "int"}, "sal_count": 2, "sal_index": 1},
            {"name": "added", "type": "int", "default": 8}
        ]);
        let plan = plan(own).expect("a plan");
        let value = record(&plan, &["1", "2", "3", "4", "5", "x", "too", "many"]).expect("a record");
        let ints = |all: &[i32]| Value::array(all.iter().copied().map(Value::Int32).collect());
        let Value::Struct(record_) = &value else { panic!("{value:?}") };
        assert_eq!(record_.get("three"), Some(&ints(&[1, 2, 3])));
        assert_eq!(record_.get("two"), Some(&ints(&[4, 5])));
        assert_eq!((record_.get("last"), record_.get("added")), (Some(&Value::from("x")), Some(&Value::Int32(8))));

        let few = record(&plan, &["1", "2", "3", "4"]).expect_err("too few");
        let text = "the message has 10 items and lsst.sal.Dome_test needs 12: none is left for field two";
        assert_eq!(few.message(), text);
        let few = plan.record(&["r1"], 0).expect_err("too few");
        assert!(few.message().ends_with("none is left for field sal_created"), "{few}");
    }

    #[test]
    fn schemas_that_no_message_can_fill_are_refused_with_the_field() {
        for (own, why) in [
            (json!([{"name": "f", "type": "int"}]), "field f: it has neither a sal_index nor a default"),
            (
                json!([{"name": "f", "type": {"type": "map", "values": "int"}, "sal_index": 0}]),
                "no item is of type MAP",
            ),
            (json!([{"name": "f", "type": {"type": "array", "items": "int"}, "sal_index": 0}]), "without a sal_count"),
            (
                json!([{"name": "f", "type": {"type": "int", "logicalType": "date"}, "sal_index": 0}]),
                "no item is of the logical type",
            ),
        ] {
            let e = plan(own).expect_err(why);
            assert_eq!(e.class(), connect_api::ErrorClass::Data);
            assert!(e.one_line().contains(why) && e.one_line().contains(TOPIC), "{}", e.one_line());
        }
        for text in ["{", "\"int\"", r#"{"type":"record","name":"x","fields":[{"name":"sal_created","type":"int"}]}"#] {
            assert_eq!(Plan::new(TOPIC, text).expect_err(text).class(), connect_api::ErrorClass::Data);
        }
    }

    #[test]
    fn schemas_of_before_the_header_had_fields_are_filled_as_well() {
        let text = r#"{"type":"record","name":"x","fields":[{"name":"speed","type":"double","sal_index":0}]}"#;
        let value = record(&Plan::new(TOPIC, text).expect("a plan"), &["4.25"]).expect("a record");
        assert_eq!(value.get("speed"), Some(&Value::Float64(4.25)));
    }
}
