//! Puts a task together: converters, tolerance, host, transforms, clients and runner.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use connect_api::{Error, Result, Settings, SinkContext, SourceContext, TaskContext, config::Config as _};
use connect_kafka::{Admin, Consumer, Producer, Role, TopicSpec, consumer::Options};
use tokio::sync::Notify;

use crate::{
    converters::Converters,
    framework::{CommonConfig, PutConfig, SinkOnlyConfig},
    pipeline::{Chain, Pipeline},
    progress::Activity,
    registry::{ConnectorPlugin, TaskStart},
    sink_runner::{Gathering, Renewed, SinkRunner, Tries},
    source_runner::{Control, SourceRunner},
    status::TaskStatus,
    supervisor::Services,
    task_host::{Host, patiently},
    tolerance::{DeadLetters, Task, Tolerance},
    topic_creation::{Groups, PREFIX, TopicCreator},
    topic_pattern::subscription,
};

/// A task that has been started: drive this future to run it.
pub type Running = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

const KAFKA_LIMIT: Duration = Duration::from_secs(30);

/// Starts a task. What is returned is ready and runs when it is awaited.
pub async fn start_task(
    services: &Services,
    plugin: &ConnectorPlugin,
    name: &Arc<str>,
    id: u32,
    settings: Settings,
    control: Control,
    status: Arc<TaskStatus>,
) -> Result<Running> {
    let _starting = status.doing(Activity::Starting);
    let worker = &services.worker;
    let config = CommonConfig::parse(&settings)?;
    let converters = Arc::new(Converters::new(&services.plugins, worker, &settings)?);
    let letters = dead_letters(services, name, id, &settings, &config, &status);
    let letters = patiently(&status, "looking for the topic for dead letters", letters).await?;
    let letters = letters.map(|letters| letters.cut_by(&control.cut));
    let task = Task { connector: name.clone(), task: id };
    let tolerance = Tolerance::new(task, &config, letters, status.clone());
    let tolerance = Arc::new(tolerance.concealing(worker.providers.secrets().clone()));
    let host = Arc::new(Host {
        connector: name.clone(),
        settings: settings.clone(),
        worker: worker.clone(),
        offsets: services.offsets.clone(),
        state: services.state.clone(),
        plugins: services.plugins.clone(),
        converters: converters.clone(),
        tolerance: tolerance.clone(),
        current: Mutex::default(),
        requests: Mutex::default(),
        requested: Notify::new(),
        plugin: plugin.info.class(),
        threads: services.threads.clone(),
        cut: control.cut.clone(),
        status: status.clone(),
        expositions: services.statuses.expositions().clone(),
    });
    let context = TaskContext::new(name.clone(), id, settings.clone(), control.stop.clone(), host.clone());
    let chain = Chain::new(&services.plugins, &settings, &context).await?;
    let used = services.topics.of_task(name.clone(), id);
    let pipeline = Pipeline::new(converters, chain, tolerance, status.clone());
    let (flush_interval, flush_timeout) = (worker.config.flush_interval.0, worker.config.flush_timeout.0);
    match plugin.tasks {
        TaskStart::Source(start) => {
            let mut client = worker.client(Role::Producer, &settings, &format!("connector-producer-{name}-{id}"))?;
            connect_kafka::producer_defaults(&mut client);
            let producer = Producer::new(&client)?.cut_by(&control.cut);
            let creator = topic_creator(services, name, id, &settings)?.map(|creator| creator.cut_by(&control.cut));
            let task = start(settings, SourceContext::new(context)).await?;
            let runner = SourceRunner {
                connector: name.clone(),
                task,
                pipeline,
                producer,
                creator,
                offsets: services.offsets.clone(),
                status,
                topics: used,
                flush_interval,
                flush_timeout,
            };
            Ok(Box::pin(runner.run(control)))
        }
        TaskStart::Sink(start) => {
            let sink = SinkOnlyConfig::parse(&settings)?;
            let mut client = worker.client(Role::Consumer, &settings, &format!("connector-consumer-{name}-{id}"))?;
            client.or_set("group.id", &format!("connect-{name}"));
            connect_kafka::consumer_defaults(&mut client);
            let topics = if sink.topics_regex.is_empty() {
                sink.topics
            } else {
                vec![subscription(&sink.topics_regex).map_err(Error::fatal)?]
            };
            let interval = client.native.get("max.poll.interval.ms").and_then(|v| v.parse().ok()).unwrap_or(300_000);
            let options = Options {
                topics,
                max_poll_records: client.max_poll_records.unwrap_or(500),
                max_poll_interval: Duration::from_millis(interval),
                handover_limit: flush_timeout + worker.config.shutdown_timeout.0,
            };
            let gathering = Gathering::new(&PutConfig::parse(&settings)?);
            let task = start(settings, SinkContext::new(context)).await?;
            let (cut, home) = (control.cut.clone(), services.threads.home().clone());
            let subscribe = Box::new(move || {
                // One that was given up while it started must not take its successor's partitions.
                cut.check()?;
                // The consumer's thread needs timers that no plugin holds up.
                let _home = home.enter();
                Ok(Consumer::subscribe(&client, &options)?.cut_by(&cut))
            });
            let consumer = subscribe()?;
            let runner = SinkRunner {
                task,
                pipeline,
                consumer,
                subscribe,
                host,
                status,
                topics: used,
                flush_interval,
                flush_timeout,
                gathering,
                retry_max: config.retry_delay_max.0.min(Duration::from_secs(30)),
                tries: Tries::default(),
                in_flight: None,
                looking: None,
                renewed: Renewed::default(),
                cut: control.cut.clone(),
                patience: crate::sink_runner::STALLED,
                unassigned: Some(tokio::time::Instant::now()),
            };
            Ok(Box::pin(runner.run(control)))
        }
    }
}

/// Creates topics where the connector asks for it and the worker can.
fn topic_creator(services: &Services, name: &str, id: u32, settings: &Settings) -> Result<Option<TopicCreator>> {
    let worker = &services.worker;
    if !settings.has_prefix(PREFIX) {
        return Ok(None);
    }
    let why = if !worker.config.topic_creation {
        "the worker setting topic.creation.enable is false"
    } else if worker.embedded {
        "the embedded broker creates topics by itself, with one partition"
    } else {
        let Some(groups) = Groups::read(settings)? else { return Ok(None) };
        let client = worker.client(Role::Admin, settings, &format!("connector-adminclient-{name}-{id}"))?;
        let brokers = client.native.get("bootstrap.servers").cloned().unwrap_or_default();
        return Ok(Some(TopicCreator::new(Admin::new(&client)?, brokers, groups)));
    };
    tracing::warn!("{PREFIX}* has no effect: {why}");
    Ok(None)
}

async fn dead_letters(
    services: &Services,
    name: &str,
    id: u32,
    settings: &Settings,
    config: &CommonConfig,
    status: &Arc<TaskStatus>,
) -> Result<Option<DeadLetters>> {
    let topic = config.dlq_topic.trim();
    if topic.is_empty() {
        return Ok(None);
    }
    let worker = &services.worker;
    if !worker.embedded {
        let client = worker.client(Role::Admin, settings, &format!("connector-dlq-adminclient-{name}-{id}"))?;
        let failed = |e: Error| e.context(format!("Could not initialize dead letter queue with topic={topic}"));
        let admin = Admin::new(&client)?;
        if admin.partitions(topic, KAFKA_LIMIT).await.map_err(failed)?.is_none() {
            let spec = TopicSpec {
                name: topic.to_owned(),
                partitions: 1,
                replication_factor: config.dlq_replication.into(),
                settings: Vec::new(),
            };
            tracing::info!("the topic {topic} for dead letters does not exist and is created");
            let factor = format!("errors.deadletterqueue.topic.replication.factor is {}", config.dlq_replication);
            admin.create_topic(&spec).await.map_err(|e| failed(e.context(factor)))?;
        }
    }
    let mut client = worker.client(Role::Producer, settings, &format!("connector-dlq-producer-{name}-{id}"))?;
    connect_kafka::producer_defaults(&mut client);
    Ok(Some(DeadLetters::new(&client, topic.to_owned(), config.dlq_headers, status.clone())?))
}
