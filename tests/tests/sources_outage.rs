//! Every source while Kafka is away: none grows in memory, each goes on afterwards, and each stops within a second.

use std::{
    fs,
    io::Write,
    net::{Ipv4Addr, TcpStream, UdpSocket},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tocsin_tests::{Connectd, file, kafka::Reader, wait};
use xtask::servers::{Kafka, Mosquitto, Port, Server, without};

const SOON: Duration = Duration::from_secs(120);
/// Buffers fill up in this time, and nothing grows any more after it.
const FULL: Duration = Duration::from_secs(10);
const AWAY: Duration = Duration::from_secs(30);
/// What the allocator may keep besides, in MiB.
const SLACK: f64 = 16.0;
const SOURCES: [&str; 9] =
    ["files", "program", "made-up", "packets", "channels", "hooks", "replica", "messages", "logs"];

/// Connectors with all of these sources, each of which gives as much as Kafka takes.
fn connectors(dir: &Path, hooks: u16, syslog: u16, mqtt: &str, other: &str) -> String {
    let at = |name: &str| dir.join(name).to_string_lossy().into_owned();
    let packets = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/demo/data");
    format!(
        "name: files\nconnector.class: file-source\nfile: {files}\ntopic: files\n---\n\
         name: program\nconnector.class: exec-source\nexec.command: python3 {program}\ntopic: program\n---\n\
         name: made-up\nconnector.class: datagen-source\ntopics: made-up\ndatagen.rate: 0\nquickstart: orders\n\
         datagen.form: map\n---\n\
         name: packets\nconnector.class: alert-stream-source\ntopic: packets\nalert.stream.files: {packets}\n\
         alert.stream.interval.ms: 0\nalert.stream.repeats: 0\nvalue.converter: ByteArrayConverter\n---\n\
         name: channels\nconnector.class: epics-source\nepics:\n  provider: simulation\n  topic: channels\n  mode: changes\n  \
         channels: T:a=walk,low=0,high=10,interval=1ms\n---\n\
         name: hooks\nconnector.class: webhook-source\nwebhook:\n  topic: hooks\n  listen: 127.0.0.1:{hooks}\n  \
         format: json\n  ack.timeout.ms: 2000\n---\n\
         name: replica\nconnector.class: kafka-source\ntopics: [replica]\n\
         source.cluster.bootstrap.servers: {other}\nvalue.converter: ByteArrayConverter\n---\n\
         name: messages\nconnector.class: mqtt-source\nmqtt.server.uri: tcp://{mqtt}\nmqtt.topics: plant/#\nmqtt.qos: 1\n\
         kafka.topic: messages\nvalue.converter: ByteArrayConverter\n---\n\
         name: logs\nconnector.class: syslog-source\n\
         syslog.listeners: ['udp://127.0.0.1:{syslog}', 'tcp://127.0.0.1:{syslog}']\ntopic: logs\n",
        files = at("in.log"),
        program = at("program.py"),
    )
}

/// Something that is done again and again, until it is dropped.
struct Feeder {
    is_over: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Feeder {
    fn new(mut work: impl FnMut() + Send + 'static) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let over = is_over.clone();
        let thread = thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                work();
            }
        });
        Self { is_over, thread: Some(thread) }
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // What it panicked of shows in the log.
            let _ = thread.join();
        }
    }
}

/// What the world sends: what is refused or not taken is sent again, as its senders do.
fn feeders(dir: &Path, hooks: u16, syslog: u16, mosquitto: Arc<Mosquitto>) -> Vec<Feeder> {
    let mut log = fs::File::create(dir.join("in.log")).expect("file");
    let lines = "a line of a log that grows\n".repeat(100);
    let file = move || {
        log.write_all(lines.as_bytes()).expect("write");
        thread::sleep(Duration::from_millis(20));
    };
    let client = reqwest::blocking::Client::builder().timeout(Duration::from_secs(5)).build().expect("client");
    let hook = move || {
        let body = format!("{{\"text\":\"{}\"}}", "x".repeat(2000));
        // 503 while Kafka is away.
        let _ = client.post(format!("http://127.0.0.1:{hooks}/hooks")).body(body).send();
    };
    let message = "m".repeat(500) + "\n";
    let message = move || {
        // The broker keeps what nobody takes.
        let _ = mosquitto.publish("plant/a", 1, &message.repeat(50), &[]);
        thread::sleep(Duration::from_millis(50));
    };
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("socket");
    let datagram = move || {
        for _ in 0..50 {
            // Nobody learns what becomes of it.
            let _ = socket.send_to(b"<11>1 2026-01-02T03:04:05Z host program - - - by UDP", ("127.0.0.1", syslog));
        }
        thread::sleep(Duration::from_millis(20));
    };
    let mut connection: Option<TcpStream> = None;
    let stream = move || {
        let text = "<11>1 2026-01-02T03:04:05Z host program - - - by TCP\n".repeat(50);
        let sent = match &mut connection {
            Some(open) => open.write_all(text.as_bytes()),
            None => TcpStream::connect(("127.0.0.1", syslog)).and_then(|open| {
                open.set_write_timeout(Some(Duration::from_millis(500)))?;
                connection = Some(open);
                Ok(())
            }),
        };
        // Cut off in the middle of a line where it was not taken, so another connection goes on.
        if sent.is_err() {
            connection = None;
        }
        thread::sleep(Duration::from_millis(20));
    };
    vec![Feeder::new(file), Feeder::new(hook), Feeder::new(message), Feeder::new(datagram), Feeder::new(stream)]
}

/// Resident memory of a process without its program, in MiB.
fn resident(process: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("its status");
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).expect("its memory");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).expect("a number") / 1024.0
}

fn written(connectd: &Connectd, name: &str) -> u64 {
    let metric = format!("kafka_connect_source_task_source_record_write_total{{connector=\"{name}\",");
    let answer = reqwest::blocking::get(format!("{}/metrics", connectd.url())).expect("metrics");
    let page = answer.text().expect("text");
    let line = page.lines().find(|line| line.starts_with(&metric));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
}

#[test]
fn no_source_grows_while_kafka_is_away_and_all_go_on_and_stop_soon() {
    if ["kafka", "mosquitto"].into_iter().any(without) {
        return;
    }
    let (mut kafka, other) = (Kafka::start().expect("kafka"), Kafka::start().expect("another kafka"));
    let mosquitto = Arc::new(Mosquitto::start().expect("mosquitto"));
    let (here, there) = (Reader::new(&kafka.bootstrap()), Reader::new(&other.bootstrap()));
    for topic in SOURCES {
        here.create(topic, 1, &[]);
    }
    there.create("replica", 1, &[]);
    there.write_all("replica", (0..200_000).map(|n| (n.to_string(), Some(vec![b'r'; 500]))));
    let dir = tempfile::tempdir().expect("folder");
    file(
        dir.path(),
        "program.py",
        "import json\nwhile True:\n    print(json.dumps({'value': 'p' * 500}), flush=True)\n",
    );
    let worker = format!(
        "bootstrap.servers={}\nkey.converter=StringConverter\nvalue.converter=JsonConverter\n\
         value.converter.schemas.enable=false\noffset.storage.file.filename={}\noffset.flush.interval.ms=1000\n",
        kafka.bootstrap(),
        dir.path().join("offsets").display()
    );
    let worker = file(dir.path(), "worker.properties", &worker);
    let (hooks, syslog) = (Port::claim().expect("port"), Port::claim().expect("port"));
    let all = connectors(dir.path(), hooks.number(), syslog.number(), &mosquitto.address(), &other.bootstrap());
    let connectors = file(dir.path(), "connectors.yaml", &all);
    let mut connectd = Connectd::start(&["-c", &worker, &connectors], &dir.path().join("log"));
    let feeders = feeders(dir.path(), hooks.number(), syslog.number(), mosquitto.clone());
    for name in SOURCES {
        wait(&format!("records of {name}"), SOON, || (written(&connectd, name) > 0).then_some(()));
    }

    kafka.pause().expect("pause");
    thread::sleep(FULL);
    let full = resident(connectd.id());
    thread::sleep(AWAY);
    let after = resident(connectd.id());
    eprintln!("{full:.1} MiB after {FULL:?} without kafka, {after:.1} MiB {AWAY:?} later");
    assert!(after <= full + SLACK, "it grew from {full:.1} to {after:.1} MiB");
    kafka.resume().expect("resume");
    for name in SOURCES {
        // The other cluster has no more than there was.
        let before = written(&connectd, name);
        let is_done = |now: u64| now > before || (name == "replica" && now >= 200_000);
        wait(&format!("further records of {name}"), SOON, || is_done(written(&connectd, name)).then_some(()));
    }

    let revived = connectd.log_text().matches("it has no brokers").count();
    eprintln!("{revived} clients were told that kafka has no brokers");
    let mut times = Vec::new();
    for name in SOURCES {
        let begun = Instant::now();
        let (status, answer) = connectd.send("PUT", &format!("/connectors/{name}/stop"), None);
        assert_eq!(status, 204, "{answer}");
        let task = |connectd: &Connectd| connectd.get(&format!("/connectors/{name}/status")).1;
        wait(&format!("{name} to stop"), SOON, || {
            let status = task(&connectd);
            (status["connector"]["state"] == "STOPPED" && status["tasks"].as_array().is_some_and(Vec::is_empty))
                .then_some(())
        });
        times.push((name, begun.elapsed()));
    }
    eprintln!("stopped after {times:.2?}");
    // A second, and what a busy machine takes for the rest.
    assert!(times.iter().all(|(_, time)| *time < Duration::from_secs(3)), "{times:?}");
    drop(feeders);
    assert!(connectd.terminate().1, "it ends as it should");
}
