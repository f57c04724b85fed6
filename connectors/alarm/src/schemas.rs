//! The Connect schemas of the alarm topics.
//!
//! By the convention of Confluent's Avro converter they stand for `schemas/*.avsc`: documentation of fields is in
//! parameters of their record, an enum is a STRING with the name of the enum and its symbols as parameters.

use std::sync::LazyLock;

use connect_api::{Schema, SchemaBuilder, Type, Value, logical};

use crate::Priority;

const ENUM: &str = "io.confluent.connect.avro.Enum";
const FIELD_DOC: &str = "io.confluent.connect.avro.field.doc.";
const FIELD_DEFAULT: &str = "io.confluent.connect.avro.field.default";

static ACTIVE: LazyLock<Schema> = LazyLock::new(|| {
    record(
        "org.jlab.kafka.alarms.ActiveAlarm",
        [
            ("priority", priority(), "How much is at stake, highest first."),
            ("acknowledged", flag(), "Whether a person has taken note of the alarm at this priority."),
            ("source", text(), "What raises and clears the alarm: by default the name of a connector."),
            ("severity", text(), "Severity in the words of the source, such as MAJOR."),
            ("status", text(), "Reason in the words of the source, such as HIHI."),
            ("message", text(), "What a person should read."),
            ("value", Schema::optional_string(), "The value that is out of bounds, as text."),
            ("raised", logical::timestamp().with_optional(true), "When the alarm was raised; updates keep it."),
            ("latched", flag(), "Whether all is well again and the alarm stays only until somebody acknowledges it."),
            ("labels", labels(), "Anything else to find the alarm by, such as location or system."),
            ("cleared", flag(), "Whether this is the record of an alarm that is over, with what was last known of it."),
        ],
    )
});

static REGISTERED: LazyLock<Schema> = LazyLock::new(|| {
    record(
        "io.tocsin.alarms.RegisteredAlarm",
        [
            ("source", text(), "What raises and clears the alarm: by default the name of a connector."),
            ("description", text(), "What the alarm means."),
            ("location", text(), "Where it is."),
            ("category", text(), "The kind of equipment or trade, such as vacuum."),
            ("latching", flag(), "Whether the alarm stays until all is well and somebody has acknowledged it."),
            ("documentation", text(), "Where to read what to do, usually a URL."),
            ("labels", labels(), "Anything else to find the alarm by."),
        ],
    )
});

static SHELVED: LazyLock<Schema> = LazyLock::new(|| {
    record(
        "org.jlab.kafka.alarms.ShelvedAlarm",
        [
            (
                "expiration",
                logical::timestamp().with_optional(true),
                "When the alarm comes off the shelf by itself; null for never.",
            ),
            ("reason", Schema::string(), "Why it is on the shelf."),
        ],
    )
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

fn record<const N: usize>(name: &str, fields: [(&str, Schema, &str); N]) -> Schema {
    let add = |record: SchemaBuilder, (field, schema, doc): (&str, Schema, &str)| {
        record.parameter(format!("{FIELD_DOC}{field}"), doc).field(field, schema)
    };
    fields.into_iter().fold(Schema::structure().name(name), add).build().expect("constant schema")
}

fn priority() -> Schema {
    let name = "org.jlab.kafka.alarms.AlarmPriority";
    let builder = SchemaBuilder::new(Type::String).name(name).parameter(ENUM, name);
    let symbols = Priority::ALL.iter().map(|p| p.name());
    let builder = symbols.fold(builder, |b, symbol| b.parameter(format!("{ENUM}.{symbol}"), symbol));
    builder.build().expect("constant schema")
}

fn flag() -> Schema {
    with_default(SchemaBuilder::new(Type::Boolean), Value::Boolean(false))
}

fn text() -> Schema {
    with_default(SchemaBuilder::new(Type::String), "".into())
}

fn labels() -> Schema {
    with_default(Schema::map(Schema::string(), Schema::string()), Value::map::<&str>([]))
}

/// A default of the field, as opposed to one of its type.
fn with_default(builder: SchemaBuilder, default: Value) -> Schema {
    builder.parameter(FIELD_DEFAULT, "true").default(default).build().expect("constant schema")
}

#[cfg(test)]
mod tests {
    use super::*;

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
