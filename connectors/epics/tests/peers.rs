//! The client against an IOC that guards its records, and against a server that is not EPICS Base's.

mod support;

use connector_epics::{
    alarm::{Severity, Status},
    channel::{ChannelId, Event, Failure, NativeType, Value},
};
use support::{Monitor, ioc::Ioc};

const GUARDED: &str = r#"
record(ao,"T:key"){field(VAL,"0") field(PINI,"YES")}
record(ao,"T:secret"){field(VAL,"5") field(PINI,"YES") field(ASG,"GUARDED")}
"#;

/// What is in the group can be read while T:key is 1.
const ACCESS: &str = r#"
ASG(DEFAULT) { RULE(1,READ) RULE(1,WRITE) }
ASG(GUARDED) { INPA("T:key") RULE(1,READ) { CALC("A=1") } }
"#;

async fn denied(monitor: &mut Monitor, id: ChannelId) {
    let denied = Event::Failed { id, why: Failure::NoReadAccess };
    monitor.wait("the denial", |event| (*event == denied).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ioc_that_denies_access_and_grants_it_is_followed() {
    let Some(ioc) = Ioc::start_secured(GUARDED, ACCESS) else { return };
    let mut monitor = Monitor::of(ioc.address()).await;
    let (secret, open) = (monitor.add("T:secret"), monitor.add("T:key"));
    denied(&mut monitor, secret).await;
    for _ in 0..2 {
        ioc.put("T:key", 1);
        assert_eq!(monitor.update(secret).await.value, Value::Double(vec![5.0]));
        ioc.put("T:key", 0);
        denied(&mut monitor, secret).await;
    }
    ioc.put("T:key", 2);
    let told = |event: &Event| match event {
        Event::Update { id, sample } if *id == open => (sample.value == Value::Double(vec![2.0])).then_some(()),
        Event::Update { id, .. } if *id == secret => panic!("{event:?} of a record that must not be read"),
        _ => None,
    };
    monitor.wait("the open record", told).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn channels_of_caproto_are_monitored_with_their_alarms_and_come_back_after_a_restart() {
    let Some(mut ioc) = Ioc::start_caproto(&[("C:a", 50.0), ("C:b", 1.5)]) else { return };
    let mut monitor = Monitor::of(ioc.address()).await;
    let a = monitor.add("C:a");
    let connected = Event::Connected { id: a, native: NativeType::Double, count: 1, server: Some(ioc.address()) };
    assert_eq!(monitor.next().await, connected);
    let first = monitor.update(a).await;
    assert_eq!(
        (first.value, first.status, first.severity),
        (Value::Double(vec![50.0]), Status::NoAlarm, Severity::NoAlarm)
    );
    for (value, status, severity) in [
        (85.0, Status::High, Severity::Minor),
        (95.0, Status::HiHi, Severity::Major),
        (50.0, Status::NoAlarm, Severity::NoAlarm),
    ] {
        ioc.put("C:a", value);
        let sample = monitor.update(a).await;
        assert_eq!((sample.value, sample.status, sample.severity), (Value::Double(vec![value]), status, severity));
    }
    let b = monitor.add("C:b");
    assert_eq!(monitor.update(b).await.value, Value::Double(vec![1.5]));
    ioc.kill();
    let mut lost = Vec::new();
    while lost.len() < 2 {
        let gone = |event: &Event| match event {
            Event::Disconnected { id } => Some(*id),
            _ => None,
        };
        lost.push(monitor.wait("the loss", gone).await);
    }
    ioc.restart();
    monitor.updates([a, b]).await;
}
