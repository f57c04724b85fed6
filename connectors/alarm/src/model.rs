//! What the alarm topics hold, and the values that it is written as.

use std::collections::BTreeMap;

use connect_api::{Schema, Struct, Value, time};

use crate::{Priority, schemas};

/// An active alarm: the value of a record of `active-alarms`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// How much is at stake.
    pub priority: Priority,
    /// Whether a person has taken note of the alarm at this priority.
    pub acknowledged: bool,
    /// What raises and clears the alarm; empty if its writer did not say.
    pub source: String,
    /// Severity in the words of the source.
    pub severity: String,
    /// Reason in the words of the source.
    pub status: String,
    /// What a person should read.
    pub message: String,
    /// The value that is out of bounds.
    pub value: Option<String>,
    /// When the alarm was raised, milliseconds since 1970.
    pub raised: Option<i64>,
    /// Whether all is well again and only the acknowledgement is missing.
    pub latched: bool,
    /// Anything else to find the alarm by.
    pub labels: BTreeMap<String, String>,
    /// Whether this is a marker: the alarm is over, and this is what was last known of it.
    pub cleared: bool,
}

impl Alarm {
    /// An alarm of which nothing else is known.
    pub fn new(priority: Priority) -> Self {
        Self {
            priority,
            acknowledged: false,
            source: String::new(),
            severity: String::new(),
            status: String::new(),
            message: String::new(),
            value: None,
            raised: None,
            latched: false,
            labels: BTreeMap::new(),
            cleared: false,
        }
    }

    /// The alarm that a row of the topic tells of; none if it is the marker of one that is over.
    pub fn active(value: &Value) -> Option<Self> {
        Some(Self::from_value(value)).filter(|alarm| !alarm.cleared)
    }

    /// The value to write, of schema [`schemas::active_alarm`].
    pub fn to_value(&self) -> Value {
        of_schema(
            schemas::active_alarm(),
            vec![
                self.priority.name().into(),
                self.acknowledged.into(),
                self.source.as_str().into(),
                self.severity.as_str().into(),
                self.status.as_str().into(),
                self.message.as_str().into(),
                self.value.as_deref().map_or(Value::Null, Value::from),
                self.raised.map_or(Value::Null, Value::Timestamp),
                self.latched.into(),
                write_labels(&self.labels),
                self.cleared.into(),
            ],
        )
    }

    /// Reads what this or any other generation of writers wrote. What is missing is empty; without a priority it is
    /// the lowest.
    pub fn from_value(value: &Value) -> Self {
        let priority = value.get("priority").and_then(Value::as_str).and_then(|p| p.parse().ok());
        // JLab's last generation has severity and status of EPICS within `msg`.
        let message = value.get("msg").filter(|msg| !msg.is_null());
        let epics = message.map(|msg| branch(msg, "AlarmingEPICS").unwrap_or(msg));
        let either = |name: &str, of_epics: &str| match epics {
            Some(msg) => read_text(msg, of_epics),
            None => read_text(value, name),
        };
        Self {
            acknowledged: read_flag(value, "acknowledged"),
            source: read_text(value, "source"),
            severity: either("severity", "sevr"),
            status: either("status", "stat"),
            message: read_text(value, "message"),
            value: value.get("value").and_then(Value::as_str).map(str::to_owned),
            raised: read_time(value, "raised"),
            latched: read_flag(value, "latched"),
            labels: read_labels(value),
            cleared: read_flag(value, "cleared"),
            ..Self::new(priority.unwrap_or(Priority::Diagnostic))
        }
    }
}

/// What can alarm: the value of a record of `alarms`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegisteredAlarm {
    /// What raises and clears the alarm.
    pub source: String,
    /// What the alarm means.
    pub description: String,
    /// Where it is.
    pub location: String,
    /// The kind of equipment or trade.
    pub category: String,
    /// Whether the alarm stays until all is well and somebody has acknowledged it.
    pub latching: bool,
    /// Where to read what to do.
    pub documentation: String,
    /// Anything else to find the alarm by.
    pub labels: BTreeMap<String, String>,
}

impl RegisteredAlarm {
    /// The value to write, of schema [`schemas::registered_alarm`].
    pub fn to_value(&self) -> Value {
        of_schema(
            schemas::registered_alarm(),
            vec![
                self.source.as_str().into(),
                self.description.as_str().into(),
                self.location.as_str().into(),
                self.category.as_str().into(),
                self.latching.into(),
                self.documentation.as_str().into(),
                write_labels(&self.labels),
            ],
        )
    }

    /// Reads what any generation wrote: JLab's had the documentation in `docUrl`, then `docurl`, and the channel or
    /// the archive of rules in `producer`.
    pub fn from_value(value: &Value) -> Self {
        let producer = value.get("producer");
        let of = |of: &str, name: &str| producer.and_then(|p| p.get(name).or_else(|| branch(p, of)?.get(name)));
        let source = of("DirectCAAlarm", "pv").or_else(|| of("StreamRuleAlarm", "jar"));
        let either = |names: &[&str]| names.iter().map(|n| read_text(value, n)).find(|t| !t.is_empty());
        Self {
            source: either(&["source"]).or_else(|| Some(source?.as_str()?.to_owned())).unwrap_or_default(),
            description: read_text(value, "description"),
            location: read_text(value, "location"),
            category: read_text(value, "category"),
            latching: read_flag(value, "latching"),
            documentation: either(&["documentation", "docurl", "docUrl"]).unwrap_or_default(),
            labels: read_labels(value),
        }
    }
}

/// A shelved alarm, which nobody is told of: the value of a record of `shelved-alarms`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShelvedAlarm {
    /// When the alarm comes off the shelf by itself, milliseconds since 1970; never if absent.
    pub expiration: Option<i64>,
    /// Why it is on the shelf.
    pub reason: String,
}

impl ShelvedAlarm {
    /// The value to write, of schema [`schemas::shelved_alarm`].
    pub fn to_value(&self) -> Value {
        let expiration = self.expiration.map_or(Value::Null, Value::Timestamp);
        of_schema(schemas::shelved_alarm(), vec![expiration, self.reason.as_str().into()])
    }

    /// Reads what any generation wrote: JLab's first ones had either an expiration or a reason within `duration`.
    pub fn from_value(value: &Value) -> Self {
        let duration = value.get("duration");
        let member = |of: &str, name: &str| {
            let within = duration.and_then(|d| d.get(name).or_else(|| branch(d, of)?.get(name)));
            within.or_else(|| value.get(name)).cloned().unwrap_or_default()
        };
        Self {
            expiration: millis(&member("AcknowledgedAlarm", "expiration")),
            reason: member("DisabledAlarm", "reason").as_str().unwrap_or_default().to_owned(),
        }
    }

    /// Whether the alarm is still on the shelf at that time.
    pub fn holds_at(&self, now_ms: i64) -> bool {
        self.expiration.is_none_or(|end| now_ms < end)
    }
}

/// The member of a union that is a record of this name, whose namespace may be part of the member's; none if it is another.
pub fn branch<'v>(union: &'v Value, name: &str) -> Option<&'v Value> {
    let found = union.get(name).or_else(|| {
        let Value::Struct(all) = union else { return None };
        let field = all.schema().fields().iter().find(|f| f.name().rsplit('.').next() == Some(name))?;
        Some(all.at(field.index()))
    });
    found.filter(|value| !value.is_null())
}

fn of_schema(schema: &Schema, values: Vec<Value>) -> Value {
    Struct::from_values(schema, values).expect("the fields of the alarm schemas").into_value()
}

fn write_labels(labels: &BTreeMap<String, String>) -> Value {
    Value::map(labels.iter().map(|(k, v)| (k.as_str(), v.as_str().into())))
}

fn read_text(value: &Value, name: &str) -> String {
    value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn read_flag(value: &Value, name: &str) -> bool {
    matches!(value.get(name), Some(Value::Boolean(true)))
}

fn read_time(value: &Value, name: &str) -> Option<i64> {
    millis(value.get(name)?)
}

fn millis(value: &Value) -> Option<i64> {
    match value {
        Value::Timestamp(ms) => Some(*ms),
        Value::String(text) => time::parse_rfc3339(text),
        other => other.as_i64(),
    }
}

fn read_labels(value: &Value) -> BTreeMap<String, String> {
    let Some(Value::Map(entries)) = value.get("labels") else { return BTreeMap::new() };
    entries.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarms_read_back_as_written() {
        let alarm = Alarm {
            source: "epics".into(),
            severity: "MAJOR".into(),
            message: "too hot".into(),
            value: Some("95.5".into()),
            raised: Some(1_700_000_000_000),
            labels: [("zone".to_owned(), "NL".to_owned())].into(),
            ..Alarm::new(Priority::Property)
        };
        let value = alarm.to_value();
        assert!(value.fits(schemas::active_alarm()));
        assert_eq!(Alarm::from_value(&value), alarm);
        assert_eq!(Alarm::active(&value).as_ref(), Some(&alarm));
        let marker = Alarm { cleared: true, ..alarm }.to_value();
        assert!(Alarm::from_value(&marker).cleared);
        assert_eq!(Alarm::active(&marker), None);
        let registered = RegisteredAlarm { latching: true, location: "NL".into(), ..Default::default() };
        assert_eq!(RegisteredAlarm::from_value(&registered.to_value()), registered);
        let shelved = ShelvedAlarm { expiration: Some(5), reason: "maintenance".into() };
        assert_eq!(ShelvedAlarm::from_value(&shelved.to_value()), shelved);
        assert!(shelved.holds_at(4) && !shelved.holds_at(5) && ShelvedAlarm::default().holds_at(i64::MAX));
    }

    #[test]
    fn other_generations_are_read() {
        let first = Value::map([("priority", Value::from("P1_LIFE"))]);
        assert_eq!(Alarm::from_value(&first), Alarm::new(Priority::Life));
        let last = Value::map([("msg", Value::map([("sevr", Value::from("MAJOR"))]))]);
        assert_eq!(Alarm::from_value(&last).priority, Priority::Diagnostic);

        let producer = Value::map([("pv", Value::from("T:ai0"))]);
        let registered =
            Value::map([("producer", producer), ("docUrl", "http://docs".into()), ("location", "NL".into())]);
        let registered = RegisteredAlarm::from_value(&registered);
        assert_eq!((&*registered.source, &*registered.documentation), ("T:ai0", "http://docs"));

        let disabled = Value::map([("duration", Value::map([("reason", Value::from("broken"))]))]);
        assert_eq!(ShelvedAlarm::from_value(&disabled), ShelvedAlarm { expiration: None, reason: "broken".into() });
        let until = Value::map([("duration", Value::map([("expiration", Value::Int64(7))]))]);
        assert_eq!(ShelvedAlarm::from_value(&until).expiration, Some(7));
    }

    #[test]
    fn json_without_schemas_reads_the_same() {
        let json =
            serde_json::json!({"priority": "P2_PROPERTY", "raised": "1970-01-01T00:00:01Z", "labels": {"a": "b"}});
        let alarm = Alarm::from_value(&connect_api::json::from_json(&json));
        assert_eq!((alarm.raised, alarm.labels.get("a").map(String::as_str)), (Some(1000), Some("b")));
    }
}
