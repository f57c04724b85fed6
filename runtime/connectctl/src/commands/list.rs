//! `connectctl list`

use connect_rest_model::{ConnectorType, ExpandedConnector};
use indexmap::IndexMap;
use serde::Serialize;

use super::{Context, running};
use crate::{
    error::Failure,
    fail_on::FailOn,
    names::{SomeNames, matching},
    output::View,
    table::{Column, Table},
    watch::Watch,
};

/// What `list` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    names: SomeNames,
    #[command(flatten)]
    fail_on: FailOn,
    #[command(flatten)]
    watch: Watch,
}

#[derive(Debug, Serialize)]
struct Entry {
    name: String,
    #[serde(rename = "type")]
    kind: ConnectorType,
    state: String,
    /// Null when the connector has no status yet.
    class: Option<String>,
    tasks_running: usize,
    tasks: usize,
    /// What a sink reads, or the one topic that a source says it writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    topics: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<String>,
}

impl Entry {
    fn new(name: String, found: Option<&ExpandedConnector>) -> Self {
        let status = found.and_then(|f| f.status.as_ref());
        let info = found.and_then(|f| f.info.as_ref());
        let kind = status.map(|s| s.kind).or(info.map(|i| i.kind)).unwrap_or(ConnectorType::Unknown);
        Self {
            name,
            kind,
            state: status.map_or_else(|| "UNKNOWN".into(), |s| s.connector.state.clone()),
            class: info.and_then(|i| i.config.get("connector.class").cloned()),
            tasks_running: status.map_or(0, |s| running(&s.tasks)),
            tasks: status.map_or(0, |s| s.tasks.len()),
            topics: ["topics", "topics.regex", "topic"].iter().find_map(|key| info?.config.get(*key).cloned()),
            version: status.and_then(|s| s.connector.version.clone()),
            worker: status.map(|s| s.connector.worker_id.clone()),
        }
    }
}

/// Lists connectors; also those without status, which workers leave out of the expanded list.
pub async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    args.watch.run(context, async || look(args, context).await).await
}

async fn look(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    let known = context.client.names().await?;
    if known.is_empty() {
        super::status::say_empty(context);
    }
    let names = if args.names.names.is_empty() {
        known
    } else {
        let wanted = matching(&args.names.names, &known, "connector", "connectctl list shows those that exist");
        let wanted = wanted.map_err(Failure::Failed)?;
        if let Some(name) = wanted.iter().find(|name| !known.contains(name)) {
            return Err(Failure::Failed(super::missing(name, &known)));
        }
        wanted
    };
    let all = if names.is_empty() { IndexMap::new() } else { context.client.expanded().await? };
    let entries: Vec<Entry> = names.iter().map(|name| Entry::new(name.clone(), all.get(name))).collect();
    let show = |view: View| if entries.is_empty() { String::new() } else { table(&entries, view) };
    context.output.result(&entries, || names.clone(), show)?;
    args.fail_on.judge(names.iter().filter_map(|name| all.get(name)?.status.as_ref()))
}

fn table(entries: &[Entry], view: View) -> String {
    let mut columns = vec![
        Column::text("NAME"),
        Column::text("TYPE"),
        Column::text("STATE"),
        Column::text("TASKS"),
        Column::text("CLASS").optional(),
    ];
    if view.wide {
        columns.extend([Column::text("TOPICS"), Column::text("VERSION"), Column::text("WORKER")]);
    }
    let mut table = Table::new(columns);
    for e in entries {
        let mut cells = vec![
            e.name.clone(),
            e.kind.name().to_owned(),
            e.state.clone(),
            format!("{}/{}", e.tasks_running, e.tasks),
            e.class.clone().unwrap_or_default(),
        ];
        if view.wide {
            cells.extend([&e.topics, &e.version, &e.worker].map(|cell| cell.clone().unwrap_or_else(|| "-".into())));
        }
        table.row(cells);
    }
    table.render(view.width)
}
