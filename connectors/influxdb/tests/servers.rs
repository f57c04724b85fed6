//! The sink against InfluxDB 1.6 and against VictoriaMetrics, which takes the API of version 2.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::{Duration, Instant};

use connect_api::{ErrorClass, Result, Settings, SinkConnector, SinkTask, Value, config::Config};
use connect_testkit::{
    Host,
    sink::{deliver, record},
};
use connector_influxdb::{InfluxConfig, InfluxSink};
use tokio::runtime::Runtime;
use xtask::servers::{InfluxDb, Server, VictoriaMetrics, without};

fn settings(url: &str, more: &[(&str, &str)]) -> Settings {
    let mut settings = Settings::from([
        ("influxdb.url", url),
        ("http.proxy", "none"),
        ("http.request.timeout.ms", "5000"),
        ("http.connect.timeout.ms", "1000"),
    ]);
    settings.extend(&more.iter().copied().collect());
    settings
}

async fn start(settings: &Settings) -> (Box<dyn SinkTask>, std::sync::Arc<Host>) {
    let host = Host::new();
    let (context, _) = host.sink(settings);
    let config = InfluxConfig::parse(settings).unwrap();
    (InfluxSink::start_task(config, context).await.unwrap(), host)
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn object(members: &[(&str, Value)]) -> Value {
    Value::map(members.iter().map(|(k, v)| (*k, v.clone())))
}

#[test]
fn weird_names_and_values_are_read_back_equal() {
    if without("influxdb") {
        return;
    }
    let influx = InfluxDb::start().unwrap();
    influx.create_database("weird db").unwrap();
    let measurements = ["plain", "a b,c=d", "é☃ \"q'", "back\\slash", " blank ", "-- x", "m=1"];
    let texts =
        ["plain", "a b,c=d", "é☃", "\"q\" 'q'", "c:\\dir\\x", "a\nb\r\nc", "\t tab", "trailing\\", "\\\"", "{}", "#"];
    let names = ["plain", "a b,c=d", "é☃", "\"q\"", "back\\slash", "a.b", "#x", "1", "-"];
    let mut records = Vec::new();
    for measurement in measurements {
        for (i, text) in texts.iter().enumerate() {
            let mut members: Vec<(String, Value)> =
                names.iter().map(|n| (format!("f{n}"), Value::from(*text))).collect();
            members.push(("tag".into(), Value::from(names[i % names.len()])));
            members.push(("measurement".into(), Value::from(measurement)));
            members.push(("i".into(), Value::Int64(i64::MAX)));
            members.push(("x".into(), Value::Float64(-1.5e-300)));
            records.push(record("t", i64::try_from(i).unwrap(), "k e,y=", Value::map(members)));
        }
    }
    let more = [
        ("influxdb.database", "weird db"),
        ("influxdb.measurement", "{{value.measurement}}"),
        ("influxdb.tags", "tag as t a=g,_key"),
        ("influxdb.fields.exclude", "measurement"),
        ("influxdb.batch.lines", "10"),
    ];
    runtime().block_on(async {
        let (mut task, host) = start(&settings(&influx.url(), &more)).await;
        assert_eq!(deliver(&mut *task, &records, &host).await.unwrap(), 0);
        assert!(host.reported().is_empty(), "{:?}", host.reported());
    });
    let mut found = 0;
    let answer = influx.query_json("weird db", "SELECT * FROM /.*/ GROUP BY *").unwrap();
    for series in answer["results"][0]["series"].as_array().unwrap() {
        assert!(measurements.contains(&series["name"].as_str().unwrap()), "{}", series["name"]);
        let tag = series["tags"]["t a=g"].as_str().unwrap();
        assert_eq!(series["tags"]["_key"], "k e,y=");
        let columns: Vec<&str> = series["columns"].as_array().unwrap().iter().map(|c| c.as_str().unwrap()).collect();
        for row in series["values"].as_array().unwrap() {
            let i = usize::try_from(row[0].as_i64().unwrap() / 1_000_000_000).unwrap();
            assert_eq!(tag, names[i % names.len()]);
            for (column, value) in columns.iter().zip(row.as_array().unwrap()).skip(1) {
                match *column {
                    "i" => assert_eq!(value.as_i64(), Some(i64::MAX)),
                    "x" => assert_eq!(value.as_f64(), Some(-1.5e-300)),
                    name => {
                        assert!(names.contains(&&name[1..]), "{name}");
                        assert_eq!(value.as_str(), Some(texts[i]));
                        found += 1;
                    }
                }
            }
        }
    }
    assert_eq!(found, measurements.len() * texts.len() * names.len());
}

#[test]
fn a_type_conflict_is_isolated_and_all_others_are_written() {
    if without("influxdb") {
        return;
    }
    let influx = InfluxDb::start().unwrap();
    influx.create_database("d").unwrap();
    influx.write("d", "t v=1i 1").unwrap();
    let records: Vec<_> = (0..100)
        .map(|i| {
            let v = match i {
                17 | 18 => Value::from("text"),
                60 => Value::Null,
                _ => Value::Int64(i),
            };
            let value =
                object(&[("v", v), ("time", Value::from(if i == 70 { "never" } else { "1970-01-02T00:00:00Z" }))]);
            record("t", i, format!("k{i}"), value)
        })
        .collect();
    let more = [("influxdb.database", "d"), ("influxdb.tags", "_key as k"), ("influxdb.time.field", "time")];
    runtime().block_on(async {
        let (mut task, host) = start(&settings(&influx.url(), &more)).await;
        deliver(&mut *task, &records, &host).await.unwrap();
        let reported = host.reported();
        let mut offsets: Vec<i64> = reported.iter().filter_map(|(offset, _)| *offset).collect();
        offsets.sort_unstable();
        assert_eq!(offsets, [17, 18, 70], "60 has nothing to write");
        let conflict = reported.iter().find(|(offset, _)| *offset == Some(17)).unwrap().1.one_line();
        assert!(conflict.contains("(influxdb.url): the server answered 400"), "{conflict}");
        assert!(conflict.contains("field type conflict"), "{conflict}");
    });
    assert_eq!(influx.rows("d", "SELECT v FROM t WHERE time > 1h").unwrap().len(), 96);
}

#[test]
fn a_restarting_server_is_waited_for_and_wrong_names_are_fatal() {
    if without("influxdb") {
        return;
    }
    let mut influx = InfluxDb::start().unwrap();
    influx.create_database("d").unwrap();
    let one = |offset| [record("t", offset, "k", object(&[("v", Value::Int64(offset))]))];
    let runtime = runtime();
    let put = |more: &[(&str, &str)], offset| -> Result<()> {
        runtime.block_on(async { start(&settings(&influx.url(), more)).await.0.put(&one(offset)).await })
    };
    let e = put(&[("influxdb.database", "nope")], 1).unwrap_err();
    assert_eq!(e.class(), ErrorClass::Fatal);
    let url = influx.url();
    let expected = format!("writing 1 points to database nope at {url} (influxdb.url): create it");
    assert!(e.message().starts_with(&expected), "{e:?}");
    let e = put(&[("influxdb.database", "d"), ("influxdb.retention.policy", "nope")], 1).unwrap_err();
    assert_eq!(e.class(), ErrorClass::Fatal, "{e:?}");

    let (mut task, host) = runtime.block_on(start(&settings(&influx.url(), &[("influxdb.database", "d")])));
    runtime.block_on(task.put(&one(1))).unwrap();
    influx.process_mut().kill9().unwrap();
    let e = runtime.block_on(task.put(&one(2))).unwrap_err();
    assert_eq!(e.class(), ErrorClass::Retriable, "{e:?}");
    assert!(e.message().contains(&format!("at {url} (influxdb.url)")), "{e:?}");
    influx.process_mut().start().unwrap();
    runtime.block_on(deliver(&mut *task, &one(2), &host)).unwrap();
    influx.pause().unwrap();
    let (mut impatient, _) = runtime
        .block_on(start(&settings(&influx.url(), &[("influxdb.database", "d"), ("http.request.timeout.ms", "300")])));
    let e = runtime.block_on(impatient.put(&one(3))).unwrap_err();
    assert_eq!(e.class(), ErrorClass::Retriable, "{e:?}");
    influx.resume().unwrap();
    runtime.block_on(deliver(&mut *task, &one(3), &host)).unwrap();
    let values: Vec<_> = influx.rows("d", "SELECT v FROM t").unwrap().iter().map(|row| row[1].as_i64()).collect();
    assert_eq!(values, [Some(1), Some(2), Some(3)]);
}

#[test]
fn tombstones_are_ignored_or_marked() {
    if without("influxdb") {
        return;
    }
    let influx = InfluxDb::start().unwrap();
    influx.create_database("d").unwrap();
    let records = [
        record("t", 1, "a", object(&[("v", Value::Boolean(true))])),
        record("t", 2, "a", Value::Null),
        record("t", 3, "b", object(&[("v", Value::Boolean(false))])),
    ];
    let runtime = runtime();
    let write = |more: &[(&str, &str)]| {
        runtime.block_on(async {
            let mut all = vec![("influxdb.database", "d"), ("influxdb.tags", "_key as k")];
            all.extend(more);
            let (mut task, host) = start(&settings(&influx.url(), &all)).await;
            assert_eq!(deliver(&mut *task, &records, &host).await.unwrap(), 0);
        });
    };
    write(&[("influxdb.gzip", "false")]);
    assert_eq!(influx.rows("d", "SELECT * FROM t").unwrap().len(), 2);
    write(&[("influxdb.tombstones", "marker")]);
    let rows = influx.rows("d", "SELECT k, tombstone FROM t WHERE tombstone = true").unwrap();
    assert_eq!((rows.len(), rows[0][0].as_i64(), rows[0][1].as_str()), (1, Some(2_000_000_000), Some("a")));
}

#[test]
fn version_2_is_written_with_its_path_and_precision() {
    if without("victoria-metrics") {
        return;
    }
    let victoria = VictoriaMetrics::start().unwrap();
    // VictoriaMetrics takes time 0 for none.
    let records: Vec<_> = (1..11)
        .map(|i| record("t", i, "k", object(&[("v", Value::Int64(i)), ("at", Value::Int64(1_700_000_000 + i))])))
        .collect();
    let common =
        [("influxdb.version", "2"), ("influxdb.bucket", "b"), ("influxdb.org", "o"), ("influxdb.token", "secret")];
    runtime().block_on(async {
        for more in
            [&[("influxdb.time.field", "at"), ("influxdb.time.unit", "s"), ("influxdb.measurement", "timed")][..], &[]]
        {
            let all: Vec<_> = common.iter().chain(more).copied().collect();
            let (mut task, host) = start(&settings(&victoria.url(), &all)).await;
            assert_eq!(deliver(&mut *task, &records, &host).await.unwrap(), 0);
        }
    });
    let times = |selector: &str| -> Vec<i64> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let series = victoria.export(selector).unwrap();
            if let Some(times) = series.first().and_then(|s| s["timestamps"].as_array())
                && times.len() == 10
            {
                return times.iter().map(|t| t.as_i64().unwrap()).collect();
            }
            assert!(Instant::now() < deadline, "{selector}: {series:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    assert_eq!(times("timed_v")[9], 1_700_000_010_000);
    assert_eq!(times("t_v")[9], 10_000);
}
