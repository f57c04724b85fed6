//! How the rest of the worker steers a connector's actor.

use std::sync::Arc;

use connect_api::{Error, Result, Settings};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{Actor, Services};
use crate::{stage::Stages, storage::Target};

/// What the actor carries out.
pub(super) enum Command {
    Configure(Settings, Target, Waiter),
    Target(Target, oneshot::Sender<()>),
    Restart { connector: bool, tasks: Vec<u32>, done: Waiter },
    Stop(oneshot::Sender<()>),
}

/// Who waits for a connector to start.
pub(super) struct Waiter {
    pub(super) done: oneshot::Sender<Result<()>>,
    pub(super) stages: Stages,
}

/// Steers one connector.
#[derive(Clone)]
pub struct Handle {
    commands: mpsc::UnboundedSender<Command>,
}

impl Handle {
    /// Starts the actor; nothing runs before [`Handle::configure`], nor before a connector of the same name, which was
    /// deleted, has stopped or was given up.
    pub fn new(name: Arc<str>, services: Services, before: Option<CancellationToken>) -> Self {
        let (commands, receiver) = mpsc::unbounded_channel();
        // Of the most severe level: no log filter takes from a line whose it is.
        let span = tracing::error_span!("connector", connector = %name);
        let life = async move {
            if let Some(before) = before {
                before.cancelled().await;
            }
            Actor::new(name, services).run(receiver).await;
        };
        tokio::spawn(life.instrument(span));
        Self { commands }
    }

    fn queue<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<Queued<T>> {
        let (sender, answer) = oneshot::channel();
        self.commands.send(command(sender)).map_err(|_| gone())?;
        Ok(Queued(answer))
    }

    /// Gives the connector a new configuration and a target; done when it has been started or failed to.
    pub fn configure(&self, settings: Settings, target: Target) -> Result<Queued<Result<()>>> {
        let stages = Stages::current();
        self.queue(|done| Command::Configure(settings, target, Waiter { done, stages }))
    }

    /// Sets the target state; done when it has been taken up.
    pub fn target(&self, target: Target) -> Result<Queued<()>> {
        self.queue(|done| Command::Target(target, done))
    }

    /// Restarts the connector itself, some of its tasks, or both.
    pub fn restart(&self, connector: bool, tasks: Vec<u32>) -> Result<Queued<Result<()>>> {
        let stages = Stages::current();
        self.queue(|done| Command::Restart { connector, tasks, done: Waiter { done, stages } })
    }

    /// Stops everything; the actor ends.
    pub async fn stop(&self) {
        // An actor that is gone has stopped.
        if let Ok(queued) = self.queue(Command::Stop) {
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
