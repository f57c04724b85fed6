//! Each test server starts, truly works, and comes back with its data.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::time::{Duration, Instant};

use serde_json::json;
use xtask::servers::{
    Certificates, InfluxDb, Ioc, Kafka, Mosquitto, Registry, SecureKafka, Server, VictoriaMetrics, http, without,
};

const PRODUCER: &str = "org.apache.kafka.tools.ProducerPerformance";
const OFFSETS: &str = "org.apache.kafka.tools.GetOffsetShell";

#[test]
fn kafka_keeps_records_across_a_stop_a_kill_and_a_pause() {
    if without("kafka") {
        return;
    }
    let mut kafka = timed("kafka start", Kafka::start).unwrap();
    let bootstrap = kafka.bootstrap();
    let to = format!("bootstrap.servers={bootstrap}");
    let count = ["--topic", "t", "--num-records", "100", "--record-size", "10", "--throughput", "-1"];
    kafka.tool(PRODUCER, &[&count[..], &["--producer-props", &to]].concat()).unwrap();
    let end = |kafka: &Kafka| kafka.tool(OFFSETS, &["--bootstrap-server", &bootstrap, "--topic", "t"]).unwrap();
    assert_eq!(end(&kafka), "t:0:100\n");

    let first = kafka.process().id();
    timed("kafka stop", || kafka.stop()).unwrap();
    assert!(!kafka.process_mut().is_alive().unwrap());
    timed("kafka start again", || kafka.start_again()).unwrap();
    assert_ne!(kafka.process().id(), first);
    assert_eq!(end(&kafka), "t:0:100\n");

    timed("kafka kill", || kafka.kill9()).unwrap();
    timed("kafka start after kill", || kafka.start_again()).unwrap();
    assert_eq!(kafka.bootstrap(), bootstrap);
    assert_eq!(end(&kafka), "t:0:100\n");

    kafka.pause().unwrap();
    assert!(kafka.process_mut().is_alive().unwrap());
    kafka.resume().unwrap();
    assert_eq!(end(&kafka), "t:0:100\n");
    let dir = kafka.process().dir().to_owned();
    timed("kafka drop", || drop(kafka));
    assert!(!dir.exists());
}

#[test]
fn kafka_settings_are_passed_on() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start_with(&[("num.partitions", "7")]).unwrap();
    let topics = "org.apache.kafka.tools.TopicCommand";
    kafka.tool(topics, &["--bootstrap-server", &kafka.bootstrap(), "--create", "--topic", "t"]).unwrap();
    let described = kafka.tool(topics, &["--bootstrap-server", &kafka.bootstrap(), "--describe"]).unwrap();
    assert!(described.contains("PartitionCount: 7"), "{described}");
}

#[test]
fn each_secured_listener_of_kafka_takes_its_clients() {
    if without("kafka") {
        return;
    }
    let server = timed("secure kafka start", Kafka::start_secure).unwrap();
    let dir = server.process().dir();
    let certificates = server.certificates();
    let jaas = |module: &str, password: &str| {
        format!(
            "sasl.jaas.config=org.apache.kafka.common.security.{module} required username=\"{}\" password=\"{password}\";\n",
            SecureKafka::USER
        )
    };
    let scram = |password| format!("sasl.mechanism=SCRAM-SHA-512\n{}", jaas("scram.ScramLoginModule", password));
    let trust = format!("ssl.truststore.type=PEM\nssl.truststore.location={}\n", certificates.ca().display());
    let keystore = format!(
        "ssl.keystore.type=PKCS12\nssl.keystore.location={}\nssl.keystore.password={}\n",
        certificates.client_keystore().display(),
        Certificates::PASSWORD
    );
    let try_with = |listener: &str, protocol: &str, settings: &str| {
        let file = dir.join("client.properties");
        let quick = "max.block.ms=8000\ndelivery.timeout.ms=8000\nrequest.timeout.ms=5000\nlinger.ms=0\n";
        let text = format!("bootstrap.servers={listener}\nsecurity.protocol={protocol}\n{quick}{settings}");
        fs::write(&file, text).unwrap();
        let count = ["--topic", "t", "--num-records", "1", "--record-size", "10", "--throughput", "-1"];
        let printed =
            server.kafka().tool(PRODUCER, &[&count[..], &["--producer.config", file.to_str().unwrap()]].concat());
        // Its exit status does not tell whether records arrived.
        match printed {
            Ok(printed) if printed.starts_with("1 records sent") => Ok(()),
            Ok(printed) => Err(printed),
            Err(error) => Err(error.to_string()),
        }
    };
    try_with(&server.bootstrap(), "PLAINTEXT", "").unwrap();
    try_with(&server.sasl_plaintext(), "SASL_PLAINTEXT", &scram(SecureKafka::PASSWORD)).unwrap();
    let plain = format!("sasl.mechanism=PLAIN\n{}", jaas("plain.PlainLoginModule", SecureKafka::PASSWORD));
    try_with(&server.sasl_plaintext(), "SASL_PLAINTEXT", &plain).unwrap();
    try_with(&server.sasl_ssl(), "SASL_SSL", &(scram(SecureKafka::PASSWORD) + &trust)).unwrap();
    try_with(&server.ssl(), "SSL", &(trust.clone() + &keystore)).unwrap();
    let refused = try_with(&server.sasl_plaintext(), "SASL_PLAINTEXT", &scram("wrong"));
    assert!(refused.as_ref().is_err_and(|error| error.starts_with("0 records sent")), "{refused:?}");
    let refused = try_with(&server.ssl(), "SSL", &trust);
    assert!(refused.as_ref().is_err_and(|error| error.starts_with("0 records sent")), "{refused:?}");
    let encrypted = fs::read_to_string(certificates.encrypted_client_key()).unwrap();
    assert!(encrypted.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"), "{encrypted}");
}

#[test]
fn the_registry_registers_a_schema() {
    if without("registry") {
        return;
    }
    let registry = timed("registry start", Registry::start).unwrap();
    let path = "/apis/ccompat/v7/subjects/t-value/versions";
    assert_eq!(registry.url() + "/subjects/t-value/versions", format!("http://{}{path}", registry.address()));
    let body = json!({"schema": "{\"type\":\"string\"}"}).to_string();
    let headers = [("Content-Type", "application/vnd.schemaregistry.v1+json")];
    let answer = http::request(&registry.address(), "POST", path, &headers, &body).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(http::get(&registry.address(), path).unwrap().body, "[1]");
    timed("registry drop", || drop(registry));
}

#[test]
fn the_ioc_takes_and_gives_values_with_their_alarm_state() {
    if without("ioc") {
        return;
    }
    let records = r#"
record(ao,"T:ai0"){field(VAL,"50") field(PINI,"YES") field(HIHI,"90") field(HHSV,"MAJOR") field(EGU,"V")}
record(bo,"T:bi0"){field(VAL,"1") field(PINI,"YES") field(ZNAM,"OPEN") field(ONAM,"CLOSED") field(ZSV,"MINOR")}
record(stringout,"T:name"){field(VAL,"magnet 1") field(PINI,"YES")}
"#;
    let mut ioc = timed("ioc start", || Ioc::start(records)).unwrap();
    assert_eq!(ioc.addr_list(), format!("127.0.0.1:{}", ioc.server_port()));
    let reading = timed("ioc get", || ioc.get("T:ai0")).unwrap();
    assert_eq!((reading.value, reading.severity, reading.status), (json!(50.0), 0, 0));
    timed("ioc put", || ioc.put("T:ai0", 95)).unwrap();
    let reading = ioc.get("T:ai0").unwrap();
    assert_eq!((reading.value, reading.severity, reading.status), (json!(95.0), 2, 3));
    ioc.put_all(&[("T:bi0", "OPEN"), ("T:name", "magnet 2")]).unwrap();
    let reading = ioc.get("T:bi0").unwrap();
    assert_eq!((reading.value, reading.severity), (json!(0), 1));
    assert_eq!(ioc.get("T:name").unwrap().value, json!("magnet 2"));
    let error = timed("ioc get of nothing", || ioc.get("T:none")).unwrap_err().to_string();
    assert!(error.starts_with("reading epics channel T:none: exit status"), "{error}");

    timed("ioc restart", || ioc.restart()).unwrap();
    assert_eq!(ioc.get("T:ai0").unwrap().value, json!(50.0));
    timed("ioc drop", || drop(ioc));
}

#[test]
fn influxdb_keeps_points_across_a_restart() {
    if without("influxdb") {
        return;
    }
    let mut influxdb = timed("influxdb start", InfluxDb::start).unwrap();
    influxdb.create_database("telemetry").unwrap();
    influxdb.write("telemetry", "beam,area=injector current=1.5 1700000000000000001\n").unwrap();
    let question = "SELECT current, area FROM beam";
    let expected = vec![vec![json!(1_700_000_000_000_000_001_u64), json!(1.5), json!("injector")]];
    assert_eq!(influxdb.rows("telemetry", question).unwrap(), expected);
    timed("influxdb restart", || influxdb.restart()).unwrap();
    assert_eq!(influxdb.rows("telemetry", question).unwrap(), expected);
    timed("influxdb kill", || influxdb.kill9()).unwrap();
    assert!(influxdb.query_json("telemetry", question).is_err());
    influxdb.start_again().unwrap();
    assert_eq!(influxdb.rows("telemetry", question).unwrap(), expected);
    let error = influxdb.query_json("telemetry", "SELECT").unwrap_err().to_string();
    assert!(error.contains("error parsing query"), "{error}");
}

#[test]
fn victoria_metrics_takes_the_second_write_path() {
    if without("victoria-metrics") {
        return;
    }
    let server = timed("victoria-metrics start", VictoriaMetrics::start).unwrap();
    let path = "/api/v2/write?org=o&bucket=b&precision=ms";
    let answer = http::request(&server.address(), "POST", path, &[], "beam current=1.5 1700000000001").unwrap();
    assert_eq!(answer.status, 204);
    let deadline = Instant::now() + Duration::from_secs(10);
    let series = loop {
        let series = server.export("beam_current").unwrap();
        if !series.is_empty() || Instant::now() > deadline {
            break series;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(series[0]["values"], json!([1.5]));
    assert_eq!(series[0]["timestamps"], json!([1_700_000_000_001_u64]));
}

fn timed<T>(what: &str, run: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let result = run();
    eprintln!("{what}: {:.2} s", started.elapsed().as_secs_f64());
    result
}

#[test]
fn mosquitto_keeps_what_it_has_across_a_restart_and_comes_back_after_a_kill() {
    if without("mosquitto") {
        return;
    }
    let mut server = timed("mosquitto start", Mosquitto::start).unwrap();
    let sized = |server: &Mosquitto| fs::metadata(server.process().dir().join("mosquitto.db")).map_or(0, |m| m.len());
    server.publish("a/b", 1, "kept\n", &["-r"]).unwrap();
    timed("mosquitto restart", || server.restart()).unwrap();
    assert!(sized(&server) > 0);
    timed("mosquitto kill", || server.kill9()).unwrap();
    timed("mosquitto start after kill", || server.start_again()).unwrap();
    server.publish("a/b", 2, "again\n", &[]).unwrap();

    let secure = timed("secure mosquitto start", Mosquitto::start_secure).unwrap();
    secure.publish("open/x", 1, "one\n", &[]).unwrap();
    assert!(secure.tls_address().is_some() && secure.certificates().is_some());
}
