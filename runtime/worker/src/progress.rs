//! Whether a task gets on: what it is doing, and when that is taken for a stall.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use connect_api::time;

/// What a task is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Activity {
    /// It waits for something to do: a source for its poll, a sink for records.
    #[default]
    Waiting,
    /// It is being started.
    Starting,
    /// A source's records are transformed, converted and handed to the producer.
    Sending,
    /// A sink's records are converted and transformed.
    Converting,
    /// A sink's records are being written.
    Putting,
    /// It waits until it may try again.
    Pausing,
    /// What was written is being flushed.
    Flushing,
    /// Offsets are being committed.
    Committing,
    /// Partitions are being opened.
    Opening,
    /// Partitions are being closed.
    Closing,
}

/// Each with what it is called.
const ACTIVITIES: [(Activity, &str); 10] = [
    (Activity::Waiting, "its own code does not return"),
    (Activity::Starting, "starting"),
    (Activity::Sending, "converting and sending records to kafka"),
    (Activity::Converting, "converting and transforming records"),
    (Activity::Putting, "writing records (put)"),
    (Activity::Pausing, "waiting to try again"),
    (Activity::Flushing, "flushing what was written"),
    (Activity::Committing, "committing offsets"),
    (Activity::Opening, "opening partitions"),
    (Activity::Closing, "closing partitions"),
];

/// What a task leaves undone while it waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undone {
    /// Nothing.
    Nothing,
    /// Records that Kafka has not acknowledged.
    Unacknowledged(u64),
    /// Records that Kafka has for it and that it has not got.
    Unread(u64),
    /// Its poll fails again and again.
    Poll,
}

/// A task that has something to do and does not get on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stall {
    /// What it is doing.
    pub doing: String,
    /// When it got on last, milliseconds since 1970.
    pub since: i64,
}

/// What has changed since a task was last looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It does not get on.
    Stalled(Stall),
    /// It gets on again.
    GoesOn,
}

/// Follows what a task is doing.
#[derive(Debug)]
pub struct Progress {
    activity: AtomicU8,
    /// Grows while the runner itself gets its turns.
    turns: AtomicU64,
    watch: Mutex<Watch>,
}

#[derive(Debug)]
struct Watch {
    /// What was seen when it last got on: its progress, and its turns where those count.
    seen: (u64, u64),
    since: Instant,
    since_ms: i64,
    stall: Option<Stall>,
}

impl Default for Progress {
    fn default() -> Self {
        let watch = Watch { seen: (0, 0), since: Instant::now(), since_ms: time::now_ms(), stall: None };
        Self { activity: AtomicU8::default(), turns: AtomicU64::default(), watch: Mutex::new(watch) }
    }
}

impl Progress {
    /// Says what the task is doing; answers what it was doing before.
    pub fn set(&self, activity: Activity) -> Activity {
        named(self.activity.swap(activity as u8, Ordering::Relaxed)).0
    }

    /// Says that the runner has got a turn: nothing keeps it from looking around.
    pub fn turn(&self) {
        self.turns.fetch_add(1, Ordering::Relaxed);
    }

    /// Looks whether the task has got on to here. A task that is not to run, and one that has nothing to do, always has.
    pub fn look(&self, now: Instant, progress: u64, undone: &Undone, to_run: bool, limit: Duration) -> Option<Change> {
        let (activity, called) = named(self.activity.load(Ordering::Relaxed));
        let (text, turns) = match (activity, undone) {
            (Activity::Waiting, Undone::Nothing) => (called.to_owned(), self.turns.load(Ordering::Relaxed)),
            (Activity::Waiting, undone) => (undone.text(), 0),
            _ => (called.to_owned(), 0),
        };
        // While it is being started its state says nothing yet.
        let to_run = to_run || activity == Activity::Starting;
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = (progress, turns);
        if !to_run || watch.seen != seen {
            (watch.seen, watch.since, watch.since_ms) = (seen, now, time::now_ms());
            return watch.stall.take().map(|_| Change::GoesOn);
        }
        if now.saturating_duration_since(watch.since) < limit {
            return None;
        }
        let stall = Stall { doing: text, since: watch.since_ms };
        let new = watch.stall.replace(stall.clone()).is_none();
        new.then_some(Change::Stalled(stall))
    }

    /// The stall, where there is one.
    pub fn stall(&self) -> Option<Stall> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner).stall.clone()
    }
}

impl Undone {
    fn text(&self) -> String {
        match self {
            Self::Nothing => String::new(),
            Self::Unacknowledged(n) => format!("waiting for kafka to acknowledge {n} records"),
            Self::Unread(n) => format!("waiting for records, of which kafka has {n}"),
            Self::Poll => "polling fails".into(),
        }
    }
}

fn named(number: u8) -> (Activity, &'static str) {
    ACTIVITIES.get(usize::from(number)).copied().unwrap_or(ACTIVITIES[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    fn at(s: u64) -> Instant {
        // All in one test count from the same moment.
        static BEGAN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        *BEGAN.get_or_init(Instant::now) + Duration::from_secs(s)
    }

    #[test]
    fn activities_are_called_by_their_own_names() {
        for (n, (activity, _)) in ACTIVITIES.iter().enumerate() {
            assert_eq!(*activity as usize, n);
        }
    }

    #[test]
    fn a_call_that_takes_too_long_is_a_stall_until_it_returns() {
        let p = Progress::default();
        p.look(at(0), 1, &Undone::Nothing, true, LIMIT);
        p.set(Activity::Putting);
        assert_eq!(p.look(at(1), 2, &Undone::Nothing, true, LIMIT), None);
        assert_eq!(p.look(at(60), 2, &Undone::Nothing, true, LIMIT), None);
        let change = p.look(at(61), 2, &Undone::Nothing, true, LIMIT);
        assert!(
            matches!(&change, Some(Change::Stalled(s)) if s.doing == "writing records (put)"),
            "it is told once: {change:?}"
        );
        assert_eq!(p.look(at(90), 2, &Undone::Nothing, true, LIMIT), None);
        assert_eq!(p.stall().map(|s| s.doing).as_deref(), Some("writing records (put)"));
        assert_eq!(p.look(at(91), 3, &Undone::Nothing, true, LIMIT), Some(Change::GoesOn));
        assert_eq!(p.stall(), None);
    }

    #[test]
    fn who_waits_with_nothing_to_do_never_stalls_while_it_gets_its_turns() {
        let p = Progress::default();
        for s in 0..300 {
            p.turn();
            assert_eq!(p.look(at(s), 1, &Undone::Nothing, true, LIMIT), None);
        }
        // Code that does not return keeps the runner from its turns.
        assert!(p.look(at(400), 1, &Undone::Nothing, true, LIMIT).is_some());
    }

    #[test]
    fn who_waits_while_there_is_something_to_do_stalls_and_one_that_is_not_to_run_does_not() {
        let p = Progress::default();
        p.look(at(0), 1, &Undone::Unread(7), true, LIMIT);
        p.turn();
        let change = p.look(at(60), 1, &Undone::Unread(7), true, LIMIT);
        assert!(
            matches!(&change, Some(Change::Stalled(s)) if s.doing == "waiting for records, of which kafka has 7"),
            "{change:?}"
        );
        assert_eq!(p.look(at(61), 1, &Undone::Unread(7), false, LIMIT), Some(Change::GoesOn));
        assert_eq!(p.look(at(200), 1, &Undone::Unread(7), false, LIMIT), None);
    }
}
