//! What runs: one actor per connector, which starts, pauses and stops the connector and its tasks.

use std::{any::Any, collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use connect_api::{ConnectorContext, Error, ErrorClass, Result, Settings, config::Config as _};
use futures_util::FutureExt;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::{
    active_topics::ActiveTopics,
    framework::CommonConfig,
    providers::{Providers, Resolved},
    registry::{ConnectorPlugin, Plugins, RunningConnector},
    restart::{Policy, Restarts},
    source_runner::Control,
    state::StateTopic,
    status::{State, Statuses},
    storage::{Configs, SourceOffsets, Target},
    task::start_task,
    worker_config::Worker,
};

/// What every connector needs from the worker.
#[derive(Clone)]
pub struct Services {
    /// Plugins.
    pub plugins: Plugins,
    /// The worker's settings.
    pub worker: Worker,
    /// What should run.
    pub configs: Configs,
    /// Source offsets.
    pub offsets: SourceOffsets,
    /// Keyed state.
    pub state: Arc<StateTopic>,
    /// States.
    pub statuses: Arc<Statuses>,
    /// Topics that connectors use.
    pub topics: Arc<ActiveTopics>,
}

enum Command {
    Configure(Settings, Target, oneshot::Sender<Result<()>>),
    Target(Target, oneshot::Sender<()>),
    Restart { connector: bool, tasks: Vec<u32>, done: oneshot::Sender<Result<()>> },
    Stop(oneshot::Sender<()>),
}

/// Steers one connector.
#[derive(Clone)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
}

impl Handle {
    /// Starts the actor; nothing runs before [`Handle::configure`].
    pub fn new(name: Arc<str>, services: Services) -> Self {
        let (commands, receiver) = mpsc::channel(16);
        // Of the most severe level: no log filter takes from a line whose it is.
        let span = tracing::error_span!("connector", connector = %name);
        let actor = Actor {
            name,
            services,
            settings: Settings::new(),
            resolved: Resolved::default(),
            applied: None,
            target: Target::Stopped,
            plugin: None,
            running: None,
            stopping: CancellationToken::new(),
            tasks: BTreeMap::new(),
            retry: None,
            failures: mpsc::unbounded_channel(),
            restarts: BTreeMap::new(),
            due: BTreeMap::new(),
            started: Instant::now(),
            generation: 0,
        };
        tokio::spawn(actor.run(receiver).instrument(span));
        Self { commands }
    }

    async fn queue<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<Queued<T>> {
        let (sender, answer) = oneshot::channel();
        self.commands.send(command(sender)).await.map_err(|_| gone())?;
        Ok(Queued(answer))
    }

    /// Gives the connector a new configuration and a target; done when it has been started or failed to.
    pub async fn configure(&self, settings: Settings, target: Target) -> Result<Queued<Result<()>>> {
        self.queue(|done| Command::Configure(settings, target, done)).await
    }

    /// Sets the target state; done when it has been taken up.
    pub async fn target(&self, target: Target) -> Result<Queued<()>> {
        self.queue(|done| Command::Target(target, done)).await
    }

    /// Restarts the connector itself, some of its tasks, or both.
    pub async fn restart(&self, connector: bool, tasks: Vec<u32>) -> Result<Queued<Result<()>>> {
        self.queue(|done| Command::Restart { connector, tasks, done }).await
    }

    /// Stops everything; the actor ends.
    pub async fn stop(&self) {
        // An actor that is gone has stopped.
        if let Ok(queued) = self.queue(Command::Stop).await {
            let _ = queued.done().await;
        }
    }
}

/// A command that the actor will carry out, in the order in which commands were queued, whether somebody waits or not.
pub struct Queued<T>(oneshot::Receiver<T>);

impl<T> Queued<T> {
    /// Waits until it has been carried out.
    pub async fn done(self) -> Result<T> {
        self.0.await.map_err(|_| gone())
    }
}

fn gone() -> Error {
    Error::fatal("Worker is shutting down")
}

struct RunningTask {
    stop: CancellationToken,
    paused: watch::Sender<bool>,
    join: JoinHandle<()>,
    generation: u64,
}

/// A task that has failed.
struct Failed {
    task: u32,
    generation: u64,
    ran: Duration,
}

struct Actor {
    name: Arc<str>,
    services: Services,
    /// As written, which is what is stored and shown.
    settings: Settings,
    /// With what config providers gave when the connector was started.
    resolved: Resolved,
    /// The resolved settings for which the tasks that run were made.
    applied: Option<Settings>,
    target: Target,
    plugin: Option<Arc<ConnectorPlugin>>,
    running: Option<Box<dyn RunningConnector>>,
    stopping: CancellationToken,
    tasks: BTreeMap<u32, RunningTask>,
    /// When to ask for tasks again, and how often that has failed.
    retry: Option<(Instant, u32)>,
    /// What tasks say when they have failed.
    failures: (mpsc::UnboundedSender<Failed>, mpsc::UnboundedReceiver<Failed>),
    /// Restarts of the connector (`None`) and its tasks, and which of them are due when.
    restarts: BTreeMap<Option<u32>, Restarts>,
    due: BTreeMap<Option<u32>, Instant>,
    /// When the connector itself was started last.
    started: Instant,
    generation: u64,
}

/// Waits between tries to configure tasks: the first, and the longest.
const RETRY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(60));

/// The connector's own stop is bounded by this, as in Kafka Connect.
const CONNECTOR_STOP: Duration = Duration::from_secs(5);

impl Actor {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        loop {
            let watched = async {
                match &mut self.running {
                    Some(connector) => caught(connector.watch()).await,
                    None => std::future::pending().await,
                }
            };
            let retry = self.retry.map(|(at, _)| at);
            let next = self.due.values().min().copied();
            let command = tokio::select! {
                command = commands.recv() => command,
                Some(failed) = self.failures.1.recv() => {
                    if self.tasks.get(&failed.task).is_some_and(|t| t.generation == failed.generation) {
                        self.schedule(Some(failed.task), failed.ran);
                    }
                    continue;
                }
                () = async { tokio::time::sleep_until(next.unwrap_or_else(Instant::now)).await }, if next.is_some() => {
                    self.restart_due().await;
                    continue;
                }
                () = async { tokio::time::sleep_until(retry.unwrap_or_else(Instant::now)).await }, if retry.is_some() => {
                    self.reconfigure_tasks().await;
                    continue;
                }
                watched = watched => {
                    match watched {
                        Ok(()) => self.reconfigure_tasks().await,
                        Err(e) => self.fail(&self.concealed(e)),
                    }
                    continue;
                }
            };
            match command {
                Some(Command::Configure(settings, target, done)) => {
                    self.forget_restarts();
                    // Its tasks go on until there are others.
                    self.stop_connector().await;
                    (self.settings, self.target) = (settings, target);
                    let result = self.start().await;
                    // The request may have timed out.
                    let _ = done.send(result);
                }
                Some(Command::Target(target, done)) => {
                    if target == Target::Stopped {
                        self.forget_restarts();
                    }
                    self.set_target(target).await;
                    let _ = done.send(());
                }
                Some(Command::Restart { connector, tasks, done }) => {
                    self.forget_restarts();
                    let result = self.restart(connector, tasks).await;
                    let _ = done.send(result);
                }
                Some(Command::Stop(done)) => {
                    self.stop_all(State::Unassigned).await;
                    let _ = done.send(());
                    return;
                }
                None => {
                    self.stop_all(State::Unassigned).await;
                    return;
                }
            }
        }
    }

    fn providers(&self) -> &Providers {
        &self.services.worker.providers
    }

    /// The error as it may be logged and answered.
    fn concealed(&self, error: Error) -> Error {
        self.providers().secrets().conceal_error(error)
    }

    fn set_state(&self, state: State, error: Option<&Error>) {
        self.services.statuses.connector(&self.name, state, error);
    }

    fn fail(&mut self, error: &Error) {
        tracing::error!("the connector failed: {}", error.one_line());
        self.running = None;
        self.set_state(State::Failed, Some(error));
        self.schedule(None, self.started.elapsed());
    }

    /// Plans the restart of the connector, or of a task, that has failed after it ran for so long.
    fn schedule(&mut self, what: Option<u32>, ran: Duration) {
        let worker = &self.services.worker;
        // What a config provider cannot read now may be there later, so the settings as written have to do.
        let settings = worker.providers.resolve(&self.settings).map_or_else(|_| self.settings.clone(), |r| r.settings);
        // Wrong settings were refused before.
        let Ok(policy) = Policy::of(&settings, &worker.settings, worker.restarts_off) else { return };
        let restarts = self.restarts.entry(what).or_default();
        let pause = restarts.failed(&policy, ran);
        self.services.statuses.restarts(&self.name, what, restarts.count, pause);
        if let Some(pause) = pause {
            tracing::warn!(task = what, "it is restarted in {pause:?}");
            self.due.insert(what, Instant::now() + pause);
        }
    }

    async fn restart_due(&mut self) {
        let now = Instant::now();
        let due: Vec<Option<u32>> = self.due.iter().filter(|(_, at)| **at <= now).map(|(what, _)| *what).collect();
        for what in due {
            self.due.remove(&what);
            let tasks: Vec<u32> = what.into_iter().collect();
            // A failure has been told of and planned for.
            let _ = self.restart(what.is_none(), tasks).await;
            let count = self.restarts.get(&what).map_or(0, |r| r.count);
            if !self.due.contains_key(&what) {
                self.services.statuses.restarts(&self.name, what, count, None);
            }
        }
    }

    /// A person has taken over: what was planned is not done, and counting begins anew.
    fn forget_restarts(&mut self) {
        self.due.clear();
        for (what, _) in std::mem::take(&mut self.restarts) {
            self.services.statuses.restarts(&self.name, what, 0, None);
        }
    }

    /// Brings the connector to its target. Tasks that were committed earlier run even if the connector itself cannot.
    async fn start(&mut self) -> Result<()> {
        match self.target {
            Target::Started => match self.start_connector().await {
                Ok(()) => {
                    self.set_state(State::Running, None);
                    self.reconfigure_tasks().await;
                    Ok(())
                }
                Err(e) => {
                    self.fail(&e);
                    self.start_missing();
                    Err(e)
                }
            },
            Target::Paused => {
                self.set_state(State::Paused, None);
                self.set_paused(true);
                self.start_missing();
                Ok(())
            }
            Target::Stopped => {
                self.stop_tasks(self.tasks.keys().copied().collect()).await;
                self.set_state(State::Stopped, None);
                Ok(())
            }
        }
    }

    fn committed(&self) -> Vec<Settings> {
        self.services.configs.log().tasks(&self.name)
    }

    /// Starts the committed tasks that do not run.
    fn start_missing(&mut self) {
        let class = self.providers().connector_class(&self.settings);
        match class.and_then(|class| self.services.plugins.connectors.find(&class)) {
            Ok(plugin) => self.plugin = Some(plugin),
            // The connector's own state says so already.
            Err(_) => return,
        }
        for (id, settings) in (0..).zip(self.committed()) {
            if !self.tasks.contains_key(&id) {
                self.start_one(id, settings);
            }
        }
    }

    async fn start_connector(&mut self) -> Result<()> {
        let started = self.try_start_connector().await;
        self.services.statuses.startups().connectors.count(started.is_ok());
        started.map_err(|e| self.concealed(e))
    }

    async fn try_start_connector(&mut self) -> Result<()> {
        self.resolved = self.providers().resolve(&self.settings)?;
        self.resolved.warn();
        let settings = self.resolved.settings.clone();
        let plugin = self.services.plugins.connectors.find(settings.get("connector.class").unwrap_or_default())?;
        self.stopping = CancellationToken::new();
        self.started = Instant::now();
        let context =
            ConnectorContext { name: self.name.clone(), settings: settings.clone(), stopping: self.stopping.clone() };
        self.running = Some(caught(plugin.start(settings, context)).await?);
        self.plugin = Some(plugin);
        Ok(())
    }

    /// Asks the connector for its tasks; starts them anew if they are others than before.
    async fn reconfigure_tasks(&mut self) {
        let failed = self.retry.take().map_or(0, |(_, failed)| failed);
        match self.try_reconfigure().await.map_err(|e| self.concealed(e)) {
            Ok(()) => {}
            Err(e) if e.class() == ErrorClass::Retriable => {
                let delay = RETRY.1.min(RETRY.0 * 2u32.saturating_pow(failed));
                tracing::warn!("its tasks cannot be configured, which is tried again in {delay:?}: {}", e.one_line());
                self.retry = Some((Instant::now() + delay, failed + 1));
                self.start_missing();
            }
            Err(e) => self.fail(&e),
        }
    }

    async fn try_reconfigure(&mut self) -> Result<()> {
        let (Some(connector), Some(plugin)) = (&self.running, self.plugin.clone()) else { return Ok(()) };
        let config = CommonConfig::parse(&self.resolved.settings)?;
        let most = usize::try_from(config.tasks_max).unwrap_or(1);
        let made = std::panic::catch_unwind(AssertUnwindSafe(|| connector.task_configs(most)));
        let mut made = made.map_err(|panic| panicked(panic.as_ref()))??;
        if made.len() > most {
            let text = format!(
                "The connector {} has generated {} tasks, which is greater than {most}, the maximum number of tasks it is \
                 configured to create. Raise tasks.max.",
                self.name,
                made.len()
            );
            if config.tasks_max_enforce {
                return Err(Error::fatal(text));
            }
            tracing::warn!("{text}");
        }
        for settings in &mut made {
            settings.set("task.class", plugin.info.task_class());
            for key in ["topics", "topics.regex"] {
                if let Some(value) = self.settings.get(key) {
                    settings.set(key, value);
                }
            }
            self.resolved.reverse(settings);
        }
        let configs = &self.services.configs;
        // Converters and transforms of the tasks are the connector's settings, too. So is what config providers give,
        // which may be other values than before.
        let changed = {
            let log = configs.log();
            log.tasks(&self.name) != made
                || log.applied(&self.name) != Some(&self.settings)
                || self.applied.as_ref().is_some_and(|applied| *applied != self.resolved.settings)
        };
        if changed {
            configs.put_tasks(&self.name, &made).await?;
            self.stop_tasks(self.tasks.keys().copied().collect()).await;
        }
        self.applied = Some(self.resolved.settings.clone());
        self.services.statuses.truncate_tasks(&self.name, u32::try_from(made.len()).unwrap_or(u32::MAX));
        self.start_missing();
        Ok(())
    }

    fn start_one(&mut self, id: u32, settings: Settings) {
        let Some(plugin) = self.plugin.clone() else { return };
        self.generation += 1;
        let generation = self.generation;
        let (services, name) = (self.services.clone(), self.name.clone());
        let status = services.statuses.new_task(&name, id, generation);
        let (paused, receiver) = watch::channel(self.target == Target::Paused);
        let control = Control { stop: CancellationToken::new(), paused: receiver };
        let stop = control.stop.clone();
        // The settings of a task are the connector's with what task_configs added.
        let mut merged = self.settings.clone();
        merged.extend(&settings);
        let span = tracing::error_span!("task", task = id);
        let failures = self.failures.0.clone();
        let began = Instant::now();
        let work = async move {
            let statuses = services.statuses.clone();
            let report = |state: State, error: Option<&Error>| statuses.task(&name, id, generation, state, error);
            let stopped = control.stop.clone();
            let result = caught(async {
                // A paused task is not started before it is resumed.
                let mut paused = control.paused.clone();
                while *paused.borrow_and_update() {
                    report(State::Paused, None);
                    tokio::select! {
                        () = stopped.cancelled() => return Ok(()),
                        changed = paused.changed() => if changed.is_err() { return Ok(()) },
                    }
                }
                let settings = services.worker.providers.resolve(&merged)?.settings;
                let running = start_task(&services, &plugin, &name, id, settings, control.clone(), status).await?;
                report(State::Running, None);
                let follow = async {
                    loop {
                        if paused.changed().await.is_err() {
                            std::future::pending::<()>().await;
                        }
                        report(if *paused.borrow_and_update() { State::Paused } else { State::Running }, None);
                    }
                };
                tokio::select! {
                    result = running => result,
                    () = follow => Ok(()),
                }
            })
            .await;
            match result.map_err(|e| services.worker.providers.secrets().conceal_error(e)) {
                Ok(()) => report(State::Unassigned, None),
                // What fails while it is being stopped is of no consequence to the state.
                Err(e) if stopped.is_cancelled() => {
                    tracing::warn!("while stopping: {}", e.one_line());
                    report(State::Unassigned, None);
                }
                Err(e) => {
                    tracing::error!("the task failed: {}", e.one_line());
                    report(State::Failed, Some(&e));
                    // The supervisor may have ended.
                    let _ = failures.send(Failed { task: id, generation, ran: began.elapsed() });
                }
            }
        };
        let join = tokio::spawn(work.instrument(span));
        self.tasks.insert(id, RunningTask { stop, paused, join, generation });
    }

    /// Stops tasks; all of them together have `task.shutdown.graceful.timeout.ms`.
    async fn stop_tasks(&mut self, ids: Vec<u32>) {
        let deadline = Instant::now() + self.services.worker.config.shutdown_timeout.0;
        let stopping: Vec<(u32, RunningTask)> =
            ids.into_iter().filter_map(|id| Some((id, self.tasks.remove(&id)?))).collect();
        for (_, task) in &stopping {
            task.stop.cancel();
        }
        for (id, task) in stopping {
            let mut join = task.join;
            if tokio::time::timeout_at(deadline, &mut join).await.is_err() {
                tracing::warn!(
                    task = id,
                    "the task did not stop in time and is given up; its last records will come again"
                );
                join.abort();
                self.services.statuses.task(&self.name, id, task.generation, State::Unassigned, None);
            }
        }
    }

    async fn stop_connector(&mut self) -> Option<Error> {
        self.stopping.cancel();
        let connector = self.running.take()?;
        match tokio::time::timeout(CONNECTOR_STOP, caught(connector.stop())).await {
            Ok(Ok(())) => None,
            Ok(Err(e)) => {
                tracing::warn!("stopping the connector: {}", e.one_line());
                Some(self.concealed(e))
            }
            Err(_) => {
                tracing::warn!("the connector did not stop within {} s and is given up", CONNECTOR_STOP.as_secs());
                None
            }
        }
    }

    async fn stop_all(&mut self, state: State) {
        self.stop_connector().await;
        self.stop_tasks(self.tasks.keys().copied().collect()).await;
        self.set_state(state, None);
    }

    /// A stopped connector has no tasks. Whoever stopped it has stored that, but a start that was under way may have
    /// stored tasks since.
    async fn forget_tasks(&mut self) {
        if !self.committed().is_empty()
            && let Err(e) = self.services.configs.put_tasks(&self.name, &[]).await
        {
            tracing::error!("the stopped connector keeps its tasks: {}", e.one_line());
        }
        self.services.statuses.truncate_tasks(&self.name, 0);
    }

    fn failed(&self) -> bool {
        self.services.statuses.connector_state(&self.name) == Some(State::Failed)
    }

    async fn set_target(&mut self, target: Target) {
        self.target = target;
        match target {
            Target::Started => {
                // A failed connector needs a restart, as in Kafka Connect; its tasks go on.
                if !self.failed() {
                    if self.running.is_none() {
                        if let Err(e) = self.start_connector().await {
                            self.fail(&e);
                            return;
                        }
                        self.set_state(State::Running, None);
                    }
                    self.reconfigure_tasks().await;
                }
                self.set_paused(false);
            }
            Target::Paused => {
                if !self.failed() {
                    match self.stop_connector().await {
                        Some(e) => self.fail(&e),
                        None => self.set_state(State::Paused, None),
                    }
                }
                self.set_paused(true);
            }
            Target::Stopped => {
                self.stop_connector().await;
                self.stop_tasks(self.tasks.keys().copied().collect()).await;
                self.forget_tasks().await;
                self.set_state(State::Stopped, None);
            }
        }
    }

    fn set_paused(&self, paused: bool) {
        for task in self.tasks.values() {
            task.paused.send_replace(paused);
        }
    }

    async fn restart(&mut self, connector: bool, tasks: Vec<u32>) -> Result<()> {
        let mut result = Ok(());
        self.stop_tasks(tasks.clone()).await;
        self.services.statuses.restarting(&self.name, &tasks);
        if connector {
            self.stop_connector().await;
            self.set_state(State::Restarting, None);
            match self.target {
                Target::Started => match self.start_connector().await {
                    Ok(()) => {
                        self.set_state(State::Running, None);
                        self.reconfigure_tasks().await;
                    }
                    Err(e) => {
                        self.fail(&e);
                        result = Err(e);
                    }
                },
                Target::Paused => self.set_state(State::Paused, None),
                Target::Stopped => self.set_state(State::Stopped, None),
            }
        }
        for (id, settings) in (0..).zip(self.committed()) {
            if tasks.contains(&id) && !self.tasks.contains_key(&id) {
                self.start_one(id, settings);
            }
        }
        result
    }
}

/// Turns a panic into an error, so that it stays with the one that panicked.
async fn caught<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(result) => result,
        Err(panic) => Err(panicked(panic.as_ref())),
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".into());
    Error::fatal(format!("the plugin panicked, which is a bug in it: {text}")).exception("java.lang.RuntimeException")
}
