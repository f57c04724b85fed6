//! Many channels and many updates: how soon they are connected, and that no change of an alarm is lost. A small form by
//! default; `cargo xtask soak --only epics` runs the whole one on what is released.

mod support;

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use connect_api::{SourceConnector, SourceRecord, config::Config};
use connector_epics::{EpicsConfig, EpicsSource, ca::Overrides, channel::Event};
use support::{LONG, Monitor, connector_at, ioc::Ioc, settings, worker::Worker};
use tokio::time::{Instant, timeout};

/// How many, as the environment says.
fn number(name: &str, default: u32) -> u32 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is {text}")))
}

fn channels() -> u32 {
    number("TOCSIN_EPICS_CHANNELS", 2500)
}

/// After so many updates each active channel goes into alarm or back.
const PHASE: i64 = 5;

/// Records of which the first `active` count ten times a second, each in alarm for five counts and then for five not.
fn database(channels: u32, active: u32) -> String {
    let mut text = String::new();
    for n in 0..channels {
        let _ = if n < active {
            writeln!(
                text,
                r#"record(calc,"L:phase:{n:05}"){{field(CALC,"(VAL+1)%{}") field(HIGH,"{PHASE}") field(HSV,"MAJOR")}}
record(calc,"L:{n:05}"){{field(SCAN,".1 second") field(CALC,"VAL+1") field(INPB,"L:phase:{n:05} PP MSS")}}"#,
                2 * PHASE
            )
        } else {
            writeln!(text, r#"record(ao,"L:{n:05}"){{field(VAL,"{n}") field(PINI,"YES")}}"#)
        };
    }
    text
}

/// Channels by number, added to a client.
struct Many {
    monitor: Monitor,
    count: usize,
}

impl Many {
    /// Adds channels of an IOC that has all of them; with `missing`, as many besides that nobody has.
    async fn add(ioc: &Ioc, missing: bool, overrides: Overrides) -> Many {
        let addr_list = Some(ioc.address().to_string());
        let monitor = Monitor::with(settings(Overrides { addr_list, ..overrides })).await;
        for n in 0..channels() {
            monitor.add(&format!("L:{n:05}"));
            if missing {
                monitor.add(&format!("L:nobody has this one:{n:05}"));
            }
        }
        Many { monitor, count: channels() as usize }
    }

    /// How long it takes until all are connected, from now on; then all have their values, too.
    async fn connect(&mut self) -> Duration {
        let begun = Instant::now();
        let (mut connected, mut updated, mut after) = (0, 0, Duration::ZERO);
        while (connected, updated) != (self.count, self.count) {
            match self.monitor.next().await {
                Event::Connected { .. } => (connected, after) = (connected + 1, begun.elapsed()),
                Event::Update { .. } => updated += 1,
                other => panic!("{other:?} of a good channel"),
            }
        }
        after
    }

    async fn lose(&mut self) -> Duration {
        let begun = Instant::now();
        let mut lost = 0;
        while lost < self.count {
            match self.monitor.next().await {
                Event::Disconnected { .. } => lost += 1,
                Event::Update { .. } => {}
                other => panic!("{other:?} of a server that is gone"),
            }
        }
        begun.elapsed()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_channels_connect_soon() {
    let Some(ioc) = Ioc::start(&database(channels(), 0)) else { return };
    let took = Many::add(&ioc, false, Overrides::default()).await.connect().await;
    eprintln!("{} channels are connected after {took:?}", channels());
    assert!(took < Duration::from_secs(3), "{} channels took {took:?}", channels());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_channels_connect_soon_beside_as_many_that_are_missing() {
    let Some(ioc) = Ioc::start(&database(channels(), 0)) else { return };
    let overrides = Overrides { max_search_period: Some(300.0), ..Overrides::default() };
    let took = Many::add(&ioc, true, overrides).await.connect().await;
    eprintln!("{} channels are connected after {took:?}, as many are missing", channels());
    assert!(took < LONG, "{} channels took {took:?}", channels());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_channels_are_lost_and_found_when_their_ioc_is_killed_and_hangs() {
    let Some(mut ioc) = Ioc::start(&database(channels(), 0)) else { return };
    let overrides = Overrides { connection_timeout: Some(1.0), ..Overrides::default() };
    let mut many = Many::add(&ioc, false, overrides).await;
    many.connect().await;
    ioc.kill();
    let lost = many.lose().await;
    ioc.restart();
    let found = many.connect().await;
    eprintln!("killed: all lost after {lost:?}, found {found:?} after the restart");
    ioc.freeze();
    let lost = many.lose().await;
    ioc.thaw();
    let found = many.connect().await;
    eprintln!("hanging: all lost after {lost:?}, found {found:?} after it goes on");
}

/// Counter and severity of a change.
fn counted(record: &SourceRecord) -> (i64, bool) {
    let text = record.value.to_string();
    let number = text
        .split_once("doubleValues=[")
        .and_then(|(_, rest)| rest.strip_suffix("]}"))
        .unwrap_or_else(|| panic!("{record:?} is no counter"));
    (number.parse::<f64>().expect("a number") as i64, text.contains("severity=2"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_consumer_of_many_updates_misses_no_change_of_an_alarm() {
    let active = number("TOCSIN_EPICS_ACTIVE", 100);
    let lasts = Duration::from_secs(number("TOCSIN_EPICS_SECONDS", 4).into());
    let Some(ioc) = Ioc::start(&database(channels(), active)) else { return };
    let names = format!("L:{{00000..{:05}}}", channels() - 1);
    // So seldom that most values are replaced by newer ones before they are taken.
    let own = [("epics.channels", names.as_str()), ("monitor.poll.millis", "1000")];
    let settings = connector_at(ioc.address(), &own);
    let worker = Worker::new();
    let config = EpicsConfig::parse(&settings).expect("valid settings");
    let mut task = EpicsSource::start_task(config, worker.context(&settings)).await.expect("the task starts");
    let mut seen: BTreeMap<String, Vec<(i64, bool)>> = BTreeMap::new();
    let mut begun = Instant::now();
    let mut first = BTreeMap::new();
    while begun.elapsed() < lasts {
        let batch = timeout(LONG, task.poll()).await.expect("records in time").expect("a batch").into_parts().0;
        for record in &batch {
            let name = record.key.as_str().expect("a text key");
            if name[2..].parse::<u32>().is_ok_and(|n| n < active) {
                seen.entry(name.to_owned()).or_default().push(counted(record));
                first.entry(name.to_owned()).or_insert_with(Instant::now);
            }
        }
        if seen.len() < active as usize {
            begun = Instant::now();
        }
    }
    task.stop().await.expect("it stops");

    let (mut updates, mut transitions, mut records) = (0.0, 0, 0);
    for (name, seen) in &seen {
        let (from, to) = (seen[0].0, seen[seen.len() - 1].0);
        updates += (to - from) as f64 / first[name].elapsed().as_secs_f64();
        records += seen.len();
        assert!(seen.windows(2).all(|pair| pair[0].0 < pair[1].0), "{name} is out of order");
        for (count, in_alarm) in seen {
            assert_eq!(*in_alarm, count % (2 * PHASE) >= PHASE, "{name} at {count}");
        }
        for count in (from + 1..=to).filter(|count| count % PHASE == 0) {
            assert!(seen.iter().any(|(found, _)| *found == count), "{name} lost its change at {count}: {seen:?}");
            transitions += 1;
        }
    }
    eprintln!(
        "{updates:.0} updates/s, {records} records with {transitions} changes of alarms, none lost; {}",
        worker.note()
    );
    assert!(transitions as u64 >= u64::from(active) * (lasts.as_secs() - 1), "only {transitions} changes of alarms");
    let wanted = f64::from(active) * 10.0;
    assert!(updates > wanted * 0.8, "the ioc was to make {wanted} updates/s and made {updates}");
}
