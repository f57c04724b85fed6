//! The client against an EPICS IOC.

mod support;

use std::{
    fmt::Write as _,
    net::SocketAddr,
    time::{Duration, Instant},
};

use connector_epics::{
    alarm::{Severity, Status},
    ca::{
        Overrides,
        dbr::{Control, Range, control_type, decode_control},
        link::Link,
        protocol::{Frame, Reply, Request},
    },
    channel::{Event, Failure, Mask, NativeType, Sample, Timestamp, Value},
};
use support::{LONG, Monitor, ioc::Ioc, settings};
use tokio::time::timeout;

const DATABASE: &str = r#"
record(ao,"T:ai0"){field(VAL,"50") field(PINI,"YES") field(EGU,"degC") field(PREC,"2") field(HOPR,"120") field(LOPR,"-20")
  field(DRVH,"110") field(DRVL,"-10") field(HIHI,"90") field(HHSV,"MAJOR") field(HIGH,"80") field(HSV,"MINOR")
  field(LOW,"20") field(LSV,"MINOR") field(LOLO,"10") field(LLSV,"MAJOR")}
record(bo,"T:bi0"){field(VAL,"1") field(PINI,"YES") field(ZNAM,"OPEN") field(ONAM,"CLOSED") field(OSV,"MINOR")}
record(longout,"T:long"){field(VAL,"-70000") field(PINI,"YES")}
record(stringout,"T:text"){field(VAL,"hello world") field(PINI,"YES")}
record(mbbo,"T:state"){field(ZRST,"IDLE") field(ONST,"BUSY") field(TWST,"FAULT") field(VAL,"2") field(TWSV,"MAJOR") field(PINI,"YES")}
record(waveform,"T:floats"){field(FTVL,"FLOAT") field(NELM,"3") field(INP,[1.5,-2.5,3.5]) field(PINI,"YES")}
record(waveform,"T:shorts"){field(FTVL,"SHORT") field(NELM,"3") field(INP,[1,-2,3]) field(PINI,"YES")}
record(waveform,"T:bytes"){field(FTVL,"CHAR") field(NELM,"10") field(INP,[104,105,200]) field(PINI,"YES")}
record(waveform,"T:texts"){field(FTVL,"STRING") field(NELM,"4") field(INP,["one","two"]) field(PINI,"YES")}
record(waveform,"T:empty"){field(FTVL,"DOUBLE") field(NELM,"5000")}
record(ao,"T:never"){}
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_connects_and_follows_the_records_alarms() {
    let Some(ioc) = Ioc::start(DATABASE) else { return };
    let mut monitor = Monitor::of(ioc.address()).await;
    let missing = monitor.add("T:missing");
    let id = monitor.add("T:ai0");
    let connected = Event::Connected { id, native: NativeType::Double, count: 1, server: Some(ioc.address()) };
    assert_eq!(monitor.next().await, connected);

    let check = |sample: &Sample, value: f64, status, severity| {
        assert_eq!(sample.value, Value::Double(vec![value]));
        assert_eq!((sample.status, sample.severity), (status, severity), "at {value}");
        let age = Timestamp::now().seconds - sample.time.seconds;
        assert!((0..60).contains(&age), "the time stamp is {age} s old");
    };
    let first = monitor.update(id).await;
    check(&first, 50.0, Status::NoAlarm, Severity::NoAlarm);
    let mut last = first.time;
    for (value, status, severity) in [
        (85.0, Status::High, Severity::Minor),
        (95.0, Status::HiHi, Severity::Major),
        (50.0, Status::NoAlarm, Severity::NoAlarm),
        (15.0, Status::Low, Severity::Minor),
        (5.0, Status::LoLo, Severity::Major),
    ] {
        ioc.put("T:ai0", value);
        let sample = monitor.update(id).await;
        check(&sample, value, status, severity);
        assert!(sample.time > last, "time stamps are those of the record");
        last = sample.time;
    }
    // Lowering a limit below the value alarms at once.
    ioc.put("T:ai0", 50);
    assert_eq!(monitor.update(id).await.severity, Severity::NoAlarm);
    ioc.put("T:ai0.HIHI", 40);
    let sample = monitor.update(id).await;
    check(&sample, 50.0, Status::HiHi, Severity::Major);

    monitor.client.remove(missing);
    monitor.client.stop().await;
    while let Some(event) = monitor.events.recv().await {
        assert_ne!(event.id(), missing, "a missing channel has no events");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_types_of_records_arrive_as_they_are() {
    // 72 000 bytes take an extended header.
    let long: Vec<f64> = (0..9000).map(|n| f64::from(n) / 2.0).collect();
    let array = r#"record(waveform,"T:array"){field(FTVL,"DOUBLE") field(NELM,"9000")}"#;
    let database = format!("{DATABASE}{array}");
    let Some(ioc) = Ioc::start(&database) else { return };
    write_array(ioc.address(), "T:array", &long).await;
    let overrides = Overrides {
        addr_list: Some(ioc.address().to_string()),
        max_array_bytes: Some(100_000),
        ..Overrides::default()
    };
    let mut monitor = Monitor::with(settings(overrides)).await;

    let normal = (Status::NoAlarm, Severity::NoAlarm);
    let undefined = (Status::Undefined, Severity::Invalid);
    let cases = [
        ("T:bi0", Value::Enum(vec![1]), 1, (Status::State, Severity::Minor)),
        ("T:long", Value::Long(vec![-70_000]), 1, normal),
        ("T:text", Value::String(vec!["hello world".into()]), 1, normal),
        ("T:state", Value::Enum(vec![2]), 1, (Status::State, Severity::Major)),
        ("T:floats", Value::Float(vec![1.5, -2.5, 3.5]), 3, normal),
        ("T:shorts", Value::Short(vec![1, -2, 3]), 3, normal),
        ("T:bytes", Value::Char(vec![104, 105, 200]), 10, normal),
        ("T:texts", Value::String(vec!["one".into(), "two".into()]), 4, normal),
        ("T:empty", Value::Double(vec![]), 5000, undefined),
        ("T:never", Value::Double(vec![0.0]), 1, undefined),
        ("T:array", Value::Double(long), 9000, normal),
        ("T:ai0.EGU", Value::String(vec!["degC".into()]), 1, normal),
    ];
    for (name, value, count, alarm) in cases {
        let id = monitor.add(name);
        let native = value.native_type();
        let connected = Event::Connected { id, native, count, server: Some(ioc.address()) };
        assert_eq!(monitor.next().await, connected, "{name}");
        let sample = monitor.update(id).await;
        assert_eq!(sample.value, value, "{name}");
        assert_eq!((sample.status, sample.severity), alarm, "{name}");
        monitor.client.remove(id);
    }
    // The number of elements follows the record.
    let id = monitor.add("T:array");
    assert_eq!(monitor.update(id).await.value.len(), 9000);
    write_array(ioc.address(), "T:array", &[7.0, 8.0]).await;
    assert_eq!(monitor.update(id).await.value, Value::Double(vec![7.0, 8.0]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_array_over_the_limit_fails_alone() {
    let Some(ioc) = Ioc::start(DATABASE) else { return };
    write_array(ioc.address(), "T:empty", &[1.0; 5000]).await;
    let mut monitor = Monitor::of(ioc.address()).await;
    let (large, small) = (monitor.add("T:empty"), monitor.add("T:ai0"));
    let why = monitor.wait("the failure", |event| match event {
        Event::Failed { id, why } if *id == large => Some(why.clone()),
        _ => None,
    });
    assert_eq!(why.await, Failure::TooLarge { bytes: 40_016, limit: 16_384 + 512 });
    ioc.put("T:ai0", 51);
    while monitor.update(small).await.value != Value::Double(vec![51.0]) {}
    // It works again as soon as it is small enough.
    write_array(ioc.address(), "T:empty", &[1.0]).await;
    assert_eq!(monitor.update(large).await.value, Value::Double(vec![1.0]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_ioc_disconnects_and_a_restarted_one_connects_again() {
    let Some(mut ioc) = Ioc::start(DATABASE) else { return };
    let mut monitor = Monitor::of(ioc.address()).await;
    let ids = [monitor.add("T:ai0"), monitor.add("T:long")];
    monitor.updates(ids).await;
    for _ in 0..2 {
        ioc.kill();
        let mut lost = Vec::new();
        while lost.len() < ids.len() {
            lost.push(
                monitor
                    .wait("the loss", |event| match event {
                        Event::Disconnected { id } => Some(*id),
                        _ => None,
                    })
                    .await,
            );
        }
        lost.sort_unstable();
        assert_eq!(lost, ids);
        ioc.restart();
        monitor.updates(ids).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_channels_connect_quickly_beside_missing_ones() {
    let mut database = DATABASE.to_owned();
    for n in 0..500 {
        let _ = writeln!(database, r#"record(ao,"T:many:{n}"){{field(VAL,"{n}") field(PINI,"YES")}}"#);
    }
    let Some(ioc) = Ioc::start(&database) else { return };
    let mut monitor = Monitor::of(ioc.address()).await;
    let started = Instant::now();
    for n in 0..500 {
        monitor.add(&format!("T:many:{n}"));
        monitor.add(&format!("T:nobody has this one:{n}"));
    }
    let (mut connected, mut updated) = (0, 0);
    while (connected, updated) != (500, 500) {
        match monitor.next().await {
            Event::Connected { .. } => connected += 1,
            Event::Update { .. } => updated += 1,
            other => panic!("{other:?} of a good channel"),
        }
    }
    let took = started.elapsed();
    eprintln!("500 channels have their values after {took:?}");
    assert!(took < Duration::from_secs(5), "500 channels took {took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_monitor_of_alarms_sees_no_other_changes_and_a_removed_one_none() {
    let Some(ioc) = Ioc::start(DATABASE) else { return };
    let mut monitor = Monitor::of(ioc.address()).await;
    let alarms = monitor.client.add("T:ai0", Mask::ALARM);
    let removed = monitor.add("T:ai0");
    monitor.update(alarms).await;
    let values = monitor.add("T:ai0");
    monitor.update(values).await;
    monitor.client.remove(removed);
    // This one is answered over the same circuit behind the removal.
    let fence = monitor.add("T:long");
    monitor.update(fence).await;

    ioc.put("T:ai0", 51);
    ioc.put("T:ai0", 85);
    let mut seen = Vec::new();
    while seen.len() < 3 {
        if let Event::Update { id, sample } = monitor.next().await {
            seen.push((id, sample.value, sample.status));
        }
    }
    let update = |id, value, status| (id, Value::Double(vec![value]), status);
    seen.sort_by_key(|(id, ..)| *id);
    assert_eq!(
        seen,
        [update(alarms, 85.0, Status::High), update(values, 51.0, Status::NoAlarm), update(values, 85.0, Status::High)]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn channels_are_found_through_a_name_server_alone() {
    let Some(mut ioc) = Ioc::start(DATABASE) else { return };
    let overrides = Overrides { name_servers: Some(ioc.address().to_string()), ..Overrides::default() };
    let mut monitor = Monitor::with(settings(overrides)).await;
    let id = monitor.add("T:ai0");
    assert_eq!(monitor.update(id).await.value, Value::Double(vec![50.0]));
    ioc.kill();
    assert_eq!(monitor.next().await, Event::Disconnected { id });
    ioc.restart();
    assert_eq!(monitor.update(id).await.value, Value::Double(vec![50.0]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_and_labels_are_read_from_a_record() {
    let Some(ioc) = Ioc::start(DATABASE) else { return };
    let control = read_control(ioc.address(), "T:ai0").await;
    assert_eq!((control.units.as_str(), control.precision), ("degC", Some(2)));
    let limits = control.limits.expect("a number has limits");
    assert_eq!(limits.display, Range { lower: -20.0, upper: 120.0 });
    assert_eq!(limits.alarm, Range { lower: 10.0, upper: 90.0 });
    assert_eq!(limits.warning, Range { lower: 20.0, upper: 80.0 });
    assert_eq!(limits.control, Range { lower: -10.0, upper: 110.0 });
    assert_eq!(control.value, Value::Double(vec![50.0]));

    let control = read_control(ioc.address(), "T:bi0").await;
    assert_eq!(control.labels, ["OPEN", "CLOSED"]);
    assert_eq!((control.value, control.severity), (Value::Enum(vec![1]), Severity::Minor));
    let control = read_control(ioc.address(), "T:long").await;
    assert_eq!((control.value, control.precision), (Value::Long(vec![-70_000]), None));
    let control = read_control(ioc.address(), "T:text").await;
    assert_eq!(control.value, Value::String(vec!["hello world".into()]));
    for name in ["T:floats", "T:shorts", "T:bytes"] {
        assert!(!read_control(ioc.address(), name).await.value.is_empty(), "{name}");
    }
}

/// A connection without search, with an open channel.
struct Direct {
    link: Link,
    sid: u32,
    native: NativeType,
}

impl Direct {
    async fn open(server: SocketAddr, name: &str) -> Direct {
        let settings = settings(Overrides { addr_list: Some(server.to_string()), ..Overrides::default() });
        let mut link = Link::connect(server, 0, &settings).await.expect("the server accepts");
        link.send(Request::CreateChannel { cid: 1, name });
        let (sid, data_type) = reply(&mut link, |reply| match reply {
            Reply::ChannelCreated { sid, data_type, .. } => Some((sid, data_type)),
            _ => None,
        })
        .await;
        Direct { link, sid, native: NativeType::from_code(data_type).expect("a native type") }
    }
}

async fn reply<T>(link: &mut Link, pick: impl Fn(Reply) -> Option<T>) -> T {
    let found = timeout(LONG, async {
        loop {
            while let Some(frame) = link.next_frame() {
                if let Frame::Message(message) = frame
                    && let Some(found) = pick(message.into())
                {
                    return found;
                }
            }
            link.exchange().await.expect("the server stays");
        }
    });
    found.await.expect("a reply in time")
}

async fn read_control(server: SocketAddr, name: &str) -> Control {
    let Direct { mut link, sid, native } = Direct::open(server, name).await;
    let data_type = control_type(native);
    link.send(Request::Read { data_type, count: 0, sid, ioid: 9 });
    reply(&mut link, |reply| match reply {
        Reply::ReadDone { ioid: 9, data_type, count, payload, .. } => {
            Some(decode_control(data_type, count, &payload).expect("a whole payload"))
        }
        _ => None,
    })
    .await
}

async fn write_array(server: SocketAddr, name: &str, elements: &[f64]) {
    let Direct { mut link, sid, .. } = Direct::open(server, name).await;
    let payload: Vec<u8> = elements.iter().flat_map(|element| element.to_be_bytes()).collect();
    let count = u32::try_from(elements.len()).expect("a short array");
    let data_type = NativeType::Double.code();
    link.send(Request::Write { data_type, count, sid, ioid: 9, payload: &payload });
    let eca = reply(&mut link, |reply| match reply {
        Reply::WriteDone { ioid: 9, eca } => Some(eca),
        _ => None,
    });
    assert_eq!(eca.await.name(), "NORMAL");
}
