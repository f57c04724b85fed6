//! Test calls of plugins that hang, panic, or have never heard of test calls.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use connect_api::{
    Connector, ConnectorContext, Error, PluginInfo, Reading, Result, Settings, SinkConnector, SinkContext, SinkTask,
    SourceBatch, SourceConnector, SourceContext, SourceTask, SourceTrial, async_trait,
};
use connect_rest_model::{ConfigMap, trial::TestReport};
use connect_worker::{
    Controller, Plugins, Worker,
    active_topics::ActiveTopics,
    controller::Refusal,
    plugin_threads::PluginThreads,
    state::StateTopic,
    status::Statuses,
    storage::{Configs, SourceOffsets, status_topic::StatusTopic},
    supervisor::Services,
    trial::Limits,
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

connect_api::config! {
    /// What to do.
    #[derive(Debug, Clone)]
    pub struct How {
        /// A word.
        how: String = connect_api::config::Key::new("how").default(""),
    }
}

/// A source that behaves badly in test calls.
struct Bad;

static STARTED: AtomicUsize = AtomicUsize::new(0);
/// A test call waits in the plugin.
static WAITING: Notify = Notify::const_new();

#[async_trait]
impl Connector for Bad {
    type Config = How;
    const INFO: PluginInfo = PluginInfo { name: "bad-source", aliases: &[], version: "1", about: "behaves badly" };

    async fn start(_config: How, _context: ConnectorContext) -> Result<Self> {
        STARTED.fetch_add(1, Ordering::Relaxed);
        Ok(Self)
    }

    fn task_configs(&self, _max_tasks: usize) -> Result<Vec<Settings>> {
        Ok(vec![Settings::new()])
    }
}

struct Hangs;

#[async_trait]
impl SourceTask for Hangs {
    async fn poll(&mut self) -> Result<SourceBatch> {
        std::thread::sleep(Duration::from_secs(8));
        Err(Error::fatal("nobody waits for this"))
    }
}

#[async_trait]
impl SourceConnector for Bad {
    async fn start_task(_config: How, _context: SourceContext) -> Result<Box<dyn SourceTask>> {
        STARTED.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(Hangs))
    }

    async fn start_trial(config: How, context: SourceContext) -> Result<Option<SourceTrial>> {
        match config.how.as_str() {
            // It holds its thread, until the call is long over.
            "block" => std::thread::sleep(Duration::from_secs(8)),
            "wait" => context.stopping().cancelled().await,
            // Of one test alone.
            "tell and wait" => {
                WAITING.notify_one();
                context.stopping().cancelled().await;
            }
            "panic" => panic!("a bug"),
            "fail" => return Err(Error::fatal("reading with s3cret-password")),
            _ => return Ok(None),
        }
        Ok(Some(SourceTrial {
            check: connect_api::Check::Passed(String::new()),
            reading: Reading::Impossible("it was too late".into()),
        }))
    }
}

/// A sink that does not know of test calls.
struct Plain;

#[async_trait]
impl Connector for Plain {
    type Config = How;
    const INFO: PluginInfo = PluginInfo { name: "plain-sink", aliases: &[], version: "1", about: "knows nothing" };

    async fn start(_config: How, _context: ConnectorContext) -> Result<Self> {
        STARTED.fetch_add(1, Ordering::Relaxed);
        Ok(Self)
    }

    fn task_configs(&self, _max_tasks: usize) -> Result<Vec<Settings>> {
        Ok(vec![Settings::new()])
    }
}

#[async_trait]
impl SinkConnector for Plain {
    async fn start_task(_config: How, _context: SinkContext) -> Result<Box<dyn SinkTask>> {
        STARTED.fetch_add(1, Ordering::Relaxed);
        Err(Error::fatal("it must not be started"))
    }
}

/// A worker whose Kafka is away.
fn controller() -> Arc<Controller> {
    let worker = Settings::from([
        ("bootstrap.servers", "127.0.0.1:1"),
        ("key.converter", "StringConverter"),
        ("value.converter", "StringConverter"),
        ("offset.storage.file.filename", "unused"),
    ]);
    let worker = Worker::read(worker, false).expect("worker");
    let plugins = Plugins::new()
        .source::<Bad>()
        .sink::<Plain>()
        .converter::<connect_converters::StringConverter>()
        .header_converter::<connect_converters::SimpleHeaderConverter>();
    Controller::new(Services {
        plugins: Arc::new(plugins),
        threads: PluginThreads::new(tokio::runtime::Handle::current()),
        state: Arc::new(StateTopic::new(worker.clone())),
        offsets: SourceOffsets::in_memory(),
        configs: Configs::in_memory(),
        statuses: Arc::new(Statuses::new("h:1".into(), Arc::new(StatusTopic::none()))),
        topics: Arc::new(ActiveTopics::new(&worker.config, Arc::new(StatusTopic::none()))),
        worker,
    })
}

const LIMITS: Limits = Limits { records: 1, timeout: Duration::from_secs(3) };

async fn test(controller: &Controller, class: &str, how: &str) -> Result<TestReport, Refusal> {
    let config = [("name", "c"), ("connector.class", class), ("how", how), ("topics", "t")];
    let config: ConfigMap = config
        .into_iter()
        .filter(|(k, _)| *k != "topics" || class.ends_with("sink"))
        .map(|(k, v)| (k.to_owned(), Some(v.to_owned())))
        .collect();
    controller.test_config(&config, LIMITS, CancellationToken::new()).await
}

/// The last stage: what it was about, how it ended and why.
fn last(report: &TestReport) -> (String, String, String) {
    let last = report.stages.last().expect("stages").clone();
    (last.of, last.result, last.message.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_hangs_is_named_in_time_and_holds_up_nobody() {
    let controller = controller();
    for how in ["block", "wait"] {
        let began = Instant::now();
        let report = test(&controller, "bad-source", how).await.expect("a report");
        assert!(began.elapsed() < Duration::from_secs(10), "{how}: {:?}", began.elapsed());
        let (of, result, message) = last(&report);
        assert_eq!((of.as_str(), result.as_str()), ("bad-source", "failed"), "{how}: {report:?}");
        assert!(message.contains("3 s") || message.contains("done within"), "{how}: {message}");
        let kafka = &report.stages[1];
        assert_eq!((kafka.of.as_str(), kafka.result.as_str()), ("kafka", "failed"), "{how}");
    }
    assert_eq!(STARTED.load(Ordering::Relaxed), 0, "nothing was started for it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plugins_that_hang_for_good_use_up_the_places_and_nothing_else() {
    let controller = controller();
    let all = (0..6).map(|_| test(&controller, "bad-source", "block"));
    let all = futures_util::future::join_all(all).await;
    let refused: Vec<&Refusal> = all.iter().filter_map(|r| r.as_ref().err()).collect();
    assert_eq!(refused.len(), 2, "{all:?}");
    assert!(matches!(refused[0], Refusal::Conflict(text) if text.starts_with("4 test calls are under way already")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_and_panics_are_told() {
    let controller = controller();
    let report = test(&controller, "bad-source", "panic").await.expect("a report");
    let (_, result, message) = last(&report);
    assert_eq!((result.as_str(), message.as_str()), ("failed", "the plugin panicked, which is a bug in it: a bug"));
    let report = test(&controller, "bad-source", "fail").await.expect("a report");
    assert_eq!(last(&report).1, "failed");
    assert!(!report.passed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_does_not_know_of_test_calls_is_not_started() {
    let controller = controller();
    let report = test(&controller, "bad-source", "").await.expect("a report");
    assert_eq!(last(&report).1, "not_checked");
    let report = test(&controller, "plain-sink", "").await.expect("a report");
    let results: Vec<(&str, &str)> = report.stages.iter().map(|s| (s.of.as_str(), s.result.as_str())).collect();
    assert_eq!(
        results,
        [
            ("plain-sink", "passed"),
            ("kafka", "failed"),
            ("converters and transforms", "passed"),
            ("plain-sink", "not_checked"),
            ("kafka", "skipped"),
        ]
    );
    assert_eq!(STARTED.load(Ordering::Relaxed), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_nobody_waits_for_ends() {
    let controller = controller();
    let gone = CancellationToken::new();
    let config = [("name", "c"), ("connector.class", "bad-source"), ("how", "tell and wait")];
    let config: ConfigMap = config.into_iter().map(|(k, v)| (k.to_owned(), Some(v.to_owned()))).collect();
    let limits = Limits { records: 1, timeout: Duration::from_secs(60) };
    let call = controller.test_config(&config, limits, gone.clone());
    let leave = async {
        tokio::time::timeout(Duration::from_secs(30), WAITING.notified()).await.expect("the plugin is waited for");
        gone.cancel();
    };
    let began = Instant::now();
    let (report, ()) = tokio::join!(call, leave);
    report.expect("a report");
    assert!(began.elapsed() < Duration::from_secs(30));
}
