//! The Connect schemas of the alarm topics.
//!
//! By the convention of Confluent's Avro converter they stand for `schemas/*.avsc`: an enum is a STRING with the name of
//! the enum and its symbols as parameters.

use std::sync::LazyLock;

use connect_api::{Schema, SchemaBuilder, Type, Value, logical};

use crate::Priority;

const ENUM: &str = "io.confluent.connect.avro.Enum";

static ACTIVE: LazyLock<Schema> = LazyLock::new(|| {
    Schema::structure()
        .name("org.jlab.kafka.alarms.ActiveAlarm")
        .field("priority", priority("How much is at stake, highest first."))
        .field("acknowledged", flag("Whether a person has taken note of the alarm at this priority."))
        .field("source", text("What raises and clears the alarm: by default the name of a connector."))
        .field("severity", text("Severity in the words of the source, such as MAJOR."))
        .field("status", text("Reason in the words of the source, such as HIHI."))
        .field("message", text("What a person should read."))
        .field("value", optional(Schema::optional_string(), "The value that is out of bounds, as text."))
        .field("raised", optional(logical::timestamp(), "When the alarm was raised; updates keep it."))
        .field("latched", flag("Whether all is well again and the alarm stays only until somebody acknowledges it."))
        .field("labels", labels("Anything else to find the alarm by, such as location or system."))
        .build()
        .expect("constant schema")
});

static REGISTERED: LazyLock<Schema> = LazyLock::new(|| {
    Schema::structure()
        .name("io.tocsin.alarms.RegisteredAlarm")
        .field("source", text("What raises and clears the alarm: by default the name of a connector."))
        .field("description", text("What the alarm means."))
        .field("location", text("Where it is."))
        .field("category", text("The kind of equipment or trade, such as vacuum."))
        .field("latching", flag("Whether the alarm stays until all is well and somebody has acknowledged it."))
        .field("documentation", text("Where to read what to do, usually a URL."))
        .field("labels", labels("Anything else to find the alarm by."))
        .build()
        .expect("constant schema")
});

static SHELVED: LazyLock<Schema> = LazyLock::new(|| {
    let reason = SchemaBuilder::new(Type::String).doc("Why it is on the shelf.");
    Schema::structure()
        .name("org.jlab.kafka.alarms.ShelvedAlarm")
        .field(
            "expiration",
            optional(logical::timestamp(), "When the alarm comes off the shelf by itself; null for never."),
        )
        .field("reason", reason.build().expect("constant schema"))
        .build()
        .expect("constant schema")
});

/// Values of `active-alarms`.
pub fn active_alarm() -> &'static Schema {
    &ACTIVE
}

/// Values of `alarms`.
pub fn registered_alarm() -> &'static Schema {
    &REGISTERED
}

/// Values of `shelved-alarms`.
pub fn shelved_alarm() -> &'static Schema {
    &SHELVED
}

fn priority(doc: &str) -> Schema {
    let name = "org.jlab.kafka.alarms.AlarmPriority";
    let builder = SchemaBuilder::new(Type::String).name(name).doc(doc).parameter(ENUM, name);
    let symbols = Priority::ALL.iter().map(|p| p.name());
    let builder = symbols.fold(builder, |b, symbol| b.parameter(format!("{ENUM}.{symbol}"), symbol));
    builder.build().expect("constant schema")
}

fn flag(doc: &str) -> Schema {
    SchemaBuilder::new(Type::Boolean).doc(doc).default(Value::Boolean(false)).build().expect("constant schema")
}

fn text(doc: &str) -> Schema {
    SchemaBuilder::new(Type::String).doc(doc).default("".into()).build().expect("constant schema")
}

fn optional(schema: Schema, doc: &str) -> Schema {
    schema.with_optional(true).to_builder().doc(doc).build().expect("constant schema")
}

fn labels(doc: &str) -> Schema {
    let none = Value::map::<&str>([]);
    let map = Schema::map(Schema::string(), Schema::string());
    map.doc(doc).default(none).build().expect("constant schema")
}

#[cfg(test)]
mod tests {
    use connect_api::{json::to_json, logical::Logical};
    use serde_json::{Value as Json, json};

    use super::*;

    /// The Avro schema by Confluent's convention, without what `connect.*` attributes add.
    fn avro(schema: &Schema) -> Json {
        let named = |kind: &str| {
            let (namespace, name) = schema.name().and_then(|n| n.rsplit_once('.')).expect("a full name");
            json!({"type": kind, "name": name, "namespace": namespace})
        };
        let plain = match (schema.kind(), Logical::of(schema)) {
            (Type::Struct, _) => {
                let mut record = named("record");
                record["fields"] = schema.fields().iter().map(field).collect();
                record
            }
            (Type::String, _) if schema.parameter(ENUM) == schema.name() && schema.name().is_some() => {
                let mut it = named("enum");
                let of = |(key, symbol): &(String, String)| {
                    key.strip_prefix(ENUM)?.strip_prefix('.').filter(|k| k == symbol).map(Json::from)
                };
                it["symbols"] = schema.parameters().expect("parameters").iter().filter_map(of).collect();
                it
            }
            (Type::Map, _) => {
                assert_eq!(schema.key_schema().expect("a map"), Some(&Schema::string()));
                json!({"type": "map", "values": avro(schema.value_schema().expect("a map").expect("typed"))})
            }
            (Type::Int64, Some(Logical::Timestamp)) => json!({"type": "long", "logicalType": "timestamp-millis"}),
            (kind, None) => json!(kind.name().to_lowercase()),
            other => panic!("{other:?} is not among the alarm topics' types"),
        };
        if schema.is_optional() { json!(["null", plain]) } else { plain }
    }

    fn field(field: &connect_api::Field) -> Json {
        let schema = field.schema();
        let mut it = json!({"name": field.name(), "type": avro(schema), "doc": schema.doc()});
        match schema.default() {
            Some(default) => it["default"] = to_json(default),
            None if schema.is_optional() => it["default"] = Json::Null,
            None => {}
        }
        it
    }

    fn file(text: &str) -> Json {
        fn spell_out(json: &mut Json, namespace: &str) {
            match json {
                Json::Object(members) => {
                    if matches!(members.get("type"), Some(Json::String(t)) if t == "enum") {
                        members.insert("namespace".into(), namespace.into());
                    }
                    members.values_mut().for_each(|v| spell_out(v, namespace));
                }
                Json::Array(items) => items.iter_mut().for_each(|v| spell_out(v, namespace)),
                _ => {}
            }
        }
        let mut json: Json = serde_json::from_str(text).expect("the file is JSON");
        let namespace = json["namespace"].as_str().expect("a namespace").to_owned();
        spell_out(&mut json, &namespace);
        json
    }

    #[test]
    fn schemas_stand_for_the_avro_files() {
        assert_eq!(avro(active_alarm()), file(include_str!("../../../schemas/active-alarms-value.avsc")));
        assert_eq!(avro(registered_alarm()), file(include_str!("../../../schemas/alarms-value.avsc")));
        assert_eq!(avro(shelved_alarm()), file(include_str!("../../../schemas/shelved-alarms-value.avsc")));
    }

    #[test]
    fn the_first_two_fields_are_those_that_existing_consumers_know() {
        let fields = active_alarm().fields();
        assert_eq!(fields[0].name(), "priority");
        let symbols: Vec<&str> =
            fields[0].schema().parameters().expect("parameters").iter().map(|(_, v)| &**v).collect();
        assert_eq!(
            symbols,
            ["org.jlab.kafka.alarms.AlarmPriority", "P1_LIFE", "P2_PROPERTY", "P3_PRODUCTIVITY", "P4_DIAGNOSTIC"]
        );
        assert_eq!((fields[1].name(), fields[1].schema().default()), ("acknowledged", Some(&Value::Boolean(false))));
        let others = &fields[2..];
        assert!(others.iter().all(|f| f.schema().is_optional() || f.schema().default().is_some()));
    }
}
