//! The page that Prometheus reads.

use std::collections::BTreeMap;

use connect_api::{Meter, MeterValue, Meters, TopicPartition};
use connect_rest_model::ConnectorType;

pub use super::text::MEDIA_TYPE;
use super::{
    process::Process,
    table::{
        CLIENT, CONNECTOR, CONNECTOR_TOLD, Counted, ERRORS, LAG, Metric, OWN, PROCESS, PROGRAM, SINK, SOURCE, TASK,
        TASK_TOLD, Told, WORKER, WorkerView,
    },
    text::{Kind, Label, Text},
};
use crate::status::{ConnectorView, Statuses};

/// The page, of the worker with this version of the API and this build.
pub fn page(statuses: &Statuses, version: &str, build: &str) -> String {
    let all = statuses.view();
    let worker = WorkerView {
        connectors: all.len(),
        tasks: all.iter().map(|c| c.tasks.len()).sum(),
        connector_starts: statuses.startups().connectors.seen(),
        task_starts: statuses.startups().tasks.seen(),
    };
    let tasks: Vec<Counted> = all.iter().flat_map(counted).collect();
    let of = |kind: ConnectorType| tasks.iter().filter(move |t| t.kind == kind);
    let process = Process::look();
    let mut text = Text::default();
    program(&mut text, statuses.worker_id(), [version, build], process.started);
    let none = |_: &_| Vec::new();
    values(&mut text, WORKER, [&worker], none);
    told(&mut text, CONNECTOR_TOLD, &all, |c| vec![("connector", c.name.clone())]);
    values(&mut text, CONNECTOR, &all, |c| vec![("connector", c.name.clone())]);
    told(&mut text, TASK_TOLD, &tasks, place);
    values(&mut text, TASK, &tasks, place);
    values(&mut text, SOURCE, of(ConnectorType::Source), place);
    values(&mut text, SINK, of(ConnectorType::Sink), place);
    values(&mut text, ERRORS, &tasks, place);
    values(&mut text, CLIENT, &tasks, |t| vec![("clientid", client(t))]);
    lags(&mut text, of(ConnectorType::Sink));
    values(&mut text, OWN, &tasks, place);
    meters(&mut text, tasks.iter().map(|t| (place(t), t.task.status.meters())));
    values(&mut text, PROCESS, [&process], |_| Vec::new());
    text.finish()
}

fn counted(connector: &ConnectorView) -> impl Iterator<Item = Counted> {
    connector.tasks.iter().map(|task| Counted {
        connector: connector.name.clone(),
        kind: connector.kind,
        task: task.clone(),
        numbers: task.status.counts().numbers(),
        recent: task.status.recent(),
    })
}

type Owned = Vec<(&'static str, String)>;

fn place(t: &Counted) -> Owned {
    vec![("connector", t.connector.clone()), ("task", t.task.id.to_string())]
}

/// The id of a task's client, unless the connector's settings give it another.
fn client(t: &Counted) -> String {
    let role = if t.kind == ConnectorType::Source { "producer" } else { "consumer" };
    format!("connector-{role}-{}-{}", t.connector, t.task.id)
}

fn borrowed(labels: &Owned) -> Vec<Label<'_>> {
    labels.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

fn values<'a, T: 'a>(
    text: &mut Text,
    metrics: &[Metric<T>],
    of: impl IntoIterator<Item = &'a T>,
    labels: impl Fn(&T) -> Owned,
) {
    let of: Vec<(&T, Owned)> = of.into_iter().map(|one| (one, labels(one))).collect();
    for m in metrics {
        let values = of.iter().filter_map(|(one, labels)| Some((borrowed(labels), (m.value)(one)?)));
        text.family((m.name, m.kind, m.about), values);
    }
}

fn told<'a, T: 'a>(
    text: &mut Text,
    metrics: &[Told<T>],
    of: impl IntoIterator<Item = &'a T>,
    labels: impl Fn(&T) -> Owned,
) {
    let of: Vec<&T> = of.into_iter().collect();
    for m in metrics {
        let labels: Vec<Owned> = of
            .iter()
            .map(|one| {
                let mut all = labels(one);
                all.push((m.label, (m.value)(one)));
                all
            })
            .collect();
        text.family((m.name, Kind::Gauge, m.about), labels.iter().map(|l| (borrowed(l), 1.0)));
    }
}

fn lags<'a>(text: &mut Text, tasks: impl Iterator<Item = &'a Counted>) {
    let one = |t: &Counted, (p, lag): (TopicPartition, u64)| {
        let labels =
            vec![("clientid", client(t)), ("topic", p.topic.to_string()), ("partition", p.partition.to_string())];
        (labels, lag as f64)
    };
    let all: Vec<(Owned, f64)> =
        tasks.flat_map(|t| t.task.status.lags().into_iter().map(move |lag| one(t, lag))).collect();
    text.family((LAG.0, Kind::Gauge, LAG.1), all.iter().map(|(labels, lag)| (borrowed(labels), *lag)));
}

/// What connectors and transforms count themselves. What has a name of the worker's, or another type than what had the
/// name first, is left out: Prometheus would refuse the page.
fn meters<'a>(text: &mut Text, tasks: impl IntoIterator<Item = (Owned, &'a Meters)>) {
    let mut by_name: BTreeMap<&'static str, Vec<(Owned, Meter)>> = BTreeMap::new();
    for (place, meters) in tasks {
        for meter in meters.all() {
            let labels = place.clone().into_iter().chain(meter.labels.iter().cloned()).collect();
            by_name.entry(meter.name).or_default().push((labels, meter));
        }
    }
    by_name.retain(|name, _| !text.has(name));
    for (name, all) in by_name {
        let mut first = None;
        for (labels, meter) in all {
            let (kind, values) = read(&meter.value);
            if *first.get_or_insert(kind) == kind {
                text.lines((name, kind, meter.help), &borrowed(&labels), &values);
            }
        }
    }
}

fn read(value: &MeterValue) -> (Kind, Vec<(&'static str, f64)>) {
    match value {
        MeterValue::Counter(counter) => (Kind::Counter, vec![("", counter.value() as f64)]),
        MeterValue::Gauge(gauge) => (Kind::Gauge, vec![("", gauge.value())]),
        MeterValue::Summary(summary) => {
            let (count, sum) = summary.value();
            (Kind::Summary, vec![("_sum", sum), ("_count", count as f64)])
        }
    }
}

fn program(text: &mut Text, worker: &str, told: [&str; 2], started: Option<f64>) {
    for ((name, about, label), value) in PROGRAM.into_iter().zip(told.map(Some).into_iter().chain([None])) {
        let mut labels = vec![("clientid", worker)];
        match value {
            Some(value) => {
                labels.push((label, value));
                text.family((name, Kind::Gauge, about), [(labels, 1.0)]);
            }
            None => text.family((name, Kind::Gauge, about), started.map(|at| (labels, at))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meters_of_all_tasks_are_one_family_each() {
        let (a, b) = (connect_api::Meters::default(), connect_api::Meters::default());
        a.counter("sent_total", "Sent.", &[("to", "x")]).add(2);
        a.summary("took_seconds", "Took.", &[]).observe(0.5);
        b.counter("sent_total", "Sent.", &[("to", "y")]).add(3);
        b.gauge("took_seconds", "Of another type.", &[]).set(1.0);
        b.gauge("process_open_fds", "A name of the worker's.", &[]).set(1.0);
        let mut text = Text::default();
        text.family(("process_open_fds", Kind::Gauge, "Files."), [(vec![], 9.0)]);
        meters(&mut text, [("a", &a), ("b", &b)].map(|(c, all)| (vec![("connector", c.to_owned())], all)));
        let expected = "\
# HELP process_open_fds Files.
# TYPE process_open_fds gauge
process_open_fds 9
# HELP sent_total Sent.
# TYPE sent_total counter
sent_total{connector=\"a\",to=\"x\"} 2
sent_total{connector=\"b\",to=\"y\"} 3
# HELP took_seconds Took.
# TYPE took_seconds summary
took_seconds_sum{connector=\"a\"} 0.5
took_seconds_count{connector=\"a\"} 1
";
        assert_eq!(text.finish(), expected);
    }
}
