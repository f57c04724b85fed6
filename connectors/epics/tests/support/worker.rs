//! A worker without Kafka: tables that tests write, offsets and reports that they read.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use connect_api::{
    Bytes, CancellationToken, Error, Feed, FeedEvent, OffsetMap, Result, Row, Settings, SinkRecord, SourceContext,
    SourceRecord, SourceTask, State, Table, TableWriter, TaskContext, TaskHost, async_trait, config::Config,
};
use connector_alarm::{Alarm, AlarmConfig, Change, Writer, engine::NamedChange};
use tokio::{sync::mpsc, time::timeout};

use super::LONG;

#[derive(Default)]
pub struct Worker {
    tables: Mutex<HashMap<String, (Table, TableWriter)>>,
    pub reports: Mutex<Vec<Error>>,
    note: Mutex<Option<String>>,
    commands: Mutex<Commands>,
}

#[derive(Default)]
struct Commands {
    all: Vec<(Arc<str>, Option<Bytes>)>,
    feeds: Vec<mpsc::Sender<FeedEvent>>,
}

impl Worker {
    pub fn new() -> Arc<Worker> {
        Arc::default()
    }

    pub fn context(self: &Arc<Self>, settings: &Settings) -> SourceContext {
        let stopping = CancellationToken::new();
        SourceContext::new(TaskContext::new("epics".into(), 0, settings.clone(), stopping, self.clone()))
    }

    /// Does to the tables what the record does in its topic.
    pub fn store(&self, record: &SourceRecord) {
        let row = Row {
            schema: record.value_schema.clone(),
            value: record.value.clone(),
            headers: record.headers.clone(),
            timestamp: record.timestamp,
        };
        let row = (!record.value.is_null()).then_some(row);
        self.with_table(&record.topic, |_, writer| writer.put(record.key.as_str().expect("a text key"), row));
    }

    /// Writes an alarm as somebody else.
    pub fn write(&self, name: &str, change: &Change) {
        let config = AlarmConfig::parse(&Settings::from([("user", "operator")])).expect("valid settings");
        let change = NamedChange { name: name.into(), change: change.clone(), before: None };
        for record in Writer::new(&config, "test".into()).records(&change, None) {
            self.store(&SourceRecord { record, source: None });
        }
    }

    /// Puts a command into its topic, or a tombstone.
    pub fn command(&self, topic: &str, channel: &str, value: Option<&str>) {
        let key = format!(r#"{{"topic":"{topic}","channel":"{channel}"}}"#);
        let record = (Arc::from(key), value.map(|value| value.to_owned().into()));
        let mut commands = self.commands.lock().expect("no test thread has panicked");
        for feed in &commands.feeds {
            // A task that has ended wants no more.
            let _ = feed.try_send(FeedEvent::Records(vec![record.clone()]));
        }
        commands.all.push(record);
    }

    /// What the task says of itself.
    pub fn note(&self) -> String {
        self.note.lock().expect("no test thread has panicked").clone().unwrap_or_default()
    }

    pub fn alarm(&self, name: &str) -> Option<Alarm> {
        self.with_table("active-alarms", |table, _| table.get(name)).map(|row| Alarm::from_value(&row.value))
    }

    fn with_table<T>(&self, topic: &str, work: impl FnOnce(&Table, &TableWriter) -> T) -> T {
        let mut tables = self.tables.lock().expect("no test thread has panicked");
        let (table, writer) = tables.entry(topic.to_owned()).or_insert_with(Table::new);
        work(table, writer)
    }
}

#[async_trait]
impl TaskHost for Worker {
    async fn state(&self, name: &str) -> Result<Arc<dyn State>> {
        Err(Error::fatal(format!("no state {name}")))
    }

    async fn table(&self, topic: &str) -> Result<Table> {
        Ok(self.with_table(topic, |table, _| table.clone()))
    }

    async fn feed(&self, _topic: &str, _client: &Settings) -> Result<Feed> {
        let mut commands = self.commands.lock().expect("no test thread has panicked");
        let (feed, sender) = Feed::new(100);
        for event in [FeedEvent::Records(commands.all.clone()), FeedEvent::CaughtUp] {
            sender.try_send(event).expect("room");
        }
        commands.feeds.push(sender);
        Ok(feed)
    }

    async fn offset(&self, _partition: &OffsetMap) -> Result<Option<OffsetMap>> {
        Ok(None)
    }

    async fn report_source(&self, _record: SourceRecord, error: Error) -> Result<()> {
        self.reports.lock().expect("no test thread has panicked").push(error);
        Ok(())
    }

    async fn report_sink(&self, _record: &SinkRecord, error: Error) -> Result<()> {
        Err(error)
    }

    fn request(&self, _request: connect_api::SinkRequest) {}

    fn note(&self, text: Option<String>) {
        *self.note.lock().expect("no test thread has panicked") = text;
    }
}

/// Polls until so many records are there.
pub async fn poll(task: &mut dyn SourceTask, count: usize) -> Vec<SourceRecord> {
    let mut records = Vec::new();
    while records.len() < count {
        let batch = timeout(LONG, task.poll()).await.unwrap_or_else(|_| panic!("{count} records, not {records:?}"));
        records.extend(batch.expect("a batch").into_parts().0);
    }
    records
}
