//! Sinks that are silent about shelved alarms: a task around the sink's own.
//!
//! Of each active alarm the last record is kept in the connector's state, so that it survives restarts. What comes about an
//! alarm while it is on the shelf is not delivered. When the alarm comes off the shelf, because its time is over or somebody
//! has taken it off, its last record is delivered if it is still active, also if nothing has changed; if it is over, only if
//! the sink was told of it before. It counts as delivered when the sink has stored it: one that collects records may still
//! have it in hand, and the offset of the record has been committed long ago.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use connect_api::{
    Bytes, Check, Error, ErrorClass, Gauge, PartitionOffset, Rendering, Result, SinkContext, SinkRecord, SinkTask,
    SinkTrial, State, Table, TopicPartition, async_trait,
    config::{Key, topic_name},
    time,
};
use futures_util::future::try_join_all;
use tokio::time::Instant;

use crate::{
    ShelvedAlarm,
    kept::Kept,
    place::{self, Place, is_active},
};

connect_api::config! {
    /// Alarms that a sink does not tell of.
    #[derive(Debug, Clone)]
    pub struct ShelvingConfig {
        /// Topic of shelved alarms, such as shelved-alarms, read by what its records are: Avro, JSON or text. While an alarm, whose
        /// name is the key of its records, is on the shelf, the sink is silent about it; when it comes off, the last record
        /// is delivered if the alarm is still active, also if nothing has changed, and that it is over if the sink was told
        /// of it before. Without the setting the sink tells of all alarms.
        topic: Option<String> = Key::new("shelved.alarms.topic").check(|t: &Option<String>| t.as_deref().map_or(Ok(()), topic_name)),
    }
}

/// How often the shelf is looked at while there are active alarms.
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
    look: Instant,
    size: Gauge,
    topic: String,
    /// Whether there was no such topic when it was last looked at.
    missing: bool,
}

/// The task itself, or one around it that is silent about shelved alarms if the settings say so.
pub async fn silent(
    inner: Box<dyn SinkTask>,
    config: &ShelvingConfig,
    context: &SinkContext,
) -> Result<Box<dyn SinkTask>> {
    let Some(topic) = &config.topic else { return Ok(inner) };
    let mut task = Shelving {
        inner,
        context: context.clone(),
        shelf: follow(topic, context).await?,
        state: context.state(STATE).await?,
        kept: BTreeMap::new(),
        look: Instant::now(),
        size: context.gauge("tocsin_shelved_alarms", "Active alarms that are shelved.", &[]),
        topic: topic.clone(),
        missing: false,
    };
    task.look_for_topic();
    Ok(Box::new(task))
}

/// The shelf. Its writers have formats of their own, such as plain keys where those of active alarms are Avro.
async fn follow(topic: &str, context: &SinkContext) -> Result<Table> {
    context.table_by_content(topic).await
}

/// What a test call asks, with what the shelf says.
struct ShelvingTrial {
    inner: Box<dyn SinkTrial>,
    shelf: Table,
    topic: String,
}

/// What a test call asks of the sink, or that with the shelf if the settings say so.
pub async fn trial(
    inner: Box<dyn SinkTrial>,
    config: &ShelvingConfig,
    context: &SinkContext,
) -> Result<Box<dyn SinkTrial>> {
    let Some(topic) = &config.topic else { return Ok(inner) };
    Ok(Box::new(ShelvingTrial { inner, shelf: follow(topic, context).await?, topic: topic.clone() }))
}

#[async_trait]
impl SinkTrial for ShelvingTrial {
    async fn check(&mut self) -> Result<Check> {
        let check = self.inner.check().await?;
        if self.shelf.is_missing() {
            let why = "create it, or correct shelved.alarms.topic";
            return Err(Error::fatal(format!("kafka has no topic {}: {why}", self.topic)));
        }
        Ok(check)
    }

    fn render(&mut self, record: &SinkRecord) -> Result<Rendering> {
        let name = place::name(record);
        let shelved = self.shelf.get(&name).map(|row| ShelvedAlarm::from_value(&row.value));
        let Some(shelved) = shelved.filter(|shelved| shelved.holds_at(time::now_ms())) else {
            return self.inner.render(record);
        };
        let end = shelved.expiration.map(|end| format!(" until {}", time::rfc3339(end))).unwrap_or_default();
        let why = if shelved.reason.is_empty() { String::new() } else { format!(": {}", shelved.reason) };
        Ok(Rendering::Nothing(format!("alarm {name} is on the shelf{end}{why}")))
    }
}

impl Shelving {
    fn is_shelved(&self, name: &str) -> bool {
        let row = self.shelf.get(name);
        row.is_some_and(|row| ShelvedAlarm::from_value(&row.value).holds_at(time::now_ms()))
    }

    /// Says in log and status that there is no shelf, or that there is one now.
    fn look_for_topic(&mut self) {
        let missing = self.shelf.is_missing();
        if missing == std::mem::replace(&mut self.missing, missing) {
            return;
        }
        let text = format!("kafka has no topic {} (shelved.alarms.topic): no alarm counts as shelved", self.topic);
        if missing {
            tracing::warn!("{text}");
            self.context.note(Some(text));
        } else {
            tracing::info!("kafka has topic {} now: shelved alarms are silent", self.topic);
            self.context.note(None);
        }
    }

    /// The names of all alarms that are on the shelf.
    fn on_shelf(&self) -> HashSet<Arc<str>> {
        let now = time::now_ms();
        let rows = self.shelf.snapshot().into_iter();
        rows.filter(|(_, row)| ShelvedAlarm::from_value(&row.value).holds_at(now)).map(|(name, _)| name).collect()
    }

    /// Keeps what has changed.
    async fn keep(&mut self, changes: BTreeMap<Place, Option<Kept>>) -> Result<()> {
        let (kept, state) = (&self.kept, &self.state);
        let differs = |(place, now): &(&Place, &Option<Kept>)| kept.get(*place) != now.as_ref();
        let puts = changes.iter().filter(differs).map(|(place, now)| {
            let text = now.as_ref().map(|kept| Bytes::from(kept.to_json().to_string()));
            async move { state.put(&place::key(place), text).await }
        });
        try_join_all(puts).await?;
        for (place, now) in changes {
            match now {
                Some(now) => drop(self.kept.insert(place, now)),
                None => drop(self.kept.remove(&place)),
            }
        }
        self.count();
        Ok(())
    }

    fn count(&self) {
        self.size.set(self.kept.values().filter(|kept| kept.shelved).count() as f64);
    }

    /// Looks what was put on the shelf, and delivers what has come off it.
    async fn look(&mut self) -> Result<()> {
        self.look_for_topic();
        let on_shelf = self.on_shelf();
        let mut changes = BTreeMap::new();
        let mut free = Vec::new();
        for (place, kept) in self.kept.iter().filter(|(_, kept)| !kept.given) {
            match (kept.shelved, on_shelf.contains(&place.1)) {
                // What the sink was told of this very record is to be told again.
                (false, true) => {
                    let now = Kept { shelved: true, again: kept.told, off: None, ..kept.clone() };
                    changes.insert(place.clone(), Some(now));
                }
                (true, false) => {
                    if kept.again && kept.off.is_none() {
                        let off = Some(time::now_ms());
                        changes.insert(place.clone(), Some(Kept { off, ..kept.clone() }));
                    }
                    free.push(place.clone());
                }
                _ => {}
            }
        }
        self.keep(changes).await?;
        for place in free {
            let Some(kept) = self.kept.get_mut(&place) else { continue };
            let mut record = kept.record.clone();
            if kept.off.is_some() {
                record.record.timestamp = kept.off;
            }
            match self.inner.put(std::slice::from_ref(&record)).await {
                Err(e) if e.class() == ErrorClass::Data => self.context.report(&record, e).await?,
                put => {
                    put?;
                    kept.told = true;
                }
            }
            kept.given = true;
        }
        self.settle().await?;
        self.look = Instant::now() + LOOK;
        Ok(())
    }

    /// Notes what the sink was given and has stored by now.
    async fn settle(&mut self) -> Result<()> {
        let given: Vec<(Place, Kept)> = self
            .kept
            .iter()
            .filter(|(_, kept)| kept.given)
            .map(|(place, kept)| (place.clone(), kept.clone()))
            .collect();
        let mut changes = BTreeMap::new();
        for (place, kept) in given {
            let behind = PartitionOffset { partition: place.0.clone(), offset: kept.record.origin.offset + 1 };
            let safe = self.inner.flush(std::slice::from_ref(&behind)).await?;
            if safe.contains(&behind) {
                let active = is_active(&kept.record);
                let now = active.then_some(Kept { shelved: false, again: false, off: None, given: false, ..kept });
                changes.insert(place, now);
            }
        }
        self.keep(changes).await
    }

    /// What is to be kept after records that were delivered or, where `silent` says so, were not.
    fn after(&self, records: &[SinkRecord], silent: &[bool]) -> BTreeMap<Place, Option<Kept>> {
        let mut changes: BTreeMap<Place, Option<Kept>> = BTreeMap::new();
        for (record, silent) in records.iter().zip(silent).filter(|(record, _)| !record.key.is_null()) {
            let place = place::of(record);
            let before = changes.get(&place).map_or_else(|| self.kept.get(&place), Option::as_ref);
            let told = !silent || before.is_some_and(|kept| kept.told);
            // Of the end of an alarm only who was told of its beginning hears.
            let keeps = is_active(record) || (*silent && told);
            let kept = Kept { record: record.clone(), told, shelved: *silent, again: false, off: None, given: false };
            changes.insert(place, keeps.then_some(kept));
        }
        changes
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
            // Also when the call is for the sink, which must not tell of an alarm what is no longer so.
            if !self.kept.is_empty() || self.missing {
                self.look().await?;
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
        self.keep(self.after(records, &silent)).await
    }

    fn due(&self) -> Option<Instant> {
        let look = (!self.kept.is_empty() || self.missing).then_some(self.look);
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
