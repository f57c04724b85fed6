//! `connectctl top`: which connectors do most, again and again.

use std::{cmp::Reverse, io::IsTerminal, time::Duration};

use connect_api::time;
use connect_rest_model::{ConnectorInfo, ConnectorStatus, ConnectorType};
use indexmap::IndexMap;
use serde::Serialize;

use super::{Context, lag::Lags, status::overview::rate, task_count};
use crate::{
    error::Failure,
    fail_on::FailOn,
    names::{SomeNames, expand},
    output::View,
    table::{Column, Table},
    watch::Watch,
};

/// What `top` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    names: SomeNames,

    /// What comes first.
    #[arg(long, value_enum, value_name = "COLUMN", default_value_t = Sort::Rate)]
    sort: Sort,

    /// Only so many.
    #[arg(short = 'n', long, value_name = "N")]
    count: Option<usize>,

    /// Look once. Where the output is no terminal that is so without it.
    #[arg(long)]
    once: bool,

    #[command(flatten)]
    fail_on: FailOn,
    #[command(flatten)]
    watch: Watch,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Sort {
    /// Most records a second.
    Rate,
    /// Most records behind; then sinks whose lag is not known, then those that have written everything, then sources.
    Lag,
    /// Most bad records.
    Bad,
    /// Most records since the tasks started.
    Records,
    /// Longest without a record.
    Last,
    /// Failed first, then what is not running.
    State,
    /// By name.
    Name,
}

/// A connector and what its tasks do together.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Row {
    name: String,
    #[serde(rename = "type")]
    kind: ConnectorType,
    state: String,
    tasks: String,
    // Null each where no task tells, as those of Kafka Connect's own workers.
    rate_in: Option<f64>,
    rate_out: Option<f64>,
    /// Null where it is not known, of sources always.
    lag: Option<u64>,
    records_out: Option<u64>,
    records_bad: Option<u64>,
    last_record: Option<String>,
}

impl Row {
    fn new(status: &ConnectorStatus, lag: Option<u64>) -> Self {
        let details = || status.tasks.iter().filter_map(|t| t.detail.as_ref());
        let failed = status.connector.state == "RUNNING" && status.tasks.iter().any(|t| t.state == "FAILED");
        Self {
            name: status.name.clone(),
            kind: status.kind,
            state: if failed { "FAILED".into() } else { status.connector.state.clone() },
            tasks: task_count(status),
            rate_in: details().map(|d| d.rate_in).reduce(|a, b| a + b),
            rate_out: details().map(|d| d.rate_out).reduce(|a, b| a + b),
            lag,
            records_out: details().map(|d| d.records_out).reduce(|a, b| a + b),
            records_bad: details().map(|d| d.records_bad).reduce(|a, b| a + b),
            last_record: details().filter_map(|d| d.last_record.clone()).max(),
        }
    }
}

impl Row {
    fn rate(&self) -> f64 {
        let known = |rate: Option<f64>| rate.unwrap_or(-1.0);
        known(self.rate_in).max(known(self.rate_out))
    }

    /// What is not known may be much, so that it stands before what is nothing.
    fn behind(&self) -> (u8, Reverse<u64>) {
        let rank = match (self.lag, self.kind) {
            (Some(0), _) => 2,
            (Some(_), _) => 0,
            (None, ConnectorType::Source) => 3,
            (None, _) => 1,
        };
        (rank, Reverse(self.lag.unwrap_or_default()))
    }
}

/// Shows all connectors, sorted, every two seconds.
pub async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    let mut watch = args.watch;
    if args.once {
        watch.watch = None;
    } else if watch.watch.is_none() && std::io::stdout().is_terminal() && context.output.is_table() {
        watch.watch = Some(Duration::from_secs(2));
    }
    let lags = Lags::default();
    watch.run(context, async || look(args, &lags, context).await).await
}

async fn look(args: &Args, lags: &Lags, context: &Context<'_>) -> Result<(), Failure> {
    let mut all = context.client.expanded().await?;
    if !args.names.names.is_empty() {
        let names = expand(&args.names.names, &context.client).await?;
        if let Some(name) = names.iter().find(|name| !all.contains_key(*name)) {
            return Err(Failure::Failed(super::missing(name, &context.client.names().await?)));
        }
        all.retain(|name, _| names.contains(name));
    }
    let mut infos: IndexMap<String, ConnectorInfo> = IndexMap::new();
    let mut statuses: Vec<ConnectorStatus> = Vec::new();
    for (name, found) in all {
        infos.extend(found.info.map(|info| (name, info)));
        statuses.extend(found.status);
    }
    let known = lags.of(&statuses, &infos, context).await;
    let mut rows: Vec<Row> = statuses.iter().map(|s| Row::new(s, known.get(&s.name).copied())).collect();
    sort(&mut rows, args.sort);
    rows.truncate(args.count.unwrap_or(usize::MAX));
    let names = || rows.iter().map(|r| r.name.clone()).collect();
    context.output.result(&rows, names, |view| table(&rows, time::now_ms(), view))?;
    lags.explain(context);
    args.fail_on.judge(&statuses)
}

/// What is equal stays in the order of names.
fn sort(rows: &mut [Row], by: Sort) {
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    let urgency = |row: &Row| match row.state.as_str() {
        "FAILED" => 0,
        "RUNNING" => 2,
        _ => 1,
    };
    match by {
        Sort::Rate => rows.sort_by(|a, b| b.rate().total_cmp(&a.rate())),
        Sort::Lag => rows.sort_by_key(Row::behind),
        Sort::Bad => rows.sort_by_key(|row| Reverse(row.records_bad)),
        Sort::Records => rows.sort_by_key(|row| Reverse(row.records_out)),
        Sort::Last => rows.sort_by(|a, b| a.last_record.cmp(&b.last_record)),
        Sort::State => rows.sort_by_key(urgency),
        Sort::Name => {}
    }
}

fn table(rows: &[Row], now: i64, view: View) -> String {
    let mut table = Table::new([
        Column::text("NAME"),
        Column::text("STATE"),
        Column::text("TASKS"),
        Column::number("IN/S"),
        Column::number("OUT/S"),
        Column::number("LAG"),
        Column::number("OUT").optional(),
        Column::number("BAD").optional(),
        Column::number("LAST").optional(),
    ]);
    let dash = || "-".to_owned();
    let number = |n: Option<u64>| n.map_or_else(dash, |n| n.to_string());
    for row in rows {
        table.row([
            row.name.clone(),
            row.state.clone(),
            row.tasks.clone(),
            row.rate_in.map_or_else(dash, rate),
            row.rate_out.map_or_else(dash, rate),
            number(row.lag),
            number(row.records_out),
            number(row.records_bad),
            row.last_record.as_deref().map_or_else(dash, |t| super::status::age(t, now)),
        ]);
    }
    table.render(view.width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paint::resolve;

    fn rows() -> Vec<Row> {
        let row = |name: &str, state: &str, rate_out: f64, lag: Option<u64>, bad: u64, last: Option<&str>| Row {
            name: name.into(),
            kind: ConnectorType::Sink,
            state: state.into(),
            tasks: "1/1".into(),
            rate_in: Some(rate_out),
            rate_out: Some(rate_out),
            lag,
            records_out: Some(10),
            records_bad: Some(bad),
            last_record: last.map(str::to_owned),
        };
        vec![
            row("c", "RUNNING", 1.0, Some(5), 0, Some("2026-11-21T11:59:57Z")),
            row("b", "FAILED", 0.0, None, 7, None),
            row("a", "PAUSED", 120.4, Some(9), 0, Some("2026-11-21T11:59:00Z")),
        ]
    }

    #[test]
    fn what_matters_comes_first() {
        for (by, expected) in [
            (Sort::Rate, "acb"),
            (Sort::Lag, "acb"),
            (Sort::Bad, "bac"),
            (Sort::Records, "abc"),
            (Sort::Last, "bac"),
            (Sort::State, "bac"),
            (Sort::Name, "abc"),
        ] {
            let mut all = rows();
            sort(&mut all, by);
            assert_eq!(all.iter().map(|r| r.name.as_str()).collect::<String>(), expected, "{by:?}");
        }
    }

    #[test]
    fn unknown_lags_stand_between_much_and_nothing() {
        let of = |name: &str, kind: ConnectorType, lag: Option<u64>| Row {
            name: name.into(),
            kind,
            lag,
            ..rows().remove(0)
        };
        let mut all = [
            of("a", ConnectorType::Source, None),
            of("b", ConnectorType::Sink, Some(0)),
            of("c", ConnectorType::Sink, None),
            of("d", ConnectorType::Sink, Some(1)),
            of("e", ConnectorType::Sink, Some(9)),
            of("f", ConnectorType::Unknown, None),
        ];
        sort(&mut all, Sort::Lag);
        assert_eq!(all.iter().map(|r| r.name.as_str()).collect::<String>(), "edcfba");
    }

    #[test]
    fn the_table_fits_sixty_columns() {
        let now = time::parse_rfc3339("2026-11-21T12:00:00Z").expect("time");
        let text = |width| resolve(&table(&rows(), now, View { width: Some(width), wide: false }), false);
        let expected = "\
NAME  STATE    TASKS  IN/S  OUT/S  LAG  OUT  BAD  LAST
c     RUNNING  1/1       1      1    5   10    0    3s
b     FAILED   1/1       0      0    -   10    7     -
a     PAUSED   1/1     120    120    9   10    0   60s
";
        assert_eq!((text(60).as_str(), text(200).as_str()), (expected, expected));
        assert!(text(50).lines().all(|l| l.len() <= 50));
    }
}
