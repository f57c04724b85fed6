//! The source over HTTP, with a Kafka that stores, fails or does nothing, as the test says.
#![allow(clippy::unwrap_used, reason = "tests")]

mod alerts;
mod requests;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use connect_api::{
    CancellationToken, Error, Headers, OffsetMap, Outcome, Result, Row, Settings, SinkRecord, SourceContext,
    SourceRecord, SourceTask, State, Table, TableWriter, TaskContext, TaskHost, async_trait, config::Config,
};
use connector_alarm::{Alarm, RegisteredAlarm};
use connector_webhook_source::{WebhookSourceConfig, task::WebhookTask};
use reqwest::{Client, Response};
use serde_json::{Value as Json, json};
use tokio::{sync::watch, time::timeout};

const SOON: Duration = Duration::from_secs(10);

/// What Kafka does with records.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Stores,
    Fails,
    Hangs,
    /// The worker does not poll.
    Paused,
}

/// Kafka and the worker around it: records that are stored show in the table of their topic.
struct Kafka {
    stored: Mutex<Vec<SourceRecord>>,
    tables: Mutex<Vec<(String, Table, TableWriter)>>,
    mode: watch::Sender<Mode>,
    hanging: watch::Sender<usize>,
    refused: Mutex<Vec<String>>,
}

#[async_trait]
impl TaskHost for Kafka {
    async fn state(&self, _name: &str) -> Result<Arc<dyn State>> {
        Err(Error::fatal("no state in this test"))
    }

    async fn table(&self, topic: &str) -> Result<Table> {
        let mut tables = self.tables.lock().unwrap();
        if let Some((_, table, _)) = tables.iter().find(|(name, ..)| name == topic) {
            return Ok(table.clone());
        }
        let (table, writer) = Table::new();
        tables.push((topic.into(), table.clone(), writer));
        Ok(table)
    }

    async fn offset(&self, _partition: &OffsetMap) -> Result<Option<OffsetMap>> {
        Ok(None)
    }

    async fn report_source(&self, _record: SourceRecord, error: Error) -> Result<()> {
        Err(error)
    }

    async fn report_sink(&self, _record: &SinkRecord, error: Error) -> Result<()> {
        Err(error)
    }

    fn request(&self, _request: connect_api::SinkRequest) {}

    fn refused(&self, why: &str) {
        self.refused.lock().unwrap().push(why.to_owned());
    }
}

impl Kafka {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            stored: Mutex::default(),
            tables: Mutex::default(),
            mode: watch::Sender::new(Mode::Stores),
            hanging: watch::Sender::new(0),
            refused: Mutex::default(),
        })
    }

    fn store(&self, record: SourceRecord) {
        let row = (!record.value.is_null()).then(|| Row {
            schema: None,
            value: record.value.clone(),
            headers: Headers::new(),
            timestamp: record.timestamp,
        });
        self.put(&record.topic, record.key.as_str().unwrap_or_default(), row);
        self.stored.lock().unwrap().push(record);
    }

    fn put(&self, topic: &str, key: &str, row: Option<Row>) {
        if let Some((.., writer)) = self.tables.lock().unwrap().iter().find(|(name, ..)| name == topic) {
            writer.put(key, row);
        }
    }

    fn stored(&self) -> Vec<SourceRecord> {
        self.stored.lock().unwrap().clone()
    }

    async fn stored_count(&self, n: usize) {
        timeout(SOON, async {
            while self.stored().len() < n {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .expect("stored in time");
    }
}

/// A running connector; dropping it stops it.
struct Running {
    kafka: Arc<Kafka>,
    url: String,
    client: Client,
    stopping: CancellationToken,
    worker: tokio::task::JoinHandle<()>,
}

async fn start(kafka: &Arc<Kafka>, more: &[(&str, &str)]) -> Running {
    let mut settings = Settings::from([("webhook.listen", "127.0.0.1:0"), ("webhook.ack.timeout.ms", "2000")]);
    settings.extend(&more.iter().copied().collect());
    let stopping = CancellationToken::new();
    let context = TaskContext::new("hooks".into(), 0, settings.clone(), stopping.clone(), kafka.clone());
    let config = WebhookSourceConfig::parse(&settings).unwrap();
    let mut task = WebhookTask::start(config, SourceContext::new(context)).await.unwrap();
    let url = format!("http://{}/hooks", task.address().unwrap());
    let (kafka2, stop) = (kafka.clone(), stopping.clone());
    let worker = tokio::spawn(async move {
        let mut mode = kafka2.mode.subscribe();
        let mut hanging = Vec::new();
        let work = async {
            loop {
                mode.wait_for(|mode| *mode != Mode::Paused).await.unwrap();
                let (records, slips) = task.poll().await.unwrap().into_parts();
                let now = *mode.borrow();
                match now {
                    Mode::Hangs => {
                        hanging.push(slips);
                        kafka2.hanging.send_modify(|n| *n += 1);
                    }
                    Mode::Fails => {
                        slips.into_iter().for_each(|slip| slip.answer(Outcome::failure(Error::retriable("down"))));
                    }
                    _ => {
                        records.into_iter().for_each(|record| kafka2.store(record));
                        for slip in slips {
                            let stored = slip.range.len();
                            slip.answer(Outcome { stored, ..Outcome::default() });
                        }
                    }
                }
            }
        };
        stop.run_until_cancelled(work).await;
        task.stop().await.unwrap();
    });
    let client = Client::builder().no_proxy().build().unwrap();
    Running { kafka: kafka.clone(), url, client, stopping, worker }
}

impl Running {
    async fn post(&self, body: &Json) -> Response {
        timeout(SOON, self.client.post(&self.url).json(body).send()).await.unwrap().unwrap()
    }

    async fn status(&self, body: &Json) -> u16 {
        self.post(body).await.status().as_u16()
    }

    async fn stop(self) {
        self.stopping.cancel();
        timeout(SOON, self.worker).await.unwrap().unwrap();
    }
}

fn notification(severity: &str, message: &str) -> Json {
    json!({"device-id": "r1", "group": "core", "keys": {"_instance_id": "i"}, "message": message, "rule": "temp",
        "severity": severity, "topic": "chassis", "trigger": "hot"})
}

const NAME: &str = "core/r1/chassis/temp/hot/_instance_id=i";
const HEALTHBOT: (&str, &str) = ("webhook.format", "healthbot");
const JSON: (&str, &str) = ("webhook.format", "json");

const FIRING: &str = include_str!("../data/alertmanager-firing.json");
const RESOLVED: &str = include_str!("../data/alertmanager-resolved.json");

fn parsed(text: &str) -> Json {
    serde_json::from_str(text).unwrap()
}
