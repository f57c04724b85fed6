//! The first alarm, end to end: an EPICS record goes beyond its limit and the alarm arrives in Kafka, with
//! a reader of JLab's schema and in InfluxDB.

use std::{path::Path, time::Duration};

use tocsin_tests::{
    Connectd,
    avro::{JLAB, Registry, jlab_alarm, jlab_fields},
    file,
    kafka::Reader,
    wait,
};
use xtask::servers::{self, InfluxDb, Ioc, Kafka, without};

const DB: &str = r#"record(ao,"T:ai0"){field(VAL,"50") field(PINI,"YES") field(HIHI,"90") field(HHSV,"MAJOR") field(HIGH,"80") field(HSV,"MINOR")}"#;
const LIMIT: Duration = Duration::from_secs(30);

fn worker(dir: &Path, kafka: &Kafka, registry: &servers::Registry) -> String {
    file(
        dir,
        "worker.yaml",
        &format!(
            "bootstrap.servers: {}\nkey.converter: org.apache.kafka.connect.storage.StringConverter\n\
             value.converter: io.confluent.connect.avro.AvroConverter\nvalue.converter.schema.registry.url: {}\n\
             offset: {{ storage.file.filename: {}, flush.interval.ms: 500 }}\n",
            kafka.bootstrap(),
            registry.url(),
            dir.join("offsets").display()
        ),
    )
}

#[test]
fn an_epics_alarm_reaches_kafka_influxdb_and_the_admin_and_survives_a_restart() {
    if ["kafka", "registry", "ioc", "influxdb"].into_iter().any(without) {
        return;
    }
    let (kafka, registry) = (Kafka::start().expect("kafka"), servers::Registry::start().expect("registry"));
    let (ioc, influx) = (Ioc::start(DB).expect("ioc"), InfluxDb::start().expect("influxdb"));
    influx.create_database("alarms").expect("database");
    let (reader, schemas) = (Reader::new(&kafka.bootstrap()), Registry::new(&registry.url()));
    reader.create("active-alarms", 1, &[("cleanup.policy", "compact")]);
    let dir = tempfile::tempdir().expect("folder");
    let worker = worker(dir.path(), &kafka, &registry);
    let connectors = file(
        dir.path(),
        "alarms.yaml",
        &format!(
            "name: epics-alarms\nconnector.class: epics-source\nepics: {{ mode: alarms, channels: 'T:ai0' }}\n\
             monitor: {{ addr.list: '{}', auto.addr.list: false, repeater.port: {} }}\n---\n\
             name: influxdb-sink\nconnector.class: influxdb-sink\ntopics: [active-alarms]\n\
             influxdb: {{ url: '{}', database: alarms, tags: [_key, priority] }}\n",
            ioc.addr_list(),
            ioc.repeater_port(),
            influx.url()
        ),
    );
    let mut connectd = Connectd::start(&["-c", &worker, &connectors], &dir.path().join("log"));
    connectd.await_state("epics-alarms", "RUNNING");
    connectd.await_state("influxdb-sink", "RUNNING");

    // Beyond the limit: an alarm that a reader with JLab's two fields understands.
    ioc.put("T:ai0", 95).expect("put");
    let raised = reader.latest("active-alarms", "T:ai0", LIMIT, |r| r.is_some_and(|r| r.value.is_some()));
    let fields = schemas.decode(raised.value.as_deref().expect("value"), JLAB);
    assert_eq!(jlab_fields(&fields), ("P2_PROPERTY".into(), false));
    let header = |name: &str| raised.headers.iter().any(|(k, v)| &**k == name && v.is_some());
    assert!(["user", "producer", "host"].into_iter().all(header), "{:?}", raised.headers);
    let rows = wait("a point in InfluxDB", LIMIT, || {
        let rows = influx.rows("alarms", "SELECT severity, status, _key FROM \"active-alarms\"").ok()?;
        (!rows.is_empty()).then_some(rows)
    });
    let texts: Vec<&str> = rows[0].iter().filter_map(|v| v.as_str()).collect();
    assert!(texts.ends_with(&["MAJOR", "HIHI", "T:ai0"]), "{rows:?}");

    // An admin looks.
    let status = std::process::Command::new(tocsin_tests::program("connectctl"))
        .args(["--url", connectd.url(), "status", "influxdb-sink"])
        .output()
        .expect("connectctl");
    let text = String::from_utf8_lossy(&status.stdout);
    assert!(status.status.success() && text.contains("influxdb-sink") && text.contains("RUNNING"), "{text}");

    // Back to normal: a tombstone, which does not fail the sink.
    ioc.put("T:ai0", 50).expect("put");
    reader.latest("active-alarms", "T:ai0", LIMIT, |r| r.is_some_and(|r| r.value.is_none()));

    // Raised again, and acknowledged by a script of JLab's with its own schema.
    ioc.put("T:ai0", 95).expect("put");
    reader.latest("active-alarms", "T:ai0", LIMIT, |r| r.is_some_and(|r| r.value.is_some()));
    let acknowledged = schemas.encode("active-alarms-value", JLAB, jlab_alarm((1, "P2_PROPERTY"), true));
    reader.write("active-alarms", "T:ai0", Some(&acknowledged));

    // Restarted while the channel stays in alarm: the acknowledgement is kept.
    let (took, well) = connectd.terminate();
    assert!(well && took < Duration::from_secs(8), "stopped in {took:?}, well: {well}");
    connectd.start_again();
    connectd.await_state("epics-alarms", "RUNNING");
    // A change that the new process must see shows that it has settled.
    ioc.put("T:ai0", 85).expect("put");
    let minor = reader.latest("active-alarms", "T:ai0", LIMIT, |r| {
        r.and_then(|r| r.value.as_deref()).is_some_and(|v| jlab_fields(&schemas.decode(v, JLAB)).0 == "P3_PRODUCTIVITY")
    });
    let fields = schemas.decode(minor.value.as_deref().expect("value"), JLAB);
    assert!(jlab_fields(&fields).1, "the acknowledgement is kept across restart and de-escalation");

    // Restarted while the channel went back to normal: no ghost alarm.
    connectd.terminate();
    ioc.put("T:ai0", 50).expect("put");
    connectd.start_again();
    reader.latest("active-alarms", "T:ai0", LIMIT, |r| r.is_some_and(|r| r.value.is_none()));
    connectd.await_state("influxdb-sink", "RUNNING");
}

#[test]
fn influxdb_stopped_and_started_loses_nothing_and_fails_nothing() {
    if ["kafka", "influxdb"].into_iter().any(without) {
        return;
    }
    use xtask::servers::Server;
    let (kafka, mut influx) = (Kafka::start().expect("kafka"), InfluxDb::start().expect("influxdb"));
    influx.create_database("t").expect("database");
    let dir = tempfile::tempdir().expect("folder");
    let reader = Reader::new(&kafka.bootstrap());
    reader.create("points", 1, &[]);
    let worker = file(
        dir.path(),
        "worker.properties",
        &format!(
            "bootstrap.servers={}\nkey.converter=StringConverter\nvalue.converter=JsonConverter\nvalue.converter.schemas.enable=false\n\
             offset.storage.file.filename={}\noffset.flush.interval.ms=500\n",
            kafka.bootstrap(),
            dir.path().join("offsets").display()
        ),
    );
    let sink = file(
        dir.path(),
        "sink.json",
        &format!(
            r#"{{"name":"influxdb-sink","config":{{"connector.class":"influxdb-sink","topics":"points","influxdb.url":"{}",
               "influxdb.database":"t","influxdb.tags":"n"}}}}"#,
            influx.url()
        ),
    );
    let connectd = Connectd::start(&["-c", &worker, &sink], &dir.path().join("log"));
    let write = |range: std::ops::Range<u32>| {
        for n in range {
            reader.write("points", "k", Some(format!(r#"{{"n":"{n}","v":{n}}}"#).as_bytes()));
        }
    };
    let count = |influx: &InfluxDb| -> Option<u64> {
        influx.rows("t", "SELECT COUNT(v) FROM points").ok()?.first()?.get(1)?.as_u64()
    };
    write(0..20);
    wait("20 points", LIMIT, || (count(&influx)? == 20).then_some(()));
    influx.stop().expect("stop");
    write(20..40);
    let retrying = wait("the sink to say that it retries", LIMIT, || {
        connectd.get("/connectors/influxdb-sink/status").1["tasks"][0]["detail"]["retrying"].as_str().map(str::to_owned)
    });
    assert!(retrying.contains("refused"), "{retrying}");
    connectd.await_state("influxdb-sink", "RUNNING");
    influx.start_again().expect("start");
    write(40..60);
    wait("60 points", LIMIT, || (count(&influx)? == 60).then_some(()));
    connectd.await_state("influxdb-sink", "RUNNING");
    wait("the retry to be over", LIMIT, || {
        connectd.get("/connectors/influxdb-sink/status").1["tasks"][0]["detail"]["retrying"].is_null().then_some(())
    });
}
