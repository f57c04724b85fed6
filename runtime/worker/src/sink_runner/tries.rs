//! Whether writing succeeds, over calls with records and without.

use std::time::Duration;

use connect_api::Error;

/// How often in a row writing has failed.
#[derive(Debug, Default)]
pub struct Tries(u32);

impl Tries {
    /// A call of put passed, in which the task delivered so many records and after which it keeps so many. Answers whether
    /// writing succeeds again: a task that has delivered nothing of what it keeps has not tried.
    pub(super) fn passed(&mut self, delivered: u64, kept: u64) -> bool {
        (delivered > 0 || kept == 0) && std::mem::take(&mut self.0) > 0
    }

    /// A call of put failed and is to be tried again. Answers after which pause.
    pub(super) fn failed(&mut self, e: &Error, delivered: u64, max: Duration) -> Duration {
        self.0 = if e.has_advanced() || delivered > 0 { 1 } else { self.0.saturating_add(1) };
        e.delay().unwrap_or_else(|| Duration::from_millis(300 * (1 << self.0.clamp(1, 16).saturating_sub(1))).min(max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: Duration = Duration::from_secs(30);

    fn pauses(tries: &mut Tries, n: usize) -> Vec<u128> {
        (0..n).map(|_| tries.failed(&Error::retriable("down"), 0, MAX).as_millis()).collect()
    }

    #[test]
    fn pauses_grow_until_something_is_delivered() {
        let mut tries = Tries::default();
        assert!(!tries.passed(5, 0), "it never failed");
        assert_eq!(pauses(&mut tries, 9), [300, 600, 1200, 2400, 4800, 9600, 19_200, 30_000, 30_000]);
        assert!(tries.passed(1, 7));
        assert!(!tries.passed(1, 0), "told once");
        assert_eq!(pauses(&mut tries, 2), [300, 600]);
        assert_eq!(tries.failed(&Error::retriable("down"), 3, MAX).as_millis(), 300, "others got through");
        assert_eq!(tries.failed(&Error::retriable("down").advanced(), 0, MAX).as_millis(), 300);
        assert_eq!(tries.failed(&Error::retriable("down").retry_after(MAX * 2), 0, MAX), MAX * 2);
    }

    #[test]
    fn calls_in_which_nothing_of_what_is_kept_is_delivered_say_nothing() {
        let mut tries = Tries::default();
        pauses(&mut tries, 3);
        assert!(!tries.passed(0, 2), "not yet due, or only taken");
        assert_eq!(pauses(&mut tries, 1), [2400]);
        assert!(tries.passed(0, 0), "a task that keeps nothing, or does not say so");
    }
}
