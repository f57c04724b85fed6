//! What a cluster is made of: its brokers, what they say of their version, and how topics are spread over them.

use std::time::Duration;

use connect_api::{Error, Result};
use rdkafka::{
    admin::{AdminOptions, ResourceSpecifier},
    error::{KafkaError, RDKafkaErrorCode as Code},
};

use crate::{admin::Admin, error::kafka_error};

/// A broker, as others are told to reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerAddress {
    /// `node.id`.
    pub id: i32,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: i32,
}

/// How a topic is spread over brokers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layout {
    /// How many partitions it has.
    pub partitions: usize,
    /// Replicas of the partition that has the fewest.
    pub replicas: usize,
    /// Partitions of which a replica is not in sync, by number.
    pub behind: Vec<i32>,
    /// Partitions that nobody can read or write, because no broker leads them.
    pub without_leader: Vec<i32>,
}

impl Admin {
    /// The brokers that are up, by id.
    pub async fn brokers(&self, limit: Duration) -> Result<Vec<BrokerAddress>> {
        let doing = "asking for the brokers";
        let client = self.client();
        let asked = tokio::task::spawn_blocking(move || client.inner().fetch_metadata(None, limit)).await;
        let found = asked.map_err(|e| Error::retriable(doing).caused_by(e))?;
        let found = found.map_err(|e| self.explained(kafka_error(doing, e), doing))?;
        let address =
            |b: &rdkafka::metadata::MetadataBroker| BrokerAddress { id: b.id(), host: b.host().into(), port: b.port() };
        let mut all: Vec<BrokerAddress> = found.brokers().iter().map(address).collect();
        all.sort_by_key(|b| b.id);
        Ok(all)
    }

    /// How the topic is spread over brokers; `None` when it does not exist.
    pub async fn layout(&self, topic: &str, limit: Duration) -> Result<Option<Layout>> {
        let doing = format!("describing topic {topic}");
        let (client, name) = (self.client(), topic.to_owned());
        let asked = tokio::task::spawn_blocking(move || client.inner().fetch_metadata(Some(&name), limit)).await;
        let found = asked.map_err(|e| Error::retriable(doing.clone()).caused_by(e))?;
        let found = found.map_err(|e| self.explained(kafka_error(doing.clone(), e), &doing))?;
        let Some(topic) = found.topics().iter().find(|t| t.name() == topic) else { return Ok(None) };
        match topic.error().map(Code::from) {
            None => {}
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => return Ok(None),
            Some(code) => return Err(kafka_error(doing, KafkaError::MetadataFetch(code))),
        }
        let all = topic.partitions();
        let numbers = |wanted: &dyn Fn(&rdkafka::metadata::MetadataPartition) -> bool| {
            all.iter().filter(|p| wanted(p)).map(|p| p.id()).collect()
        };
        Ok(Some(Layout {
            partitions: all.len(),
            replicas: all.iter().map(|p| p.replicas().len()).min().unwrap_or_default(),
            behind: numbers(&|p| p.isr().len() < p.replicas().len()),
            without_leader: numbers(&|p| p.leader() < 0),
        }))
    }

    /// What a broker's settings say of its version, in words; `None` where they say nothing.
    ///
    /// Kafka's protocol has no request for it. Brokers before 4.0 have `inter.broker.protocol.version`, whose default is the
    /// newest that they know; 4.0 removed it.
    pub async fn version(&self, broker: i32, limit: Duration) -> Result<Option<String>> {
        let options = AdminOptions::new().request_timeout(Some(limit));
        let results = self.client().describe_configs([&ResourceSpecifier::Broker(broker)], &options).await;
        let doing = || format!("describing the settings of broker {broker}");
        let results = results.map_err(|e| kafka_error(doing(), e))?;
        let found = match results.into_iter().next() {
            Some(Ok(found)) => found,
            Some(Err(code)) => return Err(kafka_error(doing(), KafkaError::AdminOp(code))),
            None => return Err(Error::retriable(doing())),
        };
        let setting = |key: &str| found.get(key).and_then(|entry| entry.value.clone());
        Ok(version_of(setting("inter.broker.protocol.version").as_deref(), setting("process.roles").as_deref()))
    }

    /// The error, with why the last connection failed.
    fn explained(&self, error: Error, doing: &str) -> Error {
        match self.last_failure() {
            Some(why) if error.class() == connect_api::ErrorClass::Retriable => {
                Error::retriable(format!("{doing}: kafka cannot be reached")).caused_by(why)
            }
            _ => error,
        }
    }
}

/// `roles` is a setting that every broker without ZooKeeper has.
fn version_of(protocol: Option<&str>, roles: Option<&str>) -> Option<String> {
    match (protocol, roles) {
        // As in 3.9-IV0, the last of the versions that the release has made.
        (Some(protocol), _) => Some(format!("protocol {}", protocol.split("-IV").next().unwrap_or(protocol))),
        (None, Some(_)) => Some("4.0 or newer".into()),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_brokers_say_of_their_version_is_not_made_more_exact_than_it_is() {
        assert_eq!(version_of(Some("3.9-IV0"), Some("broker")).as_deref(), Some("protocol 3.9"));
        assert_eq!(version_of(None, Some("broker,controller")).as_deref(), Some("4.0 or newer"));
        assert_eq!(version_of(None, None), None);
    }
}
