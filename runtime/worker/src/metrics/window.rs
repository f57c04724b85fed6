//! What a task did within the last minute, by samples of its counters.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::counts::{Numbers, Seen};

/// How often samples are taken, and how many are kept: a minute, as Kafka's metrics have it.
pub const EVERY: Duration = Duration::from_secs(5);
const KEPT: usize = 13;
/// Rates over less are noise.
const SHORTEST: Duration = Duration::from_secs(1);

/// The samples of a task, the oldest first; never empty.
#[derive(Debug)]
pub struct Window(VecDeque<(Instant, Numbers)>);

impl Window {
    /// Begins with nothing counted.
    pub fn new(now: Instant) -> Self {
        Self([(now, Numbers::default())].into())
    }

    /// Whether the next sample is due.
    pub fn is_due(&self, now: Instant) -> bool {
        self.0.back().is_none_or(|(at, _)| now.saturating_duration_since(*at) >= EVERY)
    }

    /// Adds a sample.
    pub fn push(&mut self, now: Instant, numbers: Numbers) {
        self.0.push_back((now, numbers));
        if self.0.len() > KEPT {
            self.0.pop_front();
        }
    }

    /// What happened between the oldest sample and now.
    pub fn until(&self, now: Instant, numbers: Numbers) -> Recent {
        let (then, before) = self.0.front().copied().unwrap_or((now, numbers));
        let seconds = now.saturating_duration_since(then).max(SHORTEST).as_secs_f64();
        let rate = |now: u64, then: u64| now.saturating_sub(then) as f64 / seconds;
        // The largest values of a sample are those before it, so the oldest one's do not count.
        let within = |of: fn(&Numbers) -> u64| {
            let samples = self.0.iter().skip(1).map(|(_, n)| of(n));
            samples.chain([of(&numbers)]).collect::<Vec<u64>>()
        };
        let spread = |of: fn(&Numbers) -> Seen, max: fn(&Numbers) -> u64| {
            let (now, then) = (of(&numbers), of(&before));
            let count = now.count.saturating_sub(then.count);
            let average = (count > 0).then(|| now.sum.saturating_sub(then.sum) as f64 / count as f64);
            Typical { count, average, max: within(max).into_iter().max().filter(|_| count > 0).map(|m| m as f64) }
        };
        let active = within(|n| n.active);
        Recent {
            read_rate: rate(numbers.read, before.read),
            written_rate: rate(numbers.written, before.written),
            commit_rate: rate(numbers.commits.count, before.commits.count),
            polls: spread(|n| n.polls, |n| n.polls.max),
            batches: spread(|n| n.batches, |n| n.batches.max),
            puts: spread(|n| n.puts, |n| n.puts.max),
            commits: spread(|n| n.commits, |n| n.commits.max),
            failed_commits: numbers.failed_commits.saturating_sub(before.failed_commits),
            active_max: active.iter().copied().max().unwrap_or(0),
            active_average: active.iter().sum::<u64>() as f64 / active.len().max(1) as f64,
        }
    }
}

/// What happened within the last minute, or since the task was started where that is later.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Recent {
    /// Records read a second.
    pub read_rate: f64,
    /// Records a second that reached their destination.
    pub written_rate: f64,
    /// Commits of offsets a second that succeeded.
    pub commit_rate: f64,
    /// Times of polls, in microseconds.
    pub polls: Typical,
    /// Records of a batch.
    pub batches: Typical,
    /// Times of puts, in microseconds.
    pub puts: Typical,
    /// Times of commits, in microseconds.
    pub commits: Typical,
    /// Commits that failed.
    pub failed_commits: u64,
    /// Most records under way at a time.
    pub active_max: u64,
    /// Records under way, on average over the samples.
    pub active_average: f64,
}

/// Average and largest of some values; none where there were no values.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Typical {
    /// How many values.
    pub count: u64,
    /// Their average.
    pub average: Option<f64>,
    /// The largest.
    pub max: Option<f64>,
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::{super::counts::Counts, *};

    #[test]
    fn rates_are_those_of_the_last_minute() {
        let (counts, began) = (Counts::default(), Instant::now());
        let mut window = Window::new(began);
        let at = |s: u64| began + Duration::from_secs(s);
        counts.read.fetch_add(40, Ordering::Relaxed);
        // Soon after the start it is the time since then, but not less than a second.
        assert_eq!(window.until(began, counts.numbers()).read_rate, 40.0);
        assert_eq!(window.until(at(4), counts.numbers()).read_rate, 10.0);
        for s in 1..=24 {
            assert!(window.is_due(at(s * 5)) && !window.is_due(at(s * 5 - 1)));
            counts.read.fetch_add(10, Ordering::Relaxed);
            window.push(at(s * 5), counts.sample());
        }
        assert_eq!(window.until(at(120), counts.numbers()).read_rate, 2.0);
        for s in 25..=36 {
            window.push(at(s * 5), counts.sample());
        }
        assert_eq!(window.until(at(180), counts.numbers()).read_rate, 0.0);
    }

    #[test]
    fn averages_and_maxima_are_of_the_window_and_missing_where_nothing_happened() {
        let (counts, began) = (Counts::default(), Instant::now());
        let mut window = Window::new(began);
        assert_eq!(window.until(began, counts.numbers()).puts, Typical::default());
        counts.puts.add(9000);
        window.push(began + EVERY, counts.sample());
        counts.puts.add(1000);
        let puts = window.until(began + EVERY, counts.numbers()).puts;
        assert_eq!(puts, Typical { count: 2, average: Some(5000.0), max: Some(9000.0) });
        for n in 2..=14 {
            window.push(began + EVERY * n, counts.sample());
        }
        assert_eq!(window.until(began + EVERY * 14, counts.numbers()).puts, Typical::default());
    }

    #[test]
    fn records_under_way_are_sampled() {
        let (counts, began) = (Counts::default(), Instant::now());
        let mut window = Window::new(began);
        counts.polls.add(1);
        counts.read.fetch_add(30, Ordering::Relaxed);
        window.push(began + EVERY, counts.sample());
        counts.settled.fetch_add(20, Ordering::Relaxed);
        let recent = window.until(began + EVERY, counts.numbers());
        assert_eq!((recent.active_max, recent.active_average, counts.numbers().active), (30, 20.0, 10));
    }
}
