//! `connectctl metrics`: what a worker counts, as a table.

use indexmap::IndexMap;
use serde::Serialize;

use super::Context;
use crate::{
    error::Failure,
    names::{SomeNames, expand, matching, not_found},
    output::View,
    table::{Column, Table},
    watch::Watch,
};

/// What `metrics` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    names: SomeNames,

    /// Only metrics of this name, pattern or /expression/; may be given several times.
    #[arg(short, long, value_name = "METRIC")]
    metric: Vec<String>,

    /// Only of this task.
    #[arg(long, value_name = "N", add = crate::complete::tasks())]
    task: Option<u32>,

    #[command(flatten)]
    watch: Watch,
}

/// A line of Prometheus's text format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Sample {
    metric: String,
    labels: IndexMap<String, String>,
    value: String,
}

/// Shows the metrics of connectors, or of everything.
pub async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    args.watch.run(context, async || look(args, context).await).await
}

async fn look(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    let page = match context.client.metrics().await {
        Err(Failure::Refused { status: 404, .. }) => {
            let address = context.client.address();
            let text = format!(
                "the worker at {address} has no /metrics; Kafka Connect's own are asked over JMX, and connectctl doctor and \
                 connectctl offsets show tell how far sinks are behind"
            );
            return Err(Failure::Failed(text));
        }
        page => page?,
    };
    let mut samples: Vec<Sample> = page.lines().filter_map(parse).collect();
    if !args.names.names.is_empty() {
        let names = expand(&args.names.names, &context.client).await?;
        let known = context.client.names().await?;
        if let Some(name) = names.iter().find(|name| !known.contains(name)) {
            return Err(Failure::Failed(super::missing(name, &known)));
        }
        samples.retain(|s| s.labels.get("connector").is_some_and(|c| names.contains(c)));
    }
    if let Some(task) = args.task {
        samples.retain(|s| s.labels.get("task").is_some_and(|t| *t == task.to_string()));
    }
    if !args.metric.is_empty() {
        let mut known: Vec<String> = samples.iter().map(|s| s.metric.clone()).collect();
        known.dedup();
        let hint = "connectctl metrics lists them";
        let wanted = matching(&args.metric, &known, "metric", hint).map_err(Failure::Failed)?;
        // Plain names are not looked up there.
        if let Some(name) = wanted.iter().find(|name| !known.contains(name)) {
            return Err(Failure::Failed(not_found("metric", name, &known, hint)));
        }
        samples.retain(|s| wanted.contains(&s.metric));
    }
    let names = || samples.iter().map(|s| s.metric.clone()).collect::<indexmap::IndexSet<_>>().into_iter().collect();
    context.output.result(&samples, names, |view| table(&samples, view))
}

/// Labels tell samples apart. Where there is no room for them beside the values they stand below.
fn table(samples: &[Sample], view: View) -> String {
    let beside = rows(samples, true);
    if beside.fits(view.width) { beside.render(None) } else { rows(samples, false).render(view.width) }
}

fn rows(samples: &[Sample], labels_beside: bool) -> Table {
    let mut columns = vec![Column::text("METRIC").whole(), Column::text("CONNECTOR").whole(), Column::number("VALUE")];
    if labels_beside {
        columns.push(Column::text("LABELS"));
    }
    let mut table = Table::new(columns);
    for s in samples {
        let connector = s.labels.get("connector").cloned().unwrap_or_default();
        let task = s.labels.get("task").map(|t| format!("/{t}")).unwrap_or_default();
        let others = s.labels.iter().filter(|(key, _)| !matches!(key.as_str(), "connector" | "task"));
        let others: Vec<String> = others.map(|(key, value)| format!("{key}={value}")).collect();
        let others = others.join(" ");
        let cells = [s.metric.clone(), format!("{connector}{task}"), s.value.clone()];
        if labels_beside {
            table.row(cells.into_iter().chain([others]));
        } else {
            table.row(cells);
            if !others.is_empty() {
                table.note(4, others);
            }
        }
    }
    table
}

/// A line that is no comment: `name{label="value",…} value`.
fn parse(line: &str) -> Option<Sample> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let Some((metric, rest)) = line.split_once('{') else {
        let (metric, value) = line.split_once(' ')?;
        return Some(Sample { metric: metric.to_owned(), labels: IndexMap::new(), value: value.trim().to_owned() });
    };
    let mut labels = IndexMap::new();
    let mut rest = rest;
    while !rest.starts_with('}') {
        let (key, value) = rest.split_once("=\"")?;
        let mut text = String::new();
        let mut chars = value.char_indices();
        let end = loop {
            match chars.next()? {
                (at, '"') => break at,
                (_, '\\') => match chars.next()?.1 {
                    'n' => text.push('\n'),
                    c => text.push(c),
                },
                (_, c) => text.push(c),
            }
        };
        labels.insert(key.to_owned(), text);
        rest = value[end + 1..].trim_start_matches(',');
    }
    Some(Sample { metric: metric.to_owned(), labels, value: rest[1..].trim().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_prometheus_are_read() {
        let sample = parse(r#"a_total{connector="c",x="q\"\\\n}",} 1.5e3"#).expect("sample");
        assert_eq!((sample.metric.as_str(), sample.value.as_str()), ("a_total", "1.5e3"));
        assert_eq!(sample.labels["x"], "q\"\\\n}");
        assert_eq!(parse("up 1").map(|s| s.value).as_deref(), Some("1"));
        for none in ["# HELP a b", "", "a{b", "a{b=\"c"] {
            assert_eq!(parse(none), None, "{none}");
        }
    }
}
