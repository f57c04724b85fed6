//! Which letters have been replayed: a compacted topic with a record per letter.
//!
//! Committed offsets of a group would not do: they say up to where, but a replay picks letters out; and Kafka forgets those
//! of a group without members after a week. A record is of the letter's place, and counts only for the very topic (by its
//! id) and time stamp that it was written for, so that a queue which was deleted and created again begins anew. Records of
//! letters that are gone are removed with the next replay or purge.

use std::{collections::HashMap, sync::Arc, time::Duration};

use connect_api::{ErrorClass, Topic};
use connect_kafka::{Admin, Role, Span, TopicSpec};
use serde::{Deserialize, Serialize};

use super::{
    Place,
    letter::Letter,
    reason::Origin,
    send::{Record, Sender},
};
use crate::{error::Failure, reading::Reading};

/// Where it is recorded unless another topic is named.
const TOPIC: &str = "connectctl-dlq-replayed";

/// What commands take that know what has been replayed.
#[derive(Debug, clap::Args)]
pub(super) struct LedgerArgs {
    /// Compacted topic that records which letters have been replayed; the first replay creates it.
    #[arg(long, value_name = "TOPIC", default_value = TOPIC)]
    pub(super) replay_topic: String,
}

impl Default for LedgerArgs {
    fn default() -> Self {
        Self { replay_topic: TOPIC.into() }
    }
}

/// What became of a letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Replayed {
    /// Where the record is.
    pub(super) to: Origin,
    /// When, as RFC 3339.
    pub(super) time: String,
    /// By whom.
    pub(super) by: String,
}

impl std::fmt::Display for Replayed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} to {} by {}", self.time, self.to, self.by)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    /// Id of the queue's topic; none of old brokers.
    topic_id: Option<String>,
    /// Time stamp of the letter.
    letter_time: Option<i64>,
    #[serde(flatten)]
    replayed: Replayed,
}

/// What is recorded of one queue.
pub(super) struct Ledger {
    /// The topic of records.
    topic: Topic,
    queue: Topic,
    queue_id: Option<Arc<str>>,
    exists: bool,
    entries: HashMap<Place, Entry>,
}

fn key(queue: &str, place: Place) -> Vec<u8> {
    serde_json::json!([queue, place.partition, place.offset]).to_string().into_bytes()
}

fn place_of(key: &[u8], queue: &str) -> Option<Place> {
    let (topic, partition, offset): (String, i32, i64) = serde_json::from_slice(key).ok()?;
    (topic == queue).then_some(Place { partition, offset })
}

/// The id of the queue's topic; none of brokers that do not tell, where time stamps have to do.
async fn queue_id(reading: &Reading, queue: &Topic) -> Result<Option<Arc<str>>, Failure> {
    const LIMIT: Duration = Duration::from_secs(5);
    // Its topics are never deleted.
    if reading.is_embedded().await? {
        return Ok(None);
    }
    match reading.topic_ids(std::slice::from_ref(queue), LIMIT).await {
        // Kafka has just answered something else.
        Err(e) if e.class() == ErrorClass::Retriable => Ok(None),
        answer => Ok(reading.answer(answer)?.remove(queue)),
    }
}

impl Ledger {
    /// Reads what is recorded of this queue.
    pub(super) async fn read(reading: &Reading, args: &LedgerArgs, queue: &Topic) -> Result<Self, Failure> {
        let topic: Topic = args.replay_topic.as_str().into();
        if topic == *queue {
            return Err(Failure::Usage(format!("--replay-topic {topic} is the dead letter queue itself")));
        }
        let numbers = reading.topics().await?.remove(&*topic);
        let exists = numbers.is_some();
        let mut ledger = Self { topic, queue: queue.clone(), queue_id: None, exists, entries: HashMap::new() };
        let Some(numbers) = numbers else { return Ok(ledger) };
        ledger.queue_id = queue_id(reading, queue).await?;
        let spans = reading.numbered(&ledger.topic, &numbers).await?;
        let mut letters = reading.letters(&ledger.topic, &spans)?;
        while let Some(batch) = letters.next().await? {
            for record in batch {
                ledger.take(record.raw.key.as_deref(), record.raw.value.as_deref())?;
            }
        }
        Ok(ledger)
    }

    fn take(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<(), Failure> {
        let Some(place) = key.and_then(|key| place_of(key, &self.queue)) else { return Ok(()) };
        match value {
            None => drop(self.entries.remove(&place)),
            Some(value) => {
                let entry = serde_json::from_slice(value).map_err(|e| {
                    let topic = &self.topic;
                    Failure::Failed(format!(
                        "topic {topic} holds what connectctl has not written, for letter {place}: {e}"
                    ))
                })?;
                self.entries.insert(place, entry);
            }
        }
        Ok(())
    }

    fn is_of_queue(&self, entry: &Entry) -> bool {
        match (&entry.topic_id, &self.queue_id) {
            (Some(then), Some(now)) => **then == **now,
            _ => true,
        }
    }

    /// What became of the letter.
    pub(super) fn of(&self, letter: &Letter) -> Option<&Replayed> {
        let entry = self.entries.get(&letter.place())?;
        (self.is_of_queue(entry) && entry.letter_time == letter.raw.timestamp).then_some(&entry.replayed)
    }

    /// How many letters of these stretches have been replayed.
    pub(super) fn count(&self, spans: &[Span]) -> usize {
        let within = |place: &Place| {
            let of_place = |s: &&Span| s.partition.partition == place.partition;
            spans.iter().find(of_place).is_some_and(|s| (s.first..s.end).contains(&place.offset))
        };
        self.entries.iter().filter(|(place, entry)| self.is_of_queue(entry) && within(place)).count()
    }

    /// Has the topic created if there is none, or else checks that nothing is forgotten in it.
    pub(super) async fn prepare(&mut self, reading: &Reading) -> Result<(), Failure> {
        const POLICY: &str = "cleanup.policy";
        // It has no such requests and does not compact; what is recorded there creates the topic, and goes with the letters
        // when it ends.
        if reading.is_embedded().await? {
            self.exists = true;
            return Ok(());
        }
        let admin = Admin::new(&reading.kafka.client(Role::Admin)?)?;
        if !self.exists {
            let spec = TopicSpec {
                name: self.topic.to_string(),
                partitions: 1,
                replication_factor: -1,
                settings: vec![(POLICY.into(), "compact".into())],
            };
            let made = admin.create_topic(&spec).await;
            let made = made.map_err(|e| e.context("recording what is replayed needs its topic (--replay-topic)"));
            let is_new = reading.answer(made)?;
            self.exists = true;
            self.queue_id = queue_id(reading, &self.queue).await?;
            if is_new {
                return Ok(());
            }
        }
        match reading.answer(admin.topic_setting(&self.topic, POLICY).await)? {
            Some(policy) if policy.trim() != "compact" => Err(Failure::Failed(format!(
                "topic {} would forget what has been replayed: its {POLICY} is {policy} and has to be compact; or name another \
                 with --replay-topic",
                self.topic
            ))),
            _ => Ok(()),
        }
    }

    /// Records letters that Kafka has acknowledged.
    pub(super) async fn record(
        &mut self,
        sender: &Sender,
        letters: &[(Place, Option<i64>, Replayed)],
    ) -> Result<(), Failure> {
        let id = self.queue_id.as_ref().map(ToString::to_string);
        let entries: Vec<(Place, Entry)> = letters
            .iter()
            .map(|(place, time, replayed)| {
                (*place, Entry { topic_id: id.clone(), letter_time: *time, replayed: replayed.clone() })
            })
            .collect();
        let value = |entry: &Entry| serde_json::to_vec(entry).map(Some);
        let records = entries.iter().map(|(place, entry)| Ok(self.line(*place, value(entry)?)));
        let records = records.collect::<Result<Vec<_>, serde_json::Error>>();
        let records = records.map_err(|e| Failure::Failed(format!("writing what was replayed as JSON: {e}")))?;
        self.write(sender, records).await?;
        self.entries.extend(entries);
        Ok(())
    }

    /// Forgets what is recorded of letters that are not within these stretches any more, or of another topic that had the
    /// queue's name.
    pub(super) async fn tidy(&mut self, sender: &Sender, spans: &[Span]) -> Result<(), Failure> {
        let gone: Vec<Place> = self.gone(spans);
        let records = gone.iter().map(|place| self.line(*place, None)).collect();
        self.write(sender, records).await?;
        gone.iter().for_each(|place| drop(self.entries.remove(place)));
        Ok(())
    }

    fn gone(&self, spans: &[Span]) -> Vec<Place> {
        let first = |place: &Place| spans.iter().find(|s| s.partition.partition == place.partition).map(|s| s.first);
        let is_gone = |place: &Place| first(place).is_some_and(|first| place.offset < first);
        let mut gone: Vec<Place> = self
            .entries
            .iter()
            .filter(|(place, entry)| is_gone(place) || !self.is_of_queue(entry))
            .map(|(place, _)| *place)
            .collect();
        gone.sort();
        gone
    }

    fn line(&self, place: Place, value: Option<Vec<u8>>) -> Record {
        Record {
            topic: self.topic.to_string(),
            partition: None,
            timestamp: None,
            key: Some(key(&self.queue, place).into()),
            value: value.map(Into::into),
            headers: Vec::new(),
        }
    }

    async fn write(&self, sender: &Sender, records: Vec<Record>) -> Result<(), Failure> {
        for chunk in records.chunks(1000) {
            for sent in sender.send(chunk, None).await {
                sent.map_err(|e| {
                    let doing = format!("recording in topic {} what was replayed", self.topic);
                    let class = e.class();
                    let failure = Failure::from(e.context(doing));
                    if class == ErrorClass::Retriable { sender.unreachable(failure) } else { failure }
                })?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use connect_api::TopicPartition;

    use super::{super::letter::tests::letter, *};

    fn ledger() -> Ledger {
        Ledger {
            topic: "l".into(),
            queue: "dead-alarms".into(),
            queue_id: Some("id1".into()),
            exists: true,
            entries: HashMap::new(),
        }
    }

    fn value(id: Option<&str>, time: i64) -> Vec<u8> {
        let replayed = Replayed {
            to: Origin { topic: "alarms".into(), partition: Some(0), offset: Some(9) },
            time: "2026-11-22T03:00:00Z".into(),
            by: "me".into(),
        };
        serde_json::to_vec(&Entry { topic_id: id.map(str::to_owned), letter_time: Some(time), replayed }).expect("json")
    }

    const TIME: i64 = 1_700_000_000_000;

    fn span(first: i64, end: i64) -> Span {
        Span { partition: TopicPartition { topic: "dead-alarms".into(), partition: 0 }, first, end }
    }

    #[test]
    fn only_the_very_letter_counts_as_replayed() {
        let at = |offset| key("dead-alarms", Place { partition: 0, offset });
        assert_eq!(at(3), br#"["dead-alarms",0,3]"#);
        let mut all = ledger();
        all.take(Some(&at(3)), Some(&value(Some("id1"), TIME))).expect("entry");
        all.take(Some(&at(4)), Some(&value(Some("id0"), TIME))).expect("of an earlier topic");
        all.take(Some(&at(5)), Some(&value(None, TIME))).expect("of an old broker");
        all.take(Some(&at(6)), Some(&value(Some("id1"), TIME + 1))).expect("another letter");
        all.take(Some(&key("other", Place { partition: 0, offset: 7 })), Some(b"x")).expect("another queue's");
        all.take(Some(&at(8)), Some(&value(Some("id1"), TIME))).expect("entry");
        all.take(Some(&at(8)), None).expect("tombstone");
        let replayed: Vec<i64> = (0..10).filter(|n| all.of(&letter(*n)).is_some()).collect();
        assert_eq!(replayed, [3, 5]);
        assert!(all.take(Some(&at(9)), Some(b"x")).is_err_and(|e| e.to_string().contains("0:9")));
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let mut all = ledger();
        for (offset, id) in [(3, "id1"), (4, "id0"), (5, "id1"), (9, "id0")] {
            let at = key("dead-alarms", Place { partition: 0, offset });
            all.take(Some(&at), Some(&value(Some(id), TIME))).expect("entry");
        }
        let offsets = |places: Vec<Place>| places.iter().map(|p| p.offset).collect::<Vec<_>>();
        assert_eq!(offsets(all.gone(&[span(5, 20)])), [3, 4, 9]);
        assert_eq!(all.count(&[span(5, 20)]), 1);
        assert_eq!(all.count(&[span(0, 20)]), 2);
    }
}
