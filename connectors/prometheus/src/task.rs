//! Counts records, and stores what they come to with their offsets.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, hash_map},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use connect_api::{
    Counter, Error, FamilyKind, PartitionOffset, Result, SinkContext, SinkRecord, SinkTask, State, Topic,
    TopicPartition, async_trait, time::now_ms,
};
use futures_util::future::join_all;
use tokio::{
    task::JoinHandle,
    time::{Instant, MissedTickBehavior},
};
use tracing::Instrument;

use crate::{
    TASKS,
    board::{Board, Limits, Seat},
    config::PrometheusConfig,
    metric::{Effect, METRICS, Metrics},
    remote::Remote,
    series::{Amount, Cell, Change, Labels, Totals},
    stored::{self, Mark},
};

/// Value of each label of the series that takes what there is no room for.
pub const OVERFLOW: &str = "__overflow__";

/// A running task.
pub struct PrometheusTask {
    context: SinkContext,
    metrics: Metrics,
    board: Arc<Board>,
    seat: Seat,
    state: Arc<dyn State>,
    /// How many tasks the connector has.
    tasks: usize,
    parts: BTreeMap<TopicPartition, Part>,
    /// By metric, records of series for which there was no room.
    overflowed: Vec<Counter>,
    remote: Option<Remote>,
    /// Whether something was counted that is not stored.
    unstored: Arc<AtomicBool>,
    ticker: JoinHandle<()>,
}

/// A partition that the task has.
struct Part {
    /// Offset behind the last record that was counted.
    next: i64,
    /// Where the partition was read from on when the task got it: records before were not asked for.
    base: i64,
    /// The latest record that was passed over since it was found that the topic still is the same.
    passed: Option<i64>,
    /// Kafka's id of the topic, where it is known.
    topic: Option<String>,
    /// Number of the last writing.
    writing: u64,
    totals: Totals,
}

impl Part {
    /// Whether its offsets are those of the topic with this id, as far as that is known. From now on they are.
    fn is_of(&mut self, id: Option<&str>) -> bool {
        let Some(id) = id else { return true };
        self.topic.replace(id.to_owned()).is_none_or(|known| known == id)
    }
}

impl PrometheusTask {
    /// Makes the task ready; what is stored shows at once.
    pub async fn start(config: &PrometheusConfig, context: SinkContext) -> Result<Self> {
        let metrics = config.metrics.clone();
        let limits = Limits { most: usize::try_from(config.series_max).unwrap_or(usize::MAX), idle: config.idle() };
        let state = context.state(&config.state).await?;
        let mut unread = None;
        let make = || {
            let board = Board::new(metrics.clone(), &config.state, limits);
            // Before another task sees it.
            match load_all(&*state, &metrics, &board) {
                Ok(found) => board.found(found),
                Err(e) => unread = Some(e),
            }
            board
        };
        let board = context.expose(|board: &Board| board.fits(&metrics, &config.state, limits), make);
        if let Some(e) = unread {
            return Err(e);
        }
        let board = board.map_err(|e| e.context(format!("showing the metrics of {METRICS}")))?;
        let tasks = context.settings().get(TASKS).and_then(|n| n.parse().ok()).unwrap_or(1);
        let help = "Records whose series there was no room for (prometheus.series.max).";
        let overflowed = metrics.all.iter().map(|metric| {
            context.counter("tocsin_prometheus_overflowed_records_total", help, &[("metric", &*metric.family.name)])
        });
        let overflowed = overflowed.collect();
        let unstored = Arc::new(AtomicBool::new(false));
        let remote = Remote::new(config, &context)?;
        let seat = board.joined(context.task());
        let ticker = ticker(&context, config.interval.0, unstored.clone());
        let parts = BTreeMap::new();
        Ok(Self { context, metrics, board, seat, state, tasks, parts, overflowed, remote, unstored, ticker })
    }

    /// Takes up a partition where its totals end, if its topic still has this id.
    fn take_up(&mut self, partition: &TopicPartition, id: Option<&str>) -> Result<(i64, Arc<Totals>)> {
        let found = load(&*self.state, partition, &self.metrics, &self.board)?;
        let mut part = match found {
            Some(stored::Found { mark, totals, dropped }) => {
                if !dropped.is_empty() {
                    tracing::warn!(
                        "metrics that are defined otherwise than before begin anew in {}-{}: {}",
                        partition.topic,
                        partition.partition,
                        dropped.join(", ")
                    );
                }
                let Mark { offset, topic, writing } = mark;
                Part { next: offset, base: offset, passed: None, topic, writing, totals }
            }
            None => {
                let totals = self.metrics.all.iter().map(|_| HashMap::new()).collect();
                Part { next: 0, base: 0, passed: None, topic: None, writing: 0, totals }
            }
        };
        if !part.is_of(id) {
            tracing::warn!(
                "topic {} was deleted and created again: partition {} is counted from where the consumer group stands, beside \
                 what was counted",
                partition.topic,
                partition.partition
            );
            (part.next, part.base) = (0, 0);
        }
        let (at, totals) = (part.base, Arc::new(part.totals.clone()));
        self.parts.insert(partition.clone(), part);
        Ok((at, totals))
    }

    /// Whether a record is to be counted: not if it was before, or is behind one that was sought.
    async fn is_new(
        &mut self,
        record: &SinkRecord,
        partition: &TopicPartition,
        sought: &mut BTreeSet<TopicPartition>,
    ) -> Result<bool> {
        let Some(part) = self.parts.get_mut(partition) else { return Ok(false) };
        let offset = record.origin.offset;
        if sought.contains(partition) {
            return Ok(false);
        }
        if offset >= part.next {
            return Ok(true);
        }
        // What comes again comes in order, so that what goes back may be of another topic.
        let same = if part.passed.is_some_and(|passed| passed < offset) {
            true
        } else {
            let mut ids = self.context.topic_ids(std::slice::from_ref(&partition.topic)).await?;
            part.is_of(ids.remove(&partition.topic).as_deref())
        };
        if same && offset >= part.base {
            part.passed = Some(offset);
            return Ok(false);
        }
        tracing::warn!(
            "{}-{} begins anew at offset {offset}, before {}, up to which it was counted: it was deleted and created again, \
             or offsets were lost. Its records are counted from there on, beside what was counted",
            partition.topic,
            partition.partition,
            part.next
        );
        (part.next, part.base, part.passed) = (offset, offset, None);
        sought.insert(partition.clone());
        // The worker's own positions follow a seek, and the record comes again.
        self.context.seek(vec![PartitionOffset { partition: partition.clone(), offset }]);
        Ok(false)
    }

    /// These effects, unless one of them makes more of a total than a number holds: the record is a bad one then.
    fn fitting(&self, partition: &TopicPartition, effects: Vec<(usize, Effect)>) -> Result<Vec<(usize, Effect)>> {
        let Some(part) = self.parts.get(partition) else { return Ok(effects) };
        for (metric, effect) in &effects {
            let Effect::Change(labels, change) = effect else { continue };
            let Some(series) = part.totals.get(*metric) else { continue };
            // Where there is no series it may be counted in the one of what there is no room for.
            let cell = series.get(labels).or_else(|| series.get(&overflowing(labels.len())));
            if cell.is_some_and(|cell| cell.amount.overflows(change)) {
                let name = &self.metrics.all[*metric].family.name;
                return Err(Error::data(format!(
                    "adding to metric {name}: its total would be more than a number holds"
                )));
            }
        }
        Ok(effects)
    }

    fn apply(&mut self, partition: &TopicPartition, effects: Vec<(usize, Effect)>, now: i64) {
        let Some(part) = self.parts.get_mut(partition) else { return };
        for (metric, effect) in effects {
            let Some(series) = part.totals.get_mut(metric) else { continue };
            match effect {
                Effect::Drop(key) => series.retain(|_, cell| !is_of_key(cell, &key)),
                Effect::Change(labels, change) => {
                    let labels = match admitted(&self.board, metric, &labels, series, now) {
                        Some(labels) => labels,
                        None => {
                            self.overflowed[metric].add(1);
                            // The last value of many different things says nothing.
                            if self.metrics.all[metric].family.kind == FamilyKind::Gauge {
                                continue;
                            }
                            overflow(&self.board, metric, labels.len(), series, now)
                        }
                    };
                    change_series(series, &labels, &change, now);
                }
            }
        }
    }

    /// Drops series that no partition has used for long.
    fn sweep(&mut self) {
        let since = self.board.limits().idle_since(now_ms());
        if since > i64::MIN {
            let series = self.parts.values_mut().flat_map(|part| part.totals.iter_mut());
            series.for_each(|series| series.retain(|_, cell| cell.used.ms() >= since));
        }
    }
}

fn is_of_key(cell: &Cell, wanted: &str) -> bool {
    matches!(&cell.amount, Amount::Last { key: Some(key), .. } if **key == *wanted)
}

/// The labels, if the partition has the series or there is room for it, which it then has.
fn admitted(
    board: &Board,
    metric: usize,
    labels: &Labels,
    series: &mut HashMap<Labels, Cell>,
    now: i64,
) -> Option<Labels> {
    if !series.contains_key(labels) {
        let used = board.admit(metric, labels, now, false)?;
        series.insert(labels.clone(), Cell { amount: nothing(board, metric), used });
    }
    Some(labels.clone())
}

fn overflowing(labels: usize) -> Labels {
    vec![Arc::from(OVERFLOW); labels].into()
}

fn overflow(board: &Board, metric: usize, labels: usize, series: &mut HashMap<Labels, Cell>, now: i64) -> Labels {
    let labels = overflowing(labels);
    if let hash_map::Entry::Vacant(place) = series.entry(labels.clone())
        && let Some(used) = board.admit(metric, &labels, now, true)
    {
        place.insert(Cell { amount: nothing(board, metric), used });
    }
    labels
}

fn nothing(board: &Board, metric: usize) -> Amount {
    let metric = &board.metrics()[metric];
    Amount::none(metric.family.kind, metric.buckets.len())
}

fn change_series(series: &mut HashMap<Labels, Cell>, labels: &Labels, change: &Change, now: i64) {
    if let Some(cell) = series.get_mut(labels) {
        cell.amount.apply(change);
        cell.used.touch(now);
    }
}

fn load(
    state: &dyn State,
    partition: &TopicPartition,
    metrics: &Metrics,
    board: &Board,
) -> Result<Option<stored::Found>> {
    // What was counted before keeps its series, whatever the limit is now.
    let used = |metric: usize, labels: &Labels, at| board.admit(metric, labels, at, true).unwrap_or_default();
    let found = stored::load(state, partition, &metrics.all, used)?;
    Ok(found.map(|mut found| {
        let since = board.limits().idle_since(now_ms());
        found.totals.iter_mut().for_each(|series| series.retain(|_, cell| cell.used.ms() >= since));
        found
    }))
}

fn load_all(state: &dyn State, metrics: &Metrics, board: &Board) -> Result<Vec<(TopicPartition, Totals)>> {
    let mut all = Vec::new();
    for partition in stored::partitions(state) {
        let found = load(state, &partition, metrics, board)?;
        all.extend(found.map(|found| (partition, found.totals)));
    }
    Ok(all)
}

/// Asks for a commit, with which totals are stored, as long as there is something to store.
fn ticker(context: &SinkContext, every: Duration, unstored: Arc<AtomicBool>) -> JoinHandle<()> {
    let context = context.clone();
    let ask = async move {
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = context.stopping().cancelled() => return,
                _ = ticks.tick() => if unstored.load(Ordering::Relaxed) {
                    context.request_commit();
                },
            }
        }
    };
    tokio::spawn(ask.in_current_span())
}

impl Drop for PrometheusTask {
    fn drop(&mut self) {
        self.ticker.abort();
        self.board.left(self.seat);
    }
}

#[async_trait]
impl SinkTask for PrometheusTask {
    async fn open(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        let topics: BTreeSet<Topic> = partitions.iter().map(|partition| partition.topic.clone()).collect();
        let ids = self.context.topic_ids(&topics.into_iter().collect::<Vec<_>>()).await?;
        let mut from = Vec::new();
        let mut shown = Vec::with_capacity(partitions.len());
        for partition in partitions {
            let (offset, totals) = self.take_up(partition, ids.get(&partition.topic).map(|id| &**id))?;
            shown.push((partition.clone(), totals));
            // A partition of which nothing is stored is read from where the group's offsets say.
            if offset > 0 {
                from.push(PartitionOffset { partition: partition.clone(), offset });
            }
        }
        if !from.is_empty() {
            self.context.seek(from);
        }
        self.board.opened(self.seat, self.tasks, shown);
        Ok(())
    }

    async fn put(&mut self, records: &[SinkRecord]) -> Result<()> {
        let (now, mut sought) = (now_ms(), BTreeSet::new());
        let mut partition: Option<TopicPartition> = None;
        for record in records {
            let origin = &record.origin;
            let partition = match &mut partition {
                Some(last) if last.topic == origin.topic && last.partition == origin.partition => last,
                other => other.insert(TopicPartition { topic: origin.topic.clone(), partition: origin.partition }),
            };
            if !self.is_new(record, partition, &mut sought).await? {
                continue;
            }
            match self.metrics.effects(record).and_then(|effects| self.fitting(partition, effects)) {
                Ok(effects) => self.apply(partition, effects, now),
                // One that is not tolerated comes again when the task is restarted.
                Err(e) => self.context.report(record, e).await?,
            }
            if let Some(part) = self.parts.get_mut(partition) {
                (part.next, part.passed) = (origin.offset + 1, None);
            }
        }
        if !records.is_empty() {
            self.unstored.store(true, Ordering::Relaxed);
            return Ok(());
        }
        match &mut self.remote {
            Some(remote) if self.board.speaks(self.seat) => remote.write(&self.board).await,
            Some(remote) => {
                remote.pass();
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn due(&self) -> Option<Instant> {
        self.remote.as_ref().map(Remote::due)
    }

    async fn flush(&mut self, offsets: &[PartitionOffset]) -> Result<Vec<PartitionOffset>> {
        self.unstored.store(false, Ordering::Relaxed);
        self.sweep();
        let mut writes = Vec::new();
        for o in offsets {
            let Some(part) = self.parts.get_mut(&o.partition) else { continue };
            // What its new owner has stored must not be replaced by what was counted before.
            if !self.board.owns(self.seat, &o.partition) {
                continue;
            }
            part.next = part.next.max(o.offset);
            // A writing that failed may be stored later all the same, so each has a number of its own.
            part.writing += 1;
            let packed = stored::encode(&self.metrics.all, &part.totals)?;
            let mark = Mark { offset: part.next, topic: part.topic.clone(), writing: part.writing };
            writes.push((&o.partition, mark, packed));
        }
        let state = &*self.state;
        let writes = writes.into_iter().map(|(partition, mark, packed)| async move {
            (partition, stored::save(state, partition, mark, packed).await)
        });
        let (mut failed, mut safe) = (None, Vec::with_capacity(offsets.len()));
        for (partition, saved) in join_all(writes).await {
            match saved {
                Ok(()) => {
                    safe.extend(offsets.iter().filter(|o| o.partition == *partition).cloned());
                    if let Some(part) = self.parts.get(partition) {
                        self.board.stored(self.seat, partition, Arc::new(part.totals.clone()));
                    }
                }
                Err(e) => failed = Some(e),
            }
        }
        match failed {
            Some(e) => {
                self.unstored.store(true, Ordering::Relaxed);
                Err(e)
            }
            None => Ok(safe),
        }
    }

    async fn close(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        partitions.iter().for_each(|partition| drop(self.parts.remove(partition)));
        self.board.closed(self.seat, partitions);
        Ok(())
    }

    async fn stop(&mut self) -> Result<()> {
        self.ticker.abort();
        Ok(())
    }
}
