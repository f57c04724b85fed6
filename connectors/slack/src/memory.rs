//! What has been told of each alarm, kept across restarts: where its message is, and up to which record.

use std::{collections::BTreeMap, sync::Arc};

use connect_api::{Bytes, Error, PartitionOffset, Result, SinkRecord, State, TopicPartition};
use connector_alarm::place::{self, Place, is_active};
use serde::{Deserialize, Serialize};

/// What is known of an alarm.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Offset of the last record that was told.
    pub offset: i64,
    /// Its time stamp: what is older or as old at no greater offset was told, too. A later one at a smaller offset is of a
    /// topic that was created again.
    pub timestamp: Option<i64>,
    /// The channel as the settings call it.
    pub route: String,
    /// The channel of the message, by its id.
    pub channel: String,
    /// The message; none of an incoming webhook's.
    pub ts: Option<String>,
    /// Whether the message is a digest, which is no alarm's own.
    pub digest: bool,
    /// Whether the message does not show the last record, which a digest has told.
    pub stale: bool,
    /// Whether the alarm is over.
    pub over: bool,
    /// The alarm's priority, if it has one.
    pub priority: Option<String>,
    /// Messages in other channels that do not say yet where the alarm goes on.
    #[serde(default)]
    pub left: Vec<Left>,
}

/// A message of an alarm that goes on in another channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// Offset of the record with which the alarm went there.
    pub offset: i64,
    /// The channel as the settings call it.
    pub route: String,
    /// The channel, by its id.
    pub channel: String,
    /// The message.
    pub ts: String,
    /// Whether it is a digest.
    pub digest: bool,
}

/// The alarm that a record is about; a record without a key is one of its own.
pub fn alarm_of(record: &SinkRecord) -> Place {
    let place = place::of(record);
    // No key is named so.
    if record.key.is_null() { (place.0, format!("\u{1}{}", record.origin.offset).into()) } else { place }
}

/// Whether nothing more comes of what a record is about: an alarm that is over, a record without a key.
pub fn is_last(record: &SinkRecord) -> bool {
    record.key.is_null() || !is_active(record)
}

/// The priority that a record tells of.
pub fn priority_of(record: &SinkRecord) -> Option<&str> {
    record.value.get("priority").and_then(|p| p.as_str())
}

/// Whether an alarm gets graver: P1 is graver than P2.
pub fn rises(priority: Option<&str>, before: Option<&str>) -> bool {
    priority.is_some() && priority < before
}

/// What has been told.
pub struct Memory {
    state: Arc<dyn State>,
    told: BTreeMap<Place, Told>,
}

impl Memory {
    /// Over the connector's state.
    pub fn new(state: Arc<dyn State>) -> Self {
        Self { state, told: BTreeMap::new() }
    }

    /// Reads what is known of the alarms of partitions.
    pub fn open(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        for (key, text) in self.state.entries() {
            let Some(alarm) = place::of_key(&key).filter(|alarm| partitions.contains(&alarm.0)) else { continue };
            let told = serde_json::from_slice(&text)
                .map_err(|e| Error::fatal(format!("reading the connector's state of {key}")).caused_by(e))?;
            self.told.insert(alarm, told);
        }
        Ok(())
    }

    /// Forgets, until they are opened again, the alarms of partitions.
    pub fn close(&mut self, partitions: &[TopicPartition]) {
        self.told.retain(|(partition, _), _| !partitions.contains(partition));
    }

    /// What is known of an alarm.
    pub fn get(&self, alarm: &Place) -> Option<&Told> {
        self.told.get(alarm)
    }

    /// Keeps what has been told.
    pub async fn put(&mut self, alarm: &Place, told: Told) -> Result<()> {
        let text = serde_json::to_vec(&told).map_err(|e| Error::fatal("writing the connector's state").caused_by(e))?;
        self.state.put(&place::key(alarm), Some(Bytes::from(text))).await?;
        self.told.insert(alarm.clone(), told);
        Ok(())
    }

    /// Forgets alarms that are over and whose records do not come again.
    pub async fn prune(&mut self, safe: &[PartitionOffset]) -> Result<()> {
        let done = |(partition, _): &Place, told: &Told| {
            told.over
                && !told.stale
                && told.left.is_empty()
                && safe.iter().any(|s| s.partition == *partition && s.offset > told.offset)
        };
        let gone: Vec<Place> = self.told.iter().filter(|(a, told)| done(a, told)).map(|(a, _)| a.clone()).collect();
        for alarm in gone {
            self.state.put(&place::key(&alarm), None).await?;
            self.told.remove(&alarm);
        }
        Ok(())
    }
}

impl Told {
    /// Whether this record was told.
    pub fn has(&self, record: &SinkRecord) -> bool {
        record.origin.offset <= self.offset && record.timestamp <= self.timestamp
    }
}
