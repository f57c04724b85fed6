//! The contestants, what they have to do, and what it cost them.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer},
};
use serde_json::{Value as Json, json};
use tocsin_benches::{
    contest::{Cost, LONGEST, configure, delete, measured, measured_child},
    usage::Usage,
};
use tocsin_tests::{Connectd, file, wait};
use xtask::servers::{Kafka, KafkaConnect, Server};

use crate::Arguments;

/// With its end a line has so many bytes.
const LINE: usize = 98;
const SCHEMAS: [(&str, &str); 2] =
    [("value.converter", "org.apache.kafka.connect.json.JsonConverter"), ("value.converter.schemas.enable", "true")];

/// One line of the result.
struct Line {
    task: &'static str,
    who: &'static str,
    cost: Cost,
}

struct Contest<'a> {
    kafka: &'a Kafka,
    records: u64,
    folder: &'a Path,
    input: String,
    lines: Vec<Line>,
}

/// Runs every task on every contestant and prints what it cost.
pub fn run(arguments: &Arguments) {
    let kafka = Kafka::start().expect("kafka");
    let folder = tempfile::tempdir().expect("folder");
    let input = folder.path().join("input.txt");
    write_lines(&input, arguments.records);
    let mut contest = Contest {
        kafka: &kafka,
        records: arguments.records,
        folder: folder.path(),
        input: input.display().to_string(),
        lines: Vec::new(),
    };
    let converters = [
        ("key.converter", "org.apache.kafka.connect.storage.StringConverter"),
        ("value.converter", "org.apache.kafka.connect.storage.StringConverter"),
    ];

    let worker: String = converters.iter().map(|(k, v)| format!("{k}={v}\n")).collect();
    let offsets = folder.path().join("connectd.offsets").display().to_string();
    let worker = format!("bootstrap.servers={}\noffset.storage.file.filename={offsets}\n{worker}", kafka.bootstrap());
    let worker = file(folder.path(), "connectd.properties", &worker);
    let mut started = vec!["--config", worker.as_str()];
    for setting in &arguments.settings {
        started.extend(["--set", setting]);
    }
    let began = Instant::now();
    let connectd = Connectd::start(&started, &folder.path().join("connectd.log"));
    ready("connectd", began, connectd.id());
    contest.tasks("connectd", connectd.url(), connectd.id());
    drop(connectd);

    if !arguments.without_connect {
        let offsets = folder.path().join("connect.offsets").display().to_string();
        let mut settings = converters.to_vec();
        settings.push(("offset.storage.file.filename", &offsets));
        let began = Instant::now();
        let connect = KafkaConnect::standalone(&kafka.bootstrap(), &settings).expect("kafka connect");
        let process = connect.process().id().expect("a process");
        ready("Kafka Connect", began, process);
        contest.tasks("Kafka Connect", &connect.url(), process);
    }

    for (task, topic) in [("String", "string-connectd"), ("JSON", "json-connectd")] {
        let lines = folder.path().join(format!("raw-{topic}.txt"));
        let (source, sink) = if task == "String" { (SOURCE, SINK) } else { (JSON_SOURCE, JSON_SINK) };
        // Consumed first, which writes the file that is produced.
        contest.raw(sink, "consume", topic, &lines);
        contest.raw(source, "produce", &format!("raw-{topic}"), &lines);
    }
    contest.print();
    contest.print_threads("connectd");
    contest.print_threads("librdkafka");
}

fn ready(who: &str, began: Instant, process: u32) {
    let memory = Usage::of(process).peak_memory();
    println!("{who} was ready after {:.2} s and had taken {memory:.0} MiB", began.elapsed().as_secs_f64());
}

const SOURCE: &str = "source, String";
const JSON_SOURCE: &str = "source, HoistField + 2 × InsertField, JSON with schemas";
const SINK: &str = "sink, String";
const JSON_SINK: &str = "sink, JSON with schemas, InsertField + ExtractField";

impl Contest<'_> {
    fn tasks(&mut self, who: &'static str, url: &str, process: u32) {
        let short = if who == "connectd" { "connectd" } else { "connect" };
        let (string, json) = (format!("string-{short}"), format!("json-{short}"));
        let source = |topic: &str| {
            json!({ "connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector",
                "tasks.max": "1", "file": self.input, "topic": topic })
        };
        let plain = source(&string);
        let mut rich = source(&json);
        extend(&mut rich, &SCHEMAS);
        extend(
            &mut rich,
            &[
                ("transforms", "hoist,host,site"),
                ("transforms.hoist.type", "org.apache.kafka.connect.transforms.HoistField$Value"),
                ("transforms.hoist.field", "line"),
                ("transforms.host.type", "org.apache.kafka.connect.transforms.InsertField$Value"),
                ("transforms.host.static.field", "host"),
                ("transforms.host.static.value", "ioc-17"),
                ("transforms.site.type", "org.apache.kafka.connect.transforms.InsertField$Value"),
                ("transforms.site.static.field", "site"),
                ("transforms.site.static.value", "north"),
            ],
        );
        // Bare librdkafka is measured on what connectd wrote, and both sinks read the same.
        let sink = |topic: &str, output: &str| {
            json!({ "connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector",
                "tasks.max": "1", "file": output, "topics": topic })
        };
        let output = |name: &str| self.folder.join(format!("{name}-{short}.txt")).display().to_string();
        let (plain_out, rich_out) = (output("string"), output("json"));
        let plain_sink = sink("string-connectd", &plain_out);
        let mut rich_sink = sink("json-connectd", &rich_out);
        extend(&mut rich_sink, &SCHEMAS);
        extend(
            &mut rich_sink,
            &[
                ("transforms", "insert,extract"),
                ("transforms.insert.type", "org.apache.kafka.connect.transforms.InsertField$Value"),
                ("transforms.insert.offset.field", "offset"),
                ("transforms.extract.type", "org.apache.kafka.connect.transforms.ExtractField$Value"),
                ("transforms.extract.field", "line"),
            ],
        );
        let records = self.records;
        let bytes = records * LINE as u64;
        // Offsets outlive a connector, so each has a name of its own.
        for (name, task, config, goal) in [
            ("string-source", SOURCE, plain, Goal::Topic(string)),
            ("json-source", JSON_SOURCE, rich, Goal::Topic(json)),
            ("string-sink", SINK, plain_sink, Goal::File(plain_out.into(), bytes)),
            ("json-sink", JSON_SINK, rich_sink, Goal::File(rich_out.into(), bytes)),
        ] {
            if let Goal::Topic(topic) = &goal {
                self.create(topic);
            }
            let name = format!("{short}-{name}");
            let cost = measured(process, || {
                configure(url, &name, &config);
                self.reach(&goal);
            });
            delete(url, &name);
            self.lines.push(Line { task, who, cost });
        }
    }

    fn create(&self, topic: &str) {
        let bootstrap = self.kafka.bootstrap();
        let arguments = ["--bootstrap-server", &bootstrap, "--create", "--topic", topic, "--partitions", "1"];
        self.kafka.tool("org.apache.kafka.tools.TopicCommand", &arguments).expect("creating a topic");
    }

    fn raw(&mut self, task: &'static str, what: &str, topic: &str, lines: &Path) {
        if what == "produce" {
            self.create(topic);
        }
        let records = self.records.to_string();
        let bootstrap = self.kafka.bootstrap();
        let lines = lines.display().to_string();
        let cost = measured_child(&["--records", &records, "--raw", what, &bootstrap, topic, &lines]);
        self.lines.push(Line { task, who: "librdkafka", cost });
    }

    fn reach(&self, goal: &Goal) {
        match goal {
            Goal::File(path, bytes) => {
                wait("the sink's file", LONGEST, || (fs::metadata(path).map_or(0, |m| m.len()) >= *bytes).then_some(()))
            }
            Goal::Topic(topic) => {
                let consumer: BaseConsumer =
                    ClientConfig::new().set("bootstrap.servers", self.kafka.bootstrap()).create().expect("consumer");
                wait("the source's records", LONGEST, || {
                    let end = consumer.fetch_watermarks(topic, 0, Duration::from_secs(10)).map_or(0, |(_, end)| end);
                    (end >= i64::try_from(self.records).expect("a number")).then_some(())
                });
            }
        }
    }

    fn print_threads(&self, who: &str) {
        println!("\nwhere {who}'s CPU-seconds went, by thread");
        for line in self.lines.iter().filter(|line| line.who == who) {
            println!("- {}: {}", line.task, line.cost.by_thread());
        }
    }

    fn print(&self) {
        let millions = self.records as f64 / 1e6;
        println!(
            "\n| {} records of {LINE} bytes | CPU-s per million | × librdkafka | records/s | most MiB |",
            self.records
        );
        println!("|---|---|---|---|---|");
        for task in [SOURCE, JSON_SOURCE, SINK, JSON_SINK] {
            let of_task = || self.lines.iter().filter(|line| line.task == task);
            let bare = of_task().find(|line| line.who == "librdkafka").map_or(f64::NAN, |line| line.cost.cpu);
            for line in of_task() {
                println!(
                    "| {task}: {} | {:.2} | {:.2} | {:.0} | {:.0} |",
                    line.who,
                    line.cost.cpu / millions,
                    line.cost.cpu / bare,
                    self.records as f64 / line.cost.seconds,
                    line.cost.memory
                );
            }
        }
    }
}

/// When a task is done.
enum Goal {
    /// All records are in the topic.
    Topic(String),
    /// The file has so many bytes.
    File(PathBuf, u64),
}

fn write_lines(path: &Path, records: u64) {
    let mut file = BufWriter::new(File::create(path).expect("input"));
    for n in 0..records {
        let start = format!("{n:010} temperature of magnet {} is ", n % 977);
        writeln!(file, "{start:.<width$}", width = LINE - 1).expect("input");
    }
    file.flush().expect("input");
}

fn extend(config: &mut Json, settings: &[(&str, &str)]) {
    for (key, value) in settings {
        config[*key] = (*value).into();
    }
}
