//! What a running task counts: a few atomic additions a batch, read when somebody asks.

use std::{
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    time::Duration,
};

/// Times or sizes: how many there were, their sum, and the largest since samples were last taken.
#[derive(Debug, Default)]
pub struct Spread {
    count: AtomicU64,
    sum: AtomicU64,
    max: AtomicU64,
}

/// A [`Spread`] at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// How many.
    pub count: u64,
    /// Their sum.
    pub sum: u64,
    /// The largest since the last sample.
    pub max: u64,
}

impl Spread {
    /// Adds a size.
    pub fn add(&self, value: u64) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
        self.max.fetch_max(value, Ordering::Relaxed);
    }

    /// Adds a time, in microseconds.
    pub fn add_time(&self, time: Duration) {
        self.add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// The values now.
    pub fn seen(&self) -> Seen {
        Seen { count: get(&self.count), sum: get(&self.sum), max: get(&self.max) }
    }

    /// As [`Spread::seen`]; the next largest value is one that comes later.
    fn sampled(&self) -> Seen {
        Seen { count: get(&self.count), sum: get(&self.sum), max: self.max.swap(0, Ordering::Relaxed) }
    }
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// The counters of a task.
#[derive(Debug, Default)]
pub struct Counts {
    /// Records read: polled, or taken from Kafka.
    pub read: AtomicU64,
    /// Records that reached their destination.
    pub written: AtomicU64,
    /// Records with which everything has been done: written, filtered, tolerated.
    pub settled: AtomicU64,
    /// How long polls of a source took, in microseconds.
    pub polls: Spread,
    /// Records of a batch.
    pub batches: Spread,
    /// How long puts of a sink took, in microseconds.
    pub puts: Spread,
    /// How long commits of offsets took that succeeded, in microseconds.
    pub commits: Spread,
    /// Commits of offsets that failed.
    pub failed_commits: AtomicU64,
    /// Partitions that a sink has.
    pub partitions: AtomicU64,
    /// Records that a sink has put and not committed.
    pub uncommitted: AtomicU64,
    /// What went wrong with records.
    pub errors: ErrorCounts,
}

/// What went wrong with records (`task-error-metrics`).
#[derive(Debug, Default)]
pub struct ErrorCounts {
    /// Attempts that failed.
    pub failures: AtomicU64,
    /// Operations that failed for good.
    pub errors: AtomicU64,
    /// Records that were tolerated as bad.
    pub skipped: AtomicU64,
    /// Attempts that were made again.
    pub retries: AtomicU64,
    /// Errors that were logged by `errors.log.enable`.
    pub logged: AtomicU64,
    /// Dead letters to be sent.
    pub letters: AtomicU64,
    /// Dead letters that Kafka refused.
    pub refused_letters: AtomicU64,
    /// When the last operation failed, milliseconds since 1970; 0 is never.
    pub last: AtomicI64,
}

impl ErrorCounts {
    /// Counts one.
    pub fn one(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an operation that failed for good.
    pub fn failed(&self) {
        Self::one(&self.failures);
        Self::one(&self.errors);
        self.last.store(connect_api::time::now_ms(), Ordering::Relaxed);
    }
}

/// The counters at a moment, as far as they are looked at over time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Numbers {
    /// See [`Counts::read`].
    pub read: u64,
    /// See [`Counts::written`].
    pub written: u64,
    /// See [`Counts::polls`].
    pub polls: Seen,
    /// See [`Counts::batches`].
    pub batches: Seen,
    /// See [`Counts::puts`].
    pub puts: Seen,
    /// See [`Counts::commits`].
    pub commits: Seen,
    /// See [`Counts::failed_commits`].
    pub failed_commits: u64,
    /// Records that were read and with which not everything has been done.
    pub active: u64,
}

impl Counts {
    /// The numbers now.
    pub fn numbers(&self) -> Numbers {
        self.look(Spread::seen)
    }

    /// The numbers now, for a sample: the largest values begin anew.
    pub fn sample(&self) -> Numbers {
        self.look(Spread::sampled)
    }

    fn look(&self, seen: impl Fn(&Spread) -> Seen) -> Numbers {
        Numbers {
            // Settled records before those that were read, or there could be more of them.
            active: self.active(),
            read: get(&self.read),
            written: get(&self.written),
            polls: seen(&self.polls),
            batches: seen(&self.batches),
            puts: seen(&self.puts),
            commits: seen(&self.commits),
            failed_commits: get(&self.failed_commits),
        }
    }

    /// Of a source: records that were polled and neither written nor dropped; of a sink: those that were put and not
    /// committed.
    fn active(&self) -> u64 {
        match get(&self.uncommitted) {
            0 if get(&self.polls.count) > 0 => self.unsettled(),
            uncommitted => uncommitted,
        }
    }

    /// Records that were read and neither written nor dropped.
    pub fn unsettled(&self) -> u64 {
        let settled = get(&self.settled);
        get(&self.read).saturating_sub(settled)
    }

    /// Grows whenever the task gets on.
    pub fn progress(&self) -> u64 {
        let all = [&self.read, &self.written, &self.settled, &self.errors.skipped, &self.commits.count];
        all.into_iter().map(get).fold(0, u64::wrapping_add)
    }
}
