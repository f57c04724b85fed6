//! A sink: the newest records of its topics, and what it would send for each.

use connect_api::{Check, Error, Rendering, Result, SinkContext, SinkRecord, SinkTrial, config::Config as _};
use connect_kafka::{Admin, RawRecord, Role, newest};
use connect_rest_model::{
    ConnectorOffset,
    trial::{TestContent, TestHeader, TestRecord, TestRequest},
};
use serde_json::{Map, json};
use tokio::time::{Instant, timeout_at};

use super::{
    Done, Trial,
    course::{Ended, Stage},
    late,
    preparation::{Around, Prepared, blank},
};
use crate::{
    framework::SinkOnlyConfig,
    registry::TrialStart,
    tolerance::{Failure, SINK_TASK, Stage as Where},
};

type Sink = Option<Box<dyn SinkTrial>>;

impl Trial {
    pub(super) async fn sink(&self) -> Done {
        let id = format!("connector-test-{}", self.name);
        let client = self.services.worker.client(Role::Consumer, &self.settings, &id);
        let admin = self.kafka(client.clone()).await;
        let mut prepared = self.prepare().await?;
        // Kafka's records are worth seeing also when the other side is away.
        let mut sink = self.open_sink(&prepared.around).await;
        let of = "kafka";
        let Some(admin) = admin else {
            self.course.skip(Stage::Read, of, "kafka cannot be reached");
            return Ok(());
        };
        self.course.begin(Stage::Read, of);
        let topics = self.topics(&admin).await?;
        let left = self.read_end().saturating_duration_since(Instant::now());
        let found = newest(&client?, &topics, self.records, left).await?;
        match (&found.missing[..], found.records.len()) {
            ([], n) if found.cut_short => {
                self.course.end(Ended::Partly, Some(format!("the time was over when {n} records had been read")));
            }
            ([], 0) => self.course.end(Ended::Passed, Some(format!("no records in {}", topics.join(", ")))),
            ([], n) => self.course.end(Ended::Passed, Some(format!("the newest {n} of {}", topics.join(", ")))),
            (missing, _) => {
                let text = format!("kafka has no topic {}: create it, or correct topics", missing.join(", "));
                self.course.end(Ended::Failed, Some(text));
            }
        }
        self.show(&mut prepared, &mut sink, &found.records).await;
        Ok(())
    }

    async fn open_sink(&self, around: &Around) -> Sink {
        let of = self.plugin.info.name;
        let TrialStart::Sink(start) = self.plugin.trial else { return None };
        self.course.begin(Stage::Connect, of);
        let made = timeout_at(self.read_end(), start(self.settings.clone(), SinkContext::new(around.context.clone())));
        let mut sink = match made.await.unwrap_or_else(|_| Err(late("looking at the sink", self.timeout))) {
            Ok(Some(sink)) => sink,
            Ok(None) => {
                let why = format!("{of} does not take part in test calls: its tasks may do more than look");
                self.course.checked(Check::NotChecked(why));
                return None;
            }
            Err(e) => {
                self.course.failed(&e);
                return None;
            }
        };
        match tokio::time::timeout(self.look(), sink.check()).await {
            Ok(Ok(check)) => self.course.checked(check),
            Ok(Err(e)) => self.course.failed(&e),
            Err(_) => self.course.failed(&late("looking at the other side", self.look())),
        }
        Some(sink)
    }

    /// The topics that the sink reads.
    async fn topics(&self, admin: &Admin) -> Result<Vec<String>> {
        let sink = SinkOnlyConfig::parse(&self.settings)?;
        if sink.topics_regex.is_empty() {
            return Ok(sink.topics);
        }
        let regex = regex::Regex::new(&format!("^(?:{})$", sink.topics_regex));
        let regex = regex.map_err(|e| Error::fatal("reading topics.regex").caused_by(e))?;
        let mut topics = admin.topics(self.look()).await?;
        // Internal topics are not consumed by pattern.
        topics.retain(|t| regex.is_match(t) && !t.starts_with("__"));
        topics.sort();
        if topics.is_empty() {
            return Err(Error::fatal(format!("kafka has no topic that topics.regex {} matches", sink.topics_regex)));
        }
        Ok(topics)
    }

    async fn show(&self, prepared: &mut Prepared, sink: &mut Sink, records: &[RawRecord]) {
        let of = self.plugin.info.name;
        if records.is_empty() {
            return self.course.skip(Stage::Render, of, "there are no records");
        }
        self.course.begin(Stage::Render, of);
        for raw in records {
            let shown = self.rendered(prepared, sink, raw).await;
            self.course.record(shown);
        }
        match sink {
            Some(_) => self.course.end(Ended::Passed, None),
            None => {
                let text = "records are shown as the sink would get them; what it makes of them is not known";
                self.course.end(Ended::NotChecked, Some(text.into()));
            }
        }
    }

    async fn rendered(&self, prepared: &mut Prepared, sink: &mut Sink, raw: &RawRecord) -> TestRecord {
        let map = |fields: [(&str, serde_json::Value); 2]| Map::from_iter(fields.map(|(k, v)| (k.to_owned(), v)));
        let from = ConnectorOffset {
            partition: map([("kafka_topic", json!(&*raw.topic)), ("kafka_partition", json!(raw.partition))]),
            offset: Some(Map::from_iter([("kafka_offset".to_owned(), json!(raw.offset))])),
        };
        let read = TestRecord { from: Some(from), timestamp: raw.timestamp, ..blank() };
        let content = |bytes: &Option<connect_api::Bytes>| bytes.as_ref().map(|b| self.concealer.bytes(b));
        let as_read = || TestRecord {
            topic: Some(raw.topic.to_string()),
            partition: Some(raw.partition),
            key: content(&raw.key),
            value: content(&raw.value),
            ..read.clone()
        };
        let record = match prepared.pipeline.try_decode(raw).await {
            Ok(Some(record)) => record,
            Ok(None) => return TestRecord { outcome: "dropped".into(), ..as_read() },
            Err(failure) => return self.failed(as_read(), &failure),
        };
        let shown = self.decoded(read, &record);
        let Some(sink) = sink else { return shown };
        match sink.render(&record) {
            Ok(Rendering::Sent(request)) => {
                let headers = request.headers.into_iter().map(|(k, v)| (k, v.into())).collect();
                let body = request.body.map(|b| self.concealer.cut(&b).0);
                TestRecord { sends: Some(TestRequest { to: request.to, headers, body }), ..shown }
            }
            Ok(Rendering::Nothing(why)) => TestRecord { remark: Some(format!("nothing is sent: {why}")), ..shown },
            Err(error) => self.failed(shown, &Failure { stage: Where::TaskPut, class: SINK_TASK.to_owned(), error }),
        }
    }

    fn decoded(&self, read: TestRecord, record: &SinkRecord) -> TestRecord {
        let content = |value: &connect_api::Value| -> Option<TestContent> {
            (!value.is_null()).then(|| self.concealer.value(value))
        };
        let headers = record.headers.iter();
        TestRecord {
            topic: Some(record.topic.to_string()),
            partition: record.partition,
            timestamp: record.timestamp,
            key: content(&record.key),
            value: content(&record.value),
            headers: headers.map(|h| TestHeader { key: h.key.to_string(), value: content(&h.value) }).collect(),
            ..read
        }
    }
}
