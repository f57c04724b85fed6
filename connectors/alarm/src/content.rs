//! What is said of an alarm, fitted into whatever schema the subject of its topic has.
//!
//! Each piece is known by the names that the generations have for it. A schema is filled by its fields' names: what it lacks is
//! told, and what nobody said takes the field's default.

use std::str::FromStr;

use connect_api::{Schema, Struct, Type, Value, json::to_json, logical, time};
use serde_json::{Map, Value as Json, json};

use crate::{Alarm, Kind, Priority, RegisteredAlarm, ShelvedAlarm, model::branch};

/// What a union is in Connect, by the convention of Confluent's converter.
const UNION: &str = "io.confluent.connect.avro.Union";
const ENUM: &str = "io.confluent.connect.avro.Enum";

/// What only registrations of JLab's generations know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// The archive of rules that raises the alarm, in place of a channel.
    pub jar: Option<String>,
    /// The screen that shows it.
    pub screen: Option<String>,
    /// How long it may be on the shelf, in seconds; 0 is never.
    pub longest_shelved: Option<i32>,
}

impl Details {
    /// What a registration of any generation says; ours has it in its labels.
    pub fn from_value(value: &Value) -> Self {
        let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let producer = value.get("producer");
        let jar = producer.and_then(|p| p.get("jar").or_else(|| branch(p, "StreamRuleAlarm")?.get("jar")));
        let label = |name: &str| RegisteredAlarm::from_value(value).labels.remove(name);
        let screen = value.get("edmpath").or_else(|| value.get("edmPath")).and_then(text);
        let longest = value.get("maxshelvedduration").and_then(Value::as_i64).and_then(|n| i32::try_from(n).ok());
        Self {
            jar: jar.and_then(text),
            screen: screen.or_else(|| label("edmpath")),
            longest_shelved: longest.or_else(|| label("maxshelvedduration")?.parse().ok()),
        }
    }
}

/// Who put the alarm on the shelf, by the value itself: only JLab's first generation says it there.
pub fn shelved_by(value: &Value) -> Option<&str> {
    value.get("user").and_then(Value::as_str).filter(|user| !user.is_empty())
}

/// What a value says by names that no generation has: members of other writers, which are kept.
pub fn others(kind: Kind, value: &Value) -> Map<String, Json> {
    let known: &[&str] = match kind {
        Kind::Active => &[
            "priority",
            "acknowledged",
            "source",
            "severity",
            "status",
            "message",
            "value",
            "raised",
            "latched",
            "labels",
            "cleared",
            "msg",
        ],
        Kind::Registered => &[
            "source",
            "producer",
            "description",
            "location",
            "category",
            "latching",
            "documentation",
            "docurl",
            "docUrl",
            "labels",
            "edmpath",
            "edmPath",
            "maxshelvedduration",
        ],
        Kind::Shelved => &["expiration", "reason", "duration", "user"],
    };
    let Json::Object(members) = to_json(value) else { return Map::new() };
    members.into_iter().filter(|(name, value)| !known.contains(&name.as_str()) && !value.is_null()).collect()
}

#[derive(Debug, Clone, PartialEq)]
struct Member {
    names: Vec<String>,
    value: Json,
}

impl Member {
    fn is_empty(&self) -> bool {
        match &self.value {
            Json::Null | Json::Bool(false) => true,
            Json::String(text) => text.is_empty(),
            Json::Object(members) => members.is_empty(),
            _ => false,
        }
    }
}

/// What is to be written of an alarm.
#[derive(Debug, Clone, PartialEq)]
pub struct Content {
    members: Vec<Member>,
}

impl Content {
    fn of<const N: usize>(members: [(&[&str], Json); N]) -> Self {
        let member = |(names, value): (&[&str], Json)| {
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            Member { names, value }
        };
        Self { members: members.into_iter().map(member).collect() }
    }

    /// An active alarm.
    pub fn active(alarm: &Alarm) -> Self {
        Self::of([
            (&["priority"], alarm.priority.name().into()),
            (&["acknowledged"], alarm.acknowledged.into()),
            (&["source"], alarm.source.as_str().into()),
            (&["severity"], alarm.severity.as_str().into()),
            (&["status"], alarm.status.as_str().into()),
            (&["message"], alarm.message.as_str().into()),
            (&["value"], alarm.value.as_deref().into()),
            (&["raised"], alarm.raised.into()),
            (&["latched"], alarm.latched.into()),
            (&["labels"], json!(alarm.labels)),
            (&["cleared"], alarm.cleared.into()),
        ])
    }

    /// A message of JLab's last generation: the union's branch and its members.
    pub fn message(branch: &str, members: Json) -> Self {
        Self::of([(&["msg"], json!({ branch: members }))])
    }

    /// A key of that generation: the alarm's name, and which message about it the value is.
    pub fn key(name: &str, message: &str) -> Self {
        Self::of([(&["name"], name.into()), (&["type"], message.into())])
    }

    /// A registration, as the schema has it.
    pub fn registered(alarm: &RegisteredAlarm, details: &Details, schema: &Schema) -> Self {
        let producer = match &details.jar {
            Some(jar) => json!({ "StreamRuleAlarm": { "jar": jar } }),
            None => json!({ "DirectCAAlarm": { "pv": alarm.source } }),
        };
        let mut labels = alarm.labels.clone();
        // Ours has no fields of their own for these.
        let elsewhere = |names: &[&str]| !names.iter().any(|name| schema.field(name).is_some());
        let screen = details.screen.as_ref().filter(|screen| !screen.is_empty());
        if let Some(screen) = screen.filter(|_| elsewhere(&["edmpath", "edmPath"])) {
            labels.insert("edmpath".into(), screen.clone());
        }
        if let Some(seconds) = details.longest_shelved.filter(|_| elsewhere(&["maxshelvedduration"])) {
            labels.insert("maxshelvedduration".into(), seconds.to_string());
        }
        let source =
            if alarm.source.is_empty() { details.jar.clone().unwrap_or_default() } else { alarm.source.clone() };
        let producer = if source.is_empty() { Json::Null } else { producer };
        Self::of([
            (&["source", "producer"], if schema.field("producer").is_some() { producer } else { source.into() }),
            (&["description"], alarm.description.as_str().into()),
            (&["location"], none_if_empty(&alarm.location, schema, "location")),
            (&["category"], none_if_empty(&alarm.category, schema, "category")),
            (&["latching"], alarm.latching.into()),
            (&["documentation", "docurl", "docUrl"], none_if_empty(&alarm.documentation, schema, "docurl")),
            (&["labels"], json!(labels)),
            (
                &["edmpath", "edmPath"],
                if elsewhere(&["edmpath", "edmPath"]) { Json::Null } else { details.screen.clone().into() },
            ),
            (
                &["maxshelvedduration"],
                if elsewhere(&["maxshelvedduration"]) { Json::Null } else { details.longest_shelved.into() },
            ),
        ])
    }

    /// A place on the shelf, as the schema has it. Where there is room for either an expiration or a reason, the expiration
    /// is written.
    pub fn shelved(alarm: &ShelvedAlarm, user: &str, schema: &Schema) -> Self {
        let either = schema.field("duration").is_some();
        let duration = match alarm.expiration {
            Some(end) => json!({ "AcknowledgedAlarm": { "expiration": end } }),
            None => json!({ "DisabledAlarm": { "reason": alarm.reason } }),
        };
        let (first, second): (&[&str], &[&str]) = match (either, alarm.expiration) {
            (true, Some(_)) => (&["expiration", "duration"], &["reason"]),
            (true, None) => (&["expiration"], &["reason", "duration"]),
            (false, _) => (&["expiration"], &["reason"]),
        };
        let (end, reason) = match (either, alarm.expiration) {
            (true, Some(_)) => (duration, Json::from(alarm.reason.as_str())),
            (true, None) => (Json::Null, duration),
            (false, end) => (end.into(), alarm.reason.as_str().into()),
        };
        let user = if schema.field("user").is_some() { Json::from(user) } else { Json::Null };
        Self::of([(first, end), (second, reason), (&["user"], user)])
    }

    /// With the priority of what another writer said before, where that is none of ours and the alarm has therefore got the
    /// lowest.
    pub fn with_priority_of(self, before: &Value) -> Self {
        let written = before.get("priority").and_then(Value::as_str).filter(|text| Priority::from_str(text).is_err());
        match written {
            Some(written) => self.with_priority(written),
            None => self,
        }
    }

    /// With a priority that is none of ours, as another writer has it.
    pub fn with_priority(mut self, written: &str) -> Self {
        if let Some(member) = self.members.iter_mut().find(|m| m.names.iter().any(|name| name == "priority")) {
            member.value = written.into();
        }
        self
    }

    /// With who put the alarm on the shelf, also where the schema has no place for it.
    pub fn with_shelved_by(mut self, user: &str) -> Self {
        if let Some(member) = self.members.iter_mut().find(|m| m.names.iter().any(|name| name == "user")) {
            member.value = user.into();
        }
        self
    }

    /// With members that no generation has, as [`others`] tells them.
    pub fn with_members(mut self, members: &Map<String, Json>) -> Self {
        let member = |(name, value): (&String, &Json)| Member { names: vec![name.clone()], value: value.clone() };
        self.members.extend(members.iter().map(member));
        self
    }

    /// With what another writer said before, and is not said here.
    pub fn with_others(mut self, before: &Value) -> Self {
        if let Json::Object(members) = to_json(before) {
            for (name, value) in members {
                if !self.members.iter().any(|m| m.names.contains(&name)) {
                    self.members.push(Member { names: vec![name], value });
                }
            }
        }
        self
    }

    /// Names of what is said and has no place in the schema.
    pub fn left_out(&self, schema: &Schema) -> Vec<&str> {
        let has = |member: &&Member| !member.names.iter().any(|name| schema.field(name).is_some());
        let left = self.members.iter().filter(|m| !m.is_empty()).filter(has);
        left.filter_map(|m| m.names.first()).map(String::as_str).collect()
    }

    /// The value of the schema; what it needs and is not there, or cannot be, is an error that names it.
    pub fn fit(&self, schema: &Schema) -> Result<Value, String> {
        if schema.kind() != Type::Struct {
            return Err(format!("the schema is no record but {}", schema.kind()));
        }
        let mut members = Map::new();
        for field in schema.fields() {
            let found = self.members.iter().find(|m| m.names.iter().any(|name| name == field.name()));
            if let Some(member) = found {
                members.insert(field.name().to_owned(), member.value.clone());
            }
        }
        fit(schema, &Json::Object(members), "")
    }

    /// The same without schema, by our names, without what is empty.
    pub fn to_json(&self) -> Json {
        let said = self.members.iter().filter(|m| !m.is_empty());
        Json::Object(said.filter_map(|m| Some((m.names.first()?.clone(), m.value.clone()))).collect())
    }
}

/// What a schema other than ours needs is not merely empty.
fn none_if_empty(text: &str, schema: &Schema, field: &str) -> Json {
    let needed = schema.field("producer").is_some() || schema.field(field).is_some_and(|f| is_enum(f.schema()));
    if text.is_empty() && needed { Json::Null } else { text.into() }
}

fn is_enum(schema: &Schema) -> bool {
    schema.parameter(ENUM).is_some()
}

fn symbols(schema: &Schema) -> Vec<&str> {
    let all = schema.parameters().unwrap_or_default().iter();
    all.filter(|(key, _)| key.strip_prefix(ENUM).is_some_and(|rest| rest.starts_with('.'))).map(|(_, v)| &**v).collect()
}

/// The value of a schema from JSON; `at` is where, for messages.
fn fit(schema: &Schema, json: &Json, at: &str) -> Result<Value, String> {
    if json.is_null() {
        return match schema.default() {
            Some(default) => Ok(default.clone()),
            None if schema.is_optional() => Ok(Value::Null),
            None => Err(format!("{at} is missing")),
        };
    }
    let wrong = || format!("{at}: {json} is no {}", schema.kind());
    let failed = |e: connect_api::Error| format!("{at}: {}", e.one_line());
    let within = |name: &str| if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
    let value = match schema.kind() {
        Type::Struct => {
            let members = json.as_object().ok_or_else(wrong)?;
            let mut values = Vec::with_capacity(schema.fields().len());
            let union = schema.name() == Some(UNION);
            if union && !members.keys().any(|name| schema.fields().iter().any(|f| is_branch(f.name(), name))) {
                return Err(format!("{at} cannot be {}", members.keys().cloned().collect::<Vec<_>>().join(", ")));
            }
            for field in schema.fields() {
                let member = if union {
                    members.iter().find(|(name, _)| is_branch(field.name(), name)).map(|(_, v)| v)
                } else {
                    members.get(field.name())
                };
                values.push(match member {
                    None if union => Value::Null,
                    member => fit(field.schema(), member.unwrap_or(&Json::Null), &within(field.name()))?,
                });
            }
            return Ok(Struct::from_values(schema, values).map_err(failed)?.into_value());
        }
        Type::Map => {
            let members = json.as_object().ok_or_else(wrong)?;
            let Some(of) = schema.value_schema().map_err(failed)? else { return Err(wrong()) };
            let mut entries = Vec::with_capacity(members.len());
            for (name, value) in members {
                entries.push((name.as_str(), fit(of, value, &within(name))?));
            }
            Value::map(entries)
        }
        Type::Array => {
            let Some(of) = schema.value_schema().map_err(failed)? else { return Err(wrong()) };
            let items = json.as_array().ok_or_else(wrong)?.iter().map(|item| fit(of, item, at));
            Value::array(items.collect::<Result<_, _>>()?)
        }
        Type::Boolean => Value::Boolean(json.as_bool().ok_or_else(wrong)?),
        Type::String => {
            let text = json.as_str().ok_or_else(wrong)?;
            let symbols = symbols(schema);
            if is_enum(schema) && !symbols.contains(&text) {
                return Err(format!("{at}: {text} is none of {}", symbols.join(", ")));
            }
            text.into()
        }
        Type::Int32 => Value::Int32(json.as_i64().and_then(|n| i32::try_from(n).ok()).ok_or_else(wrong)?),
        // Times are shown as text.
        Type::Int64 => Value::Int64(json.as_i64().or_else(|| time::parse_rfc3339(json.as_str()?)).ok_or_else(wrong)?),
        Type::Float32 => Value::Float32(json.as_f64().ok_or_else(wrong)? as f32),
        Type::Float64 => Value::Float64(json.as_f64().ok_or_else(wrong)?),
        kind => return Err(format!("{at}: values of type {kind} cannot be written")),
    };
    logical::from_physical(schema, value).map_err(failed)
}

/// Whether a union's field, which has the full name of its record, is of this branch.
fn is_branch(field: &str, name: &str) -> bool {
    field == name || field.rsplit('.').next() == Some(name)
}
