//! Topics that connectors use (KIP-558): those that Kafka has stored records of a source in, and those that a sink has
//! read from.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use connect_api::{Topic, time};

use crate::{
    storage::{
        status_log::{self, ActiveTopic, StatusLog},
        status_topic::StatusTopic,
    },
    worker_config::WorkerConfig,
};

/// The topics of all connectors; what is noted here goes to the status topic, too.
#[derive(Debug)]
pub struct ActiveTopics {
    tracked: bool,
    resettable: bool,
    /// By connector.
    all: Mutex<BTreeMap<String, BTreeSet<String>>>,
    /// How often topics were forgotten, so that tasks note them again.
    resets: AtomicU64,
    topic: Arc<StatusTopic>,
}

impl ActiveTopics {
    /// None yet; `topic.tracking.*` say whether there will be any.
    pub fn new(config: &WorkerConfig, topic: Arc<StatusTopic>) -> Self {
        Self {
            tracked: config.topic_tracking,
            resettable: config.topic_reset,
            all: Mutex::default(),
            resets: AtomicU64::new(0),
            topic,
        }
    }

    /// Whether topics are tracked at all.
    pub fn tracked(&self) -> bool {
        self.tracked
    }

    /// Whether people may reset them.
    pub fn resettable(&self) -> bool {
        self.resettable
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, BTreeSet<String>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes up what the status topic said.
    pub fn take_up(&self, said: &StatusLog) {
        let mut all = self.all();
        for used in said.topics() {
            all.entry(used.connector.clone()).or_default().insert(used.name.clone());
        }
    }

    /// The topics of a connector.
    pub fn of(&self, connector: &str) -> Vec<String> {
        self.all().get(connector).into_iter().flatten().cloned().collect()
    }

    /// Forgets the topics of a connector.
    pub fn reset(&self, connector: &str) {
        let mut all = self.all();
        for name in all.remove(connector).into_iter().flatten() {
            self.topic.put(status_log::forgotten(connector, &name));
        }
        self.resets.fetch_add(1, Ordering::Release);
    }

    fn note(&self, connector: &str, task: u32, topic: &str) {
        // Within the lock, so that the topic sees changes in the same order.
        let mut all = self.all();
        if all.entry(connector.to_owned()).or_default().insert(topic.to_owned()) {
            let used = ActiveTopic {
                name: topic.to_owned(),
                connector: connector.to_owned(),
                task,
                discover_timestamp: time::now_ms(),
            };
            self.topic.put(status_log::topic(&used));
        }
    }

    /// What a task notes its topics by.
    pub fn of_task(self: &Arc<Self>, connector: Arc<str>, task: u32) -> TaskTopics {
        TaskTopics { all: self.clone(), connector, task, noted: BTreeSet::new(), resets: 0 }
    }
}

/// The topics that a task has noted. Asking again for one of them costs next to nothing.
#[derive(Debug)]
pub struct TaskTopics {
    all: Arc<ActiveTopics>,
    connector: Arc<str>,
    task: u32,
    noted: BTreeSet<Topic>,
    /// How many resets there had been then.
    resets: u64,
}

impl TaskTopics {
    /// Whether the topic has not been noted since topics were reset last.
    pub fn is_new(&self, topic: &Topic) -> bool {
        let reset = || self.all.resets.load(Ordering::Acquire) != self.resets;
        self.all.tracked && (!self.noted.contains(topic) || reset())
    }

    /// Notes a topic.
    pub fn note(&mut self, topic: &Topic) {
        if !self.is_new(topic) {
            return;
        }
        let resets = self.all.resets.load(Ordering::Acquire);
        if resets != self.resets {
            self.noted.clear();
            self.resets = resets;
        }
        self.all.note(&self.connector, self.task, topic);
        self.noted.insert(topic.clone());
    }

    /// Notes the topics of records, of which neighbours mostly have the same.
    pub fn note_all<'a>(&mut self, topics: impl Iterator<Item = &'a Topic>) {
        let mut last: Option<&Topic> = None;
        for topic in topics {
            if last.is_none_or(|last| !Arc::ptr_eq(last, topic)) {
                self.note(topic);
                last = Some(topic);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use connect_api::{Settings, config::Config as _};

    fn topics(settings: &[(&'static str, &'static str)]) -> Arc<ActiveTopics> {
        let mut all = Settings::from([("key.converter", "x"), ("value.converter", "x")]);
        for (k, v) in settings {
            all.set(*k, *v);
        }
        let config = WorkerConfig::parse(&all).expect("settings");
        Arc::new(ActiveTopics::new(&config, Arc::default()))
    }

    #[test]
    fn topics_are_noted_once_and_again_after_a_reset() {
        let all = topics(&[]);
        let mut task = all.of_task("c".into(), 0);
        let (a, b): (Topic, Topic) = ("a".into(), "b".into());
        assert!(task.is_new(&a));
        task.note_all([&a, &a.clone(), &b, &a].into_iter());
        assert!(!task.is_new(&a) && !task.is_new(&b));
        assert_eq!((all.of("c"), all.of("d")), (vec!["a".into(), "b".into()], vec![]));
        all.reset("c");
        assert_eq!(all.of("c"), Vec::<String>::new());
        assert!(task.is_new(&b));
        task.note(&b);
        assert_eq!(all.of("c"), ["b"]);
        assert!(task.is_new(&a) && !task.is_new(&b));
    }

    #[test]
    fn nothing_is_noted_where_topics_are_not_tracked() {
        let all = topics(&[("topic.tracking.enable", "false"), ("topic.tracking.allow.reset", "false")]);
        assert!(!all.tracked() && !all.resettable());
        all.of_task("c".into(), 0).note(&"a".into());
        assert_eq!(all.of("c"), Vec::<String>::new());
    }

    #[test]
    fn what_the_status_topic_said_is_taken_up() {
        let mut said = StatusLog::default();
        let used = ActiveTopic { name: "t".into(), connector: "c".into(), task: 0, discover_timestamp: 7 };
        let (key, value) = status_log::topic(&used);
        said.apply(Some(&key), value.as_deref());
        let all = topics(&[]);
        all.take_up(&said);
        assert_eq!(all.of("c"), ["t"]);
    }
}
