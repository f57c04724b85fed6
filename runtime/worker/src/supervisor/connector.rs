//! The connector itself, on a thread of its own: started, asked for its tasks, watched, stopped.

use std::{sync::Arc, time::Duration};

use connect_api::{ConnectorContext, Error, Result, Settings};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{Actor, handle::Waiter, task_configs::most_tasks};
use crate::{
    plugin_threads::caught,
    registry::{ConnectorPlugin, RunningConnector},
    status::State,
};

/// The connector's own stop is bounded by this, as in Kafka Connect.
const CONNECTOR_STOP: Duration = Duration::from_secs(5);

/// What a connector's thread has to say.
pub(super) struct News {
    instance: u64,
    said: Said,
}

enum Said {
    Started(Result<()>),
    Tasks {
        ask: u64,
        made: Result<Vec<Settings>>,
    },
    /// Tasks have to be configured anew, or the connector has failed.
    Watched(Result<()>),
}

enum Ask {
    Tasks { ask: u64, most: usize },
    Stop,
}

/// A connector that was started, or is about to be.
pub(super) struct Instance {
    number: u64,
    ready: bool,
    asks: mpsc::UnboundedSender<Ask>,
    /// How often it was asked for its tasks: only the answer to the latest counts.
    asked: u64,
    stopping: CancellationToken,
    given_up: CancellationToken,
    ended: oneshot::Receiver<Result<()>>,
}

impl Actor {
    /// Begins to start the connector; the waiter hears when it runs and has its tasks, or why it does not.
    pub(super) fn begin(&mut self, waiter: Option<Waiter>) {
        self.waiting.extend(waiter);
        if let Err(e) = self.try_begin() {
            self.not_started(e);
        }
    }

    fn try_begin(&mut self) -> Result<()> {
        self.started = Instant::now();
        self.resolved = self.providers().resolve(&self.settings)?;
        self.resolved.warn();
        let settings = self.resolved.settings.clone();
        let plugin = self.services.plugins.connectors.find(settings.get("connector.class").unwrap_or_default())?;
        let (asks, asked) = mpsc::unbounded_channel();
        let (stopping, given_up) = (CancellationToken::new(), CancellationToken::new());
        self.instances += 1;
        let number = self.instances;
        let news = self.news.0.clone();
        let told = move |said: Said| {
            // The supervisor may have ended.
            let _ = news.send(News { instance: number, said });
        };
        let context =
            ConnectorContext { name: self.name.clone(), settings: settings.clone(), stopping: stopping.clone() };
        let (started, end) = (plugin.clone(), given_up.clone());
        let ended = self.services.threads.start(&format!("connector {}", self.name), async move {
            let result = tokio::select! {
                biased;
                // What waits for ever ends with its future; what does not even return ends when it does.
                () = end.cancelled() => Ok(()),
                result = live(&started, settings, context, asked, told) => result,
            };
            if end.is_cancelled() {
                tracing::info!("the connector that was given up has ended");
            }
            result
        })?;
        self.plugin = Some(plugin);
        self.instance = Some(Instance { number, ready: false, asks, asked: 0, stopping, given_up, ended });
        Ok(())
    }

    /// Takes up what the connector's thread says, unless it is one that was stopped meanwhile.
    pub(super) fn hear(&mut self, news: News) {
        let Some(instance) = self.instance.as_mut().filter(|i| i.number == news.instance) else { return };
        match news.said {
            Said::Started(Ok(())) => {
                instance.ready = true;
                self.services.statuses.startups().connectors.count(true);
                self.set_state(State::Running, None);
                let doing = format!("generating task configs for connector {}", self.name);
                for waiter in &self.waiting {
                    waiter.stages.begin(&doing);
                }
                self.ask_for_tasks();
            }
            Said::Started(Err(e)) => self.not_started(e),
            Said::Watched(Ok(())) => self.ask_for_tasks(),
            Said::Watched(Err(e)) => {
                let e = self.concealed(e);
                self.fail(&e);
            }
            Said::Tasks { ask, made } if ask == instance.asked => self.configure_tasks(made),
            Said::Tasks { .. } => {}
        }
    }

    fn not_started(&mut self, e: Error) {
        self.services.statuses.startups().connectors.count(false);
        let e = self.concealed(e);
        self.fail(&e);
        // What was committed earlier runs even if the connector itself cannot.
        self.start_missing();
    }

    /// Asks a connector that runs for its tasks; one that is about to run is asked then.
    pub(super) fn ask_for_tasks(&mut self) {
        self.retry_at = None;
        let Some(instance) = self.instance.as_mut().filter(|i| i.ready) else { return };
        match most_tasks(&self.resolved.settings) {
            Ok(most) => {
                instance.asked += 1;
                // A thread that has ended has said why.
                let _ = instance.asks.send(Ask::Tasks { ask: instance.asked, most });
            }
            Err(e) => self.configure_tasks(Err(e)),
        }
    }

    /// Lets the connector stop; resolves when it has, with its error, or when it is given up.
    pub(super) fn stop_connector(&mut self) -> impl Future<Output = Option<Error>> + Send + use<> {
        let instance = self.instance.take();
        self.retry_at = None;
        // What is being stored may be stored or not.
        self.unsettled |= self.storing.take().is_some();
        // What they asked for is stored; something later counts.
        self.answer(&Ok(()));
        let secrets = self.providers().secrets().clone();
        async move {
            let mut instance = instance?;
            instance.stopping.cancel();
            // A thread that has ended takes nothing any more.
            let _ = instance.asks.send(Ask::Stop);
            match tokio::time::timeout(CONNECTOR_STOP, &mut instance.ended).await {
                Ok(Ok(Ok(())) | Err(_)) => None,
                Ok(Ok(Err(e))) => {
                    let e = secrets.conceal_error(e);
                    tracing::warn!("stopping the connector: {}", e.one_line());
                    Some(e)
                }
                Err(_) => {
                    tracing::warn!("the connector did not stop within {} s and is given up", CONNECTOR_STOP.as_secs());
                    instance.given_up.cancel();
                    None
                }
            }
        }
    }
}

/// The life of a connector on its thread. One that fails, or that nobody steers any more, is dropped without a stop.
async fn live(
    plugin: &Arc<ConnectorPlugin>,
    settings: Settings,
    context: ConnectorContext,
    mut asks: mpsc::UnboundedReceiver<Ask>,
    tell: impl Fn(Said),
) -> Result<()> {
    let mut connector: Box<dyn RunningConnector> = match caught(plugin.start(settings, context)).await {
        Ok(connector) => connector,
        Err(e) => {
            tell(Said::Started(Err(e)));
            return Ok(());
        }
    };
    tell(Said::Started(Ok(())));
    // It is asked for its tasks first.
    let mut watching = false;
    loop {
        let ask = tokio::select! {
            biased;
            ask = asks.recv() => ask,
            watched = caught(connector.watch()), if watching => {
                let failed = watched.is_err();
                tell(Said::Watched(watched));
                if failed {
                    return Ok(());
                }
                // It is watched again when it has been asked.
                watching = false;
                continue;
            }
        };
        match ask {
            Some(Ask::Tasks { ask, most }) => {
                let connector = &mut connector;
                let made = caught(async move { connector.task_configs(most) }).await;
                tell(Said::Tasks { ask, made });
                watching = true;
            }
            Some(Ask::Stop) => return caught(connector.stop()).await,
            None => return Ok(()),
        }
    }
}
