//! What all three topics together say of each alarm.

use std::{collections::HashMap, sync::Arc};

use connect_api::{Value, time};
use connect_kafka::RawRecord;
use connector_alarm::{Alarm, Kind, Priority, RegisteredAlarm, ShelvedAlarm, model::branch};
use serde::Serialize;
use serde_json::{Value as Json, json};

use super::entry::{Entry, Form, Unread, Written};

/// Where something was read.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    /// The record.
    pub(super) raw: Arc<RawRecord>,
    /// What its value says.
    pub(super) value: Value,
    /// What its bytes are.
    pub(super) form: Form,
    /// Of which of several records it is.
    pub(super) part: Option<Arc<str>>,
}

/// An active alarm.
#[derive(Debug, Clone)]
pub(super) struct Active {
    pub(super) alarm: Alarm,
    /// None of JLab's last generation.
    pub(super) priority: Option<Priority>,
    pub(super) origin: Origin,
    /// The record that acknowledges it, where that is one of its own.
    pub(super) ack: Option<Origin>,
}

/// What is known of an alarm.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    pub(super) active: Option<Active>,
    pub(super) shelf: Option<(ShelvedAlarm, Origin)>,
    pub(super) registered: Option<(RegisteredAlarm, Origin)>,
}

/// In one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    Active,
    Acknowledged,
    Shelved,
    Normal,
}

impl State {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Acknowledged => "acknowledged",
            Self::Shelved => "shelved",
            Self::Normal => "normal",
        }
    }
}

impl Known {
    /// Whether it is on the shelf at that time.
    pub(super) fn is_shelved(&self, now: i64) -> bool {
        self.shelf.as_ref().is_some_and(|(shelf, _)| shelf.holds_at(now))
    }

    pub(super) fn state(&self, now: i64) -> State {
        match &self.active {
            _ if self.is_shelved(now) => State::Shelved,
            Some(active) if active.alarm.acknowledged => State::Acknowledged,
            Some(_) => State::Active,
            None => State::Normal,
        }
    }

    /// When the alarm was raised, as far as that is known.
    pub(super) fn raised(&self) -> Option<i64> {
        let active = self.active.as_ref()?;
        active.alarm.raised.or(active.origin.raw.timestamp)
    }

    pub(super) fn latching(&self) -> bool {
        self.registered.as_ref().is_some_and(|(alarm, _)| alarm.latching)
    }

    /// What raises it, by its record or its registration.
    pub(super) fn source(&self) -> &str {
        let active = self.active.as_ref().map(|a| a.alarm.source.as_str()).filter(|s| !s.is_empty());
        active.or(self.registered.as_ref().map(|(alarm, _)| alarm.source.as_str())).unwrap_or_default()
    }

    /// Everything, for programs.
    pub(super) fn to_json(&self, name: &str, now: i64) -> Json {
        let time = |ms: Option<i64>| ms.map(time::rfc3339);
        let active = self.active.as_ref().map(|a| {
            let alarm = &a.alarm;
            json!({
                "priority": a.priority.map(Priority::name), "acknowledged": alarm.acknowledged, "source": alarm.source,
                "severity": alarm.severity, "status": alarm.status, "message": alarm.message, "value": alarm.value,
                "raised": time(self.raised()), "latched": alarm.latched, "labels": alarm.labels,
                "written": Written::of(&a.origin.raw),
                "acknowledgement": a.ack.as_ref().map(|ack| Written::of(&ack.raw)),
            })
        });
        let shelf = self.shelf.as_ref().map(|(shelf, origin)| {
            json!({
                "expiration": time(shelf.expiration), "reason": shelf.reason, "holds": shelf.holds_at(now),
                "written": Written::of(&origin.raw),
            })
        });
        let registered = self.registered.as_ref().map(|(alarm, origin)| {
            json!({
                "source": alarm.source, "description": alarm.description, "location": alarm.location,
                "category": alarm.category, "latching": alarm.latching, "documentation": alarm.documentation,
                "labels": alarm.labels, "written": Written::of(&origin.raw),
            })
        });
        json!({ "name": name, "state": self.state(now), "active": active, "shelved": shelf, "registered": registered })
    }
}

/// All alarms.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    pub(super) all: HashMap<Arc<str>, Known>,
    /// What could not be decoded.
    pub(super) unread: Vec<Unread>,
    /// Of which kinds there are values in JSON, and in Avro.
    forms: HashMap<(Kind, bool), usize>,
}

impl Alarms {
    pub(super) fn get(&self, name: &str) -> Option<&Known> {
        self.all.get(name)
    }

    /// The names of those that fit, in order.
    pub(super) fn names(&self, fits: impl Fn(&Known) -> bool) -> Vec<String> {
        let found = self.all.iter().filter(|(_, known)| fits(known));
        let mut names: Vec<String> = found.map(|(name, _)| name.to_string()).collect();
        names.sort();
        names
    }

    /// Whether values of this kind are JSON, and none is Avro.
    pub(super) fn is_json(&self, kind: Kind) -> bool {
        self.forms.contains_key(&(kind, true)) && !self.forms.contains_key(&(kind, false))
    }

    /// Takes what a later record says.
    pub(super) fn apply(&mut self, kind: Kind, entry: Entry) {
        let Entry { name, part, value, raw } = entry;
        if let Some((_, form)) = &value {
            *self.forms.entry((kind, *form == Form::Json)).or_default() += 1;
        }
        let origin = value.map(|(value, form)| Origin { raw: raw.clone(), value, form, part: part.clone() });
        let known = self.all.entry(name.clone()).or_default();
        match kind {
            Kind::Shelved => known.shelf = origin.map(|o| (ShelvedAlarm::from_value(&o.value), o)),
            Kind::Registered => known.registered = origin.map(|o| (RegisteredAlarm::from_value(&o.value), o)),
            Kind::Active => match part.as_deref() {
                Some("Ack" | "AckEPICS") => {
                    let acknowledges = origin.filter(|o| !says(&o.value, "ack", "NO_ACK"));
                    // What was acknowledged before it was raised is not.
                    if let Some(active) = &mut known.active {
                        active.alarm.acknowledged = acknowledges.is_some();
                        active.ack = acknowledges;
                    }
                }
                _ => known.active = origin.and_then(active),
            },
        }
        if let Some(known) = self.all.get(&name)
            && known.active.is_none()
            && known.shelf.is_none()
            && known.registered.is_none()
        {
            self.all.remove(&name);
        }
    }
}

fn active(origin: Origin) -> Option<Active> {
    let alarm = Alarm::active(&origin.value)?;
    // A channel that says so is well.
    if says(&origin.value, "sevr", "NO_ALARM") {
        return None;
    }
    let priority = origin.value.get("priority").and_then(Value::as_str).and_then(|p| p.parse().ok());
    Some(Active { alarm, priority, origin, ack: None })
}

/// Whether a message of JLab's last generation has this member with that text.
fn says(value: &Value, member: &str, text: &str) -> bool {
    let Some(message) = value.get("msg") else { return false };
    let inner = ["AlarmingEPICS", "AckEPICS"].into_iter().find_map(|name| branch(message, name));
    inner.unwrap_or(message).get(member).and_then(Value::as_str) == Some(text)
}
