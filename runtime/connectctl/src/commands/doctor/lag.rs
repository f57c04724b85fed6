//! How far sinks are behind.

use std::collections::BTreeMap;

use connect_api::TopicPartition;
use connect_kafka::Span;
use connect_rest_model::{ConnectorInfo, ConnectorOffset, ConnectorOffsets};
use futures_util::future::join_all;
use indexmap::IndexMap;

use super::{
    super::Context,
    connectors::Known,
    finding::{Check, Finding, Found, Level, Number},
};
use crate::{
    commands::{offsets::kafka::partition, status::advice::shell_word},
    consent::listed,
    error::Failure,
    reading::{Reading, Topics},
};

/// A sink, and how far it is behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sink {
    name: String,
    /// PAUSED or STOPPED: somebody wants it to be behind, but perhaps not so far.
    resting: Option<String>,
    lag: Lag,
}

/// How far a sink is behind.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Lag {
    /// So many records that it has not written.
    Records(u64),
    /// It has nothing to write: none of its topics exists.
    NoTopic,
    Unknown(Why),
}

/// Why it is not known how far a sink is behind.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Why {
    pub(super) level: Level,
    pub(super) text: String,
    pub(super) remedy: Option<String>,
}

impl Why {
    /// Nobody was asked who would know.
    pub(super) fn unasked(text: impl Into<String>) -> Self {
        Self { level: Level::Skipped, text: text.into(), remedy: None }
    }

    /// Who was asked did not say.
    pub(super) fn failed(text: impl Into<String>) -> Self {
        Self { level: Level::Warn, ..Self::unasked(text) }
    }
}

/// All sinks, with what the worker tells by itself: that is all only where every task of the sink runs and tells.
pub(super) fn told(all: &[Known]) -> Vec<Sink> {
    let sink = |known: &Known| {
        let status = known.status.as_ref();
        let state = status.map(|s| s.connector.state.as_str());
        let tasks = status.filter(|_| state == Some("RUNNING")).map_or(&[][..], |s| &s.tasks);
        let lag = |task: &connect_rest_model::TaskState| task.detail.as_ref()?.lag.filter(|_| task.state == "RUNNING");
        let sum: Option<u64> = tasks.iter().map(lag).sum();
        let lag = match sum.filter(|_| !tasks.is_empty()) {
            Some(records) => Lag::Records(records),
            None => Lag::Unknown(Why::unasked("Kafka was not asked")),
        };
        let resting = state.filter(|s| matches!(*s, "PAUSED" | "STOPPED")).map(str::to_owned);
        Sink { name: known.name.clone(), resting, lag }
    };
    all.iter().filter(|k| k.is_sink()).map(sink).collect()
}

/// Says why nothing more is known than what the worker tells.
pub(super) fn explain(sinks: &mut [Sink], why: &Why) {
    sinks.iter_mut().filter(|s| matches!(s.lag, Lag::Unknown(_))).for_each(|s| s.lag = Lag::Unknown(why.clone()));
}

/// Fills in what a worker does not tell: from the offsets that groups have committed to the ends of the partitions that
/// sinks read.
pub(super) async fn ask(sinks: &mut [Sink], all: &[Known], context: &Context<'_>) -> Result<(), Failure> {
    /// So many connectors are asked for at once.
    const AT_ONCE: usize = 8;
    let mut open: Vec<&mut Sink> = sinks.iter_mut().filter(|s| matches!(s.lag, Lag::Unknown(_))).collect();
    if open.is_empty() {
        return Ok(());
    }
    let reading = Reading::new(context).await?;
    let there = reading.topics().await?;
    let mut offsets = Vec::with_capacity(open.len());
    for some in open.chunks(AT_ONCE) {
        offsets.extend(join_all(some.iter().map(|s| context.client.offsets(&s.name))).await);
    }
    let asked: Vec<Result<Asked<'_>, Why>> =
        open.iter().zip(offsets).map(|(sink, offsets)| Asked::new(&sink.name, offsets, all, &there)).collect();
    let mut partitions: Vec<TopicPartition> =
        asked.iter().flatten().flat_map(|r| r.partitions.iter().cloned()).collect();
    partitions.sort();
    partitions.dedup();
    let spans = reading.known_spans(&partitions).await?.into_iter().flatten();
    let spans: BTreeMap<TopicPartition, Span> = spans.map(|s| (s.partition.clone(), s)).collect();
    for (sink, reading) in open.iter_mut().zip(asked) {
        sink.lag = reading.map_or_else(Lag::Unknown, |r| r.lag(&spans));
    }
    Ok(())
}

/// What a sink reads, and where it is.
struct Asked<'a> {
    info: &'a ConnectorInfo,
    partitions: Vec<TopicPartition>,
    committed: BTreeMap<TopicPartition, i64>,
}

impl<'a> Asked<'a> {
    fn new(
        name: &str,
        offsets: Result<ConnectorOffsets, Failure>,
        all: &'a [Known],
        there: &Topics,
    ) -> Result<Self, Why> {
        let offsets = offsets.map_err(|e| Why::failed(format!("the worker does not tell its offsets: {e}")))?;
        let info = all.iter().find(|k| k.name == name).and_then(|k| k.info.as_ref());
        let info = info.ok_or_else(|| Why::failed("the worker does not tell its settings"))?;
        if ["topics", "topics.regex"].iter().any(|key| info.config.get(*key).is_some_and(|v| v.contains("${"))) {
            return Err(Why::unasked("what its topics are, only the worker knows"));
        }
        let partitions = Reading::read_by(info, there);
        let partitions = partitions.ok_or_else(|| Why::unasked("its topics.regex cannot be evaluated here"))?;
        let at = |one: &ConnectorOffset| {
            let offset = one.offset.as_ref()?.get("kafka_offset")?.as_i64()?;
            Some((partition(one)?, offset))
        };
        Ok(Self { info, partitions, committed: offsets.offsets.iter().filter_map(at).collect() })
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

/// Judges it; more than `most` records are a warning.
pub(super) fn judge(sinks: &[Sink], most: u64) -> Found {
    let mut found = Found::default();
    let mut known: Vec<(&Sink, u64)> = Vec::new();
    let mut unknown: IndexMap<Why, Vec<String>> = IndexMap::new();
    let mut sum_is_known = true;
    for sink in sinks {
        let why = match &sink.lag {
            Lag::Records(records) => {
                known.push((sink, *records));
                continue;
            }
            Lag::NoTopic => Why::unasked("there is no topic in Kafka that it reads"),
            Lag::Unknown(why) => {
                sum_is_known = false;
                why.clone()
            }
        };
        unknown.entry(why).or_default().push(sink.name.clone());
    }
    known.sort_by_key(|(_, lag)| std::cmp::Reverse(*lag));
    // A graph of some of them would be taken for one of all.
    if sum_is_known && !known.is_empty() {
        #[expect(clippy::cast_precision_loss, reason = "a graph is drawn")]
        let (sum, most) = (known.iter().map(|(_, n)| *n).sum::<u64>() as f64, most as f64);
        found.number(Check::Lag, "lag", Number { value: sum, ..Number::default() }.warn(most));
    }
    for (sink, lag) in known.iter().filter(|(_, lag)| *lag > most) {
        let (name, shell) = (&sink.name, shell_word(&sink.name));
        found.add(match &sink.resting {
            Some(state) => Finding::new(Check::Lag, Level::Warn, format!("{name} is {lag} records behind, and {state}"))
                .remedy(format!("connectctl resume {shell} lets it run again, before Kafka deletes what it has not read")),
            None => Finding::new(Check::Lag, Level::Warn, format!("{name} is {lag} records behind")).remedy(format!(
                "connectctl status {shell} shows what it does; more tasks (tasks.max) help where its topics have more partitions"
            )),
        });
    }
    if found.findings.is_empty() {
        match known.as_slice() {
            [] if sinks.is_empty() => found.add(Finding::skipped(Check::Lag, "there are no sinks")),
            [] => {}
            [(sink, 0), rest @ ..] => {
                let who = match rest.len() + 1 {
                    1 => format!("{} has", sink.name),
                    n if n == sinks.len() => "all sinks have".into(),
                    n => format!("{n} of {} sinks have", sinks.len()),
                };
                found.add(Finding::ok(Check::Lag, format!("{who} written everything")));
            }
            [(sink, lag), ..] => {
                found.add(Finding::ok(Check::Lag, format!("at most {lag} records behind: {}", sink.name)));
            }
        }
    }
    for (why, names) in unknown {
        let text = format!("not known of {}: {}", listed(&names), why.text);
        found.add(Finding { remedy: why.remedy, ..Finding::new(Check::Lag, why.level, text) }.blind());
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sink(name: &str, lag: Lag) -> Sink {
        Sink { name: name.into(), resting: None, lag }
    }

    fn judged(sinks: &[Sink]) -> Vec<(Level, String)> {
        judge(sinks, 100).findings.into_iter().map(|f| (f.level, f.text)).collect()
    }

    fn unknown(why: &str) -> Lag {
        Lag::Unknown(Why::unasked(why))
    }

    #[test]
    fn only_sinks_that_are_far_behind_are_warned_of() {
        use Lag::Records;
        let of = |sinks: &[(&str, u64)]| judged(&sinks.iter().map(|(n, l)| sink(n, Records(*l))).collect::<Vec<_>>());
        assert_eq!(of(&[("a", 101), ("b", 3)]), [(Level::Warn, "a is 101 records behind".into())]);
        assert_eq!(of(&[("a", 2), ("b", 3)]), [(Level::Ok, "at most 3 records behind: b".into())]);
        assert_eq!(of(&[("a", 0)]), [(Level::Ok, "a has written everything".into())]);
        assert_eq!(of(&[("a", 0), ("b", 0)]), [(Level::Ok, "all sinks have written everything".into())]);
        assert_eq!(of(&[]), [(Level::Skipped, "there are no sinks".into())]);
        let resting = Sink { resting: Some("STOPPED".into()), ..sink("a", Records(101)) };
        assert_eq!(judged(&[resting]), [(Level::Warn, "a is 101 records behind, and STOPPED".into())]);
    }

    #[test]
    fn sinks_of_which_nothing_is_known_are_named_and_not_counted() {
        let mut sinks = [
            sink("a", Lag::Records(0)),
            sink("b", unknown("x")),
            sink("c", Lag::Records(0)),
            sink("d", Lag::NoTopic),
            sink("e", unknown("x")),
        ];
        assert_eq!(
            judged(&sinks),
            [
                (Level::Ok, "2 of 5 sinks have written everything".into()),
                (Level::Skipped, "not known of b, e: x".into()),
                (Level::Skipped, "not known of d: there is no topic in Kafka that it reads".into()),
            ]
        );
        assert!(judge(&sinks, 100).numbers.is_empty(), "some are not all");
        explain(&mut sinks, &Why::failed("y"));
        assert_eq!(judged(&sinks)[1], (Level::Warn, "not known of b, e: y".into()));
        assert_eq!(judged(&[sink("a", unknown("x"))]), [(Level::Skipped, "not known of a: x".into())]);
    }

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
            let status = serde_json::from_value(status).expect("status");
            told(&[Known { name: "a".into(), status: Some(status), info: None }]).remove(0)
        };
        assert_eq!(told_of("RUNNING", &[("RUNNING", Some(2)), ("RUNNING", Some(3))]).lag, Lag::Records(5));
        for (connector, tasks) in [
            ("RUNNING", &[("RUNNING", Some(0)), ("FAILED", Some(0))][..]),
            ("RUNNING", &[("RUNNING", Some(0)), ("RUNNING", None)]),
            ("RUNNING", &[]),
            ("PAUSED", &[("PAUSED", Some(0))]),
            ("STOPPED", &[]),
        ] {
            assert!(matches!(told_of(connector, tasks).lag, Lag::Unknown(_)), "{connector} {tasks:?}");
        }
        assert_eq!(told_of("STOPPED", &[]).resting.as_deref(), Some("STOPPED"));
    }

    #[test]
    fn lag_is_what_kafka_has_behind_what_is_committed() {
        let known = |config: serde_json::Value| {
            let info = json!({ "name": "a", "type": "sink", "tasks": [], "config": config });
            [Known { name: "a".into(), status: None, info: Some(serde_json::from_value(info).expect("info")) }]
        };
        let there = Topics::from([("t".to_owned(), vec![0, 1]), ("u".to_owned(), vec![0])]);
        let span = |topic: &str, partition, first, end| {
            let partition = TopicPartition { topic: topic.into(), partition };
            (partition.clone(), Span { partition, first, end })
        };
        let spans = BTreeMap::from([span("t", 0, 10, 30), span("t", 1, 0, 5)]);
        let lag = |config: serde_json::Value, committed: &[(i32, i64)]| {
            let entry = |(p, at): &(i32, i64)| json!({ "partition": { "kafka_topic": "t", "kafka_partition": p }, "offset": { "kafka_offset": at } });
            let offsets = json!({ "offsets": committed.iter().map(entry).collect::<Vec<_>>() });
            let offsets = serde_json::from_value(offsets).expect("offsets");
            let all = known(config);
            Asked::new("a", Ok(offsets), &all, &there).map_or_else(Lag::Unknown, |r| r.lag(&spans))
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
            Lag::Unknown(why) => (why.level, why.text),
            other => panic!("{other:?}"),
        };
        let nothing = "nothing is committed of t:1, and auto.offset.reset is latest";
        assert_eq!(text(lag(latest(), &[(0, 30)])), (Level::Skipped, nothing.into()));
        assert_eq!(text(lag(json!({ "topics": "u" }), &[])).0, Level::Warn);
        assert_eq!(text(lag(json!({ "topics": "${env:T}" }), &[])).0, Level::Skipped);
        let refused = Asked::new("a", Err(Failure::Failed("no".into())), &known(plain()), &there).err().expect("no");
        assert_eq!(refused, Why::failed("the worker does not tell its offsets: no"));
    }
}
