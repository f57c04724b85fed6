//! Threads for the code of plugins, as Kafka Connect has them: what hangs there hangs alone.
//!
//! Every task and every connector has a thread, and so has every call that a request waits for. A thread cannot be
//! ended from outside: one that hangs is left to itself, and whoever started it stops waiting. What plugins spawn runs
//! on a runtime of theirs, so that it holds up neither the REST API nor the rest of the worker.

use std::{any::Any, future::Future, panic::AssertUnwindSafe, thread};

use connect_api::{Error, Result};
use futures_util::FutureExt;
use tokio::{runtime::Handle, sync::oneshot};
use tracing::Instrument;

use crate::stage::Stages;

/// Where the code of plugins runs.
#[derive(Debug, Clone)]
pub struct PluginThreads {
    plugins: Handle,
    home: Handle,
}

impl PluginThreads {
    /// What plugins spawn runs on this runtime, what the worker does for them on the one that this is called on.
    pub fn new(plugins: Handle) -> Self {
        Self { plugins, home: Handle::current() }
    }

    /// The worker's own runtime, which no plugin holds up.
    pub fn home(&self) -> &Handle {
        &self.home
    }

    /// Does work on a thread of its own under the current span; what it gives comes to the receiver, or nothing where it
    /// panicked.
    pub fn start<T: Send + 'static>(
        &self,
        name: &str,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<oneshot::Receiver<T>> {
        let (done, receiver) = oneshot::channel();
        let (plugins, work) = (self.plugins.clone(), work.in_current_span());
        // The name is the user's.
        let name: String = name.chars().filter(|c| !c.is_control()).collect();
        let started = thread::Builder::new().name(name).spawn(move || {
            // Who asked may have stopped waiting.
            let _ = done.send(plugins.block_on(work));
        });
        started.map_err(|e| Error::retriable("starting a thread for a plugin").caused_by(e))?;
        Ok(receiver)
    }

    /// Waits for a call that belongs to the current request; its stages are the request's.
    pub async fn call<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let stages = Stages::current();
        let done = self.start(name, caught(async move { stages.scope(work) }))?;
        done.await.unwrap_or_else(|_| Err(Error::fatal("a thread of a plugin has ended")))
    }
}

/// Turns a panic into an error, so that it stays with the one that panicked.
pub(crate) async fn caught<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
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

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use super::*;

    #[tokio::test]
    async fn what_hangs_hangs_alone_and_panics_are_errors() {
        let threads = PluginThreads::new(Handle::current());
        let (let_go, hangs) = mpsc::channel::<()>();
        let hanging = threads.start("hangs", async move { hangs.recv().is_ok() }).expect("a thread");
        assert_eq!(threads.call("works", || Ok(7)).await.expect("seven"), 7);
        let e = threads.call::<()>("panics", || panic!("no")).await.expect_err("a panic");
        assert_eq!(e.message(), "the plugin panicked, which is a bug in it: no");
        let_go.send(()).expect("it waits");
        let ended = tokio::time::timeout(Duration::from_secs(30), hanging).await;
        assert_eq!(ended.expect("it ends"), Ok(true));
    }
}
