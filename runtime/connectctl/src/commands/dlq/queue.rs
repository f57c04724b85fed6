//! Dead letter queues: which connectors have one, and reading it.

use std::{collections::HashMap, time::Duration};

use connect_api::{Result as KafkaResult, Topic, TopicPartition};
use connect_kafka::{ClientSettings, Positions, RawRecord, Role, Span, newest, stretch};
use connect_rest_model::ConnectorInfo;
use indexmap::IndexMap;
use tokio::sync::mpsc;

use super::{
    super::{Context, missing},
    filter::{Filter, Which},
    letter::Letter,
};
use crate::{error::Failure, names::not_found, places::kafka::Kafka};

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

/// Reads queues.
pub(in crate::commands) struct Reading {
    /// Kafka.
    pub(in crate::commands) kafka: Kafka,
    /// Asks for places in it.
    pub(in crate::commands) positions: Positions,
    settings: ClientSettings,
    /// How long an answer may take.
    pub(in crate::commands) limit: Duration,
}

impl Reading {
    pub(in crate::commands) async fn new(context: &Context<'_>) -> Result<Self, Failure> {
        let kafka = context.kafka().await?;
        let settings = kafka.client(Role::Consumer)?;
        Ok(Self { positions: Positions::new(&settings)?, settings, kafka, limit: context.timeout })
    }

    /// What Kafka answered.
    pub(in crate::commands) fn answer<T>(&self, answer: KafkaResult<T>) -> Result<T, Failure> {
        answer.map_err(|e| self.kafka.failure(e))
    }

    /// All topics with the numbers of their partitions.
    pub(in crate::commands) async fn topics(&self) -> Result<HashMap<String, Vec<i32>>, Failure> {
        Ok(self.answer(self.positions.topics(self.limit).await)?.into_iter().collect())
    }

    /// The partitions of a topic that there is.
    pub(in crate::commands) async fn spans(&self, topic: &Topic) -> Result<Vec<Span>, Failure> {
        let topics = self.topics().await?;
        match topics.get(&**topic) {
            Some(numbers) => self.spans_of(topic, numbers).await,
            None => {
                let hint = format!("asked was Kafka at {}", self.kafka.brokers());
                let known: Vec<String> = topics.into_keys().collect();
                Err(Failure::Failed(not_found("topic", topic, &known, &hint)))
            }
        }
    }

    /// As [`Reading::spans`], of these partitions.
    pub(in crate::commands) async fn spans_of(&self, topic: &Topic, numbers: &[i32]) -> Result<Vec<Span>, Failure> {
        let partition = |number: &i32| TopicPartition { topic: topic.clone(), partition: *number };
        let mut partitions: Vec<TopicPartition> = numbers.iter().map(partition).collect();
        partitions.sort();
        self.answer(self.positions.spans(&partitions, self.limit).await)
    }

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
            let found = self.answer(self.positions.at(&partitions, since.ms, self.limit).await)?;
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

    /// The records of these stretches, in order per partition.
    pub(in crate::commands) fn records(&self, topic: &Topic, spans: &[Span]) -> Result<Batches, Failure> {
        self.answer(stretch(&self.settings, topic, spans, self.limit))
    }

    /// So many of the newest letters, oldest first.
    pub(super) async fn newest(&self, topic: &Topic, count: usize) -> Result<Vec<Letter>, Failure> {
        let found = newest(&self.settings, &[topic.to_string()], count, self.limit).await;
        let found = self.answer(found)?;
        if found.cut_short && found.records.is_empty() {
            let text = format!("reading topic {topic}: Kafka at {} gave nothing in time", self.kafka.brokers());
            return Err(Failure::Unreachable(text));
        }
        Ok(found.records.into_iter().map(Letter::new).collect())
    }
}

pub(in crate::commands) type Batches = mpsc::Receiver<KafkaResult<Vec<RawRecord>>>;

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
