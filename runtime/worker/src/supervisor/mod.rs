//! What runs: one actor per connector, which starts, pauses and stops the connector and its tasks.
//!
//! - `handle`: how the rest of the worker steers the actor
//! - `connector`: the connector itself; `tasks`: its tasks
//! - `restarts`: restarts of what has failed

mod connector;
mod handle;
mod restarts;
mod tasks;

use std::{any::Any, collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc};

use connect_api::{Error, Result, Settings};
use futures_util::FutureExt;
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    active_topics::ActiveTopics,
    providers::{Providers, Resolved},
    registry::{ConnectorPlugin, Plugins, RunningConnector},
    restart::Restarts,
    state::StateTopic,
    status::{State, Statuses},
    storage::{Configs, SourceOffsets, Target},
    worker_config::Worker,
};
use handle::Command;
pub use handle::{Handle, Queued};
use tasks::{Failed, RunningTask};

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

impl Actor {
    fn new(name: Arc<str>, services: Services) -> Self {
        Self {
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
        }
    }

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
