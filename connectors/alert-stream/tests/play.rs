//! The task without Kafka: rounds, batches, offsets and broken files.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use apache_avro::{Reader, Writer};
use connect_api::{
    CancellationToken, Error, ErrorClass, OffsetMap, Result, Settings, SinkRecord, SourceConnector, SourceContext,
    SourceRecord, SourceTask, State, Table, TaskContext, TaskHost, Type, Value, async_trait, config::Config,
};
use connector_alert_stream::{AlertStreamConfig, AlertStreamSource};
use tempfile::TempDir;
use tokio::time::{Instant, timeout};

const ALERT: &[u8] = include_bytes!("data/ztf-alert.avro");
/// Everything that is waited for happens within this, also on a busy machine.
const LONG: Duration = Duration::from_secs(20);

/// A worker without Kafka that knows one offset and takes reports.
#[derive(Default)]
struct Worker {
    offset: Mutex<Option<(OffsetMap, OffsetMap)>>,
    reports: Mutex<Vec<Error>>,
}

impl Worker {
    /// Commits the offset of a record that Kafka has.
    fn commit(&self, record: &SourceRecord) {
        let (partition, offset) = record.source.clone().expect("every record has an offset");
        *self.offset.lock().expect("no panic") = Some(((*partition).clone(), offset));
    }

    async fn start(self: &Arc<Self>, settings: &Settings) -> Result<Box<dyn SourceTask>> {
        let context = TaskContext::new("alerts".into(), 0, settings.clone(), CancellationToken::new(), self.clone());
        let config = AlertStreamConfig::parse(settings)?;
        AlertStreamSource::start_task(config, SourceContext::new(context)).await
    }
}

#[async_trait]
impl TaskHost for Worker {
    async fn state(&self, name: &str) -> Result<Arc<dyn State>> {
        Err(Error::fatal(format!("no state {name}")))
    }

    async fn table(&self, topic: &str) -> Result<Table> {
        Err(Error::fatal(format!("no table {topic}")))
    }

    async fn offset(&self, partition: &OffsetMap) -> Result<Option<OffsetMap>> {
        let known = self.offset.lock().expect("no panic").clone();
        Ok(known.filter(|(known, _)| known == partition).map(|(_, offset)| offset))
    }

    async fn report_source(&self, _record: SourceRecord, error: Error) -> Result<()> {
        self.reports.lock().expect("no panic").push(error);
        Ok(())
    }

    async fn report_sink(&self, _record: &SinkRecord, error: Error) -> Result<()> {
        Err(error)
    }

    fn request(&self, _request: connect_api::SinkRequest) {}
}

/// A file with so many copies of the alert.
fn copies(path: &Path, count: usize) {
    let mut reader = Reader::new(ALERT).expect("a container");
    let packet = reader.next().expect("one packet").expect("a whole packet");
    let schema = reader.writer_schema().clone();
    let mut writer = Writer::new(&schema, Vec::new()).expect("a writer");
    for _ in 0..count {
        writer.append_value(packet.clone()).expect("appended");
    }
    fs::write(path, writer.into_inner().expect("written")).expect("a file");
}

/// A folder with `a.avro` of three packets and `b.avro` of two, and settings that play it.
fn stage(more: &[(&str, &str)]) -> (TempDir, Settings) {
    let folder = tempfile::tempdir().expect("a folder");
    copies(&folder.path().join("a.avro"), 3);
    copies(&folder.path().join("b.avro"), 2);
    let mut settings = Settings::from([("topic", "ztf"), ("alert.stream.repeats", "1")]);
    settings.set("alert.stream.files", folder.path().to_string_lossy());
    settings.extend(&more.iter().copied().collect());
    (folder, settings)
}

async fn poll(task: &mut dyn SourceTask) -> Vec<SourceRecord> {
    timeout(LONG, task.poll()).await.expect("a batch in time").expect("a batch").into_parts().0
}

/// Nothing more comes for a while.
async fn is_silent(task: &mut dyn SourceTask) -> bool {
    timeout(Duration::from_millis(100), task.poll()).await.is_err()
}

fn places(records: &[SourceRecord]) -> Vec<String> {
    let place = |record: &SourceRecord| {
        let (_, offset) = record.source.as_ref().expect("an offset");
        let file = offset["file"].as_str().expect("a file");
        let name = Path::new(file).file_stem().expect("a name").to_string_lossy();
        format!("{}:{name}{}", offset["round"], offset["record"])
    };
    records.iter().map(place).collect()
}

#[tokio::test]
async fn a_round_sends_all_packets_unchanged_in_batches() {
    let (_folder, settings) = stage(&[("alert.stream.batch.size", "4")]);
    let mut task = Arc::new(Worker::default()).start(&settings).await.expect("it starts");
    let first = poll(&mut *task).await;
    assert_eq!(places(&first), ["0:a0", "0:a1", "0:a2", "0:b0"]);
    assert_eq!(places(&poll(&mut *task).await), ["0:b1"]);
    assert!(is_silent(&mut *task).await, "there is one round");
    let record = &first[0];
    assert_eq!((&*record.topic, &record.key), ("ztf", &Value::Null));
    assert_eq!(record.value_schema.as_ref().map(|s| s.kind()), Some(Type::Bytes));
    let Value::Bytes(bytes) = &record.value else { panic!("{} is not bytes", record.value) };
    assert!(ALERT.windows(bytes.len()).any(|window| window == bytes), "as in the file");
}

#[tokio::test]
async fn structs_have_one_schema_and_keys_a_field() {
    let (_folder, settings) = stage(&[("alert.stream.encoding", "struct"), ("alert.stream.key.field", "objectId")]);
    let mut task = Arc::new(Worker::default()).start(&settings).await.expect("it starts");
    let records = poll(&mut *task).await;
    assert_eq!(records.len(), 5);
    let schemas: Vec<_> = records.iter().map(|r| r.value_schema.clone().expect("a schema")).collect();
    assert!(schemas.iter().all(|schema| schema.same(&schemas[0])), "of both files");
    assert_eq!(schemas[0].name(), Some("ztf.alert"));
    assert_eq!(Some(&records[0].key), records[0].value.get("objectId"));
}

#[tokio::test]
async fn json_is_text_for_everybody_and_stamps_may_be_left_out() {
    let (_folder, settings) = stage(&[("alert.stream.encoding", "json"), ("alert.stream.stamps", "false")]);
    let mut task = Arc::new(Worker::default()).start(&settings).await.expect("it starts");
    let records = poll(&mut *task).await;
    let text = records[0].value.as_str().expect("text");
    let json: serde_json::Value = serde_json::from_str(text).expect("json");
    assert!(json["objectId"].as_str().is_some_and(|id| id.starts_with("ZTF")) && json["cutoutScience"].is_null());
    assert!(json["candidate"]["jd"].as_f64().is_some_and(|jd| jd > 2_450_000.0));
}

#[tokio::test]
async fn packets_are_written_with_the_schema_of_a_file() {
    let (folder, settings) = stage(&[]);
    let schema = folder.path().join("small.avsc");
    let small = r#"{"type":"record","name":"small","fields":[{"name":"candid","type":"long"},{"name":"objectId","type":"string"}]}"#;
    fs::write(&schema, small).expect("a file");
    let settings = settings.with("alert.stream.schema.files", schema.to_string_lossy());
    let mut task = Arc::new(Worker::default()).start(&settings).await.expect("it starts");
    let records = poll(&mut *task).await;
    let Value::Bytes(bytes) = &records[0].value else { panic!("{} is not bytes", records[0].value) };
    assert!(bytes.len() < 40, "{bytes:?}");
    // A packet that lacks a field of the schema is reported.
    fs::write(&schema, r#"{"type":"record","name":"small","fields":[{"name":"nope","type":"long"}]}"#).expect("a file");
    let worker = Arc::new(Worker::default());
    let mut task = worker.start(&settings).await.expect("it starts");
    let all_reported = async {
        while worker.reports.lock().expect("no panic").len() < 5 {
            assert!(is_silent(&mut *task).await, "there is nothing to send");
        }
    };
    timeout(LONG, all_reported).await.expect("five reports in time");
}

#[tokio::test]
async fn a_rate_spreads_a_round() {
    let (_folder, settings) = stage(&[("alert.stream.rate", "20")]);
    let mut task = Arc::new(Worker::default()).start(&settings).await.expect("it starts");
    let begun = Instant::now();
    let mut seen = 0;
    while seen < 5 {
        let batch = poll(&mut *task).await;
        assert!(batch.len() <= 2, "small batches");
        seen += batch.len();
    }
    // The last packet is the fifth, and two come together.
    assert!(begun.elapsed() >= Duration::from_millis(150), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn playing_goes_on_behind_the_last_packet_that_was_stored() {
    let (folder, settings) =
        stage(&[("alert.stream.batch.size", "1"), ("alert.stream.repeats", "2"), ("alert.stream.interval.ms", "0")]);
    let worker = Arc::new(Worker::default());
    let mut task = worker.start(&settings).await.expect("it starts");
    for _ in 0..2 {
        worker.commit(&poll(&mut *task).await[0]);
    }
    drop(task);
    // A file that comes later in the round is found, one that is gone is not missed.
    copies(&folder.path().join("c.avro"), 1);
    fs::remove_file(folder.path().join("b.avro")).expect("removed");
    let mut task = worker.start(&settings).await.expect("it starts again");
    let mut seen = Vec::new();
    for _ in 0..6 {
        let batch = poll(&mut *task).await;
        worker.commit(&batch[0]);
        seen.extend(places(&batch));
    }
    assert_eq!(seen, ["0:a2", "0:c0", "1:a0", "1:a1", "1:a2", "1:c0"]);
    drop(task);
    let mut task = worker.start(&settings).await.expect("it starts again");
    assert!(is_silent(&mut *task).await, "all rounds were played");
}

#[tokio::test]
async fn a_poll_that_is_dropped_loses_nothing() {
    let (_folder, settings) = stage(&[("alert.stream.batch.size", "1")]);
    let mut task = Arc::new(Worker::default()).start(&settings).await.expect("it starts");
    let mut seen = Vec::new();
    let begun = Instant::now();
    while seen.len() < 5 && begun.elapsed() < LONG {
        match timeout(Duration::from_micros(300), task.poll()).await {
            Ok(batch) => seen.extend(places(&batch.expect("a batch").into_parts().0)),
            Err(_) => tokio::task::yield_now().await,
        }
    }
    assert_eq!(seen, ["0:a0", "0:a1", "0:a2", "0:b0", "0:b1"]);
}

#[tokio::test]
async fn broken_files_are_reported_and_passed_over() {
    let (folder, settings) = stage(&[]);
    let whole = fs::read(folder.path().join("a.avro")).expect("read");
    fs::write(folder.path().join("a.avro"), &whole[..whole.len() - 1000]).expect("cut off");
    fs::write(folder.path().join("aa.avro"), "no avro").expect("written");
    let worker = Arc::new(Worker::default());
    let mut task = worker.start(&settings).await.expect("it starts");
    assert_eq!(places(&poll(&mut *task).await), ["0:a0", "0:a1"], "what is whole");
    assert_eq!(places(&poll(&mut *task).await), ["0:b0", "0:b1"]);
    let reports = worker.reports.lock().expect("no panic");
    assert!(reports.iter().all(|e| e.class() == ErrorClass::Data));
    let texts: Vec<&str> = reports.iter().map(Error::message).collect();
    assert!(texts[0].starts_with("reading alert packet 2 of ") && texts[0].contains("/a.avro: the file is broken"));
    assert!(texts[1].contains("/aa.avro: expected an Avro object container file"), "{texts:?}");
    assert_eq!(texts.len(), 2);
}

#[tokio::test]
async fn a_packet_without_its_key_is_reported() {
    let (_folder, settings) = stage(&[("alert.stream.key.field", "alertId")]);
    let worker = Arc::new(Worker::default());
    let mut task = worker.start(&settings).await.expect("it starts");
    let all_reported = async {
        while worker.reports.lock().expect("no panic").len() < 5 {
            assert!(is_silent(&mut *task).await, "there is nothing to send");
        }
    };
    timeout(LONG, all_reported).await.expect("five reports in time");
}

#[tokio::test]
async fn mistakes_in_the_settings_fail_the_start() {
    let worker = Arc::new(Worker::default());
    let start = |files: String| {
        let settings = Settings::from([("topic", "ztf")]).with("alert.stream.files", files);
        let worker = worker.clone();
        async move { worker.start(&settings).await.map(drop).expect_err("a mistake").one_line() }
    };
    let empty = tempfile::tempdir().expect("a folder");
    let path = empty.path().to_string_lossy().into_owned();
    let way_out = "put Avro files there or correct alert.stream.files";
    assert_eq!(start(path.clone()).await, format!("the folder {path} has no files: {way_out}"));
    assert_eq!(start(format!("{path}/*.avro")).await, format!("no file matches {path}/*.avro: {way_out}"));
    fs::write(empty.path().join("notes.txt"), "").expect("a file");
    let expected = format!("of the 1 files in the folder {path} none ends in .avro: {way_out}");
    assert_eq!(start(path.clone()).await, expected);
    let absent = start(format!("{path}/absent.avro")).await;
    assert!(absent.starts_with(&format!("looking for {path}/absent.avro: correct alert.stream.files: ")), "{absent}");
    assert!(start(String::new()).await.contains("alert.stream.files"));
}

#[tokio::test]
async fn a_waiting_task_stops_at_once() {
    let (_folder, settings) = stage(&[("alert.stream.repeats", "0")]);
    let mut task = Arc::new(Worker::default()).start(&settings).await.expect("it starts");
    assert_eq!(poll(&mut *task).await.len(), 5);
    let begun = Instant::now();
    task.stop().await.expect("it stops");
    drop(task);
    assert!(begun.elapsed() < Duration::from_secs(1));
}
