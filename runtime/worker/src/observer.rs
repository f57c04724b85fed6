//! Looks at all tasks once a second, on a thread of its own, so that it goes on where plugins hold up all others.

use std::{
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use connect_api::{Error, Result};

use crate::{
    progress::Change,
    status::{State, Statuses},
};

const EVERY: Duration = Duration::from_secs(1);

/// Looks until it is dropped.
#[derive(Debug)]
pub struct Observer {
    _stop: mpsc::Sender<()>,
}

impl Observer {
    /// Takes samples of what tasks count, and says when one that has something to do does not get on for this long;
    /// zero says nothing.
    pub fn start(statuses: Arc<Statuses>, limit: Duration) -> Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let limit = (!limit.is_zero()).then_some(limit);
        let work = move || {
            while stopped.recv_timeout(EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
                look(&statuses, Instant::now(), limit);
            }
        };
        let spawned = thread::Builder::new().name("observer".into()).spawn(work);
        spawned.map_err(|e| Error::fatal("starting the thread that observes tasks").caused_by(e))?;
        Ok(Self { _stop: stop })
    }
}

fn look(statuses: &Statuses, now: Instant, limit: Option<Duration>) {
    for connector in statuses.view() {
        let _connector = tracing::error_span!("connector", connector = %connector.name).entered();
        for task in &connector.tasks {
            let to_run = task.state == State::Running;
            let Some(change) = task.status.look(now, to_run, limit) else { continue };
            let _task = tracing::error_span!("task", task = task.id).entered();
            match change {
                Change::Stalled(stall) => {
                    let seconds = limit.unwrap_or_default().as_secs_f64();
                    tracing::warn!("the task has not got on for {seconds} s: {}", stall.doing);
                }
                // A task that does not run any more has not gone on.
                Change::GoesOn if !to_run => {}
                Change::GoesOn => tracing::info!("the task gets on again"),
            }
        }
    }
}
