//! What the worker does for a running task: [`TaskHost`] over Kafka.

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use connect_api::{
    Bytes, Converter, Error, ErrorClass, Expositions, Feed, FeedEvent, Headers, Meters, OffsetMap, Result, Row,
    SchemaAndValue, Settings, SinkRecord, SinkRequest, SourceRecord, State, Table, TableWriter, TaskHost, Topic,
    TopicPartition, async_trait,
};
use connect_kafka::{ClientSettings, CompactedLog, Cut, Positions, RawRecord, Role};
use tokio::sync::{Notify, mpsc, oneshot};
use tracing::Instrument;

use crate::{
    by_content::ByContent,
    converters::{self, Converters},
    error_log,
    plugin_threads::PluginThreads,
    registry::Plugins,
    state::StateTopic,
    storage::SourceOffsets,
    task_status::{TaskStatus, Trouble},
    tolerance::{Failure, SINK_TASK, Stage, Tolerance},
    worker_config::Worker,
};

/// After that time it is said what a task waits for.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long Kafka may take to say what it knows of topics, each time and with tries that failed.
const ANSWER: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(60);
const AGAIN: Duration = Duration::from_secs(1);

/// The host of one task.
pub struct Host {
    pub(crate) connector: Arc<str>,
    pub(crate) settings: Settings,
    pub(crate) worker: Worker,
    pub(crate) offsets: SourceOffsets,
    pub(crate) state: Arc<StateTopic>,
    pub(crate) plugins: Arc<Plugins>,
    pub(crate) converters: Arc<Converters>,
    pub(crate) tolerance: Arc<Tolerance>,
    /// The records of the current `put` as Kafka had them, for dead letters.
    pub(crate) current: Mutex<Vec<RawRecord>>,
    /// What the task asked of its consumer since the runner last looked.
    pub(crate) requests: Mutex<Vec<SinkRequest>>,
    pub(crate) requested: Notify,
    pub(crate) plugin: &'static str,
    pub(crate) threads: PluginThreads,
    pub(crate) cut: Cut,
    pub(crate) status: Arc<TaskStatus>,
    pub(crate) expositions: Expositions,
}

#[async_trait]
impl TaskHost for Host {
    async fn state(&self, name: &str) -> Result<Arc<dyn State>> {
        // The topic is opened by whoever comes first and serves all.
        let (topic, connector, name, cut) =
            (self.state.clone(), self.connector.clone(), name.to_owned(), self.cut.clone());
        let doing = format!("storing state {name}");
        let opened = self.threads.home().spawn(async move { topic.state(&connector, &name, &cut).await });
        let state = opened.await.unwrap_or_else(|e| Err(Error::fatal("opening the state topic").caused_by(e)))?;
        Ok(Arc::new(ToldOf { state, doing, status: self.status.clone() }))
    }

    async fn table(&self, topic: &str) -> Result<Table> {
        let id = format!("connector-table-{}-{topic}", self.connector);
        let settings = self.worker.client(Role::Consumer, &self.settings, &id)?;
        let doing = format!("reading topic {topic}, which the task follows as a table");
        patiently(&self.status, &doing, table(&settings, topic, Reading::Converters(self.converters.clone()))).await
    }

    async fn table_by_content(&self, topic: &str) -> Result<Table> {
        let id = format!("connector-table-{}-{topic}", self.connector);
        let settings = self.worker.client(Role::Consumer, &self.settings, &id)?;
        let reader = ByContent::new(&self.plugins, &self.worker, &self.settings, self.converters.clone())?;
        let doing = format!("reading topic {topic}, which the task follows as a table");
        patiently(&self.status, &doing, table(&settings, topic, Reading::ByContent(reader))).await
    }

    async fn feed(&self, topic: &str, client: &Settings) -> Result<Feed> {
        let id = format!("connector-feed-{}-{topic}", self.connector);
        feed(&self.worker.client(Role::Consumer, &overridden(&self.settings, client), &id)?, topic)
    }

    async fn offset(&self, partition: &OffsetMap) -> Result<Option<OffsetMap>> {
        self.offsets.get(&self.connector, partition)
    }

    async fn offsets(&self) -> Result<Vec<(OffsetMap, OffsetMap)>> {
        self.offsets.list(&self.connector)
    }

    async fn report_source(&self, record: SourceRecord, error: Error) -> Result<()> {
        let raw = self.converters.raw(&record.record).await;
        let shown = self.tolerance.tells_records();
        let shown = shown.then(|| error_log::produced(&record.record, record.source.as_ref()));
        let failure = Failure { stage: Stage::TaskPoll, class: self.plugin.to_owned(), error };
        self.tolerance.decide_about(failure, Some(&raw), shown).await
    }

    async fn report_sink(&self, record: &SinkRecord, error: Error) -> Result<()> {
        let origin = &record.origin;
        let raw = {
            let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
            let same = |r: &&RawRecord| {
                r.offset == origin.offset && r.partition == origin.partition && r.topic == origin.topic
            };
            current.iter().find(same).cloned()
        };
        let raw = match raw {
            Some(raw) => raw,
            // A record that the task kept from an earlier put, or made itself.
            None => RawRecord {
                topic: origin.topic.clone(),
                partition: origin.partition,
                offset: origin.offset,
                timestamp_type: origin.timestamp_type,
                ..self.converters.raw(record).await
            },
        };
        self.tolerance.decide(Failure { stage: Stage::TaskPut, class: SINK_TASK.to_owned(), error }, Some(&raw)).await
    }

    fn request(&self, request: SinkRequest) {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        self.requested.notify_one();
    }

    fn note(&self, text: Option<String>) {
        self.status.note(text);
    }

    fn undelivered(&self, records: Vec<(TopicPartition, u64)>) {
        self.status.keeps(records);
    }

    fn kafka(&self) -> Settings {
        self.worker.java_client(Role::Consumer, &self.settings, &format!("connector-reader-{}", self.connector))
    }

    fn kafka_producer(&self) -> Settings {
        self.worker.java_client(Role::Producer, &self.settings, &format!("connector-writer-{}", self.connector))
    }

    fn on_given_up(&self, close: Box<dyn FnOnce() + Send>) {
        self.cut.on_cut(close);
    }

    async fn topic_ids(&self, topics: &[Topic]) -> Result<BTreeMap<Topic, Arc<str>>> {
        if self.worker.embedded {
            return Ok(BTreeMap::new());
        }
        // Asked for seldom, so that no client is kept for it.
        let client =
            self.worker.client(Role::Consumer, &self.settings, &format!("connector-ids-{}", self.connector))?;
        let client = Positions::new(&client)?;
        let ask = async {
            let until = Instant::now() + LONGEST;
            let mut answers = 0;
            loop {
                match client.topic_ids(topics, ANSWER).await {
                    Err(e) if e.class() == ErrorClass::Retriable && Instant::now() < until => {
                        answers += u32::from(client.topics(ANSWER).await.is_ok());
                        if answers > 1 {
                            tracing::warn!("kafka answers, but does not tell the ids of topics: {}", e.one_line());
                            return Ok(BTreeMap::new());
                        }
                        tokio::time::sleep(AGAIN).await;
                    }
                    answer => return answer,
                }
            }
        };
        let ids = patiently(&self.status, "asking for the ids of topics", ask).await;
        // It ends when its threads do, for which nobody has to wait.
        drop(tokio::task::spawn_blocking(move || drop(client)));
        ids
    }

    fn converter(&self, key: &str, role: connect_api::Role) -> Result<Box<dyn Converter>> {
        converters::converter(&self.plugins, &self.worker, &self.settings, key, role)
    }

    fn converter_settings(&self, role: connect_api::Role) -> Settings {
        converters::settings(&self.worker, &self.settings, role)
    }

    fn meters(&self) -> Meters {
        self.status.meters().clone()
    }

    fn expositions(&self) -> Expositions {
        self.expositions.clone()
    }

    fn refused(&self, why: &str) {
        match self.status.refused(why) {
            Some((why, 0)) => tracing::warn!("{why}"),
            Some((why, untold)) => tracing::warn!("{why} (and {untold} more were refused before)"),
            None => {}
        }
    }

    fn missed(&self, text: &str) {
        missed(&self.status, text);
    }
}

/// Keyed state whose task says so when storing takes long: it waits for it, and nobody else would.
struct ToldOf {
    state: Arc<dyn State>,
    doing: String,
    status: Arc<TaskStatus>,
}

#[async_trait]
impl State for ToldOf {
    fn get(&self, key: &str) -> Option<Bytes> {
        self.state.get(key)
    }

    fn entries(&self) -> Vec<(Arc<str>, Bytes)> {
        self.state.entries()
    }

    async fn put(&self, key: &str, value: Option<Bytes>) -> Result<()> {
        patiently(&self.status, &self.doing, self.state.put(key, value)).await
    }
}

/// Says in log and status that input is gone which was never read.
pub(crate) fn missed(status: &TaskStatus, text: &str) {
    let error = Error::data(text.to_owned());
    tracing::error!("{}", error.one_line());
    status.bad(&error);
}

/// The settings of a connector with further overrides of its consumers.
pub(crate) fn overridden(connector: &Settings, client: &Settings) -> Settings {
    let mut all = connector.clone();
    for (key, value) in client.iter() {
        all.set(format!("consumer.override.{key}"), value);
    }
    all
}

/// Does a part of what a task waits for before it begins to run, and says so in its status when it takes long.
pub(crate) async fn patiently<T>(status: &TaskStatus, doing: &str, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    let began = Instant::now();
    let mut told = false;
    loop {
        if let Ok(done) = tokio::time::timeout(PATIENCE, &mut work).await {
            if told && status.recovered(Trouble::Kafka) {
                tracing::info!("{doing} is done");
            }
            return done;
        }
        let e = Error::retriable(format!(
            "{doing}, has taken {} s: kafka cannot be reached, does not answer, or there is much to do",
            began.elapsed().as_secs()
        ));
        if status.retrying(Trouble::Kafka, &e) {
            tracing::warn!("{}", e.message());
        }
        told = true;
    }
}

/// Follows a topic as a table; answers when everything that it holds has been read.
pub(crate) async fn table(settings: &ClientSettings, topic: &str, reading: Reading) -> Result<Table> {
    let (log, batches) = CompactedLog::follow(settings, topic)?;
    let (table, writer) = Table::of_topic(log.exists());
    let (replayed, wait) = oneshot::channel();
    let filled = Filled { reading, writer, replayed: Some(replayed) };
    tokio::spawn(follow(log, batches, filled).in_current_span());
    // The follower ends with its last table; it cannot end before it has answered.
    wait.await.map_err(|_| Error::retriable(format!("reading topic {topic} as a table")))?;
    Ok(table)
}

/// Events of a feed that wait for the task, each a batch of Kafka's.
const EVENTS: usize = 4;

/// Follows a topic record by record.
pub(crate) fn feed(settings: &ClientSettings, topic: &str) -> Result<Feed> {
    let (log, batches) = CompactedLog::follow(settings, topic)?;
    let (feed, events) = Feed::new(EVENTS);
    tokio::spawn(follow(log, batches, events).in_current_span());
    Ok(feed)
}

/// Where the records of a topic go that is followed.
trait Destination: Send {
    /// Takes a batch.
    fn take(&mut self, batch: Vec<RawRecord>) -> impl Future<Output = ()> + Send;

    /// Takes that everything which the topic held has been given.
    fn caught_up(&mut self) -> impl Future<Output = ()> + Send;

    /// Resolves when nobody wants to know any more.
    fn closed(&self) -> impl Future<Output = ()> + Send;
}

async fn follow(log: CompactedLog, mut batches: mpsc::Receiver<Vec<RawRecord>>, mut to: impl Destination) {
    let mut ready = log.caught_up();
    let mut replayed = false;
    loop {
        tokio::select! {
            biased;
            batch = batches.recv() => match batch {
                Some(batch) => to.take(batch).await,
                None => return,
            },
            true = reached(&mut ready), if !replayed => {
                while let Ok(batch) = batches.try_recv() {
                    to.take(batch).await;
                }
                to.caught_up().await;
                replayed = true;
            }
            () = to.closed() => return,
        }
    }
}

/// Resolves when a reader has handed over everything that its topic held; `false` if it ended before.
pub(crate) async fn reached(caught_up: &mut tokio::sync::watch::Receiver<bool>) -> bool {
    caught_up.wait_for(|reached| *reached).await.is_ok()
}

/// How the records of a table are read.
pub(crate) enum Reading {
    /// With the task's converters.
    Converters(Arc<Converters>),
    /// By what they are.
    ByContent(ByContent),
}

impl Reading {
    /// The key as text, and the value.
    async fn read(&self, raw: &RawRecord) -> Result<(String, SchemaAndValue)> {
        match self {
            Self::Converters(converters) => {
                let (key, value) = converters.read_pair(raw).await?;
                Ok((key.value.to_string(), value))
            }
            Self::ByContent(reader) => reader.read(raw).await,
        }
    }
}

/// A table that is filled.
struct Filled {
    reading: Reading,
    writer: TableWriter,
    replayed: Option<oneshot::Sender<()>>,
}

impl Destination for Filled {
    async fn take(&mut self, batch: Vec<RawRecord>) {
        for raw in batch {
            // A table serves what can be read; a record of another format is no reason to stop alarms.
            match self.reading.read(&raw).await {
                Ok((key, value)) => {
                    let SchemaAndValue { schema, value } = value;
                    let timestamp = raw.timestamp;
                    let row = (!value.is_null()).then_some(Row { schema, value, headers: Headers::new(), timestamp });
                    self.writer.put(key, row);
                }
                Err(e) => passed_over("as a table", &raw, &e),
            }
        }
    }

    async fn caught_up(&mut self) {
        if let Some(replayed) = self.replayed.take() {
            // The task may have been stopped meanwhile.
            let _ = replayed.send(());
        }
    }

    async fn closed(&self) {
        self.writer.closed().await;
    }
}

impl Destination for mpsc::Sender<FeedEvent> {
    async fn take(&mut self, batch: Vec<RawRecord>) {
        let mut records = Vec::with_capacity(batch.len());
        for raw in batch {
            match key_text(&raw) {
                Ok(key) => records.push((key.into(), raw.value)),
                Err(e) => passed_over("that a task follows", &raw, &e),
            }
        }
        // Whether it is still wanted shows in `closed`, here and below.
        let _ = self.send(FeedEvent::Records(records)).await;
    }

    async fn caught_up(&mut self) {
        let _ = self.send(FeedEvent::CaughtUp).await;
    }

    async fn closed(&self) {
        mpsc::Sender::closed(self).await;
    }
}

fn key_text(raw: &RawRecord) -> Result<&str> {
    let key = raw.key.as_deref().ok_or_else(|| Error::data("it has no key"))?;
    std::str::from_utf8(key).map_err(|e| Error::data("its key is no text in UTF-8").caused_by(e))
}

fn passed_over(what: &str, raw: &RawRecord, error: &Error) {
    tracing::warn!(
        "topic {} {what}: the record at partition {} offset {} cannot be read: {}",
        raw.topic,
        raw.partition,
        raw.offset,
        error.one_line()
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Waiting(Notify);

    #[async_trait]
    impl State for Waiting {
        fn get(&self, _: &str) -> Option<Bytes> {
            None
        }

        fn entries(&self) -> Vec<(Arc<str>, Bytes)> {
            Vec::new()
        }

        async fn put(&self, _: &str, _: Option<Bytes>) -> Result<()> {
            self.0.notified().await;
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_whose_state_is_not_stored_says_so_until_it_is() {
        let (waiting, status) = (Arc::new(Waiting(Notify::new())), Arc::new(TaskStatus::default()));
        let state = ToldOf { state: waiting.clone(), doing: "storing state totals".into(), status: status.clone() };
        let put = tokio::spawn(async move { state.put("k", None).await });
        tokio::time::sleep(PATIENCE / 2).await;
        assert_eq!(status.detail().retrying, None);
        tokio::time::sleep(PATIENCE).await;
        let said = status.detail().retrying;
        assert!(said.as_ref().is_some_and(|text| text.starts_with("storing state totals, has taken")), "{said:?}");
        waiting.0.notify_one();
        put.await.expect("runs").expect("stored");
        assert_eq!(status.detail().retrying, None);
    }
}
