//! How far sinks are behind: as far as a worker tells, and otherwise from the offsets that their groups have committed to
//! the ends of the partitions that they read.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    rc::Rc,
    time::{Duration, Instant},
};

use connect_api::{PartitionOffset, TopicPartition};
use connect_kafka::{GroupError, GroupOffsets, Role, Span, is_embedded_id};
use connect_rest_model::{ConnectorInfo, ConnectorOffset, ConnectorStatus, ConnectorType};
use futures_util::future::join_all;
use indexmap::IndexMap;

use super::{Context, offsets::kafka::partition};
use crate::{
    consent::listed,
    error::Failure,
    reading::{Reading, Topics},
};

/// How far a sink is behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lag {
    /// So many records that it has not written.
    Records(u64),
    /// It has nothing to write: none of its topics exists.
    NoTopic,
    Unknown(Why),
}

/// Why it is not known how far a sink is behind.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Why {
    /// Whether somebody was asked who should know.
    pub(super) asked: bool,
    pub(super) text: String,
    pub(super) remedy: Option<String>,
}

impl Why {
    /// Nobody was asked who would know.
    pub(super) fn unasked(text: impl Into<String>) -> Self {
        Self { asked: false, text: text.into(), remedy: None }
    }

    /// Who was asked did not say.
    pub(super) fn failed(text: impl Into<String>) -> Self {
        Self { asked: true, ..Self::unasked(text) }
    }
}

/// What the worker tells by itself: that is all only where every task of the sink runs and tells.
pub(super) fn told(status: &ConnectorStatus) -> Option<u64> {
    let lag = |task: &connect_rest_model::TaskState| task.detail.as_ref()?.lag.filter(|_| task.state == "RUNNING");
    let runs = status.connector.state == "RUNNING" && !status.tasks.is_empty();
    runs.then(|| status.tasks.iter().map(lag).sum::<Option<u64>>()).flatten()
}

/// Asks Kafka, and the worker or Kafka for what is committed, in the order of these sinks with their settings. These topics
/// are `there`.
pub(super) async fn ask(
    sinks: &[(&str, Option<&ConnectorInfo>)],
    there: &Topics,
    reading: &Reading,
    context: &Context<'_>,
) -> Result<Vec<Lag>, Failure> {
    /// So many connectors are asked for at once.
    const AT_ONCE: usize = 8;
    if sinks.is_empty() {
        return Ok(Vec::new());
    }
    let mut offsets = Vec::with_capacity(sinks.len());
    for some in sinks.chunks(AT_ONCE) {
        offsets.extend(join_all(some.iter().map(|(name, info)| committed(name, *info, reading, context))).await);
    }
    let asked: Vec<Result<Asked<'_>, Why>> =
        sinks.iter().zip(offsets).map(|((_, info), offsets)| Asked::new(*info, offsets, there)).collect();
    let mut partitions: Vec<TopicPartition> =
        asked.iter().flatten().flat_map(|r| r.partitions.iter().cloned()).collect();
    partitions.sort();
    partitions.dedup();
    let spans = reading.known_spans(&partitions).await?.into_iter().flatten();
    let spans: BTreeMap<TopicPartition, Span> = spans.map(|s| (s.partition.clone(), s)).collect();
    Ok(asked.into_iter().map(|one| one.map_or_else(Lag::Unknown, |r| r.lag(&spans))).collect())
}

type Committed = BTreeMap<TopicPartition, i64>;

/// What the sink's group has committed. The worker knows what group that is; Kafka Connect's before 3.5 do not tell offsets.
async fn committed(
    name: &str,
    info: Option<&ConnectorInfo>,
    reading: &Reading,
    context: &Context<'_>,
) -> Result<Committed, Why> {
    match context.client.offsets(name).await {
        Ok(found) => {
            let at =
                |one: &ConnectorOffset| Some((partition(one)?, one.offset.as_ref()?.get("kafka_offset")?.as_i64()?));
            Ok(found.offsets.iter().filter_map(at).collect())
        }
        Err(Failure::Refused { status: 404, .. }) => {
            let group = group_of(name, info);
            let found = of_group(&group, reading).await;
            found.map_err(|e| Why::failed(format!("Kafka does not tell the offsets of group {group}: {e}")))
        }
        Err(e) => Err(Why::failed(format!("the worker does not tell its offsets: {e}"))),
    }
}

async fn of_group(group: &str, reading: &Reading) -> Result<Committed, Failure> {
    let found = GroupOffsets::new(&reading.kafka.client(Role::Admin)?, group)?.list().await;
    let found = reading.answer(found.map_err(GroupError::into_error))?;
    Ok(found.into_iter().map(|PartitionOffset { partition, offset }| (partition, offset)).collect())
}

/// The consumer group of a sink, as far as its own settings say.
fn group_of(name: &str, info: Option<&ConnectorInfo>) -> String {
    let own = info.and_then(|i| i.config.get("consumer.override.group.id")).map(|g| g.trim()).filter(|g| !g.is_empty());
    own.map_or_else(|| format!("connect-{name}"), str::to_owned)
}

/// What a sink reads, and where it is.
struct Asked<'a> {
    info: &'a ConnectorInfo,
    partitions: Vec<TopicPartition>,
    committed: Committed,
}

impl<'a> Asked<'a> {
    fn new(info: Option<&'a ConnectorInfo>, committed: Result<Committed, Why>, there: &Topics) -> Result<Self, Why> {
        let committed = committed?;
        let info = info.ok_or_else(|| Why::failed("the worker does not tell its settings"))?;
        const ELSEWHERE: &str = "consumer.override.bootstrap.servers";
        if info.config.get(ELSEWHERE).is_some_and(|brokers| !brokers.trim().is_empty()) {
            return Err(Why::unasked(format!("it reads another Kafka: {ELSEWHERE}")));
        }
        if ["topics", "topics.regex"].iter().any(|key| info.config.get(*key).is_some_and(|v| v.contains("${"))) {
            return Err(Why::unasked("what its topics are, only the worker knows"));
        }
        let partitions = Reading::read_by(info, there);
        let partitions = partitions.ok_or_else(|| Why::unasked("its topics.regex cannot be evaluated here"))?;
        Ok(Self { info, partitions, committed })
    }

    /// What has not been committed is behind by all that Kafka has, if the sink starts at the beginning, as sinks do
    /// unless they are told otherwise.
    fn lag(&self, spans: &BTreeMap<TopicPartition, Span>) -> Lag {
        if self.partitions.is_empty() {
            return Lag::NoTopic;
        }
        let reset = self.info.config.get("consumer.override.auto.offset.reset").map(|v| v.trim().to_ascii_lowercase());
        let reset = reset.filter(|v| !v.is_empty()).unwrap_or_else(|| "earliest".into());
        let mut sum = 0;
        for p in &self.partitions {
            let place = || format!("{}:{}", p.topic, p.partition);
            let Some(span) = spans.get(p) else {
                let text = format!("Kafka does not tell the end of {}: without leader, or not to be read", place());
                return Lag::Unknown(Why::failed(text));
            };
            // A topic that was created anew may end before what was committed.
            let committed = self.committed.get(p).filter(|at| **at <= span.end);
            let behind = match committed {
                Some(at) => span.end - span.first.max(*at),
                None if reset == "earliest" || span.first == span.end => span.end - span.first,
                None => {
                    let text = format!("nothing is committed of {}, and auto.offset.reset is {reset}", place());
                    return Lag::Unknown(Why::unasked(text));
                }
            };
            sum += u64::try_from(behind).unwrap_or(0);
        }
        Lag::Records(sum)
    }
}

/// The lags of sinks for commands that show states, which are not to wait for them: those that no worker tells are asked for,
/// where it is known where Kafka is, and soon given up. Whoever watches asks now and then only.
#[derive(Default)]
pub(super) struct Lags {
    reading: RefCell<Option<Rc<Reading>>>,
    looked: RefCell<Looked>,
}

/// What came of asking.
#[derive(Debug, Default, Clone)]
struct Looked {
    /// Until when it counts.
    until: Option<Instant>,
    /// Of each sink that was asked for; nothing where it is not known.
    of: HashMap<String, Option<u64>>,
    /// Why some are not known.
    problems: Vec<String>,
    /// Whether that has been said.
    said: bool,
}

/// Longer than this no answer is waited for.
const LIMIT: Duration = Duration::from_secs(3);
/// How long answers count, which cost a worker of Kafka Connect a client of Kafka per sink.
const FRESH: Duration = Duration::from_secs(5);
/// After this it is tried again where none came.
const REST: Duration = Duration::from_secs(30);

impl Lags {
    /// The lags of these sinks that are known, by name. Settings that are not among these are asked of the worker.
    pub(super) async fn of(
        &self,
        statuses: &[ConnectorStatus],
        infos: &IndexMap<String, ConnectorInfo>,
        context: &Context<'_>,
    ) -> HashMap<String, u64> {
        let sinks = || statuses.iter().filter(|s| s.kind == ConnectorType::Sink);
        let mut known: HashMap<String, u64> = sinks().filter_map(|s| Some((s.name.clone(), told(s)?))).collect();
        let open: Vec<&str> = sinks().map(|s| s.name.as_str()).filter(|name| !known.contains_key(*name)).collect();
        if open.is_empty() {
            return known;
        }
        let counts =
            |l: &Looked| l.until.is_some_and(|at| Instant::now() < at) && open.iter().all(|n| l.of.contains_key(*n));
        let fresh = counts(&self.looked.borrow());
        if !fresh {
            let limit = LIMIT.min(context.timeout);
            let asked = tokio::time::timeout(limit, self.ask(&open, infos, limit, context)).await;
            let asked = asked.unwrap_or_else(|_| {
                let seconds = limit.as_secs_f64();
                Err(Failure::TimedOut(format!("there was no answer within {seconds} s; asked was {}", self.whom())))
            });
            self.note(&open, asked);
        }
        let looked = self.looked.borrow();
        known.extend(open.iter().filter_map(|name| Some(((*name).to_owned(), (*looked.of.get(*name)?)?))));
        known
    }

    /// Says, once, why some are not known; of a screen that is emptied again and again, behind each time.
    pub(super) fn explain(&self, context: &Context<'_>) {
        let mut looked = self.looked.borrow_mut();
        if !looked.said || context.output.clears() {
            looked.problems.iter().for_each(|text| context.output.say(text));
            looked.said = true;
        }
    }

    /// Kafka as far as it is known whom to ask.
    fn whom(&self) -> String {
        match &*self.reading.borrow() {
            Some(reading) => format!("Kafka at {} (from {})", reading.kafka.brokers(), reading.kafka.origin),
            None => "the worker".to_owned(),
        }
    }

    /// None where it is not known where Kafka is.
    async fn reading(&self, limit: Duration, context: &Context<'_>) -> Result<Option<Rc<Reading>>, Failure> {
        if let Some(reading) = &*self.reading.borrow() {
            return Ok(Some(reading.clone()));
        }
        // Workers of Kafka Connect do not tell.
        if !context.places.name_kafka() && context.client.worker().await.is_err() {
            return Ok(None);
        }
        let mut reading = Reading::new(context).await?;
        // It has more to say of why there is no answer.
        reading.limit = limit.mul_f64(0.9);
        let reading = Rc::new(reading);
        self.reading.replace(Some(reading.clone()));
        Ok(Some(reading))
    }

    /// None where it is not known where Kafka is.
    async fn ask(
        &self,
        open: &[&str],
        infos: &IndexMap<String, ConnectorInfo>,
        limit: Duration,
        context: &Context<'_>,
    ) -> Result<Option<Vec<Lag>>, Failure> {
        let Some(reading) = self.reading(limit, context).await? else { return Ok(None) };
        let there = reading.topics().await?;
        let own = reading.cluster_id().await?;
        let theirs = context.client.server().await?.kafka_cluster_id;
        if let (Some(own), Some(theirs)) = (own, theirs)
            && own != theirs
            && !is_embedded_id(&own)
        {
            return Err(Failure::Failed(format!(
                "{} is cluster {own}, but the worker is on cluster {theirs}",
                self.whom()
            )));
        }
        let missing: Vec<&str> = open.iter().copied().filter(|name| !infos.contains_key(*name)).collect();
        let asked = join_all(missing.iter().map(|name| context.client.info(name))).await;
        let more: IndexMap<&str, ConnectorInfo> =
            missing.into_iter().zip(asked).filter_map(|(name, info)| Some((name, info.ok()?))).collect();
        let sinks: Vec<(&str, Option<&ConnectorInfo>)> =
            open.iter().map(|name| (*name, infos.get(*name).or_else(|| more.get(*name)))).collect();
        ask(&sinks, &there, &reading, context).await.map(Some)
    }

    /// Keeps what came of asking.
    fn note(&self, open: &[&str], asked: Result<Option<Vec<Lag>>, Failure>) {
        let none = || open.iter().map(|name| ((*name).to_owned(), None)).collect();
        let mut looked = Looked::default();
        let mut unknown: IndexMap<Why, Vec<String>> = IndexMap::new();
        match asked {
            Ok(None) => {
                looked.until = Some(Instant::now() + REST);
                looked.of = none();
            }
            Ok(Some(lags)) => {
                looked.until = Some(Instant::now() + FRESH);
                for (name, lag) in open.iter().zip(lags) {
                    let records = match lag {
                        Lag::Records(records) => Some(records),
                        Lag::NoTopic => None,
                        Lag::Unknown(why) => {
                            unknown.entry(why).or_default().push((*name).to_owned());
                            None
                        }
                    };
                    looked.of.insert((*name).to_owned(), records);
                }
                let problem = |(why, names): (Why, Vec<String>)| {
                    format!("the lag of {} is not known: {}", listed(&names), why.text)
                };
                looked.problems = unknown.into_iter().map(problem).collect();
            }
            Err(e) => {
                looked.until = Some(Instant::now() + REST);
                looked.of = none();
                let names: Vec<String> = open.iter().map(|name| (*name).to_owned()).collect();
                looked.problems = vec![format!("the lag of {} is not known: {e}", listed(&names))];
            }
        }
        let before = self.looked.borrow().clone();
        looked.said = before.said && before.problems == looked.problems;
        self.looked.replace(looked);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_worker_tells_counts_only_if_it_is_all() {
        let told_of = |connector: &str, tasks: &[(&str, Option<u64>)]| {
            let task = |(id, (state, lag)): (usize, &(&str, Option<u64>))| {
                json!({ "id": id, "state": state, "worker_id": "w",
                    "detail": { "records_in": 0, "records_out": 0, "records_bad": 0, "lag": lag } })
            };
            let tasks: Vec<_> = tasks.iter().enumerate().map(task).collect();
            let status = json!({ "name": "a", "type": "sink", "tasks": tasks,
                "connector": { "state": connector, "worker_id": "w" } });
            told(&serde_json::from_value(status).expect("status"))
        };
        assert_eq!(told_of("RUNNING", &[("RUNNING", Some(2)), ("RUNNING", Some(3))]), Some(5));
        for (connector, tasks) in [
            ("RUNNING", &[("RUNNING", Some(0)), ("FAILED", Some(0))][..]),
            ("RUNNING", &[("RUNNING", Some(0)), ("RUNNING", None)]),
            ("RUNNING", &[]),
            ("PAUSED", &[("PAUSED", Some(0))]),
            ("STOPPED", &[]),
        ] {
            assert_eq!(told_of(connector, tasks), None, "{connector} {tasks:?}");
        }
    }

    #[test]
    fn lag_is_what_kafka_has_behind_what_is_committed() {
        let known = |config: serde_json::Value| -> ConnectorInfo {
            let info = json!({ "name": "a", "type": "sink", "tasks": [], "config": config });
            serde_json::from_value(info).expect("info")
        };
        let there = Topics::from([("t".to_owned(), vec![0, 1]), ("u".to_owned(), vec![0])]);
        let place = |topic: &str, partition| TopicPartition { topic: topic.into(), partition };
        let span = |topic: &str, partition, first, end| {
            let partition = place(topic, partition);
            (partition.clone(), Span { partition, first, end })
        };
        let spans = BTreeMap::from([span("t", 0, 10, 30), span("t", 1, 0, 5)]);
        let lag = |config: serde_json::Value, committed: &[(i32, i64)]| {
            let committed = committed.iter().map(|(p, at)| (place("t", *p), *at)).collect();
            Asked::new(Some(&known(config)), Ok(committed), &there).map_or_else(Lag::Unknown, |r| r.lag(&spans))
        };
        let plain = || json!({ "topics": "t, gone" });
        assert_eq!(lag(plain(), &[]), Lag::Records(25), "it starts at the beginning");
        assert_eq!(lag(plain(), &[(0, 29), (1, 5)]), Lag::Records(1));
        assert_eq!(lag(plain(), &[(0, 3), (1, 5)]), Lag::Records(20), "what is deleted is not waited for");
        assert_eq!(lag(plain(), &[(0, 30), (1, 9)]), Lag::Records(5), "the topic was created anew");
        assert_eq!(lag(json!({ "topics.regex": "[t]" }), &[(0, 30)]), Lag::Records(5));
        assert_eq!(lag(json!({ "topics": "gone" }), &[]), Lag::NoTopic);
        let latest = || json!({ "topics": "t", "consumer.override.auto.offset.reset": "latest" });
        assert_eq!(lag(latest(), &[(0, 30), (1, 5)]), Lag::Records(0));
        let text = |lag: Lag| match lag {
            Lag::Unknown(why) => (why.asked, why.text),
            other => panic!("{other:?}"),
        };
        let nothing = "nothing is committed of t:1, and auto.offset.reset is latest";
        assert_eq!(text(lag(latest(), &[(0, 30)])), (false, nothing.into()));
        assert!(text(lag(json!({ "topics": "u" }), &[])).0);
        assert!(!text(lag(json!({ "topics": "${env:T}" }), &[])).0);
        let elsewhere = json!({ "topics": "t", "consumer.override.bootstrap.servers": "other:9092" });
        let another = "it reads another Kafka: consumer.override.bootstrap.servers";
        assert_eq!(text(lag(elsewhere, &[(0, 30), (1, 5)])), (false, another.into()));
        let refused = Asked::new(Some(&known(plain())), Err(Why::failed("no")), &there).err().expect("no");
        assert_eq!(refused, Why::failed("no"));
    }

    #[test]
    fn the_group_of_a_sink_is_its_own_unless_overridden() {
        let info = |config: serde_json::Value| -> ConnectorInfo {
            serde_json::from_value(json!({ "name": "a", "type": "sink", "tasks": [], "config": config })).expect("info")
        };
        assert_eq!(group_of("a", None), "connect-a");
        assert_eq!(group_of("a", Some(&info(json!({ "topics": "t" })))), "connect-a");
        assert_eq!(group_of("a", Some(&info(json!({ "consumer.override.group.id": " g " })))), "g");
    }
}
