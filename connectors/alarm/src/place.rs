//! Which alarm a record is about, and the key under which sinks keep what they know of it.

use std::sync::Arc;

use connect_api::{SinkRecord, TopicPartition, Value};

/// An alarm: the partition that tells of it, and its name.
pub type Place = (TopicPartition, Arc<str>);

/// The alarm that a record is about.
pub fn of(record: &SinkRecord) -> Place {
    let origin = &record.origin;
    (TopicPartition { topic: origin.topic.clone(), partition: origin.partition }, name(record))
}

/// The name of the alarm that a record is about.
pub fn name(record: &SinkRecord) -> Arc<str> {
    name_of(&record.key)
}

/// The name of the alarm: the key itself, or the member `name` of the keys of JLab's last generation.
pub fn name_of(key: &Value) -> Arc<str> {
    match key {
        Value::String(text) => Arc::from(&**text),
        key => match key.get("name").and_then(Value::as_str) {
            Some(name) => name.into(),
            None => key.to_string().into(),
        },
    }
}

/// Whether the record says that its alarm is active: it is neither a tombstone nor the marker of an alarm that is over.
pub fn is_active(record: &SinkRecord) -> bool {
    !record.value.is_null() && !matches!(record.value.get("cleared"), Some(Value::Boolean(true)))
}

/// The key of an alarm in a keyed state.
pub fn key((partition, name): &Place) -> String {
    format!("{}/{}/{name}", partition.topic, partition.partition)
}

/// The alarm of a key; `None` if it is no such key.
pub fn of_key(key: &str) -> Option<Place> {
    // Names of topics have no slashes.
    let mut parts = key.splitn(3, '/');
    let (topic, partition, name) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?);
    Some((TopicPartition { topic: topic.into(), partition }, name.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_tell_partition_and_name_whatever_the_name_is() {
        for name in ["pump", "a/b/c", ""] {
            let place = (TopicPartition { topic: "active-alarms".into(), partition: 3 }, Arc::from(name));
            assert_eq!(of_key(&key(&place)), Some(place));
        }
        assert_eq!((of_key("t/x/n"), of_key("t")), (None, None));
    }
}
