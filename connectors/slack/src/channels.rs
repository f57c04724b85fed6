//! The records that wait for their channels, at the pace that Slack allows.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Duration,
};

use connect_api::{PartitionOffset, SinkRecord, TopicPartition};
use connector_alarm::place::{self, Place};
use tokio::time::Instant;

/// So many records may wait; then no more are taken until half of them are told.
const MOST: usize = 5_000;

/// What waits for one channel.
#[derive(Debug)]
struct Channel {
    waiting: VecDeque<SinkRecord>,
    /// Records that a digest has told and whose alarms' own messages do not show them yet.
    stale: VecDeque<SinkRecord>,
    next: Instant,
}

/// All channels by name.
#[derive(Debug, Default)]
pub struct Channels {
    all: BTreeMap<String, Channel>,
    /// For which channel records of an alarm wait, and how many.
    waiting: HashMap<Place, (String, usize)>,
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
        self.waiting.entry(place::of(&record)).or_insert_with(|| (channel.to_owned(), 0)).1 += 1;
        self.of(channel).waiting.push_back(record);
    }

    /// Lets a record wait that has been told and that its alarm's message does not show.
    pub fn push_stale(&mut self, channel: &str, record: SinkRecord) {
        let (stale, name) = (&mut self.of(channel).stale, place::of(&record));
        // The last one counts.
        stale.retain(|other| place::of(other) != name);
        stale.push_back(record);
    }

    fn of(&mut self, channel: &str) -> &mut Channel {
        let new = || Channel { waiting: VecDeque::new(), stale: VecDeque::new(), next: Instant::now() };
        self.all.entry(channel.to_owned()).or_insert_with(new)
    }

    /// The channel that a record about this alarm waits for.
    pub fn channel_of(&self, name: &Place) -> Option<&str> {
        self.waiting.get(name).map(|(channel, _)| channel.as_str())
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
        if digest_after > 0 && channel.waiting.len() > digest_after {
            return Some(Turn::All(channel.waiting.iter().cloned().collect()));
        }
        let first = channel.waiting.front().cloned().map(|record| Turn::One(Box::new(record)));
        first.or_else(|| channel.stale.front().cloned().map(|record| Turn::Stale(Box::new(record))))
    }

    /// The turn is over: what it was about has been told or reported.
    pub fn done(&mut self, channel: &str, turn: &Turn) {
        let Some(channel) = self.all.get_mut(channel) else { return };
        let told = match turn {
            Turn::One(_) => 1,
            Turn::All(all) => all.len(),
            Turn::Stale(_) => {
                channel.stale.pop_front();
                0
            }
        };
        for record in channel.waiting.drain(..told.min(channel.waiting.len())) {
            let name = place::of(&record);
            if let Some((_, waiting)) = self.waiting.get_mut(&name) {
                *waiting -= 1;
                if *waiting == 0 {
                    self.waiting.remove(&name);
                }
            }
        }
    }

    /// The channel's next turn is not before that time.
    pub fn hold(&mut self, channel: &str, delay: Duration) {
        self.of(channel).next = Instant::now() + delay;
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
        }
        // Channels by templates may be many; one whose turn is over needs no place.
        let now = Instant::now();
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

impl Channel {
    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.stale.is_empty()
    }
}
