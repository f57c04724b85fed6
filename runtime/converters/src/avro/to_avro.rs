//! From Connect schemas to Avro schemas, in the texts of Confluent's converter: the same members in the
//! same order, since not every registry compares parsed schemas.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use connect_api::{
    Error, Result, Schema, Type, Value,
    logical::{self, Logical},
};
use serde_json::{Map as JsonMap, Value as Json, json};

use super::names::*;

// Schemas made of Avro texts, and these texts. Whoever embeds an .avsc wants it written as it is: what
// Confluent's translation adds (`connect.name` and the like) would be a new version for each subject.
static ORIGINS: Mutex<Vec<(Schema, String)>> = Mutex::new(Vec::new());

/// Remembers the Avro schema that a Connect schema was made of. The answer is the Connect schema to use: one for each
/// text, since texts that differ in nothing but attributes of their own have schemas that are equal.
pub(crate) fn remember(schema: Schema, text: String) -> Schema {
    let mut origins = ORIGINS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((known, _)) = origins.iter().find(|(_, of)| *of == text) {
        return known.clone();
    }
    origins.push((schema.clone(), text));
    schema
}

/// The compact text of the Avro schema for a Connect schema; none stands for values without schema.
pub(crate) fn avro_schema(schema: Option<&Schema>, style: Style) -> Result<String> {
    let Some(schema) = schema else { return Ok(ANYTHING_SCHEMA.to_owned()) };
    if style.enums {
        let origins = ORIGINS.lock().unwrap_or_else(PoisonError::into_inner);
        let same = origins.iter().find(|(known, _)| known.same(schema));
        if let Some((_, text)) = same.or_else(|| origins.iter().find(|(known, _)| known == schema)) {
            return Ok(text.clone());
        }
    }
    let text = Translator { style, named: HashMap::new() }.schema(schema, None, false)?.to_string();
    // Names may hold anything in Connect; the registry would refuse them less clearly.
    apache_avro::Schema::parse_str(&text).map_err(|e| {
        let name = schema.name().unwrap_or("(none)");
        Error::data(format!("translating the schema {name} to Avro: {e}"))
    })?;
    Ok(text)
}

struct Translator {
    style: Style,
    // Schemas by the full name that they have been written under. Written again, they are only named.
    named: HashMap<String, Schema>,
}

impl Translator {
    fn schema(&mut self, schema: &Schema, namespace: Option<&str>, required: bool) -> Result<Json> {
        let optional = schema.is_optional() && !required;
        if schema.kind() == Type::Struct && schema.name() == Some(UNION) {
            let mut members = Vec::new();
            if optional {
                members.push(json!("null"));
            }
            for field in schema.fields() {
                members.push(self.schema(field.schema(), namespace, true)?);
            }
            return Ok(Json::Array(members));
        }
        let base = self.base(schema, namespace)?;
        Ok(match (optional, schema.default()) {
            (false, _) => base,
            // The default of a union must fit its first member.
            (true, Some(_)) => json!([base, "null"]),
            (true, None) => json!(["null", base]),
        })
    }

    fn base(&mut self, schema: &Schema, namespace: Option<&str>) -> Result<Json> {
        let mut out = JsonMap::new();
        let mut set = |name: &str, value: Json| {
            out.insert(name.to_owned(), value);
        };
        let plain = |kind: &str| Json::from(kind);
        match schema.kind() {
            Type::Int8 | Type::Int16 | Type::Int32 => set("type", plain("int")),
            Type::Int64 => set("type", plain("long")),
            Type::Float32 => set("type", plain("float")),
            Type::Float64 => set("type", plain("double")),
            Type::Boolean => set("type", plain("boolean")),
            Type::String => match schema.parameter(ENUM).filter(|_| self.style.enums) {
                Some(full) => return self.enumeration(schema, full, namespace),
                None => set("type", plain("string")),
            },
            Type::Bytes => {
                set("type", plain("bytes"));
                if Logical::of(schema) == Some(Logical::Decimal) {
                    let number =
                        |name: &str, default: i64| schema.parameter(name).map_or(Ok(default), str::parse::<i64>);
                    let wrong = |e| Error::data("Invalid scale or precision of a Decimal schema").caused_by(e);
                    set("scale", number(logical::SCALE, 0).map_err(wrong)?.into());
                    set("precision", number(PRECISION, DEFAULT_PRECISION).map_err(wrong)?.into());
                }
            }
            Type::Array => {
                set("type", plain("array"));
                set("items", self.element(schema.value_schema()?, namespace)?);
            }
            Type::Map => {
                let key = schema.key_schema()?;
                if key.is_some_and(|k| k.kind() == Type::String && !k.is_optional()) {
                    set("type", plain("map"));
                    set("values", self.element(schema.value_schema()?, namespace)?);
                } else {
                    set("type", plain("array"));
                    set("items", self.entries(schema, namespace)?);
                }
            }
            Type::Struct => return self.record(schema, namespace),
        }
        self.properties(schema, &mut out)?;
        let kind = out.get("type").cloned().unwrap_or_default();
        Ok(if out.len() == 1 { kind } else { Json::Object(out) })
    }

    fn element(&mut self, schema: Option<&Schema>, namespace: Option<&str>) -> Result<Json> {
        match schema {
            Some(s) => self.schema(s, namespace, false),
            None => self.anything(),
        }
    }

    fn anything(&mut self) -> Result<Json> {
        if self.named.insert(ANYTHING.to_owned(), Schema::string()).is_some() {
            return Ok(ANYTHING.into());
        }
        // Its entries take the name that maps with other keys would take.
        self.named.insert(format!("{NAMESPACE}.{MAP_ENTRY}"), Schema::bytes());
        serde_json::from_str(ANYTHING_SCHEMA).map_err(|e| Error::fatal("the schema of schemaless values").caused_by(e))
    }

    fn enumeration(&mut self, schema: &Schema, full: &str, namespace: Option<&str>) -> Result<Json> {
        if let Some(known) = self.named.get(full) {
            let symbols = |s: &Schema| enum_symbols(s).map(str::to_owned).collect::<Vec<_>>();
            return if symbols(known) == symbols(schema) { Ok(full.into()) } else { Err(redefined(full)) };
        }
        self.named.insert(full.to_owned(), schema.clone());
        let mut out = JsonMap::new();
        out.insert("type".into(), "enum".into());
        let short = name_members(full, namespace, &mut out);
        // Confluent looks both up by the schema's short name, which is the enum's.
        if let Some(doc) = schema.parameter(&format!("{ENUM_DOC}{short}")) {
            out.insert("doc".into(), doc.into());
        }
        out.insert("symbols".into(), enum_symbols(schema).collect::<Vec<_>>().into());
        if let Some(default) = schema.parameter(&format!("{ENUM_DEFAULT}{short}")) {
            out.insert("default".into(), default.into());
        }
        self.properties(schema, &mut out)?;
        Ok(Json::Object(out))
    }

    fn record(&mut self, schema: &Schema, namespace: Option<&str>) -> Result<Json> {
        let full = match schema.name() {
            Some(name) => name.to_owned(),
            None => self.free_name(DEFAULT_NAME, schema),
        };
        if let Some(known) = self.named.get(&full) {
            return if known.fields() == schema.fields() { Ok(full.into()) } else { Err(redefined(&full)) };
        }
        self.named.insert(full.clone(), schema.clone());
        let mut out = JsonMap::new();
        out.insert("type".into(), "record".into());
        name_members(&full, namespace, &mut out);
        if let Some(doc) = schema.parameter(RECORD_DOC) {
            out.insert("doc".into(), doc.into());
        }
        let space = full.rsplit_once('.').map_or("", |(space, _)| space);
        let fields = schema.fields().iter().map(|f| {
            let doc = schema.parameter(&format!("{FIELD_DOC}{}", f.name()));
            self.field(f.name(), Some(f.schema()), doc, space)
        });
        let fields = fields.collect::<Result<Vec<_>>>()?;
        out.insert("fields".into(), fields.into());
        self.properties(schema, &mut out)?;
        Ok(Json::Object(out))
    }

    fn entries(&mut self, schema: &Schema, namespace: Option<&str>) -> Result<Json> {
        let full = match schema.name() {
            Some(name) => name.to_owned(),
            None => self.free_name(MAP_ENTRY, schema),
        };
        if let Some(known) = self.named.get(&full) {
            let same = known.kind() == Type::Map
                && known.key_schema()? == schema.key_schema()?
                && known.value_schema()? == schema.value_schema()?;
            return if same { Ok(full.into()) } else { Err(redefined(&full)) };
        }
        self.named.insert(full.clone(), schema.clone());
        let mut out = JsonMap::new();
        out.insert("type".into(), "record".into());
        name_members(&full, namespace, &mut out);
        let space = full.rsplit_once('.').map_or("", |(space, _)| space);
        let key = self.field("key", schema.key_schema()?, None, space)?;
        let value = self.field("value", schema.value_schema()?, None, space)?;
        out.insert("fields".into(), json!([key, value]));
        if full != format!("{NAMESPACE}.{MAP_ENTRY}") {
            out.insert(INTERNAL_TYPE.into(), MAP_ENTRY.into());
        }
        Ok(Json::Object(out))
    }

    fn field(&mut self, name: &str, schema: Option<&Schema>, doc: Option<&str>, namespace: &str) -> Result<Json> {
        let mut out = JsonMap::new();
        out.insert("name".into(), name.into());
        out.insert("type".into(), self.element(schema, Some(namespace))?);
        if let Some(doc) = doc {
            out.insert("doc".into(), doc.into());
        }
        match schema.map(|s| (s, s.default())) {
            Some((schema, Some(default))) => {
                out.insert("default".into(), default_json(schema, default)?);
            }
            Some((schema, None)) if schema.is_optional() => {
                out.insert("default".into(), Json::Null);
            }
            _ => {}
        }
        Ok(Json::Object(out))
    }

    // Confluent calls all structs without a name the same and fails when they differ; here they are numbered.
    fn free_name(&self, base: &str, schema: &Schema) -> String {
        let mut full = format!("{NAMESPACE}.{base}");
        for number in 2.. {
            match self.named.get(&full) {
                Some(known) if !same_shape(known, schema) => full = format!("{NAMESPACE}.{base}{number}"),
                _ => break,
            }
        }
        full
    }

    fn properties(&self, schema: &Schema, out: &mut JsonMap<String, Json>) -> Result<()> {
        let mut set = |name: &str, value: Json| {
            out.insert(name.to_owned(), value);
        };
        if self.style.meta_data {
            if let Some(doc) = schema.doc() {
                set(CONNECT_DOC, doc.into());
            }
            if let Some(version) = schema.version() {
                set(CONNECT_VERSION, version.into());
            }
            let parameters = schema.parameters().unwrap_or_default().iter().filter(|(name, _)| name != FIELD_DEFAULT);
            let parameters: JsonMap<String, Json> =
                parameters.map(|(name, value)| (name.clone(), value.as_str().into())).collect();
            if !parameters.is_empty() {
                set(CONNECT_PARAMETERS, parameters.into());
            }
            if let Some(default) = schema.default()
                && schema.parameter(FIELD_DEFAULT).is_none()
            {
                set(CONNECT_DEFAULT, default_json(schema, default)?);
            }
            if let Some(name) = schema.name() {
                set(CONNECT_NAME, name.into());
            }
            match schema.kind() {
                Type::Int8 => set(CONNECT_TYPE, "int8".into()),
                Type::Int16 => set(CONNECT_TYPE, "int16".into()),
                _ => {}
            }
        }
        match Logical::of(schema) {
            Some(Logical::Decimal) => set("logicalType", "decimal".into()),
            Some(Logical::Date) => set("logicalType", "date".into()),
            Some(Logical::Time) => set("logicalType", "time-millis".into()),
            Some(Logical::Timestamp) => set("logicalType", "timestamp-millis".into()),
            None => {}
        }
        for (name, value) in schema.parameters().unwrap_or_default() {
            if name.starts_with("avro") {
                set(name, value.as_str().into());
            }
        }
        Ok(())
    }
}

fn same_shape(a: &Schema, b: &Schema) -> bool {
    let elements = |s: &Schema| (s.key_schema().ok().flatten().cloned(), s.value_schema().ok().flatten().cloned());
    a.kind() == b.kind() && a.name().is_none() && a.fields() == b.fields() && elements(a) == elements(b)
}

fn redefined(full: &str) -> Error {
    Error::data(format!("translating a schema to Avro: two different types are called {full}"))
}

// As Avro for Java writes names: the namespace only where it is not that of the type around.
fn name_members<'a>(full: &'a str, around: Option<&str>, out: &mut JsonMap<String, Json>) -> &'a str {
    let (space, short) = full.rsplit_once('.').unwrap_or(("", full));
    out.insert("name".into(), short.into());
    if space != around.unwrap_or("") {
        out.insert("namespace".into(), space.into());
    }
    short
}

/// The symbols of an enum that its parameters list in order.
pub(crate) fn enum_symbols(schema: &Schema) -> impl Iterator<Item = &str> {
    let parameters = schema.parameters().unwrap_or_default().iter();
    parameters.filter(|(name, _)| name.strip_prefix(ENUM).is_some_and(|n| n.starts_with('.'))).map(|(_, v)| v.as_str())
}

/// A default as Avro writes it: bytes as a text of characters up to 255, unions by their first member.
fn default_json(schema: &Schema, value: &Value) -> Result<Json> {
    Ok(match logical::to_physical(schema, value)? {
        Value::Null => Json::Null,
        Value::Boolean(v) => v.into(),
        Value::Float32(v) => connect_api::json::to_json(&Value::Float32(v)),
        Value::Float64(v) => v.into(),
        Value::String(v) => (*v).into(),
        Value::Bytes(v) => v.iter().map(|b| char::from(*b)).collect::<String>().into(),
        Value::Array(items) => {
            let element = schema.value_schema()?.ok_or_else(|| Error::data("a default of elements without schema"))?;
            items.iter().map(|v| default_json(element, v)).collect::<Result<Vec<_>>>()?.into()
        }
        Value::Map(entries) => {
            let (Some(ks), Some(vs)) = (schema.key_schema()?, schema.value_schema()?) else {
                return Err(Error::data("a default of elements without schema"));
            };
            if ks.kind() == Type::String && !ks.is_optional() {
                let entries = entries.iter().map(|(k, v)| Ok((k.to_string(), default_json(vs, v)?)));
                Json::Object(entries.collect::<Result<_>>()?)
            } else {
                let entries = entries.iter().map(|(k, v)| Ok(json!([default_json(ks, k)?, default_json(vs, v)?])));
                Json::Array(entries.collect::<Result<_>>()?)
            }
        }
        Value::Struct(s) if schema.name() == Some(UNION) => {
            let set = schema.fields().iter().find(|f| !s.at(f.index()).is_null());
            set.map_or(Ok(Json::Null), |f| default_json(f.schema(), s.at(f.index())))?
        }
        Value::Struct(s) => {
            let fields =
                schema.fields().iter().map(|f| Ok((f.name().to_owned(), default_json(f.schema(), s.at(f.index()))?)));
            Json::Object(fields.collect::<Result<_>>()?)
        }
        other => other.as_i64().map_or(Json::Null, Json::from),
    })
}
