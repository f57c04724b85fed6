//! What is stored, taken up: at the start, and where a request for it has failed.

use std::sync::Arc;

use connect_api::{Error, Settings};

use super::{Answer, Controller, Selected};
use crate::{
    status::State,
    storage::{Target, config_log::Restart},
};

impl Controller {
    /// Restarts what is asked for, and takes up what is stored although the request for it has failed, as happens when
    /// Kafka was away for longer than the request could wait.
    pub async fn follow(self: Arc<Self>) {
        loop {
            let news = self.services.configs.changed().await;
            for asked in news.restarts {
                if let Err(refusal) = self.restart(&asked).await {
                    tracing::warn!(connector = %asked.connector, "it is not restarted: {}", refusal.text());
                }
            }
            for name in news.connectors {
                if let Err(refusal) = self.reconcile(&name).await {
                    tracing::error!(connector = %name, "what is stored of it cannot be taken up: {}", refusal.text());
                }
            }
        }
    }

    async fn restart(&self, asked: &Restart) -> Answer<()> {
        let name = &asked.connector;
        let handle = self.handle(name, || "there is no such connector".into()).await?;
        if let Some((_, Selected { connector, tasks })) = self.plan(asked) {
            drop(handle.restart(connector, tasks)?);
        }
        Ok(())
    }

    async fn reconcile(&self, name: &str) -> Answer<()> {
        let _one_at_a_time = self.change().await?;
        let stored = {
            let log = self.services.configs.log();
            log.connector(name).map(|settings| (settings.clone(), log.target(name)))
        };
        let mut all = self.all.lock().await;
        let told = all.get(name).and_then(|c| c.told.clone());
        let late = || tracing::info!(connector = name, "what was stored of it only now is taken up");
        match (stored, told) {
            (None, Some(_)) => {
                late();
                // Others need not wait for its end.
                drop(self.part_with(&mut all, name));
            }
            (Some(stored), told) if told.as_ref() != Some(&stored) => {
                late();
                let (settings, target) = stored;
                let same = told.is_some_and(|(before, _)| before == settings);
                match all.get_mut(name).filter(|_| same) {
                    Some(c) => {
                        drop(c.handle.target(target)?);
                        c.told = Some((settings, target));
                    }
                    None => drop(self.configure(&mut all, name, settings, target)?),
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Starts what the configuration topic says, side by side. What cannot be started shows as FAILED. Starting goes on
    /// also if nobody waits for it any more.
    pub async fn resume_stored(self: Arc<Self>) {
        let stored: Vec<(String, Settings, Target)> = {
            let log = self.services.configs.log();
            let one = |name: &str| Some((name.to_owned(), log.connector(name)?.clone(), log.target(name)));
            log.names().filter_map(one).collect()
        };
        let mut starts = Vec::new();
        for (name, settings, target) in stored {
            let taken = self.configure(&mut *self.all.lock().await, &name, settings, target);
            let this = self.clone();
            starts.push(tokio::spawn(async move {
                let started = match taken {
                    Ok(configured) => configured.done().await.and_then(|started| started),
                    Err(refusal) => {
                        let e = Error::fatal(refusal.text().to_owned());
                        this.services.statuses.connector(&name, State::Failed, Some(&e));
                        Err(e)
                    }
                };
                if let Err(e) = started {
                    tracing::error!(connector = %name, "it could not be started: {}", e.one_line());
                }
            }));
        }
        futures_util::future::join_all(starts).await;
    }
}
