//! From the body of a request to the events that it tells of.

use connect_api::{Result, Schema, SourceRecord, json::from_json, template::Template};
use connector_alarm::{Condition, routing};
use serde_json::{Map, Value as Json};

use crate::healthbot::{self, Notification, kind};

/// What a request tells.
#[derive(Debug)]
pub enum Events {
    /// Records as they are; all of them or none are stored.
    Records(Vec<SourceRecord>),
    /// The state of something that can alarm, and what templates know of it.
    Condition(Box<Condition>, Map<String, Json>),
}

/// How bodies are read.
#[derive(Debug)]
pub enum Reading {
    /// HealthBot's notification as an alarm.
    HealthbotAlarm,
    /// HealthBot's notification as a record, with the topic's template.
    HealthbotRecord(Template),
    /// Any objects as records.
    Json(JsonReading),
}

/// How objects become records.
#[derive(Debug)]
pub struct JsonReading {
    /// Topic of a record.
    pub topic: Template,
    /// JSON Pointer to the list of objects.
    pub items: Option<String>,
    /// JSON Pointer to the key within an object.
    pub key: Option<String>,
}

impl Reading {
    /// Reads a body that was received at that time (milliseconds since 1970). The error tells the caller what is wrong.
    pub fn read(&self, body: &[u8], now: i64) -> Result<Events, String> {
        let body: Json = serde_json::from_slice(body).map_err(|e| format!("the body is not JSON: {e}"))?;
        match self {
            Self::HealthbotAlarm => {
                let notification = Notification::parse(&body)?;
                let condition = Condition {
                    name: notification.identity().into(),
                    severity: notification.severity.name().to_owned(),
                    status: notification.trigger.clone(),
                    value: None,
                    since: Some(now),
                };
                Ok(Events::Condition(Box::new(condition), notification.names()))
            }
            Self::HealthbotRecord(topic) => {
                let notification = Notification::parse(&body)?;
                let record = SourceRecord::new(topic_name(topic, notification.names())?)
                    .key(Some(Schema::string()), notification.identity())
                    .value(Some(healthbot::schema().clone()), notification.to_value(now))
                    .timestamp(now);
                Ok(Events::Records(vec![record]))
            }
            Self::Json(reading) => reading.records(body, now).map(Events::Records),
        }
    }
}

impl JsonReading {
    fn records(&self, mut body: Json, now: i64) -> Result<Vec<SourceRecord>, String> {
        if let Some(pointer) = &self.items {
            match body.pointer_mut(pointer).map(Json::take) {
                Some(list @ Json::Array(_)) => body = list,
                Some(other) => return Err(format!("expected a list at {pointer}, found {}", kind(&other))),
                None => return Err(format!("expected a list at {pointer}, which is missing")),
            }
        }
        let documents = match body {
            Json::Array(documents) => documents,
            other => vec![other],
        };
        documents.into_iter().map(|document| self.record(document, now)).collect()
    }

    fn record(&self, document: Json, now: i64) -> Result<SourceRecord, String> {
        if !document.is_object() {
            return Err(format!("expected an object or a list of objects, found {}", kind(&document)));
        }
        let key = match &self.key {
            Some(pointer) => match document.pointer(pointer) {
                None | Some(Json::Null) => {
                    return Err(format!("expected the record's key at {pointer}, which is missing"));
                }
                Some(Json::String(text)) => Some(text.clone()),
                Some(other) => Some(other.to_string()),
            },
            None => None,
        };
        let value = from_json(&document);
        let names = Map::from_iter([("key".to_owned(), Json::from(key.clone())), ("value".to_owned(), document)]);
        let record = SourceRecord::new(topic_name(&self.topic, names)?).value(None, value).timestamp(now);
        let key_schema = key.is_some().then(Schema::string);
        Ok(record.key(key_schema, key))
    }
}

fn topic_name(template: &Template, names: Map<String, Json>) -> Result<String, String> {
    routing::topic_name(template, &Json::Object(names)).map_err(|e| e.one_line())
}

#[cfg(test)]
mod tests {
    use super::*;
    use connect_api::{Value, template::Escape};
    use serde_json::json;

    fn template(text: &str) -> Template {
        Template::parse(text, Escape::None).expect("template")
    }

    fn read(reading: &Reading, body: Json) -> Result<Vec<SourceRecord>, String> {
        match reading.read(body.to_string().as_bytes(), 5)? {
            Events::Records(records) => Ok(records),
            Events::Condition(..) => Err("a condition".into()),
        }
    }

    fn json_reading(topic: &str, items: Option<&str>, key: Option<&str>) -> Reading {
        let (items, key) = (items.map(str::to_owned), key.map(str::to_owned));
        Reading::Json(JsonReading { topic: template(topic), items, key })
    }

    fn healthbot() -> Json {
        json!({"device-id": "r 1", "group": "core", "keys": {}, "message": "m", "rule": "r", "severity": "minor",
            "topic": "a.b", "trigger": "é"})
    }

    #[test]
    fn objects_become_records_with_their_key() {
        let reading = json_reading("hooks-{{value.kind}}", None, Some("/alert/id"));
        let body = json!([{"kind": "a", "alert": {"id": "x"}}, {"kind": "b", "alert": {"id": 7}, "v": 0.1}]);
        let records = read(&reading, body).expect("records");
        assert_eq!((&*records[0].topic, records[0].key.as_str()), ("hooks-a", Some("x")));
        assert_eq!((&*records[1].topic, records[1].key.as_str()), ("hooks-b", Some("7")));
        assert_eq!((records[1].value.get("v"), records[1].timestamp), (Some(&Value::Float64(0.1)), Some(5)));
        assert_eq!(read(&json_reading("t", None, None), json!([])).map(|r| r.len()), Ok(0));
        assert!(read(&json_reading("t", None, None), json!({})).expect("record")[0].key.is_null());
    }

    #[test]
    fn alertmanagers_alerts_become_records() {
        let reading = json_reading("alerts", Some("/alerts"), Some("/fingerprint"));
        let body = include_bytes!("../tests/data/alertmanager-resolved.json");
        let Ok(Events::Records(records)) = reading.read(body, 5) else { panic!("no records") };
        assert_eq!(records.len(), 2);
        assert!(records.iter().all(|r| r.key.as_str().is_some_and(|k| k.len() == 16)));
        assert!(records.iter().all(|r| r.value.get("status") == Some(&Value::from("resolved"))));
        assert_eq!(read(&reading, json!({})).expect_err("none"), "expected a list at /alerts, which is missing");
        assert_eq!(read(&reading, json!({"alerts": 1})).expect_err("1"), "expected a list at /alerts, found a number");
    }

    #[test]
    fn wrong_documents_are_refused_with_the_reason() {
        let reading = json_reading("{{value.kind}}", None, Some("/id"));
        assert_eq!(
            read(&reading, json!(1)).expect_err("number"),
            "expected an object or a list of objects, found a number"
        );
        assert_eq!(
            read(&reading, json!([null])).expect_err("null"),
            "expected an object or a list of objects, found null"
        );
        assert_eq!(
            read(&reading, json!({"kind": "a"})).expect_err("key"),
            "expected the record's key at /id, which is missing"
        );
        assert!(read(&reading, json!({"id": 1})).expect_err("topic").contains("rendering the template"));
        assert_eq!(
            read(&reading, json!({"id": 1, "kind": ".."})).expect_err("dots"),
            "the topic's name would be \"..\""
        );
        assert!(reading.read(b"{", 0).expect_err("no JSON").starts_with("the body is not JSON: "));
    }

    #[test]
    fn topics_are_made_legal() {
        let reading = Reading::HealthbotRecord(template("{{group}}.{{device_id}}.{{topic}}.{{rule}}.{{trigger}}"));
        assert_eq!(&*read(&reading, healthbot()).expect("record")[0].topic, "core.r_1.a.b.r._");
    }

    #[test]
    fn notifications_become_conditions() {
        let events = Reading::HealthbotAlarm.read(healthbot().to_string().as_bytes(), 5).expect("condition");
        let Events::Condition(condition, names) = events else { panic!("records") };
        assert_eq!((&*condition.name, condition.severity.as_str()), ("core/r 1/a.b/r/é", "minor"));
        assert_eq!((condition.status.as_str(), condition.since), ("é", Some(5)));
        assert_eq!(names["device_id"], "r 1");
    }
}
