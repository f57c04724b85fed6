//! How far sinks are behind.

use indexmap::IndexMap;

use super::{
    super::{
        Context,
        lag::{self, Lag, Why},
    },
    connectors::Known,
    finding::{Check, Finding, Found, Level, Number},
};
use crate::{consent::listed, error::Failure, reading::Reading, shell};

/// A sink, and how far it is behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sink {
    name: String,
    /// PAUSED or STOPPED: somebody wants it to be behind, but perhaps not so far.
    resting: Option<String>,
    lag: Lag,
}

/// All sinks, with what the worker tells by itself.
pub(super) fn told(all: &[Known]) -> Vec<Sink> {
    let sink = |known: &Known| {
        let status = known.status.as_ref();
        let lag = match status.and_then(lag::told) {
            Some(records) => Lag::Records(records),
            None => Lag::Unknown(Why::unasked("Kafka was not asked")),
        };
        let state = status.map(|s| s.connector.state.as_str());
        let resting = state.filter(|s| matches!(*s, "PAUSED" | "STOPPED")).map(str::to_owned);
        Sink { name: known.name.clone(), resting, lag }
    };
    all.iter().filter(|k| k.is_sink()).map(sink).collect()
}

/// Says why nothing more is known than what the worker tells.
pub(super) fn explain(sinks: &mut [Sink], why: &Why) {
    sinks.iter_mut().filter(|s| matches!(s.lag, Lag::Unknown(_))).for_each(|s| s.lag = Lag::Unknown(why.clone()));
}

/// As [`explain`], also of those whose lag the worker tells: without Kafka it tells what was.
pub(super) fn forget(sinks: &mut [Sink], why: &Why) {
    sinks.iter_mut().for_each(|s| s.lag = Lag::Unknown(why.clone()));
}

/// Fills in what a worker does not tell.
pub(super) async fn ask(sinks: &mut [Sink], all: &[Known], context: &Context<'_>) -> Result<(), Failure> {
    let mut open: Vec<&mut Sink> = sinks.iter_mut().filter(|s| matches!(s.lag, Lag::Unknown(_))).collect();
    if open.is_empty() {
        return Ok(());
    }
    let reading = Reading::new(context).await?;
    let info = |name: &str| all.iter().find(|k| k.name == name).and_then(|k| k.info.as_ref());
    let wanted: Vec<_> = open.iter().map(|s| (s.name.as_str(), info(&s.name))).collect();
    let lags = lag::ask(&wanted, &reading.topics().await?, &reading, context).await?;
    for (sink, lag) in open.iter_mut().zip(lags) {
        sink.lag = lag;
    }
    Ok(())
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
        let (name, shell) = (&sink.name, shell::word(&sink.name));
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
        let level = if why.asked { Level::Warn } else { Level::Skipped };
        found.add(Finding { remedy: why.remedy, ..Finding::new(Check::Lag, level, text) }.blind());
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
    fn what_was_told_before_kafka_went_away_is_not_known() {
        let mut sinks = [sink("a", Lag::Records(0)), sink("b", unknown("x"))];
        forget(&mut sinks, &Why::failed("Kafka does not answer"));
        assert_eq!(judged(&sinks), [(Level::Warn, "not known of a, b: Kafka does not answer".into())]);
        assert!(judge(&sinks, 100).numbers.is_empty());
    }

    #[test]
    fn sinks_that_rest_are_told_of_as_such() {
        let status =
            json!({ "name": "a", "type": "sink", "tasks": [], "connector": { "state": "STOPPED", "worker_id": "w" } });
        let status = serde_json::from_value(status).expect("status");
        let sinks = told(&[Known { name: "a".into(), status: Some(status), info: None }]);
        assert_eq!((sinks[0].resting.as_deref(), &sinks[0].lag), (Some("STOPPED"), &unknown("Kafka was not asked")));
    }
}
