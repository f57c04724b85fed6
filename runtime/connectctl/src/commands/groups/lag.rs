//! What a group has committed, and how far that is from the ends of partitions.

use std::collections::BTreeMap;

use connect_api::TopicPartition;
use connect_kafka::{Group, GroupOffsets, Role};
use serde::Serialize;

use crate::{cluster::Asking, error::Failure};

/// A partition that a group has read, or that a member reads.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Place {
    pub(super) topic: String,
    pub(super) partition: i32,
    /// Null where nothing was committed.
    pub(super) offset: Option<i64>,
    /// Null where the partition is gone, here and below.
    pub(super) end: Option<i64>,
    /// How many offsets there are between both; of what was never committed, null.
    pub(super) lag: Option<i64>,
    /// Client id of the member that reads it.
    pub(super) member: Option<String>,
}

/// The offsets of a group.
pub(super) fn offsets_of(group: &str, asking: &Asking) -> Result<GroupOffsets, Failure> {
    Ok(GroupOffsets::new(&asking.kafka.client(Role::Admin)?, group)?)
}

/// All places of a group, by topic and partition.
pub(super) async fn places(group: &Group, asking: &Asking) -> Result<Vec<Place>, Failure> {
    let committed = offsets_of(&group.name, asking)?.list().await;
    let committed = asking.answer(committed.map_err(connect_kafka::GroupError::into_error))?;
    let mut all: BTreeMap<TopicPartition, (Option<i64>, Option<String>)> = BTreeMap::new();
    for one in committed {
        all.entry(one.partition).or_default().0 = Some(one.offset);
    }
    for member in &group.members {
        for partition in &member.partitions {
            all.entry(partition.clone()).or_default().1 = Some(member.client.clone());
        }
    }
    let partitions: Vec<TopicPartition> = all.keys().cloned().collect();
    let spans = asking.answer(asking.positions()?.known_spans(&partitions, asking.limit).await)?;
    let mut found = Vec::with_capacity(all.len());
    for ((partition, (offset, member)), span) in all.into_iter().zip(spans) {
        let end = span.map(|s| s.end);
        found.push(Place {
            topic: partition.topic.to_string(),
            partition: partition.partition,
            offset,
            end,
            // A topic that was created anew may end before what was committed.
            lag: offset.zip(end).map(|(offset, end)| (end - offset).max(0)),
            member,
        });
    }
    Ok(found)
}
