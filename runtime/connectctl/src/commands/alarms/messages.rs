//! Active alarms as JLab's last generation has them: messages, several of which may be about one alarm, each with a key of two
//! parts.

use connect_api::Value;
use connector_alarm::model::branch;
use serde_json::{Value as Json, json};

/// Whether the part of the key says that the message acknowledges.
pub(super) fn is_ack(part: Option<&str>) -> bool {
    matches!(part, Some("Ack" | "AckEPICS"))
}

/// A message that says that an alarm is active: which part it is, and its members.
pub(super) fn alarming(severity: &str, status: &str) -> (&'static str, Json) {
    if severity.is_empty() {
        return ("Alarming", json!({ "alarming": true }));
    }
    let status = if status.is_empty() { "NO_ALARM" } else { status };
    ("AlarmingEPICS", json!({ "sevr": severity, "stat": status }))
}

/// A message that acknowledges what such a one has said, of EPICS with this acknowledgement or the one that its severity asks
/// for.
pub(super) fn acknowledging(part: &str, severity: &str, of: Option<&str>) -> (&'static str, Json) {
    if part != "AlarmingEPICS" {
        return ("Ack", json!({ "acknowledged": true }));
    }
    // EPICS has acknowledgements of two severities, and takes what is invalid for a major one.
    let of = of.unwrap_or(if severity == "MINOR" { "MINOR_ACK" } else { "MAJOR_ACK" });
    ("AckEPICS", json!({ "ack": of }))
}

/// Whether the channel is well by this message.
pub(super) fn is_well(value: &Value) -> bool {
    member(value, "sevr") == Some("NO_ALARM")
}

/// What a message acknowledges: `NO_ACK`, `MINOR_ACK` or `MAJOR_ACK`; none of those that are not of EPICS.
pub(super) fn ack_of(value: &Value) -> Option<&str> {
    member(value, "ack")
}

/// Whether a message acknowledges an alarm of this severity. An acknowledgement takes no higher severity than its own, as with
/// the field ACKS of EPICS's records: who has seen a minor alarm has not seen that it is a major one by now.
pub(super) fn acknowledges(value: &Value, severity: &str) -> bool {
    match ack_of(value) {
        Some("NO_ACK") => false,
        Some("MINOR_ACK") => matches!(severity, "" | "MINOR"),
        _ => true,
    }
}

/// The text of a member of the message.
fn member<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    let message = value.get("msg")?;
    let inner = ["AlarmingEPICS", "AckEPICS"].into_iter().find_map(|name| branch(message, name));
    inner.unwrap_or(message).get(name).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledgement_takes_no_higher_severity_than_its_own() {
        let ack = |of: &str| Value::map([("msg", Value::map([("ack", Value::from(of))]))]);
        for (of, severity, takes) in [
            ("MINOR_ACK", "MINOR", true),
            ("MINOR_ACK", "MAJOR", false),
            ("MINOR_ACK", "INVALID", false),
            ("MAJOR_ACK", "MINOR", true),
            ("MAJOR_ACK", "MAJOR", true),
            ("MAJOR_ACK", "INVALID", true),
            ("NO_ACK", "MINOR", false),
        ] {
            assert_eq!(acknowledges(&ack(of), severity), takes, "{of} {severity}");
        }
        let written = |severity: &str| acknowledging("AlarmingEPICS", severity, None);
        for severity in ["MINOR", "MAJOR", "INVALID"] {
            let (part, members) = written(severity);
            assert_eq!(part, "AckEPICS");
            assert!(acknowledges(&ack(members["ack"].as_str().expect("text")), severity), "{severity}");
        }
        assert_eq!(written("MINOR").1, json!({"ack": "MINOR_ACK"}), "what comes later is not taken with it");
        assert!(
            acknowledges(&Value::map([("msg", Value::map::<&str>([]))]), "MAJOR"),
            "that of no channel has no severity"
        );
    }
}
