//! What Kafka knows of the partitions that a sink reads.

use connect_api::{PartitionOffset, TopicPartition};
use connect_kafka::Span;
use connect_rest_model::{ConnectorInfo, ConnectorOffset};
use regex::Regex;
use serde_json::{Value as Json, json};

use crate::{
    error::Failure,
    reading::{Reading, Topics},
};

impl Reading {
    /// The partitions, among all that there are, of the topics that the sink reads; none where `topics.regex` is an
    /// expression that only Java evaluates.
    pub(in super::super) fn read_by(info: &ConnectorInfo, all: &Topics) -> Option<Vec<TopicPartition>> {
        let setting = |key: &str| info.config.get(key).map(|v| v.trim()).filter(|v| !v.is_empty());
        let listed: Vec<&str> = setting("topics").into_iter().flat_map(|t| t.split(',').map(str::trim)).collect();
        let regex = setting("topics.regex").map(|text| Regex::new(&format!("^(?:{text})$"))).transpose().ok()?;
        Some(partitions(all, |name| listed.contains(&name) || regex.as_ref().is_some_and(|r| r.is_match(name))))
    }

    /// The partitions of the topics that the sink reads, or of those of them that are named.
    pub(super) async fn of_sink(&self, info: &ConnectorInfo, only: &[String]) -> Result<Vec<TopicPartition>, Failure> {
        let all = self.topics().await?;
        if let Some(missing) = only.iter().find(|topic| !all.contains_key(*topic)) {
            return Err(self.no_topic(missing, &all));
        }
        let found = match only {
            [] => Self::read_by(info, &all).ok_or_else(|| {
                let text = "topics.regex cannot be evaluated here; name topics with --topic";
                Failure::Failed(format!("{}: {text}", info.name))
            })?,
            only => partitions(&all, |name| only.iter().any(|t| t == name)),
        };
        if found.is_empty() {
            let brokers = self.kafka.brokers();
            let text = format!(
                "{} reads no topic that there is in Kafka at {brokers} (from {})",
                info.name, self.kafka.origin
            );
            return Err(Failure::Failed(text));
        }
        Ok(found)
    }

    /// Refuses places that are not in Kafka: other topics and partitions than there are, and offsets outside of a partition.
    /// One without a leader cannot be judged.
    pub(super) async fn check(&self, wanted: &[PartitionOffset]) -> Result<(), Failure> {
        let all = self.topics().await?;
        for TopicPartition { topic, partition } in wanted.iter().map(|w| &w.partition) {
            let numbers = all.get(&**topic).ok_or_else(|| self.no_topic(topic, &all))?;
            if !numbers.contains(partition) {
                let text = match numbers.len() {
                    1 => format!("topic {topic} has no partition {partition}; its only one is {}", numbers[0]),
                    n => format!("topic {topic} has no partition {partition}; there are 0 to {}", n.saturating_sub(1)),
                };
                return Err(Failure::Failed(format!("{text} (asked was Kafka at {})", self.kafka.brokers())));
            }
        }
        let partitions: Vec<TopicPartition> = wanted.iter().map(|w| w.partition.clone()).collect();
        let spans = self.known_spans(&partitions).await?;
        let wrong = wanted.iter().zip(&spans).find_map(|(w, span)| outside(w, span.as_ref()?));
        wrong.map_or(Ok(()), |text| Err(Failure::Failed(text)))
    }
}

/// The partitions of the topics that are wanted.
fn partitions(all: &Topics, wanted: impl Fn(&str) -> bool) -> Vec<TopicPartition> {
    let wanted = all.iter().filter(|(name, _)| wanted(name));
    let of = |(name, numbers): (&String, &Vec<i32>)| -> Vec<TopicPartition> {
        numbers.iter().map(|n| TopicPartition { topic: name.as_str().into(), partition: *n }).collect()
    };
    wanted.flat_map(of).collect()
}

/// What is wrong with an offset that is not within its partition; the end is.
fn outside(wanted: &PartitionOffset, span: &Span) -> Option<String> {
    let Span { partition: TopicPartition { topic, partition }, first, end } = span;
    let offset = wanted.offset;
    let side = if offset < *first {
        "before the beginning"
    } else if offset > *end {
        "beyond the end"
    } else {
        return None;
    };
    Some(format!("offset {offset} is {side} of {topic}:{partition}, which begins at {first} and ends at {end}"))
}

/// The partition that an offset of a sink is of.
pub(in super::super) fn partition(one: &ConnectorOffset) -> Option<TopicPartition> {
    let topic = one.partition.get("kafka_topic")?.as_str()?;
    let number = i32::try_from(one.partition.get("kafka_partition")?.as_i64()?).ok()?;
    Some(TopicPartition { topic: topic.into(), partition: number })
}

/// An offset of a sink as the REST API has it.
pub(super) fn entry(partition: &TopicPartition, offset: i64) -> ConnectorOffset {
    let object = |value: Json| value.as_object().cloned().unwrap_or_default();
    ConnectorOffset {
        partition: object(json!({ "kafka_topic": &*partition.topic, "kafka_partition": partition.partition })),
        offset: Some(object(json!({ "kafka_offset": offset }))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_within_their_partition_or_told_with_its_ends() {
        let partition = TopicPartition { topic: "t".into(), partition: 2 };
        let span = Span { partition: partition.clone(), first: 5, end: 9 };
        let told = |offset| outside(&PartitionOffset { partition: partition.clone(), offset }, &span);
        assert_eq!([5, 7, 9].map(told), [None, None, None]);
        let ends = "of t:2, which begins at 5 and ends at 9";
        assert_eq!(told(4), Some(format!("offset 4 is before the beginning {ends}")));
        assert_eq!(told(10), Some(format!("offset 10 is beyond the end {ends}")));
    }
}
