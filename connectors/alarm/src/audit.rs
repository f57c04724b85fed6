//! Who wrote an alarm, in the headers that JLab's scripts show, and the finished record.

use std::sync::Arc;

use connect_api::{Headers, Record, Schema, Topic, Value};

use crate::{Change, schemas};

const USER: &str = "user";
const PRODUCER: &str = "producer";
const HOST: &str = "host";

/// Who writes: the headers `user`, `producer` and `host`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// A person's or a service's account.
    pub user: Arc<str>,
    /// The program, here a connector.
    pub producer: Arc<str>,
    /// The machine.
    pub host: Arc<str>,
}

impl Audit {
    /// The account and machine of this process; `user` goes before the account.
    pub fn of_process(producer: Arc<str>, user: Option<&str>) -> Self {
        let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.trim().is_empty());
        let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
        let host = kernel.or_else(|| variable("HOSTNAME")).unwrap_or_default();
        let user = user.map(str::to_owned).or_else(|| variable("USER")).or_else(|| variable("LOGNAME"));
        let or = |text: &str, other: &str| Arc::from(if text.trim().is_empty() { other } else { text.trim() });
        Self { user: or(&user.unwrap_or_default(), "tocsin"), host: or(&host, "localhost"), producer }
    }

    /// Sets the three headers in place of those that are there.
    pub fn stamp(&self, headers: &mut Headers) {
        for (key, text) in [(USER, &self.user), (PRODUCER, &self.producer), (HOST, &self.host)] {
            headers.remove(key);
            headers.add_string(key, text.clone());
        }
    }

    /// The record that makes a change. A tombstone has no schema, so that every converter makes it Kafka's null.
    pub fn record(&self, topic: &Topic, name: &Arc<str>, change: &Change, timestamp: Option<i64>) -> Record {
        let (value_schema, value) = match change {
            Change::Write(alarm) => (Some(schemas::active_alarm().clone()), alarm.to_value()),
            Change::Clear => (None, Value::Null),
        };
        let mut record = Record {
            timestamp,
            key_schema: Some(Schema::string()),
            key: Value::String(name.clone()),
            value_schema,
            value,
            ..Record::new(topic.clone())
        };
        self.stamp(&mut record.headers);
        record
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Alarm, Priority};

    #[test]
    fn records_carry_the_name_as_key_and_the_writer_in_headers() {
        let audit = Audit { user: "ops".into(), producer: "ca".into(), host: "console".into() };
        let alarm = Alarm::new(Priority::Life);
        let record = audit.record(&"active-alarms".into(), &"T:ai0".into(), &Change::Write(alarm.clone()), Some(7));
        assert_eq!((record.key.as_str(), record.timestamp), (Some("T:ai0"), Some(7)));
        assert_eq!(record.value_schema.as_ref(), Some(schemas::active_alarm()));
        assert_eq!(Alarm::from_value(&record.value), alarm);
        let headers: Vec<String> = record.headers.iter().map(|h| format!("{}={}", h.key, h.value)).collect();
        assert_eq!(headers, ["user=ops", "producer=ca", "host=console"]);
        let tombstone = audit.record(&"active-alarms".into(), &"T:ai0".into(), &Change::Clear, None);
        assert!(tombstone.value.is_null() && tombstone.value_schema.is_none() && tombstone.headers.len() == 3);
    }

    #[test]
    fn no_header_is_empty() {
        let audit = Audit::of_process("ca".into(), Some(" "));
        assert!(!audit.user.is_empty() && !audit.host.is_empty());
        assert_eq!(&*Audit::of_process("ca".into(), Some("ops")).user, "ops");
    }
}
