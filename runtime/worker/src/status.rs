//! States of connectors and tasks, as the REST API shows them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use connect_api::{Error, time};
use connect_rest_model as model;

use crate::{
    log_book::LogBook,
    providers::secrets::Secrets,
    storage::{
        status_log::{self, StateRecord, StatusLog},
        status_topic::StatusTopic,
    },
};

/// State of a connector or task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the names are Kafka Connect's")]
pub enum State {
    #[default]
    Unassigned,
    Running,
    Paused,
    Stopped,
    Failed,
    Restarting,
}

impl State {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unassigned => "UNASSIGNED",
            Self::Running => "RUNNING",
            Self::Paused => "PAUSED",
            Self::Stopped => "STOPPED",
            Self::Failed => "FAILED",
            Self::Restarting => "RESTARTING",
        }
    }
}

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

/// What a running task counts and says of itself; shared by its runner and the status.
#[derive(Debug)]
pub struct TaskStatus {
    records_in: AtomicU64,
    records_out: AtomicU64,
    records_bad: AtomicU64,
    /// Records that a sink has not put yet; negative when not known.
    lag: AtomicI64,
    last_record: AtomicI64,
    words: Mutex<Words>,
    secrets: Secrets,
}

impl Default for TaskStatus {
    fn default() -> Self {
        Self {
            records_in: AtomicU64::default(),
            records_out: AtomicU64::default(),
            records_bad: AtomicU64::default(),
            lag: AtomicI64::new(-1),
            last_record: AtomicI64::default(),
            words: Mutex::default(),
            secrets: Secrets::default(),
        }
    }
}

#[derive(Debug, Default)]
struct Words {
    /// Text and beginning of each.
    troubles: BTreeMap<Trouble, (String, i64)>,
    /// When the next try is.
    next_try: Option<i64>,
    /// With its time.
    last_error: Option<(String, i64)>,
}

impl TaskStatus {
    /// Counts records that were read.
    pub fn read(&self, n: usize) {
        self.records_in.fetch_add(n as u64, Ordering::Relaxed);
    }

    /// Counts records that reached their destination.
    pub fn written(&self, n: usize) {
        if n > 0 {
            self.records_out.fetch_add(n as u64, Ordering::Relaxed);
            self.last_record.store(time::now_ms(), Ordering::Relaxed);
        }
    }

    /// Says how many records a sink has still to put, where that is known.
    pub fn behind(&self, lag: Option<u64>) {
        let known = lag.and_then(|n| i64::try_from(n).ok()).unwrap_or(-1);
        self.lag.store(known, Ordering::Relaxed);
    }

    /// Counts a record that was tolerated as bad.
    pub fn bad(&self, error: &Error) {
        self.records_bad.fetch_add(1, Ordering::Relaxed);
        self.words().last_error = Some((self.text(error), time::now_ms()));
    }

    fn text(&self, error: &Error) -> String {
        self.secrets.conceal(&error.one_line()).into_owned()
    }

    fn words(&self) -> std::sync::MutexGuard<'_, Words> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
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

    fn detail(&self) -> model::TaskDetail {
        let words = self.words();
        let last = self.last_record.load(Ordering::Relaxed);
        model::TaskDetail {
            records_in: self.records_in.load(Ordering::Relaxed),
            records_out: self.records_out.load(Ordering::Relaxed),
            records_bad: self.records_bad.load(Ordering::Relaxed),
            lag: u64::try_from(self.lag.load(Ordering::Relaxed)).ok(),
            last_record: (last > 0).then(|| time::rfc3339(last)),
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
        }
    }
}

#[derive(Debug, Default)]
struct Entry {
    state: State,
    trace: Option<String>,
    generation: u64,
    detail: Option<Arc<TaskStatus>>,
    /// A task that has not said yet how it is, which statuses leave out.
    unheard: bool,
    /// How often it was restarted in a row, and when it will be next, milliseconds since 1970.
    restarts: u32,
    next_restart: Option<i64>,
}

#[derive(Debug, Default)]
struct Connector {
    own: Entry,
    kind: Option<model::ConnectorType>,
    version: Option<String>,
    tasks: BTreeMap<u32, Entry>,
}

/// The states of everything on this worker.
#[derive(Debug)]
pub struct Statuses {
    worker_id: String,
    all: Mutex<BTreeMap<String, Connector>>,
    topic: Arc<StatusTopic>,
    secrets: Secrets,
    logs: Arc<LogBook>,
}

/// A worker that is alone in its group has no use for generations; others count from one.
const GENERATION: i32 = 1;

impl Statuses {
    /// Nothing is known yet. The worker's id is its advertised `host:port`; what is set here goes to the topic, too.
    pub fn new(worker_id: String, topic: Arc<StatusTopic>) -> Self {
        Self { worker_id, all: Mutex::default(), topic, secrets: Secrets::default(), logs: Arc::default() }
    }

    /// Has the log lines of connectors kept there as long as there are the connectors.
    pub fn logging(mut self, logs: Arc<LogBook>) -> Self {
        self.logs = logs;
        self
    }

    /// The latest log lines.
    pub fn logs(&self) -> &LogBook {
        &self.logs
    }

    /// Keeps these values out of what is said of tasks.
    pub fn concealing(mut self, secrets: Secrets) -> Self {
        self.secrets = secrets;
        self
    }

    fn trace(&self, error: &Error) -> String {
        self.secrets.conceal(&error.trace()).into_owned()
    }

    fn record(&self, state: State, trace: Option<String>) -> StateRecord {
        StateRecord { state: state.name().to_owned(), trace, worker_id: self.worker_id.clone(), generation: GENERATION }
    }

    fn edit<T>(&self, work: impl FnOnce(&mut BTreeMap<String, Connector>) -> T) -> T {
        work(&mut self.all.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sets a connector's state.
    pub fn connector(&self, name: &str, state: State, error: Option<&Error>) {
        self.edit(|all| {
            let c = all.entry(name.to_owned()).or_default();
            c.own.state = state;
            c.own.trace = error.map(|e| self.trace(e));
            // Within the lock, so that the topic sees changes in the same order.
            self.topic.put(status_log::connector(name, Some(&self.record(state, c.own.trace.clone()))));
        });
    }

    /// Sets a connector's kind and the version of its plugin.
    pub fn describe(&self, name: &str, kind: model::ConnectorType, version: &str) {
        self.logs.open(name);
        self.edit(|all| {
            let c = all.entry(name.to_owned()).or_default();
            (c.kind, c.version) = (Some(kind), Some(version.to_owned()));
        });
    }

    /// Adds or replaces a task and hands out its counters; the generation tells its later writes from those
    /// of a task that was given up. It shows once it has a state; one that is started again shows the one before.
    pub fn new_task(&self, name: &str, task: u32, generation: u64) -> Arc<TaskStatus> {
        let counters = Arc::new(TaskStatus { secrets: self.secrets.clone(), ..TaskStatus::default() });
        self.edit(|all| {
            let c = all.entry(name.to_owned()).or_default();
            let before = c.tasks.remove(&task).unwrap_or(Entry { unheard: true, ..Entry::default() });
            let entry = Entry {
                state: before.state,
                unheard: before.unheard,
                restarts: before.restarts,
                generation,
                detail: Some(counters.clone()),
                ..Entry::default()
            };
            c.tasks.insert(task, entry);
        });
        counters
    }

    /// Says that tasks have been stopped and will be started again.
    pub fn restarting(&self, name: &str, tasks: &[u32]) {
        self.edit(|all| {
            let Some(c) = all.get_mut(name) else { return };
            for (id, entry) in c.tasks.iter_mut().filter(|(id, _)| tasks.contains(id)) {
                (entry.state, entry.trace) = (State::Restarting, None);
                self.topic.put(status_log::task(name, *id, Some(&self.record(entry.state, None))));
            }
        });
    }

    /// Sets a task's state, unless a newer generation of the task exists.
    pub fn task(&self, name: &str, task: u32, generation: u64, state: State, error: Option<&Error>) {
        self.edit(|all| {
            let Some(entry) = all.get_mut(name).and_then(|c| c.tasks.get_mut(&task)) else { return };
            if entry.generation == generation {
                entry.state = state;
                entry.unheard = false;
                entry.trace = error.map(|e| self.trace(e));
                self.topic.put(status_log::task(name, task, Some(&self.record(state, entry.trace.clone()))));
            }
        });
    }

    /// Says how often a connector, or one of its tasks, was restarted in a row because it had failed, and in which time
    /// it will be again.
    pub fn restarts(&self, name: &str, task: Option<u32>, count: u32, next: Option<Duration>) {
        self.edit(|all| {
            let Some(c) = all.get_mut(name) else { return };
            let entry = match task {
                Some(id) => c.tasks.get_mut(&id),
                None => Some(&mut c.own),
            };
            if let Some(entry) = entry {
                entry.restarts = count;
                let ms = |pause: Duration| i64::try_from(pause.as_millis()).unwrap_or(i64::MAX / 2);
                entry.next_restart = next.map(|pause| time::now_ms() + ms(pause));
            }
        });
    }

    /// State of a task.
    pub fn task_state(&self, name: &str, task: u32) -> Option<State> {
        self.edit(|all| all.get(name)?.tasks.get(&task).map(|e| e.state))
    }

    /// State of a connector.
    pub fn connector_state(&self, name: &str) -> Option<State> {
        self.edit(|all| all.get(name).map(|c| c.own.state))
    }

    /// Removes tasks with this number and above.
    pub fn truncate_tasks(&self, name: &str, count: u32) {
        self.edit(|all| {
            if let Some(c) = all.get_mut(name) {
                for (id, _) in c.tasks.split_off(&count) {
                    self.topic.put(status_log::task(name, id, None));
                }
            }
        });
    }

    /// Forgets what the topic says of connectors and tasks that are not among these (name and number of tasks).
    pub fn forget_others(&self, said: &StatusLog, known: &BTreeMap<String, u32>) {
        for (name, id) in said.tasks().filter(|(name, id)| known.get(*name).is_none_or(|count| id >= count)) {
            self.topic.put(status_log::task(name, id, None));
        }
        for name in said.connectors().filter(|name| !known.contains_key(*name)) {
            self.topic.put(status_log::connector(name, None));
        }
    }

    /// Removes a connector.
    pub fn remove(&self, name: &str) {
        self.edit(|all| {
            for id in all.remove(name).into_iter().flat_map(|c| c.tasks.into_keys()) {
                self.topic.put(status_log::task(name, id, None));
            }
            self.topic.put(status_log::connector(name, None));
        });
        self.logs.close(name);
    }

    /// The body of `GET /connectors/C/status`.
    pub fn status(&self, name: &str) -> Option<model::ConnectorStatus> {
        let worker_id = &self.worker_id;
        self.edit(|all| {
            let c = all.get(name)?;
            let tasks = c.tasks.iter().filter(|(_, e)| !e.unheard).map(|(id, e)| model::TaskState {
                id: *id,
                state: e.state.name().to_owned(),
                worker_id: worker_id.clone(),
                version: c.version.clone(),
                trace: e.trace.clone(),
                detail: e.detail.as_ref().map(|d| model::TaskDetail {
                    restarts: e.restarts,
                    next_restart: e.next_restart.map(time::rfc3339),
                    ..d.detail()
                }),
            });
            Some(model::ConnectorStatus {
                name: name.to_owned(),
                tasks: tasks.collect(),
                connector: model::ConnectorState {
                    state: c.own.state.name().to_owned(),
                    worker_id: worker_id.clone(),
                    version: c.version.clone(),
                    trace: c.own.trace.clone(),
                    detail: (c.own.restarts > 0).then(|| model::ConnectorDetail {
                        restarts: c.own.restarts,
                        next_restart: c.own.next_restart.map(time::rfc3339),
                    }),
                },
                kind: c.kind.unwrap_or(model::ConnectorType::Unknown),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_was_given_up_cannot_write_over_its_successor() {
        let s = Statuses::new("h:1".into(), Arc::default());
        s.new_task("c", 0, 1);
        s.new_task("c", 0, 2);
        s.task("c", 0, 2, State::Running, None);
        s.task("c", 0, 1, State::Failed, Some(&Error::fatal("late")));
        assert_eq!(s.task_state("c", 0), Some(State::Running));
    }

    #[test]
    fn what_config_providers_gave_is_not_said() {
        let secrets = Secrets::default();
        secrets.add("s3cret-s3cret", "${e:P}");
        let s = Statuses::new("h:1".into(), Arc::default()).concealing(secrets);
        let counters = s.new_task("c", 0, 1);
        let e = Error::retriable("logging in").caused_by(std::io::Error::other("as s3cret-s3cret"));
        counters.retrying(Trouble::Put, &e);
        counters.bad(&e);
        s.connector("c", State::Failed, Some(&e));
        s.task("c", 0, 1, State::Failed, Some(&e));
        let said = serde_json::to_string(&s.status("c")).expect("status");
        assert_eq!((said.contains("s3cret"), said.matches("as ${e:P}").count()), (false, 6), "{said}");
    }

    #[test]
    fn a_task_shows_once_it_has_a_state_and_then_always() {
        let s = Statuses::new("h:1".into(), Arc::default());
        let shown = || s.status("c").map(|c| c.tasks.into_iter().map(|t| t.state).collect::<Vec<_>>());
        s.connector("c", State::Running, None);
        s.new_task("c", 0, 1);
        assert_eq!(shown(), Some(vec![]));
        s.task("c", 0, 1, State::Failed, Some(&Error::fatal("no")));
        assert_eq!(shown(), Some(vec!["FAILED".into()]));
        s.restarting("c", &[0, 7]);
        s.new_task("c", 0, 2);
        assert_eq!(shown(), Some(vec!["RESTARTING".into()]));
    }

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
}
