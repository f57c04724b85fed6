//! The examples of EPICS channels, among them epics2kafka's connector with its own settings, and many channels by commands:
//! through REST and Apache Kafka.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::{Value as Json, json};
use tocsin_tests::{Connectd, file, kafka::Reader, wait};
use xtask::servers::{Ioc, Kafka, without};

const LIMIT: Duration = Duration::from_secs(60);

fn worker(dir: &Path, kafka: &Kafka) -> String {
    file(
        dir,
        "worker.properties",
        &format!(
            "bootstrap.servers={}\nkey.converter=org.apache.kafka.connect.storage.StringConverter\n\
             value.converter=org.apache.kafka.connect.json.JsonConverter\nvalue.converter.schemas.enable=false\n\
             offset.storage.file.filename={}\noffset.flush.interval.ms=500\n",
            kafka.bootstrap(),
            dir.join("offsets").display()
        ),
    )
}

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/connectors");

/// The example of epics2kafka's settings, with the addresses of this test and without its pauses.
fn as_in_epics2kafka(kafka: &Kafka, ioc: &Ioc, tasks: u32, settle: u32) -> Json {
    let text = std::fs::read_to_string(format!("{EXAMPLES}/epics2kafka.json")).expect("the example");
    let mut example: Json = serde_json::from_str(&text).expect("json");
    let mut config = example["config"].take();
    config["tasks.max"] = json!(tasks);
    config["monitor.addr.list"] = json!(ioc.addr_list());
    config["monitor.repeater.port"] = json!(ioc.repeater_port());
    config["monitor.poll.millis"] = json!(100);
    config["command.bootstrap.servers"] = json!(format!("kafka://{}", kafka.bootstrap()));
    config["command.settle.seconds"] = json!(settle);
    config
}

fn key(topic: &str, channel: &str) -> String {
    format!(r#"{{"topic":"{topic}","channel":"{channel}"}}"#)
}

/// Key and value of each record of a topic once `enough` of them are there.
fn read(reader: &Reader, topic: &str, enough: usize) -> Vec<(String, Json)> {
    let all = reader.until(topic, LIMIT, |all| all.len() >= enough);
    let text =
        |bytes: &Option<bytes::Bytes>| String::from_utf8_lossy(bytes.as_deref().unwrap_or_default()).into_owned();
    all.iter().map(|r| (text(&r.key), serde_json::from_str(&text(&r.value)).expect("json"))).collect()
}

fn note(connectd: &Connectd, task: usize) -> String {
    let status = connectd.get("/connectors/ca-source/status").1;
    status["tasks"][task]["detail"]["note"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn the_connector_of_epics2kafka_runs_unchanged_and_follows_its_commands() {
    if ["kafka", "ioc"].into_iter().any(without) {
        return;
    }
    let db = r#"record(ao,"T:a"){field(VAL,"1") field(PINI,"YES") field(HIGH,"80") field(HSV,"MINOR")}
        record(longout,"T:b"){field(VAL,"2") field(PINI,"YES")}
        record(bo,"T:c"){field(VAL,"1") field(PINI,"YES") field(ZNAM,"OPEN") field(ONAM,"CLOSED")}"#;
    let (kafka, ioc) = (Kafka::start().expect("kafka"), Ioc::start(db).expect("ioc"));
    let reader = Reader::new(&kafka.bootstrap());
    reader.create("epics-channels", 1, &[("cleanup.policy", "compact")]);
    let dir = tempfile::tempdir().expect("folder");
    let connectd = Connectd::start(&["-c", &worker(dir.path(), &kafka)], &dir.path().join("log"));

    reader.write("epics-channels", &key("values", "T:a"), Some(br#"{"mask":"va"}"#));
    let config = as_in_epics2kafka(&kafka, &ioc, 2, 1);
    let (status, answer) =
        connectd.send("POST", "/connectors", Some(&json!({ "name": "ca-source", "config": config })));
    assert_eq!(status, 201, "{answer}");
    connectd.await_state("ca-source", "RUNNING");
    let first = read(&reader, "values", 1);
    assert_eq!(first[0].0, "T:a");
    let mut expected = json!({ "error": null, "status": 0, "severity": 0, "doubleValues": [1.0], "floatValues": null,
        "stringValues": null, "intValues": null, "shortValues": null, "byteValues": null });
    assert_eq!(first[0].1, expected);

    // Further channels, one of which nobody has: T:a goes on as it is, so that it has nothing to tell.
    let commands =
        [("T:b", r#"{"mask":"v","outkey":"bee"}"#), ("T:c", r#"{"mask":"va"}"#), ("T:none", r#"{"mask":"a"}"#)];
    reader.write_all(
        "epics-channels",
        commands.map(|(channel, value)| (key("others", channel), Some(value.as_bytes().to_vec()))),
    );
    let others: BTreeMap<String, Json> = read(&reader, "others", 3).into_iter().collect();
    assert_eq!((&others["bee"]["intValues"], &others["T:c"]["shortValues"]), (&json!([2]), &json!([1])));
    assert_eq!(others["T:none"]["error"], "Never Connected");
    wait("the note of what is missing", LIMIT, || (0..2).any(|n| note(&connectd, n).contains("T:none")).then_some(()));
    ioc.put("T:a", 85).expect("put");
    let both = read(&reader, "values", 2);
    (expected["doubleValues"], expected["severity"], expected["status"]) = (json!([85.0]), json!(1), json!(4));
    assert_eq!(both[1].1, expected, "{both:?}");
    assert_eq!(both.len(), 2, "it was not begun anew: {both:?}");

    // A tombstone ends one of them; another one shows that the tasks have seen it.
    reader.write("epics-channels", &key("others", "T:b"), None);
    reader.write("epics-channels", &key("others", "T:none"), None);
    wait("the note to be gone", LIMIT, || {
        (0..2).all(|n| note(&connectd, n) != "T:none" && !note(&connectd, n).contains("T:none")).then_some(())
    });
    reader.write("epics-channels", &key("others", "T:c"), Some(br#"{"mask":"va","outkey":"see"}"#));
    let begun_anew = read(&reader, "others", 4);
    assert_eq!(begun_anew[3].0, "see", "{begun_anew:?}");
    ioc.put("T:b", 3).expect("put");
    ioc.put("T:c", 0).expect("put");
    let last = read(&reader, "others", 5);
    assert_eq!((last[4].0.as_str(), &last[4].1["shortValues"]), ("see", &json!([0])), "{last:?}");
    assert_eq!(connectd.states("ca-source").1, ["RUNNING", "RUNNING"]);
}

#[test]
fn the_example_writes_alarms_and_changes_with_their_units() {
    if ["kafka", "ioc"].into_iter().any(without) {
        return;
    }
    let db = r#"record(ao,"IOC:temperature1"){field(VAL,"20") field(PINI,"YES") field(EGU,"degC") field(HIGH,"80") field(HSV,"MINOR")}
        record(ao,"IOC:temperature2"){field(VAL,"21") field(PINI,"YES") field(EGU,"degC") field(HIGH,"80") field(HSV,"MINOR")}
        record(bo,"IOC:door"){field(VAL,"0") field(PINI,"YES") field(ZNAM,"closed") field(ONAM,"open") field(OSV,"MAJOR")}"#;
    let (kafka, ioc) = (Kafka::start().expect("kafka"), Ioc::start(db).expect("ioc"));
    let reader = Reader::new(&kafka.bootstrap());
    let dir = tempfile::tempdir().expect("folder");
    let example = std::fs::read_to_string(format!("{EXAMPLES}/epics.yaml")).expect("the example");
    let addresses = format!("addr.list: '{}'\n  repeater.port: {}", ioc.addr_list(), ioc.repeater_port());
    let here = example.replace("addr.list: 127.0.0.1", &addresses);
    assert_ne!(here, example);
    let connector = file(dir.path(), "epics.yaml", &here);
    let connectd = Connectd::start(&["-c", &worker(dir.path(), &kafka), &connector], &dir.path().join("log"));
    connectd.await_state("epics", "RUNNING");
    let first: BTreeMap<String, Json> = read(&reader, "epics", 3).into_iter().collect();
    assert_eq!((&first["door"]["labels"], &first["door"]["shortValues"]), (&json!(["closed", "open"]), &json!([0])));
    assert_eq!(first["IOC:temperature2"]["units"], "degC");
    // A move within the deadband is none; the next one shows that it was seen.
    ioc.put_all(&[("IOC:temperature1", "20.05"), ("IOC:temperature1", "22"), ("IOC:door", "1")]).expect("put");
    let next = read(&reader, "epics", 5);
    assert_eq!((&next[3].1["doubleValues"], &next[4].1["shortValues"]), (&json!([22.0]), &json!([1])), "{next:?}");
    let alarms = read(&reader, "active-alarms", 1);
    assert_eq!((alarms[0].0.as_str(), &alarms[0].1["message"]), ("door", &json!("door is STATE: open")));
    let begun = Instant::now();
    ioc.put("IOC:temperature2", 90).expect("put");
    let alarms = read(&reader, "active-alarms", 2);
    assert_eq!(alarms[1].1["message"], "IOC:temperature2 is HIGH: 90.0 degC");
    assert!(begun.elapsed() >= Duration::from_millis(500), "it has to last");
    drop(ioc);
    let alarms = read(&reader, "active-alarms", 5);
    let lost = alarms.iter().find(|(name, _)| name == "IOC:temperature1").expect("an alarm");
    assert_eq!(lost.1["message"], "IOC:temperature1 is COMM", "a lost channel has no value");
}

/// How many, as the environment says; `cargo xtask soak --only epics` asks for 25,000.
fn channels() -> u32 {
    std::env::var("TOCSIN_EPICS_CHANNELS").map_or(2000, |text| text.parse().expect("a number"))
}

/// Resident memory of a process in MiB: all of it, and what is not its program.
fn resident(process: u32) -> (f64, f64) {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("its status");
    let mib = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).expect("its memory");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).expect("a number") / 1024.0
    };
    (mib("VmRSS:"), mib("RssAnon:"))
}

#[test]
fn one_task_takes_many_channels_of_its_settings_in_little_memory() {
    // Programs for development are larger.
    many_channels(false, if cfg!(debug_assertions) { 90.0 } else { 60.0 });
}

#[test]
fn one_task_takes_many_channels_by_commands_in_little_memory() {
    many_channels(true, if cfg!(debug_assertions) { 90.0 } else { 60.0 });
}

/// Has one task connect to all channels; `limit` is the memory of the whole process in MiB.
fn many_channels(by_commands: bool, limit: f64) {
    if ["kafka", "ioc"].into_iter().any(without) {
        return;
    }
    let channels = channels();
    let mut db = String::new();
    for n in 0..channels {
        let _ = writeln!(db, r#"record(ao,"M:{n:05}"){{field(VAL,"{n}") field(PINI,"YES")}}"#);
    }
    let (kafka, ioc) = (Kafka::start().expect("kafka"), Ioc::start(&db).expect("ioc"));
    let reader = Reader::new(&kafka.bootstrap());
    reader.create("epics-channels", 1, &[("cleanup.policy", "compact")]);
    let command = |n: u32| (key("values", &format!("M:{n:05}")), Some(br#"{"mask":"va"}"#.to_vec()));
    if by_commands {
        reader.write_all("epics-channels", (0..channels).map(command));
    }
    let dir = tempfile::tempdir().expect("folder");
    let connectd = Connectd::start(&["-c", &worker(dir.path(), &kafka)], &dir.path().join("log"));
    let idle = resident(connectd.id());
    let mut config = as_in_epics2kafka(&kafka, &ioc, 1, 0);
    if !by_commands {
        config["epics.channels"] = json!(format!("M:{{00000..{:05}}}", channels - 1));
        config["epics.topic"] = json!("values");
    }
    let begun = Instant::now();
    let posted = connectd.send("POST", "/connectors", Some(&json!({ "name": "ca-source", "config": config })));
    assert_eq!(posted.0, 201, "{}", posted.1);
    connectd.await_state("ca-source", "RUNNING");
    wait("all channels", LIMIT, || note(&connectd, 0).is_empty().then_some(()));
    let connected = begun.elapsed();
    let records = read(&reader, "values", channels as usize);
    let written = begun.elapsed();
    assert_eq!(records.iter().map(|(key, _)| key).collect::<std::collections::BTreeSet<_>>().len(), channels as usize);
    let peak = resident(connectd.id());
    eprintln!(
        "{channels} channels, by commands: {by_commands}: connected {connected:?} after the request, all written after {written:?}; \
         {idle:.1?} MiB before, {peak:.1?} MiB then (all, without the program itself)"
    );
    assert_eq!(connectd.states("ca-source").1, ["RUNNING"]);

    // One more, while all others stay: nothing else is written.
    reader.write("epics-channels", &key("more", "M:00000"), Some(br#"{"mask":"va"}"#));
    assert_eq!(read(&reader, "more", 1)[0].1["doubleValues"], json!([0.0]));
    ioc.put("M:00001", 7.5).expect("put");
    let all = read(&reader, "values", channels as usize + 1);
    assert_eq!(all.len(), channels as usize + 1);
    assert_eq!((all[all.len() - 1].0.as_str(), &all[all.len() - 1].1["doubleValues"]), ("M:00001", &json!([7.5])));
    // What the start took besides is given back.
    let busy =
        wait("memory to be given back", LIMIT, || Some(resident(connectd.id())).filter(|(all, _)| *all <= limit));
    eprintln!("{busy:.1?} MiB with {channels} channels");
}
