//! What a cluster consists of: its brokers, and its topics with their partitions.
#![allow(unsafe_code, reason = "a call of librdkafka that the rdkafka crate lacks")]

use std::time::{Duration, Instant};

use connect_api::{Error, ErrorClass, Result};
use rdkafka::{
    bindings as c,
    error::{KafkaError, RDKafkaErrorCode as Code},
    metadata::{Metadata, MetadataPartition, MetadataTopic},
};

use crate::{admin::Admin, error::kafka_error, owned::hear};

/// A broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// Its id.
    pub id: i32,
    /// The address that it gives to clients.
    pub host: String,
    /// The port of that.
    pub port: i32,
}

/// A partition and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its number.
    pub number: i32,
    /// The broker that leads it; none where there is none at the moment.
    pub leader: Option<i32>,
    /// The brokers that are to have it, the preferred leader first.
    pub replicas: Vec<i32>,
    /// Those of them that have all of it.
    pub in_sync: Vec<i32>,
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicState {
    /// Its name.
    pub name: String,
    /// Its partitions by number.
    pub partitions: Vec<Partition>,
    /// Why Kafka does not tell of them.
    pub problem: Option<String>,
}

impl TopicState {
    fn new(found: &MetadataTopic) -> Self {
        let partition = |p: &MetadataPartition| Partition {
            number: p.id(),
            leader: Some(p.leader()).filter(|id| *id >= 0),
            replicas: p.replicas().to_vec(),
            in_sync: p.isr().to_vec(),
        };
        let mut partitions: Vec<Partition> = found.partitions().iter().map(partition).collect();
        partitions.sort_by_key(|p| p.number);
        let problem = found.error().map(|code| Code::from(code).to_string());
        Self { name: found.name().to_owned(), partitions, problem }
    }

    /// How many replicas a partition is to have; the most where they differ.
    pub fn replication(&self) -> usize {
        self.partitions.iter().map(|p| p.replicas.len()).max().unwrap_or(0)
    }

    /// How many partitions have fewer replicas in sync than they are to have.
    pub fn under_replicated(&self) -> usize {
        self.partitions.iter().filter(|p| p.in_sync.len() < p.replicas.len()).count()
    }
}

/// Brokers and topics, as one broker knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Brokers that are alive, by id.
    pub brokers: Vec<Broker>,
    /// Topics by name, as far as the principal may see them.
    pub topics: Vec<TopicState>,
    /// Which broker told.
    pub told_by: i32,
}

impl Cluster {
    fn new(found: &Metadata) -> Self {
        let mut brokers: Vec<Broker> =
            found.brokers().iter().map(|b| Broker { id: b.id(), host: b.host().to_owned(), port: b.port() }).collect();
        brokers.sort_by_key(|b| b.id);
        let mut topics: Vec<TopicState> = found.topics().iter().map(TopicState::new).collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Self { brokers, topics, told_by: found.orig_broker_id() }
    }
}

impl Admin {
    /// Brokers and all topics.
    pub async fn cluster(&self, limit: Duration) -> Result<Cluster> {
        let found = self.blocking(move |c| c.inner().fetch_metadata(None, limit)).await?;
        match found {
            Ok(found) => Ok(Cluster::new(&found)),
            Err(e) => Err(self.explained(kafka_error("asking for brokers and topics", e)).await),
        }
    }

    /// A topic, asked for by its name; `None` when it does not exist. What the principal may not describe is an error here,
    /// while [`Admin::cluster`] leaves it out.
    pub async fn topic(&self, name: &str, limit: Duration) -> Result<Option<TopicState>> {
        let (doing, wanted) = (|| format!("describing topic {name}"), name.to_owned());
        let found = self.blocking(move |c| c.inner().fetch_metadata(Some(&wanted), limit)).await?;
        let found = match found {
            Ok(found) => found,
            Err(e) => return Err(self.explained(kafka_error(doing(), e)).await),
        };
        let Some(topic) = found.topics().iter().find(|t| t.name() == name) else { return Ok(None) };
        match topic.error().map(Code::from) {
            None => Ok(Some(TopicState::new(topic))),
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => Ok(None),
            Some(code) => Err(kafka_error(doing(), KafkaError::MetadataFetch(code))),
        }
    }

    /// The broker that takes requests for the controller, which with KRaft need not be the controller itself; none where
    /// nobody tells within the limit.
    pub async fn controller(&self, limit: Duration) -> Result<Option<i32>> {
        let limit = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the pointer is that of the client, which lives during the call.
        let asked =
            self.blocking(move |client| unsafe { c::rd_kafka_controllerid(client.inner().native_ptr(), limit) });
        Ok(Some(asked.await?).filter(|id| *id >= 0))
    }

    /// The error, with why the last connection failed. Librdkafka tells that in its own time, often just after the request
    /// that failed because of it.
    async fn explained(&self, error: Error) -> Error {
        const LATER: Duration = Duration::from_millis(500);
        let begin = Instant::now();
        let mut why = None;
        while error.class() == ErrorClass::Retriable && why.is_none() && begin.elapsed() < LATER {
            hear(self.client().inner());
            why = self.last_failure();
            if why.is_none() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        let text = || format!("{}: kafka cannot be reached", error.message());
        let explained = why.map(|why| Error::retriable(text()).caused_by(why));
        self.failed(explained.unwrap_or(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_are_counted() {
        let partition = |number, in_sync: &[i32]| Partition {
            number,
            leader: in_sync.first().copied(),
            replicas: vec![1, 2],
            in_sync: in_sync.to_vec(),
        };
        let partitions = vec![partition(0, &[1, 2]), partition(1, &[2]), partition(2, &[])];
        let topic = TopicState { name: "t".into(), partitions, problem: None };
        assert_eq!((topic.replication(), topic.under_replicated()), (2, 2));
    }
}
