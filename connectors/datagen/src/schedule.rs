//! When the records of a sequence are due, by a steady clock.

use std::time::Duration;

use rand::RngExt;
use tokio::time::Instant;

use crate::spec::Pace;

/// When the next record is due.
#[derive(Debug)]
pub struct Schedule {
    pace: Pace,
    next: Instant,
    catch_up: Duration,
}

impl Schedule {
    /// Begins at an instant. What is more than `catch_up` behind is left out.
    pub fn new(pace: Pace, begin: Instant, catch_up: Duration) -> Self {
        Self { pace, next: begin, catch_up }
    }

    /// When the next record is due.
    pub fn next(&self) -> Instant {
        self.next
    }

    /// Whether there is always a record due.
    pub fn unlimited(&self) -> bool {
        self.pace == Pace::Unlimited
    }

    /// Whether a record is due now; it is not any more afterwards.
    pub fn take(&mut self, now: Instant) -> bool {
        if self.pace == Pace::Unlimited {
            return true;
        }
        if self.next > now {
            return false;
        }
        match self.pace {
            Pace::Unlimited => {}
            Pace::UpTo(longest) => self.next = now + longest.mul_f64(rand::rng().random()),
            Pace::Steady(period) => {
                if self.next + self.catch_up < now {
                    // Whole periods, so that the clock's beat stays.
                    let behind = now - self.catch_up - self.next;
                    let left_out = (behind.as_secs_f64() / period.as_secs_f64()).ceil();
                    self.next += period.mul_f64(left_out);
                }
                let due = self.next <= now;
                if due {
                    self.next += period;
                }
                return due;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn all(schedule: &mut Schedule, now: Instant) -> usize {
        (0..100).take_while(|_| schedule.take(now)).count()
    }

    #[test]
    fn a_late_task_makes_up_for_a_bounded_time_and_keeps_the_beat() {
        let begin = Instant::now();
        let mut schedule = Schedule::new(Pace::Steady(SECOND), begin, 5 * SECOND);
        assert_eq!(all(&mut schedule, begin), 1, "the first is due at once");
        assert_eq!(all(&mut schedule, begin + SECOND / 2), 0);
        assert_eq!(all(&mut schedule, begin + 3 * SECOND + SECOND / 2), 3);
        assert_eq!(schedule.next(), begin + 4 * SECOND);
        assert_eq!(all(&mut schedule, begin + 1000 * SECOND), 6, "from 995 to 1000");
        assert_eq!(schedule.next(), begin + 1001 * SECOND);
        let mut slow = Schedule::new(Pace::Steady(60 * SECOND), begin, 5 * SECOND);
        assert_eq!(all(&mut slow, begin + 90 * SECOND), 0, "nothing was due within the last five seconds");
        assert_eq!(slow.next(), begin + 120 * SECOND);
    }

    #[test]
    fn pauses_by_chance_are_not_made_up_for() {
        let begin = Instant::now();
        let mut schedule = Schedule::new(Pace::UpTo(SECOND), begin, 5 * SECOND);
        let mut now = begin;
        for _ in 0..100 {
            assert!(schedule.take(now));
            assert!(schedule.next() >= now && schedule.next() <= now + SECOND);
            now = schedule.next() + SECOND;
        }
    }
}
