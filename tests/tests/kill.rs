//! Kill -9 at random moments while numbered records pass from a file through Kafka to a file: every number
//! arrives, order per partition holds.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    time::{Duration, Instant},
};

use tocsin_tests::{Connectd, file, kafka::Reader, wait};
use xtask::servers::{Kafka, without};

/// Records that are written between two kills.
const CHUNK: usize = 10_000;

/// How often: ten times, unless a long run asks for more.
fn kills() -> usize {
    match std::env::var("TOCSIN_KILLS") {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("TOCSIN_KILLS is {text:?}, which is no number of kills")),
        Err(_) => 10,
    }
}

/// A random number without a library: the clock's fraction, mixed.
fn random(below: u64) -> u64 {
    let nanos =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| u64::from(d.subsec_nanos()));
    (nanos.wrapping_mul(6_364_136_223_846_793_005) >> 33) % below
}

#[test]
fn every_record_arrives_in_order_across_many_kills() {
    let kills = kills();
    let records = kills * CHUNK;
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let dir = tempfile::tempdir().expect("folder");
    let path = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    Reader::new(&kafka.bootstrap()).create("numbers", 3, &[]);
    let worker = file(
        dir.path(),
        "worker.properties",
        &format!(
            "bootstrap.servers={}\nkey.converter=org.apache.kafka.connect.storage.StringConverter\n\
             value.converter=org.apache.kafka.connect.storage.StringConverter\n\
             offset.storage.file.filename={}\noffset.flush.interval.ms=300\n",
            kafka.bootstrap(),
            path("offsets")
        ),
    );
    let connectors = file(
        dir.path(),
        "connectors.yaml",
        &format!(
            "name: in\nconnector.class: FileStreamSource\nfile: {}\ntopic: numbers\nbatch.size: 500\n---\n\
             name: out\nconnector.class: file-sink\ntopics: numbers\nfile: {}\nconsumer.override.session.timeout.ms: 6000\n",
            path("in.txt"),
            path("out.jsonl")
        ),
    );
    let mut input = fs::File::create(path("in.txt")).expect("input");
    let mut connectd = Connectd::start(&["-c", &worker, &connectors], &dir.path().join("log"));
    // Records are written while the worker is killed, so that every moment has some on their way.
    for round in 0..kills {
        let first = round * CHUNK;
        let text: String = (first..first + CHUNK).map(|n| format!("{n}\n")).collect();
        input.write_all(text.as_bytes()).expect("input");
        let moment = Instant::now() + Duration::from_millis(200 + random(2500));
        wait("a random moment", Duration::from_secs(5), || (Instant::now() >= moment).then_some(()));
        connectd.kill9();
        connectd.start_again();
    }
    let numbers = |text: &str| {
        let mut seen: BTreeMap<usize, u32> = BTreeMap::new();
        for line in text.lines() {
            let record: serde_json::Value =
                serde_json::from_str(line).unwrap_or_else(|e| panic!("a torn line: {line:?}: {e}"));
            let number =
                record["value"].as_str().and_then(|v| v.parse().ok()).unwrap_or_else(|| panic!("no number: {line}"));
            *seen.entry(number).or_default() += 1;
        }
        seen
    };
    wait("every number", Duration::from_secs(120 + 3 * kills as u64), || {
        let text = fs::read_to_string(path("out.jsonl")).ok()?;
        // The last line may be half written at this moment.
        let whole = &text[..text.rfind('\n').map_or(0, |at| at + 1)];
        (whole.lines().count() >= records && numbers(whole).len() == records).then_some(())
    });
    connectd.await_state("in", "RUNNING");
    connectd.await_state("out", "RUNNING");
    let (took, well) = connectd.terminate();
    assert!(well && took < Duration::from_secs(8), "stopped in {took:?}, well: {well}");

    // Order: within a partition the first occurrence of each offset comes in ascending order, and so do the
    // numbers of the first occurrences as the topic holds them.
    let text = fs::read_to_string(path("out.jsonl")).expect("output");
    let mut last: BTreeMap<i64, i64> = BTreeMap::new();
    for line in text.lines() {
        let record: serde_json::Value = serde_json::from_str(line).expect("line");
        let (partition, offset) =
            (record["partition"].as_i64().expect("partition"), record["offset"].as_i64().expect("offset"));
        let seen = last.entry(partition).or_insert(-1);
        // A redelivery goes back and then walks forward again, without a gap.
        assert!(offset <= *seen + 1, "partition {partition}: offset {offset} after {seen}");
        *seen = (*seen).max(offset);
    }
    let copies: u32 = numbers(&text).values().sum();
    assert!(copies as usize >= records, "{copies} lines for {records} records across {kills} kills");
}
