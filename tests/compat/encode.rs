//! Values, schemas and records in the form that `Oracle.java` reads and writes.

use connect_api::{Record, Schema, Type, Value, json::base64, logical::DAY_MS};
use serde_json::{Value as Json, json};

/// A value with its type, as Java sees it: the three logical types of time are one class there.
pub fn value(v: &Value) -> Json {
    match v {
        Value::Null => Json::Null,
        Value::Int8(v) => json!({ "int8": v }),
        Value::Int16(v) => json!({ "int16": v }),
        Value::Int32(v) => json!({ "int32": v }),
        Value::Int64(v) => json!({ "int64": v.to_string() }),
        Value::Float32(v) => json!({ "float32": if v.is_nan() { 0x7fc0_0000 } else { v.to_bits() as i32 } }),
        Value::Float64(v) => {
            let bits = if v.is_nan() { 0x7ff8_0000_0000_0000 } else { v.to_bits() as i64 };
            json!({ "float64": bits.to_string() })
        }
        Value::Boolean(v) => json!({ "boolean": v }),
        Value::String(v) => json!({ "string": v.to_string() }),
        Value::Bytes(v) => json!({ "bytes": base64(v) }),
        Value::Array(items) => json!({ "list": items.iter().map(value).collect::<Vec<_>>() }),
        Value::Map(entries) => {
            json!({ "map": entries.iter().map(|(k, v)| [value(k), value(v)]).collect::<Vec<_>>() })
        }
        Value::Struct(s) => {
            let values: Vec<Json> = s.values().iter().map(value).collect();
            json!({ "struct": { "schema": schema(Some(s.schema())), "values": values } })
        }
        Value::Decimal(d) => {
            let (unscaled, scale) = d.as_bigint_and_exponent();
            json!({ "decimal": [unscaled.to_string(), scale] })
        }
        Value::Date(days) => json!({ "date": i64::from(*days) * i64::from(DAY_MS) }),
        Value::Time(ms) => json!({ "date": ms }),
        Value::Timestamp(ms) => json!({ "date": ms }),
    }
}

/// A schema with all of its attributes.
pub fn schema(of: Option<&Schema>) -> Json {
    let Some(s) = of else { return Json::Null };
    let mut made = json!({ "type": s.kind().name(), "optional": s.is_optional() });
    let mut set = |name: &str, value: Option<Json>| {
        if let Some(value) = value {
            made[name] = value;
        }
    };
    set("name", s.name().map(Json::from));
    set("version", s.version().map(Json::from));
    set("doc", s.doc().map(Json::from));
    set("parameters", s.parameters().filter(|p| !p.is_empty()).map(|p| json!(p)));
    set("default", s.default().map(value));
    if s.kind() == Type::Struct {
        let fields: Vec<Json> = s.fields().iter().map(|f| json!([f.name(), schema(Some(f.schema()))])).collect();
        set("fields", Some(fields.into()));
    }
    if let Ok(Some(key)) = s.key_schema() {
        set("key", Some(schema(Some(key))));
    }
    if let Ok(Some(element)) = s.value_schema() {
        set("element", Some(schema(Some(element))));
    }
    made
}

/// A record; with an offset it is a sink's.
pub fn record(r: &Record) -> Json {
    let header = |h: &connect_api::Header| json!({ "key": &*h.key, "schema": schema(h.schema.as_ref()), "value": value(&h.value) });
    json!({
        "topic": &*r.topic,
        "partition": r.partition,
        "timestamp": r.timestamp,
        "keySchema": schema(r.key_schema.as_ref()),
        "key": value(&r.key),
        "valueSchema": schema(r.value_schema.as_ref()),
        "value": value(&r.value),
        "headers": r.headers.iter().map(header).collect::<Vec<_>>(),
    })
}

/// The same answer with members and entries in one order: neither Java's maps nor ours promise any.
pub fn in_order(answer: &Json) -> Json {
    match answer {
        Json::Array(items) => items.iter().map(in_order).collect(),
        Json::Object(members) => {
            let mut names: Vec<&String> = members.keys().collect();
            names.sort();
            let sorted = names.into_iter().map(|name| {
                let mut value = in_order(&members[name]);
                if name == "map"
                    && let Json::Array(pairs) = &mut value
                {
                    pairs.sort_by_cached_key(Json::to_string);
                }
                (name.clone(), value)
            });
            Json::Object(sorted.collect())
        }
        other => other.clone(),
    }
}
