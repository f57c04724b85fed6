//! Where partitions begin and end, which offset a time is, and the ids of topics, without a group.

use std::{sync::Arc, time::Duration};

use connect_api::{Error, PartitionOffset, Result, Topic, TopicPartition};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
};

use crate::{
    client::Context,
    embedded,
    error::{kafka_error, not_created},
    identities::Ids,
    settings::{ClientSettings, Role},
    topic_ids::topic_ids,
};

/// The first offset that a partition has, and the one behind its last record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Which partition.
    pub partition: TopicPartition,
    /// Offset of the first record that Kafka has.
    pub first: i64,
    /// Offset behind the last record.
    pub end: i64,
}

const EVENTS: Duration = Duration::from_millis(50);

/// Asks for positions.
#[derive(Clone)]
pub struct Positions {
    consumer: Arc<BaseConsumer<Context>>,
    settings: ClientSettings,
}

impl Positions {
    /// With the settings of a consumer; it connects in the background.
    pub fn new(settings: &ClientSettings) -> Result<Self> {
        let mut settings = settings.clone();
        // librdkafka wants a group even where none is joined.
        settings.native.insert("group.id".into(), "connect-reader".into());
        settings.native.remove("group.instance.id");
        settings.native.insert("enable.auto.commit".into(), "false".into());
        settings.native.insert("allow.auto.create.topics".into(), "false".into());
        let made = settings.config().create_with_context(Context::default());
        let consumer: BaseConsumer<Context> = made.map_err(|e| not_created(Role::Consumer, "the reader", &e))?;
        Ok(Self { consumer: Arc::new(consumer), settings })
    }

    /// All topics with the numbers of their partitions.
    pub async fn topics(&self, limit: Duration) -> Result<Vec<(String, Vec<i32>)>> {
        let found = self.ask("listing topics", move |c| c.fetch_metadata(None, limit)).await?;
        let usable = found.topics().iter().filter(|t| t.error().is_none());
        Ok(usable.map(|t| (t.name().to_owned(), t.partitions().iter().map(|p| p.id()).collect())).collect())
    }

    /// The cluster's id; `None` when no broker answered within the limit or the broker has none.
    pub async fn cluster_id(&self, limit: Duration) -> Result<Option<String>> {
        self.ask("asking for the cluster's id", move |c| Ok(c.client().fetch_cluster_id(limit))).await
    }

    /// Where these partitions begin and end. Each is given that long.
    pub async fn spans(&self, partitions: &[TopicPartition], limit: Duration) -> Result<Vec<Span>> {
        let wanted = partitions.to_vec();
        let ask = move |c: &BaseConsumer<Context>| {
            let span = |partition: TopicPartition| {
                let (first, end) = c.fetch_watermarks(&partition.topic, partition.partition, limit)?;
                Ok(Span { partition, first, end })
            };
            wanted.into_iter().map(span).collect()
        };
        self.ask("looking for the ends of partitions", ask).await
    }

    /// As [`Positions::spans`], of many partitions with a request per broker or two; nothing of one that has no leader at
    /// the moment or that the principal may not read.
    pub async fn known_spans(&self, partitions: &[TopicPartition], limit: Duration) -> Result<Vec<Option<Span>>> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let wanted = partitions.to_vec();
        let ask = move |c: &BaseConsumer<Context>| {
            // In place of a time, the protocol takes the names of both ends.
            let [first, end] = [Offset::Beginning, Offset::End].map(|of| {
                let mut list = TopicPartitionList::new();
                for p in &wanted {
                    list.add_partition_offset(&p.topic, p.partition, of)?;
                }
                c.offsets_for_times(list, limit)
            });
            let (first, end) = (first?, end?);
            let offset = |list: &TopicPartitionList, p: &TopicPartition| {
                let found = list.find_partition(&p.topic, p.partition)?;
                match (found.error(), found.offset()) {
                    (Ok(()), Offset::Offset(offset)) => Some(offset),
                    _ => None,
                }
            };
            let span = |p: &TopicPartition| {
                Some(Span { first: offset(&first, p)?, end: offset(&end, p)?, partition: p.clone() })
            };
            Ok(wanted.iter().map(span).collect())
        };
        self.ask("looking for the ends of partitions", ask).await
    }

    /// The first offset in each partition whose time stamp is not before that many milliseconds since 1970; the end where
    /// there is none.
    pub async fn at(&self, partitions: &[TopicPartition], time: i64, limit: Duration) -> Result<Vec<PartitionOffset>> {
        let wanted = partitions.to_vec();
        let ask = move |c: &BaseConsumer<Context>| {
            let mut list = TopicPartitionList::new();
            for p in &wanted {
                list.add_partition_offset(&p.topic, p.partition, Offset::Offset(time))?;
            }
            let found = c.offsets_for_times(list, limit)?;
            let mut without = false;
            let offset = |partition: TopicPartition| {
                let element = found.find_partition(&partition.topic, partition.partition);
                let offset = match element.map(|e| e.error().map(|()| e.offset())).transpose()? {
                    Some(Offset::Offset(offset)) => offset,
                    _ => {
                        without = true;
                        c.fetch_watermarks(&partition.topic, partition.partition, limit)?.1
                    }
                };
                Ok(PartitionOffset { partition, offset })
            };
            let found = wanted.clone().into_iter().map(offset).collect::<std::result::Result<Vec<_>, KafkaError>>()?;
            Ok((found, without))
        };
        let (found, without) = self.ask("looking for the offsets of a time", ask).await?;
        // The embedded broker says of every time that there is no such record.
        if without && self.cluster_id(limit).await?.is_some_and(|id| embedded::is_embedded_id(&id)) {
            return embedded::at(&self.settings, self.spans(partitions, limit).await?, time, limit).await;
        }
        Ok(found)
    }

    /// What tells each of these topics from others that have had its name, or will; nothing of topics that do not exist,
    /// nor of brokers that give no ids (before 2.8).
    pub async fn topic_ids(&self, topics: &[Topic], limit: Duration) -> Result<Ids> {
        let wanted = topics.to_vec();
        self.ask("asking for the ids of topics", move |c| topic_ids(c, &wanted, limit)).await
    }

    async fn ask<T: Send + 'static>(
        &self,
        doing: &str,
        work: impl FnOnce(&BaseConsumer<Context>) -> std::result::Result<T, KafkaError> + Send + 'static,
    ) -> Result<T> {
        let consumer = self.consumer.clone();
        let ask = move || {
            let answer = work(&consumer);
            if answer.is_err() {
                // Connections tell why they failed in events, which somebody has to take.
                drop(consumer.poll(EVENTS));
            }
            answer
        };
        let done = tokio::task::spawn_blocking(ask).await;
        let done = done.map_err(|e| Error::retriable(doing.to_owned()).caused_by(e))?;
        done.map_err(|e| {
            let error = kafka_error(doing.to_owned(), e);
            match self.consumer.context().last_failure() {
                Some(why) if error.class() == connect_api::ErrorClass::Retriable => {
                    Error::retriable(format!("{doing}: kafka cannot be reached")).caused_by(why)
                }
                _ => error,
            }
        })
    }
}

impl std::fmt::Debug for Positions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Positions")
    }
}
