//! From the body of a request to what it tells: observations of alarms, records, or both. Pure.

use connect_api::{Record, Schema, SourceRecord, Value, json::from_json, template::Template, time};
use connector_alarm::{Observation, RecordMapping, routing};
use serde_json::{Map, Value as Json};

use crate::{
    alert::{self, Dialect, Group},
    healthbot::{self, Notification, kind},
    numbers,
};

/// What a request tells. All of it is stored before the request is answered with 200.
#[derive(Debug, Default)]
pub struct Events {
    /// What was seen of alarms.
    pub alarms: Vec<Observation>,
    /// Records as they are.
    pub records: Vec<SourceRecord>,
}

/// Why nothing of a request is taken.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The body is wrong; sending it again is of no use.
    Malformed(String),
    /// The body is of the format, but what it says is not fit for an alarm or a record; sending it again is of no use.
    Unfit(String),
    /// The body is right, but the settings cannot make an alarm or a record of it.
    Impossible(String),
}

/// How bodies are read.
#[derive(Debug)]
pub struct Reading {
    /// What they look like.
    pub bodies: Bodies,
    /// How alarms are made of them, if they are.
    pub alarms: Option<RecordMapping>,
    /// The topic of records, if there are any.
    pub topic: Option<Template>,
}

/// What bodies look like.
#[derive(Debug)]
pub enum Bodies {
    /// HealthBot's notification.
    Healthbot,
    /// A group of alerts.
    Alerts(Dialect),
    /// Any objects.
    Json(JsonReading),
}

/// Where in a document something is.
#[derive(Debug)]
pub enum Place {
    /// At a JSON Pointer.
    Pointer(String),
    /// What a template makes of it.
    Template(Template),
}

/// How objects become records.
#[derive(Debug, Default)]
pub struct JsonReading {
    /// JSON Pointer to the list of objects.
    pub items: Option<String>,
    /// The key.
    pub key: Option<Place>,
    /// The value; without it the object itself.
    pub value: Option<Place>,
    /// JSON Pointer to the time.
    pub timestamp: Option<String>,
}

/// One thing that a body tells.
struct Item {
    key: Option<String>,
    /// What templates and expressions know of it.
    names: Map<String, Json>,
    timestamp: i64,
    schema: Option<Schema>,
    value: Value,
}

impl Reading {
    /// Reads a body that was received at that time (milliseconds since 1970), whole or not at all.
    pub fn read(&self, body: &[u8], now: i64) -> Result<Events, Refusal> {
        let text = body;
        let body =
            serde_json::from_slice(text).map_err(|e| Refusal::Malformed(format!("the body is not JSON: {e}")))?;
        if let Some(number) = numbers::too_long(text) {
            return Err(Refusal::Unfit(format!(
                "the number {number:.60} needs more than 64 bits with a sign: send it as a text"
            )));
        }
        let mut events = Events::default();
        for item in self.items(body, now).map_err(Refusal::Malformed)? {
            let Item { key, names, timestamp, schema, value } = item;
            if let Some(mapping) = &self.alarms {
                let seen = mapping.observe_names(names.clone(), key.clone(), Some(timestamp));
                let seen = seen.map_err(|e| self.unmapped(format!("making an alarm of it: {}", e.one_line())))?;
                events.alarms.extend(seen);
            }
            if let Some(template) = &self.topic {
                let topic = routing::topic_name(template, &Json::Object(names));
                let topic = topic.map_err(|e| Refusal::Malformed(e.one_line()))?;
                let key_schema = key.is_some().then(Schema::string);
                let record = SourceRecord::new(topic).key(key_schema, key).value(schema, value).timestamp(timestamp);
                events.records.push(record);
            }
        }
        Ok(events)
    }

    /// Of bodies of any form the sender knows what they should say; all others were checked against their format.
    fn unmapped(&self, why: String) -> Refusal {
        if matches!(self.bodies, Bodies::Json(_)) { Refusal::Unfit(why) } else { Refusal::Impossible(why) }
    }

    fn items(&self, body: Json, now: i64) -> Result<Vec<Item>, String> {
        match &self.bodies {
            Bodies::Healthbot => {
                let notification = Notification::parse(&body)?;
                let key = notification.identity();
                let mut names = notification.names();
                names.insert("key".into(), key.as_str().into());
                let (schema, value) = (Some(healthbot::schema().clone()), notification.to_value(now));
                Ok(vec![Item { key: Some(key), names, timestamp: now, schema, value }])
            }
            Bodies::Alerts(dialect) => {
                let Group { alerts, rest, left_out } = Group::parse(body, *dialect)?;
                if left_out > 0 {
                    tracing::warn!("the sender has left out {left_out} alerts of a group: let it send all");
                }
                let item = |alert: alert::Alert| {
                    let (schema, value) = (Some(alert::schema().clone()), alert.to_value(&rest, now));
                    let key = Some(alert.fingerprint);
                    let names = names(&key, alert.message, &rest, alert.sent);
                    Item { key, names, timestamp: now, schema, value }
                };
                Ok(alerts.into_iter().map(item).collect())
            }
            Bodies::Json(reading) => reading.items(body, now),
        }
    }
}

impl JsonReading {
    fn items(&self, mut body: Json, now: i64) -> Result<Vec<Item>, String> {
        let (list, rest) = match &self.items {
            Some(pointer) => match body.pointer_mut(pointer).map(Json::take) {
                Some(list @ Json::Array(_)) => (list, body),
                Some(other) => return Err(format!("expected a list at {pointer}, found {}", kind(&other))),
                None => return Err(format!("expected a list at {pointer}, which is missing")),
            },
            None => (body, Json::Null),
        };
        let documents = match list {
            Json::Array(documents) => documents,
            other => vec![other],
        };
        documents.into_iter().map(|document| self.item(document, &rest, now)).collect()
    }

    fn item(&self, document: Json, rest: &Json, now: i64) -> Result<Item, String> {
        if !document.is_object() {
            return Err(format!("expected an object or a list of objects, found {}", kind(&document)));
        }
        let message = document.get("message").and_then(Json::as_str).unwrap_or_default().to_owned();
        let timestamp = match &self.timestamp {
            Some(pointer) => moment(&document, pointer)?,
            None => now,
        };
        let mut names = names(&None, message, rest, document);
        let key = match &self.key {
            Some(place) => Some(place.text(&names)?),
            None => None,
        };
        names["key"] = Json::from(key.clone());
        let value = match &self.value {
            Some(place) => from_json(&place.json(&names)?),
            None => from_json(&names["value"]),
        };
        Ok(Item { key, names, timestamp, schema: None, value })
    }
}

impl Place {
    fn text(&self, names: &Map<String, Json>) -> Result<String, String> {
        match self {
            Self::Pointer(pointer) => match names["value"].pointer(pointer) {
                None | Some(Json::Null) => Err(format!("expected the record's key at {pointer}, which is missing")),
                Some(Json::String(text)) => Ok(text.clone()),
                Some(other) => Ok(other.to_string()),
            },
            Self::Template(template) => template.render_names(&names.clone().into()).map_err(|e| e.one_line()),
        }
    }

    fn json(&self, names: &Map<String, Json>) -> Result<Json, String> {
        match self {
            Self::Pointer(pointer) => {
                let found = names["value"].pointer(pointer).cloned();
                found.ok_or_else(|| format!("expected the record's value at {pointer}, which is missing"))
            }
            Self::Template(template) => {
                let text = template.render_names(&names.clone().into()).map_err(|e| e.one_line())?;
                serde_json::from_str(&text).map_err(|e| format!("the template of the value makes no JSON: {e}"))
            }
        }
    }
}

fn names(key: &Option<String>, message: String, body: &Json, value: Json) -> Map<String, Json> {
    let names =
        [("key", Json::from(key.clone())), ("message", message.into()), ("body", body.clone()), ("value", value)];
    Map::from_iter(names.map(|(name, value)| (name.to_owned(), value)))
}

fn moment(document: &Json, pointer: &str) -> Result<i64, String> {
    let found = document.pointer(pointer);
    let ms = found.and_then(|json| json.as_i64().or_else(|| time::parse_rfc3339(json.as_str()?)));
    ms.filter(|ms| *ms >= 0).ok_or_else(|| {
        let found = found.map_or("nothing".to_owned(), |json| format!("{json:.50}"));
        format!("expected a time at {pointer}, in milliseconds since 1970 or as an RFC 3339 text, found {found}")
    })
}

impl Events {
    /// Stamps the records with the id of their request, by which readers know what came twice.
    pub fn stamp(&mut self, name: &str, id: &str) {
        for Record { headers, .. } in self.records.iter_mut().map(|record| &mut record.record) {
            headers.add_string(name, id);
        }
    }
}

#[cfg(test)]
mod tests {
    use connect_api::template::Escape;
    use serde_json::json;

    use super::*;

    fn template(text: &str, escape: Escape) -> Template {
        Template::parse(text, escape).expect("template")
    }

    fn records_of(topic: &str, bodies: Bodies) -> Reading {
        Reading { bodies, alarms: None, topic: Some(template(topic, Escape::None)) }
    }

    fn read(reading: &Reading, body: Json) -> Result<Vec<SourceRecord>, String> {
        match reading.read(body.to_string().as_bytes(), 5) {
            Ok(events) => Ok(events.records),
            Err(Refusal::Malformed(problem)) => Err(problem),
            Err(Refusal::Unfit(why) | Refusal::Impossible(why)) => panic!("{why}"),
        }
    }

    fn json_reading(topic: &str, items: Option<&str>, key: Option<&str>) -> Reading {
        let (items, key) = (items.map(str::to_owned), key.map(|k| Place::Pointer(k.to_owned())));
        records_of(topic, Bodies::Json(JsonReading { items, key, ..JsonReading::default() }))
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
    fn pointers_and_templates_say_what_becomes_of_an_object() {
        let body = json!({"site": "north", "events": [{"id": 7, "at": "1970-01-01T00:00:02Z", "data": {"t": 1.5}}]});
        let reading = |value| {
            let reading = JsonReading {
                items: Some("/events".into()),
                key: Some(Place::Template(template("{{body.site}}-{{value.id}}", Escape::None))),
                value: Some(value),
                timestamp: Some("/at".into()),
            };
            records_of("{{body.site}}", Bodies::Json(reading))
        };
        let [record] = &read(&reading(Place::Pointer("/data".into())), body.clone()).expect("a record")[..] else {
            panic!("one record")
        };
        assert_eq!((&*record.topic, record.key.as_str(), record.timestamp), ("north", Some("north-7"), Some(2000)));
        assert_eq!(record.value, from_json(&json!({"t": 1.5})));
        let text = "{\"site\": {{body.site}}, \"reading\": {{value.data.t}}}";
        let made = read(&reading(Place::Template(template(text, Escape::Json))), body.clone()).expect("a record");
        assert_eq!(made[0].value, from_json(&json!({"site": "north", "reading": 1.5})));
        let broken = reading(Place::Template(template("{{value.id}} x", Escape::Json)));
        assert!(read(&broken, body).expect_err("no JSON").starts_with("the template of the value makes no JSON: "));
        let late = json!({"site": "s", "events": [{"id": 7, "at": "soon", "data": 1}]});
        let e = read(&reading(Place::Pointer("/data".into())), late).expect_err("no time");
        assert!(e.starts_with("expected a time at /at") && e.ends_with("found \"soon\""), "{e}");
    }

    #[test]
    fn alerts_become_records() {
        let reading = records_of("alerts-{{body.receiver}}", Bodies::Alerts(Dialect::Alertmanager));
        let body = include_bytes!("../tests/data/alertmanager-resolved.json");
        let records = reading.read(body, 5).expect("records").records;
        assert_eq!(records.len(), 2);
        assert!(records.iter().all(|r| &*r.topic == "alerts-hook" && r.key.as_str().is_some_and(|k| k.len() == 16)));
        assert!(records.iter().all(|r| r.value.get("status") == Some(&Value::from("resolved"))));
        assert!(records.iter().all(|r| r.value_schema.as_ref() == Some(alert::schema())));
    }

    #[test]
    fn wrong_documents_are_refused_with_the_reason() {
        let reading = json_reading("{{value.kind}}", None, Some("/id"));
        let refused = |body: Json| read(&reading, body).expect_err("refused");
        assert_eq!(refused(json!(1)), "expected an object or a list of objects, found a number");
        assert_eq!(refused(json!([null])), "expected an object or a list of objects, found null");
        assert_eq!(refused(json!({"kind": "a"})), "expected the record's key at /id, which is missing");
        assert!(refused(json!({"id": 1})).contains("rendering the template"));
        assert_eq!(refused(json!({"id": 1, "kind": ".."})), "the topic's name would be \"..\"");
        let listed = json_reading("t", Some("/alerts"), None);
        assert_eq!(read(&listed, json!({})).expect_err("none"), "expected a list at /alerts, which is missing");
        assert_eq!(read(&listed, json!({"alerts": 1})).expect_err("1"), "expected a list at /alerts, found a number");
        let deep = "[".repeat(100_000);
        for (body, what) in [("{", "cut off"), (deep.as_str(), "too deep"), ("\u{0}", "a control character")] {
            let refused = reading.read(body.as_bytes(), 0).expect_err(what);
            assert!(matches!(refused, Refusal::Malformed(text) if text.starts_with("the body is not JSON: ")));
        }
        assert!(reading.read(b"{\"id\": \"\xff\"}", 0).is_err(), "no UTF-8");
    }

    #[test]
    fn topics_are_made_legal() {
        let reading = records_of("{{group}}.{{device_id}}.{{topic}}.{{rule}}.{{trigger}}", Bodies::Healthbot);
        assert_eq!(&*read(&reading, healthbot()).expect("record")[0].topic, "core.r_1.a.b.r._");
    }
}
