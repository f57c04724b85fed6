//! Source partitions and offsets: MirrorMaker's (`MirrorUtils.wrapPartition`, `wrapOffset`), so that people who set offsets
//! there set them here in the same words.

use connect_api::{Error, OffsetMap, Result, TopicPartition};

const CLUSTER: &str = "cluster";
const PARTITION: &str = "partition";
const TOPIC: &str = "topic";
const OFFSET: &str = "offset";
const TOPIC_ID: &str = "topic_id";

/// The source partition of a partition of the cluster with that alias.
pub fn partition(cluster: &str, of: &TopicPartition) -> OffsetMap {
    [
        (CLUSTER.to_owned(), cluster.into()),
        (PARTITION.to_owned(), of.partition.into()),
        (TOPIC.to_owned(), of.topic.to_string().into()),
    ]
    .into_iter()
    .collect()
}

/// The source offset of a record: its own, and the id of the topic, if it is known: where the topic is deleted and created
/// again, the offset is that of another record.
pub fn offset(of: i64, topic_id: Option<&str>) -> OffsetMap {
    let id = topic_id.map(|id| (TOPIC_ID.to_owned(), id.into()));
    [(OFFSET.to_owned(), of.into())].into_iter().chain(id).collect()
}

/// Whether a source offset says which topic it is of.
pub fn has_topic_id(offset: &OffsetMap) -> bool {
    offset.contains_key(TOPIC_ID)
}

/// Whether a source offset is of a topic that had the name before the one with this id.
pub fn is_of_another(offset: &OffsetMap, topic_id: &str) -> bool {
    offset.get(TOPIC_ID).and_then(serde_json::Value::as_str).is_some_and(|id| id != topic_id)
}

/// Where to read on behind a source offset.
pub fn next(offset: &OffsetMap) -> Result<i64> {
    let last = offset.get(OFFSET).and_then(serde_json::Value::as_i64).filter(|last| *last >= -1);
    last.map(|last| last + 1).ok_or_else(|| {
        Error::fatal(format!(
            "a source offset must have the whole number '{OFFSET}', that of the last record that was read; this one is {}",
            serde_json::Value::Object(offset.clone())
        ))
    })
}

/// Checks offsets that a person wants to set.
pub fn check(offsets: &[(OffsetMap, Option<OffsetMap>)]) -> Result<()> {
    for (partition, offset) in offsets {
        let text = |key: &str| partition.get(key).is_some_and(serde_json::Value::is_string);
        let number = partition.get(PARTITION).and_then(serde_json::Value::as_i64);
        if !text(CLUSTER) || !text(TOPIC) || number.is_none_or(|n| n < 0) || partition.len() != 3 {
            return Err(Error::fatal(format!(
                "a source partition must have the texts '{CLUSTER}' and '{TOPIC}' and the whole number '{PARTITION}'"
            )));
        }
        if let Some(offset) = offset {
            next(offset)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_written_and_read_back() {
        let of = TopicPartition { topic: "t".into(), partition: 3 };
        let written = serde_json::Value::Object(partition("a", &of)).to_string();
        assert_eq!(written, r#"{"cluster":"a","partition":3,"topic":"t"}"#);
        assert_eq!(next(&offset(41, None)).ok(), Some(42));
        assert_eq!(next(&offset(41, Some("x"))).ok(), Some(42));
        assert!(is_of_another(&offset(41, Some("x")), "y"));
        assert!(!is_of_another(&offset(41, Some("x")), "x") && !is_of_another(&offset(41, None), "y"));
        assert!(check(&[(partition("a", &of), Some(offset(-1, None))), (partition("a", &of), None)]).is_ok());
    }

    #[test]
    fn what_is_no_position_is_refused() {
        let of = partition("a", &TopicPartition { topic: "t".into(), partition: 3 });
        assert!(check(&[(of.clone(), Some(offset(-2, None)))]).is_err());
        assert!(check(&[(of.clone(), Some(OffsetMap::new()))]).is_err());
        let without = |key: &str| {
            let mut some = of.clone();
            some.remove(key);
            some
        };
        for key in [CLUSTER, PARTITION, TOPIC] {
            assert!(check(&[(without(key), None)]).is_err(), "{key}");
        }
    }
}
