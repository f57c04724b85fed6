//! Sinks that are silent about shelved alarms.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::{Arc, Mutex};

use connect_api::{
    Error, Headers, Result, Row, Settings, SinkRecord, SinkTask, TopicPartition, Value, async_trait, config::Config,
    time,
};
use connect_testkit::{
    Host,
    sink::{deliver, record, when_due},
};
use connector_alarm::{
    Alarm, Priority, ShelvedAlarm,
    shelving::{ShelvingConfig, silent},
};

const SHELF: &str = "shelved-alarms";

#[derive(Default)]
struct Sink(Arc<Mutex<Vec<String>>>);

#[async_trait]
impl SinkTask for Sink {
    async fn put(&mut self, records: &[SinkRecord]) -> Result<()> {
        for r in records {
            let text = r.value.get("message").and_then(Value::as_str).unwrap_or("over");
            if text == "bad" {
                return Err(Error::data("refused"));
            }
            self.0.lock().unwrap().push(format!("{} {text}", r.key));
        }
        Ok(())
    }
}

struct Case {
    host: Arc<Host>,
    told: Arc<Mutex<Vec<String>>>,
    task: Box<dyn SinkTask>,
    offset: i64,
}

impl Case {
    async fn start(host: Arc<Host>) -> Self {
        let settings = Settings::from([("shelved.alarms.topic", SHELF)]);
        let (context, _) = host.sink(&settings);
        let sink = Sink::default();
        let told = sink.0.clone();
        let config = ShelvingConfig::parse(&settings).unwrap();
        let mut task = silent(Box::new(sink), &config, &context).await.unwrap();
        task.open(&[TopicPartition { topic: "active-alarms".into(), partition: 0 }]).await.unwrap();
        Self { host, told, task, offset: 0 }
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
    assert_eq!(case.task.due(), None);
    case.put("a", None).await;
    assert_eq!(case.told(), ["a over"]);
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
    let case = case.restart().await;
    assert_eq!((case.task.due(), case.told()), (None, Vec::new()));
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
    assert_eq!(case.task.due(), None);
}
