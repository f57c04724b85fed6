//! A task without Kafka: what is counted, stored, taken up again and shown.

use std::sync::Arc;

use connect_api::{
    CancellationToken, Check, PartitionOffset, Rendering, Series, SeriesValue, Settings, SinkConnector, SinkRecord,
    SinkRequest, SinkTask, TopicPartition, Value, config::Config,
};
use connect_testkit::{
    Host,
    sink::{deliver, flush, record, stop},
};
use connector_prometheus::{PrometheusConfig, PrometheusSink};

const METRICS: &str = r#"[
    {"name": "calls_total", "type": "counter", "help": "Calls.", "labels": {"to": "{{value.to}}"}},
    {"name": "calls_seconds_total", "type": "counter", "help": "Time.", "value": "value.seconds"},
    {"name": "last_seconds", "type": "gauge", "help": "Last.", "value": "value.seconds", "labels": {"from": "{{key}}"},
     "tombstones": "drop"}]"#;

fn settings(more: &[(&str, &str)]) -> Settings {
    let mut settings = Settings::from([("prometheus.metrics", METRICS)]);
    settings.extend(&more.iter().copied().collect());
    settings
}

async fn start(host: &Arc<Host>, settings: &Settings) -> (Box<dyn SinkTask>, CancellationToken) {
    let (context, stopping) = host.sink(settings);
    let config = PrometheusConfig::parse(settings).expect("settings");
    (PrometheusSink::start_task(config, context).await.expect("task"), stopping)
}

fn partition() -> TopicPartition {
    TopicPartition { topic: "calls".into(), partition: 0 }
}

fn call(offset: i64, from: &str, to: &str, seconds: impl Into<Value>) -> SinkRecord {
    record("calls", offset, from, Value::map([("to", Value::from(to)), ("seconds", seconds.into())]))
}

/// The series of a metric as lines.
fn shown(host: &Host, metric: &str) -> Vec<String> {
    let line = |series: &Series| {
        let labels: Vec<String> = series.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        match &series.value {
            SeriesValue::Number(n) => format!("{} {n}", labels.join(",")).trim().to_owned(),
            other => panic!("{other:?}"),
        }
    };
    let all = host.shown().all();
    let of_one = |(_, exposition): &(Arc<str>, Arc<dyn connect_api::Exposition>)| {
        let series = exposition.series();
        let families = exposition.families().iter().zip(series);
        families.filter(|(family, _)| *family.name == *metric).flat_map(|(_, series)| series).collect::<Vec<_>>()
    };
    all.iter().flat_map(of_one).map(|series| line(&series)).collect()
}

#[tokio::test]
async fn what_is_stored_is_shown_and_goes_on_where_it_ended() {
    let (host, settings) = (Host::new(), settings(&[]));
    let (mut task, _stopping) = start(&host, &settings).await;
    task.open(&[partition()]).await.expect("opened");
    assert_eq!(host.requests(), [], "nothing is stored: read from where the group stands");
    let records = [call(5, "ann", "bob", 10i64), call(6, "ann", "eve", 20i64), call(7, "bob", "eve", 0.5)];
    deliver(&mut *task, &records, &host).await.expect("put");
    assert_eq!(shown(&host, "calls_total"), [] as [&str; 0], "not stored yet");
    flush(&mut *task, &records).await.expect("flushed");
    assert_eq!(shown(&host, "calls_total"), ["to=bob 1", "to=eve 2"]);
    assert_eq!(shown(&host, "calls_seconds_total"), ["30.5"]);
    assert_eq!(shown(&host, "last_seconds"), ["from=ann 20", "from=bob 0.5"]);

    // Counted, and lost by a kill.
    deliver(&mut *task, &[call(8, "ann", "bob", 1000i64)], &host).await.expect("put");
    drop(task);
    assert!(host.shown().all().is_empty(), "nobody shows it");
    let (mut task, _stopping) = start(&host, &settings).await;
    assert_eq!(shown(&host, "calls_seconds_total"), ["30.5"], "as soon as there is a task");
    task.open(&[partition()]).await.expect("opened");
    let seek = SinkRequest::Seek(vec![PartitionOffset { partition: partition(), offset: 8 }]);
    assert_eq!(host.requests(), [seek]);
    // What comes again although it was counted is passed over, as after a failed flush.
    let again = [call(8, "ann", "bob", 1i64), call(8, "ann", "bob", 1i64), call(9, "ann", "bob", 2i64)];
    deliver(&mut *task, &again, &host).await.expect("put");
    flush(&mut *task, &again).await.expect("flushed");
    assert_eq!(shown(&host, "calls_seconds_total"), ["33.5"]);
    stop(task).await;
}

#[tokio::test]
async fn a_record_that_makes_a_total_infinite_is_a_bad_one() {
    let (host, settings) = (Host::new(), settings(&[]));
    let (mut task, _stopping) = start(&host, &settings).await;
    task.open(&[partition()]).await.expect("opened");
    let calls = [call(0, "ann", "bob", 1.7e308), call(1, "ann", "bob", 1.7e308), call(2, "ann", "bob", 1i64)];
    deliver(&mut *task, &calls, &host).await.expect("put");
    flush(&mut *task, &calls).await.expect("flushed");
    assert_eq!(shown(&host, "calls_total"), ["to=bob 2"], "it changes no metric");
    assert_eq!(shown(&host, "calls_seconds_total"), [1.7e308.to_string()]);
    let reported = host.reported();
    assert!(reported.len() == 1 && reported[0].0 == Some(1), "{reported:?}");
    assert!(reported[0].1.message().contains("calls_seconds_total: its total"), "{reported:?}");
}

#[tokio::test]
async fn a_topic_of_another_id_is_counted_beside_the_old_one() {
    let (host, settings) = (Host::new(), settings(&[]));
    host.topic_id("calls", "first");
    let calls: Vec<SinkRecord> = (0..5).map(|offset| call(offset, "ann", "bob", 1i64)).collect();
    let (mut task, _stopping) = start(&host, &settings).await;
    task.open(&[partition()]).await.expect("opened");
    deliver(&mut *task, &calls[..3], &host).await.expect("put");
    flush(&mut *task, &calls[..3]).await.expect("flushed");
    // While the task runs.
    host.topic_id("calls", "second");
    deliver(&mut *task, &calls[..2], &host).await.expect("put");
    let seek = SinkRequest::Seek(vec![PartitionOffset { partition: partition(), offset: 0 }]);
    assert_eq!(host.requests(), [seek], "so that the worker's positions follow");
    deliver(&mut *task, &calls[..2], &host).await.expect("put");
    flush(&mut *task, &calls[..2]).await.expect("flushed");
    assert_eq!(shown(&host, "calls_total"), ["to=bob 5"]);
    drop(task);
    // While it does not.
    host.topic_id("calls", "third");
    let (mut task, _stopping) = start(&host, &settings).await;
    task.open(&[partition()]).await.expect("opened");
    assert_eq!(host.requests().len(), 1, "read from where the group stands");
    deliver(&mut *task, &calls, &host).await.expect("put");
    deliver(&mut *task, &calls, &host).await.expect("what comes again is passed over");
    flush(&mut *task, &calls).await.expect("flushed");
    assert_eq!(shown(&host, "calls_total"), ["to=bob 10"]);
    drop(task);
    let (mut task, _stopping) = start(&host, &settings).await;
    task.open(&[partition()]).await.expect("opened");
    let seek = SinkRequest::Seek(vec![PartitionOffset { partition: partition(), offset: 5 }]);
    assert_eq!(host.requests().last(), Some(&seek), "the new one's offset");
}

#[tokio::test]
async fn a_topic_that_begins_anew_is_counted_from_its_beginning() {
    let (host, settings) = (Host::new(), settings(&[]));
    let (mut task, _stopping) = start(&host, &settings).await;
    task.open(&[partition()]).await.expect("opened");
    let records = [call(90, "ann", "bob", 10i64)];
    deliver(&mut *task, &records, &host).await.expect("put");
    flush(&mut *task, &records).await.expect("flushed");
    drop(task);
    let (mut task, _stopping) = start(&host, &settings).await;
    task.open(&[partition()]).await.expect("opened");
    // Offset 91 does not exist, so Kafka gives what there is.
    let anew = [call(0, "ann", "bob", 1i64), call(1, "ann", "bob", 2i64)];
    deliver(&mut *task, &anew, &host).await.expect("put");
    let seek = SinkRequest::Seek(vec![PartitionOffset { partition: partition(), offset: 0 }]);
    assert_eq!(host.requests().last(), Some(&seek), "so that the worker's positions follow");
    deliver(&mut *task, &anew, &host).await.expect("put");
    flush(&mut *task, &anew).await.expect("flushed");
    assert_eq!(shown(&host, "calls_seconds_total"), ["13"]);
    drop(task);
    let (mut task, _stopping) = start(&host, &settings).await;
    task.open(&[partition()]).await.expect("opened");
    let seek = SinkRequest::Seek(vec![PartitionOffset { partition: partition(), offset: 2 }]);
    assert_eq!(host.requests().last(), Some(&seek));
    stop(task).await;
}

#[tokio::test]
async fn a_bad_record_changes_nothing_and_is_not_passed_over_unless_tolerated() {
    let (host, settings) = (Host::new(), settings(&[]));
    let (mut task, _stopping) = start(&host, &settings).await;
    task.open(&[partition()]).await.expect("opened");
    let records = [call(0, "ann", "bob", 1i64), call(1, "ann", "bob", "x"), call(2, "ann", "bob", 4i64)];
    assert_eq!(deliver(&mut *task, &records, &host).await.expect("put"), 0, "no put had to be repeated");
    let reported = host.reported();
    assert_eq!(reported.len(), 1);
    assert_eq!(reported[0].0, Some(1));
    assert!(reported[0].1.one_line().contains("value.seconds is \"x\""), "{:?}", reported[0].1);
    flush(&mut *task, &records).await.expect("flushed");
    assert_eq!(shown(&host, "calls_total"), ["to=bob 2"]);

    host.intolerant();
    let more = [call(3, "ann", "bob", 8i64), call(4, "ann", "bob", "x"), call(5, "ann", "bob", 16i64)];
    task.put(&more).await.expect_err("not tolerated");
    flush(&mut *task, &more[..1]).await.expect("flushed");
    drop(task);
    let (mut task, _stopping) = start(&host, &settings).await;
    task.open(&[partition()]).await.expect("opened");
    let seek = SinkRequest::Seek(vec![PartitionOffset { partition: partition(), offset: 4 }]);
    assert_eq!(host.requests().last(), Some(&seek), "the bad record comes again");
    assert_eq!(shown(&host, "calls_seconds_total"), ["13"]);
    stop(task).await;
}

#[tokio::test]
async fn a_flood_of_series_goes_into_one() {
    let (host, settings) = (Host::new(), settings(&[("prometheus.series.max", "3")]));
    let (mut task, _stopping) = start(&host, &settings).await;
    task.open(&[partition()]).await.expect("opened");
    let records: Vec<SinkRecord> =
        (0..10_000).map(|n| call(n, &format!("from-{n}"), &format!("to-{n}"), 1i64)).collect();
    deliver(&mut *task, &records, &host).await.expect("put");
    flush(&mut *task, &records).await.expect("flushed");
    let calls = ["to=__overflow__ 9997", "to=to-0 1", "to=to-1 1", "to=to-2 1"];
    assert_eq!(shown(&host, "calls_total"), calls);
    assert_eq!(shown(&host, "calls_seconds_total"), ["10000"]);
    assert_eq!(shown(&host, "last_seconds"), ["from=from-0 1", "from=from-1 1", "from=from-2 1"]);
    assert_eq!(host.counted("tocsin_prometheus_overflowed_records_total"), 2 * 9997);
    drop(task);
    let (mut task, _stopping) = start(&host, &settings).await;
    task.open(&[partition()]).await.expect("opened");
    let more = [call(10_000, "x", "to-1", 1i64), call(10_001, "x", "to-5000", 1i64)];
    deliver(&mut *task, &more, &host).await.expect("put");
    flush(&mut *task, &more).await.expect("flushed");
    let calls = ["to=__overflow__ 9998", "to=to-0 1", "to=to-1 2", "to=to-2 1"];
    assert_eq!(shown(&host, "calls_total"), calls, "those that there were go on");
    stop(task).await;
}

#[tokio::test]
async fn a_tombstone_drops_the_gauges_of_its_key() {
    let (host, settings) = (Host::new(), settings(&[]));
    let (mut task, _stopping) = start(&host, &settings).await;
    task.open(&[partition()]).await.expect("opened");
    let records = [call(0, "ann", "bob", 1i64), call(1, "bob", "eve", 2i64), record("calls", 2, "ann", Value::Null)];
    deliver(&mut *task, &records, &host).await.expect("put");
    flush(&mut *task, &records).await.expect("flushed");
    assert_eq!(shown(&host, "last_seconds"), ["from=bob 2"]);
    assert_eq!(shown(&host, "calls_seconds_total"), ["3"], "totals stay");
    drop(task);
    let (mut task, _stopping) = start(&host, &settings).await;
    task.open(&[partition()]).await.expect("opened");
    let gone = [record("calls", 3, "bob", Value::Null)];
    deliver(&mut *task, &gone, &host).await.expect("put");
    flush(&mut *task, &gone).await.expect("flushed");
    assert_eq!(shown(&host, "last_seconds"), [] as [&str; 0], "keys are known after a restart, too");
    stop(task).await;
}

#[tokio::test]
async fn series_that_are_idle_go_and_begin_anew() {
    let (host, settings) = (Host::new(), settings(&[("prometheus.series.idle.ms", "300")]));
    let (mut task, _stopping) = start(&host, &settings).await;
    task.open(&[partition()]).await.expect("opened");
    let records = [call(0, "ann", "bob", 1i64)];
    deliver(&mut *task, &records, &host).await.expect("put");
    flush(&mut *task, &records).await.expect("flushed");
    assert_eq!(shown(&host, "calls_total"), ["to=bob 1"]);
    let began = std::time::Instant::now();
    while !shown(&host, "calls_total").is_empty() {
        assert!(began.elapsed().as_secs() < 30, "still shown");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let more = [call(1, "ann", "eve", 1i64)];
    deliver(&mut *task, &more, &host).await.expect("put");
    flush(&mut *task, &more).await.expect("flushed");
    assert_eq!(shown(&host, "calls_total"), ["to=eve 1"]);
    stop(task).await;
}

#[tokio::test(start_paused = true)]
async fn a_commit_is_asked_for_while_there_is_something_to_store() {
    let (host, settings) = (Host::new(), settings(&[("prometheus.totals.interval.ms", "2000")]));
    let (mut task, _stopping) = start(&host, &settings).await;
    task.open(&[partition()]).await.expect("opened");
    let pass = || tokio::time::sleep(std::time::Duration::from_millis(2100));
    pass().await;
    assert_eq!(host.requests(), []);
    let records = [call(0, "ann", "bob", 1i64)];
    deliver(&mut *task, &records, &host).await.expect("put");
    pass().await;
    assert_eq!(host.requests(), [SinkRequest::Commit]);
    pass().await;
    assert_eq!(host.requests().len(), 2, "again, as long as it was not carried out");
    flush(&mut *task, &records).await.expect("flushed");
    pass().await;
    assert_eq!(host.requests().len(), 2);
    stop(task).await;
}

#[tokio::test]
async fn a_test_call_shows_what_a_record_would_do() {
    let settings = settings(&[]);
    let host = Host::new();
    let (context, _stopping) = host.sink(&settings);
    let config = PrometheusConfig::parse(&settings).expect("settings");
    let mut trial = PrometheusSink::start_trial(config, context).await.expect("trial").expect("there is one");
    assert!(matches!(trial.check().await.expect("check"), Check::Passed(_)));
    let rendered = |rendering| match rendering {
        Rendering::Sent(rendered) => rendered.body.expect("a text"),
        Rendering::Nothing(why) => why,
    };
    let text = rendered(trial.render(&call(0, "ann", "bob", 2.5)).expect("rendered"));
    assert_eq!(text, "calls_total{to=\"bob\"} + 1\ncalls_seconds_total + 2.5\nlast_seconds{from=\"ann\"} = 2.5\n");
    let text = rendered(trial.render(&record("calls", 1, "ann", Value::Null)).expect("rendered"));
    assert_eq!(text, "last_seconds: the series of key \"ann\" goes\n");
    assert!(trial.render(&call(0, "ann", "bob", "x")).is_err());
    assert!(host.shown().all().is_empty(), "nothing is counted or shown");
}
