//! From a change to the records that make it: to which topics, and what clears an alarm there.

use std::sync::Arc;

use connect_api::{Record, Result, Schema, Topic, Value, template::Template};

use crate::{Alarm, AlarmConfig, Audit, Change, config::ClearWith, engine::NamedChange, routing, schemas};

/// Makes the records of changes; one per task.
#[derive(Debug, Clone)]
pub struct Writer {
    audit: Audit,
    topic: Topic,
    copy: Option<Template>,
    clear: ClearWith,
    connector: Arc<str>,
}

impl Writer {
    /// The writer of a connector.
    pub fn new(config: &AlarmConfig, connector: Arc<str>) -> Self {
        Self {
            audit: Audit::of_process(connector.clone(), config.user.as_deref()),
            topic: config.topic.as_str().into(),
            copy: config.copy_topic.clone(),
            clear: config.clear_with,
            connector,
        }
    }

    /// The topic of the active alarms.
    pub fn topic(&self) -> &Topic {
        &self.topic
    }

    /// The records that make a change, in the order in which they must be sent; at least one.
    pub fn records(&self, change: &NamedChange, timestamp: Option<i64>) -> Vec<Record> {
        let NamedChange { name, change, before } = change;
        let mut records = Vec::new();
        let mut add = |topic: &Topic, now: Option<&Alarm>| match now {
            Some(alarm) => records.push(self.record(topic, name, Some(alarm), timestamp)),
            None => {
                if self.clear != ClearWith::Tombstone {
                    let last = before.clone().unwrap_or_else(|| Alarm::new(crate::Priority::Diagnostic));
                    let marker = Alarm { cleared: true, latched: false, ..last };
                    records.push(self.record(topic, name, Some(&marker), timestamp));
                }
                if self.clear != ClearWith::Marker {
                    records.push(self.record(topic, name, None, timestamp));
                }
            }
        };
        let now = match change {
            Change::Write(alarm) => Some(alarm),
            Change::Clear => None,
        };
        add(&self.topic, now);
        if let Some(template) = &self.copy {
            let topic = |alarm: &Alarm| routing::topic_of(template, name, alarm, &self.connector);
            let old = before.as_ref().and_then(|before| self.found(name, topic(before)));
            let new = now.and_then(|alarm| self.found(name, topic(alarm)));
            if let Some(old) = old.filter(|old| new.as_ref() != Some(old)) {
                add(&old, None);
            }
            if let Some(new) = new {
                add(&new, now);
            }
        }
        records
    }

    // Alarms of ours have been tried when they were made; one that another program wrote may lack what the template
    // asks for, and then has no copy that could be cleared.
    fn found(&self, name: &str, topic: Result<Topic>) -> Option<Topic> {
        topic.inspect_err(|e| tracing::warn!(alarm = %name, "no copy is written: {}", e.one_line())).ok()
    }

    // A tombstone has no schema, so that every converter makes it Kafka's null.
    fn record(&self, topic: &Topic, name: &Arc<str>, alarm: Option<&Alarm>, timestamp: Option<i64>) -> Record {
        let mut record = Record {
            timestamp,
            key_schema: Some(Schema::string()),
            key: Value::String(name.clone()),
            value_schema: alarm.map(|_| schemas::active_alarm().clone()),
            value: alarm.map_or(Value::Null, Alarm::to_value),
            ..Record::new(topic.clone())
        };
        self.audit.stamp(&mut record.headers);
        record
    }
}

#[cfg(test)]
mod tests {
    use connect_api::{Settings, config::Config};

    use super::*;
    use crate::Priority;

    fn writer(settings: &[(&str, &str)]) -> Writer {
        let settings: Settings = settings.iter().copied().chain([("user", "ops")]).collect();
        Writer::new(&AlarmConfig::parse(&settings).expect("valid settings"), "ca".into())
    }

    fn alarm(zone: &str) -> Alarm {
        Alarm { labels: [("zone".to_owned(), zone.to_owned())].into(), ..Alarm::new(Priority::Life) }
    }

    fn change(change: Change, before: Option<Alarm>) -> NamedChange {
        NamedChange { name: "T:ai0".into(), change, before }
    }

    /// Topic of each record, with `-` for a tombstone and `!` for a marker.
    fn shown(records: &[Record]) -> Vec<String> {
        let sign = |r: &Record| match Alarm::from_value(&r.value) {
            _ if r.value.is_null() => "-",
            alarm if alarm.cleared => "!",
            _ => "+",
        };
        records.iter().map(|r| format!("{}{}", sign(r), r.topic)).collect()
    }

    #[test]
    fn records_carry_the_name_as_key_and_the_writer_in_headers() {
        let [record] = &writer(&[]).records(&change(Change::Write(alarm("a")), None), Some(7))[..] else {
            panic!("one record")
        };
        assert_eq!((record.key.as_str(), record.timestamp), (Some("T:ai0"), Some(7)));
        assert_eq!(record.value_schema.as_ref(), Some(schemas::active_alarm()));
        assert_eq!(Alarm::from_value(&record.value), alarm("a"));
        let header = |name: &str| record.headers.last(name).map(|h| h.value.to_string()).unwrap_or_default();
        assert_eq!((header("user"), header("producer"), header("host").is_empty()), ("ops".into(), "ca".into(), false));
        let [tombstone] = &writer(&[]).records(&change(Change::Clear, Some(alarm("a"))), None)[..] else {
            panic!("one record")
        };
        assert!(tombstone.value.is_null() && tombstone.value_schema.is_none() && tombstone.headers.len() == 3);
    }

    #[test]
    fn the_setting_says_what_clears() {
        let cleared = change(Change::Clear, Some(Alarm { latched: true, ..alarm("a") }));
        for (setting, expected) in [
            ("tombstone", &["-active-alarms"][..]),
            ("marker", &["!active-alarms"]),
            ("both", &["!active-alarms", "-active-alarms"]),
        ] {
            let records = writer(&[("clear.with", setting)]).records(&cleared, None);
            assert_eq!(shown(&records), expected);
            if setting != "tombstone" {
                assert_eq!(Alarm::from_value(&records[0].value), Alarm { cleared: true, ..alarm("a") });
            }
        }
    }

    #[test]
    fn copies_follow_the_alarm_from_topic_to_topic() {
        let writer = writer(&[("copy.topic", "zone-{{labels.zone}}")]);
        let records = |c| shown(&writer.records(&c, None));
        assert_eq!(records(change(Change::Write(alarm("a")), None)), ["+active-alarms", "+zone-a"]);
        let again = change(Change::Write(alarm("a")), Some(alarm("a")));
        assert_eq!(records(again), ["+active-alarms", "+zone-a"]);
        let moved = change(Change::Write(alarm("b")), Some(alarm("a")));
        assert_eq!(records(moved), ["+active-alarms", "-zone-a", "+zone-b"]);
        assert_eq!(records(change(Change::Clear, Some(alarm("b")))), ["-active-alarms", "-zone-b"]);
        let foreign = change(Change::Clear, Some(Alarm::new(Priority::Life)));
        assert_eq!(records(foreign), ["-active-alarms"], "nobody can tell where its copy would be");
    }
}
