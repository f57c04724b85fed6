//! The page that Prometheus reads.

use std::{collections::BTreeMap, sync::Arc};

use connect_api::{Expositions, Family, FamilyKind, Meter, MeterValue, Meters, Series, SeriesValue, TopicPartition};
use connect_rest_model::ConnectorType;

pub use super::text::MEDIA_TYPE;
use super::{
    process::Process,
    table::{
        CLIENT, CONNECTOR, CONNECTOR_TOLD, Counted, ERRORS, LAG, Metric, OWN, PROCESS, PROGRAM, SINK, SOURCE, TASK,
        TASK_TOLD, Told, WORKER, WorkerView,
    },
    text::{Kind, Label, Text, number},
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
    families(&mut text, statuses.expositions());
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

/// A connector's family with its series.
type Shown = (Arc<str>, Family, Vec<Series>);

/// What connectors show by their settings, each family in one piece whoever shows it.
fn families(text: &mut Text, expositions: &Expositions) {
    let mut by_name: BTreeMap<Arc<str>, Vec<Shown>> = BTreeMap::new();
    for (connector, exposition) in expositions.all() {
        for (family, series) in exposition.families().iter().zip(exposition.series()) {
            by_name.entry(family.name.clone()).or_default().push((connector.clone(), family.clone(), series));
        }
    }
    for (name, all) in by_name {
        let first = all.first().map(|(_, family, _)| family.kind);
        // Names of different types were refused, unless a task that was given up still shows one.
        for (connector, family, series) in all.into_iter().filter(|(_, family, _)| Some(family.kind) == first) {
            let kind = match family.kind {
                FamilyKind::Counter => Kind::Counter,
                FamilyKind::Gauge => Kind::Gauge,
                FamilyKind::Histogram => Kind::Histogram,
            };
            for one in series {
                let mut labels: Vec<Label<'_>> = vec![("connector", &connector)];
                labels.extend(one.labels.iter().map(|(label, value)| (&**label, &**value)));
                let head = (&*name, kind, &*family.help);
                match one.value {
                    SeriesValue::Number(value) => text.lines(head, &labels, &[("", value)]),
                    SeriesValue::Histogram { buckets, sum, count } => {
                        for (bound, below) in buckets.into_iter().chain([(f64::INFINITY, count)]) {
                            let bound = number(bound);
                            let labels: Vec<Label<'_>> = labels.iter().copied().chain([("le", &*bound)]).collect();
                            text.lines(head, &labels, &[("_bucket", below as f64)]);
                        }
                        text.lines(head, &labels, &[("_sum", sum), ("_count", count as f64)]);
                    }
                }
            }
        }
    }
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

    struct Shown(Vec<Family>, Vec<Vec<Series>>);

    impl connect_api::Exposition for Shown {
        fn families(&self) -> &[Family] {
            &self.0
        }

        fn series(&self) -> Vec<Vec<Series>> {
            self.1.clone()
        }
    }

    #[test]
    fn families_of_several_connectors_are_in_one_piece_with_buckets_that_add_up() {
        let expositions = Expositions::default();
        let family = |name: &str, kind| Family { name: name.into(), help: "Help.".into(), kind };
        let one = |labels: &[(&str, &str)], value| Series {
            labels: labels.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            value,
        };
        let took = SeriesValue::Histogram { buckets: vec![(0.5, 1), (2.0, 3)], sum: 4.25, count: 4 };
        let join = |connector: &str, families: Vec<Family>, series: Vec<Vec<Series>>| {
            expositions.join(&connector.into(), |_| true, || Shown(families, series)).expect("joined")
        };
        let a = vec![family("took_seconds", FamilyKind::Histogram), family("calls_total", FamilyKind::Counter)];
        let _a = join("a", a, vec![vec![one(&[("to", "x")], took)], vec![one(&[], SeriesValue::Number(3.0))]]);
        let b = vec![family("calls_total", FamilyKind::Counter)];
        let _b = join("b", b, vec![vec![one(&[("to", "x\"y")], SeriesValue::Number(0.5))]]);
        let mut text = Text::default();
        families(&mut text, &expositions);
        let expected = "\
# HELP calls_total Help.
# TYPE calls_total counter
calls_total{connector=\"a\"} 3
calls_total{connector=\"b\",to=\"x\\\"y\"} 0.5
# HELP took_seconds Help.
# TYPE took_seconds histogram
took_seconds_bucket{connector=\"a\",to=\"x\",le=\"0.5\"} 1
took_seconds_bucket{connector=\"a\",to=\"x\",le=\"2\"} 3
took_seconds_bucket{connector=\"a\",to=\"x\",le=\"+Inf\"} 4
took_seconds_sum{connector=\"a\",to=\"x\"} 4.25
took_seconds_count{connector=\"a\",to=\"x\"} 4
";
        assert_eq!(text.finish(), expected);
    }

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
