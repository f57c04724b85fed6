//! Offsets of connectors, listed, altered and reset by people (KIP-875): those of sources are the worker's, those of
//! sinks are their consumer group's.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use connect_api::{Error, OffsetMap, PartitionOffset, Settings, TopicPartition};
use connect_kafka::{Cut, GroupError, GroupOffsets, Role};
use connect_rest_model::{ConnectorOffset, ConnectorOffsets};
use serde_json::{Map, Value as Json};

use crate::{
    Controller,
    controller::{Answer, Refusal, not_found},
    java_value::{JavaMap, JavaValue, primitives},
    registry::{AlterOffsets, ConnectorPlugin},
    rest, stage,
    storage::Target,
};

/// A partition and its offset as a request has them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wanted {
    /// The partition; missing or null is none.
    pub partition: Option<JavaMap>,
    /// The offset; none is to be forgotten.
    pub offset: Option<JavaMap>,
}

type SourceOffset = (OffsetMap, Option<OffsetMap>);
type SinkOffset = (TopicPartition, Option<i64>);

enum Change {
    Alter(Vec<Wanted>),
    Reset,
}

impl Change {
    fn word(&self) -> &'static str {
        match self {
            Self::Alter(_) => "alter",
            Self::Reset => "reset",
        }
    }
}

/// Other changes wait until offsets are written.
const WRITE: Duration = Duration::from_secs(30);
/// How long the group of a connector that has stopped may take to be empty, and how often to look.
const LEAVING: Duration = Duration::from_secs(4);
const AGAIN: Duration = Duration::from_millis(200);

const TOPIC: &str = "kafka_topic";
const PARTITION: &str = "kafka_partition";
const OFFSET: &str = "kafka_offset";

impl Controller {
    /// The body of `GET /connectors/C/offsets`.
    pub async fn offsets(&self, name: &str) -> Answer<ConnectorOffsets> {
        self.list_offsets(name).await.map_err(|refusal| self.concealed(refusal))
    }

    async fn list_offsets(&self, name: &str) -> Answer<ConnectorOffsets> {
        let (settings, plugin) = self.known(name)?;
        let offsets = match plugin.alter {
            AlterOffsets::Source(_) => {
                let text = format!("Failed to retrieve offsets for source connector {name}");
                let all = self.services().offsets.list(name).map_err(|e| failed(&text, &e))?;
                all.into_iter().map(|(partition, offset)| ConnectorOffset { partition, offset: Some(offset) }).collect()
            }
            AlterOffsets::Sink(..) => {
                let text = format!("Failed to retrieve consumer group offsets for sink connector {name}");
                let group = self.group(name, &settings).map_err(|e| failed(&text, &e))?;
                let all = if self.services().worker.embedded { group.list_by_name().await } else { group.list().await };
                let all = all.map_err(|e| failed(&text, &e.into_error()))?;
                let place = |o: PartitionOffset| ConnectorOffset {
                    partition: Map::from_iter([
                        (PARTITION.to_owned(), o.partition.partition.into()),
                        (TOPIC.to_owned(), Json::from(&*o.partition.topic)),
                    ]),
                    offset: Some(Map::from_iter([(OFFSET.to_owned(), o.offset.into())])),
                };
                all.into_iter().map(place).collect()
            }
        };
        Ok(ConnectorOffsets { offsets })
    }

    /// Sets offsets of a stopped connector; answers a sentence.
    pub async fn alter_offsets(&self, name: &str, wanted: Vec<Wanted>) -> Answer<String> {
        self.modify_offsets(name, Change::Alter(wanted)).await.map_err(|refusal| self.concealed(refusal))
    }

    /// Forgets all offsets of a stopped connector; answers a sentence.
    pub async fn reset_offsets(&self, name: &str) -> Answer<String> {
        self.modify_offsets(name, Change::Reset).await.map_err(|refusal| self.concealed(refusal))
    }

    /// Without what config providers gave, of which connectors and clients may speak.
    fn concealed(&self, refusal: Refusal) -> Refusal {
        match refusal {
            Refusal::Failed(text) => Refusal::Failed(self.services().worker.providers.secrets().conceal(&text).into()),
            other => other,
        }
    }

    fn known(&self, name: &str) -> Answer<(Settings, Arc<ConnectorPlugin>)> {
        let services = self.services();
        let written = services.configs.log().connector(name).cloned().ok_or_else(|| not_found(name))?;
        // Clients and plugins need what the references stand for.
        let settings = services.worker.providers.resolve(&written)?.settings;
        let plugin = services.plugins.connectors.find(settings.get("connector.class").unwrap_or_default())?;
        Ok((settings, plugin))
    }

    /// A task that runs would go on from offsets of before.
    fn stopped(&self, name: &str) -> Answer<()> {
        let log = self.services().configs.log();
        if log.target(name) == Target::Stopped && log.tasks(name).is_empty() {
            return Ok(());
        }
        Err(Refusal::Bad(format!(
            "Connectors must be in the STOPPED state before their offsets can be modified. This can be done for the \
             specified connector by issuing a 'PUT' request to the '/connectors/{name}/stop' endpoint"
        )))
    }

    async fn modify_offsets(&self, name: &str, change: Change) -> Answer<String> {
        let (settings, plugin) = self.known(name)?;
        self.stopped(name)?;
        let word = change.word();
        let work = async {
            if let Ok(handle) = self.handle(name, String::new).await {
                // Tasks that are still stopping commit once more.
                handle.target(Target::Stopped)?.done().await?;
            }
            match plugin.alter {
                AlterOffsets::Source(alter) => self.modify_source(name, settings, alter, change).await,
                AlterOffsets::Sink(alter, kept) => {
                    let kept = kept(&settings)?;
                    let reset = matches!(change, Change::Reset);
                    let (all, changed) = self.modify_sink(name, settings, alter, change).await?;
                    if let Some(kept) = kept {
                        self.forget_kept(name, &kept, if reset { None } else { Some(&changed) }).await?;
                    }
                    Ok(all)
                }
            }
        };
        let done = if stage::during(format!("modifying offsets for connector {name}"), work).await? {
            format!("The offsets for this connector have been {word}{} successfully", ending(word))
        } else {
            format!(
                "The Connect framework-managed offsets for this connector have been {word}{} successfully. However, if \
                 this connector manages offsets externally, they will need to be manually {word}{} in the system that \
                 the connector uses.",
                ending(word),
                ending(word)
            )
        };
        Ok(done)
    }

    async fn modify_source(
        &self,
        name: &str,
        settings: Settings,
        alter: fn(&Settings, &[SourceOffset]) -> connect_api::Result<bool>,
        change: Change,
    ) -> Answer<bool> {
        let offsets = &self.services().offsets;
        let text = format!("Failed to modify offsets for source connector {name}");
        let changes = match change {
            Change::Alter(wanted) => source_offsets(wanted)?,
            Change::Reset => {
                let all = offsets.list(name).map_err(|e| failed(&text, &e))?;
                all.into_iter().map(|(partition, _)| (partition, None)).collect()
            }
        };
        let (all, changes) = self.asked(name, "source", changes, move |changes| alter(&settings, changes)).await?;
        let _one_at_a_time = self.change().await?;
        self.stopped(name)?;
        let changes = changes.into_iter().map(|(partition, offset)| (Arc::new(partition), offset)).collect();
        let put = tokio::time::timeout(WRITE, offsets.put(name, changes)).await;
        let late =
            |_| Refusal::Failed(format!("Timed out while attempting to modify offsets for source connector {name}"));
        put.map_err(late)?.map_err(|e| failed(&text, &e))?;
        Ok(all)
    }

    async fn modify_sink(
        &self,
        name: &str,
        settings: Settings,
        alter: fn(&Settings, &[SinkOffset]) -> connect_api::Result<bool>,
        change: Change,
    ) -> Answer<(bool, Vec<TopicPartition>)> {
        let text = format!("Failed to modify offsets for sink connector {name}");
        if self.services().worker.embedded {
            // Its broker does not know the requests, at which librdkafka ends the process.
            let why = "the embedded broker cannot do that; create the connector under another name to read from the \
                       beginning";
            return Err(Refusal::Failed(format!("{text}: {why}")));
        }
        let group = self.group(name, &settings).map_err(|e| failed(&text, &e))?;
        let reset = matches!(change, Change::Reset);
        let changes = match change {
            Change::Alter(wanted) => sink_offsets(wanted)?,
            Change::Reset => {
                let text = format!("Failed to list offsets prior to resetting offsets for sink connector {name}");
                let all = group.list().await.map_err(|e| failed(&text, &e.into_error()))?;
                all.into_iter().map(|o| (o.partition, None)).collect()
            }
        };
        let (all, changes) = self.asked(name, "sink", changes, move |changes| alter(&settings, changes)).await?;
        let _one_at_a_time = self.change().await?;
        self.stopped(name)?;
        self.services().worker.lease.held().await.map_err(|e| failed(&text, &e))?;
        if reset {
            match once_left(|| group.delete_group()).await {
                Ok(()) | Err(GroupError::Unknown(_)) => {}
                Err(GroupError::Active(_)) => return Err(still_active(name, "reset")),
                Err(GroupError::Other(e)) => {
                    return Err(failed(
                        &format!("Failed to reset consumer group offsets for sink connector {name}"),
                        &e,
                    ));
                }
            }
            return Ok((all, Vec::new()));
        }
        let changed = changes.iter().map(|(partition, _)| partition.clone()).collect();
        let mut set = Vec::new();
        let mut forgotten = Vec::new();
        for (partition, offset) in changes {
            match offset {
                Some(offset) if offset < 0 => {
                    return Err(Refusal::Failed(format!("{text}: {offset} is no offset of a record")));
                }
                Some(offset) => set.push(PartitionOffset { partition, offset }),
                None => forgotten.push(partition),
            }
        }
        let refused = |e: GroupError| match e {
            GroupError::Active(_) => still_active(name, "alter"),
            e => failed(&format!("Failed to alter consumer group offsets for connector {name}"), &e.into_error()),
        };
        once_left(|| group.alter(&set)).await.map_err(refused)?;
        match once_left(|| group.delete(&forgotten)).await {
            Ok(()) | Err(GroupError::Unknown(_)) => Ok((all, changed)),
            Err(e) => Err(refused(e)),
        }
    }

    /// Forgets what tasks keep with offsets of these partitions, or of all: they would go on from there.
    async fn forget_kept(&self, name: &str, state: &str, of: Option<&[TopicPartition]>) -> Answer<()> {
        let _one_at_a_time = self.change().await?;
        self.stopped(name)?;
        let services = self.services();
        let failed = |e: Error| failed(&format!("Failed to forget what connector {name} keeps with its offsets"), &e);
        let kept = services.state.state(name, state, &Cut::under(&services.worker.lease)).await.map_err(failed)?;
        let is_of = |key: &str, partition: &TopicPartition| {
            let rest = key.strip_prefix(&format!("{}/{}", partition.topic, partition.partition));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('#'))
        };
        for (key, _) in kept.entries() {
            if of.is_none_or(|of| of.iter().any(|partition| is_of(&key, partition))) {
                kept.put(&key, None).await.map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Asks the connector, which may do I/O, hang and panic, whether it agrees; gives the changes back. Nothing is held
    /// meanwhile: other connectors have to be changed, too, so whoever goes on looks again whether this one is stopped.
    async fn asked<T: Send + 'static>(
        &self,
        name: &str,
        kind: &str,
        changes: Vec<T>,
        alter: impl FnOnce(&[T]) -> connect_api::Result<bool> + Send + 'static,
    ) -> Answer<(bool, Vec<T>)> {
        let began = Instant::now();
        let call = self.services().threads.call("offsets", move || alter(&changes).map(|all| (all, changes)));
        let done = call.await.map_err(|e| match e.exception_class() {
            "java.lang.UnsupportedOperationException" => Refusal::Failed(format!(
                "Failed to modify offsets for connector {name} because it doesn't support external modification of offsets"
            )),
            _ => e.into(),
        })?;
        // Whoever asked has been told that it failed.
        if began.elapsed() >= rest::LIMIT {
            let text = format!("Timed out while calling the 'alterOffsets' method for {kind} connector {name}");
            return Err(Refusal::Failed(text));
        }
        Ok(done)
    }

    /// The consumer group of a sink.
    fn group(&self, name: &str, settings: &Settings) -> connect_api::Result<GroupOffsets> {
        let worker = &self.services().worker;
        let consumer = worker.client(Role::Consumer, settings, &format!("connector-consumer-{name}-0"))?;
        let group = consumer.native.get("group.id").cloned().unwrap_or_else(|| format!("connect-{name}"));
        let client = worker.client(Role::Admin, settings, &format!("connector-adminclient-{name}"))?;
        GroupOffsets::new(&client, &group)
    }
}

fn ending(word: &str) -> &'static str {
    if word == "alter" { "ed" } else { "" }
}

fn failed(text: &str, cause: &Error) -> Refusal {
    Refusal::Failed(format!("{text}: {}", cause.one_line()))
}

/// Does that; again for a moment while the group has members: the consumer of a task that was given up leaves its group
/// shortly after the connector is shown as stopped.
async fn once_left<F: Future<Output = Result<(), GroupError>>>(change: impl Fn() -> F) -> Result<(), GroupError> {
    let until = Instant::now() + LEAVING;
    loop {
        match change().await {
            Err(GroupError::Active(_)) if Instant::now() < until => tokio::time::sleep(AGAIN).await,
            done => return done,
        }
    }
}

fn still_active(name: &str, word: &str) -> Refusal {
    Refusal::Failed(format!(
        "Failed to {word} consumer group offsets for connector {name} either because its tasks haven't stopped completely \
         yet or the connector was resumed before the request to {word} its offsets could be successfully completed. If \
         the connector is in a stopped state, this operation can be safely retried. If it doesn't eventually succeed, the \
         Connect cluster may need to be restarted to get rid of the zombie sink tasks."
    ))
}

fn put_last<K: PartialEq, V>(all: &mut Vec<(K, V)>, key: K, value: V) {
    match all.iter_mut().find(|(k, _)| *k == key) {
        Some(entry) => entry.1 = value,
        None => all.push((key, value)),
    }
}

fn source_offsets(wanted: Vec<Wanted>) -> Answer<Vec<SourceOffset>> {
    let mut all: Vec<SourceOffset> = Vec::with_capacity(wanted.len());
    let map = |map: &JavaMap| primitives(map).map_err(Refusal::Failed);
    for Wanted { partition, offset } in wanted {
        let offset = offset.as_ref().map(map).transpose()?;
        match (partition.as_ref().map(map).transpose()?, offset) {
            (Some(partition), offset) => put_last(&mut all, partition, offset),
            (None, Some(_)) => return Err(Refusal::Failed("Partition objects cannot be null".into())),
            // No source has such a partition, so there is nothing to forget.
            (None, None) => {}
        }
    }
    Ok(all)
}

fn sink_offsets(wanted: Vec<Wanted>) -> Answer<Vec<SinkOffset>> {
    let mut all = Vec::with_capacity(wanted.len());
    for Wanted { partition, offset } in wanted {
        let bad = |text: &str| Refusal::Bad(text.to_owned());
        let partition =
            partition.ok_or_else(|| bad("The partition for a sink connector offset cannot be null or missing"))?;
        let (Some(topic), Some(number)) = (partition.get(TOPIC), partition.get(PARTITION)) else {
            return Err(bad(
                "The partition for a sink connector offset must contain the keys 'kafka_topic' and 'kafka_partition'",
            ));
        };
        if *topic == JavaValue::Null {
            return Err(bad("Kafka topic names must be valid strings and may not be null"));
        }
        if *number == JavaValue::Null {
            return Err(bad("Kafka partitions must be valid numbers and may not be null"));
        }
        let number = number.to_string().parse().map_err(|_| {
            bad(&format!(
                "Failed to parse the following Kafka partition value in the provided offsets: '{number}'. Partition \
                 values for sink connectors need to be integers."
            ))
        })?;
        let offset = match offset.as_ref().map(|o| o.get(OFFSET)) {
            None => None,
            Some(None) => {
                return Err(bad(
                    "The offset for a sink connector should either be null or contain the key 'kafka_offset'",
                ));
            }
            Some(Some(offset)) => Some(offset.to_string().parse().map_err(|_| {
                bad(&format!(
                    "Failed to parse the following Kafka offset value in the provided offsets: '{offset}'. Offset values \
                     for sink connectors need to be integers."
                ))
            })?),
        };
        let topic = topic.to_string();
        put_last(&mut all, TopicPartition { topic: topic.as_str().into(), partition: number }, offset);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&str, JavaValue)]) -> Option<JavaMap> {
        Some(fields.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect())
    }

    #[test]
    fn of_a_partition_named_twice_the_last_counts() {
        let of = |n: i64| Wanted {
            partition: map(&[(TOPIC, JavaValue::Text("t".into())), (PARTITION, JavaValue::Text("+0".into()))]),
            offset: map(&[(OFFSET, JavaValue::Long(n))]),
        };
        let made = sink_offsets(vec![of(1), of(2)]).expect("right");
        assert_eq!(made, [(TopicPartition { topic: "t".into(), partition: 0 }, Some(2))]);
        let of = |fields: &[(&str, JavaValue)], n: i64| Wanted {
            partition: map(fields),
            offset: map(&[("position", JavaValue::Long(n))]),
        };
        let (a, b) = (("a", JavaValue::Null), ("b", JavaValue::Bool(true)));
        let made = source_offsets(vec![of(&[a.clone(), b.clone()], 1), of(&[b, a], 2)]).expect("right");
        assert_eq!(made.len(), 1, "{made:?}");
        assert_eq!(made[0].1.as_ref().and_then(|o| o["position"].as_i64()), Some(2));
    }

    #[test]
    fn partitions_that_no_source_has_are_forgotten_but_not_set() {
        assert_eq!(source_offsets(vec![Wanted::default()]), Ok(vec![]));
        let e = source_offsets(vec![Wanted { partition: None, offset: map(&[]) }]);
        assert_eq!(e, Err(Refusal::Failed("Partition objects cannot be null".into())));
    }
}
