//! What a running task counts and says of itself; shared by its runner, the status and the metrics.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use connect_api::{Error, Meters, TopicPartition, time};
use connect_rest_model as model;

use crate::{
    metrics::{
        counts::{Counts, ErrorCounts},
        window::{Recent, Window},
    },
    progress::{Activity, Change, Progress, Undone},
    providers::secrets::Secrets,
    status::State,
};

/// What keeps a task from its work for the time being. Each is told and taken back by itself, so that one that
/// is over does not hide another that is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// Kafka cannot be reached or does not answer, or a topic is missing.
    Kafka,
    /// A topic cannot be looked for or created.
    Topic,
    /// The source task's poll fails.
    Poll,
    /// A record cannot be converted at the moment, such as without the schema registry.
    Convert,
    /// The sink task's put fails.
    Put,
    /// The sink task's flush fails.
    Flush,
    /// Offsets cannot be stored.
    Offsets,
}

/// What a running task counts and says of itself.
#[derive(Debug)]
pub struct TaskStatus {
    counts: Counts,
    meters: Meters,
    /// Records of each partition that a sink has not put yet, where that is known.
    lags: Mutex<Option<Vec<(TopicPartition, u64)>>>,
    /// Records of each partition that a sink has put and that its task has still to deliver.
    undelivered: Mutex<Vec<(TopicPartition, u64)>>,
    /// Bytes sent and received.
    traffic: (AtomicU64, AtomicU64),
    last_record: AtomicI64,
    progress: Progress,
    window: Mutex<Window>,
    words: Mutex<Words>,
    secrets: Secrets,
}

impl Default for TaskStatus {
    fn default() -> Self {
        Self::concealing(Secrets::default())
    }
}

/// Whoever sends nonsense must not fill the log with it.
const REFUSALS_EVERY: Duration = Duration::from_secs(10);

#[derive(Debug)]
struct Words {
    /// Text and beginning of each.
    troubles: BTreeMap<Trouble, (String, i64)>,
    /// When the next try is.
    next_try: Option<i64>,
    /// With its time.
    last_error: Option<(String, i64)>,
    /// What the task says of itself.
    note: Option<String>,
    /// When a refusal was last told, and how many there were since.
    refusals: (Option<Instant>, u64),
    times: Times,
}

/// How long the task was in which state.
#[derive(Debug)]
struct Times {
    began: Instant,
    state: State,
    since: Instant,
    running: Duration,
    paused: Duration,
}

impl Times {
    fn enter(&mut self, state: State, now: Instant) {
        let time = now.saturating_duration_since(self.since);
        match self.state {
            State::Running => self.running += time,
            State::Paused => self.paused += time,
            _ => {}
        }
        (self.state, self.since) = (state, now);
    }
}

/// Says what the task is doing until it is dropped.
#[derive(Debug)]
pub struct Doing {
    status: Arc<TaskStatus>,
    activity: Activity,
    before: Activity,
    began: Instant,
}

impl Drop for Doing {
    fn drop(&mut self) {
        self.status.progress.set(self.before);
        if self.activity == Activity::Putting {
            self.status.counts.puts.add_time(self.began.elapsed());
        }
    }
}

impl TaskStatus {
    /// Nothing is known yet; these values are kept out of what is said.
    pub fn concealing(secrets: Secrets) -> Self {
        let now = Instant::now();
        let times =
            Times { began: now, state: State::Unassigned, since: now, running: Duration::ZERO, paused: Duration::ZERO };
        Self {
            counts: Counts::default(),
            meters: Meters::default(),
            lags: Mutex::default(),
            undelivered: Mutex::default(),
            traffic: Default::default(),
            last_record: AtomicI64::default(),
            progress: Progress::default(),
            window: Mutex::new(Window::new(now)),
            words: Mutex::new(Words {
                troubles: BTreeMap::new(),
                next_try: None,
                last_error: None,
                note: None,
                refusals: (None, 0),
                times,
            }),
            secrets,
        }
    }

    /// The counters.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// What the task and its transforms count themselves.
    pub fn meters(&self) -> &Meters {
        &self.meters
    }

    /// Counts a batch of records that was read.
    pub fn read(&self, n: usize) {
        self.counts.read.fetch_add(n as u64, Ordering::Relaxed);
        self.counts.batches.add(n as u64);
    }

    /// Counts records that reached their destination.
    pub fn written(&self, n: u64) {
        if n > 0 {
            self.counts.written.fetch_add(n, Ordering::Relaxed);
            self.last_record.store(time::now_ms(), Ordering::Relaxed);
        }
    }

    /// Counts records with which everything has been done.
    pub fn settled(&self, n: usize) {
        self.counts.settled.fetch_add(n as u64, Ordering::Relaxed);
    }

    /// What was read and not settled is not waited for any more.
    pub fn given_up(&self) {
        self.settled(usize::try_from(self.counts.unsettled()).unwrap_or(0));
    }

    /// Counts a poll of a source that gave a batch.
    pub fn polled(&self, took: Duration) {
        self.counts.polls.add_time(took);
    }

    /// Counts a commit of offsets.
    pub fn committed(&self, took: Duration, done: bool) {
        if done {
            self.counts.commits.add_time(took);
        } else {
            ErrorCounts::one(&self.counts.failed_commits);
        }
    }

    /// Says how many partitions a sink has, and how many records it has put and not committed.
    pub fn holds(&self, partitions: usize, uncommitted: u64) {
        self.counts.partitions.store(partitions as u64, Ordering::Relaxed);
        self.counts.uncommitted.store(uncommitted, Ordering::Relaxed);
    }

    /// Says how many records of each partition a sink has still to put, where that is known.
    pub fn behind(&self, lags: Option<Vec<(TopicPartition, u64)>>) {
        *self.lags.lock().unwrap_or_else(PoisonError::into_inner) = lags;
    }

    /// Says how many records of each partition a sink's task keeps, to deliver them later.
    pub fn keeps(&self, records: Vec<(TopicPartition, u64)>) {
        *self.undelivered.lock().unwrap_or_else(PoisonError::into_inner) = records;
    }

    /// How many records a sink's task keeps, to deliver them later.
    pub fn undelivered(&self) -> u64 {
        self.undelivered.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|(_, n)| n).sum()
    }

    /// How many records of each partition a sink has still to put or to deliver; none where that is not known.
    pub fn lags(&self) -> Vec<(TopicPartition, u64)> {
        let mut lags = self.lags.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default();
        let undelivered = self.undelivered.lock().unwrap_or_else(PoisonError::into_inner);
        for (partition, lag) in &mut lags {
            *lag += undelivered.iter().find(|(p, _)| p == partition).map_or(0, |(_, n)| *n);
        }
        lags
    }

    /// How many records a sink has still to put or to deliver, where that is known.
    pub fn lag(&self) -> Option<u64> {
        self.unread().map(|unread| unread + self.undelivered())
    }

    /// How many records a sink has still to put, where that is known.
    fn unread(&self) -> Option<u64> {
        let lags = self.lags.lock().unwrap_or_else(PoisonError::into_inner);
        lags.as_ref().map(|all| all.iter().map(|(_, lag)| lag).sum())
    }

    /// Says how many bytes the task's Kafka client has sent and received.
    pub fn transferred(&self, (sent, received): (u64, u64)) {
        self.traffic.0.store(sent, Ordering::Relaxed);
        self.traffic.1.store(received, Ordering::Relaxed);
    }

    /// Bytes that the task's Kafka client has sent and received.
    pub fn traffic(&self) -> (u64, u64) {
        (self.traffic.0.load(Ordering::Relaxed), self.traffic.1.load(Ordering::Relaxed))
    }

    /// When the last record reached its destination, milliseconds since 1970.
    pub fn last_record(&self) -> Option<i64> {
        Some(self.last_record.load(Ordering::Relaxed)).filter(|ms| *ms > 0)
    }

    /// How many records were tolerated as bad.
    pub(crate) fn records_bad(&self) -> u64 {
        self.counts.errors.skipped.load(Ordering::Relaxed)
    }

    /// Counts a record that was tolerated as bad.
    pub fn bad(&self, error: &Error) {
        ErrorCounts::one(&self.counts.errors.skipped);
        self.words().last_error = Some((self.text(error), time::now_ms()));
    }

    fn text(&self, error: &Error) -> String {
        self.secrets.conceal(&error.one_line()).into_owned()
    }

    fn words(&self) -> MutexGuard<'_, Words> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says what keeps the task from its work and is tried again. Tells whether that is new.
    pub fn retrying(&self, trouble: Trouble, error: &Error) -> bool {
        let text = self.text(error);
        let mut words = self.words();
        let known = words.troubles.get(&trouble).map(|(_, since)| *since);
        words.troubles.insert(trouble, (text.clone(), known.unwrap_or_else(time::now_ms)));
        words.last_error = Some((text, time::now_ms()));
        known.is_none()
    }

    /// As [`TaskStatus::retrying`], with the time until the next try.
    pub fn retrying_in(&self, trouble: Trouble, error: &Error, delay: Duration) -> bool {
        let new = self.retrying(trouble, error);
        self.words().next_try = Some(time::now_ms().saturating_add(i64::try_from(delay.as_millis()).unwrap_or(0)));
        new
    }

    /// Says that a trouble is over. Tells whether there was any.
    pub fn recovered(&self, trouble: Trouble) -> bool {
        let mut words = self.words();
        if words.troubles.remove(&trouble).is_none() {
            return false;
        }
        words.next_try = None;
        true
    }

    /// Whether something keeps the task from its work.
    pub(crate) fn troubled(&self) -> bool {
        !self.words().troubles.is_empty()
    }

    /// Counts input that was refused, whose sender knows why. Answers what to log of it, if it is time for that: the
    /// reason, and how many there were since the last one that was told.
    pub fn refused(&self, why: &str) -> Option<(String, u64)> {
        self.counts.errors.failed();
        let text = self.secrets.conceal(why).into_owned();
        let mut words = self.words();
        words.last_error = Some((text.clone(), time::now_ms()));
        let (told, untold) = &mut words.refusals;
        if told.is_some_and(|at| at.elapsed() < REFUSALS_EVERY) {
            *untold += 1;
            return None;
        }
        *told = Some(Instant::now());
        Some((text, std::mem::take(untold)))
    }

    /// Sets what the task says of itself.
    pub fn note(&self, text: Option<String>) {
        self.words().note = text.map(|t| self.secrets.conceal(&t).into_owned());
    }

    /// Says what the task is doing, until the answer is dropped.
    pub fn doing(self: &Arc<Self>, activity: Activity) -> Doing {
        let before = self.progress.set(activity);
        Doing { status: self.clone(), activity, before, began: Instant::now() }
    }

    /// Says that the task's runner has got a turn, as it does about once a second while nothing holds it.
    pub fn turn(&self) {
        self.progress.turn();
    }

    pub(crate) fn entered(&self, state: State) {
        let mut words = self.words();
        words.times.enter(state, Instant::now());
        if state == State::Failed {
            // Nothing is tried again, unless the restart policy starts another one.
            words.troubles.clear();
        }
    }

    /// Which parts of its life the task was running, and was paused.
    pub fn ratios(&self) -> (f64, f64) {
        let now = Instant::now();
        let mut words = self.words();
        let times = &mut words.times;
        times.enter(times.state, now);
        let all = now.saturating_duration_since(times.began).as_secs_f64().max(f64::MIN_POSITIVE);
        (times.running.as_secs_f64() / all, times.paused.as_secs_f64() / all)
    }

    /// What happened within the last minute.
    pub fn recent(&self) -> Recent {
        self.window().until(Instant::now(), self.counts.numbers())
    }

    /// Whether it has been found not to get on.
    pub fn is_stalled(&self) -> bool {
        self.progress.stall().is_some()
    }

    /// Takes samples, and looks whether the task has got on; to be called about once a second. One that is not to run
    /// has nothing to get on with; without a limit nothing is a stall.
    pub(crate) fn look(&self, now: Instant, to_run: bool, limit: Option<Duration>) -> Option<Change> {
        let mut window = self.window();
        if window.is_due(now) {
            window.push(now, self.counts.sample());
        }
        drop(window);
        self.progress.look(now, self.counts.progress(), &self.undone(), to_run, limit?)
    }

    fn undone(&self) -> Undone {
        // Only sources poll, and only they know what they have read and nobody has acknowledged.
        let polls = self.counts.polls.seen().count > 0;
        if self.words().troubles.contains_key(&Trouble::Poll) {
            Undone::Poll
        } else if polls && self.counts.unsettled() > 0 {
            Undone::Unacknowledged(self.counts.unsettled())
        } else {
            // A task may keep records as long as it wants, as for a digest a day.
            self.unread().filter(|n| *n > 0).map_or(Undone::Nothing, Undone::Unread)
        }
    }

    pub(crate) fn detail(&self) -> model::TaskDetail {
        let (recent, stall) = (self.recent(), self.progress.stall());
        let words = self.words();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        // A tenth is as much as a minute can tell.
        let tenths = |rate: f64| (rate * 10.0).round() / 10.0;
        model::TaskDetail {
            records_in: count(&self.counts.read),
            records_out: count(&self.counts.written),
            records_bad: count(&self.counts.errors.skipped),
            rate_in: tenths(recent.read_rate),
            rate_out: tenths(recent.written_rate),
            lag: self.lag(),
            last_record: self.last_record().map(time::rfc3339),
            stalled: stall.as_ref().map(|s| s.doing.clone()),
            stalled_since: stall.map(|s| time::rfc3339(s.since)),
            retrying: (!words.troubles.is_empty()).then(|| {
                let texts: Vec<&str> = words.troubles.values().map(|(text, _)| text.as_str()).collect();
                texts.join("; ")
            }),
            retrying_since: words.troubles.values().map(|(_, since)| *since).min().map(time::rfc3339),
            next_try: words.next_try.map(time::rfc3339),
            last_error: words.last_error.as_ref().map(|(text, _)| text.clone()),
            last_error_at: words.last_error.as_ref().map(|(_, at)| time::rfc3339(*at)),
            restarts: 0,
            next_restart: None,
            note: words.note.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_keeps_its_beginning_and_hides_no_other() {
        let t = TaskStatus::default();
        assert!(t.retrying(Trouble::Put, &Error::retriable("a")));
        let since = t.detail().retrying_since;
        assert!(!t.retrying(Trouble::Put, &Error::retriable("b")));
        t.retrying(Trouble::Kafka, &Error::retriable("away"));
        assert_eq!((t.detail().retrying_since, t.detail().retrying), (since, Some("away; b".into())));
        assert!(t.recovered(Trouble::Kafka) && !t.recovered(Trouble::Kafka));
        assert_eq!(t.detail().retrying, Some("b".into()));
        assert!(t.recovered(Trouble::Put));
        assert_eq!((t.detail().retrying, t.detail().last_error), (None, Some("away".into())));
    }

    #[test]
    fn a_put_that_does_not_return_shows_as_stalled_and_counts_when_it_does() {
        let t = Arc::new(TaskStatus::default());
        let (now, limit) = (Instant::now(), Duration::from_secs(60));
        let putting = t.doing(Activity::Putting);
        assert_eq!(t.look(now, true, Some(limit)), None);
        assert!(matches!(t.look(now + limit * 2, true, Some(limit)), Some(Change::Stalled(_))));
        let detail = t.detail();
        assert_eq!(detail.stalled.as_deref(), Some("writing records (put)"));
        assert!(detail.stalled_since.is_some() && t.is_stalled());
        drop(putting);
        assert_eq!(t.counts.puts.seen().count, 1);
        t.written(1);
        assert_eq!(t.look(now + limit * 2, true, Some(limit)), Some(Change::GoesOn));
        assert_eq!(t.detail().stalled, None);
    }

    #[test]
    fn what_a_sink_keeps_belongs_to_its_lag_and_is_no_stall() {
        let (now, limit) = (Instant::now(), Duration::from_secs(60));
        let [p, q] = [0, 1].map(|partition| TopicPartition { topic: "t".into(), partition });
        let sink = TaskStatus::default();
        sink.keeps(vec![(q.clone(), 3)]);
        assert_eq!((sink.lag(), sink.lags()), (None, Vec::new()), "what kafka has is not known");
        sink.behind(Some(vec![(p.clone(), 2), (q.clone(), 0)]));
        assert_eq!((sink.lag(), sink.lags(), sink.undelivered()), (Some(5), vec![(p.clone(), 2), (q.clone(), 3)], 3));
        sink.behind(Some(vec![(p, 0), (q, 0)]));
        assert_eq!(sink.look(now, true, Some(limit)), None);
        sink.turn();
        assert_eq!(sink.look(now + limit * 2, true, Some(limit)), None);
        assert_eq!(sink.lag(), Some(3));
    }

    #[test]
    fn a_source_stalls_on_records_that_kafka_does_not_acknowledge_and_a_sink_on_those_it_does_not_get() {
        let (now, limit) = (Instant::now(), Duration::from_secs(60));
        let source = TaskStatus::default();
        source.polled(Duration::ZERO);
        source.read(5);
        source.settled(2);
        source.look(now, true, Some(limit));
        let Some(Change::Stalled(stall)) = source.look(now + limit * 2, true, Some(limit)) else { panic!("it stalls") };
        assert_eq!(stall.doing, "waiting for kafka to acknowledge 3 records");
        let sink = TaskStatus::default();
        sink.behind(Some(vec![(TopicPartition { topic: "t".into(), partition: 0 }, 9)]));
        assert_eq!(sink.look(now, true, None), None);
        sink.look(now, true, Some(limit));
        let Some(Change::Stalled(stall)) = sink.look(now + limit * 2, true, Some(limit)) else { panic!("it stalls") };
        assert_eq!(stall.doing, "waiting for records, of which kafka has 9");
    }

    #[test]
    fn ratios_tell_how_long_it_was_in_which_state() {
        let t = TaskStatus::default();
        let began = Instant::now() - Duration::from_secs(100);
        {
            let mut words = t.words();
            let times = &mut words.times;
            (times.began, times.since) = (began, began);
            times.enter(State::Running, began + Duration::from_secs(10));
            times.enter(State::Paused, began + Duration::from_secs(60));
        }
        let (running, paused) = t.ratios();
        assert!((running - 0.5).abs() < 0.01 && (paused - 0.4).abs() < 0.01, "{running} {paused}");
    }

    #[test]
    fn refusals_are_all_counted_and_told_now_and_then() {
        let status = TaskStatus::default();
        assert_eq!(status.refused("no JSON"), Some(("no JSON".to_owned(), 0)));
        assert_eq!((status.refused("a"), status.refused("b")), (None, None));
        assert_eq!(status.counts().errors.failures.load(Ordering::Relaxed), 3);
        status.words().refusals.0 = None;
        assert_eq!(status.refused("c"), Some(("c".to_owned(), 2)));
    }
}
