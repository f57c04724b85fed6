//! A source: from its stored offsets on, as it would write to Kafka.

use std::time::Duration;

use connect_api::{
    Check, Error, ErrorClass, Outcome, Reading, Record, RecordMeta, Role, SourceContext, SourceRecord, SourceTask,
};
use connect_kafka::{Admin, Role as Client};
use connect_rest_model::{
    ConnectorOffset,
    trial::{TestContent, TestHeader, TestRecord},
};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{
    Done, Trial,
    course::{Ended, Stage},
    late,
    preparation::{Around, Prepared, blank, is_unregistered},
};
use crate::{
    registry::TrialStart,
    tolerance::{Failure, Stage as Where},
};

/// A task that is tried may take this long to stop.
const STOP: Duration = Duration::from_secs(2);
/// Between two polls that gave nothing.
const IDLE: Duration = Duration::from_millis(10);

/// What came from a task.
enum Seen {
    Record(SourceRecord),
    Bad(SourceRecord, Error),
}

impl Trial {
    pub(super) async fn source(&self) -> Done {
        let id = format!("connector-test-{}", self.name);
        let admin = self.kafka(self.services.worker.client(Client::Producer, &self.settings, &id)).await;
        let mut prepared = self.prepare().await?;
        let Some(reading) = self.open_source(&prepared.around).await? else { return Ok(()) };
        let of = self.plugin.info.name;
        match reading {
            Reading::Impossible(why) => {
                self.course.begin(Stage::Read, of);
                self.course.end(Ended::NotChecked, Some(why));
            }
            Reading::Task(mut task) => {
                self.course.begin(Stage::Read, of);
                let (seen, failure) = self.read(&mut *task, &prepared.around).await;
                match failure {
                    Some(e) => self.course.failed(&e),
                    None => self.course.end(Ended::Passed, Some(self.came(seen.len()))),
                }
                self.course.noted();
                if !matches!(timeout(STOP, task.stop()).await, Ok(Ok(()))) {
                    tracing::debug!("the task that was tried did not stop well");
                }
                self.stopping.cancel();
                self.render(&mut prepared, seen, admin).await;
            }
        }
        Ok(())
    }

    async fn open_source(&self, around: &Around) -> super::Result<Option<Reading>> {
        let of = self.plugin.info.name;
        let TrialStart::Source(start) = self.plugin.trial else { return Ok(None) };
        self.course.begin(Stage::Connect, of);
        let started = start(self.settings.clone(), SourceContext::new(around.context.clone()));
        let started = timeout_at(self.read_end(), started).await;
        match started.unwrap_or_else(|_| Err(late("looking at the source", self.timeout)))? {
            Some(trial) => {
                self.course.checked(trial.check);
                Ok(Some(trial.reading))
            }
            None => {
                let why = format!("{of} does not take part in test calls: its tasks may do more than read");
                self.course.checked(Check::NotChecked(why.clone()));
                Ok(Some(Reading::Impossible(why)))
            }
        }
    }

    fn came(&self, count: usize) -> String {
        let waited = self.read_end().saturating_duration_since(self.began).as_secs_f32();
        match count {
            n if n >= self.records => format!("{n} records, from the stored offsets on"),
            0 => format!("nothing came within {waited} s, from the stored offsets on"),
            n => format!("{n} records came within {waited} s, from the stored offsets on"),
        }
    }

    /// Polls until there are enough records or the time is over.
    async fn read(&self, task: &mut dyn SourceTask, around: &Around) -> (Vec<Seen>, Option<Error>) {
        let mut seen: Vec<Seen> = Vec::new();
        let mut last = None;
        while seen.len() < self.records {
            let polled = timeout_at(self.read_end(), task.poll()).await;
            seen.extend(around.host.take_bad().into_iter().map(|(record, e)| Seen::Bad(record, e)));
            match polled {
                Ok(Ok(batch)) => {
                    last = None;
                    let (records, slips) = batch.into_parts();
                    for slip in slips {
                        slip.answer(Outcome::failure(Error::retriable("this was a test call; nothing is stored")));
                    }
                    if records.is_empty() {
                        sleep(IDLE).await;
                    }
                    seen.extend(records.into_iter().map(Seen::Record));
                }
                Ok(Err(e)) if e.class() == ErrorClass::Retriable => {
                    let pause = e.delay().unwrap_or(Duration::from_millis(300));
                    last = Some(e);
                    if timeout_at(self.read_end(), sleep(pause)).await.is_err() {
                        break;
                    }
                }
                Ok(Err(e)) => {
                    last = Some(e);
                    break;
                }
                Err(_) => break,
            }
        }
        seen.truncate(self.records);
        (seen, last)
    }

    async fn render(&self, prepared: &mut Prepared, seen: Vec<Seen>, admin: Option<Admin>) {
        let of = "converters and transforms";
        if seen.is_empty() {
            return self.course.skip(Stage::Render, of, "there are no records");
        }
        self.course.begin(Stage::Render, of);
        let mut topics: Vec<String> = Vec::new();
        for one in seen {
            let all = match one {
                Seen::Record(record) => self.written(prepared, record).await,
                Seen::Bad(record, error) => {
                    let class = self.plugin.info.class().to_owned();
                    let shown =
                        TestRecord { from: place(&record), ..self.contents(&prepared.around, &record.record).await };
                    vec![self.failed(shown, &Failure { stage: Where::TaskPoll, class, error })]
                }
            };
            for shown in all {
                if let Some(topic) = shown.topic.as_ref().filter(|t| shown.outcome == "shown" && !topics.contains(t)) {
                    topics.push(topic.clone());
                }
                self.course.record(shown);
            }
        }
        let missing = self.missing(admin, &topics).await;
        let text = (!missing.is_empty()).then(|| format!("not there yet in kafka: topic {}", missing.join(", ")));
        self.course.end(Ended::Passed, text);
    }

    /// Which of the topics Kafka does not have, as far as it tells in time.
    async fn missing(&self, admin: Option<Admin>, topics: &[String]) -> Vec<String> {
        let Some(admin) = admin else { return Vec::new() };
        let mut missing = Vec::new();
        for topic in topics {
            let left = self.end().saturating_duration_since(Instant::now()) / 2;
            if let Ok(Ok(None)) = timeout(left, admin.partitions(topic, left)).await {
                missing.push(topic.clone());
            }
        }
        missing
    }

    /// A record as Kafka would get it, and what transforms make of it besides.
    async fn written(&self, prepared: &mut Prepared, record: SourceRecord) -> Vec<TestRecord> {
        let from = place(&record);
        let chain = &mut prepared.pipeline.chain;
        let (made, further) = match chain.apply(record.record.clone(), &RecordMeta::default()).await {
            Ok(first) => (Ok(first), chain.further()),
            Err(failure) => (Err(failure), Vec::new()),
        };
        let mut all = Vec::with_capacity(1 + further.len());
        all.push(match made {
            Ok(Some(changed)) => {
                let shown = self.contents(&prepared.around, &changed).await;
                TestRecord { from: from.clone(), ..shown }
            }
            Ok(None) => {
                let shown = self.contents(&prepared.around, &record.record).await;
                TestRecord { from: from.clone(), outcome: "dropped".into(), error: None, remark: None, ..shown }
            }
            Err(failure) => {
                let shown = self.contents(&prepared.around, &record.record).await;
                self.failed(TestRecord { from: from.clone(), remark: None, ..shown }, &failure)
            }
        });
        for record in &further {
            all.push(TestRecord { from: from.clone(), ..self.contents(&prepared.around, record).await });
        }
        all
    }

    /// The bytes of a record's parts, or the values of those that have none.
    async fn contents(&self, around: &Around, record: &Record) -> TestRecord {
        let mut shown = TestRecord {
            topic: Some(record.topic.to_string()),
            partition: record.partition,
            timestamp: record.timestamp,
            ..blank()
        };
        let mut failures = Vec::new();
        let mut part = async |role: Role, schema: &Option<connect_api::Schema>, value: &connect_api::Value| {
            let written = around.converters.write(role, &record.topic, schema, value).await;
            match written.map_err(|e| around.converters.failure(role, e)) {
                Ok(None) => None,
                Ok(Some(bytes)) => {
                    let bytes = self.concealer.bytes(&bytes);
                    let data = self.concealer.value(value).data.filter(|_| bytes.base64.is_some());
                    Some(TestContent { data, ..bytes })
                }
                Err(failure) => {
                    failures.push(failure);
                    Some(self.concealer.value(value))
                }
            }
        };
        shown.key = part(Role::Key, &record.key_schema, &record.key).await;
        shown.value = part(Role::Value, &record.value_schema, &record.value).await;
        for h in &record.headers {
            let value = part(Role::Header, &h.schema, &h.value).await;
            shown.headers.push(TestHeader { key: h.key.to_string(), value });
        }
        if record.timestamp.is_some_and(|t| t < -1) {
            let error = Error::data(format!("Invalid record timestamp {}", record.timestamp.unwrap_or_default()));
            failures.push(around.converters.failure(Role::Value, error));
        }
        let unregistered = |f: &&Failure| around.registers && is_unregistered(f);
        if let Some(failure) = failures.iter().find(|f| !unregistered(f)) {
            return self.failed(shown, failure);
        }
        if !failures.is_empty() {
            let text = "its schema is not registered yet, which the running connector does and a test call does not: \
                        the value is shown, the bytes are not known";
            shown.remark = Some(text.to_owned());
        }
        shown
    }
}

fn place(record: &SourceRecord) -> Option<ConnectorOffset> {
    let (partition, offset) = record.source.as_ref()?;
    Some(ConnectorOffset { partition: (**partition).clone(), offset: Some(offset.clone()) })
}
