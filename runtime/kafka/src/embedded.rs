//! What the embedded broker, which is librdkafka's mock cluster, leaves to those who ask it.

use std::{collections::BTreeMap, time::Duration};

use connect_api::{PartitionOffset, Result, Topic, TopicPartition};

use crate::{Span, settings::ClientSettings, stretch};

/// Whether a cluster with this id is the embedded broker of a worker, whose id is that of librdkafka's mock cluster.
pub fn is_embedded_id(id: &str) -> bool {
    id.starts_with("mockCluster")
}

/// The first offset in each of these stretches whose time stamp is not before that many milliseconds since 1970; the end
/// where there is none. They are read for it: that broker knows no times, and what it keeps is little.
pub(crate) async fn at(
    settings: &ClientSettings,
    spans: Vec<Span>,
    time: i64,
    silence: Duration,
) -> Result<Vec<PartitionOffset>> {
    let mut topics: BTreeMap<&Topic, Vec<Span>> = BTreeMap::new();
    for span in spans.iter().filter(|s| s.first < s.end) {
        topics.entry(&span.partition.topic).or_default().push(span.clone());
    }
    let mut found: BTreeMap<TopicPartition, i64> = BTreeMap::new();
    for (topic, of_topic) in topics {
        let mut batches = stretch(settings, topic, &of_topic, silence)?;
        while let Some(batch) = batches.recv().await {
            for record in batch?.into_iter().filter(|r| r.timestamp.is_some_and(|t| t >= time)) {
                let partition = TopicPartition { topic: topic.clone(), partition: record.partition };
                found.entry(partition).or_insert(record.offset);
            }
            if of_topic.iter().all(|s| found.contains_key(&s.partition)) {
                break;
            }
        }
    }
    let offset = |s: Span| {
        let offset = found.get(&s.partition).copied().unwrap_or(s.end);
        PartitionOffset { partition: s.partition, offset }
    };
    Ok(spans.into_iter().map(offset).collect())
}
