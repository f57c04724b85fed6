//! What is asked of servers besides monitoring: metadata, reading, priorities, long texts; beacons; and servers that hang.

mod support;

use std::{collections::HashMap, sync::Arc, time::Duration};

use connect_api::{SourceConnector, SourceTask, config::Config};
use connector_epics::{
    EpicsConfig, EpicsSource,
    ca::{Overrides, beacon::Beacons, search::Request},
    channel::{ChannelId, Event, Subscription, Value},
};
use support::{
    LONG, Monitor, VALUE_AND_ALARM, connector_at,
    ioc::Ioc,
    settings,
    worker::{Worker, poll},
};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

const DATABASE: &str = r#"
record(ao,"T:ai0"){field(VAL,"50") field(PINI,"YES") field(EGU,"degC") field(PREC,"2") field(HIHI,"90") field(HHSV,"MAJOR")}
record(bo,"T:bi0"){field(VAL,"1") field(PINI,"YES") field(ZNAM,"OPEN") field(ONAM,"CLOSED") field(OSV,"MINOR")}
record(lsi,"T:words"){field(SIZV,"200") field(PINI,"YES")
  field(INP,{const:"words that take more room than the forty bytes of a string"})}
record(longout,"T:count"){field(VAL,"0") field(PINI,"YES")}
"#;

async fn start(ioc: &Ioc, more: &[(&str, &str)]) -> (Arc<Worker>, Box<dyn SourceTask>) {
    let settings = connector_at(ioc.address(), more);
    let config = EpicsConfig::parse(&settings).expect("valid settings");
    let worker = Worker::new();
    let task = EpicsSource::start_task(config, worker.context(&settings)).await.expect("the task starts");
    (worker, task)
}

async fn values(task: &mut dyn SourceTask, count: usize) -> Vec<String> {
    poll(task, count).await.iter().map(|r| format!("{} {}", r.key, r.value)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn units_limits_and_labels_come_with_records_and_follow_their_server() {
    let Some(ioc) = Ioc::start(DATABASE) else { return };
    let (_worker, mut task) = start(&ioc, &[("epics.channels", "T:ai0,T:bi0"), ("epics.metadata", "true")]).await;
    let mut first = values(&mut *task, 2).await;
    first.sort();
    assert!(first[0].contains("doubleValues=[50.0],units=degC,precision=2,"), "{first:?}");
    assert!(first[0].contains("alarmHigh=90.0"), "{first:?}");
    assert!(first[1].ends_with("shortValues=[1],labels=[OPEN, CLOSED]}"), "{first:?}");
    // The server says that units have changed; the next value has them.
    ioc.put_all(&[("T:ai0.EGU", "K"), ("T:ai0", "51")]);
    let next = values(&mut *task, 1).await;
    assert!(next[0].contains("doubleValues=[51.0],units=K,"), "{next:?}");

    let more = [("epics.channels", "T:bi0"), ("epics.metadata", "true"), ("epics.mode", "alarms")];
    let message = [("alarm.message", "{{name}} is {{label}}"), ("alarm.registered.topic", "")];
    let (worker, mut task) = start(&ioc, &[&more[..], &message].concat()).await;
    worker.store(&poll(&mut *task, 1).await[0]);
    assert_eq!(worker.alarm("T:bi0").expect("raised").message, "T:bi0 is CLOSED");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn channels_that_are_read_again_and_again_tell_what_has_changed() {
    let Some(ioc) = Ioc::start(DATABASE) else { return };
    let list = r#"[{"name":"T:count","poll.ms":"50"},{"name":"T:ai0","poll.ms":"50","mask":"a"}]"#;
    let (_worker, mut task) = start(&ioc, &[("epics.channels", list)]).await;
    let mut first = values(&mut *task, 2).await;
    first.sort();
    assert_eq!(
        first,
        ["T:ai0 Struct{status=0,severity=0,doubleValues=[50.0]}", "T:count Struct{status=0,severity=0,intValues=[0]}"]
    );
    for n in 1..4 {
        // Of the alarm's channel a value alone is no news.
        ioc.put_all(&[("T:ai0", &format!("5{n}")), ("T:count", &n.to_string())]);
        let next = values(&mut *task, 1).await;
        assert_eq!(next, [format!("T:count Struct{{status=0,severity=0,intValues=[{n}]}}")]);
    }
    ioc.put("T:ai0", 95);
    assert_eq!(values(&mut *task, 1).await, ["T:ai0 Struct{status=3,severity=2,doubleValues=[95.0]}"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_that_is_read_comes_back_with_its_server() {
    let Some(mut ioc) = Ioc::start(DATABASE) else { return };
    let mut monitor = Monitor::of(ioc.address()).await;
    let reading = Subscription { poll: Some(Duration::from_millis(20)), ..VALUE_AND_ALARM.into() };
    let id = monitor.client.add("T:ai0", reading);
    for _ in 0..3 {
        assert_eq!(monitor.update(id).await.value, Value::Double(vec![50.0]), "read again and again");
    }
    ioc.kill();
    monitor.wait("the loss", |event| (*event == Event::Disconnected { id }).then_some(())).await;
    ioc.restart();
    assert_eq!(monitor.update(id).await.value, Value::Double(vec![50.0]));
    // Removed: no reading any more, and the circuit goes on.
    monitor.client.remove(id);
    let fence = monitor.add("T:count");
    monitor.update(fence).await;
    ioc.put("T:count", 7);
    let next = monitor.wait("the update", |event| match event {
        Event::Update { id: found, sample } => Some((*found, sample.value.clone())),
        _ => None,
    });
    assert_eq!(next.await, (fence, Value::Long(vec![7])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_texts_are_read_whole() {
    let Some(ioc) = Ioc::start(DATABASE) else { return };
    let (_worker, mut task) = start(&ioc, &[("epics.channels", "T:words.VAL$")]).await;
    let text = "words that take more room than the forty bytes of a string";
    assert_eq!(
        values(&mut *task, 1).await,
        [format!("T:words.VAL$ Struct{{status=0,severity=0,stringValues=[{text}]}}")]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ioc_that_hangs_is_lost_and_found_again() {
    let Some(mut ioc) = Ioc::start(DATABASE) else { return };
    let overrides =
        Overrides { addr_list: Some(ioc.address().to_string()), connection_timeout: Some(0.5), ..Overrides::default() };
    let mut monitor = Monitor::with(settings(overrides)).await;
    let ids = [monitor.add("T:ai0"), monitor.add("T:count")];
    monitor.updates(ids).await;
    for _ in 0..2 {
        ioc.freeze();
        for _ in ids {
            monitor.wait("the loss", |event| matches!(event, Event::Disconnected { .. }).then_some(())).await;
        }
        ioc.thaw();
        monitor.updates(ids).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beacons_of_an_ioc_that_starts_again_are_heard() {
    let Some(mut ioc) = Ioc::start(DATABASE) else { return };
    let (requests, mut hurries) = mpsc::unbounded_channel();
    let listener = tokio::spawn(Beacons { port: ioc.repeater_port(), requests }.run());
    for restarts in 0..2 {
        let hurry = timeout(LONG, hurries.recv()).await.expect("a beacon in time").expect("the listener runs");
        assert!(matches!(hurry, Request::Hurry), "after {restarts} restarts");
        if restarts == 0 {
            ioc.kill();
            // What came before is no news of the next start.
            while hurries.try_recv().is_ok() {}
            ioc.restart();
        }
    }
    drop(hurries);
    timeout(LONG, listener).await.expect("it ends in time").expect("it ends well");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_channels_of_caproto_are_right_each() {
    const CHANNELS: u32 = 500;
    let names: Vec<String> = (0..CHANNELS).map(|n| format!("C:{n:03}")).collect();
    let value_of = |n: u32| f64::from(n) / 10.0;
    let channels: Vec<(&str, f64)> = (0..).zip(&names).map(|(n, name)| (name.as_str(), value_of(n))).collect();
    let Some(ioc) = Ioc::start_caproto(&channels) else { return };
    let mut monitor = Monitor::of(ioc.address()).await;
    let begun = Instant::now();
    let ids: HashMap<ChannelId, u32> = (0..).zip(&names).map(|(n, name)| (monitor.add(name), n)).collect();
    let mut seen = HashMap::new();
    while seen.len() < ids.len() {
        match monitor.next().await {
            Event::Update { id, sample } => assert!(seen.insert(ids[&id], sample).is_none(), "one each"),
            Event::Connected { count: 1, .. } => {}
            other => panic!("{other:?} of a good channel"),
        }
    }
    eprintln!("{CHANNELS} channels of caproto have their values after {:?}", begun.elapsed());
    for (n, sample) in &seen {
        assert_eq!(sample.value, Value::Double(vec![value_of(*n)]));
        assert_eq!(sample.severity.code(), 0, "{n}");
    }
    // Every other one goes into alarm; each is told once, and the others tell nothing.
    let changes: Vec<(&str, &str)> = names.iter().step_by(2).map(|name| (name.as_str(), "95")).collect();
    let mut changed = HashMap::new();
    ioc.put_all(&changes);
    while changed.len() < changes.len() {
        if let Event::Update { id, sample } = monitor.next().await {
            assert!(changed.insert(ids[&id], sample).is_none(), "one each");
        }
    }
    for (n, sample) in changed {
        assert!(n.is_multiple_of(2), "{n} was not written");
        assert_eq!((sample.value, sample.severity.code()), (Value::Double(vec![95.0]), 2));
    }
}
