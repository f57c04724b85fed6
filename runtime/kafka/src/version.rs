//! What brokers tell of their version.

use std::time::Duration;

use connect_api::{Error, Result};
use rdkafka::{
    admin::{AdminOptions, ResourceSpecifier},
    error::KafkaError,
};

use crate::{admin::Admin, error::kafka_error};

impl Admin {
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
