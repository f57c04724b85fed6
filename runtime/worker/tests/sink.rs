//! What a sink task asks of its consumer, on Apache Kafka.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use connect_api::{
    Connector, ConnectorContext, Error, PartitionOffset, PluginInfo, Result, Settings, SinkConnector, SinkContext,
    SinkRecord, SinkTask, TopicPartition, async_trait,
};
use connect_kafka::{Admin, Delivery, Outgoing, Producer, Role, TopicSpec, translate};
use connect_worker::{
    Controller, Plugins, Worker,
    active_topics::ActiveTopics,
    controller::Until,
    plugin_threads::PluginThreads,
    state::StateTopic,
    status::Statuses,
    storage::{Configs, SourceOffsets, status_topic::StatusTopic},
    supervisor::Services,
};
use tokio::time::Instant;
use xtask::servers::{Kafka, without};

connect_api::config! {
    /// Nothing.
    #[derive(Debug, Clone)]
    pub struct Empty {}
}

/// A sink that tells what it got and does as the records say.
struct Obedient;

static GOT: Mutex<Vec<(i32, String)>> = Mutex::new(Vec::new());

#[async_trait]
impl Connector for Obedient {
    type Config = Empty;
    const INFO: PluginInfo =
        PluginInfo { name: "obedient-sink", aliases: &[], version: "1", about: "does as the records say" };

    async fn start(_config: Empty, _context: ConnectorContext) -> Result<Self> {
        Ok(Self)
    }

    fn task_configs(&self, _max_tasks: usize) -> Result<Vec<Settings>> {
        Ok(vec![Settings::new()])
    }
}

struct Task {
    context: SinkContext,
    due: Option<Instant>,
    /// How often the call without records fails before it passes.
    failures: usize,
}

#[async_trait]
impl SinkConnector for Obedient {
    async fn start_task(_config: Empty, context: SinkContext) -> Result<Box<dyn SinkTask>> {
        Ok(Box::new(Task { context, due: None, failures: 2 }))
    }
}

#[async_trait]
impl SinkTask for Task {
    fn due(&self) -> Option<Instant> {
        self.due
    }

    async fn put(&mut self, records: &[SinkRecord]) -> Result<()> {
        if records.is_empty() {
            assert!(self.due.is_some_and(|due| due <= Instant::now()), "called before it was due");
            if self.failures > 0 {
                self.failures -= 1;
                return Err(Error::retriable("not yet"));
            }
            self.due = None;
            GOT.lock().expect("lock").push((-1, "due".into()));
        }
        for r in records {
            let text = r.record.value.to_string();
            let first = !GOT.lock().expect("lock").iter().any(|(_, t)| *t == text);
            GOT.lock().expect("lock").push((r.origin.partition, text.clone()));
            let partition = |n: i32| TopicPartition { topic: r.origin.topic.clone(), partition: n };
            match text.as_str() {
                "hold 0" => self.context.pause(vec![partition(0)]),
                "free 0" => self.context.resume(vec![partition(0)]),
                "later" => self.due = Some(Instant::now() + Duration::from_millis(300)),
                // Once, or it would go back for ever.
                "back" if first => {
                    self.context.seek(vec![PartitionOffset { partition: partition(r.origin.partition), offset: 0 }])
                }
                _ => {}
            }
        }
        Ok(())
    }
}

struct Sent;

impl Delivery for Sent {
    fn delivered(&self, _partition: i32, _offset: i64) {}

    fn failed(&self, error: connect_api::Error) {
        panic!("{error:?}");
    }
}

#[test]
fn a_sink_pauses_resumes_and_seeks_partitions_and_is_called_when_it_is_due() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    let settings = Settings::from([
        ("bootstrap.servers", kafka.bootstrap().as_str()),
        ("key.converter", "StringConverter"),
        ("value.converter", "StringConverter"),
        ("offset.storage.file.filename", "unused"),
        ("offset.flush.interval.ms", "300"),
    ]);
    runtime.block_on(async {
        let client = |role| {
            translate(role, &Settings::from([("bootstrap.servers", kafka.bootstrap().as_str())])).expect("settings")
        };
        let topic = TopicSpec { name: "orders".into(), partitions: 2, replication_factor: 1, settings: Vec::new() };
        Admin::new(&client(Role::Admin)).expect("admin").create_topic(&topic).await.expect("topic");
        let producer = Producer::new(&client(Role::Producer)).expect("producer");
        let write = async |partition: i32, text: &str| {
            let record = Outgoing {
                topic: "orders",
                partition: Some(partition),
                timestamp: None,
                key: None,
                value: Some(text.as_bytes()),
                headers: &[],
            };
            producer.send(record, Arc::new(Sent)).await.expect("send");
            producer.flush(Duration::from_secs(20)).await.expect("flush");
        };
        let worker = Worker::read(settings, false).expect("worker");
        let plugins = Plugins::new()
            .sink::<Obedient>()
            .converter::<connect_converters::StringConverter>()
            .header_converter::<connect_converters::SimpleHeaderConverter>();
        let controller = Controller::new(Services {
            plugins: Arc::new(plugins),
            threads: PluginThreads::new(tokio::runtime::Handle::current()),
            state: Arc::new(StateTopic::new(worker.clone())),
            offsets: SourceOffsets::in_memory(),
            configs: Configs::in_memory(),
            statuses: Arc::new(Statuses::new("h:1".into(), Arc::new(StatusTopic::none()))),
            topics: Arc::new(ActiveTopics::new(&worker.config, Arc::new(StatusTopic::none()))),
            worker,
        });
        let config = [("name", "c"), ("connector.class", "obedient-sink"), ("topics", "orders")];
        let config = config.into_iter().map(|(k, v)| (k.to_owned(), Some(v.to_owned()))).collect();
        controller.create("c", config, None, Until::Started).await.expect("create");
        let got = |text: &str| GOT.lock().expect("lock").iter().filter(|(_, t)| t == text).count();
        let wait = async |text: &str, times: usize| {
            for _ in 0..600 {
                if got(text) >= times {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            panic!("{text} came {} times and not {times}: {:?}", got(text), GOT.lock().expect("lock"));
        };
        write(0, "a").await;
        wait("a", 1).await;
        write(1, "hold 0").await;
        wait("hold 0", 1).await;
        // A batch that was under way when partition 0 was paused may still come, so the pause is waited for.
        let mut probe = 0;
        loop {
            write(0, &format!("probe {probe}")).await;
            write(1, &format!("mark {probe}")).await;
            wait(&format!("mark {probe}"), 1).await;
            if got(&format!("probe {probe}")) == 0 {
                break;
            }
            probe += 1;
            assert!(probe < 100, "partition 0 is not paused");
        }
        write(0, "b").await;
        for n in 0..20 {
            write(1, &format!("meanwhile {n}")).await;
        }
        wait("meanwhile 19", 1).await;
        assert_eq!(got("b"), 0, "partition 0 is paused");
        write(1, "free 0").await;
        wait("b", 1).await;
        write(0, "back").await;
        wait("a", 2).await;
        wait("back", 2).await;
        assert_eq!((got("a"), got("b"), got("back"), got("hold 0")), (2, 2, 2, 1), "partition 0 alone came again");
        // Nothing is written any more, and yet the task is called.
        write(1, "later").await;
        wait("due", 1).await;
        controller.shut_down().await;
        assert_eq!(got("due"), 1, "once");
    });
}
