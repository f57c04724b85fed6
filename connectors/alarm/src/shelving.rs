//! Sinks that are silent about shelved alarms: a task around the sink's own.
//!
//! What comes about an alarm while it is on the shelf is kept instead of delivered, of each alarm the last record, in the
//! connector's state, so that it survives restarts. When the alarm comes off the shelf, because its time is over or
//! somebody has taken it off, that record is delivered if the alarm is still active; if it is over, only if the sink was
//! told of it before.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use connect_api::{
    Bytes, Error, ErrorClass, Gauge, Headers, Origin, PartitionOffset, Record, Result, SinkContext, SinkRecord,
    SinkTask, State, Table, TimestampType, TopicPartition, async_trait,
    config::{Key, topic_name},
    json::{from_json, to_json},
    time,
};
use serde_json::{Value as Json, json};
use tokio::time::Instant;

use crate::{
    ShelvedAlarm,
    place::{self, Place, is_active},
};

connect_api::config! {
    /// Alarms that a sink does not tell of.
    #[derive(Debug, Clone)]
    pub struct ShelvingConfig {
        /// Topic of shelved alarms, such as shelved-alarms, read with the connector's converters. While an alarm, whose
        /// name is the key of its records, is on the shelf, the sink is silent about it; when it comes off, the last record
        /// is delivered if the alarm is still active, and also if it is over and the sink was told of it before. Without
        /// the setting the sink tells of all alarms.
        topic: Option<String> = Key::new("shelved.alarms.topic").check(|t: &Option<String>| t.as_deref().map_or(Ok(()), topic_name)),
    }
}

/// How often the shelf is looked at while something is kept back.
const LOOK: Duration = Duration::from_millis(500);
/// The name of the state.
const STATE: &str = "shelved";

/// A task that is silent about shelved alarms.
struct Shelving {
    inner: Box<dyn SinkTask>,
    context: SinkContext,
    shelf: Table,
    state: Arc<dyn State>,
    kept: BTreeMap<Place, Kept>,
    /// Whether the last that the sink was told of an alarm since the task began is that it is active.
    told: HashMap<Arc<str>, bool>,
    look: Instant,
    size: Gauge,
}

/// The last record of an alarm that came while it was on the shelf.
struct Kept {
    record: SinkRecord,
    /// Whether the sink knows the alarm as active, or may do so.
    told: bool,
}

/// The task itself, or one around it that is silent about shelved alarms if the settings say so.
pub async fn silent(
    inner: Box<dyn SinkTask>,
    config: &ShelvingConfig,
    context: &SinkContext,
) -> Result<Box<dyn SinkTask>> {
    let Some(topic) = &config.topic else { return Ok(inner) };
    Ok(Box::new(Shelving {
        inner,
        context: context.clone(),
        shelf: context.table(topic).await?,
        state: context.state(STATE).await?,
        kept: BTreeMap::new(),
        told: HashMap::new(),
        look: Instant::now(),
        size: context.gauge("tocsin_shelved_alarms", "Shelved alarms of which the last record is kept back.", &[]),
    }))
}

impl Shelving {
    fn is_shelved(&self, name: &str) -> bool {
        let row = self.shelf.get(name);
        row.is_some_and(|row| ShelvedAlarm::from_value(&row.value).holds_at(time::now_ms()))
    }

    async fn keep(&mut self, record: &SinkRecord) -> Result<()> {
        let place = place::of(record);
        let before = self.kept.get(&place).map(|kept| kept.told);
        // What the sink was told before the task began is not known: one message too many is better than an alarm that
        // never ends.
        let told = before.or_else(|| self.told.get(&place.1).copied()).unwrap_or(true);
        let kept = Kept { record: record.clone(), told };
        let text = Bytes::from(kept.to_json().to_string());
        self.state.put(&place::key(&place), Some(text)).await?;
        self.kept.insert(place, kept);
        self.count();
        Ok(())
    }

    async fn forget(&mut self, place: &Place) -> Result<()> {
        self.state.put(&place::key(place), None).await?;
        self.kept.remove(place);
        self.count();
        Ok(())
    }

    fn count(&self) {
        self.size.set(self.kept.len() as f64);
    }

    /// Delivers what is kept of alarms that have come off the shelf.
    async fn release(&mut self) -> Result<()> {
        let free: Vec<Place> = self.kept.keys().filter(|(_, name)| !self.is_shelved(name)).cloned().collect();
        for place in free {
            let Some(kept) = self.kept.get(&place) else { continue };
            let active = is_active(&kept.record);
            if active || kept.told {
                let record = kept.record.clone();
                match self.inner.put(std::slice::from_ref(&record)).await {
                    Err(e) if e.class() == ErrorClass::Data => self.context.report(&record, e).await?,
                    put => put?,
                }
                self.told.insert(place.1.clone(), active);
            }
            self.forget(&place).await?;
        }
        self.look = Instant::now() + LOOK;
        Ok(())
    }
}

#[async_trait]
impl SinkTask for Shelving {
    async fn open(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        for (key, text) in self.state.entries() {
            let kept = Kept::from_json(&text).map_err(|why| {
                Error::fatal(format!("reading what is kept of shelved alarm {key} in the connector's state"))
                    .caused_by(why)
            })?;
            let place = place::of(&kept.record);
            if partitions.contains(&place.0) {
                self.kept.insert(place, kept);
            }
        }
        self.count();
        self.inner.open(partitions).await
    }

    async fn put(&mut self, records: &[SinkRecord]) -> Result<()> {
        if records.is_empty() {
            if !self.kept.is_empty() && Instant::now() >= self.look {
                self.release().await?;
            }
            // The call may be for the sink itself.
            return if self.inner.due().is_some_and(|due| due <= Instant::now()) {
                self.inner.put(&[]).await
            } else {
                Ok(())
            };
        }
        let silent: Vec<bool> = records.iter().map(|record| self.is_shelved(&place::name(record))).collect();
        if silent.contains(&true) {
            let open: Vec<SinkRecord> =
                records.iter().zip(&silent).filter(|(_, silent)| !**silent).map(|(record, _)| record.clone()).collect();
            if !open.is_empty() {
                self.inner.put(&open).await?;
            }
        } else {
            self.inner.put(records).await?;
        }
        for (record, silent) in records.iter().zip(silent) {
            if silent {
                self.keep(record).await?;
            } else {
                // What came later counts.
                let place = place::of(record);
                if self.kept.contains_key(&place) {
                    self.forget(&place).await?;
                }
                self.told.insert(place.1, is_active(record));
            }
        }
        Ok(())
    }

    fn due(&self) -> Option<Instant> {
        let look = (!self.kept.is_empty()).then_some(self.look);
        [look, self.inner.due()].into_iter().flatten().min()
    }

    async fn flush(&mut self, offsets: &[PartitionOffset]) -> Result<Vec<PartitionOffset>> {
        self.inner.flush(offsets).await
    }

    async fn close(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        self.kept.retain(|(partition, _), _| !partitions.contains(partition));
        self.count();
        self.inner.close(partitions).await
    }

    async fn stop(&mut self) -> Result<()> {
        self.inner.stop().await
    }
}

impl Kept {
    /// Without schemas: what templates and bodies make of it is the same.
    fn to_json(&self) -> Json {
        let SinkRecord { record, origin } = &self.record;
        let headers: Vec<Json> = record.headers.iter().map(|h| json!([&*h.key, to_json(&h.value)])).collect();
        json!({
            "told": self.told, "topic": &*origin.topic, "partition": origin.partition, "offset": origin.offset,
            "renamed": &*record.topic, "timestamp": record.timestamp, "key": to_json(&record.key),
            "value": to_json(&record.value), "headers": headers,
        })
    }

    fn from_json(text: &[u8]) -> Result<Self, String> {
        let all: Json = serde_json::from_slice(text).map_err(|e| e.to_string())?;
        let text = |name: &str| all[name].as_str().ok_or_else(|| format!("{name} is no text"));
        let number = |name: &str| all[name].as_i64().ok_or_else(|| format!("{name} is no number"));
        let mut record = Record::new(text("renamed")?);
        (record.key, record.value) = (from_json(&all["key"]), from_json(&all["value"]));
        record.timestamp = all["timestamp"].as_i64();
        let mut headers = Headers::new();
        for header in all["headers"].as_array().into_iter().flatten() {
            let key = header[0].as_str().ok_or("a header's key is no text")?;
            headers.add(key, from_json(&header[1]), None).map_err(|e| e.one_line())?;
        }
        record.headers = headers;
        let origin = Origin {
            topic: text("topic")?.into(),
            partition: i32::try_from(number("partition")?).map_err(|e| e.to_string())?,
            offset: number("offset")?,
            timestamp_type: TimestampType::CreateTime,
        };
        Ok(Self { record: SinkRecord { record, origin }, told: all["told"].as_bool().ok_or("told is no boolean")? })
    }
}
