//! What a task that writes alarms has besides: conditions become changes of the topic of active alarms.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use connect_api::{Result, SourceContext, SourceRecord, Topic, time};
use connector_alarm::{AlarmConfig, Engine, Mapping, State, Writer, engine::NamedChange};
use tokio::time::Instant;

use crate::{board::Seen, record};

/// The alarms of a task.
pub(crate) struct Alarms {
    engine: Engine,
    mapping: Mapping,
    writer: Writer,
    source: String,
    message_updates: bool,
    disconnected_alarm: bool,
    /// The alarms of channels that have been seen, and whether all was well then.
    normal: HashMap<Arc<str>, bool>,
    /// Alarms that have to last until they are raised.
    delayed: HashMap<Arc<str>, Delayed>,
    due: BTreeSet<(Instant, Arc<str>)>,
}

struct Delayed {
    due: Instant,
    state: State,
    /// When the condition came about, milliseconds since 1970.
    at: i64,
}

impl Alarms {
    pub(crate) async fn start(
        config: AlarmConfig,
        disconnected_alarm: bool,
        context: &SourceContext,
    ) -> Result<Alarms> {
        let mapping = Mapping::new(config.clone(), context.connector().clone());
        Ok(Alarms {
            engine: Engine::start(&config, context).await?,
            writer: Writer::new(&config, context.connector().clone()),
            source: mapping.source()?,
            message_updates: config.message_updates,
            disconnected_alarm,
            normal: HashMap::new(),
            delayed: HashMap::new(),
            due: BTreeSet::new(),
            mapping,
        })
    }

    /// The topic of the alarms.
    pub(crate) fn topic(&self) -> &Topic {
        self.writer.topic()
    }

    /// Whether it can matter for an alarm.
    pub(crate) fn concerns(&self, seen: &Seen) -> bool {
        seen.is_transition || self.message_updates
    }

    /// What was seen of a channel.
    pub(crate) fn observe(&mut self, seen: &Seen, now_ms: i64) -> Result<Vec<SourceRecord>> {
        let state = record::alarm_state(seen, self.disconnected_alarm, &self.mapping, now_ms)?;
        let Some((state, at)) = state else { return Ok(Vec::new()) };
        let (key, delay) = (&seen.channel.key, seen.channel.on_delay);
        let is_raised = self.normal.get(key) == Some(&false);
        if state != State::Normal && !delay.is_zero() && !is_raised {
            let due = self.delayed.get(key).map_or_else(|| Instant::now() + delay, |delayed| delayed.due);
            let at = self.delayed.get(key).map_or(at, |delayed| delayed.at);
            self.delayed.insert(key.clone(), Delayed { due, state, at });
            self.due.insert((due, key.clone()));
            return Ok(Vec::new());
        }
        self.cancel(key);
        Ok(self.settle(key, &state, at, now_ms))
    }

    /// When [`Alarms::expire`] has something to do.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Raises the alarms that have lasted.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<SourceRecord> {
        let mut records = Vec::new();
        while let Some((due, key)) = self.due.first().cloned().filter(|(due, _)| *due <= now) {
            self.due.remove(&(due, key.clone()));
            let Some(Delayed { mut state, at, .. }) = self.delayed.remove(&key) else { continue };
            if let State::Raised(alarm) = &mut state {
                alarm.raised = Some(at);
            }
            records.extend(self.settle(&key, &state, at, time::now_ms()));
        }
        records
    }

    /// Clears the alarms of channels that are not monitored any more: those that this task has raised, or that the topic
    /// has of this source. What others have raised under such a name is theirs.
    pub(crate) fn forget(&mut self, keys: &HashSet<Arc<str>>) -> Vec<SourceRecord> {
        let now = time::now_ms();
        let mut records = Vec::new();
        for key in keys {
            self.cancel(key);
            if self.normal.get(key) == Some(&false) {
                records.extend(self.settle(key, &State::Normal, now, now));
            }
        }
        let normal = &self.normal;
        let is_watched = |name: &str| !keys.contains(name) || normal.contains_key(name);
        let gone = self.engine.vanished(&self.source, is_watched, now);
        records.extend(self.records(gone, now));
        records
    }

    /// Clears the alarms of this source whose channels nobody monitors.
    pub(crate) fn vanished(&mut self, keys: &HashSet<Arc<str>>) -> Vec<SourceRecord> {
        let now = time::now_ms();
        let gone = self.engine.vanished(&self.source, |name| keys.contains(name), now);
        self.records(gone, now)
    }

    /// Resolves when the topic has changed; cancel-safe.
    pub(crate) async fn changed(&mut self) {
        self.engine.changed().await;
    }

    /// What to write after others have changed the topic.
    pub(crate) fn review(&mut self) -> Vec<SourceRecord> {
        let now = time::now_ms();
        let normal = &self.normal;
        let changes = self.engine.review(&self.source, |name| normal.get(name) == Some(&true), now);
        self.records(changes, now)
    }

    fn settle(&mut self, key: &Arc<str>, state: &State, at: i64, now_ms: i64) -> Vec<SourceRecord> {
        self.normal.insert(key.clone(), *state == State::Normal);
        let change = self.engine.observe(key, state, now_ms);
        self.records(change, at)
    }

    fn cancel(&mut self, key: &Arc<str>) {
        if let Some(Delayed { due, .. }) = self.delayed.remove(key) {
            self.due.remove(&(due, key.clone()));
        }
    }

    fn records(&self, changes: impl IntoIterator<Item = NamedChange>, at: i64) -> Vec<SourceRecord> {
        let records = changes.into_iter().flat_map(|change| self.writer.records(&change, Some(at)));
        records.map(|record| SourceRecord { record, source: None }).collect()
    }
}
