//! Sinks that are silent about shelved alarms.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::{Arc, Mutex};

use connect_api::{
    Check, Error, Headers, PartitionOffset, Rendering, Result, Row, Settings, SinkRecord, SinkTask, SinkTrial,
    TopicPartition, Value, async_trait, config::Config, time,
};
use connect_testkit::{
    Host,
    sink::{deliver, record, when_due},
};
use connector_alarm::{
    Alarm, Priority, ShelvedAlarm,
    shelving::{self, ShelvingConfig, silent},
};

const SHELF: &str = "shelved-alarms";

#[derive(Default)]
struct Sink {
    told: Arc<Mutex<Vec<String>>>,
    /// The time stamp of the last record.
    time: Arc<Mutex<i64>>,
    /// The first offset that is in hand and not stored, if there is one.
    in_hand: Arc<Mutex<Option<i64>>>,
}

#[async_trait]
impl SinkTask for Sink {
    async fn flush(&mut self, offsets: &[PartitionOffset]) -> Result<Vec<PartitionOffset>> {
        let first = self.in_hand.lock().unwrap().unwrap_or(i64::MAX);
        Ok(offsets.iter().map(|o| PartitionOffset { offset: o.offset.min(first), ..o.clone() }).collect())
    }

    async fn put(&mut self, records: &[SinkRecord]) -> Result<()> {
        for r in records {
            let text = r.value.get("message").and_then(Value::as_str).unwrap_or("over");
            if text == "bad" {
                return Err(Error::data("refused"));
            }
            *self.time.lock().unwrap() = r.timestamp.unwrap();
            self.told.lock().unwrap().push(format!("{} {text}", r.key));
        }
        Ok(())
    }
}

struct Case {
    host: Arc<Host>,
    told: Arc<Mutex<Vec<String>>>,
    time: Arc<Mutex<i64>>,
    in_hand: Arc<Mutex<Option<i64>>>,
    task: Box<dyn SinkTask>,
    offset: i64,
}

impl Case {
    async fn start(host: Arc<Host>) -> Self {
        let settings = Settings::from([("shelved.alarms.topic", SHELF)]);
        let (context, _) = host.sink(&settings);
        let sink = Sink::default();
        let (told, time, in_hand) = (sink.told.clone(), sink.time.clone(), sink.in_hand.clone());
        let config = ShelvingConfig::parse(&settings).unwrap();
        let mut task = silent(Box::new(sink), &config, &context).await.unwrap();
        task.open(&[TopicPartition { topic: "active-alarms".into(), partition: 0 }]).await.unwrap();
        Self { host, told, time, in_hand, task, offset: 0 }
    }

    async fn restart(self) -> Self {
        Self { offset: self.offset, ..Self::start(self.host).await }
    }

    async fn put(&mut self, name: &str, message: Option<&str>) {
        let alarm = |message: &str| Alarm { message: message.into(), ..Alarm::new(Priority::Life) }.to_value();
        let record = record("active-alarms", self.offset, name, message.map_or(Value::Null, alarm));
        self.offset += 1;
        deliver(&mut *self.task, &[record], &self.host).await.unwrap();
    }

    fn shelve(&self, name: &str, expiration: Option<i64>) {
        let value = ShelvedAlarm { expiration, reason: "noisy".into() }.to_value();
        self.host.row(SHELF, name, Some(Row { schema: None, value, headers: Headers::new(), timestamp: None }));
    }

    fn unshelve(&self, name: &str) {
        self.host.row(SHELF, name, None);
    }

    /// Calls the task twice when it is due, and says whether anything was told.
    async fn is_quiet(&mut self) -> bool {
        for _ in 0..2 {
            if self.task.due().is_some() {
                when_due(&mut *self.task).await.unwrap();
            }
        }
        self.told().is_empty()
    }

    fn told(&self) -> Vec<String> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }
}

#[tokio::test]
async fn a_shelved_alarm_is_silent_and_told_of_when_it_comes_off_the_shelf_if_it_is_active() {
    let mut case = Case::start(Host::new()).await;
    case.shelve("a", None);
    case.put("a", Some("one")).await;
    case.put("b", Some("other")).await;
    case.put("a", Some("two")).await;
    assert_eq!(case.told(), ["b other"]);
    when_due(&mut *case.task).await.unwrap();
    assert_eq!(case.told(), Vec::<String>::new(), "still on the shelf");
    case.unshelve("a");
    when_due(&mut *case.task).await.unwrap();
    assert_eq!(case.told(), ["a two"], "the last state, once");
    assert!(case.is_quiet().await);
    case.put("a", None).await;
    assert_eq!(case.told(), ["a over"]);
    case.put("b", None).await;
    assert_eq!((case.told().len(), case.task.due()), (1, None), "nothing is kept of what is over");
}

#[tokio::test]
async fn an_alarm_that_was_told_before_is_told_again_when_it_comes_off_the_shelf() {
    let mut case = Case::start(Host::new()).await;
    for name in ["a", "b", "c", "d"] {
        case.put(name, Some("one")).await;
    }
    case.told();
    assert!(case.is_quiet().await);
    // One is put on the shelf while the worker runs, one until it is over, one while the worker is away.
    case.shelve("a", None);
    case.shelve("b", Some(time::now_ms() + 8000));
    assert!(case.is_quiet().await, "on the shelf");
    case.shelve("c", None);
    let mut case = case.restart().await;
    assert!(case.is_quiet().await, "on the shelf");
    case.unshelve("a");
    let mut case = case.restart().await;
    case.unshelve("c");
    let began = time::now_ms();
    when_due(&mut *case.task).await.unwrap();
    assert_eq!(case.told()[..2], ["a one", "c one"], "also what came off while the worker was away");
    assert!(*case.time.lock().unwrap() >= began, "news by its time stamp");
    while case.told() != ["b one"] {
        when_due(&mut *case.task).await.unwrap();
        assert!(time::now_ms() < began + 60_000);
    }
    assert!(case.is_quiet().await);
    let mut case = case.restart().await;
    assert!(case.is_quiet().await, "each once");
    case.put("d", Some("two")).await;
    assert_eq!(case.told(), ["d two"]);
    assert!(*case.time.lock().unwrap() < began);
}

#[tokio::test]
async fn of_what_was_raised_and_cleared_on_the_shelf_nothing_is_told_also_after_a_restart() {
    let mut case = Case::start(Host::new()).await;
    case.put("told", Some("one")).await;
    case.told();
    for name in ["new", "told"] {
        case.shelve(name, None);
        case.put(name, Some("two")).await;
    }
    let mut case = case.restart().await;
    for name in ["new", "told", "never"] {
        case.shelve(name, None);
        case.put(name, None).await;
    }
    let mut case = case.restart().await;
    for name in ["new", "told", "never"] {
        case.unshelve(name);
    }
    when_due(&mut *case.task).await.unwrap();
    assert_eq!(case.told(), ["told over"]);
    assert_eq!(case.task.due(), None);
}

struct Shown;

#[async_trait]
impl SinkTrial for Shown {
    async fn check(&mut self) -> Result<Check> {
        Ok(Check::Passed("there".into()))
    }

    fn render(&mut self, _: &SinkRecord) -> Result<Rendering> {
        Ok(Rendering::Nothing("shown".into()))
    }
}

#[tokio::test]
async fn a_shelf_that_does_not_exist_is_told_of_until_it_does() {
    let host = Host::new();
    host.topic(SHELF, false);
    let mut case = Case::start(host.clone()).await;
    let noted = host.noted().unwrap();
    assert!(noted.contains("no topic shelved-alarms (shelved.alarms.topic)"), "{noted}");
    case.put("a", Some("one")).await;
    assert_eq!(case.told(), ["a one"]);
    let settings = Settings::from([("shelved.alarms.topic", SHELF)]);
    let config = ShelvingConfig::parse(&settings).unwrap();
    let context = host.sink(&settings).0;
    let mut trial = shelving::trial(Box::new(Shown), &config, &context).await.unwrap();
    let e = trial.check().await.unwrap_err();
    assert!(e.message().contains("no topic shelved-alarms: create it, or correct shelved.alarms.topic"), "{e:?}");
    host.topic(SHELF, true);
    when_due(&mut *case.task).await.unwrap();
    assert_eq!(host.noted(), None);
    assert_eq!(trial.check().await.unwrap(), Check::Passed("there".into()));
}

#[tokio::test]
async fn a_preview_says_that_an_alarm_is_on_the_shelf() {
    let case = Case::start(Host::new()).await;
    case.shelve("a", None);
    case.shelve("b", Some(time::now_ms() - 1));
    case.shelve("c", Some(4_102_444_800_000));
    let settings = Settings::from([("shelved.alarms.topic", SHELF)]);
    let config = ShelvingConfig::parse(&settings).unwrap();
    let context = case.host.sink(&settings).0;
    let mut trial = shelving::trial(Box::new(Shown), &config, &context).await.unwrap();
    let mut shown = |name: &str| match trial.render(&record("active-alarms", 0, name, "x")).unwrap() {
        Rendering::Nothing(text) => text,
        other => panic!("{other:?}"),
    };
    assert_eq!(shown("a"), "alarm a is on the shelf: noisy");
    assert_eq!((shown("b").as_str(), shown("other").as_str()), ("shown", "shown"), "its time is over");
    assert!(shown("c").starts_with("alarm c is on the shelf until 2100-01-01T00:00:00"), "{}", shown("c"));
}

#[tokio::test]
async fn the_end_of_its_time_takes_an_alarm_off_the_shelf() {
    let mut case = Case::start(Host::new()).await;
    case.shelve("a", Some(time::now_ms() + 700));
    case.put("a", Some("one")).await;
    when_due(&mut *case.task).await.unwrap();
    for _ in 0..3 {
        if case.task.due().is_some() {
            when_due(&mut *case.task).await.unwrap();
        }
    }
    assert_eq!(case.told(), ["a one"]);
}

#[tokio::test]
async fn the_end_of_an_alarm_is_told_to_who_knows_of_it_only() {
    let mut case = Case::start(Host::new()).await;
    case.put("known", Some("one")).await;
    case.put("known-as-over", None).await;
    case.told();
    for name in ["known", "known-as-over"] {
        case.shelve(name, None);
        case.put(name, Some("again")).await;
        case.put(name, None).await;
        case.unshelve(name);
    }
    when_due(&mut *case.task).await.unwrap();
    assert_eq!(case.told(), ["known over"]);
}

#[tokio::test]
async fn what_is_kept_survives_a_restart_and_gives_way_to_what_came_later() {
    let mut case = Case::start(Host::new()).await;
    for name in ["a", "b"] {
        case.shelve(name, None);
        case.put(name, Some("kept")).await;
    }
    let mut case = case.restart().await;
    case.unshelve("a");
    case.put("a", Some("later")).await;
    assert_eq!(case.told(), ["a kept", "a later"][1..], "what was kept is older");
    case.unshelve("b");
    when_due(&mut *case.task).await.unwrap();
    assert_eq!(case.told(), ["b kept"]);
    let mut case = case.restart().await;
    assert!(case.is_quiet().await);
}

#[tokio::test]
async fn a_kept_record_that_the_sink_refuses_is_reported() {
    let mut case = Case::start(Host::new()).await;
    case.shelve("a", None);
    case.put("a", Some("bad")).await;
    case.unshelve("a");
    when_due(&mut *case.task).await.unwrap();
    let reported = case.host.reported();
    assert_eq!((reported.len(), reported[0].0), (1, Some(0)), "{reported:?}");
    assert!(case.is_quiet().await);
    assert_eq!(case.host.reported().len(), 1, "once");
}

#[tokio::test]
async fn what_comes_off_the_shelf_is_kept_until_the_sink_has_stored_it() {
    let mut case = Case::start(Host::new()).await;
    case.shelve("a", None);
    case.put("a", Some("kept")).await;
    case.unshelve("a");
    // The sink collects records and has not sent this one when it is killed.
    *case.in_hand.lock().unwrap() = Some(0);
    when_due(&mut *case.task).await.unwrap();
    when_due(&mut *case.task).await.unwrap();
    assert_eq!(case.told(), ["a kept"], "given once");
    let mut case = case.restart().await;
    when_due(&mut *case.task).await.unwrap();
    assert_eq!(case.told(), ["a kept"], "given again, as nothing says that it was stored");
    assert!(case.is_quiet().await, "stored at once");
    let mut case = case.restart().await;
    assert!(case.is_quiet().await);
}

#[tokio::test]
async fn an_alarm_that_comes_off_the_shelf_while_its_sink_is_due_is_told_of_first() {
    let mut case = Case::start(Host::new()).await;
    case.put("a", Some("one")).await;
    case.shelve("a", None);
    case.put("a", None).await;
    when_due(&mut *case.task).await.unwrap();
    case.unshelve("a");
    // Half a second before the shelf would be looked at again.
    case.task.put(&[]).await.unwrap();
    assert_eq!(case.told(), ["a one", "a over"]);
}
