//! What runs: one actor per connector, which starts, pauses and stops the connector and its tasks.
//!
//! - `handle`: how the rest of the worker steers the actor
//! - `connector`: the connector itself; `task_configs`: what it wants of its tasks; `tasks`: its tasks
//! - `restarts`: restarts of what has failed

mod connector;
mod handle;
mod restarts;
mod task_configs;
mod tasks;

use std::{collections::BTreeMap, sync::Arc};

use connect_api::{Error, Result, Settings};
use connect_rest_model::ConnectorType;
use tokio::{sync::mpsc, time::Instant};

use crate::{
    active_topics::ActiveTopics,
    plugin_threads::PluginThreads,
    providers::{Providers, Resolved},
    registry::{ConnectorPlugin, Direction, Plugins},
    restart::Restarts,
    state::StateTopic,
    status::{State, Statuses},
    storage::{Configs, SourceOffsets, Target},
    worker_config::Worker,
};
use connector::{Instance, News};
use handle::{Command, Waiter};
pub use handle::{Handle, Queued};
use task_configs::Storing;
use tasks::{Failed, RunningTask};

/// What every connector needs from the worker.
#[derive(Clone)]
pub struct Services {
    /// Plugins.
    pub plugins: Arc<Plugins>,
    /// Where their code runs.
    pub threads: PluginThreads,
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
    instance: Option<Instance>,
    instances: u64,
    /// What connectors say that were started.
    news: (mpsc::UnboundedSender<News>, mpsc::UnboundedReceiver<News>),
    /// Who waits for the connector to start.
    waiting: Vec<Waiter>,
    tasks: BTreeMap<u32, RunningTask>,
    storing: Option<Storing>,
    /// Whether settings of tasks may be stored that are not those that run.
    unsettled: bool,
    /// When to ask for tasks again, and how often in a row that has failed.
    retry_at: Option<Instant>,
    retries: u32,
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
            instance: None,
            instances: 0,
            news: mpsc::unbounded_channel(),
            waiting: Vec::new(),
            tasks: BTreeMap::new(),
            storing: None,
            unsettled: false,
            retry_at: None,
            retries: 0,
            failures: mpsc::unbounded_channel(),
            restarts: BTreeMap::new(),
            due: BTreeMap::new(),
            started: Instant::now(),
            generation: 0,
        }
    }

    async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        loop {
            let stored = async {
                match &mut self.storing {
                    Some(storing) => (&mut storing.done).await,
                    None => std::future::pending().await,
                }
            };
            let (retry, restart) = (self.retry_at, self.due.values().min().copied());
            let command = tokio::select! {
                command = commands.recv() => command,
                Some(news) = self.news.1.recv() => {
                    self.hear(news);
                    continue;
                }
                Some(failed) = self.failures.1.recv() => {
                    if self.tasks.get(&failed.task).is_some_and(|t| t.generation == failed.generation) {
                        self.schedule(Some(failed.task), failed.ran);
                    }
                    continue;
                }
                stored = stored => {
                    self.tasks_stored(stored).await;
                    continue;
                }
                () = async { tokio::time::sleep_until(restart.unwrap_or_else(Instant::now)).await }, if restart.is_some() => {
                    self.restart_due().await;
                    continue;
                }
                () = async { tokio::time::sleep_until(retry.unwrap_or_else(Instant::now)).await }, if retry.is_some() => {
                    self.ask_for_tasks();
                    continue;
                }
            };
            match command {
                Some(Command::Configure(settings, target, done)) => {
                    self.forget_restarts();
                    // Its tasks go on until there are others.
                    self.stop_connector().await;
                    (self.settings, self.target) = (settings, target);
                    self.describe();
                    self.start(done).await;
                }
                Some(Command::Target(target, done)) => {
                    if target == Target::Stopped {
                        self.forget_restarts();
                    }
                    self.set_target(target).await;
                    // The request may have timed out.
                    let _ = done.send(());
                }
                Some(Command::Restart { connector, tasks, done }) => {
                    self.forget_restarts();
                    self.restart(connector, tasks, Some(done)).await;
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
        self.instance = None;
        self.unsettled |= self.storing.take().is_some();
        self.set_state(State::Failed, Some(error));
        self.answer(&Err(error.clone()));
        self.schedule(None, self.started.elapsed());
    }

    /// Tells whoever waits for the connector.
    fn answer(&mut self, result: &Result<()>) {
        for waiter in self.waiting.drain(..) {
            // The request may have timed out.
            let _ = waiter.done.send(result.clone());
        }
    }

    /// Brings the connector to its target.
    async fn start(&mut self, waiter: Waiter) {
        match self.target {
            Target::Started => return self.begin(Some(waiter)),
            Target::Paused => {
                self.set_state(State::Paused, None);
                self.set_paused(true);
                self.start_missing();
            }
            Target::Stopped => {
                self.stop_tasks(self.all_tasks()).await;
                self.set_state(State::Stopped, None);
            }
        }
        self.waiting.push(waiter);
        self.answer(&Ok(()));
    }

    /// What is not known shows as FAILED when it is started.
    fn describe(&self) {
        let class = self.providers().connector_class(&self.settings);
        if let Ok(plugin) = class.and_then(|class| self.services.plugins.connectors.find(&class)) {
            let kind = match plugin.direction() {
                Direction::Source => ConnectorType::Source,
                Direction::Sink => ConnectorType::Sink,
            };
            self.services.statuses.describe(&self.name, kind, plugin.info.class(), plugin.info.version);
        }
    }

    fn committed(&self) -> Vec<Settings> {
        self.services.configs.log().tasks(&self.name)
    }

    async fn stop_all(&mut self, state: State) {
        let (connector, tasks) = (self.stop_connector(), self.stop_tasks(self.all_tasks()));
        tokio::join!(connector, tasks);
        self.set_state(state, None);
    }

    /// A stopped connector has no tasks. Whoever stopped it has stored that, but a start that was under way may have
    /// stored tasks since.
    async fn forget_tasks(&mut self) {
        if (self.unsettled || !self.committed().is_empty())
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
                    if self.instance.is_none() {
                        self.begin(None);
                    } else {
                        self.ask_for_tasks();
                    }
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
                self.stop_all(State::Stopped).await;
                self.forget_tasks().await;
            }
        }
    }

    async fn restart(&mut self, connector: bool, tasks: Vec<u32>, mut waiter: Option<Waiter>) {
        let stopped = self.stop_tasks(tasks.clone());
        if connector {
            let connector = self.stop_connector();
            tokio::join!(connector, stopped);
        } else {
            stopped.await;
        }
        self.services.statuses.restarting(&self.name, &tasks);
        if connector {
            self.set_state(State::Restarting, None);
            match self.target {
                Target::Started => self.begin(waiter.take()),
                Target::Paused => self.set_state(State::Paused, None),
                Target::Stopped => self.set_state(State::Stopped, None),
            }
        }
        for (id, settings) in (0..).zip(self.committed()) {
            if tasks.contains(&id) && !self.tasks.contains_key(&id) {
                self.start_one(id, settings);
            }
        }
        if let Some(waiter) = waiter {
            // The request may have timed out.
            let _ = waiter.done.send(Ok(()));
        }
    }
}
