//! Files of partitions across kills: two workers share them, and one or the other is killed again and again while
//! records pass. Every record is in its file once.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::json;
use tocsin_tests::{Connectd, file, kafka::Reader, wait};
use xtask::servers::{Kafka, without};

const KILLS: usize = 10;
const CHUNK: usize = 10_000;
const PARTITIONS: i32 = 3;
const LIMIT: Duration = Duration::from_secs(120);

/// Reads all files as other programs do, and prints how many records each partition has. Order, gaps, copies and what
/// cannot be read are errors.
const READER: &str = r#"
import csv, glob, gzip, json, os, sys
folder, unfinished = sys.argv[1], sys.argv[2] == "all"
def text(path):
    return gzip.open(path, "rt", newline="") if ".gz" in path else open(path, newline="")
def check(offsets, name):
    for partition, found in offsets.items():
        assert found == list(range(len(found))), (name, partition, len(found), found[:20])
    return {p: len(f) for p, f in sorted(offsets.items())}
def value(n):
    return 'say "%d",\r\nyou' % n
out = {}
for name, ending in [("packed", "jsonl.gz"), ("table", "csv"), ("growing", "jsonl")]:
    offsets, seen = {}, set()
    pattern = os.path.join(folder, name, "**", "*." + ending)
    paths = sorted(glob.glob(pattern, recursive=True)) + (glob.glob(pattern + ".part", recursive=True) if unfinished else [])
    for path in paths:
        with text(path) as file:
            if ending == "csv":
                rows = list(csv.reader(file))
                assert rows[0] == ["partition", "offset", "n", "value.text"], (path, rows[:1])
                rows = [(int(p), int(o), int(n), t) for p, o, n, t in rows[1:]]
            else:
                records = [json.loads(line) for line in file.read().split("\n") if line]
                rows = [(r["partition"], r["offset"], r["value"]["n"], r["value"]["text"]) for r in records]
        for partition, offset, n, t in rows:
            assert t == value(n), (path, offset, t)
            assert n not in seen, (path, "twice", n)
            seen.add(n)
            offsets.setdefault(partition, []).append(offset)
    out[name] = check(offsets, name)
print(json.dumps(out))
"#;

fn read(dir: &Path, which: &str) -> serde_json::Value {
    let output = Command::new("python3").args(["-c", READER]).arg(dir).arg(which).output().expect("python3");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("json")
}

/// Bytes of all files below the folder.
fn size(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    let of = |entry: fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => size(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    };
    entries.map_while(Result::ok).map(of).sum()
}

/// A random number without a library: the clock's fraction, mixed.
fn random(below: u64) -> u64 {
    let nanos =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| u64::from(d.subsec_nanos()));
    (nanos.wrapping_mul(6_364_136_223_846_793_005) >> 33) % below
}

#[test]
fn every_record_is_in_its_file_once_across_kills_of_two_workers() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let reader = Reader::new(&kafka.bootstrap());
    reader.create("readings", PARTITIONS, &[]);
    let dir = tempfile::tempdir().expect("folder");
    let out = dir.path().join("out");
    for name in ["packed", "table", "growing"] {
        fs::create_dir_all(out.join(name)).expect("folder");
    }
    let worker = |n: usize| {
        let settings = format!(
            "bootstrap.servers: {}\nkey.converter: StringConverter\nvalue.converter: JsonConverter\n\
             value.converter.schemas.enable: false\n\
             offset: {{ storage.file.filename: {}, flush.interval.ms: 100 }}\n",
            kafka.bootstrap(),
            dir.path().join(format!("offsets-{n}")).display()
        );
        file(dir.path(), &format!("worker-{n}.yaml"), &settings)
    };
    let common = "topics: readings\nconsumer.override.session.timeout.ms: 6000\n\
                  consumer.override.heartbeat.interval.ms: 1000\ntasks.max: 2";
    let connectors = format!(
        "name: packed\nconnector.class: file-sink\n{common}\nfile: {0}/packed/{{{{topic}}}}/{{{{partition}}}}.jsonl.gz\n\
         file.gzip: true\nfile.rotate.bytes: 200000\n---\n\
         name: table\nconnector.class: file-sink\n{common}\nfile: {0}/table/{{{{topic}}}}-{{{{partition}}}}.csv\n\
         file.format: csv\nfile.csv.columns: [partition, offset, n=value.n, value.text]\nfile.rotate.records: 700\n---\n\
         name: growing\nconnector.class: file-sink\n{common}\nfile: {0}/growing/{{{{topic}}}}-{{{{partition}}}}.jsonl\n",
        out.display()
    );
    let connectors = file(dir.path(), "connectors.yaml", &connectors);
    let start = |n: usize| Connectd::start(&["-c", &worker(n), &connectors], &dir.path().join(format!("log-{n}")));
    let mut workers = [start(0), start(1)];
    for round in 0..KILLS {
        let before = size(&out);
        let numbers = round * CHUNK..(round + 1) * CHUNK;
        let text = |n: usize| json!({ "n": n, "text": format!("say \"{n}\",\r\nyou") }).to_string().into_bytes();
        reader.write_all("readings", numbers.map(|n| (format!("key-{}", n % 17), Some(text(n)))));
        // Some have been written and more are on their way.
        wait("records to be written", LIMIT, || (size(&out) > before).then_some(()));
        let moment = Instant::now() + Duration::from_millis(random(300));
        wait("a random moment", LIMIT, || (Instant::now() >= moment).then_some(()));
        let killed = &mut workers[round % 2];
        killed.kill9();
        killed.start_again();
    }
    let records = KILLS * CHUNK;
    let count = |found: &serde_json::Value, name: &str| -> u64 {
        found[name].as_object().map_or(0, |p| p.values().filter_map(serde_json::Value::as_u64).sum())
    };
    let lag = |worker: &Connectd, name: &str| worker.get(&format!("/connectors/{name}/status")).1;
    let names = ["packed", "table", "growing"];
    wait("everything to be read and committed", LIMIT, || {
        names
            .iter()
            .all(|name| {
                let offsets = workers[0].get(&format!("/connectors/{name}/offsets")).1;
                let committed: u64 = offsets["offsets"]
                    .as_array()
                    .map_or(0, |all| all.iter().filter_map(|o| o["offset"]["kafka_offset"].as_u64()).sum());
                committed == records as u64
            })
            .then_some(())
    });
    for worker in &mut workers {
        for name in names {
            assert!(!lag(worker, name).to_string().contains("FAILED"), "{}", lag(worker, name));
        }
        assert!(worker.terminate().1, "stopped well");
    }
    let found = read(&out, "all");
    for name in names {
        assert_eq!(count(&found, name), records as u64, "{name}: {found}");
    }
    // What has its name is complete: programs that take no other files never see half of one.
    let complete = read(&out, "complete");
    let parts = fs::read_dir(out.join("table")).expect("folder");
    let parts = parts.filter_map(Result::ok).filter(|e| e.path().extension().is_some_and(|x| x == "part")).count();
    assert!(parts <= PARTITIONS as usize, "{parts} files are not complete");
    let rest = count(&found, "table") - count(&complete, "table");
    assert!(rest < 700 * PARTITIONS as u64, "{rest} records are in files that are not complete");
    assert_eq!(count(&complete, "table") % 700, 0, "{complete}");
}
