//! The server: files and command line → worker, REST API, embedded broker.
//!
//! A program with plugins of its own is ten lines: `connectd::run(connectd::plugins().source::<Mine>())`.
//!
//! - `args`: the command line; `load`: files → settings; `watch`: files that change; `logging`: the log; `welcome`: what the demo prints
//! - [`mod@reference`]: the reference pages, made of the plugins' definitions
//! - [`plugins()`]: the list of the plugins that come with Tocsin

mod args;
mod load;
mod logging;
mod plugins;
pub mod reference;
mod watch;
mod welcome;

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use clap::Parser;
use connect_api::{Error, Result, Settings, config::Config};
use connect_embedded::{Embedded, EmbeddedOptions};
use connect_files::{ConnectorFile, InitialState};
use connect_kafka::{Admin, Role, Seat};
use connect_rest_model::ConfigMap;
use connect_worker::{
    Controller, Plugins, Worker,
    active_topics::ActiveTopics,
    cluster,
    controller::{Refusal, Until},
    distributed::DistributedConfig,
    observer::Observer,
    plugin_threads::PluginThreads,
    providers::secrets::Secrets,
    rest::{Api, Bound, Surface},
    state::StateTopic,
    status::Statuses,
    storage::{Configs, SourceOffsets, Target, offset_file::OffsetFile, status_topic::StatusTopic},
    supervisor::Services,
    worker_config::WorkerConfig,
};
use indexmap::IndexMap;
use logging::Log;
use tokio::{runtime::Handle, sync::Mutex, task::JoinSet};
use tokio_util::sync::CancellationToken;

pub use plugins::plugins;
use watch::Watch;

/// Exit codes, as `--help` lists them.
const USAGE: u8 = 1;
const WORKER: u8 = 2;
const CONNECTOR: u8 = 3;

/// Runs the server with these plugins, as the command line says, until it is told to stop.
pub fn run(plugins: Plugins) -> ExitCode {
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(e) => {
            // Help and version are no errors. There is nobody to tell if printing fails.
            let _ = e.print();
            return if e.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let secrets = Secrets::default();
    let log = match logging::start(args.log.as_deref(), secrets.clone()) {
        Ok(log) => log,
        Err(text) => return complain(USAGE, &[text]),
    };
    if let Some(format) = args.log_format {
        log.set_format(format);
    }
    // What plugins spawn must not hold up the REST API, so it has threads of its own.
    let runtime = |name| tokio::runtime::Builder::new_multi_thread().enable_all().thread_name(name).build();
    let (runtime, plugged) = match (runtime("worker"), runtime("plugins")) {
        (Ok(runtime), Ok(plugged)) => (runtime, plugged),
        (Err(e), _) | (_, Err(e)) => return complain(WORKER, &[format!("starting the runtime: {e}")]),
    };
    let mut broker = None;
    let code = runtime.block_on(start(args, Arc::new(plugins), log, secrets, plugged.handle(), &mut broker));
    // Threads that wait for Kafka, or that a plugin does not give back, must not hold up the exit, and the broker goes
    // last: clients that are still closing would complain of its absence.
    plugged.shutdown_timeout(Duration::from_secs(1));
    runtime.shutdown_timeout(Duration::from_secs(1));
    drop(broker);
    code
}

fn complain(code: u8, problems: &[String]) -> ExitCode {
    for problem in problems {
        // Files may hold anything, escape sequences of terminals included, and Java's texts have lines.
        eprintln!("connectd: {}", problem.replace('\n', " ").replace(char::is_control, "?"));
    }
    ExitCode::from(code)
}

fn warn(warnings: &[String]) {
    for warning in warnings {
        eprintln!("connectd: warning: {warning}");
    }
}

async fn start(
    args: args::Args,
    plugins: Arc<Plugins>,
    log: Log,
    secrets: Secrets,
    plugged: &Handle,
    broker: &mut Option<Embedded>,
) -> ExitCode {
    let file = args.config.as_deref();
    let loaded = match load::worker_settings(file, &args.settings, secrets) {
        Ok(loaded) => loaded,
        Err(problems) => return complain(WORKER, &problems),
    };
    let mut settings = loaded.resolved.settings.clone();
    // A broker address on the command line is as good as one in a file.
    let embedded = args.embedded || (file.is_none() && !settings.contains("bootstrap.servers"));
    // Connectors are checked by the worker's settings where those can be read; problems of theirs are said below.
    let config = WorkerConfig::parse(&settings).ok();
    if let (None, Some(config)) = (args.log_format, &config) {
        log.set_format(config.log_format);
    }
    let judge = load::Judge { plugins: &plugins, worker: config.as_ref(), providers: &loaded.providers };
    let declared = load::connectors(&args.connectors, judge);
    let mut warnings = load::worker_warnings(&loaded, &plugins);
    warnings.extend(args.connectors.iter().filter_map(|folder| load::not_looked_into(folder)));
    if args.check {
        if embedded {
            registry(&mut settings, "http://127.0.0.1");
        }
        let worker = load::worker(settings, &loaded, embedded, &plugins).and_then(|worker| {
            if let Some(path) = &worker.config.offset_file {
                OffsetFile::check(Path::new(path)).map_err(|e| vec![e.one_line()])?;
            }
            Ok(worker)
        });
        warn(&warnings);
        warn(&declared.warnings);
        return match (worker, declared.problems.is_empty()) {
            (Ok(_), true) => {
                eprintln!("connectd: all files are right ({} connectors)", declared.connectors.len());
                ExitCode::SUCCESS
            }
            (Err(problems), _) => complain(WORKER, &[problems, declared.problems].concat()),
            (Ok(_), false) => complain(CONNECTOR, &declared.problems),
        };
    }
    if embedded {
        match Embedded::start(EmbeddedOptions::default()).await {
            Ok(started) => *broker = Some(started),
            Err(e) => return complain(WORKER, &[e.one_line()]),
        }
    }
    if let Some(broker) = broker {
        settings.set("bootstrap.servers", broker.bootstrap());
        // It cannot be told that a member gives up joining, so it waits for the member's session to end.
        if !settings.contains("consumer.session.timeout.ms") {
            settings.set("consumer.session.timeout.ms", "6000");
        }
        registry(&mut settings, broker.registry_url());
    }
    let worker = match load::worker(settings, &loaded, embedded, &plugins) {
        Ok(worker) => worker,
        Err(problems) => {
            warn(&warnings);
            return complain(WORKER, &problems);
        }
    };
    let connectors = if args.watch {
        // What is wrong is said when it is taken up, and mended while it is watched.
        Connectors { declared: declared.connectors, watched: Some(args.connectors) }
    } else if declared.problems.is_empty() {
        Connectors { declared: declared.connectors, watched: None }
    } else {
        return complain(CONNECTOR, &declared.problems);
    };
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    let threads = PluginThreads::new(plugged.clone());
    match serve(worker, (plugins, threads), connectors, log, broker.as_ref()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => complain(WORKER, &[e.one_line()]),
    }
}

/// Gives Avro converters the embedded registry unless they have one.
fn registry(settings: &mut Settings, url: &str) {
    for side in ["key", "value"] {
        let key = format!("{side}.converter.schema.registry.url");
        let avro = settings.get(&format!("{side}.converter")).is_some_and(|c| c.contains("Avro"));
        if avro && !settings.contains(&key) {
            settings.set(key, url);
        }
    }
}

/// What files declare, and where they are if they are watched.
struct Connectors {
    declared: Vec<ConnectorFile>,
    watched: Option<Vec<PathBuf>>,
}

async fn serve(
    worker: Worker,
    (plugins, threads): (Arc<Plugins>, PluginThreads),
    connectors: Connectors,
    log: Log,
    broker: Option<&Embedded>,
) -> Result<()> {
    let surface = Surface::read(&worker)?;
    let (main, admin) = surface.bind().await?;
    let id = surface.advertised(&main)?;
    let urls: Vec<String> = main.iter().map(Bound::url).collect();
    let admin_urls: Vec<String> = admin.iter().map(Bound::url).collect();
    let distributed = worker.distributed.is_some();
    let offsets = match &worker.config.offset_file {
        _ if distributed => SourceOffsets::in_topic(),
        Some(path) => SourceOffsets::in_file(Path::new(path))?,
        None => SourceOffsets::in_memory(),
    };
    let status_topic = Arc::new(if distributed { StatusTopic::in_topic() } else { StatusTopic::none() });
    let services = Services {
        plugins,
        threads,
        state: Arc::new(StateTopic::new(worker.clone())),
        offsets,
        statuses: Arc::new(
            Statuses::new(id, status_topic.clone()).concealing(worker.providers.secrets().clone()).logging(log.book),
        ),
        topics: Arc::new(ActiveTopics::new(&worker.config, status_topic.clone())),
        configs: if distributed { Configs::in_topic() } else { Configs::in_memory() },
        worker: worker.clone(),
    };
    let _observer = Observer::start(services.statuses.clone(), worker.config.stalled_after.0)?;
    let controller = Controller::new(services);
    let api = Api::new(controller.clone(), log.loggers);
    let stop = CancellationToken::new();
    let served = tokio::spawn(api.clone().serve(surface, main, admin, stop.clone()));
    for url in &urls {
        tracing::info!("the REST API is on {url}");
    }
    for url in &admin_urls {
        tracing::info!("log levels are set on {url}");
    }

    let Connectors { declared: connectors, watched } = connectors;
    let mut watch = watched.map(|paths| Watch::new(paths, controller.clone(), broker));
    let seat = Mutex::new(None);
    let work = async {
        if let Some(broker) = broker {
            for topic in load::topics(&connectors) {
                broker.create_topic(&topic, 1).await?;
            }
            controller.set_cluster_id(Some("embedded".into()));
        } else {
            controller.set_cluster_id(reach(&worker).await?);
        }
        if let Some(config) = &worker.distributed {
            *seat.lock().await = Some(open_topics(&controller, config, &status_topic).await?);
        }
        controller.set_opened();
        if tokio::time::timeout(START, controller.clone().resume_stored()).await.is_err() {
            tracing::warn!("some of the stored connectors have not been started within {} s", START.as_secs());
        }
        match &mut watch {
            Some(watch) => watch.begin().await,
            None => create(&controller, &connectors).await,
        }
        api.set_ready();
        tracing::info!("the worker is ready with {} connectors", controller.names().await.len());
        if let Some(broker) = broker {
            let places = welcome::Places {
                rest: urls.first().cloned().unwrap_or_default(),
                bootstrap: broker.bootstrap(),
                registry: broker.registry_url(),
            };
            // A closed standard output is no reason not to work.
            let _ = std::io::stdout().write_all(welcome::text(&places, &connectors).as_bytes());
        }
        let watching = async {
            match &mut watch {
                Some(watch) => watch.run().await,
                None => std::future::pending().await,
            }
        };
        let lost = async {
            match &mut *seat.lock().await {
                Some(seat) => Err(seat.lost().await.context("the worker has lost its place in the cluster")),
                None => std::future::pending::<Result<()>>().await,
            }
        };
        tokio::select! {
            lost = lost => lost,
            () = controller.clone().follow() => Ok(()),
            () = watching => Ok(()),
        }
    };
    let result = tokio::select! {
        () = signalled() => Ok(()),
        worked = work => worked,
    };
    tracing::info!("stopping");
    controller.shut_down().await;
    status_topic.close(LAST_STATES).await;
    // The group is left last: the next worker may go on from what this one has stored.
    if let Some(seat) = seat.into_inner() {
        seat.leave(LAST_STATES).await;
    }
    stop.cancel();
    match tokio::time::timeout(Duration::from_secs(5), served).await {
        Ok(Err(e)) => tracing::warn!("the REST API: {e}"),
        Err(_) => tracing::warn!("requests were still under way after 5 s"),
        Ok(Ok(())) => {}
    }
    tracing::info!("stopped");
    result
}

const LAST_STATES: Duration = Duration::from_secs(5);

/// Reads what the cluster has stored and joins it.
async fn open_topics(controller: &Controller, config: &DistributedConfig, states: &StatusTopic) -> Result<Seat> {
    let services = controller.services();
    let (worker, all) = (&services.worker, &services.worker.settings);
    services.configs.open(worker, config.configs(all)).await?;
    let seat = cluster::join(worker, config).await?;
    services.offsets.open(worker, config.offsets(all)).await?;
    let said = states.open(worker, config.statuses(all)).await?;
    let known = {
        let log = services.configs.log();
        log.names().map(|n| (n.to_owned(), u32::try_from(log.tasks(n).len()).unwrap_or(u32::MAX))).collect()
    };
    services.statuses.forget_others(&said, &known);
    services.topics.take_up(&said);
    tracing::info!("the worker is the one of its group {}", config.group_id);
    Ok(seat)
}

/// Connectors that have not been started by then do not keep the worker from being ready.
const START: Duration = Duration::from_secs(10);

/// Creates the declared connectors side by side; one that cannot be started shows as FAILED. What a cluster knows
/// already gets the declared configuration and keeps its state.
async fn create(controller: &Arc<Controller>, connectors: &[ConnectorFile]) {
    let mut creations = JoinSet::new();
    for c in connectors {
        let (controller, c) = (controller.clone(), c.clone());
        creations.spawn(async move { create_one(&controller, &c).await });
    }
    let all = async { while creations.join_next().await.is_some() {} };
    if tokio::time::timeout(START, all).await.is_err() {
        tracing::warn!("some of the declared connectors have not been created within {} s", START.as_secs());
    }
    creations.detach_all();
}

async fn create_one(controller: &Controller, c: &ConnectorFile) {
    if let Err(refusal) = declare(controller, c, false).await {
        tracing::error!(connector = %c.name, "{}:{}: {}", c.file, c.position.line, refusal.text());
    }
}

/// What became of a declared connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Declaration {
    Created,
    Changed,
    Unchanged,
}

/// Creates a declared connector. One that exists already gets the declared configuration and keeps its state; one that
/// has it already gets it again only `anew`.
async fn declare(controller: &Controller, c: &ConnectorFile, anew: bool) -> Result<Declaration, Refusal> {
    let target = c.initial_state.map(|state| match state {
        InitialState::Running => Target::Started,
        InitialState::Paused => Target::Paused,
        InitialState::Stopped => Target::Stopped,
    });
    let config = load::config_map(c);
    match controller.info(&c.name).await {
        Ok(known) if !anew && same(&known.config, &config) => Ok(Declaration::Unchanged),
        Ok(_) => controller.put_config(&c.name, config, Until::Started).await.map(|_| Declaration::Changed),
        Err(_) => controller.create(&c.name, config, target, Until::Started).await.map(|_| Declaration::Created),
    }
}

fn same(known: &IndexMap<String, String>, declared: &ConfigMap) -> bool {
    known.len() == declared.len() && known.iter().all(|(k, v)| declared.get(k).is_some_and(|d| d.as_ref() == Some(v)))
}

const REACH: Duration = Duration::from_secs(60);

/// Waits for Kafka and asks for the cluster's id, as Kafka Connect does at start.
async fn reach(worker: &Worker) -> Result<Option<String>> {
    let admin = Admin::new(&worker.own_client(Role::Admin, "connect-admin")?)?;
    let deadline = tokio::time::Instant::now() + REACH;
    let brokers = worker.config.bootstrap_servers.join(",");
    let mut said = None;
    loop {
        if let Some(id) = admin.cluster_id(Duration::from_secs(3)).await? {
            return Ok(Some(id));
        }
        let why = match admin.last_failure() {
            Some(text) if text.to_ascii_lowercase().contains("sasl") => {
                format!(": {text} (check sasl.mechanism, and user and password in sasl.jaas.config)")
            }
            Some(text) if text.to_ascii_lowercase().contains("ssl") => {
                format!(": {text} (check security.protocol, ssl.truststore.* and ssl.keystore.*)")
            }
            Some(text) => format!(": {text}"),
            None => String::new(),
        };
        if tokio::time::Instant::now() >= deadline {
            return Err(Error::fatal(format!(
                "Failed to connect to and describe Kafka cluster at {brokers}. Check worker's broker connection and security \
                 properties{why}"
            )));
        }
        if said.as_ref() != Some(&why) {
            tracing::warn!("waiting for kafka at {brokers}{why}");
            said = Some(why);
        }
    }
}

/// Resolves at SIGTERM or SIGINT.
async fn signalled() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        Err(e) => {
            tracing::warn!("SIGTERM cannot be waited for: {e}");
            // Only the keyboard is left.
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}
