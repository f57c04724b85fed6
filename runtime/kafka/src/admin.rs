//! Cluster identity, topics and their partitions.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use connect_api::{Error, ErrorClass, PartitionOffset, Result};
use rdkafka::{
    Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication},
    error::RDKafkaErrorCode as Code,
};

use crate::{
    client::Context,
    error::{code_of, kafka_error, not_created},
    settings::{ClientSettings, Role},
};

/// A topic to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    /// Name.
    pub name: String,
    /// Partitions; -1 is the broker's default.
    pub partitions: i32,
    /// Replication factor; -1 is the broker's default.
    pub replication_factor: i32,
    /// Topic settings, such as `cleanup.policy`.
    pub settings: Vec<(String, String)>,
}

/// An admin client. Cloning shares it.
#[derive(Clone)]
pub struct Admin(Arc<Shared>);

struct Shared {
    settings: ClientSettings,
    client: RwLock<Arc<AdminClient<Context>>>,
}

const LIMIT: Duration = Duration::from_secs(30);

impl Admin {
    /// Makes an admin client; it connects in the background.
    pub fn new(settings: &ClientSettings) -> Result<Self> {
        let client = RwLock::new(make(settings)?);
        Ok(Self(Arc::new(Shared { settings: settings.clone(), client })))
    }

    pub(crate) fn client(&self) -> Arc<AdminClient<Context>> {
        self.0.client.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The error of a request that failed. What may pass by itself does not if the client has lost all brokers (see
    /// `revival`), and nobody polls the statistics of an admin client that would tell; so the next request has another
    /// client.
    pub(crate) fn failed(&self, error: Error) -> Error {
        if error.class() == ErrorClass::Retriable {
            match make(&self.0.settings) {
                Ok(mut client) => {
                    std::mem::swap(&mut *self.0.client.write().unwrap_or_else(PoisonError::into_inner), &mut client);
                    // It ends when its thread does, for which nobody has to wait.
                    drop(tokio::task::spawn_blocking(move || drop(client)));
                }
                Err(e) => tracing::debug!("the admin client stays: {}", e.one_line()),
            }
        }
        error
    }

    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&AdminClient<Context>) -> T + Send + 'static,
    ) -> Result<T> {
        let client = self.client();
        let done = tokio::task::spawn_blocking(move || work(&client)).await;
        done.map_err(|e| Error::retriable("asking kafka").caused_by(e))
    }

    /// The cluster's id; `None` when no broker answered within the limit or the broker has none.
    pub async fn cluster_id(&self, limit: Duration) -> Result<Option<String>> {
        self.blocking(move |c| c.inner().fetch_cluster_id(limit)).await
    }

    /// How many partitions the topic has; `None` when it does not exist.
    pub async fn partitions(&self, topic: &str, limit: Duration) -> Result<Option<i32>> {
        // By its name: what the principal may not describe is left out of a list of all.
        let name = topic.to_owned();
        let metadata = self.blocking(move |c| c.inner().fetch_metadata(Some(&name), limit)).await?;
        let metadata = metadata.map_err(|e| self.failed(kafka_error(format!("describing topic {topic}"), e)))?;
        let Some(found) = metadata.topics().iter().find(|t| t.name() == topic) else { return Ok(None) };
        match found.error().map(Code::from) {
            None => Ok(Some(i32::try_from(found.partitions().len()).unwrap_or(i32::MAX)).filter(|n| *n > 0)),
            Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::LeaderNotAvailable) => Ok(None),
            Some(code) => {
                Err(kafka_error(format!("describing topic {topic}"), rdkafka::error::KafkaError::MetadataFetch(code)))
            }
        }
    }

    /// Names of all topics.
    pub async fn topics(&self, limit: Duration) -> Result<Vec<String>> {
        let metadata = self.blocking(move |c| c.inner().fetch_metadata(None, limit)).await?;
        let metadata = metadata.map_err(|e| self.failed(kafka_error("listing topics", e)))?;
        Ok(metadata.topics().iter().map(|t| t.name().to_owned()).collect())
    }

    /// A setting of a topic, the broker's default included; `None` when it has none of that name.
    pub async fn topic_setting(&self, topic: &str, key: &str) -> Result<Option<String>> {
        let doing = || format!("describing the settings of topic {topic}");
        let resource = ResourceSpecifier::Topic(topic);
        let options = AdminOptions::new().request_timeout(Some(LIMIT));
        let results = self.client().describe_configs([&resource], &options).await;
        let results = results.map_err(|e| self.failed(kafka_error(doing(), e)))?;
        match results.into_iter().next() {
            Some(Ok(found)) => Ok(found.get(key).and_then(|entry| entry.value.clone())),
            Some(Err(code)) => Err(kafka_error(doing(), rdkafka::error::KafkaError::AdminOp(code))),
            None => Err(Error::retriable(doing())),
        }
    }

    /// Creates the topic; one that exists is left as it is. Tells whether it was created.
    pub async fn create_topic(&self, spec: &TopicSpec) -> Result<bool> {
        let topic = new_topic(spec);
        let doing = || {
            format!(
                "creating topic {} ({} partitions, replication factor {})",
                spec.name, spec.partitions, spec.replication_factor
            )
        };
        let options = AdminOptions::new().operation_timeout(Some(LIMIT)).request_timeout(Some(LIMIT));
        let results = self.client().create_topics([&topic], &options).await;
        let results = results.map_err(|e| self.failed(kafka_error(doing(), e)))?;
        match results.into_iter().next() {
            Some(Ok(_)) => Ok(true),
            Some(Err((_, Code::TopicAlreadyExists))) => Ok(false),
            Some(Err((_, code))) => Err(kafka_error(doing(), rdkafka::error::KafkaError::AdminOp(code))),
            None => Err(Error::retriable(doing())),
        }
    }

    /// Deletes what these partitions have before the given offsets. A partition's refusal is an error that names it; the
    /// others may have been done by then.
    pub async fn delete_records(&self, before: &[PartitionOffset]) -> Result<()> {
        let doing = |topic: &str, partition: i32| format!("deleting records of {topic}-{partition}");
        let mut list = TopicPartitionList::new();
        for one in before {
            let (topic, number) = (&*one.partition.topic, one.partition.partition);
            let added = list.add_partition_offset(topic, number, Offset::Offset(one.offset));
            added.map_err(|e| kafka_error(doing(topic, number), e))?;
        }
        let options = AdminOptions::new().operation_timeout(Some(LIMIT)).request_timeout(Some(LIMIT));
        let results = self.client().delete_records(&list, &options).await;
        let results = results.map_err(|e| self.failed(kafka_error("deleting records", e)))?;
        for one in results.elements() {
            one.error().map_err(|e| {
                // Kafka refuses it of topics that are only compacted.
                let hint = match code_of(&e) {
                    Some(Code::PolicyViolation) => ": cleanup.policy of the topic has to include delete",
                    _ => "",
                };
                kafka_error(doing(one.topic(), one.partition()) + hint, e)
            })?;
        }
        Ok(())
    }

    /// Why the last connection that failed did so.
    pub fn last_failure(&self) -> Option<String> {
        self.client().inner().context().last_failure()
    }

    /// Whether Kafka could not be reached when last tried.
    pub fn brokers_down(&self) -> bool {
        self.client().inner().context().brokers_down()
    }
}

pub(crate) fn new_topic(spec: &TopicSpec) -> NewTopic<'_> {
    let topic = NewTopic::new(&spec.name, spec.partitions, TopicReplication::Fixed(spec.replication_factor));
    spec.settings.iter().fold(topic, |topic, (key, value)| topic.set(key, value))
}

fn make(settings: &ClientSettings) -> Result<Arc<AdminClient<Context>>> {
    let mut config = settings.config();
    // An admin client is a producer to librdkafka, and asking for a topic would create it where brokers do that.
    config.set("allow.auto.create.topics", "false");
    let made: std::result::Result<AdminClient<Context>, _> = config.create_with_context(Context::default());
    made.map(Arc::new).map_err(|e| not_created(Role::Admin, "the admin client", &e))
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Admin")
    }
}
