//! Restarts of what has failed: planned, carried out, and forgotten when a person takes over.

use std::time::Duration;

use tokio::time::Instant;

use super::Actor;
use crate::restart::Policy;

impl Actor {
    /// Plans the restart of the connector, or of a task, that has failed after it ran for so long.
    pub(super) fn schedule(&mut self, what: Option<u32>, ran: Duration) {
        let worker = &self.services.worker;
        // What a config provider cannot read now may be there later, so the settings as written have to do.
        let settings = worker.providers.resolve(&self.settings).map_or_else(|_| self.settings.clone(), |r| r.settings);
        // Wrong settings were refused before.
        let Ok(policy) = Policy::of(&settings, &worker.settings, worker.restarts_off) else { return };
        let restarts = self.restarts.entry(what).or_default();
        let pause = restarts.failed(&policy, ran);
        self.services.statuses.restarts(&self.name, what, restarts.count, pause);
        if let Some(pause) = pause {
            tracing::warn!(task = what, "it is restarted in {pause:?}");
            self.due.insert(what, Instant::now() + pause);
        }
    }

    pub(super) async fn restart_due(&mut self) {
        let now = Instant::now();
        let due: Vec<Option<u32>> = self.due.iter().filter(|(_, at)| **at <= now).map(|(what, _)| *what).collect();
        for what in due {
            self.due.remove(&what);
            let tasks: Vec<u32> = what.into_iter().collect();
            // A failure is told of and planned for.
            self.restart(what.is_none(), tasks, None).await;
            let count = self.restarts.get(&what).map_or(0, |r| r.count);
            if !self.due.contains_key(&what) {
                self.services.statuses.restarts(&self.name, what, count, None);
            }
        }
    }

    /// A person has taken over: what was planned is not done, and counting begins anew.
    pub(super) fn forget_restarts(&mut self) {
        self.due.clear();
        for (what, _) in std::mem::take(&mut self.restarts) {
            self.services.statuses.restarts(&self.name, what, 0, None);
        }
    }
}
