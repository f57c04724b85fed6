//! Restarts of connectors and tasks that have failed: how often, and after how long.
//!
//! Kafka Connect leaves a failed task to a person. Here a policy may restart it, with growing pauses; between two tries
//! its state is FAILED, so that tools which look for that see the same as ever.

use std::time::Duration;

use connect_api::{
    Settings,
    config::{Config as _, Key, Millis, Problems},
};

connect_api::config! {
    /// Restarts of what has failed; Kafka Connect has no such settings.
    #[derive(Debug, Clone)]
    pub struct RestartConfig {
        /// How often a connector or task that has failed is restarted before it is left to a person: 0 is never, -1
        /// without limit. Counting begins anew when it has run for ten minutes. Where it is not set the worker's
        /// restart.attempts holds, and without that -1; for a worker file in Java properties, as Kafka Connect has them, 0.
        attempts: Option<i32> = Key::new("restart.attempts").low()
            .check(|n: &Option<i32>| if n.is_some_and(|n| n < -1) { Err("Value must be at least -1".into()) } else { Ok(()) }),
        /// The pause before the first restart; it doubles with each further one. Where it is not set the worker's holds,
        /// and without that one second.
        backoff: Option<Millis> = Key::new("restart.backoff.ms").low(),
        /// The longest pause between two restarts. Where it is not set the worker's holds, and without that five minutes.
        backoff_max: Option<Millis> = Key::new("restart.backoff.max.ms").low(),
    }
}

/// What has run for so long is counted as well again.
const WELL: Duration = Duration::from_secs(600);

/// A connector's policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// The most restarts in a row; none is no limit.
    attempts: Option<u32>,
    first: Duration,
    longest: Duration,
}

impl Policy {
    /// The connector's settings, else the worker's, else the defaults: no limit, or no restarts where `off_by_default`.
    pub fn of(connector: &Settings, worker: &Settings, off_by_default: bool) -> Result<Self, Problems> {
        let (own, general) = (RestartConfig::parse(connector)?, RestartConfig::parse(worker)?);
        let attempts = own.attempts.or(general.attempts).unwrap_or(if off_by_default { 0 } else { -1 });
        let time = |own: Option<Millis>, general: Option<Millis>, default| own.or(general).map_or(default, |ms| ms.0);
        Ok(Self {
            attempts: u32::try_from(attempts).ok(),
            first: time(own.backoff, general.backoff, Duration::from_secs(1)),
            longest: time(own.backoff_max, general.backoff_max, Duration::from_secs(300)),
        })
    }

    /// The pause before the next restart; `None` when a person has to decide.
    fn pause(&self, restarts: u32) -> Option<Duration> {
        if self.attempts.is_some_and(|most| restarts >= most) {
            return None;
        }
        Some(self.first.saturating_mul(2u32.saturating_pow(restarts.min(31))).min(self.longest))
    }
}

/// The restarts of one connector or task.
#[derive(Debug, Clone, Copy, Default)]
pub struct Restarts {
    /// How many there were in a row.
    pub count: u32,
}

impl Restarts {
    /// Takes up a failure after it has run for so long; answers how long to wait before the next restart, which is
    /// counted.
    pub fn failed(&mut self, policy: &Policy, ran: Duration) -> Option<Duration> {
        if ran >= WELL {
            self.count = 0;
        }
        let pause = policy.pause(self.count)?;
        self.count += 1;
        Some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(connector: &[(&str, &str)], off: bool) -> Policy {
        let mut settings = Settings::new();
        for (k, v) in connector {
            settings.set(*k, *v);
        }
        Policy::of(&settings, &Settings::from([("restart.backoff.max.ms", "5000")]), off).expect("policy")
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_end_with_the_attempts() {
        let three = policy(&[("restart.attempts", "3"), ("restart.backoff.ms", "2000")], true);
        let mut restarts = Restarts::default();
        let mut fail = |ran: u64| restarts.failed(&three, Duration::from_secs(ran)).map(|d| d.as_secs());
        assert_eq!([fail(1), fail(1), fail(1), fail(1)], [Some(2), Some(4), Some(5), None]);
        assert_eq!(fail(600), Some(2), "it had been well meanwhile");
    }

    #[test]
    fn a_properties_file_means_no_restarts_unless_they_are_asked_for() {
        assert_eq!(Restarts::default().failed(&policy(&[], true), Duration::ZERO), None);
        assert_eq!(Restarts::default().failed(&policy(&[], false), Duration::ZERO), Some(Duration::from_secs(1)));
        let mut long = Restarts { count: 1000 };
        assert_eq!(long.failed(&policy(&[], false), Duration::ZERO), Some(Duration::from_secs(5)));
        let wrong = Policy::of(&Settings::from([("restart.attempts", "-2")]), &Settings::new(), true);
        assert!(wrong.is_err());
    }
}
