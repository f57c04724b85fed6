//! What a record says, in one line.

use connect_api::time;
use connector_alarm::{Alarm, Kind, RegisteredAlarm, ShelvedAlarm, content::shelved_by};
use serde_json::{Value as Json, json};

use super::{
    entry::{Entry, Written},
    messages::{ack_of, is_ack},
    state::written_priority,
};

/// What a record says: a word, and more about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) word: &'static str,
    pub(super) more: String,
}

impl Said {
    pub(super) fn of(kind: Kind, entry: &Entry) -> Self {
        let said = |word, more: String| Self { word, more: more.split_whitespace().collect::<Vec<_>>().join(" ") };
        let acknowledges = is_ack(entry.part.as_deref());
        let Some((value, _)) = &entry.value else {
            let word = match kind {
                Kind::Active if acknowledges => "unacknowledged",
                Kind::Active => "cleared",
                Kind::Shelved => "unshelved",
                Kind::Registered => "unregistered",
            };
            return said(word, String::new());
        };
        match kind {
            Kind::Active if acknowledges => match ack_of(value) {
                Some("NO_ACK") => said("unacknowledged", String::new()),
                of => said("acknowledged", of.unwrap_or_default().to_owned()),
            },
            Kind::Active => {
                let alarm = Alarm::from_value(value);
                let priority = written_priority(value).unwrap_or_default();
                let word = match &alarm {
                    alarm if alarm.cleared => "cleared",
                    alarm if alarm.latched => "latched",
                    alarm if alarm.acknowledged => "acknowledged",
                    _ => "active",
                };
                said(word, [priority, &alarm.severity, &alarm.status, &alarm.message].join(" "))
            }
            Kind::Shelved => {
                let shelf = ShelvedAlarm::from_value(value);
                let end =
                    shelf.expiration.map_or_else(|| "for ever".into(), |end| format!("until {}", time::rfc3339(end)));
                let by = shelved_by(value).map(|user| format!(" by {user}")).unwrap_or_default();
                let why = if shelf.reason.is_empty() { String::new() } else { format!(": {}", shelf.reason) };
                said("shelved", format!("{end}{by}{why}"))
            }
            Kind::Registered => {
                let alarm = RegisteredAlarm::from_value(value);
                let latching = if alarm.latching { "latching" } else { "" };
                said(
                    "registered",
                    [&alarm.source, &alarm.location, &alarm.category, latching, &alarm.description].join(" "),
                )
            }
        }
    }

    /// For programs.
    pub(super) fn to_json(&self, kind: Kind, entry: &Entry) -> Json {
        let value = entry.value.as_ref().map(|(value, _)| connect_api::json::to_json(value));
        json!({
            "name": &*entry.name, "topic": &*entry.raw.topic, "what": kind.word(), "change": self.word, "detail": self.more,
            "value": value, "written": Written::of(&entry.raw),
        })
    }
}

/// Who wrote it, in one cell: `user program host`.
pub(super) fn who(written: &Written) -> String {
    let all: Vec<&str> =
        [&written.user, &written.producer, &written.host].into_iter().filter_map(Option::as_deref).collect();
    if all.is_empty() { "-".into() } else { all.join(" ") }
}

#[cfg(test)]
mod tests {
    use connect_api::Value;
    use connector_alarm::Priority;

    use super::{super::state::tests::entry, *};

    fn said(kind: Kind, part: Option<&str>, value: Option<Value>) -> String {
        let entry = entry("a", part, 0, value);
        let Said { word, more } = Said::of(kind, &entry);
        format!("{word} {more}").trim_end().to_owned()
    }

    #[test]
    fn every_record_is_a_line() {
        let alarm = Alarm { message: "too\n hot".into(), ..Alarm::new(Priority::Life) };
        let shelf = ShelvedAlarm { expiration: Some(0), reason: "why".into() };
        let registered = RegisteredAlarm { source: "T:ai0".into(), latching: true, ..Default::default() };
        let message = Value::map([("msg", Value::map([("sevr", Value::from("MAJOR"))]))]);
        let ack = |of: &str| Value::map([("msg", Value::map([("ack", Value::from(of))]))]);
        for (kind, part, value, line) in [
            (Kind::Active, None, Some(alarm.to_value()), "active P1_LIFE too hot"),
            (
                Kind::Active,
                None,
                Some(Alarm { acknowledged: true, ..alarm.clone() }.to_value()),
                "acknowledged P1_LIFE too hot",
            ),
            (Kind::Active, None, Some(Alarm { cleared: true, ..alarm }.to_value()), "cleared P1_LIFE too hot"),
            (Kind::Active, None, Some(Value::map([("priority", Value::from("P7"))])), "active P7"),
            (Kind::Active, None, None, "cleared"),
            (Kind::Active, Some("AlarmingEPICS"), Some(message.clone()), "active MAJOR"),
            (Kind::Active, Some("Ack"), Some(message), "acknowledged"),
            (Kind::Active, Some("Ack"), None, "unacknowledged"),
            (Kind::Active, Some("AckEPICS"), Some(ack("MINOR_ACK")), "acknowledged MINOR_ACK"),
            (Kind::Active, Some("AckEPICS"), Some(ack("NO_ACK")), "unacknowledged"),
            (Kind::Shelved, None, Some(shelf.to_value()), "shelved until 1970-01-01T00:00:00.000Z: why"),
            (Kind::Shelved, None, None, "unshelved"),
            (Kind::Registered, None, Some(registered.to_value()), "registered T:ai0 latching"),
            (Kind::Registered, None, None, "unregistered"),
        ] {
            assert_eq!(said(kind, part, value), line);
        }
    }
}
