//! Dead letter queues: which connectors have one, and reading it.

use std::collections::{BTreeMap, VecDeque};

use connect_api::{Topic, TopicPartition};
use connect_kafka::{RawRecord, Span};
use connect_rest_model::ConnectorInfo;
use indexmap::IndexMap;

use super::{
    super::{Context, missing},
    Place,
    filter::{Filter, Which},
    letter::Letter,
    reason::replayed_at,
};
use crate::{
    error::Failure,
    reading::{Batches, Reading},
};

/// What says which of two letters is newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Age {
    pub(super) place: Place,
    /// When its record was written, or replayed the last time, milliseconds since 1970.
    time: Option<i64>,
}

impl Age {
    pub(super) fn of(raw: &RawRecord) -> Self {
        let place = Place { partition: raw.partition, offset: raw.offset };
        Self { place, time: raw.timestamp.max(replayed_at(&raw.headers)) }
    }
}

/// Puts letters in order, the oldest first; every command has the same one. Within a partition it is that of the queue: time
/// stamps say nothing of it, as a letter has that of the record that failed, however often that was replayed. Partitions are
/// merged from their ends: of their last letters the one is newer whose record was written, or replayed, later.
pub(super) fn in_order<T>(letters: Vec<T>, age: fn(&T) -> Age) -> Vec<T> {
    let count = letters.len();
    let mut partitions: BTreeMap<i32, Vec<T>> = BTreeMap::new();
    for letter in letters {
        partitions.entry(age(&letter).place.partition).or_default().push(letter);
    }
    partitions.values_mut().for_each(|of_one| of_one.sort_by_key(|letter| age(letter).place.offset));
    let mut ordered = VecDeque::with_capacity(count);
    let last = |of_one: &Vec<T>| of_one.last().map(|letter| age(letter).time);
    while let Some(newest) = partitions.values_mut().max_by_key(|of_one| last(of_one)).and_then(Vec::pop) {
        ordered.push_front(newest);
    }
    ordered.into()
}

/// The setting that names a connector's queue.
const QUEUE: &str = "errors.deadletterqueue.topic.name";

/// The topic of a connector's dead letters.
pub(in super::super) fn queue_of(info: &ConnectorInfo) -> Option<&str> {
    info.config.get(QUEUE).map(|topic| topic.trim()).filter(|topic| !topic.is_empty())
}

/// What to say of a connector without one.
pub(super) fn without_queue(name: &str) -> Failure {
    Failure::Failed(format!("{name} has no dead letter queue; {QUEUE} would name one"))
}

/// The settings of these connectors; those of all without names.
pub(super) async fn infos(names: &[String], context: &Context<'_>) -> Result<IndexMap<String, ConnectorInfo>, Failure> {
    let known = context.client.names().await?;
    if let Some(name) = names.iter().find(|name| !known.contains(name)) {
        return Err(Failure::Failed(missing(name, &known)));
    }
    let mut all = if known.is_empty() { IndexMap::new() } else { context.client.expanded().await? };
    let mut found = IndexMap::new();
    for name in if names.is_empty() { &known } else { names } {
        // Workers leave connectors without status out.
        let info = match all.swap_remove(name).and_then(|found| found.info) {
            Some(info) => info,
            None => context.client.info(name).await?,
        };
        found.insert(name.clone(), info);
    }
    Ok(found)
}

/// The queue that is meant.
#[derive(Debug)]
pub(super) struct Queue {
    /// Its topic.
    pub(super) topic: Topic,
    /// Whose letters are meant; those of all where the topic was named.
    pub(super) connector: Option<String>,
    /// Which other connectors have the same queue, as far as was asked.
    pub(super) others: Vec<String>,
}

impl Queue {
    pub(super) async fn find(which: &Which, context: &Context<'_>) -> Result<Self, Failure> {
        let name = match (&which.topic, &which.connector) {
            (Some(topic), _) => return Ok(Self { topic: topic.as_str().into(), connector: None, others: Vec::new() }),
            (None, Some(name)) => name,
            (None, None) => return Err(Failure::Usage("name a connector, or a topic with --topic".into())),
        };
        let all = infos(&[], context).await?;
        let known = || all.keys().cloned().collect::<Vec<_>>();
        let info = all.get(name).ok_or_else(|| Failure::Failed(missing(name, &known())))?;
        let topic = queue_of(info).ok_or_else(|| without_queue(name))?;
        if topic.contains("${") {
            let text =
                format!("{name}: {QUEUE} is {topic}, which only the worker can resolve; name the topic with --topic");
            return Err(Failure::Failed(text));
        }
        let others = all.iter().filter(|(other, info)| *other != name && queue_of(info) == Some(topic));
        let others = others.map(|(other, _)| other.clone()).collect();
        Ok(Self { topic: topic.into(), connector: Some(name.clone()), others })
    }
}

impl Reading {
    /// The parts of a queue in which there may be letters that are meant.
    pub(super) async fn narrow(&self, spans: Vec<Span>, filter: &Filter) -> Result<Vec<Span>, Failure> {
        let mut spans = spans;
        if !filter.offset.is_empty() {
            for span in &mut spans {
                let of_partition = filter.offset.iter().filter(|p| p.partition == span.partition.partition);
                let (least, most) = of_partition
                    .fold((i64::MAX, i64::MIN), |(least, most), p| (least.min(p.offset), most.max(p.offset + 1)));
                span.first = span.first.max(least);
                span.end = span.end.min(most);
            }
            spans.retain(|s| s.first < s.end);
        }
        if let Some(since) = filter.since {
            // All in front of that are older; behind it there may be older ones, too.
            let partitions: Vec<TopicPartition> = spans.iter().map(|s| s.partition.clone()).collect();
            let found = self.at(&partitions, since.ms).await?;
            for (span, at) in spans.iter_mut().zip(found) {
                span.first = span.first.max(at.offset);
            }
        }
        Ok(spans)
    }

    /// The letters of these stretches, in order per partition.
    pub(super) fn letters(&self, topic: &Topic, spans: &[Span]) -> Result<Letters<'_>, Failure> {
        Ok(Letters { reading: self, batches: self.records(topic, spans)? })
    }

    /// So many of the newest letters, oldest first, as [`in_order`] has it.
    pub(super) async fn newest_letters(&self, topic: &Topic, count: usize) -> Result<Vec<Letter>, Failure> {
        let found = self.newest_by(topic, count, |records| in_order(records, Age::of)).await?;
        if found.cut_short && found.records.is_empty() {
            let text = format!("reading topic {topic}: Kafka at {} gave nothing in time", self.kafka.brokers());
            return Err(Failure::Unreachable(text));
        }
        Ok(found.records.into_iter().map(Letter::new).collect())
    }
}

/// Letters being read.
pub(super) struct Letters<'a> {
    reading: &'a Reading,
    batches: Batches,
}

impl Letters<'_> {
    /// The next ones; none when all have been read.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Letter>>, Failure> {
        match self.batches.recv().await {
            Some(batch) => Ok(Some(self.reading.answer(batch)?.into_iter().map(Letter::new).collect())),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use connect_api::Bytes;

    use super::{super::letter::tests::letter, *};

    #[test]
    fn a_letter_is_newer_than_those_in_front_of_it_whatever_its_time_stamp_is() {
        let letter = |partition, offset, timestamp, replayed: Option<&'static str>| {
            let mut raw = letter(offset).raw;
            (raw.partition, raw.timestamp) = (partition, timestamp);
            let time =
                |text: &'static str| ("__connectctl.replay.time".into(), Some(Bytes::from_static(text.as_bytes())));
            raw.headers.extend(replayed.map(time));
            raw
        };
        let order = |letters: Vec<RawRecord>| {
            let places = in_order(letters, Age::of).into_iter().map(|raw| Age::of(&raw).place.to_string());
            places.collect::<Vec<_>>().join(" ")
        };
        let one = vec![letter(0, 2, Some(1), None), letter(0, 1, Some(9), None), letter(0, 0, None, None)];
        assert_eq!(order(one), "0:0 0:1 0:2");
        let several =
            vec![letter(0, 0, Some(2000), None), letter(0, 1, Some(4000), None), letter(1, 0, Some(3000), None)];
        assert_eq!(order(several), "0:0 1:0 0:1");
        let replayed = vec![
            letter(0, 0, Some(1000), None),
            letter(0, 1, Some(1000), Some("1970-01-01T00:00:09Z")),
            letter(1, 0, Some(3000), None),
            letter(1, 1, Some(2000), Some("nonsense")),
        ];
        assert_eq!(order(replayed), "0:0 1:0 1:1 0:1");
        assert_eq!(order(Vec::new()), "");
    }
}
