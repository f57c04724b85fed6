//! `connectctl create influxdb-sink`: from kafkaefd's options to points in a real InfluxDB.

use std::fs;

use serde_json::json;
use tocsin_tests::{Connectd, ctl::Ctl, sides::SOON, wait};
use xtask::servers::{InfluxDb, without};

#[test]
fn kafkaefds_options_make_a_connector_that_writes() {
    if without("influxdb") {
        return;
    }
    let influx = InfluxDb::start().expect("influxdb");
    influx.create_database("efd").expect("database");
    let dir = tempfile::tempdir().expect("folder");
    let connectd = Connectd::start(&[], &dir.path().join("log"));
    let ctl = Ctl::new(connectd.url()).env("INFLUXDB", &influx.url()).env("INFLUXDB_PASSWORD", "hush");
    let source = json!({ "connector.class": "datagen-source", "topics": "numbers", "datagen.rate": "50",
        "datagen.model": "n: sequence\ntext: letters\n" });
    assert_eq!(connectd.send("PUT", "/connectors/numbers/config", Some(&source)).0, 201);

    // Nothing but a question is sent of a dry run, and no secret is shown.
    let tried = ctl.out(&["create", "influxdb-sink", "--dry-run", "-t", "2", "numbers", "more.of-them"]);
    assert!(
        tried.starts_with("influxdb-sink would be created:\n") && tried.contains("\ntasks.max: \"2\"\n"),
        "{tried}"
    );
    assert!(tried.contains("INSERT INTO more.of-them SELECT * FROM more.of-them WITHTIMESTAMP sys_time();"), "{tried}");
    assert!(!tried.contains("hush"), "{tried}");
    assert_eq!(ctl.out(&["list", "-o", "name"]), "numbers\n");

    let made = ctl.run(&["create", "influxdb-sink", "numbers", "--wait"]).expect(0);
    assert_eq!(made.out, "influxdb-sink created\n");
    assert!(made.err.contains("influxdb-sink: RUNNING, 1 of 1 tasks running"), "{made:?}");
    wait("points in the database", SOON, || {
        let rows = influx.rows("efd", "SELECT count(n) FROM numbers").expect("rows");
        rows.first().and_then(|row| row.get(1)?.as_i64()).filter(|n| *n > 0)
    });
    let again = ctl.run(&["create", "influxdb-sink", "numbers"]).expect(1);
    assert!(again.err.contains("connector influxdb-sink already exists; connectctl edit influxdb-sink"), "{again:?}");
    assert_eq!(ctl.out(&["create", "influxdb-sink", "numbers", "--name", "second"]), "second created\n");

    // What the worker refuses is not created, and what may be wrong is said before.
    let wrong = ctl.run(&["create", "influxdb-sink", "numbers", "--name", "bad", "-d", ""]).expect(1);
    assert!(wrong.err.contains("connect.influx.db: "), "{wrong:?}");
    assert_eq!(ctl.run(&["create", "influxdb-sink", "nu mbers"]).code, 2);
    assert_eq!(ctl.run(&["create", "influxdb-sink"]).code, 2);
    assert_eq!(Ctl::new(connectd.url()).run(&["create", "influxdb-sink", "numbers"]).code, 2, "no server is guessed");
    assert!(!ctl.out(&["list", "-o", "name"]).contains("bad"));

    // A file instead, which apply takes.
    let path = dir.path().join("sink.yaml").display().to_string();
    let written = ctl.out(&["create", "influxdb-sink", "numbers", "--name", "third", "-f", &path]);
    assert!(written.contains(&format!("next: connectctl test {path}, connectctl apply -f {path}")), "{written}");
    let text = fs::read_to_string(&path).expect("file");
    assert!(text.starts_with("name: third\nconnector.class: ") && text.contains("\ntopics: numbers\n"), "{text}");
    assert_eq!(ctl.out(&["apply", "-f", &path]), "third created\n");
    assert_eq!(ctl.run(&["create", "influxdb-sink", "numbers", "--name", "third", "-f", &path]).code, 1);
}
