//! States of connectors and tasks, as the REST API shows them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use connect_api::{Error, Expositions, time};
use connect_rest_model as model;

pub use crate::task_status::{TaskStatus, Trouble};
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

#[derive(Debug, Default)]
struct Entry {
    state: State,
    trace: Option<String>,
    generation: u64,
    detail: Option<Arc<TaskStatus>>,
    /// A task that has not said yet how it is, which statuses leave out unless something holds it up.
    unheard: bool,
    /// Whether it has been started, or has failed to.
    started: bool,
    /// How often it was restarted in a row, and when it will be next, milliseconds since 1970.
    restarts: u32,
    next_restart: Option<i64>,
}

impl Entry {
    fn enter(&mut self, state: State) {
        self.state = state;
        if let Some(detail) = &self.detail {
            detail.entered(state);
        }
    }
}

/// How often something was started and failed to start.
#[derive(Debug, Default)]
pub struct Startups {
    done: AtomicU64,
    failed: AtomicU64,
}

impl Startups {
    /// Counts a start.
    pub fn count(&self, done: bool) {
        let counter = if done { &self.done } else { &self.failed };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// How many there were, and how many failed.
    pub fn seen(&self) -> (u64, u64) {
        (self.done.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }
}

/// Starts of connectors and tasks since the worker was started.
#[derive(Debug, Default)]
pub struct AllStartups {
    /// Of connectors themselves.
    pub connectors: Startups,
    /// Of tasks.
    pub tasks: Startups,
}

/// A connector as metrics show it.
#[derive(Debug, Clone)]
pub struct ConnectorView {
    /// Name.
    pub name: String,
    /// Kind.
    pub kind: model::ConnectorType,
    /// Class of the plugin.
    pub class: String,
    /// Version of the plugin.
    pub version: String,
    /// State.
    pub state: State,
    /// Tasks by number.
    pub tasks: Vec<TaskView>,
}

/// A task as metrics show it.
#[derive(Debug, Clone)]
pub struct TaskView {
    /// Number.
    pub id: u32,
    /// State.
    pub state: State,
    /// How often it was restarted in a row.
    pub restarts: u32,
    /// Its counters.
    pub status: Arc<TaskStatus>,
}

/// What a connector's notes are about. Each is told and taken back by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// The file that declares it.
    File,
    /// The settings of its tasks.
    Tasks,
}

#[derive(Debug, Default)]
struct Connector {
    own: Entry,
    kind: Option<model::ConnectorType>,
    class: String,
    version: Option<String>,
    /// What a person should know although it runs.
    notes: BTreeMap<Subject, String>,
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
    startups: AllStartups,
    expositions: Expositions,
}

/// A worker that is alone in its group has no use for generations; others count from one.
const GENERATION: i32 = 1;

impl Statuses {
    /// Nothing is known yet. The worker's id is its advertised `host:port`; what is set here goes to the topic, too.
    pub fn new(worker_id: String, topic: Arc<StatusTopic>) -> Self {
        Self {
            worker_id,
            all: Mutex::default(),
            topic,
            secrets: Secrets::default(),
            logs: Arc::default(),
            startups: AllStartups::default(),
            expositions: Expositions::reserving(crate::metrics::table::PREFIXES),
        }
    }

    /// Has the log lines of connectors kept there as long as there are the connectors.
    pub fn logging(mut self, logs: Arc<LogBook>) -> Self {
        self.logs = logs;
        self
    }

    /// The worker's id.
    pub fn worker_id(&self) -> &str {
        &self.worker_id
    }

    /// Starts of connectors and tasks.
    pub fn startups(&self) -> &AllStartups {
        &self.startups
    }

    /// Metrics that connectors show by their settings.
    pub fn expositions(&self) -> &Expositions {
        &self.expositions
    }

    /// All connectors with their tasks and counters.
    pub fn view(&self) -> Vec<ConnectorView> {
        let task = |(id, e): (&u32, &Entry)| {
            let status = e.detail.clone()?;
            Some(TaskView { id: *id, state: e.state, restarts: e.restarts, status })
        };
        self.edit(|all| {
            let view = |(name, c): (&String, &Connector)| ConnectorView {
                name: name.clone(),
                kind: c.kind.unwrap_or(model::ConnectorType::Unknown),
                class: c.class.clone(),
                version: c.version.clone().unwrap_or_default(),
                state: c.own.state,
                tasks: c.tasks.iter().filter_map(task).collect(),
            };
            all.iter().map(view).collect()
        })
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

    fn record(&self, state: State, trace: Option<String>, version: Option<&str>) -> StateRecord {
        StateRecord {
            state: state.name().to_owned(),
            trace,
            worker_id: self.worker_id.clone(),
            generation: GENERATION,
            version: version.map(str::to_owned),
        }
    }

    fn edit<T>(&self, work: impl FnOnce(&mut BTreeMap<String, Connector>) -> T) -> T {
        work(&mut self.all.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sets a connector's state.
    pub fn connector(&self, name: &str, state: State, error: Option<&Error>) {
        self.edit(|all| {
            let c = all.entry(name.to_owned()).or_default();
            if c.own.state != state && matches!(state, State::Running | State::Paused | State::Stopped) {
                tracing::info!("the connector is {}", state.name());
            }
            c.own.state = state;
            c.own.trace = error.map(|e| self.trace(e));
            // Within the lock, so that the topic sees changes in the same order.
            let record = self.record(state, c.own.trace.clone(), c.version.as_deref());
            self.topic.put(status_log::connector(name, Some(&record)));
        });
    }

    /// Sets a connector's kind, and class and version of its plugin.
    pub fn describe(&self, name: &str, kind: model::ConnectorType, class: &str, version: &str) {
        self.logs.open(name);
        self.edit(|all| {
            let c = all.entry(name.to_owned()).or_default();
            (c.kind, c.version) = (Some(kind), Some(version.to_owned()));
            c.class = class.to_owned();
        });
    }

    /// Adds or replaces a task and hands out its counters; the generation tells its later writes from those
    /// of a task that was given up. It shows once it has a state; one that is started again shows the one before.
    pub fn new_task(&self, name: &str, task: u32, generation: u64) -> Arc<TaskStatus> {
        let counters = Arc::new(TaskStatus::concealing(self.secrets.clone()));
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
                entry.enter(State::Restarting);
                entry.trace = None;
                let record = self.record(entry.state, None, c.version.as_deref());
                self.topic.put(status_log::task(name, *id, Some(&record)));
            }
        });
    }

    /// Sets a task's state, unless a newer generation of the task exists.
    pub fn task(&self, name: &str, task: u32, generation: u64, state: State, error: Option<&Error>) {
        self.edit(|all| {
            let Some(c) = all.get_mut(name) else { return };
            let Some(entry) = c.tasks.get_mut(&task) else { return };
            if entry.generation == generation {
                if entry.state != state && matches!(state, State::Running | State::Paused) {
                    tracing::info!("the task is {}", state.name());
                }
                entry.enter(state);
                entry.unheard = false;
                // A task is started once in its life, or not at all.
                if !entry.started && matches!(state, State::Running | State::Failed) {
                    entry.started = true;
                    self.startups.tasks.count(state == State::Running);
                }
                entry.trace = error.map(|e| self.trace(e));
                let record = self.record(state, entry.trace.clone(), c.version.as_deref());
                self.topic.put(status_log::task(name, task, Some(&record)));
            }
        });
    }

    /// Says that a task which did not stop was given up: nothing that it says from now on counts.
    pub fn abandon(&self, name: &str, task: u32, generation: u64) {
        self.task(name, task, generation, State::Unassigned, None);
        self.edit(|all| {
            if let Some(entry) = all.get_mut(name).and_then(|c| c.tasks.get_mut(&task))
                && entry.generation == generation
            {
                // Tasks count from one.
                entry.generation = 0;
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

    /// Says, or takes back, what a person should know although the connector runs.
    pub fn note(&self, name: &str, about: Subject, text: Option<&str>) {
        self.edit(|all| {
            let Some(c) = all.get_mut(name) else { return };
            match text {
                Some(text) => drop(c.notes.insert(about, self.secrets.conceal(text).into_owned())),
                None => drop(c.notes.remove(&about)),
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
            let shown = |e: &Entry| !e.unheard || e.detail.as_ref().is_some_and(|d| d.troubled());
            let tasks = c.tasks.iter().filter(|(_, e)| shown(e)).map(|(id, e)| model::TaskState {
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
                    detail: (c.own.restarts > 0 || !c.notes.is_empty()).then(|| model::ConnectorDetail {
                        restarts: c.own.restarts,
                        next_restart: c.own.next_restart.map(time::rfc3339),
                        note: (!c.notes.is_empty())
                            .then(|| c.notes.values().map(String::as_str).collect::<Vec<_>>().join("; ")),
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
    fn notes_come_and_go_each_by_itself() {
        let s = Statuses::new("h:1".into(), Arc::default());
        s.note("c", Subject::File, Some("there is no such connector yet"));
        assert_eq!(s.status("c"), None);
        s.connector("c", State::Running, None);
        let note = || s.status("c").and_then(|c| c.connector.detail).and_then(|d| d.note);
        s.note("c", Subject::Tasks, Some("tasks"));
        s.note("c", Subject::File, Some("file"));
        assert_eq!(note().as_deref(), Some("file; tasks"));
        s.note("c", Subject::File, None);
        assert_eq!(note().as_deref(), Some("tasks"));
        s.note("c", Subject::Tasks, None);
        assert_eq!(s.status("c").and_then(|c| c.connector.detail), None);
        let task = s.new_task("c", 0, 1);
        s.task("c", 0, 1, State::Running, None);
        task.note(Some("1 of 2".into()));
        let told = s.status("c").and_then(|c| c.tasks[0].detail.clone()).and_then(|d| d.note);
        assert_eq!(told.as_deref(), Some("1 of 2"));
    }

    #[test]
    fn a_task_that_has_not_begun_shows_when_something_holds_it_up() {
        let s = Statuses::new("h:1".into(), Arc::default());
        s.connector("c", State::Running, None);
        let task = s.new_task("c", 0, 1);
        let shown = || s.status("c").map(|c| c.tasks).unwrap_or_default();
        assert_eq!(shown(), []);
        task.retrying(Trouble::Kafka, &Error::retriable("waiting"));
        assert_eq!((shown()[0].state.as_str(), shown().len()), ("UNASSIGNED", 1));
        assert_eq!(shown()[0].detail.as_ref().and_then(|d| d.retrying.as_deref()), Some("waiting"));
        task.recovered(Trouble::Kafka);
        assert_eq!(shown(), []);
    }

    #[test]
    fn a_task_that_was_given_up_cannot_write_over_its_successor() {
        let s = Statuses::new("h:1".into(), Arc::default());
        s.new_task("c", 0, 1);
        s.new_task("c", 0, 2);
        s.task("c", 0, 2, State::Running, None);
        s.task("c", 0, 1, State::Failed, Some(&Error::fatal("late")));
        assert_eq!(s.task_state("c", 0), Some(State::Running));
        s.abandon("c", 0, 1);
        assert_eq!(s.task_state("c", 0), Some(State::Running), "it has a successor");
        s.abandon("c", 0, 2);
        s.task("c", 0, 2, State::Failed, Some(&Error::fatal("late")));
        assert_eq!(s.task_state("c", 0), Some(State::Unassigned), "it has none yet");
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
        let said = || serde_json::to_string(&s.status("c")).expect("status");
        s.connector("c", State::Failed, Some(&e));
        s.task("c", 0, 1, State::Running, None);
        assert_eq!((said().contains("s3cret"), said().matches("as ${e:P}").count()), (false, 3), "{}", said());
        s.task("c", 0, 1, State::Failed, Some(&e));
        assert_eq!((said().contains("s3cret"), said().matches("as ${e:P}").count()), (false, 3), "{}", said());
        assert!(!said().contains("retrying"), "what has failed tries nothing again: {}", said());
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
}
