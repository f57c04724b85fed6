//! What channels have reported and nobody has taken yet: the newest value of each, and every change of alarm.
//!
//! A consumer that is slower than the channels finds one value per channel, but all changes of status and severity, in
//! order. Values so take bounded room; changes are [counted](Board::is_full), and whoever fills the board stops at the
//! bound.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use crate::{
    alarm::{Severity, Status},
    channel::{Event, Failure, Sample},
};

/// How many changes wait for the consumer before reading stops.
pub(crate) const MAX_CHANGES: usize = 16_384;

/// Something to tell about a channel.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    /// Number of the channel.
    pub channel: usize,
    /// What.
    pub what: What,
    /// Whether status, severity or failure differ from before.
    pub is_transition: bool,
}

/// What is to be told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum What {
    /// The channel's state.
    Sample(Sample),
    /// It cannot be monitored, or an update could not be had.
    Failed(Failure),
    /// It was lost just now.
    Lost,
    /// It has not been there for the connection timeout.
    Absent {
        /// Not even since the start.
        never: bool,
    },
}

/// The board of a number of channels.
#[derive(Debug)]
pub(crate) struct Board {
    channels: Vec<Channel>,
    queue: VecDeque<Seen>,
    /// The number of the first entry of the queue; numbers rise by one.
    first: u64,
    changes: usize,
    timeout: Duration,
    /// Channels without a connection by the time of their timeout, which all have the same length.
    deadlines: VecDeque<(Instant, usize, u32)>,
    has_ended: bool,
    /// Whether a channel was connected or lost since somebody asked for those that are missing.
    is_news: bool,
}

#[derive(Debug, Default)]
struct Channel {
    state: Option<Condition>,
    /// The number of the entry that a newer value may replace.
    replaceable: Option<u64>,
    is_connected: bool,
    was_connected: bool,
    /// Counts connections, so that a deadline knows whether it is still meant.
    epoch: u32,
}

#[derive(Debug, PartialEq)]
enum Condition {
    Alarm(Status, Severity),
    Failed(Failure),
    Absent,
}

impl Board {
    /// An empty board of channels that are searched for from `now` on.
    pub(crate) fn new(channels: usize, timeout: Duration, now: Instant) -> Board {
        Board {
            channels: (0..channels).map(|_| Channel::default()).collect(),
            queue: VecDeque::new(),
            first: 0,
            changes: 0,
            timeout,
            deadlines: (0..channels).map(|channel| (now + timeout, channel, 0)).collect(),
            has_ended: false,
            is_news: true,
        }
    }

    /// The channels without a connection, if they are others than when last asked.
    pub(crate) fn missing(&mut self) -> Option<Vec<usize>> {
        let all = || (0..self.channels.len()).filter(|n| !self.channels[*n].is_connected).collect();
        let news = self.is_news.then(all);
        self.is_news = false;
        news
    }

    /// Takes in an event of a channel.
    pub(crate) fn note(&mut self, channel: usize, event: Event, now: Instant) {
        let slot = &mut self.channels[channel];
        match event {
            Event::Connected { .. } => {
                (slot.is_connected, slot.was_connected, self.is_news) = (true, true, true);
                slot.epoch += 1;
            }
            Event::Disconnected { .. } => {
                (slot.is_connected, self.is_news) = (false, true);
                self.deadlines.push_back((now + self.timeout, channel, slot.epoch));
                self.push(channel, What::Lost, true);
            }
            Event::Update { sample, .. } => {
                let state = Condition::Alarm(sample.status, sample.severity);
                let is_transition = slot.state.as_ref() != Some(&state);
                slot.state = Some(state);
                self.push(channel, What::Sample(sample), is_transition);
            }
            Event::Failed { why, .. } => {
                let state = Condition::Failed(why.clone());
                // A failure that lasts is told once.
                if slot.state.as_ref() != Some(&state) {
                    slot.state = Some(state);
                    self.push(channel, What::Failed(why), true);
                }
            }
        }
    }

    /// When [`Board::expire`] has something to do.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.front().map(|(at, ..)| *at)
    }

    /// Finds the channels that were not connected in time.
    pub(crate) fn expire(&mut self, now: Instant) {
        while let Some((_, channel, epoch)) = self.deadlines.front().copied().filter(|(at, ..)| *at <= now) {
            self.deadlines.pop_front();
            let slot = &mut self.channels[channel];
            if !slot.is_connected && slot.epoch == epoch {
                slot.state = Some(Condition::Absent);
                let never = !slot.was_connected;
                self.push(channel, What::Absent { never }, true);
            }
        }
    }

    /// Whether enough changes wait for now.
    pub(crate) fn is_full(&self) -> bool {
        self.changes >= MAX_CHANGES
    }

    /// There will be no more events.
    pub(crate) fn end(&mut self) {
        self.has_ended = true;
    }

    /// Whether there will be no more events.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Takes up to `max` entries, oldest first.
    pub(crate) fn take(&mut self, max: usize) -> Vec<Seen> {
        let taken: Vec<Seen> = self.queue.drain(..max.min(self.queue.len())).collect();
        self.first += taken.len() as u64;
        self.changes -= taken.iter().filter(|seen| seen.is_transition).count();
        taken
    }

    fn push(&mut self, channel: usize, what: What, is_transition: bool) {
        let slot = &mut self.channels[channel];
        if !is_transition && let Some(number) = slot.replaceable.filter(|number| *number >= self.first) {
            self.queue[(number - self.first) as usize].what = what;
            return;
        }
        let number = self.first + self.queue.len() as u64;
        slot.replaceable = (!is_transition).then_some(number);
        self.changes += usize::from(is_transition);
        self.queue.push_back(Seen { channel, what, is_transition });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::{ChannelId, NativeType, Timestamp, Value};

    const TIMEOUT: Duration = Duration::from_secs(5);

    fn sample(value: f64, severity: Severity) -> Event {
        let status = if severity == Severity::NoAlarm { Status::NoAlarm } else { Status::High };
        let time = Timestamp { seconds: 0, nanos: 0 };
        Event::Update { id: ChannelId(0), sample: Sample { status, severity, time, value: Value::Double(vec![value]) } }
    }

    fn connected() -> Event {
        Event::Connected { id: ChannelId(0), native: NativeType::Double, count: 1, server: None }
    }

    fn disconnected() -> Event {
        Event::Disconnected { id: ChannelId(0) }
    }

    fn board(channels: usize) -> (Board, Instant) {
        let now = Instant::now();
        (Board::new(channels, TIMEOUT, now), now)
    }

    fn show(board: &mut Board) -> Vec<String> {
        let show = |seen: Seen| {
            let mark = if seen.is_transition { "!" } else { "" };
            match seen.what {
                What::Sample(Sample { value: Value::Double(v), .. }) => format!("{}:{}{mark}", seen.channel, v[0]),
                What::Lost => format!("{}:lost{mark}", seen.channel),
                What::Absent { never } => format!("{}:absent{}{mark}", seen.channel, if never { " ever" } else { "" }),
                other => format!("{}:{other:?}{mark}", seen.channel),
            }
        };
        board.take(usize::MAX).into_iter().map(show).collect()
    }

    #[test]
    fn the_newest_value_wins_and_no_transition_is_lost() {
        let (mut board, now) = board(2);
        use Severity::{Major, Minor, NoAlarm};
        for (channel, value, severity) in [
            (0, 1.0, NoAlarm),
            (0, 2.0, NoAlarm),
            (1, 50.0, NoAlarm),
            (0, 3.0, NoAlarm),
            (0, 85.0, Minor),
            (0, 86.0, Minor),
            (0, 95.0, Major),
            (0, 4.0, NoAlarm),
            (0, 5.0, NoAlarm),
            (0, 6.0, NoAlarm),
        ] {
            board.note(channel, sample(value, severity), now);
        }
        assert_eq!(show(&mut board), ["0:1!", "0:3", "1:50!", "0:85!", "0:86", "0:95!", "0:4!", "0:6"]);
        board.note(0, sample(7.0, NoAlarm), now);
        assert_eq!(show(&mut board), ["0:7"], "an entry that was taken is not replaced");
    }

    #[test]
    fn values_take_bounded_room_and_transitions_fill_the_board() {
        let (mut board, now) = board(1);
        for n in 0..100_000 {
            board.note(0, sample(f64::from(n), Severity::NoAlarm), now);
        }
        assert_eq!((board.queue.len(), board.is_full()), (2, false));
        for n in 0..MAX_CHANGES {
            board.note(0, sample(0.0, if n % 2 == 0 { Severity::Major } else { Severity::NoAlarm }), now);
        }
        assert!(board.is_full());
        board.take(100);
        assert!(!board.is_full());
    }

    #[test]
    fn a_channel_that_stays_away_is_absent_once() {
        let (mut board, start) = board(2);
        board.note(0, connected(), start);
        board.note(0, sample(1.0, Severity::NoAlarm), start);
        board.expire(start + TIMEOUT);
        assert_eq!(show(&mut board), ["0:1!", "1:absent ever!"]);
        assert_eq!(board.next_deadline(), None);
        let lost = start + 2 * TIMEOUT;
        board.note(0, disconnected(), lost);
        board.expire(lost + TIMEOUT / 2);
        assert_eq!(show(&mut board), ["0:lost!"]);
        board.expire(lost + TIMEOUT);
        board.expire(lost + 9 * TIMEOUT);
        assert_eq!(show(&mut board), ["0:absent!"]);
        board.note(0, connected(), lost + 10 * TIMEOUT);
        board.note(0, sample(1.0, Severity::NoAlarm), lost + 10 * TIMEOUT);
        assert_eq!(show(&mut board), ["0:1!"], "what it was before its absence is a change again");
    }

    #[test]
    fn a_channel_that_comes_back_in_time_has_not_changed() {
        let (mut board, start) = board(1);
        board.note(0, connected(), start);
        board.note(0, sample(85.0, Severity::Minor), start);
        board.note(0, disconnected(), start);
        board.note(0, connected(), start);
        board.note(0, sample(86.0, Severity::Minor), start);
        board.expire(start + 9 * TIMEOUT);
        assert_eq!(show(&mut board), ["0:85!", "0:lost!", "0:86"]);
        // Lost again before the first deadline: only the second one counts.
        board.note(0, disconnected(), start);
        board.note(0, connected(), start + TIMEOUT / 2);
        board.note(0, disconnected(), start + TIMEOUT / 2);
        board.expire(start + TIMEOUT);
        assert_eq!(show(&mut board), ["0:lost!", "0:lost!"]);
        board.expire(start + 2 * TIMEOUT);
        assert_eq!(show(&mut board), ["0:absent!"]);
    }

    #[test]
    fn channels_that_are_missing_are_told_when_they_change() {
        let (mut board, now) = board(2);
        assert_eq!(board.missing(), Some(vec![0, 1]));
        assert_eq!(board.missing(), None);
        board.note(0, connected(), now);
        assert_eq!(board.missing(), Some(vec![1]));
        board.note(0, sample(1.0, Severity::NoAlarm), now);
        assert_eq!(board.missing(), None);
        board.note(0, disconnected(), now);
        assert_eq!(board.missing(), Some(vec![0, 1]));
    }

    #[test]
    fn a_failure_that_lasts_is_told_once() {
        let (mut board, now) = board(1);
        let failed = |bytes| Event::Failed { id: ChannelId(0), why: Failure::TooLarge { bytes, limit: 1 } };
        for event in [failed(2), failed(2), failed(3), sample(1.0, Severity::NoAlarm), failed(3)] {
            board.note(0, event, now);
        }
        assert_eq!(show(&mut board).len(), 4);
    }
}
