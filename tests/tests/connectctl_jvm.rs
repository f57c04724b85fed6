//! What a worker of Kafka Connect cannot do is said with the way out; contexts lead to it; and addresses that are none.

use serde_json::json;
use tocsin_tests::{ctl::Ctl, file, kafka::Reader};
use xtask::servers::{Kafka, KafkaConnect, without};

const SINK: &str = "org.apache.kafka.connect.file.FileStreamSinkConnector";
const STRING: &str = "org.apache.kafka.connect.storage.StringConverter";

#[test]
fn what_a_jvm_worker_cannot_is_said_with_the_way_out() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    Reader::new(&kafka.bootstrap()).create("lines", 1, &[]);
    let dir = tempfile::tempdir().expect("folder");
    let path = |name: &str| dir.path().join(name).display().to_string();
    let offsets = path("offsets");
    let settings =
        [("key.converter", STRING), ("value.converter", STRING), ("offset.storage.file.filename", offsets.as_str())];
    let connect = KafkaConnect::standalone(&kafka.bootstrap(), &settings).expect("kafka connect");

    // A context is all that is needed from here on.
    let contexts = path("config.yaml");
    let ctl = Ctl::new("").env("CONNECTCTL_CONFIG", &contexts);
    let (url, bootstrap) = (format!("url={}", connect.url()), format!("bootstrap.servers={}", kafka.bootstrap()));
    ctl.out(&["context", "set", "jvm", &url, &bootstrap]);
    ctl.out(&["context", "set", "dead", "url=http://127.0.0.1:1"]);
    ctl.out(&["context", "use", "jvm"]);
    assert!(ctl.out(&["context", "list"]).contains("jvm"));
    let text = format!("name: out\nconnector.class: {SINK}\ntopics: lines\nfile: {}\n", path("out.txt"));
    let good = file(dir.path(), "good.yaml", &text);
    assert_eq!(ctl.run(&["apply", "-f", &good, "--wait"]).expect(0).out, "out created\n");
    assert!(ctl.run(&["--context", "dead", "list"]).expect(3).err.contains("http://127.0.0.1:1: connection refused"));
    assert!(ctl.run(&["--context", "jmv", "list"]).expect(1).err.contains("did you mean jvm?"));

    let tried = ctl.run(&["test", "out"]).expect(1);
    let tried_file = ctl.run(&["test", &good]).expect(1);
    for said in [tried, tried_file] {
        assert!(
            said.err.contains("cannot try out connectors") && said.err.contains("connectctl validate -f"),
            "{said:?}"
        );
        assert_eq!(said.err.lines().count(), 1, "{said:?}");
    }
    let counted = ctl.run(&["metrics"]).expect(1);
    assert!(counted.err.contains("has no /metrics") && counted.err.contains("connectctl doctor"), "{counted:?}");
    let logged = ctl.run(&["logs", "out"]).expect(1);
    assert!(
        logged.err.contains("look into its log file") && logged.err.contains("connectctl describe out"),
        "{logged:?}"
    );
    // The ways out are there.
    ctl.run(&["validate", "-f", &good]).expect(0);
    assert!(ctl.out(&["describe", "out"]).contains("RUNNING"));
    ctl.out(&["offsets", "show", "out"]);
    let report = ctl.json(&["doctor", "--fail-on", "warn"]);
    assert!(
        report["findings"].as_array().is_some_and(|f| f.iter().any(|f| f["check"] == "kafka" && f["level"] == "ok"))
    );

    // A plugin that it has not got.
    let create = ["create", "influxdb-sink", "--influxdb", "http://h:8086", "lines"];
    let missing = ctl.run(&create).expect(1);
    let class = "com.datamountaineer.streamreactor.connect.influx.InfluxSinkConnector";
    assert!(missing.err.contains(&format!("the worker has no plugin {class}")), "{missing:?}");
    assert_eq!(ctl.json(&["list"])[0]["name"], "out");

    addresses(&ctl, &kafka);
}

/// Typing errors, and addresses of something else.
fn addresses(ctl: &Ctl, kafka: &Kafka) {
    let unknown = ctl.run(&["stauts"]).expect(2);
    assert!(
        unknown.err.contains("unrecognized subcommand 'stauts'") && unknown.err.contains("'status'"),
        "{unknown:?}"
    );
    for verb in [&["status", "uot"][..], &["describe", "uot"], &["pause", "uot"], &["get", "uot"]] {
        let near = ctl.run(verb).expect(1);
        assert!(near.err.contains("did you mean out?"), "{verb:?}: {near:?}");
    }
    // The port of Kafka itself, and one where nobody listens.
    for (url, part) in [
        (format!("http://{}", kafka.bootstrap()), ""),
        ("http://127.0.0.1:1".into(), "connection refused; is it running?"),
    ] {
        for command in [&["list"][..], &["status"], &["info"], &["logs", "out"], &["metrics"]] {
            let away = ctl.run(&[&["--url", &url, "--timeout", "5"], command].concat()).expect(3);
            assert!(away.err.contains(&url) && away.err.contains(part) && away.err.lines().count() == 1, "{away:?}");
        }
        let report = ctl.run(&["--url", &url, "doctor", "--quick", "--timeout", "5", "-o", "json"]).expect(4).json();
        assert_eq!(report["findings"][0]["level"], json!("fail"), "{report}");
    }
}
