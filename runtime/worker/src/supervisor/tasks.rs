//! The tasks of a connector: started, stopped, paused.

use std::time::Duration;

use connect_api::{Error, Settings};
use tokio::{sync::watch, task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{Actor, caught};
use crate::{source_runner::Control, status::State, storage::Target, task::start_task};

/// A task that was started.
pub(super) struct RunningTask {
    stop: CancellationToken,
    paused: watch::Sender<bool>,
    join: JoinHandle<()>,
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
    pub(super) async fn stop_tasks(&mut self, ids: Vec<u32>) {
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

    pub(super) fn set_paused(&self, paused: bool) {
        for task in self.tasks.values() {
            task.paused.send_replace(paused);
        }
    }
}
