//! Records written and read with `connectctl`: texts, JSON and Avro, on a real Kafka with a schema registry; and the examples
//! of the guide, run as they stand there.

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Child, Command, Stdio},
};

use connect_kafka::Outgoing;
use serde_json::{Value as Json, json};
use tocsin_tests::{ctl::Ctl, kafka::Reader, program, sides::SOON, wait};
use xtask::servers::{Kafka, Registry, SecureKafka, Server, without};

struct Sides {
    kafka: Kafka,
    registry: Registry,
    reader: Reader,
    ctl: Ctl,
}

impl Sides {
    fn start() -> Option<Self> {
        if without("kafka") || without("apicurio") {
            return None;
        }
        let (kafka, registry) = (Kafka::start().expect("kafka"), Registry::start().expect("registry"));
        let reader = Reader::new(&kafka.bootstrap());
        // No worker is there to be asked.
        let ctl = Ctl::new("http://127.0.0.1:9").env("BOOTSTRAP_SERVERS", &kafka.bootstrap());
        let ctl = ctl.env("SCHEMA_REGISTRY", &registry.url());
        Some(Self { kafka, registry, reader, ctl })
    }
}

/// Records that were shown as JSON, one a line.
fn lines(text: &str) -> Vec<Json> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

#[test]
fn texts_json_and_avro_are_written_and_read_back() {
    let Some(sides) = Sides::start() else { return };
    texts(&sides);
    places(&sides);
    avro(&sides);
    undecodable(&sides);
    newest(&sides);
}

fn texts(Sides { ctl, reader, .. }: &Sides) {
    // Kafka would delete what is of 1970.
    reader.create("texts", 1, &[("retention.ms", "-1")]);
    let one = ctl.out(&["produce", "texts", "--key", "k", "a b", "-H", "user=me", "-H", "none", "--timestamp", "5000"]);
    assert_eq!(one, "texts: 1 record acknowledged, at 0:0\n");
    let fed =
        ctl.fed(&["produce", "texts", "--key-separator", ":", "--null", "-", "-o", "json"], "x:1\n\ny:a:b\nx:-\n");
    let fed = fed.expect(0).json();
    assert_eq!((&fed["acknowledged"], &fed["records"][2]), (&json!(3), &json!({"partition": 0, "offset": 3})));
    assert_eq!(ctl.out(&["produce", "texts", "--key", "y", "--tombstone", "-o", "name"]), "0:4\n");
    let trial = ctl.run(&["produce", "texts", "p", "q", "--dry-run"]).expect(0);
    assert_eq!(trial.out, "texts: 2 records would be sent\n");
    let all = reader.all("texts");
    let pair = |n: usize| (all[n].key.as_deref(), all[n].value.as_deref());
    assert_eq!(all.len(), 5);
    assert_eq!((pair(0), all[0].timestamp), ((Some(&b"k"[..]), Some(&b"a b"[..])), Some(5000)));
    assert_eq!((all[0].headers.len(), &*all[0].headers[1].0, &all[0].headers[1].1), (2, "none", &None));
    assert_eq!((pair(2), pair(3)), ((Some(&b"y"[..]), Some(&b"a:b"[..])), (Some(&b"x"[..]), None)));
    assert_eq!(pair(4), (Some(&b"y"[..]), None));

    // Those before a wrong one are there, and told.
    let wrong = ctl.fed(&["produce", "texts", "--value-format", "json"], "{}\n{\n[]\n").expect(1);
    assert_eq!(wrong.out, "texts: 1 record acknowledged, at 0:5\n");
    assert!(wrong.err.contains("line 2 of standard input: value: it is no JSON"), "{wrong:?}");
    let near = ctl.run(&["produce", "text", "x"]).expect(1);
    assert!(near.err.contains("did you mean texts?") && near.err.contains("topics create text"), "{near:?}");
    let none = ctl.run(&["produce", "texts", "x", "--partition", "3"]).expect(1);
    assert!(none.err.contains("topic texts has no partition 3; it has 1"), "{none:?}");
    // What Kafka does not take is a failure.
    reader.create("small", 1, &[("max.message.bytes", "500")]);
    let large = ctl.run(&["produce", "small", "fits", &"x".repeat(2000)]).expect(1);
    assert_eq!(large.out, "small: 1 record acknowledged, at 0:0\n");
    assert!(large.err.contains("value 2 was not acknowledged") && large.err.contains("max.message.bytes"), "{large:?}");
    // Neither does it take what is larger than it takes by default; what is sent with it arrives, and is counted.
    let large = format!("first\n{}\nlast\n", "x".repeat(3_000_000));
    reader.create("large", 1, &[]);
    let large = ctl.fed(&["produce", "large"], &large).expect(1);
    let counted: usize = if large.out == "large: 1 record acknowledged, at 0:0\n" { 1 } else { 2 };
    assert!(counted == 1 || large.out == "large: 2 records acknowledged\n", "{large:?}");
    let said = "line 2 of standard input was not acknowledged, and what stands behind was not sent";
    let except = if counted == 2 { " but for 1 record that went with it: " } else { ": " };
    assert!(large.err.contains(&format!("{said}{except}")), "{large:?}");
    assert_eq!(reader.all("large").len(), counted);
    assert!(large.err.contains("connectctl topics config set large max.message.bytes=BYTES"), "{large:?}");
    assert_eq!(large.err.lines().count(), 1, "{large:?}");
    let lost = ctl.run(&["produce", "texts", "x", "--bootstrap-servers", "127.0.0.1:9", "--timeout", "2"]).expect(3);
    assert!(lost.err.contains("127.0.0.1:9") && lost.out.is_empty(), "{lost:?}");
}

fn places(Sides { ctl, reader, .. }: &Sides) {
    let keys = |arguments: &[&str]| {
        let all = [&["consume", "texts", "--until-end", "--template", "{offset}={value}"], arguments].concat();
        ctl.out(&all).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(keys(&[]), ["0=a b", "1=1", "2=a:b", "3=null", "4=null", "5={}"]);
    assert_eq!(keys(&["--from", "4"]), ["4=null", "5={}"]);
    assert_eq!(keys(&["--from", "end"]), [""; 0]);
    assert_eq!(keys(&["--from", "1h", "--max", "2"]), ["1=1", "2=a:b"]);
    assert_eq!(keys(&["--key", "x"]), ["1=1", "3=null"]);
    assert_eq!(keys(&["--key", "/^[ky]$/", "--partition", "0"]), ["0=a b", "2=a:b", "4=null"]);
    let far = ctl.run(&["consume", "texts", "--until-end", "--from", "99"]).expect(0);
    assert!(far.err.contains("texts:0: there is no offset 99; it has those from 0 to 6"), "{far:?}");
    let none = ctl.run(&["consume", "texts", "--partition", "5"]).expect(1);
    assert!(none.err.contains("topic texts has no partition 5; it has 1"), "{none:?}");
    let near = ctl.run(&["consume", "txts"]).expect(1);
    assert!(near.err.contains("did you mean texts?"), "{near:?}");
    let first = &lines(&ctl.out(&["consume", "texts", "--max", "1", "-o", "json"]))[0];
    assert_eq!(
        *first,
        json!({"topic": "texts", "partition": 0, "offset": 0, "time": "1970-01-01T00:00:05.000Z", "timestamp": 5000,
               "key": {"format": "text", "bytes": 1, "value": "k"}, "value": {"format": "text", "bytes": 3, "value": "a b"},
               "headers": [{"name": "user", "value": {"format": "text", "bytes": 2, "value": "me"}},
                           {"name": "none", "value": null}]})
    );
    assert_eq!(ctl.out(&["consume", "texts", "--max", "1"]), "0:0 1970-01-01T00:00:05.000Z k a b\n");
    assert_eq!(ctl.out(&["consume", "texts", "--max", "2", "-o", "name"]), "0:0\n0:1\n");
    // Many records go in several windows, each acknowledged.
    reader.create("many", 3, &[]);
    let input: String = (0..1700).map(|n| format!("k{n}:{n}\n")).collect();
    let sent = ctl.fed(&["produce", "many", "--key-separator", ":"], &input).expect(0);
    assert_eq!(sent.out, "many: 1700 records acknowledged\n");
    assert_eq!(ctl.out(&["consume", "many", "--until-end", "-o", "name"]).lines().count(), 1700);
}

const SCHEMA: &str = r#"{"type":"record","name":"Alarm","namespace":"t","fields":[{"name":"priority","type":{"type":"enum",
    "name":"P","symbols":["P1","P2"]}},{"name":"note","type":["null","string"],"default":null}]}"#;

fn avro(Sides { ctl, reader, .. }: &Sides) {
    reader.create("avro", 1, &[]);
    let dir = tempfile::tempdir().expect("folder");
    let file = dir.path().join("alarm.avsc").display().to_string();
    fs::write(&file, SCHEMA).expect("schema");
    let none = ctl.run(&["produce", "avro", "--value-format", "avro", "{}"]).expect(1);
    assert!(none.err.contains("looking for a schema of subject avro-value"), "{none:?}");
    let trial = ctl.run(&["produce", "avro", "--value-schema", &file, "--dry-run", "{\"priority\": \"P1\"}"]).expect(0);
    assert!(trial.err.contains("would be registered as a version of subject avro-value"), "{trial:?}");
    let done = ctl.out(&[
        "produce",
        "avro",
        "--key",
        "k1",
        "--key-schema",
        "\"string\"",
        "--value-schema",
        &file,
        "{\"priority\": \"P1\"}",
    ]);
    assert_eq!(done, "avro: 1 record acknowledged, at 0:0\n");
    // By now the subject has it.
    ctl.out(&["produce", "avro", "--key", "k2", "--value-format", "avro", "{\"priority\": \"P2\", \"note\": \"n\"}"]);
    ctl.out(&["produce", "avro", "--value-schema", "subject:avro-value@1", "{\"priority\": \"P2\"}"]);
    let records = lines(&ctl.out(&["consume", "avro", "--until-end", "-o", "json"]));
    let (key, value) = (&records[0]["key"], &records[0]["value"]);
    assert_eq!((&key["format"], &key["value"]), (&json!("avro"), &json!("k1")));
    assert_eq!((&value["format"], &value["value"]), (&json!("avro"), &json!({"priority": "P1", "note": null})));
    let id = value["schema_id"].to_string();
    ctl.out(&["produce", "avro", "--value-schema", &id, "{\"priority\": \"P1\", \"note\": {\"string\": \"by id\"}}"]);
    let text = ctl.out(&["consume", "avro", "--until-end", "--template", "{key} {value.priority} {value.note}"]);
    assert_eq!(text, "k1 P1 null\nk2 P2 n\nnull P2 null\nnull P1 by id\n");
    for (value, said) in [
        ("{\"priority\": \"P9\"}", "value 1: value: field priority: P9 is no symbol of t.P: P1, P2"),
        ("{\"priority\": \"P1\", \"note\": 5}", "field note: 5 is no string"),
        ("{\"prio\": \"P1\"}", "the schema has no field prio; it has priority, note"),
        ("{}", "field priority: it is missing and has no default"),
        ("P1", "it is no JSON, of which Avro could be made"),
    ] {
        let wrong = ctl.run(&["produce", "avro", "--value-format", "avro", value]).expect(1);
        assert!(wrong.err.contains(said) && wrong.out.starts_with("avro: 0 records"), "{wrong:?}");
    }
    assert_eq!(reader.all("avro").len(), 4);
    let bad = ctl.run(&["produce", "avro", "--value-schema", "{\"type\": \"rec\"}", "{}"]).expect(1);
    assert!(bad.err.contains("--value-schema: parsing an Avro schema"), "{bad:?}");
}

fn undecodable(Sides { ctl, reader, registry, kafka }: &Sides) {
    reader.create("odd", 1, &[("retention.ms", "-1")]);
    let send = |value: &[u8]| {
        let record = Outgoing {
            topic: "odd",
            partition: Some(0),
            timestamp: Some(0),
            key: None,
            value: Some(value),
            headers: &[],
        };
        reader.send(record);
    };
    send(b"\xff\xfe");
    send(b"\0\0\x0f\x42\x40x");
    send(b"text");
    let format = |format: &str| {
        let run = ctl.run(&["consume", "odd", "--until-end", "--value-format", format, "-o", "json"]).expect(0);
        let problems: Vec<String> =
            lines(&run.out).iter().map(|r| r["value"]["problem"].as_str().unwrap_or_default().to_owned()).collect();
        (problems, run.err)
    };
    let (problems, said) = format("avro");
    assert!(problems[0].contains("does not begin with a zero byte"), "{problems:?}");
    assert!(problems[1].contains("schema 1000000") && problems[2].contains("no Avro"), "{problems:?}");
    assert!(said.contains("3 of 3 records could not be read as what they were said to be"), "{said}");
    let (problems, _) = format("json");
    assert!(problems.iter().all(|p| p.starts_with("no JSON: ")), "{problems:?}");
    let (problems, _) = format("string");
    assert!(problems[0].starts_with("no text: ") && problems[2].is_empty(), "{problems:?}");
    let hex = ctl.out(&["consume", "odd", "--until-end", "--value-format", "hex", "--template", "{value}"]);
    assert_eq!(hex, "fffe\n00000f424078\n74657874\n");
    for command in [&["consume", "odd"][..], &["produce", "odd", "x"]] {
        let both = [command, &["--value-format", "string", "--value-schema", "\"string\""]].concat();
        let both = ctl.run(&both).expect(2);
        assert!(both.err.contains("--value-schema goes with --value-format avro"), "{both:?}");
    }
    let table = ctl.out(&["consume", "odd", "--until-end"]);
    assert!(table.contains("no key fffe (hex, 2 bytes)\n") && table.ends_with("no key text\n"), "{table}");
    // The registry that is not there is told once, and the rest is shown.
    let gone = Ctl::new("http://127.0.0.1:9").env("BOOTSTRAP_SERVERS", &kafka.bootstrap());
    let gone = gone.env("SCHEMA_REGISTRY", "http://127.0.0.1:9").run(&["consume", "avro", "--until-end"]).expect(0);
    assert_eq!(gone.err.matches("what may be Avro is shown in hex").count(), 1, "{gone:?}");
    assert!(gone.out.lines().count() == 4 && !registry.url().is_empty(), "{gone:?}");
}

fn newest(Sides { ctl, reader, kafka, .. }: &Sides) {
    let last = |arguments: &[&str]| {
        ctl.out(&[&["tail", "texts", "--template", "{offset}"], arguments].concat()).replace('\n', " ")
    };
    assert_eq!(last(&["-n", "2"]), "4 5 ");
    assert_eq!(last(&[]), "0 1 2 3 4 5 ");
    assert_eq!(last(&["-n", "1", "--key", "x"]), "3 ");
    // What comes is shown when it comes.
    let dir = tempfile::tempdir().expect("folder");
    let out = dir.path().join("out");
    let mut child = Followed::start(&["tail", "texts", "-n", "1", "-f", "-o", "name"], kafka, &out);
    let shown = |text: &'static str| {
        let out = &out;
        move || (fs::read_to_string(out).unwrap_or_default() == text).then_some(())
    };
    wait("the newest record", SOON, shown("0:5\n"));
    reader.write("texts", "new", Some(b"v"));
    wait("the next one", SOON, shown("0:5\n0:6\n"));
    assert!(child.0.try_wait().expect("child").is_none(), "it goes on");
}

#[test]
fn what_was_acknowledged_is_there_after_an_outage_and_the_rest_is_told() {
    if without("kafka") {
        return;
    }
    let mut kafka = Kafka::start().expect("kafka");
    let reader = Reader::new(&kafka.bootstrap());
    reader.create("t", 1, &[]);
    let dir = tempfile::tempdir().expect("folder");
    let (out, said) = (dir.path().join("out"), dir.path().join("said"));
    let follow = ["tail", "t", "-n", "0", "-f", "--template", "{value}"];
    let _followed = Followed::start_with(&follow, &kafka, &out, fs::File::create(&said).expect("file").into());

    let mut command = Command::new(program("connectctl"));
    command.args(["produce", "t", "-o", "json", "--timeout", "5"]).env("BOOTSTRAP_SERVERS", kafka.bootstrap());
    command.env("CONNECTCTL_CONFIG", "/nonexistent/config.yaml");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("connectctl");
    let mut input = child.stdin.take().expect("input");
    let mut write = |numbers: std::ops::Range<u32>| {
        let text: String = numbers.map(|n| format!("{n}\n")).collect();
        input.write_all(text.as_bytes()).expect("input");
    };
    write(0..2000);
    reader.until("t", SOON, |all| all.len() == 2000);
    kafka.kill9().expect("kill kafka");
    write(2000..2100);
    drop(input);
    let done = child.wait_with_output().expect("connectctl");
    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(3), "{told}");
    assert!(told.contains("line 2001 of standard input") && told.contains("was not acknowledged"), "{told}");
    let result: Json = serde_json::from_slice(&done.stdout).expect("json");
    assert_eq!((&result["acknowledged"], result["records"].as_array().map(Vec::len)), (&json!(2000), Some(2000)));
    let text = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    wait("the outage to be told", SOON, || text(&said).contains("cannot be reached; it is waited for").then_some(()));

    kafka.start_again().expect("kafka again");
    let all = reader.all("t");
    for (n, place) in result["records"].as_array().expect("records").iter().enumerate() {
        let found = all.iter().find(|r| place["offset"] == r.offset).expect("the record is there");
        assert_eq!(found.value.as_deref(), Some(n.to_string().as_bytes()));
    }
    reader.write("t", "k", Some(b"after"));
    wait("what comes afterwards", SOON, || text(&out).ends_with("after\n").then_some(()));
    // Connections are looked at every few seconds, so it may come behind the record.
    wait("its end to be told", SOON, || text(&said).contains("can be reached again").then_some(()));
}

#[test]
fn who_is_interrupted_is_told_how_many_were_acknowledged() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let reader = Reader::new(&kafka.bootstrap());
    reader.create("t", 1, &[]);
    for (format, written) in [("table", 3), ("json", 2)] {
        let before = reader.all("t").len();
        let mut command = Command::new(program("connectctl"));
        command.args(["produce", "t", "-o", format]).env("BOOTSTRAP_SERVERS", kafka.bootstrap());
        command.env("CONNECTCTL_CONFIG", "/nonexistent/config.yaml");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("connectctl");
        // Its end stays open: only the signal ends the program.
        let mut input = child.stdin.take().expect("input");
        let lines: String = (0..written).map(|n| format!("{n}\n")).collect();
        input.write_all(lines.as_bytes()).expect("input");
        reader.until("t", SOON, |all| all.len() == before + written);
        let id = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(id, rustix::process::Signal::INT).expect("interrupted");
        let done = child.wait_with_output().expect("connectctl");
        drop(input);
        let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        assert_eq!(done.status.code(), Some(130), "{out}{err}");
        assert_eq!(err, "connectctl: interrupted; nothing was sent but what is counted\n");
        if format == "json" {
            let told: Json = serde_json::from_str(&out).expect("json");
            assert_eq!(told["acknowledged"], written, "{told}");
        } else {
            assert!(out.starts_with(&format!("t: {written} records acknowledged")), "{out}");
        }
        assert_eq!(reader.all("t").len(), before + written);
    }
}

/// A `connectctl` that does not end by itself.
struct Followed(Child);

impl Followed {
    fn start(arguments: &[&str], kafka: &Kafka, out: &Path) -> Self {
        Self::start_with(arguments, kafka, out, Stdio::inherit())
    }

    fn start_with(arguments: &[&str], kafka: &Kafka, out: &Path, errors: Stdio) -> Self {
        let mut command = Command::new(program("connectctl"));
        command.args(arguments).env("CONNECTCTL_CONFIG", "/nonexistent/config.yaml");
        command.env("BOOTSTRAP_SERVERS", kafka.bootstrap()).stdin(Stdio::null());
        let out = fs::File::create(out).expect("file");
        Self(command.stdout(out).stderr(errors).spawn().expect("connectctl"))
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn what_one_may_not_do_is_told_with_the_right_that_is_missing() {
    if without("kafka") {
        return;
    }
    let settings = [
        ("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"),
        ("super.users", "User:ANONYMOUS"),
    ];
    let kafka = SecureKafka::start_with(&settings).expect("kafka");
    Reader::new(&kafka.bootstrap()).create("private", 1, &[]);
    let dir = tempfile::tempdir().expect("folder");
    let client = dir.path().join("client.properties");
    let text = format!(
        "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=SCRAM-SHA-512\nsasl.jaas.config=\
         org.apache.kafka.common.security.scram.ScramLoginModule required username=\"{}\" password=\"{}\";\n",
        SecureKafka::USER,
        SecureKafka::PASSWORD
    );
    fs::write(&client, text).expect("settings");
    let ctl = Ctl::new("http://127.0.0.1:9").env("BOOTSTRAP_SERVERS", &kafka.sasl_plaintext());
    let ctl = ctl.env("KAFKA_CLIENT_CONFIG", &client.display().to_string());
    for (arguments, said) in [
        (&["topics", "create", "mine"][..], "needs an ACL"),
        (&["topics", "describe", "private"], "tells only of those that you may describe"),
        (&["produce", "private", "x"], "tells only of those that you may describe"),
        (&["brokers", "config", "show"], "needs an ACL with DescribeConfigs"),
    ] {
        let refused = ctl.run(arguments).expect(1);
        assert!(refused.err.contains(said), "{arguments:?}: {refused:?}");
    }
    let described = ctl.json(&["brokers", "describe"]);
    assert_eq!(described[0]["settings"], Json::Null, "{described}");
}

/// The blocks of shell below a heading of the guide.
fn example(heading: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guide/connectctl.md");
    let guide = fs::read_to_string(path).expect("guide");
    let (_, rest) = guide.split_once(&format!("\n### {heading}\n")).unwrap_or_else(|| panic!("{heading} is missing"));
    let section = rest.split("\n#").next().unwrap_or_default();
    let blocks: Vec<&str> = section.split("```sh\n").skip(1).filter_map(|b| b.split("```").next()).collect();
    assert!(!blocks.is_empty(), "{heading} has no example");
    blocks.concat()
}

const PACKET: &str = r#"{"type":"record","name":"alert","namespace":"ztf","fields":[{"name":"candid","type":"long"},
    {"name":"cutoutScience","type":["null",{"type":"record","name":"cutout","fields":[{"name":"fileName","type":"string"},
    {"name":"stampData","type":"bytes"}]}],"default":null}]}"#;

#[test]
fn the_examples_of_the_guide_do_what_they_say() {
    let Some(Sides { kafka, registry, reader, ctl }) = Sides::start() else { return };
    let dir = tempfile::tempdir().expect("folder");
    let tools = program("connectctl");
    let run = |heading: &str| {
        let path =
            format!("{}:{}", tools.parent().expect("folder").display(), std::env::var("PATH").unwrap_or_default());
        let mut shell = Command::new("sh");
        shell.args(["-e", "-c", &example(heading)]).current_dir(dir.path()).env("PATH", path).stdin(Stdio::null());
        shell.env("CONNECTCTL_CONFIG", "/nonexistent/config.yaml").env("BOOTSTRAP_SERVERS", kafka.bootstrap());
        let done = shell.env("SCHEMA_REGISTRY", registry.url()).output().expect("sh");
        assert!(done.status.success(), "{heading}: {done:?}");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        (text(done.stdout), text(done.stderr))
    };
    assert_eq!(run("helloworld").0, "mytopic created\nmytopic: 1 record acknowledged, at 0:0\nhello world\n");
    assert_eq!(run("helloavro").0, "helloavro created\nhelloavro: 1 record acknowledged, at 0:0\ndefault hello\n");

    reader.create("alerts", 1, &[]);
    fs::write(dir.path().join("alert.avsc"), PACKET).expect("schema");
    let packet = |n: u32| {
        format!("{{\"candid\": {n}, \"cutoutScience\": {{\"fileName\": \"{n}.jpg\", \"stampData\": \"/9gA\"}}}}\n")
    };
    let schema = dir.path().join("alert.avsc").display().to_string();
    let sent = ctl.fed(&["produce", "alerts", "--value-schema", &schema], &[packet(1), packet(2)].concat()).expect(0);
    assert_eq!(sent.out, "alerts: 2 records acknowledged\n");
    let shown = lines(&run("printStream").0);
    let alerts: Vec<&Json> = shown.iter().map(|r| &r["value"]["value"]).collect();
    assert_eq!(alerts, [&json!({"candid": 1}), &json!({"candid": 2})]);
    for n in [1, 2] {
        assert_eq!(fs::read(dir.path().join(format!("stamps/{n}.jpg"))).expect("stamp"), [0xff, 0xd8, 0]);
    }
    let (places, ends) = run("monitorStream");
    assert_eq!(places, "0:0\n0:1\n");
    assert!(ends.starts_with("topic:alerts, partition:0, status:end, offset:2, time:20"), "{ends}");
    // As the alert system itself wrote them: without the id of a schema in front.
    reader.create("bare-alerts", 1, &[]);
    let framed = reader.all("alerts")[0].value.clone().expect("value");
    let bare = Outgoing {
        topic: "bare-alerts",
        partition: None,
        timestamp: None,
        key: None,
        value: Some(&framed[5..]),
        headers: &[],
    };
    reader.send(bare);
    let (shown, _) = run("printStream of packets without a schema's id");
    assert_eq!(shown, "1 1.jpg\n");
}
