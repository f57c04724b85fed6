//! The tasks of a connector, each on a thread of its own: started, stopped, paused, given up.

use std::{sync::Arc, time::Duration};

use connect_api::{Error, Result, Settings};
use connect_kafka::Cut;
use futures_util::future::join_all;
use tokio::{
    sync::{oneshot, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{Actor, Services};
use crate::{
    batch_size::{BATCH_SIZE, fitting},
    plugin_threads::caught,
    registry::ConnectorPlugin,
    source_runner::Control,
    status::{State, Statuses, TaskStatus},
    storage::Target,
    task::start_task,
};

/// A task that was started.
pub(super) struct RunningTask {
    stop: CancellationToken,
    paused: watch::Sender<bool>,
    cut: Cut,
    ended: oneshot::Receiver<()>,
    pub(super) generation: u64,
}

/// A task that has failed.
pub(super) struct Failed {
    pub(super) task: u32,
    pub(super) generation: u64,
    pub(super) ran: Duration,
}

impl Actor {
    /// Starts the committed tasks that do not run.
    pub(super) fn start_missing(&mut self) {
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

    pub(super) fn start_one(&mut self, id: u32, settings: Settings) {
        let Some(plugin) = self.plugin.clone() else { return };
        self.generation += 1;
        let generation = self.generation;
        let counters = self.services.statuses.new_task(&self.name, id, generation);
        let (paused, receiver) = watch::channel(self.target == Target::Paused);
        let control =
            Control { stop: CancellationToken::new(), paused: receiver, cut: Cut::under(&self.services.worker.lease) };
        let (stop, cut) = (control.stop.clone(), control.cut.clone());
        // The settings of a task are the connector's with what task_configs added.
        let mut merged = self.settings.clone();
        merged.extend(&settings);
        let report = Report {
            statuses: self.services.statuses.clone(),
            connector: self.name.clone(),
            task: id,
            generation,
            cut: cut.clone(),
        };
        let span = tracing::error_span!("task", task = id);
        let failures = self.failures.0.clone();
        let began = Instant::now();
        let life = Life {
            services: self.services.clone(),
            plugin,
            settings: merged,
            counters,
            control,
            report: report.clone(),
        };
        let failed = move |e: &Error| {
            tracing::error!("the task failed: {}", e.one_line());
            report.state(State::Failed, Some(e));
            // The supervisor may have ended.
            let _ = failures.send(Failed { task: id, generation, ran: began.elapsed() });
        };
        let (given_up, refused) = (CancellationToken::new(), failed.clone());
        cut.on_cut({
            let given_up = given_up.clone();
            move || given_up.cancel()
        });
        let started = span.in_scope(|| {
            self.services.threads.start(&format!("task-{id} {}", self.name), async move {
                tokio::select! {
                    biased;
                    // What waits for ever ends with its future; what does not even return ends when it does.
                    () = given_up.cancelled() => {}
                    () = life.live(failed) => {}
                }
                if given_up.is_cancelled() {
                    tracing::info!("the task that was given up has ended");
                }
            })
        });
        match started {
            Ok(ended) => drop(self.tasks.insert(id, RunningTask { stop, paused, cut, ended, generation })),
            Err(e) => span.in_scope(|| refused(&e)),
        }
    }

    /// Stops tasks; all of them together have `task.shutdown.graceful.timeout.ms`. What has not stopped then is given
    /// up.
    pub(super) fn stop_tasks(&mut self, ids: Vec<u32>) -> impl Future<Output = ()> + Send + use<> {
        let deadline = Instant::now() + self.services.worker.config.shutdown_timeout.0;
        let stopping: Vec<(u32, RunningTask)> =
            ids.into_iter().filter_map(|id| Some((id, self.tasks.remove(&id)?))).collect();
        let (statuses, name) = (self.services.statuses.clone(), self.name.clone());
        for (_, task) in &stopping {
            task.stop.cancel();
        }
        let one = move |(id, mut task): (u32, RunningTask)| {
            let (statuses, name) = (statuses.clone(), name.clone());
            async move {
                if tokio::time::timeout_at(deadline, &mut task.ended).await.is_ok() {
                    return;
                }
                tracing::warn!(
                    task = id,
                    "the task did not stop in time and is given up; what it has not finished comes again if its source \
                     can give it again"
                );
                // In this order: what it says of itself from now on is not heard.
                task.cut.cut();
                statuses.abandon(&name, id, task.generation);
            }
        };
        let all = join_all(stopping.into_iter().map(one));
        async move { drop(all.await) }
    }

    pub(super) fn all_tasks(&self) -> Vec<u32> {
        self.tasks.keys().copied().collect()
    }

    pub(super) fn set_paused(&self, paused: bool) {
        for task in self.tasks.values() {
            task.paused.send_replace(paused);
        }
    }
}

/// How a task says what state it is in, until it is given up.
#[derive(Clone)]
struct Report {
    statuses: Arc<Statuses>,
    connector: Arc<str>,
    task: u32,
    generation: u64,
    cut: Cut,
}

impl Report {
    fn state(&self, state: State, error: Option<&Error>) {
        if !self.cut.is_cut() {
            self.statuses.task(&self.connector, self.task, self.generation, state, error);
        }
    }
}

/// One task from start to end.
struct Life {
    services: Services,
    plugin: Arc<ConnectorPlugin>,
    settings: Settings,
    counters: Arc<TaskStatus>,
    control: Control,
    report: Report,
}

impl Life {
    async fn live(self, failed: impl Fn(&Error)) {
        let (stop, report) = (self.control.stop.clone(), self.report.clone());
        let secrets = self.services.worker.providers.secrets().clone();
        let result = caught(self.run()).await;
        match result.map_err(|e| secrets.conceal_error(e)) {
            Ok(()) => report.state(State::Unassigned, None),
            // What fails while it is being stopped is of no consequence to the state.
            Err(e) if stop.is_cancelled() => {
                tracing::warn!("while stopping: {}", e.one_line());
                report.state(State::Unassigned, None);
            }
            Err(e) => failed(&e),
        }
    }

    async fn run(self) -> Result<()> {
        let mut batch_size = None;
        loop {
            let mut used = Settings::new();
            match self.run_with(batch_size, &mut used).await {
                Err(e) if e.is_denied() && !self.control.stop.is_cancelled() && self.has_other_secrets(&used) => {
                    tracing::warn!(
                        "{}; the settings' secrets have changed since the task was started: it begins anew with them",
                        self.services.worker.providers.secrets().conceal_error(e).one_line()
                    );
                }
                Err(e) if !self.control.stop.is_cancelled() => {
                    batch_size = Some(fitting(e, &self.services.worker, &self.settings).await?);
                }
                ended => return ended,
            }
        }
    }

    /// Whether config providers give other values now than those that the task was started with.
    fn has_other_secrets(&self, used: &Settings) -> bool {
        let now = self.services.worker.providers.resolve(&self.settings);
        // What cannot be read now is read at the next restart.
        now.is_ok_and(|now| now.settings != *used)
    }

    async fn run_with(&self, batch_size: Option<usize>, used: &mut Settings) -> Result<()> {
        let Self { services, plugin, settings, counters, control, report } = self;
        // A paused task is not started before it is resumed.
        let mut paused = control.paused.clone();
        while *paused.borrow_and_update() {
            report.state(State::Paused, None);
            tokio::select! {
                () = control.stop.cancelled() => return Ok(()),
                changed = paused.changed() => if changed.is_err() { return Ok(()) },
            }
        }
        let mut settings = services.worker.providers.resolve(settings)?.settings;
        used.clone_from(&settings);
        if let Some(size) = batch_size {
            settings.set(BATCH_SIZE, size.to_string());
        }
        let (control, counters) = (control.clone(), counters.clone());
        let running = start_task(services, plugin, &report.connector, report.task, settings, control, counters).await?;
        report.state(State::Running, None);
        let follow = async {
            loop {
                if paused.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
                report.state(if *paused.borrow_and_update() { State::Paused } else { State::Running }, None);
            }
        };
        tokio::select! {
            result = running => result,
            () = follow => Ok(()),
        }
    }
}
