//! `connectctl list`

use connect_rest_model::{ConnectorType, ExpandedConnector};
use serde::Serialize;

use super::{Context, running};
use crate::{
    error::Failure,
    table::{Column, Table},
};

/// What `list` takes.
#[derive(Debug, clap::Args)]
pub struct Args {}

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
        }
    }
}

/// Lists all connectors; also those without status, which workers leave out of the expanded list.
pub async fn run(_args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    let names = context.client.names().await?;
    if names.is_empty() {
        super::status::say_empty(context);
        return context.output.result(&names, |_| String::new());
    }
    let all = context.client.expanded().await?;
    let entry = |name: String| {
        let found = all.get(&name);
        Entry::new(name, found)
    };
    let entries: Vec<Entry> = names.into_iter().map(entry).collect();
    context.output.result(&entries, |width| table(&entries).render(width))
}

fn table(entries: &[Entry]) -> Table {
    let mut table = Table::new([
        Column::text("NAME"),
        Column::text("TYPE"),
        Column::text("STATE"),
        Column::text("TASKS"),
        Column::text("CLASS").optional(),
    ]);
    for e in entries {
        table.row([
            e.name.clone(),
            e.kind.name().to_owned(),
            e.state.clone(),
            format!("{}/{}", e.tasks_running, e.tasks),
            e.class.clone().unwrap_or_default(),
        ]);
    }
    table
}
