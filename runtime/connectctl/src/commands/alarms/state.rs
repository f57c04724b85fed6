//! What all three topics together say of each alarm.

use std::{collections::HashMap, sync::Arc};

use connect_api::{Bytes, Value, time};
use connect_kafka::RawRecord;
use connector_alarm::{
    Alarm, Details, Kind, Priority, RegisteredAlarm, ShelvedAlarm,
    content::{others, shelved_by},
};
use serde::Serialize;
use serde_json::{Value as Json, json};

use super::{
    entry::{Entry, Form, Unread, Written},
    messages::{ack_of, acknowledges, is_ack, is_well},
};
use crate::error::Failure;

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

    /// The priority as it is written, also one that is none of ours; none of alarms that have none.
    pub(super) fn priority(&self) -> Option<&str> {
        written_priority(&self.active.as_ref()?.origin.value)
    }

    /// Who put it on the shelf, by the record itself or its headers.
    pub(super) fn shelved_by(&self) -> Option<String> {
        let (_, origin) = self.shelf.as_ref()?;
        shelved_by(&origin.value).map(str::to_owned).or_else(|| Written::of(&origin.raw).user)
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
                "priority": self.priority(), "acknowledged": alarm.acknowledged, "source": alarm.source,
                "severity": alarm.severity, "status": alarm.status, "message": alarm.message, "value": alarm.value,
                "raised": time(self.raised()), "latched": alarm.latched, "labels": alarm.labels,
                "written": Written::of(&a.origin.raw),
                "acknowledgement": a.ack.as_ref().map(|ack| Written::of(&ack.raw)),
                "ack": a.ack.as_ref().and_then(|ack| ack_of(&ack.value)), "others": others(Kind::Active, &a.origin.value),
            })
        });
        let shelf = self.shelf.as_ref().map(|(shelf, origin)| {
            json!({
                "expiration": time(shelf.expiration), "reason": shelf.reason, "holds": shelf.holds_at(now),
                "user": shelved_by(&origin.value), "others": others(Kind::Shelved, &origin.value),
                "written": Written::of(&origin.raw),
            })
        });
        let registered = self.registered.as_ref().map(|(alarm, origin)| {
            let details = Details::from_value(&origin.value);
            json!({
                "source": alarm.source, "description": alarm.description, "location": alarm.location,
                "category": alarm.category, "latching": alarm.latching, "documentation": alarm.documentation,
                "labels": alarm.labels, "producerjar": details.jar, "edmpath": details.screen,
                "maxshelvedduration": details.longest_shelved, "others": others(Kind::Registered, &origin.value),
                "written": Written::of(&origin.raw),
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
    pub(super) unread: Vec<(Kind, Unread)>,
    /// Of which kinds there are values in JSON, and in Avro.
    forms: HashMap<(Kind, bool), usize>,
}

impl Alarms {
    pub(super) fn get(&self, name: &str) -> Option<&Known> {
        self.all.get(name)
    }

    /// Whether what this topic says of the alarm could be decoded: what cannot is not to be written over.
    pub(super) fn readable(&self, kind: Kind, name: &str) -> Result<(), Failure> {
        match self.unread.iter().find(|(of, unread)| *of == kind && unread.name == name) {
            Some((_, unread)) => Err(Failure::Failed(unread.to_string())),
            None => Ok(()),
        }
    }

    /// The keys of what this topic says of the alarm and could not be decoded, as they were written.
    pub(super) fn unread_keys(&self, kind: Kind, name: &str) -> Vec<Bytes> {
        let about = self.unread.iter().filter(|(of, unread)| *of == kind && unread.name == name);
        about.filter_map(|(_, unread)| unread.key.clone()).collect()
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
                part if is_ack(part) => {
                    // What was acknowledged before it was raised is not.
                    if let Some(active) = &mut known.active {
                        active.ack = origin.filter(|o| acknowledges(&o.value, &active.alarm.severity));
                        active.alarm.acknowledged = active.ack.is_some();
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
    if is_well(&origin.value) {
        return None;
    }
    let priority = origin.value.get("priority").and_then(Value::as_str).and_then(|p| p.parse().ok());
    Some(Active { alarm, priority, origin, ack: None })
}

/// The priority that a record says, as it says it.
pub(super) fn written_priority(value: &Value) -> Option<&str> {
    value.get("priority").and_then(Value::as_str)
}

#[cfg(test)]
pub(super) mod tests {
    use connect_api::TimestampType;

    use super::*;

    /// A record about an alarm; without value a tombstone.
    pub(in super::super) fn entry(name: &str, part: Option<&str>, offset: i64, value: Option<Value>) -> Entry {
        let raw = RawRecord {
            topic: "t".into(),
            partition: 0,
            offset,
            timestamp: Some(1_700_000_000_000),
            timestamp_type: TimestampType::CreateTime,
            key: Some(name.to_owned().into()),
            value: None,
            headers: vec![("user".into(), Some("me".into()))],
        };
        let value = value.map(|value| (value, Form::Json));
        Entry { name: name.into(), part: part.map(Arc::from), value, raw: Arc::new(raw) }
    }

    fn message(members: &[(&str, &str)]) -> Option<Value> {
        Some(Value::map([("msg", Value::map(members.iter().map(|(k, v)| (*k, Value::from(*v)))))]))
    }

    #[test]
    fn later_records_win_and_tombstones_remove() {
        let mut alarms = Alarms::default();
        let alarm = Alarm::new(Priority::Life);
        let marker = Alarm { cleared: true, ..alarm.clone() };
        let acknowledged = Alarm { acknowledged: true, ..alarm.clone() };
        for (offset, value, state) in [
            (0, Some(alarm.to_value()), Some(State::Active)),
            (1, Some(acknowledged.to_value()), Some(State::Acknowledged)),
            (2, Some(marker.to_value()), None),
            (3, Some(alarm.to_value()), Some(State::Active)),
            (4, None, None),
        ] {
            alarms.apply(Kind::Active, entry("a", None, offset, value));
            assert_eq!(alarms.get("a").map(|known| known.state(0)), state, "{offset}");
        }
        let shelf = ShelvedAlarm { expiration: Some(10), reason: String::new() };
        alarms.apply(Kind::Shelved, entry("a", None, 5, Some(shelf.to_value())));
        let known = alarms.get("a").expect("known");
        assert_eq!((known.state(9), known.state(10)), (State::Shelved, State::Normal));
        alarms.apply(Kind::Registered, entry("a", None, 6, Some(RegisteredAlarm::default().to_value())));
        alarms.apply(Kind::Shelved, entry("a", None, 7, None));
        assert_eq!(alarms.names(|known| known.registered.is_some()), ["a"]);
        alarms.apply(Kind::Registered, entry("a", None, 8, None));
        assert!(alarms.all.is_empty());
    }

    #[test]
    fn messages_of_the_last_generation_make_one_alarm() {
        let mut alarms = Alarms::default();
        let mut take = |part: &str, value| {
            alarms.apply(Kind::Active, entry("a", Some(part), 0, value));
            alarms.get("a").map(|known| known.state(0))
        };
        assert_eq!(take("Ack", message(&[])), None, "what was acknowledged before it was raised is not");
        assert_eq!(take("Alarming", message(&[])), Some(State::Active));
        assert_eq!(take("Ack", message(&[])), Some(State::Acknowledged));
        assert_eq!(take("Alarming", message(&[])), Some(State::Active), "raised anew");
        assert_eq!(take("Ack", message(&[])), Some(State::Acknowledged));
        assert_eq!(take("Ack", None), Some(State::Active));
        assert_eq!(take("Alarming", None), None);
        assert_eq!(take("AlarmingEPICS", message(&[("sevr", "MAJOR"), ("stat", "HIHI")])), Some(State::Active));
        assert_eq!(take("AckEPICS", message(&[("ack", "NO_ACK")])), Some(State::Active));
        assert_eq!(take("AckEPICS", message(&[("ack", "MAJOR_ACK")])), Some(State::Acknowledged));
        assert_eq!(take("AckEPICS", message(&[("ack", "MINOR_ACK")])), Some(State::Active), "of what it was before");
        assert_eq!(take("AlarmingEPICS", message(&[("sevr", "MINOR"), ("stat", "HIGH")])), Some(State::Active));
        assert_eq!(take("AckEPICS", message(&[("ack", "MINOR_ACK")])), Some(State::Acknowledged));
        assert_eq!(
            take("AlarmingEPICS", message(&[("sevr", "MAJOR"), ("stat", "HIHI")])),
            Some(State::Active),
            "higher"
        );
        assert_eq!(take("AlarmingEPICS", message(&[("sevr", "NO_ALARM")])), None);
    }

    #[test]
    fn a_priority_that_is_none_of_ours_is_shown_as_it_is_written() {
        let mut alarms = Alarms::default();
        let value = Value::map([("priority", Value::from("P7")), ("message", Value::from("odd"))]);
        alarms.apply(Kind::Active, entry("a", None, 0, Some(value)));
        let known = alarms.get("a").expect("known");
        let active = known.active.as_ref().expect("active");
        assert_eq!((known.priority(), active.priority), (Some("P7"), None));
        assert_eq!(known.to_json("a", 0)["active"]["priority"], "P7");
        assert_eq!(super::super::list::priority_of(known), "P7");
        assert_eq!(super::super::document::of("a", known)["active"]["priority"], "P7");
        let again = connector_alarm::Content::active(&active.alarm).with_priority_of(&active.origin.value);
        assert_eq!(again.to_json()["priority"], "P7", "what is acknowledged is not made another");
    }

    #[test]
    fn what_cannot_be_decoded_is_found_by_the_alarm_and_removed_by_its_own_key() {
        let mut alarms = Alarms::default();
        let unread = |name: &str, key: Option<&'static [u8]>| Unread {
            topic: "t".into(),
            partition: 0,
            offset: 0,
            name: name.into(),
            why: "why".into(),
            key: key.map(Bytes::from_static),
        };
        alarms.unread = vec![
            (Kind::Active, unread("a", Some(b"\0\0\0\0\x07\x02a\x04"))),
            (Kind::Active, unread("a", Some(b"\0\0\0\0\x07\x02a\x06"))),
            (Kind::Active, unread("no key", None)),
            (Kind::Shelved, unread("a", Some(b"a"))),
        ];
        let keys = alarms.unread_keys(Kind::Active, "a");
        assert_eq!(keys, [&b"\0\0\0\0\x07\x02a\x04"[..], b"\0\0\0\0\x07\x02a\x06"]);
        assert!(alarms.unread_keys(Kind::Active, "no key").is_empty());
        assert!(alarms.readable(Kind::Active, "a").is_err() && alarms.readable(Kind::Registered, "a").is_ok());
    }

    #[test]
    fn programs_get_everything() {
        let mut alarms = Alarms::default();
        alarms.apply(Kind::Active, entry("a", None, 7, Some(Alarm::new(Priority::Life).to_value())));
        let json = alarms.get("a").expect("known").to_json("a", 0);
        assert_eq!((&json["state"], &json["active"]["priority"]), (&json!("active"), &json!("P1_LIFE")));
        assert_eq!(
            (&json["active"]["written"]["user"], &json["active"]["written"]["offset"]),
            (&json!("me"), &json!(7))
        );
        assert_eq!(json["active"]["raised"], "2023-11-14T22:13:20.000Z");
        assert!(json["shelved"].is_null() && json["registered"].is_null());
        assert!(alarms.is_json(Kind::Active) && !alarms.is_json(Kind::Shelved));
    }
}
