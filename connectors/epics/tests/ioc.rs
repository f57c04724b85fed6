//! The client against real Channel Access servers: an EPICS IOC and caproto's.
//!
//! `TOCSIN_EPICS_PYTHON` names a Python that has `softioc` and `caproto`: with it, run them by `--include-ignored`.

mod support;

use std::{
    fmt::Write as _,
    io::Write as _,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
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
use support::{LONG, Monitor, settings};
use tempfile::TempDir;
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

#[tokio::test]
#[ignore = "needs TOCSIN_EPICS_PYTHON"]
async fn a_channel_connects_and_follows_the_records_alarms() {
    let mut ioc = Ioc::start(DATABASE);
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

#[tokio::test]
#[ignore = "needs TOCSIN_EPICS_PYTHON"]
async fn all_types_of_records_arrive_as_they_are() {
    // 72 000 bytes take an extended header.
    let long: Vec<f64> = (0..9000).map(|n| f64::from(n) / 2.0).collect();
    let array = r#"record(waveform,"T:array"){field(FTVL,"DOUBLE") field(NELM,"9000")}"#;
    let database = format!("{DATABASE}{array}");
    let mut ioc = Ioc::start(&database);
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
    ioc.put("T:array", "[7,8]");
    assert_eq!(monitor.update(id).await.value, Value::Double(vec![7.0, 8.0]));
}

#[tokio::test]
#[ignore = "needs TOCSIN_EPICS_PYTHON"]
async fn an_array_over_the_limit_fails_alone() {
    let mut ioc = Ioc::start(DATABASE);
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
    ioc.put("T:empty", "[1]");
    assert_eq!(monitor.update(large).await.value, Value::Double(vec![1.0]));
}

#[tokio::test]
#[ignore = "needs TOCSIN_EPICS_PYTHON"]
async fn a_killed_ioc_disconnects_and_a_restarted_one_connects_again() {
    let mut ioc = Ioc::start(DATABASE);
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

#[tokio::test]
#[ignore = "needs TOCSIN_EPICS_PYTHON"]
async fn five_hundred_channels_connect_quickly_beside_missing_ones() {
    let mut database = DATABASE.to_owned();
    for n in 0..500 {
        let _ = writeln!(database, r#"record(ao,"T:many:{n}"){{field(VAL,"{n}") field(PINI,"YES")}}"#);
    }
    let ioc = Ioc::start(&database);
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

#[tokio::test]
#[ignore = "needs TOCSIN_EPICS_PYTHON"]
async fn a_monitor_of_alarms_sees_no_other_changes_and_a_removed_one_none() {
    let mut ioc = Ioc::start(DATABASE);
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

#[tokio::test]
#[ignore = "needs TOCSIN_EPICS_PYTHON"]
async fn denied_access_is_reported_until_it_is_granted() {
    // The rules must be there before the IOC is initialised.
    let program = r#"
import os
from epicscorelibs import ioc
with open('rules.acf', 'w') as rules:
    rules.write('ASG(DEFAULT) { RULE(1,WRITE) }\nASG(DENIED) { RULE(1,NONE) }\n')
ioc.iocshRegisterCommon()
ioc.ioc('asSetFilename ' + os.path.abspath('rules.acf'))
ioc.main(extra_dbd_load=(), extra_dso_load=())
"#;
    let mut ioc = Ioc::start_program(&["-c", program, "-d", "test.db"], DATABASE);
    let mut monitor = Monitor::of(ioc.address()).await;
    let id = monitor.add("T:ai0");
    monitor.update(id).await;
    let denied = Event::Failed { id, why: Failure::NoReadAccess };

    ioc.run("dbpf T:ai0.ASG DENIED");
    assert_eq!(monitor.next().await, denied);
    // A new channel is denied from the beginning.
    let late = monitor.add("T:ai0");
    assert!(matches!(monitor.next().await, Event::Connected { id, .. } if id == late));
    assert_eq!(monitor.next().await, Event::Failed { id: late, why: Failure::NoReadAccess });

    ioc.run("dbpf T:ai0.ASG DEFAULT");
    let mut updated = [monitor.next().await.id(), monitor.next().await.id()];
    updated.sort_unstable();
    assert_eq!(updated, [id, late]);
}

#[tokio::test]
#[ignore = "needs TOCSIN_EPICS_PYTHON"]
async fn channels_are_found_through_a_name_server_alone() {
    let mut ioc = Ioc::start(DATABASE);
    let overrides = Overrides { name_servers: Some(ioc.address().to_string()), ..Overrides::default() };
    let mut monitor = Monitor::with(settings(overrides)).await;
    let id = monitor.add("T:ai0");
    assert_eq!(monitor.update(id).await.value, Value::Double(vec![50.0]));
    ioc.kill();
    assert_eq!(monitor.next().await, Event::Disconnected { id });
    ioc.restart();
    assert_eq!(monitor.update(id).await.value, Value::Double(vec![50.0]));
}

#[tokio::test]
#[ignore = "needs TOCSIN_EPICS_PYTHON"]
async fn limits_and_labels_are_read_from_a_record() {
    let ioc = Ioc::start(DATABASE);
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

#[tokio::test]
#[ignore = "needs TOCSIN_EPICS_PYTHON"]
async fn caprotos_server_is_understood_too() {
    let program = r#"
from caproto.server import PVGroup, pvproperty, run
class Group(PVGroup):
    ai0 = pvproperty(value=95.0, upper_alarm_limit=90.0, upper_warning_limit=80.0, record='ao')
    text = pvproperty(value='hello', dtype=str)
    array = pvproperty(value=[float(n) for n in range(1500)])
run(Group(prefix='C:').pvdb, interfaces=['127.0.0.1'], log_pv_names=False)
"#;
    let mut ioc = Ioc::start_program(&["-c", program], DATABASE);
    let mut monitor = Monitor::of(ioc.address()).await;
    let id = monitor.add("C:ai0");
    monitor.update(id).await;
    write_array(ioc.address(), "C:ai0", &[85.0]).await;
    let sample = monitor.update(id).await;
    assert_eq!(
        (sample.value, sample.status, sample.severity),
        (Value::Double(vec![85.0]), Status::High, Severity::Minor)
    );
    let array = monitor.add("C:array");
    assert_eq!(monitor.update(array).await.value.len(), 1500);
    assert_eq!(read_control(ioc.address(), "C:ai0").await.limits.map(|limits| limits.alarm.upper), Some(90.0));
    ioc.kill();
    let mut lost = [monitor.next().await, monitor.next().await].map(|event| match event {
        Event::Disconnected { id } => id,
        other => panic!("{other:?} is not a loss"),
    });
    lost.sort_unstable();
    assert_eq!(lost, [id, array]);
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
        let mut link = Link::connect(server, &settings).await.expect("the server accepts");
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

/// An IOC with an interactive shell on a free port of this host. Ends when dropped.
struct Ioc {
    process: Child,
    port: u16,
    arguments: Vec<String>,
    directory: TempDir,
}

impl Ioc {
    fn start(database: &str) -> Ioc {
        // Without the PV Access server that this module's main program starts otherwise.
        let program = "from epicscorelibs import ioc; ioc.main(extra_dbd_load=(), extra_dso_load=())";
        Ioc::start_program(&["-c", program, "-d", "test.db"], database)
    }

    fn start_program(arguments: &[&str], database: &str) -> Ioc {
        let directory = TempDir::new().expect("a temporary directory");
        std::fs::write(directory.path().join("test.db"), database).expect("writing the database");
        let port = free_port();
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let process = spawn(&arguments, port, directory.path());
        let mut ioc = Ioc { process, port, arguments, directory };
        ioc.wait_until_ready();
        ioc
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    fn kill(&mut self) {
        self.process.kill().expect("killing the server");
        self.process.wait().expect("waiting for the server's end");
    }

    fn restart(&mut self) {
        self.process = spawn(&self.arguments, self.port, self.directory.path());
        self.wait_until_ready();
    }

    /// Runs a command of the IOC's shell.
    fn run(&mut self, command: &str) {
        let shell = self.process.stdin.as_mut().expect("the shell's input");
        writeln!(shell, "ioc('''{command}''')").and_then(|()| shell.flush()).expect("writing to the shell");
    }

    fn put(&mut self, field: &str, value: impl std::fmt::Display) {
        self.run(&format!(r#"dbpf {field} "{value}""#));
    }

    fn wait_until_ready(&mut self) {
        let deadline = Instant::now() + LONG;
        while TcpStream::connect(self.address()).is_err() {
            let log = || std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "the server is not ready: {}", log());
            let ended = self.process.try_wait().expect("looking after the server");
            assert!(ended.is_none(), "the server has ended: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Ioc {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(arguments: &[String], port: u16, directory: &Path) -> Child {
    let python =
        std::env::var_os("TOCSIN_EPICS_PYTHON").expect("TOCSIN_EPICS_PYTHON names no Python with softioc and caproto");
    let log = std::fs::File::create(directory.join("log")).expect("creating the server's log");
    let mut command = Command::new(python);
    for variable in ["EPICS_CAS_INTF_ADDR_LIST", "EPICS_CAS_BEACON_ADDR_LIST", "EPICS_CA_ADDR_LIST"] {
        command.env(variable, "127.0.0.1");
    }
    for variable in ["EPICS_CA_AUTO_ADDR_LIST", "EPICS_CAS_AUTO_BEACON_ADDR_LIST"] {
        command.env(variable, "NO");
    }
    for variable in ["EPICS_CA_SERVER_PORT", "EPICS_CAS_SERVER_PORT"] {
        command.env(variable, port.to_string());
    }
    let beacons = free_port().to_string();
    for variable in ["EPICS_CA_REPEATER_PORT", "EPICS_CAS_BEACON_PORT"] {
        command.env(variable, &beacons);
    }
    command
        .args(arguments)
        .current_dir(directory)
        .env("EPICS_CA_MAX_ARRAY_BYTES", "1000000")
        // Interactive interpreters end with their input, so it stays open.
        .stdin(Stdio::piped())
        .stdout(log.try_clone().expect("sharing the server's log"))
        .stderr(log)
        .spawn()
        .expect("starting the server")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("its number").port()
}
