//! The settings of a connector's tasks: completed, stored where they have changed, taken up.

use std::time::Duration;

use connect_api::{Error, ErrorClass, Result, Settings, config::Config as _};
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::Actor;
use crate::{framework::CommonConfig, status::Subject};

/// Waits between tries to configure tasks: the first, and the longest.
const RETRY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(60));

/// Settings of tasks on their way to the store.
pub(super) struct Storing {
    tasks: usize,
    pub(super) done: BoxFuture<'static, Result<()>>,
}

/// How many tasks there may be.
pub(super) fn most_tasks(settings: &Settings) -> Result<usize> {
    Ok(usize::try_from(CommonConfig::parse(settings)?.tasks_max).unwrap_or(1))
}

impl Actor {
    /// Takes up what the connector answers when it is asked for its tasks.
    pub(super) fn configure_tasks(&mut self, made: Result<Vec<Settings>>) {
        let made = match made.and_then(|made| self.complete(made)) {
            Ok(made) => made,
            Err(e) => return self.not_configured(e),
        };
        let configs = self.services.configs.clone();
        // Converters and transforms of the tasks are the connector's settings, too. So is what config providers give,
        // which may be other values than before.
        let changed = {
            let log = configs.log();
            log.tasks(&self.name) != made
                || log.applied(&self.name) != Some(&self.settings)
                || self.applied.as_ref().is_some_and(|applied| *applied != self.resolved.settings)
        };
        // Whether what was stored last will be stored is not known where that was interrupted.
        let unsettled = self.unsettled || self.storing.take().is_some();
        if !changed && !unsettled {
            return self.tasks_configured(made.len());
        }
        self.unsettled = true;
        let (name, tasks) = (self.name.clone(), made.len());
        let done = Box::pin(async move { configs.put_tasks(&name, &made).await });
        self.storing = Some(Storing { tasks, done });
    }

    /// Goes on when the settings of tasks have been stored: what runs was made for others.
    pub(super) async fn tasks_stored(&mut self, stored: Result<()>) {
        let Some(storing) = self.storing.take() else { return };
        match stored {
            Ok(()) => {
                self.unsettled = false;
                self.stop_tasks(self.all_tasks()).await;
                self.tasks_configured(storing.tasks);
            }
            Err(e) => self.not_configured(e),
        }
    }

    fn complete(&self, mut made: Vec<Settings>) -> Result<Vec<Settings>> {
        let config = CommonConfig::parse(&self.resolved.settings)?;
        let most = most_tasks(&self.resolved.settings)?;
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
            if let Some(plugin) = &self.plugin {
                settings.set("task.class", plugin.info.task_class());
            }
            for key in ["topics", "topics.regex"] {
                if let Some(value) = self.settings.get(key) {
                    settings.set(key, value);
                }
            }
            self.resolved.reverse(settings);
        }
        Ok(made)
    }

    fn tasks_configured(&mut self, count: usize) {
        self.retries = 0;
        self.services.statuses.note(&self.name, Subject::Tasks, None);
        self.applied = Some(self.resolved.settings.clone());
        self.services.statuses.truncate_tasks(&self.name, u32::try_from(count).unwrap_or(u32::MAX));
        self.start_missing();
        self.answer(&Ok(()));
    }

    /// The connector runs, but its tasks are not those that it wants.
    fn not_configured(&mut self, e: Error) {
        let e = self.concealed(e);
        if e.class() == ErrorClass::Retriable {
            let delay = RETRY.1.min(RETRY.0 * 2u32.saturating_pow(self.retries));
            let why = e.one_line();
            tracing::warn!("its tasks cannot be configured, which is tried again in {delay:?}: {why}");
            let text = format!("its tasks cannot be configured, which is tried again: {why}");
            self.services.statuses.note(&self.name, Subject::Tasks, Some(&text));
            self.retries += 1;
            self.retry_at = Some(Instant::now() + delay);
            self.start_missing();
            self.answer(&Ok(()));
        } else {
            // It was started, although it does not go on.
            self.answer(&Ok(()));
            self.fail(&e);
        }
    }
}
