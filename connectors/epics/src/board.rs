//! What channels have reported and nobody has taken yet: the newest value of each, and every change of alarm.
//!
//! A consumer that is slower than the channels finds one value per channel, but all changes of status and severity, in
//! order. Values so take bounded room; changes are [counted](Board::is_full), and whoever fills the board stops at the
//! bound.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    alarm::{Severity, Status},
    ca::dbr::Control,
    channel::{ChannelId, Event, Failure, Sample},
    channel_list::ChannelSpec,
    gate::{Gate, Verdict},
};

/// How many changes wait for the consumer before reading stops.
pub(crate) const MAX_CHANGES: usize = 32_768;
/// More entries than this wait at the start only, or while the consumer hangs.
const SELDOM: usize = 1024;
/// Of more missing channels only the number is told.
const NAMED: usize = 10;

/// Something to tell about a channel.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    /// Number of the channel.
    pub id: ChannelId,
    /// The channel.
    pub channel: Arc<ChannelSpec>,
    /// What its server says about it besides its value.
    pub about: Option<Arc<Control>>,
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

/// The board of channels that come and go.
#[derive(Debug)]
pub(crate) struct Board {
    channels: BTreeMap<ChannelId, Channel>,
    queue: VecDeque<Seen>,
    /// The number of the first entry of the queue; numbers rise by one.
    first: u64,
    changes: usize,
    timeout: Duration,
    /// Channels without a connection by the time of their timeout, which all have the same length.
    deadlines: VecDeque<(Instant, ChannelId, u32)>,
    /// Channels of which a value waits for its time.
    held: BTreeSet<(Instant, ChannelId)>,
    missing: BTreeSet<ChannelId>,
    has_ended: bool,
    /// Whether a channel was added, removed, connected or lost since somebody asked for those that are missing.
    is_news: bool,
    coalesced: u64,
}

#[derive(Debug)]
struct Channel {
    spec: Arc<ChannelSpec>,
    about: Option<Arc<Control>>,
    gate: Gate,
    state: Option<Condition>,
    /// The number of the entry that a newer value may replace.
    replaceable: Option<u64>,
    was_connected: bool,
    /// Counts connections, so that a deadline knows whether it is still meant.
    epoch: u32,
}

#[derive(Debug, PartialEq)]
enum Condition {
    Alarm(Status, Severity),
    Failed(Box<Failure>),
    Absent,
}

/// The channels without a connection.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Missing {
    /// How many.
    pub count: usize,
    /// Of how many.
    pub all: usize,
    /// The names of the first.
    pub names: Vec<Arc<str>>,
}

impl Board {
    /// An empty board, whose channels may take `timeout` to connect.
    pub(crate) fn new(timeout: Duration) -> Board {
        Board {
            channels: BTreeMap::new(),
            queue: VecDeque::new(),
            first: 0,
            changes: 0,
            timeout,
            deadlines: VecDeque::new(),
            held: BTreeSet::new(),
            missing: BTreeSet::new(),
            has_ended: false,
            is_news: true,
            coalesced: 0,
        }
    }

    /// Adds a channel that is searched for from `now` on.
    pub(crate) fn add(&mut self, id: ChannelId, spec: Arc<ChannelSpec>, now: Instant) {
        let (about, gate, state) = (None, Gate::default(), None);
        let channel = Channel { spec, about, gate, state, replaceable: None, was_connected: false, epoch: 0 };
        self.channels.insert(id, channel);
        self.deadlines.push_back((now + self.timeout, id, 0));
        self.missing.insert(id);
        self.is_news = true;
    }

    /// Removes a channel; what waits of it is not told any more.
    pub(crate) fn remove(&mut self, id: ChannelId) {
        self.channels.remove(&id);
        self.missing.remove(&id);
        self.is_news = true;
    }

    /// The channels without a connection, if they are others than when last asked.
    pub(crate) fn missing(&mut self) -> Option<Missing> {
        if !std::mem::replace(&mut self.is_news, false) {
            return None;
        }
        let named = self.missing.iter().take(NAMED).filter_map(|id| self.channels.get(id));
        let names = named.map(|channel| channel.spec.name.clone()).collect();
        Some(Missing { count: self.missing.len(), all: self.channels.len(), names })
    }

    /// How many values were replaced by newer ones before anybody took them.
    pub(crate) fn coalesced(&self) -> u64 {
        self.coalesced
    }

    /// Takes in an event of a channel; that of a removed one is passed over.
    pub(crate) fn note(&mut self, event: Event, now: Instant) {
        let id = event.id();
        let Some(slot) = self.channels.get_mut(&id) else { return };
        match event {
            Event::Connected { .. } => {
                slot.was_connected = true;
                slot.epoch += 1;
                self.missing.remove(&id);
                self.is_news = true;
            }
            Event::Described { control, .. } => slot.about = Some(control),
            Event::Disconnected { .. } => {
                self.deadlines.push_back((now + self.timeout, id, slot.epoch));
                let held = slot.gate.release(now);
                slot.gate.reset();
                self.missing.insert(id);
                self.is_news = true;
                if let Some(sample) = held {
                    self.push(id, What::Sample(sample), false);
                }
                self.push(id, What::Lost, true);
            }
            Event::Update { sample, .. } => {
                let state = Condition::Alarm(sample.status, sample.severity);
                let is_transition = slot.state.as_ref() != Some(&state);
                slot.state = Some(state);
                match slot.gate.judge(&slot.spec, sample, is_transition, now) {
                    Verdict::Pass(sample) => self.push(id, What::Sample(sample), is_transition),
                    Verdict::Hold(due) => drop(self.held.insert((due, id))),
                    Verdict::Drop => {}
                }
            }
            Event::Failed { why, .. } => {
                let state = Condition::Failed(Box::new(why.clone()));
                // A failure that lasts is told once.
                if slot.state.as_ref() != Some(&state) {
                    slot.state = Some(state);
                    self.push(id, What::Failed(why), true);
                }
            }
        }
    }

    /// When [`Board::expire`] has something to do.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let (absent, held) = (self.deadlines.front().map(|(at, ..)| *at), self.held.first().map(|(at, _)| *at));
        absent.into_iter().chain(held).min()
    }

    /// Gives channels so much more time to connect, as for that long nobody has listened to them.
    pub(crate) fn postpone(&mut self, by: Duration) {
        self.deadlines.iter_mut().for_each(|(at, ..)| *at += by);
    }

    /// Finds the channels that were not connected in time, and the values whose time has come.
    pub(crate) fn expire(&mut self, now: Instant) {
        while let Some((_, id, epoch)) = self.deadlines.front().copied().filter(|(at, ..)| *at <= now) {
            self.deadlines.pop_front();
            let Some(slot) = self.channels.get_mut(&id).filter(|slot| slot.epoch == epoch) else { continue };
            if self.missing.contains(&id) {
                slot.state = Some(Condition::Absent);
                let never = !slot.was_connected;
                self.push(id, What::Absent { never }, true);
            }
        }
        if self.deadlines.is_empty() {
            self.deadlines.shrink_to(SELDOM);
        }
        while let Some((at, id)) = self.held.first().copied().filter(|(at, _)| *at <= now) {
            self.held.remove(&(at, id));
            let released = self.channels.get_mut(&id).and_then(|slot| slot.gate.release(now));
            if let Some(sample) = released {
                self.push(id, What::Sample(sample), false);
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
        let mut taken: Vec<Seen> = self.queue.drain(..max.min(self.queue.len())).collect();
        self.first += taken.len() as u64;
        self.changes -= taken.iter().filter(|seen| seen.is_transition).count();
        if self.queue.is_empty() {
            // All channels at once report at the start, and seldom later.
            self.queue.shrink_to(SELDOM);
        }
        taken.retain(|seen| self.channels.contains_key(&seen.id));
        taken
    }

    fn push(&mut self, id: ChannelId, what: What, is_transition: bool) {
        let Some(slot) = self.channels.get_mut(&id) else { return };
        if !is_transition && let Some(number) = slot.replaceable.filter(|number| *number >= self.first) {
            let replaced = &mut self.queue[(number - self.first) as usize];
            (replaced.what, replaced.about) = (what, slot.about.clone());
            self.coalesced += 1;
            return;
        }
        let number = self.first + self.queue.len() as u64;
        slot.replaceable = (!is_transition).then_some(number);
        self.changes += usize::from(is_transition);
        let (channel, about) = (slot.spec.clone(), slot.about.clone());
        self.queue.push_back(Seen { id, channel, about, what, is_transition });
    }
}

#[cfg(test)]
mod tests {
    use connect_api::{Settings, config::Config};

    use super::*;
    use crate::{
        channel::{NativeType, Timestamp, Value},
        channel_list,
        config::MonitorConfig,
    };

    const TIMEOUT: Duration = Duration::from_secs(5);

    fn sample(value: f64, severity: Severity) -> Event {
        let status = if severity == Severity::NoAlarm { Status::NoAlarm } else { Status::High };
        let time = Timestamp { seconds: 0, nanos: 0 };
        Event::Update { id: ChannelId(0), sample: Sample { status, severity, time, value: Value::Double(vec![value]) } }
    }

    fn of(channel: u32, event: Event) -> Event {
        let Event::Update { sample, .. } = event else { panic!("{event:?} is not an update") };
        Event::Update { id: ChannelId(channel), sample }
    }

    fn connected() -> Event {
        Event::Connected { id: ChannelId(0), native: NativeType::Double, count: 1, server: None }
    }

    fn disconnected() -> Event {
        Event::Disconnected { id: ChannelId(0) }
    }

    fn with(settings: &[(&str, &str)], channels: u32) -> (Board, Instant) {
        let settings = settings.iter().copied().collect::<Settings>().with("epics.channels", "c{0..9}");
        let config = MonitorConfig::parse(&settings).expect("valid settings");
        let specs = channel_list::read(&config).expect("ten channels");
        let (mut board, now) = (Board::new(TIMEOUT), Instant::now());
        for (id, spec) in (0..channels).zip(specs) {
            board.add(ChannelId(id), Arc::new(spec), now);
        }
        (board, now)
    }

    fn board(channels: u32) -> (Board, Instant) {
        with(&[], channels)
    }

    fn missing(names: &[&str], all: usize) -> Option<Missing> {
        Some(Missing { count: names.len(), all, names: names.iter().map(|name| (*name).into()).collect() })
    }

    fn show(board: &mut Board) -> Vec<String> {
        let show = |seen: Seen| {
            let mark = if seen.is_transition { "!" } else { "" };
            match seen.what {
                What::Sample(Sample { value: Value::Double(v), .. }) => format!("{}:{}{mark}", seen.id, v[0]),
                What::Lost => format!("{}:lost{mark}", seen.id),
                What::Absent { never } => format!("{}:absent{}{mark}", seen.id, if never { " ever" } else { "" }),
                other => format!("{}:{other:?}{mark}", seen.id),
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
            board.note(of(channel, sample(value, severity)), now);
        }
        assert_eq!(show(&mut board), ["0:1!", "0:3", "1:50!", "0:85!", "0:86", "0:95!", "0:4!", "0:6"]);
        board.note(sample(7.0, NoAlarm), now);
        assert_eq!(show(&mut board), ["0:7"], "an entry that was taken is not replaced");
    }

    #[test]
    fn values_take_bounded_room_and_transitions_fill_the_board() {
        let (mut board, now) = board(1);
        for n in 0..100_000 {
            board.note(sample(f64::from(n), Severity::NoAlarm), now);
        }
        assert_eq!((board.queue.len(), board.is_full()), (2, false));
        for n in 0..MAX_CHANGES {
            board.note(sample(0.0, if n % 2 == 0 { Severity::Major } else { Severity::NoAlarm }), now);
        }
        assert!(board.is_full());
        board.take(100);
        assert!(!board.is_full());
    }

    #[test]
    fn a_channel_that_stays_away_is_absent_once() {
        let (mut board, start) = board(2);
        board.note(connected(), start);
        board.note(sample(1.0, Severity::NoAlarm), start);
        board.expire(start + TIMEOUT);
        assert_eq!(show(&mut board), ["0:1!", "1:absent ever!"]);
        assert_eq!(board.next_deadline(), None);
        let lost = start + 2 * TIMEOUT;
        board.note(disconnected(), lost);
        board.expire(lost + TIMEOUT / 2);
        assert_eq!(show(&mut board), ["0:lost!"]);
        board.expire(lost + TIMEOUT);
        board.expire(lost + 9 * TIMEOUT);
        assert_eq!(show(&mut board), ["0:absent!"]);
        board.note(connected(), lost + 10 * TIMEOUT);
        board.note(sample(1.0, Severity::NoAlarm), lost + 10 * TIMEOUT);
        assert_eq!(show(&mut board), ["0:1!"], "what it was before its absence is a change again");
    }

    #[test]
    fn a_channel_that_comes_back_in_time_has_not_changed() {
        let (mut board, start) = board(1);
        board.note(connected(), start);
        board.note(sample(85.0, Severity::Minor), start);
        board.note(disconnected(), start);
        board.note(connected(), start);
        board.note(sample(86.0, Severity::Minor), start);
        board.expire(start + 9 * TIMEOUT);
        assert_eq!(show(&mut board), ["0:85!", "0:lost!", "0:86"]);
        // Lost again before the first deadline: only the second one counts.
        board.note(disconnected(), start);
        board.note(connected(), start + TIMEOUT / 2);
        board.note(disconnected(), start + TIMEOUT / 2);
        board.expire(start + TIMEOUT);
        assert_eq!(show(&mut board), ["0:lost!", "0:lost!"]);
        board.expire(start + 2 * TIMEOUT);
        assert_eq!(show(&mut board), ["0:absent!"]);
    }

    #[test]
    fn channels_that_are_missing_are_told_when_they_change() {
        let (mut board, now) = board(2);
        assert_eq!(board.missing(), missing(&["c0", "c1"], 2));
        assert_eq!(board.missing(), None);
        board.note(connected(), now);
        assert_eq!(board.missing(), missing(&["c1"], 2));
        board.note(sample(1.0, Severity::NoAlarm), now);
        assert_eq!(board.missing(), None);
        board.note(disconnected(), now);
        assert_eq!(board.missing(), missing(&["c0", "c1"], 2));
    }

    #[test]
    fn a_failure_that_lasts_is_told_once() {
        let (mut board, now) = board(1);
        let failed = |bytes| Event::Failed { id: ChannelId(0), why: Failure::TooLarge { bytes, limit: 1 } };
        for event in [failed(2), failed(2), failed(3), sample(1.0, Severity::NoAlarm), failed(3)] {
            board.note(event, now);
        }
        assert_eq!(show(&mut board).len(), 4);
    }

    #[test]
    fn time_in_which_nobody_listened_does_not_count() {
        let (mut board, now) = board(1);
        board.postpone(TIMEOUT);
        board.expire(now + TIMEOUT);
        assert!(show(&mut board).is_empty());
        board.expire(now + 2 * TIMEOUT);
        assert_eq!(show(&mut board), ["0:absent ever!"]);
    }

    #[test]
    fn values_that_were_replaced_are_counted() {
        let (mut board, now) = board(1);
        for n in 0..10 {
            board.note(sample(f64::from(n), Severity::NoAlarm), now);
        }
        assert_eq!((board.coalesced(), show(&mut board)), (8, vec!["0:0!".to_owned(), "0:9".to_owned()]));
    }

    #[test]
    fn what_waits_for_its_period_is_told_then_and_before_a_loss() {
        let (mut board, now) = with(&[("epics.min.period.ms", "1000")], 1);
        let second = Duration::from_secs(1);
        board.note(connected(), now);
        for n in 0..5 {
            board.note(sample(f64::from(n), Severity::NoAlarm), now);
        }
        assert_eq!((show(&mut board), board.next_deadline()), (vec!["0:0!".to_owned()], Some(now + second)));
        board.expire(now + second);
        assert_eq!(show(&mut board), ["0:4"]);
        board.note(sample(5.0, Severity::NoAlarm), now + second);
        board.note(disconnected(), now + second);
        assert_eq!(show(&mut board), ["0:5", "0:lost!"]);
        board.expire(now + 3 * second);
        assert!(show(&mut board).is_empty());
    }

    #[test]
    fn nothing_is_told_of_channels_that_were_removed() {
        let (mut board, now) = board(2);
        board.note(connected(), now);
        board.note(sample(85.0, Severity::Minor), now);
        board.note(of(1, sample(1.0, Severity::NoAlarm)), now);
        assert!(board.missing().is_some());
        board.remove(ChannelId(0));
        board.note(sample(95.0, Severity::Major), now);
        assert_eq!(show(&mut board), ["1:1!"]);
        assert_eq!((board.missing(), board.changes), (missing(&["c1"], 1), 0));
        board.expire(now + TIMEOUT);
        assert_eq!(show(&mut board), ["1:absent ever!"]);
    }
}
