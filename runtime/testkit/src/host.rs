//! The worker's side of a task, in memory.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use connect_api::{
    CancellationToken, Error, Expositions, MeterValue, Meters, OffsetMap, Result, Row, Settings, SinkContext,
    SinkRecord, SinkRequest, SourceContext, SourceRecord, State, Table, TableWriter, TaskContext, TaskHost, Topic,
    TopicPartition,
};

/// Offsets, tables and state in memory; takes reports of bad records as `errors.tolerance=all` does, unless
/// [`Host::intolerant`] was called.
#[derive(Default)]
pub struct Host {
    offsets: Mutex<BTreeMap<String, OffsetMap>>,
    tables: Mutex<BTreeMap<String, (Table, TableWriter)>>,
    /// Whether topics exist of which it was said.
    topics: Mutex<BTreeMap<String, Arc<AtomicBool>>>,
    states: Mutex<BTreeMap<String, Arc<Memory>>>,
    reports: Mutex<Vec<(Option<i64>, Error)>>,
    intolerant: Mutex<bool>,
    requests: Mutex<Vec<SinkRequest>>,
    rejected: Mutex<Vec<SourceRecord>>,
    note: Mutex<Option<String>>,
    closers: Mutex<Vec<Box<dyn FnOnce() + Send>>>,
    undelivered: Mutex<Vec<(TopicPartition, u64)>>,
    topic_ids: Mutex<BTreeMap<Topic, Arc<str>>>,
    meters: Meters,
    expositions: Expositions,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn key(partition: &OffsetMap) -> String {
    serde_json::Value::Object(partition.clone()).to_string()
}

impl Host {
    /// An empty host.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// From now on a report of a bad record is an error, as with `errors.tolerance=none`.
    pub fn intolerant(&self) {
        *lock(&self.intolerant) = true;
    }

    /// Commits an offset.
    pub fn commit(&self, partition: &OffsetMap, offset: OffsetMap) {
        lock(&self.offsets).insert(key(partition), offset);
    }

    /// The offset committed for a partition.
    pub fn committed(&self, partition: &OffsetMap) -> Option<OffsetMap> {
        lock(&self.offsets).get(&key(partition)).cloned()
    }

    /// Says whether a topic exists that is followed as a table; others do. To be said first before it is followed.
    pub fn topic(&self, topic: &str, exists: bool) {
        lock(&self.topics).entry(topic.to_owned()).or_default().store(exists, Ordering::Release);
    }

    fn new_table(&self, topic: &str) -> (Table, TableWriter) {
        lock(&self.topics).get(topic).map_or_else(Table::new, |exists| Table::of_topic(exists.clone()))
    }

    /// Sets or removes a row of the table that follows a topic.
    pub fn row(&self, topic: &str, key: &str, row: Option<Row>) {
        lock(&self.tables).entry(topic.to_owned()).or_insert_with(|| self.new_table(topic)).1.put(key, row);
    }

    /// Offset (of sink records) and error of each reported record, in order.
    pub fn reported(&self) -> Vec<(Option<i64>, Error)> {
        lock(&self.reports).clone()
    }

    /// Makes a topic that has this id; one of the same name is gone.
    pub fn topic_id(&self, name: &str, id: &str) {
        lock(&self.topic_ids).insert(name.into(), id.into());
    }

    /// What a source task reported as no proper record, in order.
    pub fn rejected(&self) -> Vec<SourceRecord> {
        lock(&self.rejected).clone()
    }

    /// What the task says of itself.
    pub fn noted(&self) -> Option<String> {
        lock(&self.note).clone()
    }

    /// How many records the task says that it keeps to deliver them later.
    pub fn undelivered(&self) -> u64 {
        lock(&self.undelivered).iter().map(|(_, n)| n).sum()
    }

    /// The sum of the task's counts of this name, whatever their labels.
    pub fn counted(&self, name: &str) -> u64 {
        let value = |value: &MeterValue| if let MeterValue::Counter(counter) = value { counter.value() } else { 0 };
        self.meters.all().iter().filter(|meter| meter.name == name).map(|meter| value(&meter.value)).sum()
    }

    /// Gives the task up, as one that does not stop in time.
    pub fn give_up(&self) {
        let closers = std::mem::take(&mut *lock(&self.closers));
        closers.into_iter().for_each(|close| close());
    }

    /// What connectors show by their settings.
    pub fn shown(&self) -> Expositions {
        self.expositions.clone()
    }

    /// What a sink task asked of its consumer, in order.
    pub fn requests(&self) -> Vec<SinkRequest> {
        lock(&self.requests).clone()
    }

    fn context(self: &Arc<Self>, settings: &Settings) -> (TaskContext, CancellationToken) {
        let stopping = CancellationToken::new();
        (TaskContext::new("test".into(), 0, settings.clone(), stopping.clone(), self.clone()), stopping)
    }

    /// What a source task is started with; the token is cancelled to stop it.
    pub fn source(self: &Arc<Self>, settings: &Settings) -> (SourceContext, CancellationToken) {
        let (task, stopping) = self.context(settings);
        (SourceContext::new(task), stopping)
    }

    /// What a sink task is started with; the token is cancelled to stop it.
    pub fn sink(self: &Arc<Self>, settings: &Settings) -> (SinkContext, CancellationToken) {
        let (task, stopping) = self.context(settings);
        (SinkContext::new(task), stopping)
    }

    fn report(&self, offset: Option<i64>, error: Error) -> Result<()> {
        lock(&self.reports).push((offset, error.clone()));
        if *lock(&self.intolerant) { Err(error) } else { Ok(()) }
    }
}

#[async_trait]
impl TaskHost for Host {
    async fn state(&self, name: &str) -> Result<Arc<dyn State>> {
        Ok(lock(&self.states).entry(name.to_owned()).or_default().clone())
    }

    async fn table(&self, topic: &str) -> Result<Table> {
        Ok(lock(&self.tables).entry(topic.to_owned()).or_insert_with(|| self.new_table(topic)).0.clone())
    }

    async fn offset(&self, partition: &OffsetMap) -> Result<Option<OffsetMap>> {
        Ok(self.committed(partition))
    }

    async fn offsets(&self) -> Result<Vec<(OffsetMap, OffsetMap)>> {
        let all = lock(&self.offsets);
        let read = |key: &str| serde_json::from_str(key).map_err(|e| Error::fatal("reading a partition").caused_by(e));
        all.iter().map(|(partition, offset)| Ok((read(partition)?, offset.clone()))).collect()
    }

    async fn report_source(&self, record: SourceRecord, error: Error) -> Result<()> {
        lock(&self.rejected).push(record);
        self.report(None, error)
    }

    async fn report_sink(&self, record: &SinkRecord, error: Error) -> Result<()> {
        self.report(Some(record.origin.offset), error)
    }

    fn request(&self, request: SinkRequest) {
        lock(&self.requests).push(request);
    }

    fn note(&self, text: Option<String>) {
        *lock(&self.note) = text;
    }

    fn on_given_up(&self, close: Box<dyn FnOnce() + Send>) {
        lock(&self.closers).push(close);
    }

    fn undelivered(&self, records: Vec<(TopicPartition, u64)>) {
        *lock(&self.undelivered) = records;
    }

    async fn topic_ids(&self, topics: &[Topic]) -> Result<BTreeMap<Topic, Arc<str>>> {
        let known = lock(&self.topic_ids);
        Ok(topics.iter().filter_map(|topic| Some((topic.clone(), known.get(topic)?.clone()))).collect())
    }

    fn meters(&self) -> Meters {
        self.meters.clone()
    }

    fn expositions(&self) -> Expositions {
        self.expositions.clone()
    }
}

/// Keyed state in memory.
#[derive(Default)]
struct Memory(Mutex<BTreeMap<String, Bytes>>);

#[async_trait]
impl State for Memory {
    fn get(&self, key: &str) -> Option<Bytes> {
        lock(&self.0).get(key).cloned()
    }

    fn entries(&self) -> Vec<(Arc<str>, Bytes)> {
        lock(&self.0).iter().map(|(k, v)| (Arc::from(k.as_str()), v.clone())).collect()
    }

    async fn put(&self, key: &str, value: Option<Bytes>) -> Result<()> {
        let mut all = lock(&self.0);
        match value {
            Some(value) => drop(all.insert(key.to_owned(), value)),
            None => drop(all.remove(key)),
        }
        Ok(())
    }
}
