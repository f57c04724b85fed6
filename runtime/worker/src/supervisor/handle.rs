//! How the rest of the worker steers a connector's actor.

use std::sync::Arc;

use connect_api::{Error, Result, Settings};
use tokio::sync::{mpsc, oneshot};
use tracing::Instrument;

use super::{Actor, Services};
use crate::storage::Target;

/// What the actor carries out.
pub(super) enum Command {
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
        tokio::spawn(Actor::new(name, services).run(receiver).instrument(span));
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
