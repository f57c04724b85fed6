//! The Kafka cluster, as commands ask it: its admin requests, and names of topics.

use std::{cell::Cell, time::Duration};

use connect_api::{Result as KafkaResult, TopicPartition};
use connect_kafka::{
    Admin, Cluster, Positions, Resource, ResourceSetting, Role, Span, TopicState, is_embedded_id, not_permitted,
    not_supported,
};
use indexmap::IndexMap;

use crate::{
    commands::Context,
    error::Failure,
    names::{is_pattern, matching, not_found},
    places::kafka::Kafka,
};

/// Asks Kafka.
#[derive(Debug)]
pub struct Asking {
    /// Where it is.
    pub kafka: Kafka,
    /// Its admin client.
    pub admin: Admin,
    /// How long an answer may take.
    pub limit: Duration,
    embedded: Cell<bool>,
}

/// What to say of something that needs admin requests, of which the embedded broker has none.
pub fn no_admin_requests(doing: &str, kafka: &Kafka) -> Failure {
    Failure::Failed(format!(
        "{doing}: Kafka at {} (from {}) is the embedded broker of connectd, which has no admin requests; give connectd a real one \
         with bootstrap.servers, or name another one here with --bootstrap-servers HOST:PORT",
        kafka.brokers(),
        kafka.origin
    ))
}

impl Asking {
    /// The Kafka that flags, environment, context or worker name.
    pub async fn new(context: &Context<'_>) -> Result<Self, Failure> {
        let kafka = context.kafka().await?;
        let admin = Admin::new(&kafka.client(Role::Admin)?)?;
        Ok(Self { kafka, admin, limit: context.timeout, embedded: Cell::new(false) })
    }

    /// What Kafka answered.
    pub fn answer<T>(&self, answer: KafkaResult<T>) -> Result<T, Failure> {
        answer.map_err(|e| {
            if not_supported(&e) {
                return Failure::Failed(format!(
                    "{}; Kafka at {} (from {}) is too old for such requests",
                    e.one_line(),
                    self.kafka.brokers(),
                    self.kafka.origin
                ));
            }
            let e = match self.admin.last_failure() {
                Some(why) if e.class() == connect_api::ErrorClass::Retriable && self.admin.brokers_down() => {
                    connect_api::Error::retriable(format!("{}: kafka cannot be reached", e.message())).caused_by(why)
                }
                _ => e,
            };
            self.kafka.failure(e)
        })
    }

    /// Brokers and topics.
    pub async fn cluster(&self) -> Result<Cluster, Failure> {
        let found = self.answer(self.admin.cluster(self.limit).await)?;
        // It came with the answer, and is not asked for.
        let id = self.admin.cluster_id(self.limit).await.unwrap_or_default();
        self.embedded.set(id.is_some_and(|id| is_embedded_id(&id)));
        Ok(found)
    }

    /// As [`Asking::cluster`], for what needs admin requests: the embedded broker has none, and would leave them unanswered.
    pub async fn admin_cluster(&self, doing: &str) -> Result<Cluster, Failure> {
        let found = self.cluster().await?;
        if self.embedded.get() {
            return Err(no_admin_requests(doing, &self.kafka));
        }
        Ok(found)
    }

    /// A client that asks for the ends of partitions.
    pub fn positions(&self) -> Result<Positions, Failure> {
        Ok(Positions::new(&self.kafka.client(Role::Consumer)?)?)
    }

    /// The topics that are meant, each once. A name that there is not is a failure with the nearest one.
    pub fn meant<'c>(
        &self,
        written: &[String],
        cluster: &'c Cluster,
        all: bool,
    ) -> Result<Vec<&'c TopicState>, Failure> {
        let known: Vec<String> = cluster.topics.iter().map(|t| t.name.clone()).collect();
        // What a pattern selects need not be what nobody has created.
        let shown: Vec<String> = known.iter().filter(|name| all || !is_internal(name)).cloned().collect();
        let (plain, patterns): (Vec<&String>, Vec<&String>) =
            written.iter().partition(|text| known.contains(text) || !is_pattern(text));
        if let Some(missing) = plain.iter().find(|name| !known.contains(name)) {
            return Err(Failure::Failed(self.no_topic(missing, &known)));
        }
        let hint = format!("connectctl topics list --all shows those of Kafka at {}", self.kafka.brokers());
        let mut names: Vec<String> = Vec::new();
        for text in written {
            if patterns.contains(&text) {
                names.extend(matching(std::slice::from_ref(text), &shown, "topic", &hint).map_err(Failure::Failed)?);
            } else {
                names.push(text.clone());
            }
        }
        let mut found: IndexMap<&str, &TopicState> = IndexMap::new();
        for name in &names {
            if let Some(topic) = cluster.topics.iter().find(|t| t.name == *name) {
                found.insert(&topic.name, topic);
            }
        }
        Ok(found.into_values().collect())
    }

    /// What to say of a topic that there is not.
    pub fn no_topic(&self, name: &str, known: &[String]) -> String {
        let hint =
            format!("asked was Kafka at {}, which tells only of those that you may describe", self.kafka.brokers());
        not_found("topic", name, known, &hint)
    }

    /// The settings of topics, in their order; nothing of one whose settings the principal may not see, nor of a broker that
    /// cannot tell.
    pub async fn settings_of(&self, topics: &[&TopicState]) -> Result<Vec<Option<Vec<ResourceSetting>>>, Failure> {
        if self.embedded.get() {
            return Ok(topics.iter().map(|_| None).collect());
        }
        let resources: Vec<Resource> = topics.iter().map(|t| Resource::Topic(t.name.clone())).collect();
        let found = match self.admin.settings(&resources, self.limit).await {
            Err(e) if not_permitted(&e) => return Ok(topics.iter().map(|_| None).collect()),
            other => self.answer(other)?,
        };
        Ok(found.into_iter().map(Result::ok).collect())
    }

    /// The settings of a broker; nothing of the embedded one, which cannot tell.
    pub async fn settings_of_broker(&self, id: i32) -> Option<KafkaResult<Vec<ResourceSetting>>> {
        if self.embedded.get() {
            return None;
        }
        match self.admin.settings(&[Resource::Broker(id)], self.limit).await {
            Ok(mut found) => found.pop(),
            Err(e) => Some(Err(e)),
        }
    }

    /// Whether it is the embedded broker, as far as it was asked.
    pub fn is_embedded(&self) -> bool {
        self.embedded.get()
    }

    /// First offsets and ends of all partitions of these topics, in their order.
    pub async fn spans_of(&self, topics: &[&TopicState]) -> Result<Vec<Option<Span>>, Failure> {
        let partition =
            |t: &TopicState, number: i32| TopicPartition { topic: t.name.as_str().into(), partition: number };
        let all: Vec<TopicPartition> =
            topics.iter().flat_map(|t| t.partitions.iter().map(|p| partition(t, p.number))).collect();
        self.answer(self.positions()?.known_spans(&all, self.limit).await)
    }
}

/// Whether the topic is one of Kafka's or of a program's own, such as `__consumer_offsets` and `_schemas`.
pub fn is_internal(name: &str) -> bool {
    name.starts_with('_')
}

/// The key among those that there are, or what to say of it.
pub fn check_key(key: &str, of: &str, known: &[ResourceSetting]) -> Result<(), Failure> {
    if known.is_empty() || known.iter().any(|s| s.key == key) {
        return Ok(());
    }
    let near = crate::check::nearest(key, known.iter().map(|s| s.key.as_str()));
    let hint = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
    Err(Failure::Failed(format!("{of} has no setting {key}{hint}")))
}
