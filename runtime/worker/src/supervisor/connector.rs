//! The connector itself: started, asked for its tasks, stopped.

use std::{panic::AssertUnwindSafe, time::Duration};

use connect_api::{ConnectorContext, Error, ErrorClass, Result, config::Config as _};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Actor, caught, panicked};
use crate::framework::CommonConfig;

/// Waits between tries to configure tasks: the first, and the longest.
const RETRY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(60));

/// The connector's own stop is bounded by this, as in Kafka Connect.
const CONNECTOR_STOP: Duration = Duration::from_secs(5);

impl Actor {
    pub(super) async fn start_connector(&mut self) -> Result<()> {
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
    pub(super) async fn reconfigure_tasks(&mut self) {
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

    pub(super) async fn stop_connector(&mut self) -> Option<Error> {
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
}
