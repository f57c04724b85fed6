//! The same connector files on both sides: what comes out of them, in Kafka's bytes and in files, where they stand
//! afterwards, and how they fail.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use connect_kafka::RawRecord;
use serde_json::{Value as Json, json};
use tocsin_tests::{kafka::Reader, sides::Side};

use crate::{
    input,
    talk::{Talk, timeless},
};

/// So many connectors run at a time.
const BATCH: usize = 12;
/// For a batch to be through with its records, however busy the machine is.
const THROUGH: Duration = Duration::from_secs(150);
/// What has changed nothing for so long is taken to be through, if it cannot be told otherwise.
const QUIET: Duration = Duration::from_secs(6);

/// A connector of the files.
struct Flow {
    name: String,
    config: Json,
    source: bool,
}

/// Runs every connector of the files; only those without `whole-only: true` in a short comparison.
pub fn run(talk: &mut Talk<'_>, reader: &Reader, folder: &Path, whole: bool) {
    talk.part = "connectors";
    input::write(talk.both, reader);
    let flows = read(folder, whole);
    if whole {
        complete(talk, &flows);
    }
    for batch in flows.chunks(BATCH) {
        together(talk, reader, batch);
    }
}

/// Notes each plugin of Kafka Connect that no connector of the files has.
fn complete(talk: &mut Talk<'_>, flows: &[Flow]) {
    let used: Vec<&str> =
        flows.iter().flat_map(|f| f.config.as_object()).flatten().filter_map(|(_, v)| v.as_str()).collect();
    let listed = talk.both[0].get("/connector-plugins?connectorsOnly=false");
    for class in listed.as_array().into_iter().flatten().filter_map(|plugin| plugin["class"].as_str()) {
        if !used.contains(&class) {
            talk.report.differ(format!("connectors: {class}"), "a plugin".into(), "no connector file has it".into());
        }
    }
}

fn read(folder: &Path, whole: bool) -> Vec<Flow> {
    let mut flows = Vec::new();
    for file in ["sources.yaml", "sinks.yaml"] {
        let path = folder.join(file);
        for document in connect_files::read(&path).unwrap_or_else(|e| panic!("{e}")) {
            let settings = connect_files::flatten(&document).unwrap_or_else(|(_, e)| panic!("{}: {e}", path.display()));
            let mut settings: BTreeMap<String, String> = settings.into_iter().collect();
            let rare = settings.remove("whole-only").is_some_and(|only| only == "true");
            let case = settings.remove("case").unwrap_or_else(|| panic!("{}: a case needs a name", path.display()));
            if whole || !rare {
                flows.push(flow(case, settings, file == "sources.yaml"));
            }
        }
    }
    flows
}

/// With what all of them have in common.
fn flow(case: String, mut settings: BTreeMap<String, String>, source: bool) -> Flow {
    let name = format!("$SIDE-{case}");
    let mut or = |key: &str, value: String| {
        settings.entry(key.to_owned()).or_insert(value);
    };
    if source {
        or("connector.class", "org.apache.kafka.connect.file.FileStreamSourceConnector".into());
        or("file", "$DIR/lines.txt".into());
        or("topic", name.clone());
    } else {
        or("connector.class", "org.apache.kafka.connect.file.FileStreamSinkConnector".into());
        or("file", format!("$DIR/{case}.out"));
    }
    Flow { config: json!(settings), name, source }
}

fn together(talk: &mut Talk<'_>, reader: &Reader, flows: &[Flow]) {
    for flow in flows {
        talk.say("PUT", &format!("/connectors/{}/config", flow.name), Some(&flow.config.to_string()));
    }
    talk.each(|side| through(side, flows));
    for flow in flows {
        compare(talk, reader, flow);
    }
    for flow in flows {
        talk.say("DELETE", &format!("/connectors/{}", flow.name), None);
    }
    talk.await_both("the connectors to go", |side| side.get("/connectors") == json!([]));
}

/// Waits until every connector has failed or stands at the end of its input, or nothing moves any more.
fn through(side: &Side, flows: &[Flow]) {
    let deadline = Instant::now() + THROUGH;
    let mut left: Vec<(&Flow, Json, Instant)> = flows.iter().map(|f| (f, Json::Null, Instant::now())).collect();
    while !left.is_empty() && Instant::now() < deadline {
        left.retain_mut(|(flow, before, since)| {
            let (state, tasks) = side.states(&flow.name);
            if state == "FAILED" || tasks.first().is_some_and(|t| t == "FAILED") {
                return false;
            }
            let positions = side.positions(&flow.name);
            if !positions.is_empty() && positions.iter().sum::<i64>() >= input::end(side, &flow.config) {
                return false;
            }
            let now = json!([state, tasks, positions]);
            if now != *before {
                (*before, *since) = (now, Instant::now());
            }
            tasks.is_empty() || since.elapsed() < QUIET
        });
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn compare(talk: &mut Talk<'_>, reader: &Reader, flow: &Flow) {
    let case = format!("connectors: {}", flow.name);
    for path in ["status", "offsets", "tasks", "topics"] {
        talk.say("GET", &format!("/connectors/{}/{path}", flow.name), None);
    }
    if flow.source {
        let topics = topics(talk.both, reader, &flow.name);
        for topic in topics {
            records(talk, reader, &case, &topic);
        }
    } else {
        let name = flow.config["file"].as_str().expect("file").to_owned();
        let [theirs, ours] = talk.both.each_ref().map(|side| {
            let text = fs::read(side.own(&name)).unwrap_or_default();
            timeless(&side.common(&String::from_utf8_lossy(&text)))
        });
        talk.report.texts(&format!("{case}: lines in the file"), &theirs, &ours);
    }
    if let Some(letters) = flow.config["errors.deadletterqueue.topic.name"].as_str() {
        records(talk, reader, &case, letters);
    }
}

/// The topics that begin with the connector's name, on either side.
fn topics(both: &[Side; 2], reader: &Reader, name: &str) -> Vec<String> {
    let mut all = Vec::new();
    for side in both {
        let own = side.own(name);
        let found = reader.topics().into_iter().filter(|t| *t == own || t.starts_with(&format!("{own}.")));
        all.extend(found.map(|topic| side.common(&topic)));
    }
    all.sort();
    all.dedup();
    all
}

/// Compares what both topics hold, in the order of each partition.
fn records(talk: &mut Talk<'_>, reader: &Reader, case: &str, topic: &str) {
    let [theirs, ours] = talk.both.each_ref().map(|side| {
        let mut all = reader.all(&side.own(topic));
        all.sort_by_key(|r| (r.partition, r.offset));
        json!(all.iter().map(|record| shown(side, record)).collect::<Vec<_>>())
    });
    talk.report.values(&format!("{case}: records in {topic}"), &theirs, &ours);
}

/// A record as text, with bytes that are none escaped.
fn shown(side: &Side, record: &RawRecord) -> Json {
    let text = |bytes: &[u8]| timeless(&side.common(&bytes.escape_ascii().to_string()));
    let text_of = |bytes: &Option<bytes::Bytes>| bytes.as_deref().map(text);
    let headers: Vec<Json> =
        record.headers.iter().map(|(name, value)| json!({ "name": &**name, "value": text_of(value) })).collect();
    json!({
        "partition": record.partition,
        "time": record.timestamp.map(|t| timeless(&t.to_string())),
        "key": text_of(&record.key),
        "value": text_of(&record.value),
        "headers": headers,
    })
}
