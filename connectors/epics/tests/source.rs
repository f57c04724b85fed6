//! The connector's tasks over simulated channels and over an EPICS IOC, without Kafka.

mod support;

use std::{sync::Arc, time::Duration};

use connect_api::{
    CancellationToken, Connector, ConnectorContext, Settings, SourceConnector, SourceRecord, SourceTask, config::Config,
};
use connector_alarm::{Alarm, Change, Priority};
use connector_epics::{EpicsConfig, EpicsSource};
use support::{
    LONG, connector_at,
    ioc::Ioc,
    worker::{Worker, poll},
};
use tokio::time::{Instant, timeout};

const DATABASE: &str = r#"
record(ao,"T:ai0"){field(VAL,"50") field(PINI,"YES") field(HIHI,"90") field(HHSV,"MAJOR") field(HIGH,"80") field(HSV,"MINOR")}
record(ao,"T:ai1"){field(VAL,"85") field(PINI,"YES") field(HIHI,"90") field(HHSV,"MAJOR") field(HIGH,"80") field(HSV,"MINOR")}
"#;

fn settings(entries: &[(&str, &str)]) -> Settings {
    entries.iter().copied().collect()
}

fn simulated(mode: &str, channels: &str) -> Settings {
    settings(&[("epics.provider", "simulation"), ("epics.mode", mode), ("epics.channels", channels)])
}

fn at_ioc(ioc: &Ioc, mode: &str, channels: &str) -> Settings {
    let own = [
        ("epics.channels", channels),
        ("epics.mode", mode),
        ("epics.connect.timeout.ms", "1000"),
        ("alarm.message", "{{name}} is {{status}} ({{value}})"),
    ];
    connector_at(ioc.address(), &own)
}

async fn start(worker: &Arc<Worker>, settings: &Settings) -> Box<dyn SourceTask> {
    let config = EpicsConfig::parse(settings).expect("valid settings");
    EpicsSource::start_task(config, worker.context(settings)).await.expect("the task starts")
}

/// Polls so many alarms and stores them.
async fn alarms(worker: &Worker, task: &mut dyn SourceTask, count: usize) -> Vec<String> {
    let records = poll(task, count).await;
    records.iter().for_each(|record| worker.store(record));
    records.iter().map(show).collect()
}

fn show(record: &SourceRecord) -> String {
    if record.value.is_null() {
        return format!("{} clear", record.key);
    }
    let alarm = Alarm::from_value(&record.value);
    let acknowledged = if alarm.acknowledged { " acknowledged" } else { "" };
    format!("{} {} {} {}{acknowledged}", record.key, alarm.priority, alarm.severity, alarm.status)
}

fn raised(source: &str, acknowledged: bool) -> Change {
    let severity = "MINOR".to_owned();
    let alarm = Alarm::new(Priority::Productivity);
    Change::Write(Alarm { source: source.to_owned(), severity, status: "HIGH".into(), acknowledged, ..alarm })
}

#[tokio::test(start_paused = true)]
async fn simulated_changes_go_to_their_topics() {
    let channels = r#"[{"name":"T:ramp","simulate":"ramp,low=0,high=10,period=10s,interval=1s","topic":"ramps","outkey":"r"},
        {"name":"T:walk","simulate":"walk"}]"#;
    let worker = Worker::new();
    let mut task = start(&worker, &simulated("changes", channels)).await;
    let records = poll(&mut *task, 6).await;
    let ramp: Vec<_> = records.iter().filter(|r| &*r.topic == "ramps").collect();
    assert!(ramp.iter().all(|r| r.key.as_str() == Some("r") && r.timestamp.is_some()));
    let schema = ramp[0].value_schema.as_ref().expect("a schema");
    assert_eq!((schema.name(), schema.version()), (Some("org.jlab.kafka.connect.EPICS_CA_DBR"), Some(1)));
    assert!(records.iter().any(|r| &*r.topic == "epics" && r.key.as_str() == Some("T:walk")));
    task.stop().await.expect("it stops");
}

#[tokio::test(start_paused = true)]
async fn simulated_alarms_are_written_when_they_change_only() {
    let channels = "T:ramp=ramp,high=100,period=10s,interval=100ms,high_alarm=80.5,hihi=90.5";
    let worker = Worker::new();
    let mut task = start(&worker, &simulated("alarms", channels)).await;
    let begun = Instant::now();
    let seen = alarms(&worker, &mut *task, 6).await;
    let round = ["T:ramp P3_PRODUCTIVITY MINOR HIGH", "T:ramp P2_PROPERTY MAJOR HIHI", "T:ramp clear"];
    assert_eq!(seen, [round, round].concat());
    assert!(begun.elapsed() >= Duration::from_secs(19), "two periods of 100 updates each");
    assert_eq!(worker.alarm("T:ramp"), None);
}

#[tokio::test(start_paused = true)]
async fn at_the_start_ghosts_are_cleared_and_acknowledgements_kept() {
    let worker = Worker::new();
    worker.write("T:high", &raised("epics", true));
    worker.write("T:normal", &raised("epics", false));
    worker.write("T:gone", &raised("epics", false));
    worker.write("other", &raised("somebody", false));
    let channels = "T:high=sine,low=50,high=51,high_alarm=0;T:normal=sine;T:new=sine,low=50,high=51,hihi=0";
    let mut task = start(&worker, &simulated("alarms", channels)).await;
    let mut seen = alarms(&worker, &mut *task, 3).await;
    seen.sort();
    assert_eq!(seen, ["T:gone clear", "T:new P2_PROPERTY MAJOR HIHI", "T:normal clear"]);
    assert!(worker.alarm("T:high").is_some_and(|alarm| alarm.acknowledged));
    assert!(worker.alarm("other").is_some());
    assert!(timeout(Duration::from_secs(60), task.poll()).await.is_err(), "there is nothing else to say");
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_that_came_too_late_is_cleared_again() {
    let worker = Worker::new();
    let mut task = start(&worker, &simulated("alarms", "T:a=sine")).await;
    assert!(timeout(Duration::from_secs(5), task.poll()).await.is_err(), "all is well");
    worker.write("T:a", &raised("epics", true));
    assert_eq!(alarms(&worker, &mut *task, 1).await, ["T:a clear"]);
}

#[tokio::test(start_paused = true)]
async fn records_come_no_faster_than_asked_for() {
    let worker = Worker::new();
    let mut settings = simulated("changes", "T:a=sine");
    settings.set("monitor.poll.millis", "3000");
    let mut task = start(&worker, &settings).await;
    let begun = Instant::now();
    poll(&mut *task, 1).await;
    poll(&mut *task, 1).await;
    let second = poll(&mut *task, 1).await;
    assert!(begun.elapsed() >= Duration::from_secs(6));
    assert_eq!(second.len(), 1, "only the newest value waits");
}

#[tokio::test]
async fn tasks_share_the_channels() {
    let shares = async |key, value, max| -> Vec<String> {
        let settings = settings(&[(key, value)]);
        let context =
            ConnectorContext { name: "epics".into(), settings: settings.clone(), stopping: CancellationToken::new() };
        let config = EpicsConfig::parse(&settings).expect("valid settings");
        let connector = EpicsSource::start(config, context).await.expect("it starts");
        let tasks = connector.task_configs(max).expect("task settings");
        tasks.iter().map(|t| t.get("task.share").expect("a share").to_owned()).collect()
    };
    assert_eq!(shares("epics.channels", "a,b,c,d,e", 1).await, ["0/1"]);
    assert_eq!(shares("epics.channels", "a,b,c,d,e", 2).await, ["0/2", "1/2"]);
    assert_eq!(shares("epics.channels", "a,b{1..2}", 9).await, ["0/3", "1/3", "2/3"]);
    assert_eq!(shares("command.topic", "commands", 3).await, ["0/3", "1/3", "2/3"], "channels may come");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alarms_of_an_ioc_follow_its_records() {
    let Some(mut ioc) = Ioc::start(DATABASE) else { return };
    let worker = Worker::new();
    let settings = at_ioc(&ioc, "alarms", "T:ai0,T:ai1,T:missing");
    let mut task = start(&worker, &settings).await;
    let mut first = alarms(&worker, &mut *task, 2).await;
    first.sort();
    assert_eq!(first, ["T:ai1 P3_PRODUCTIVITY MINOR HIGH", "T:missing P2_PROPERTY INVALID COMM"]);

    ioc.put("T:ai0", 95);
    assert_eq!(alarms(&worker, &mut *task, 1).await, ["T:ai0 P2_PROPERTY MAJOR HIHI"]);
    let alarm = worker.alarm("T:ai0").expect("it is raised");
    assert_eq!((&*alarm.message, alarm.value.as_deref()), ("T:ai0 is HIHI (95.0)", Some("95.0")));
    assert!(alarm.raised.is_some_and(|ms| (ms - connect_api::time::now_ms()).abs() < 60_000));
    worker.write("T:ai0", &Change::Write(Alarm { acknowledged: true, ..alarm }));
    ioc.put("T:ai0", 85);
    assert_eq!(alarms(&worker, &mut *task, 1).await, ["T:ai0 P3_PRODUCTIVITY MINOR HIGH acknowledged"]);
    ioc.put("T:ai0", 95);
    assert_eq!(alarms(&worker, &mut *task, 1).await, ["T:ai0 P2_PROPERTY MAJOR HIHI"], "escalation");

    // A restarted task finds what it knows, and tells what has changed meanwhile.
    task.stop().await.expect("it stops");
    ioc.put("T:ai1", 50);
    let mut task = start(&worker, &settings).await;
    assert_eq!(alarms(&worker, &mut *task, 1).await, ["T:ai1 clear"]);

    ioc.kill();
    let mut lost = alarms(&worker, &mut *task, 2).await;
    lost.sort();
    assert_eq!(lost, ["T:ai0 P2_PROPERTY INVALID COMM", "T:ai1 P2_PROPERTY INVALID COMM"]);
    ioc.restart();
    let mut back = alarms(&worker, &mut *task, 2).await;
    back.sort();
    assert_eq!(back, ["T:ai0 clear", "T:ai1 P3_PRODUCTIVITY MINOR HIGH"], "the records start anew");
    let begun = Instant::now();
    timeout(LONG, task.stop()).await.expect("it stops in time").expect("it stops");
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_consumer_misses_values_but_no_alarm() {
    let Some(ioc) = Ioc::start(DATABASE) else { return };
    let worker = Worker::new();
    let mut task = start(&worker, &at_ioc(&ioc, "both", "T:ai0")).await;
    // An IOC serves records before it has processed them for the first time.
    let is_normal = |r: &SourceRecord| &*r.topic == "epics" && r.value.to_string().contains("severity=0");
    while !poll(&mut *task, 1).await.last().is_some_and(is_normal) {}
    // Nobody polls meanwhile.
    let flapping: Vec<_> =
        (0..40).flat_map(|_| [("T:ai0", "95"), ("T:ai0", "96"), ("T:ai0", "97"), ("T:ai0", "50")]).collect();
    ioc.put_all(&flapping);
    let mut records = Vec::new();
    let mut severities = Vec::new();
    while severities.len() < 80 {
        let batch = poll(&mut *task, 1).await;
        severities.extend(batch.iter().filter(|r| &*r.topic == "active-alarms").map(show));
        records.extend(batch);
    }
    assert_eq!(severities, ["T:ai0 P2_PROPERTY MAJOR HIHI", "T:ai0 clear"].repeat(40));
    let values = records.iter().filter(|r| &*r.topic == "epics").count();
    assert!((80..=120).contains(&values), "{values} values");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_an_ioc_carry_its_time_and_losses_are_told_once() {
    let Some(mut ioc) = Ioc::start(DATABASE) else { return };
    let worker = Worker::new();
    let mut task = start(&worker, &at_ioc(&ioc, "changes", "T:ai1,T:missing")).await;
    let text = |record: &SourceRecord| format!("{} {}", record.key, record.value);
    let first = poll(&mut *task, 2).await;
    assert_eq!(text(&first[0]), "T:ai1 Struct{status=4,severity=1,doubleValues=[85.0]}");
    assert_eq!(text(&first[1]), "T:missing Struct{error=Never Connected}");
    let before = connect_api::time::now_ms();
    ioc.put("T:ai1", 86);
    let update = poll(&mut *task, 1).await;
    assert_eq!(text(&update[0]), "T:ai1 Struct{status=4,severity=1,doubleValues=[86.0]}");
    assert!(update[0].timestamp.is_some_and(|ms| ms >= before - 5), "the time of processing");
    ioc.kill();
    assert_eq!(text(&poll(&mut *task, 1).await[0]), "T:ai1 Struct{error=Disconnected}");
    ioc.restart();
    assert_eq!(text(&poll(&mut *task, 1).await[0]), "T:ai1 Struct{status=4,severity=1,doubleValues=[85.0]}");
}
