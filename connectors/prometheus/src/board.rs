//! What the tasks of a connector on one worker show together, and how many series they may have.
//!
//! Shown is what has been stored: a total that Prometheus has seen never goes back, not even after a kill. Totals of
//! partitions that no task has at the moment, as during a rebalance and after a start, stay on the page as they were
//! stored, or a sum over all of them would fall and rise again, which Prometheus takes for a restart and adds anew. They
//! go when every task has got its partitions and nobody has taken them for two minutes: then another worker of the group
//! shows them, and not a member that was killed, to which the group gives partitions until its session is over.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use connect_api::{Exposition, Family, Series, TopicPartition, time::now_ms};

use crate::{
    metric::{Metric, Metrics},
    series::{Labels, LastUse, Totals, together},
};

/// How often it is looked which series are gone while there are too many.
const PURGE: Duration = Duration::from_secs(1);

/// How long partitions stay on the page that nobody here has: longer than a group gives partitions to members that were
/// killed.
const PATIENCE: Duration = Duration::from_secs(120);

/// See the module.
pub struct Board {
    metrics: Metrics,
    families: Vec<Family>,
    /// Name of the state with the totals.
    state: String,
    limits: Limits,
    patience: Duration,
    label_names: Vec<Vec<Arc<str>>>,
    parts: Mutex<Parts>,
    known: Mutex<Vec<Known>>,
}

/// Limits of series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most series of a metric.
    pub most: usize,
    /// After how long without a record a series goes; `None` for never.
    pub idle: Option<Duration>,
}

impl Limits {
    /// The time before which a series must have been used last for being idle.
    pub fn idle_since(&self, now: i64) -> i64 {
        let idle = |d: Duration| now.saturating_sub(i64::try_from(d.as_millis()).unwrap_or(i64::MAX));
        self.idle.map_or(i64::MIN, idle)
    }
}

#[derive(Default)]
struct Parts {
    /// Grows with everything that happens.
    clock: u64,
    stored: BTreeMap<TopicPartition, Stored>,
    /// Tasks by number.
    tasks: BTreeMap<u32, Member>,
    /// How many tasks there are to be.
    of: usize,
}

struct Member {
    seat: Seat,
    /// When it got partitions last.
    opened: Option<u64>,
}

/// A task that shows something; one that was given up has another seat than its successor of the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    task: u32,
    since: u64,
}

struct Stored {
    totals: Arc<Totals>,
    owner: Owner,
}

#[derive(PartialEq)]
enum Owner {
    Task(Seat),
    NobodySince(u64, Instant),
}

/// The series of a metric, of all partitions.
#[derive(Default)]
struct Known {
    series: HashMap<Labels, Weak<LastUse>>,
    purged: Option<Instant>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Board {
    /// Of these metrics, whose totals are in the state of that name; with nothing on it.
    pub fn new(metrics: Metrics, state: &str, limits: Limits) -> Self {
        Self {
            families: metrics.families(),
            label_names: metrics.all.iter().map(|m| m.labels.iter().map(|(name, _)| name.clone()).collect()).collect(),
            parts: Mutex::default(),
            known: Mutex::new(metrics.all.iter().map(|_| Known::default()).collect()),
            metrics,
            state: state.to_owned(),
            limits,
            patience: PATIENCE,
        }
    }

    /// Whether it serves a task with these settings.
    pub fn fits(&self, metrics: &Metrics, state: &str, limits: Limits) -> bool {
        self.metrics.text == metrics.text && self.state == state && self.limits == limits
    }

    /// The metrics.
    pub fn metrics(&self) -> &[Metric] {
        &self.metrics.all
    }

    /// The limits.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// What a series shares over partitions, of one that is there or for which there is room; else `None`. `anyhow` makes
    /// room for it.
    pub fn admit(&self, metric: usize, labels: &Labels, now: i64, anyhow: bool) -> Option<Arc<LastUse>> {
        let mut all = lock(&self.known);
        let Known { series, purged } = all.get_mut(metric)?;
        if let Some(known) = series.get(labels).and_then(Weak::upgrade) {
            return Some(known);
        }
        if !anyhow && series.len() >= self.limits.most {
            if purged.is_some_and(|at| at.elapsed() < PURGE) {
                return None;
            }
            *purged = Some(Instant::now());
            series.retain(|_, known| known.strong_count() > 0);
            if series.len() >= self.limits.most {
                return None;
            }
        }
        let made = Arc::new(LastUse::at(now));
        series.insert(labels.clone(), Arc::downgrade(&made));
        Some(made)
    }

    /// Shows what is stored of partitions that no task has yet.
    pub fn found(&self, all: Vec<(TopicPartition, Totals)>) {
        let mut parts = lock(&self.parts);
        let now = parts.tick();
        for (partition, totals) in all {
            parts
                .stored
                .insert(partition, Stored { totals: Arc::new(totals), owner: Owner::NobodySince(now, Instant::now()) });
        }
    }

    /// A task has begun; whoever had its number before has no say any more.
    pub fn joined(&self, task: u32) -> Seat {
        let mut parts = lock(&self.parts);
        let seat = Seat { task, since: parts.tick() };
        if let Some(before) = parts.tasks.insert(task, Member { seat, opened: None }) {
            parts.release(before.seat, |_| true);
        }
        seat
    }

    /// A task has ended.
    pub fn left(&self, seat: Seat) {
        let mut parts = lock(&self.parts);
        if parts.tasks.get(&seat.task).is_some_and(|member| member.seat == seat) {
            parts.tasks.remove(&seat.task);
        }
        parts.release(seat, |_| true);
    }

    /// A task has got partitions, besides those that it has; `of` is how many tasks there are.
    pub fn opened(&self, seat: Seat, of: usize, partitions: impl IntoIterator<Item = (TopicPartition, Arc<Totals>)>) {
        let mut parts = lock(&self.parts);
        let now = parts.tick();
        let Some(member) = parts.tasks.get_mut(&seat.task).filter(|member| member.seat == seat) else { return };
        member.opened = Some(now);
        for (partition, totals) in partitions {
            parts.stored.insert(partition, Stored { totals, owner: Owner::Task(seat) });
        }
        parts.of = of;
        parts.prune(self.patience);
    }

    /// A task has stored these totals of a partition.
    pub fn stored(&self, seat: Seat, partition: &TopicPartition, totals: Arc<Totals>) {
        let mut parts = lock(&self.parts);
        if let Some(stored) = parts.stored.get_mut(partition).filter(|stored| stored.owner == Owner::Task(seat)) {
            stored.totals = totals;
        }
    }

    /// Whether a partition is still this task's. One that was taken from it without a word, as from a member of the group
    /// that was silent for too long, is another's as soon as that has opened it.
    pub fn owns(&self, seat: Seat, partition: &TopicPartition) -> bool {
        lock(&self.parts).stored.get(partition).is_some_and(|stored| stored.owner == Owner::Task(seat))
    }

    /// A task has given up partitions. What they come to stays as it was stored.
    pub fn closed(&self, seat: Seat, partitions: &[TopicPartition]) {
        lock(&self.parts).release(seat, |partition| partitions.contains(partition));
    }

    /// Whether this task speaks for all: the first of those that run.
    pub fn speaks(&self, seat: Seat) -> bool {
        lock(&self.parts).tasks.values().next().is_some_and(|member| member.seat == seat)
    }
}

impl Parts {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// Drops partitions that nobody has for that long although every task has got its own since.
    fn prune(&mut self, patience: Duration) {
        // The least of them is none while one has not got any.
        let all_since = self.tasks.values().map(|member| member.opened).min().flatten();
        if let Some(all_since) = all_since.filter(|_| self.tasks.len() >= self.of) {
            let is_gone = |owner: &Owner| matches!(owner, Owner::NobodySince(at, since) if *at < all_since && since.elapsed() >= patience);
            self.stored.retain(|_, stored| !is_gone(&stored.owner));
        }
    }

    fn release(&mut self, seat: Seat, which: impl Fn(&TopicPartition) -> bool) {
        let now = self.tick();
        for (partition, stored) in &mut self.stored {
            if stored.owner == Owner::Task(seat) && which(partition) {
                stored.owner = Owner::NobodySince(now, Instant::now());
            }
        }
    }
}

impl Exposition for Board {
    fn families(&self) -> &[Family] {
        &self.families
    }

    fn series(&self) -> Vec<Vec<Series>> {
        let stored: Vec<Arc<Totals>> = {
            let mut parts = lock(&self.parts);
            parts.prune(self.patience);
            parts.stored.values().map(|s| s.totals.clone()).collect()
        };
        let since = self.limits.idle_since(now_ms());
        let metrics = self.metrics.all.iter().zip(&self.label_names).enumerate();
        let of = |(i, (metric, names)): (usize, (&Metric, &Vec<Arc<str>>))| {
            let parts = stored.iter().filter_map(|totals| totals.get(i));
            together(&metric.family, (names, &metric.buckets), parts, since)
        };
        metrics.map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::{Amount, Cell};
    use connect_api::{SeriesValue, config::ConfigType};

    fn board(most: usize) -> Board {
        let text = r#"[{"name": "n_total", "type": "counter", "help": "N."}]"#;
        Board::new(Metrics::parse(text).expect("metrics"), "totals", Limits { most, idle: None })
    }

    fn partition(partition: i32) -> TopicPartition {
        TopicPartition { topic: "t".into(), partition }
    }

    fn totals(n: f64) -> Totals {
        let cell = Cell { amount: Amount::Total(n), used: Arc::default() };
        vec![HashMap::from([(Labels::from([]), cell)])]
    }

    fn shown(board: &Board) -> Option<f64> {
        match board.series()[0].first().map(|series| series.value.clone()) {
            Some(SeriesValue::Number(n)) => Some(n),
            _ => None,
        }
    }

    #[test]
    fn a_partition_that_moves_from_task_to_task_is_always_on_the_page() {
        let board = board(9);
        board.found(vec![(partition(0), totals(5.0)), (partition(1), totals(7.0))]);
        assert_eq!(shown(&board), Some(12.0), "as soon as there is a task");
        let first = board.joined(0);
        board.opened(first, 2, [(partition(0), Arc::new(totals(5.0)))]);
        let second = board.joined(1);
        assert_eq!(shown(&board), Some(12.0));
        board.opened(second, 2, [(partition(1), Arc::new(totals(7.0)))]);
        board.stored(second, &partition(1), Arc::new(totals(8.0)));
        assert_eq!(shown(&board), Some(13.0));
        board.closed(second, &[partition(1)]);
        board.stored(second, &partition(1), Arc::new(totals(99.0)));
        assert_eq!(shown(&board), Some(13.0), "who has given it up has no say");
        board.closed(first, &[partition(0)]);
        board.opened(first, 2, [(partition(1), Arc::new(totals(8.0)))]);
        assert_eq!(shown(&board), Some(13.0), "the other task has not got its own yet");
        board.opened(second, 2, [(partition(0), Arc::new(totals(5.0)))]);
        assert_eq!(shown(&board), Some(13.0));
    }

    #[test]
    fn a_partition_that_went_to_another_worker_leaves_the_page_when_all_tasks_have_theirs() {
        let board = board(9);
        let (first, second) = (board.joined(0), board.joined(1));
        board.opened(first, 2, [(partition(0), Arc::new(totals(5.0)))]);
        board.opened(second, 2, [(partition(1), Arc::new(totals(7.0)))]);
        board.closed(first, &[partition(0)]);
        board.closed(second, &[partition(1)]);
        board.opened(first, 2, [(partition(0), Arc::new(totals(5.0)))]);
        assert_eq!(shown(&board), Some(12.0));
        board.opened(second, 2, []);
        assert_eq!(shown(&board), Some(12.0), "a member that was killed may have it");
        let board = Board { patience: Duration::ZERO, ..board };
        assert_eq!(shown(&board), Some(5.0));
    }

    #[test]
    fn a_task_that_was_given_up_does_not_speak_for_its_successor() {
        let board = board(9);
        let old = board.joined(0);
        board.opened(old, 1, [(partition(0), Arc::new(totals(5.0)))]);
        let new = board.joined(0);
        assert!(board.speaks(new) && !board.speaks(old));
        board.opened(new, 1, [(partition(0), Arc::new(totals(6.0)))]);
        board.stored(old, &partition(0), Arc::new(totals(99.0)));
        assert!(board.owns(new, &partition(0)) && !board.owns(old, &partition(0)));
        board.closed(old, &[partition(0)]);
        board.left(old);
        board.opened(new, 1, []);
        assert_eq!(shown(&board), Some(6.0));
        assert!(board.speaks(new));
    }

    #[test]
    fn there_is_room_for_so_many_series_and_again_when_some_are_gone() {
        let board = board(2);
        let admit = |label: &str, anyhow| board.admit(0, &Labels::from([Arc::from(label)]), 1, anyhow);
        let (a, b) = (admit("a", false).expect("room"), admit("b", false).expect("room"));
        assert!(Arc::ptr_eq(&a, &admit("a", false).expect("known")));
        assert!(admit("c", false).is_none());
        assert!(admit("c", true).is_some());
        drop((a, b));
        lock(&board.known)[0].purged = None;
        assert!(admit("d", false).is_some());
    }
}
