//! Reading Kafka beside everybody else: no group is joined and no offset is committed.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use connect_api::{PartitionOffset, Result as KafkaResult, Topic, TopicPartition};
use connect_kafka::{
    ClientSettings, Newest, Order, Positions, RawRecord, Role, Span, is_embedded_id, newest_by, stretch,
};
use tokio::sync::mpsc;

use crate::{commands::Context, error::Failure, names::not_found, places::kafka::Kafka};

/// Topics with the numbers of their partitions.
pub type Topics = BTreeMap<String, Vec<i32>>;

/// Records in order per partition; an error is the last thing that comes.
pub type Batches = mpsc::Receiver<KafkaResult<Vec<RawRecord>>>;

/// Reads topics, and asks where they begin and end.
pub struct Reading {
    /// Where Kafka is.
    pub kafka: Kafka,
    /// How long an answer may take.
    pub limit: Duration,
    positions: Positions,
    settings: ClientSettings,
}

impl Reading {
    /// The Kafka that flags, environment, context or worker name.
    pub async fn new(context: &Context<'_>) -> Result<Self, Failure> {
        let kafka = context.kafka().await?;
        let settings = kafka.client(Role::Consumer)?;
        Ok(Self { positions: Positions::new(&settings)?, settings, kafka, limit: context.timeout })
    }

    /// What Kafka answered.
    pub fn answer<T>(&self, answer: KafkaResult<T>) -> Result<T, Failure> {
        answer.map_err(|e| self.kafka.failure(e))
    }

    /// All topics.
    pub async fn topics(&self) -> Result<Topics, Failure> {
        Ok(self.answer(self.positions.topics(self.limit).await)?.into_iter().collect())
    }

    /// The cluster's id, where it has one.
    pub async fn cluster_id(&self) -> Result<Option<String>, Failure> {
        self.answer(self.positions.cluster_id(self.limit).await)
    }

    /// Whether it is the embedded broker of a worker.
    pub async fn is_embedded(&self) -> Result<bool, Failure> {
        Ok(self.cluster_id().await?.is_some_and(|id| is_embedded_id(&id)))
    }

    /// What to say of a topic that is not among these.
    pub fn no_topic(&self, name: &str, topics: &Topics) -> Failure {
        let known: Vec<String> = topics.keys().cloned().collect();
        Failure::Failed(not_found("topic", name, &known, &format!("asked was Kafka at {}", self.kafka.brokers())))
    }

    /// All of a topic that there is.
    pub async fn all_of(&self, topic: &Topic) -> Result<Vec<Span>, Failure> {
        let topics = self.topics().await?;
        match topics.get(&**topic) {
            Some(numbers) => self.numbered(topic, numbers).await,
            None => Err(self.no_topic(topic, &topics)),
        }
    }

    /// These partitions of a topic, by number.
    pub async fn numbered(&self, topic: &Topic, numbers: &[i32]) -> Result<Vec<Span>, Failure> {
        let partition = |number: &i32| TopicPartition { topic: topic.clone(), partition: *number };
        let mut partitions: Vec<TopicPartition> = numbers.iter().map(partition).collect();
        partitions.sort();
        self.spans(&partitions).await
    }

    /// Where these partitions begin and end.
    pub async fn spans(&self, partitions: &[TopicPartition]) -> Result<Vec<Span>, Failure> {
        self.answer(self.positions.spans(partitions, self.limit).await)
    }

    /// As [`Reading::spans`], of many partitions at once; nothing of those that are not told.
    pub async fn known_spans(&self, partitions: &[TopicPartition]) -> Result<Vec<Option<Span>>, Failure> {
        self.answer(self.positions.known_spans(partitions, self.limit).await)
    }

    /// The first offset in each partition whose time stamp is not before that many milliseconds since 1970.
    pub async fn at(&self, partitions: &[TopicPartition], time: i64) -> Result<Vec<PartitionOffset>, Failure> {
        self.answer(self.positions.at(partitions, time, self.limit).await)
    }

    /// What tells each of these topics from others that have had its name, or will; asked for no longer than `most`.
    pub async fn topic_ids(&self, topics: &[Topic], most: Duration) -> KafkaResult<BTreeMap<Topic, Arc<str>>> {
        self.positions.topic_ids(topics, self.limit.min(most)).await
    }

    /// The records of these stretches.
    pub fn records(&self, topic: &Topic, spans: &[Span]) -> Result<Batches, Failure> {
        self.answer(stretch(&self.settings, topic, spans, self.limit))
    }

    /// So many of the newest records, oldest first, as this order has it.
    pub async fn newest_by(&self, topic: &Topic, count: usize, order: Order) -> Result<Newest, Failure> {
        self.answer(newest_by(&self.settings, &[topic.to_string()], count, self.limit, order).await)
    }
}
