//! Groups of alerts as Alertmanager (version 4 of its webhooks) and Grafana send them: checked, one alert at a time.

use std::sync::LazyLock;

use connect_api::{Schema, Struct, Value, logical, time};
use serde_json::{Map, Value as Json};

use crate::healthbot::kind;

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Prometheus's Alertmanager, which says which version of the format it sends.
    Alertmanager,
    /// Grafana, whose format is the same with more members.
    Grafana,
}

/// So many problems of a body are told.
const TOLD: usize = 10;

/// A body.
#[derive(Debug)]
pub struct Group {
    /// Its alerts.
    pub alerts: Vec<Alert>,
    /// The body without its alerts.
    pub rest: Json,
    /// How many alerts of the group the sender has left out.
    pub left_out: u64,
}

/// An alert.
#[derive(Debug)]
pub struct Alert {
    /// What it is known by: a digest of its labels.
    pub fingerprint: String,
    /// What a person should read: the summary, else the description, else the name.
    pub message: String,
    /// As it was sent.
    pub sent: Json,
}

impl Group {
    /// Reads a body. The error names what is missing or wrong.
    pub fn parse(mut body: Json, dialect: Dialect) -> Result<Self, String> {
        let Json::Object(members) = &mut body else {
            return Err(format!("the body: expected an object, found {}", kind(&body)));
        };
        let mut problems = Vec::new();
        if dialect == Dialect::Alertmanager && members.get("version").and_then(Json::as_str) != Some("4") {
            let found = members.get("version").map_or("nothing".to_owned(), |v| format!("{v:.50}"));
            problems.push(format!("version: expected \"4\", found {found}"));
        }
        let alerts = match members.remove("alerts") {
            Some(Json::Array(alerts)) => alerts,
            other => {
                problems.push(format!("alerts: expected a list, found {}", other.as_ref().map_or("nothing", kind)));
                Vec::new()
            }
        };
        let left_out = members.get("truncatedAlerts").and_then(Json::as_u64).unwrap_or(0);
        let read = |(n, alert)| Alert::parse(alert, &format!("alerts[{n}]"), &mut problems);
        let alerts = alerts.into_iter().enumerate().filter_map(read).collect();
        if problems.is_empty() {
            return Ok(Self { alerts, rest: body, left_out });
        }
        let more = problems.len().saturating_sub(TOLD);
        problems.truncate(TOLD);
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        Err(problems.join("; ") + &more)
    }
}

impl Alert {
    fn parse(sent: Json, at: &str, problems: &mut Vec<String>) -> Option<Self> {
        let before = problems.len();
        let Json::Object(members) = &sent else {
            problems.push(format!("{at}: expected an object, found {}", kind(&sent)));
            return None;
        };
        let mut expect = |name: &str, expected: &str, right: bool| {
            if !right {
                let found = members.get(name).map_or("nothing", kind);
                problems.push(format!("{at}.{name}: expected {expected}, found {found}"));
            }
        };
        let text = |name: &str| members.get(name).and_then(Json::as_str);
        let fingerprint = text("fingerprint").unwrap_or_default();
        expect("fingerprint", "a text", !fingerprint.is_empty());
        expect("status", "\"firing\" or \"resolved\"", matches!(text("status"), Some("firing" | "resolved")));
        expect("startsAt", "a time", text("startsAt").and_then(time::parse_rfc3339).is_some());
        let is_time_if_there = |name| members.get(name).is_none_or(Json::is_null) || end(text(name)).is_ok();
        expect("endsAt", "a time", is_time_if_there("endsAt"));
        expect("labels", "an object of texts", texts(members.get("labels")));
        expect("annotations", "an object of texts", members.get("annotations").is_none_or(|a| texts(Some(a))));
        if problems.len() > before {
            return None;
        }
        let of = |name: &str, key: &str| members.get(name)?.get(key)?.as_str().filter(|t| !t.is_empty());
        let message = of("annotations", "summary").or_else(|| of("annotations", "description"));
        let message = message.or_else(|| of("labels", "alertname")).unwrap_or_default().to_owned();
        Some(Self { fingerprint: fingerprint.to_owned(), message, sent })
    }

    /// The value of its record, of [`schema`], with what it needs to know of its group.
    pub fn to_value(&self, group: &Json, received: i64) -> Value {
        let of = |name: &str| self.sent.get(name);
        let text = |value: Option<&Json>| Value::from(value.and_then(Json::as_str).unwrap_or_default());
        let map = |value: Option<&Json>| {
            let members = value.and_then(Json::as_object).into_iter().flatten();
            Value::map(members.map(|(k, v)| (k.as_str(), v.as_str().unwrap_or_default().into())))
        };
        let time =
            |name: &str| end(of(name).and_then(Json::as_str)).ok().flatten().map_or(Value::Null, Value::Timestamp);
        let members = |json: &Json| json.as_object().cloned().unwrap_or_default();
        let mut extra: Map<String, Json> = members(group);
        extra.extend(members(&self.sent));
        extra.retain(|name, _| !KNOWN.contains(&name.as_str()));
        let extra = extra.iter().map(|(k, v)| (k.as_str(), Value::from(v.to_string())));
        let values = vec![
            text(of("status")),
            map(of("labels")),
            map(of("annotations")),
            time("startsAt"),
            time("endsAt"),
            text(of("generatorURL")),
            text(of("fingerprint")),
            text(group.get("receiver")),
            text(group.get("groupKey")),
            map(group.get("groupLabels")),
            text(group.get("externalURL")),
            Value::Timestamp(received),
            Value::map(extra),
        ];
        Struct::from_values(schema(), values).expect("the fields of the schema").into_value()
    }
}

/// Members that have a field, and those of the group that repeat what its alerts say.
const KNOWN: [&str; 15] = [
    "status",
    "labels",
    "annotations",
    "startsAt",
    "endsAt",
    "generatorURL",
    "fingerprint",
    "receiver",
    "groupKey",
    "groupLabels",
    "externalURL",
    "commonLabels",
    "commonAnnotations",
    "version",
    "truncatedAlerts",
];

/// Schema of the records of alerts that do not become alarms.
pub fn schema() -> &'static Schema {
    static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
        let texts = || Schema::map(Schema::string(), Schema::string()).build().expect("constant schema");
        Schema::structure()
            .name("tocsin.Alert")
            .field("status", Schema::string())
            .field("labels", texts())
            .field("annotations", texts())
            .field("starts_at", logical::timestamp())
            .field("ends_at", logical::timestamp().with_optional(true))
            .field("generator_url", Schema::string())
            .field("fingerprint", Schema::string())
            .field("receiver", Schema::string())
            .field("group_key", Schema::string())
            .field("group_labels", texts())
            .field("external_url", Schema::string())
            .field("received", logical::timestamp())
            .field("extra", texts())
            .build()
            .expect("constant schema")
    });
    &SCHEMA
}

/// An end; the year 1 is none.
fn end(text: Option<&str>) -> Result<Option<i64>, ()> {
    let Some(text) = text else { return Ok(None) };
    if text.starts_with("0001-") {
        return Ok(None);
    }
    time::parse_rfc3339(text).map(Some).ok_or(())
}

fn texts(value: Option<&Json>) -> bool {
    match value {
        Some(Json::Object(members)) => members.values().all(Json::is_string),
        // Go's empty map.
        Some(Json::Null) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const FIRING: &str = include_str!("../tests/data/alertmanager-firing.json");
    const RESOLVED: &str = include_str!("../tests/data/alertmanager-resolved.json");
    const GRAFANA: &str = include_str!("../tests/data/grafana.json");

    fn parse(text: &str, dialect: Dialect) -> Result<Group, String> {
        Group::parse(serde_json::from_str(text).expect("json"), dialect)
    }

    #[test]
    fn bodies_of_alertmanager_are_read() {
        let group = parse(FIRING, Dialect::Alertmanager).expect("alerts");
        let shown: Vec<_> = group.alerts.iter().map(|a| (&*a.fingerprint, &*a.message)).collect();
        assert_eq!(shown, [("a4085f70c181adb3", "Pump 7 tripped"), ("a11d05025af428db", "Pump 8 vibrates")]);
        let value = group.alerts[0].to_value(&group.rest, 7);
        assert!(value.fits(schema()));
        let text = |name: &str| value.get(name).map(ToString::to_string).unwrap_or_default();
        assert_eq!((text("status").as_str(), text("receiver").as_str()), ("firing", "hook"));
        assert_eq!(value.get("ends_at"), Some(&Value::Null), "open");
        assert_eq!(value.get("starts_at"), Some(&Value::Timestamp(1_795_222_770_250)));
        assert_eq!(value.get("extra").and_then(|e| e.get("dashboardURL")), None);
        let group = parse(RESOLVED, Dialect::Alertmanager).expect("alerts");
        let value = group.alerts[1].to_value(&group.rest, 7);
        assert_eq!(value.get("ends_at"), Some(&Value::Timestamp(1_795_222_773_500)));
    }

    #[test]
    fn what_grafana_says_besides_is_kept() {
        let group = parse(GRAFANA, Dialect::Grafana).expect("alerts");
        assert_eq!(group.alerts.len(), 2);
        let value = group.alerts[0].to_value(&group.rest, 7);
        let extra = |name: &str| value.get("extra").and_then(|e| e.get(name)).map(ToString::to_string);
        assert_eq!(extra("orgId").as_deref(), Some("1"));
        assert_eq!(extra("values").as_deref(), Some("{\"B\":44.23943737541908,\"C\":1}"));
        assert!(extra("silenceURL").is_some_and(|url| url.contains("silence")));
        let e = parse(GRAFANA, Dialect::Alertmanager).expect_err("version 1");
        assert_eq!(e, "version: expected \"4\", found \"1\"");
    }

    #[test]
    fn every_wrong_member_is_named_with_its_place() {
        let problem = |change: &dyn Fn(&mut Json)| {
            let mut body: Json = serde_json::from_str(FIRING).expect("json");
            change(&mut body);
            Group::parse(body, Dialect::Alertmanager).expect_err("wrong")
        };
        for (name, wrong, expected) in [
            ("status", json!("on"), "\"firing\" or \"resolved\", found a text"),
            ("labels", json!({"a": 1}), "an object of texts, found an object"),
            ("annotations", json!([]), "an object of texts, found a list"),
            ("startsAt", json!("soon"), "a time, found a text"),
            ("endsAt", json!("never"), "a time, found a text"),
            ("fingerprint", json!(7), "a text, found a number"),
        ] {
            let e = problem(&|body| body["alerts"][1][name] = wrong.clone());
            assert_eq!(e, format!("alerts[1].{name}: expected {expected}"));
        }
        assert_eq!(problem(&|b| b["alerts"] = json!({})), "alerts: expected a list, found an object");
        assert_eq!(problem(&|b| b["alerts"] = json!([1])), "alerts[0]: expected an object, found a number");
        assert_eq!(problem(&|b| *b = json!([])), "the body: expected an object, found a list");
        let many = problem(&|b| b["alerts"] = json!([1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]));
        assert!(many.ends_with("; and 2 more"), "{many}");
    }
}
