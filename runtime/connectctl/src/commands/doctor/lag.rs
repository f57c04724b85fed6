//! How far sinks are behind.

use connect_api::TopicPartition;
use connect_kafka::{Positions, Role};

use super::{
    super::Context,
    connectors::Known,
    finding::{Check, Finding, Found, Level, Number},
};
use crate::{commands::offsets::kafka::partition, commands::status::advice::shell_word, error::Failure};

/// A sink and how many records it has not written; none where nobody knows.
pub(super) type Behind = (String, Option<u64>);

/// What the worker tells by itself.
pub(super) fn told(all: &[Known]) -> Vec<Behind> {
    let lag = |known: &Known| {
        let tasks = known.status.iter().flat_map(|s| &s.tasks);
        let lags: Vec<u64> = tasks.filter_map(|t| t.detail.as_ref()?.lag).collect();
        (!lags.is_empty()).then(|| lags.iter().sum())
    };
    all.iter().filter(|k| k.is_running_sink()).map(|k| (k.name.clone(), lag(k))).collect()
}

/// Fills in what a worker does not tell: from the offsets that groups have committed to the ends of partitions.
pub(super) async fn ask(sinks: &mut [Behind], context: &Context<'_>) -> Result<(), Failure> {
    if sinks.iter().all(|(_, lag)| lag.is_some()) {
        return Ok(());
    }
    let kafka = context.kafka().await?;
    let positions = Positions::new(&kafka.client(Role::Consumer)?)?;
    for (name, lag) in sinks.iter_mut().filter(|(_, lag)| lag.is_none()) {
        let Ok(found) = context.client.offsets(name).await else { continue };
        let at = |one: &connect_rest_model::ConnectorOffset| {
            let offset = one.offset.as_ref()?.get("kafka_offset")?.as_i64()?;
            Some((partition(one)?, offset))
        };
        let all: Vec<(TopicPartition, i64)> = found.offsets.iter().filter_map(at).collect();
        let partitions: Vec<TopicPartition> = all.iter().map(|(p, _)| p.clone()).collect();
        let ends = positions.spans(&partitions, context.timeout).await.map_err(|e| kafka.failure(e))?;
        let behind = ends.iter().zip(&all).map(|(span, (_, offset))| u64::try_from(span.end - offset).unwrap_or(0));
        if !all.is_empty() {
            *lag = Some(behind.sum());
        }
    }
    Ok(())
}

/// Judges it; more than `most` records are a warning.
pub(super) fn judge(sinks: &[Behind], most: u64) -> Found {
    let mut found = Found::default();
    let mut known: Vec<(&str, u64)> = sinks.iter().filter_map(|(name, lag)| Some((name.as_str(), (*lag)?))).collect();
    known.sort_by_key(|(_, lag)| std::cmp::Reverse(*lag));
    #[expect(clippy::cast_precision_loss, reason = "a graph is drawn")]
    let number = Number { value: known.iter().map(|(_, n)| *n).sum::<u64>() as f64, ..Number::default() };
    #[expect(clippy::cast_precision_loss, reason = "a graph is drawn")]
    let most_drawn = most as f64;
    if !known.is_empty() {
        found.number(Check::Lag, "lag", number.warn(most_drawn));
    }
    for (name, lag) in known.iter().filter(|(_, lag)| *lag > most) {
        let text = format!("{name} is {lag} records behind");
        let shell = shell_word(name);
        found.add(Finding::new(Check::Lag, Level::Warn, text).remedy(format!(
            "connectctl status {shell} shows what it does; more tasks (tasks.max) help where its topics have more partitions"
        )));
    }
    if found.findings.is_empty() {
        found.add(match (known.first(), sinks) {
            (Some((name, 0)), _) => {
                let and = if known.len() == 1 { format!("{name} has") } else { "all sinks have".into() };
                Finding::ok(Check::Lag, format!("{and} written everything"))
            }
            (Some((name, lag)), _) => Finding::ok(Check::Lag, format!("at most {lag} records behind: {name}")),
            (None, []) => Finding::skipped(Check::Lag, "no sink is running"),
            (None, _) => Finding::skipped(Check::Lag, "not known: no sink has committed anything yet"),
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(sinks: &[(&str, Option<u64>)]) -> (Level, String) {
        let sinks: Vec<Behind> = sinks.iter().map(|(n, lag)| ((*n).to_owned(), *lag)).collect();
        let found = judge(&sinks, 100);
        (found.findings[0].level, found.findings[0].text.clone())
    }

    #[test]
    fn only_sinks_that_are_far_behind_are_warned_of() {
        assert_eq!(told(&[("a", Some(101)), ("b", Some(3))]), (Level::Warn, "a is 101 records behind".into()));
        assert_eq!(told(&[("a", Some(2)), ("b", Some(3))]), (Level::Ok, "at most 3 records behind: b".into()));
        assert_eq!(told(&[("a", Some(0))]), (Level::Ok, "a has written everything".into()));
        assert_eq!(told(&[]).0, Level::Skipped);
        assert_eq!(told(&[("a", None)]).1, "not known: no sink has committed anything yet");
    }
}
