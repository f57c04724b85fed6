//! The records that wait for their channels, at the pace that Slack allows.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Duration,
};

use connect_api::{Error, Origin, PartitionOffset, SinkRecord, TopicPartition};
use connector_alarm::place::{self, Place, is_active};
use tokio::time::Instant;

use crate::memory::{alarm_of, priority_of};

/// So many records may wait; then no more are taken until half of them are told.
const MOST: usize = 5_000;

/// What waits for one channel.
#[derive(Debug)]
struct Channel {
    waiting: VecDeque<SinkRecord>,
    /// How many of the first that wait are told in one message, since Slack has refused one of more; the last is the next.
    parts: Vec<usize>,
    /// Records that a digest has told and whose alarms' own messages do not show them yet.
    stale: VecDeque<SinkRecord>,
    next: Instant,
    /// How often in a row a message has failed.
    failures: u32,
    /// Why it gets no message at the moment.
    trouble: Option<String>,
}

/// How long a channel is left alone after the first of messages that fail; twice as long after each more.
const FIRST_PAUSE: Duration = Duration::from_millis(300);
/// At most.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// All channels by name.
#[derive(Debug, Default)]
pub struct Channels {
    all: BTreeMap<String, Channel>,
    /// What waits of an alarm.
    waiting: HashMap<Place, Waiting>,
}

/// What waits of an alarm, all for one channel.
#[derive(Debug)]
pub struct Waiting {
    /// The channel.
    pub channel: String,
    /// How many records.
    count: usize,
    /// The priority of the last one.
    pub priority: Option<String>,
    /// Whether the last one says that the alarm is active.
    pub active: bool,
}

/// What a channel may get now.
#[derive(Debug, PartialEq)]
pub enum Turn {
    /// The first record.
    One(Box<SinkRecord>),
    /// All records that wait.
    All(Vec<SinkRecord>),
    /// A record whose alarm's message is to be brought up to date.
    Stale(Box<SinkRecord>),
}

impl Channels {
    /// Lets a record wait for its channel.
    pub fn push(&mut self, channel: &str, record: SinkRecord) {
        let (priority, active) = (priority_of(&record).map(str::to_owned), is_active(&record));
        let count = self.waiting.get(&alarm_of(&record)).map_or(0, |waiting| waiting.count) + 1;
        self.waiting.insert(alarm_of(&record), Waiting { channel: channel.to_owned(), count, priority, active });
        self.of(channel).waiting.push_back(record);
    }

    /// Lets a record wait that has been told and that its alarm's message does not show.
    pub fn push_stale(&mut self, channel: &str, record: SinkRecord) {
        let (stale, name) = (&mut self.of(channel).stale, alarm_of(&record));
        // The last one counts.
        stale.retain(|other| alarm_of(other) != name);
        stale.push_back(record);
    }

    fn of(&mut self, channel: &str) -> &mut Channel {
        let new = || Channel {
            waiting: VecDeque::new(),
            parts: Vec::new(),
            stale: VecDeque::new(),
            next: Instant::now(),
            failures: 0,
            trouble: None,
        };
        self.all.entry(channel.to_owned()).or_insert_with(new)
    }

    /// What waits of an alarm.
    pub fn waiting(&self, name: &Place) -> Option<&Waiting> {
        self.waiting.get(name)
    }

    /// What waits of an alarm waits no more: a later record says more.
    pub fn supersede(&mut self, name: &Place) {
        let Some(Waiting { channel, .. }) = self.waiting.get(name) else { return };
        let channel = channel.clone();
        let of = self.all.get(&channel).into_iter().flat_map(|channel| &channel.waiting);
        let all: Vec<SinkRecord> = of.filter(|record| alarm_of(record) == *name).cloned().collect();
        all.iter().for_each(|record| self.remove(&channel, record));
    }

    /// The channels whose turn it is.
    pub fn ready(&self, now: Instant) -> Vec<String> {
        let ready = |c: &Channel| c.next <= now && !c.is_empty();
        self.all.iter().filter(|(_, channel)| ready(channel)).map(|(name, _)| name.clone()).collect()
    }

    /// When the next channel has its turn.
    pub fn due(&self) -> Option<Instant> {
        self.all.values().filter(|channel| !channel.is_empty()).map(|channel| channel.next).min()
    }

    /// What a channel may get now; a digest when more than so many records wait, never if 0.
    pub fn turn(&self, channel: &str, digest_after: usize) -> Option<Turn> {
        let channel = self.all.get(channel)?;
        if let Some(part) = channel.parts.last().filter(|part| **part > 1) {
            return Some(Turn::All(channel.waiting.iter().take(*part).cloned().collect()));
        }
        if channel.parts.is_empty() && digest_after > 0 && channel.waiting.len() > digest_after {
            return Some(Turn::All(channel.waiting.iter().cloned().collect()));
        }
        let first = channel.waiting.front().cloned().map(|record| Turn::One(Box::new(record)));
        first.or_else(|| channel.stale.front().cloned().map(|record| Turn::Stale(Box::new(record))))
    }

    /// The turn is over: what it was about has been told or reported.
    pub fn done(&mut self, channel: &str, turn: &Turn) {
        match turn {
            Turn::One(record) => self.remove(channel, record),
            Turn::All(records) => records.iter().for_each(|record| self.remove(channel, record)),
            Turn::Stale(_) => {
                if let Some(channel) = self.all.get_mut(channel) {
                    channel.stale.pop_front();
                }
            }
        }
    }

    /// A record does not wait any more.
    pub fn remove(&mut self, channel: &str, record: &SinkRecord) {
        let Some(channel) = self.all.get_mut(channel) else { return };
        let same = |other: &SinkRecord| is_same(&other.origin, &record.origin);
        let Some(at) = channel.waiting.iter().position(same) else { return };
        channel.waiting.remove(at);
        // The last part is that of the first that wait.
        let mut end = 0;
        let part = channel.parts.iter_mut().rev().find(|part| {
            end += **part;
            at < end
        });
        if let Some(part) = part {
            *part -= 1;
        }
        channel.parts.retain(|part| *part > 0);
        let name = alarm_of(record);
        if let Some(waiting) = self.waiting.get_mut(&name) {
            waiting.count -= 1;
            if waiting.count == 0 {
                self.waiting.remove(&name);
            }
        }
    }

    /// Slack does not take in one message what is left of these, the first that wait: they are told in two.
    pub fn halve(&mut self, channel: &str, records: &[SinkRecord]) {
        let channel = self.of(channel);
        let mut all = records.iter();
        let left = channel.waiting.iter().take_while(|w| all.any(|record| is_same(&w.origin, &record.origin))).count();
        channel.parts.pop();
        channel.parts.extend([left - left / 2, left / 2].into_iter().filter(|part| *part > 0));
    }

    /// The channel's next turn is not before that time.
    pub fn hold(&mut self, channel: &str, delay: Duration) {
        self.of(channel).next = Instant::now() + delay;
    }

    /// A message has failed and is tried again: the channel's next turn is after a pause, which grows unless Slack has said
    /// how long. Answers how long, and whether that is new.
    pub fn failed(&mut self, channel: &str, e: &Error, shortest: Duration) -> (Duration, bool) {
        let channel = self.of(channel);
        let pause = e.delay().unwrap_or_else(|| LONGEST_PAUSE.min(FIRST_PAUSE * (1 << channel.failures.min(16))));
        let pause = pause.max(shortest);
        channel.failures = channel.failures.saturating_add(1);
        channel.trouble = Some(format!("{}; next try after {:.1} s", e.one_line(), pause.as_secs_f64()));
        channel.next = Instant::now() + pause;
        (pause, channel.failures == 1)
    }

    /// Slack does not want a message now.
    pub fn held(&mut self, channel: &str, delay: Duration, why: String) {
        self.of(channel).trouble = Some(why);
        self.hold(channel, delay);
    }

    /// Slack has answered about a message.
    pub fn answered(&mut self, channel: &str) {
        let channel = self.of(channel);
        (channel.failures, channel.trouble) = (0, None);
    }

    /// Whether messages fail in all channels that have any.
    pub fn all_fail(&self) -> bool {
        self.all.values().filter(|channel| !channel.is_empty()).all(|channel| channel.failures > 0)
    }

    /// Why channels get no messages, if there are such.
    pub fn troubles(&self) -> Option<String> {
        let mut all: Vec<&str> = self.all.values().filter_map(|channel| channel.trouble.as_deref()).collect();
        let more = all.len().saturating_sub(3);
        all.truncate(3);
        let text = all.join("; ");
        match (text.is_empty(), more) {
            (true, _) => None,
            (false, 0) => Some(text),
            (false, more) => Some(format!("{text}; and {more} channels more")),
        }
    }

    /// How many records of each partition wait, or are not shown yet by their alarms' messages.
    pub fn undelivered(&self) -> Vec<(TopicPartition, u64)> {
        let mut all: Vec<(TopicPartition, u64)> = Vec::new();
        let records = self.all.values().flat_map(|channel| channel.waiting.iter().chain(&channel.stale));
        for origin in records.map(|record| &record.origin) {
            let same = |(p, _): &&mut (TopicPartition, u64)| p.partition == origin.partition && p.topic == origin.topic;
            match all.iter_mut().find(same) {
                Some((_, n)) => *n += 1,
                None => all.push((TopicPartition { topic: origin.topic.clone(), partition: origin.partition }, 1)),
            }
        }
        all
    }

    /// Whether no more records should be taken.
    pub fn is_full(&self) -> bool {
        self.len() >= MOST
    }

    /// Whether there is room again.
    pub fn has_room(&self) -> bool {
        self.len() < MOST / 2
    }

    fn len(&self) -> usize {
        self.all.values().map(|channel| channel.waiting.len()).sum()
    }

    /// Forgets the records of partitions: they come again elsewhere.
    pub fn close(&mut self, partitions: &[TopicPartition]) {
        self.waiting.retain(|(partition, _), _| !partitions.contains(partition));
        for channel in self.all.values_mut() {
            channel.waiting.retain(|record| !partitions.contains(&place::of(record).0));
            channel.stale.retain(|record| !partitions.contains(&place::of(record).0));
            channel.parts.clear();
        }
        self.forget_idle(Instant::now());
    }

    /// Forgets channels that may have a message at once and have none: templates may name many.
    pub fn forget_idle(&mut self, now: Instant) {
        self.all.retain(|_, channel| !channel.is_empty() || channel.next > now);
    }

    /// How far of these offsets nothing waits.
    pub fn safe(&self, offsets: &[PartitionOffset]) -> Vec<PartitionOffset> {
        let waiting = || self.all.values().flat_map(|channel| channel.waiting.iter().chain(&channel.stale));
        let first = |p: &TopicPartition| {
            let of = waiting().map(|r| &r.origin).filter(|o| o.partition == p.partition && o.topic == p.topic);
            of.map(|origin| origin.offset).min()
        };
        let safe = |o: &PartitionOffset| PartitionOffset {
            partition: o.partition.clone(),
            offset: first(&o.partition).map_or(o.offset, |first| first.min(o.offset)),
        };
        offsets.iter().map(safe).collect()
    }
}

fn is_same(a: &Origin, b: &Origin) -> bool {
    a.offset == b.offset && a.partition == b.partition && a.topic == b.topic
}

impl Channel {
    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.stale.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use connect_testkit::sink::record;

    #[test]
    fn channels_without_messages_are_forgotten_once_their_turn_is_over() {
        let mut channels = Channels::default();
        for n in 0..100 {
            let (name, record) = (n.to_string(), record("t", n, n.to_string(), "m"));
            channels.push(&name, record.clone());
            channels.done(&name, &Turn::One(Box::new(record)));
            channels.hold(&name, Duration::from_secs(60));
        }
        channels.push("more", record("t", 100, "a", "m"));
        channels.forget_idle(Instant::now());
        assert_eq!(channels.all.len(), 101, "their next turn is not before a minute");
        channels.forget_idle(Instant::now() + Duration::from_secs(61));
        assert_eq!(channels.all.keys().collect::<Vec<_>>(), ["more"]);
        assert_eq!(channels.waiting.len(), 1);
    }
}
