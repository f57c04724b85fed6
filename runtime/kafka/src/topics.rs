//! Topics created on trial, deleted, and given more partitions.

use std::time::Duration;

use connect_api::{Error, Result};
use rdkafka::{
    admin::{AdminOptions, NewPartitions},
    error::{KafkaError, RDKafkaErrorCode as Code},
};

use crate::{
    admin::{Admin, TopicSpec, new_topic},
    error::kafka_error,
};

impl Admin {
    /// Has the broker say whether it would create the topic; false if there is one of that name.
    pub async fn try_topic(&self, spec: &TopicSpec, limit: Duration) -> Result<bool> {
        let options = AdminOptions::new().validate_only(true).request_timeout(Some(limit));
        let results = self.client().create_topics([&new_topic(spec)], &options).await;
        let doing = || format!("trying out creating topic {}", spec.name);
        let results = results.map_err(|e| self.failed(kafka_error(doing(), e)))?;
        match results.into_iter().next() {
            Some(Ok(_)) => Ok(true),
            Some(Err((_, Code::TopicAlreadyExists))) => Ok(false),
            Some(Err((_, code))) => Err(kafka_error(doing(), KafkaError::AdminOp(code))),
            None => Err(Error::retriable(doing())),
        }
    }

    /// Deletes a topic with all that is in it.
    pub async fn delete_topic(&self, name: &str, limit: Duration) -> Result<()> {
        let options = AdminOptions::new().operation_timeout(Some(limit)).request_timeout(Some(limit));
        let results = self.client().delete_topics(&[name], &options).await;
        let doing = || format!("deleting topic {name}");
        let results = results.map_err(|e| self.failed(kafka_error(doing(), e)))?;
        match results.into_iter().next() {
            Some(Ok(_)) => Ok(()),
            Some(Err((_, Code::TopicDeletionDisabled))) => {
                Err(Error::fatal(format!("{}: the brokers do not allow that; delete.topic.enable would", doing())))
            }
            Some(Err((_, code))) => Err(kafka_error(doing(), KafkaError::AdminOp(code))),
            None => Err(Error::retriable(doing())),
        }
    }

    /// Gives a topic more partitions, so that there are `count`. With `validate` the broker only looks whether it could be
    /// done.
    pub async fn grow_topic(&self, name: &str, count: usize, validate: bool, limit: Duration) -> Result<()> {
        let options = AdminOptions::new().operation_timeout(Some(limit)).request_timeout(Some(limit));
        let options = options.validate_only(validate);
        let results = self.client().create_partitions([&NewPartitions::new(name, count)], &options).await;
        let doing = || format!("giving topic {name} {count} partitions");
        let results = results.map_err(|e| self.failed(kafka_error(doing(), e)))?;
        match results.into_iter().next() {
            Some(Ok(_)) => Ok(()),
            Some(Err((_, code))) => Err(kafka_error(doing(), KafkaError::AdminOp(code))),
            None => Err(Error::retriable(doing())),
        }
    }
}
