//! `connectctl groups list`

use connect_kafka::{Group, OtherGroup};
use serde::Serialize;

use super::{super::Context, known, meant, others};
use crate::{
    cluster::Asking,
    error::Failure,
    output::View,
    table::{Column, Table},
    watch::Watch,
};

/// What `groups list` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Names of groups; also patterns such as 'connect-*' and regular expressions such as '/^connect-/'. All without any.
    #[arg(value_name = "GROUP", value_parser = crate::names::name, add = crate::complete::groups())]
    groups: Vec<String>,

    #[command(flatten)]
    watch: Watch,
}

/// The type of groups of consumers.
const CONSUMER: &str = "consumer";

#[derive(Debug, Serialize)]
struct Entry {
    name: String,
    /// Null where the principal may not see it, here and below.
    state: Option<String>,
    members: Option<usize>,
    /// What its members are: `consumer`, `connect` …
    #[serde(rename = "type")]
    kind: String,
    protocol: Option<String>,
    assignor: Option<String>,
    coordinator: Option<i32>,
}

impl Entry {
    fn new(name: &str, group: Option<Group>) -> Self {
        let Some(group) = group else {
            let (state, members, protocol, assignor, coordinator) = (None, None, None, None, None);
            let (name, kind) = (name.to_owned(), CONSUMER.to_owned());
            return Self { name, state, members, kind, protocol, assignor, coordinator };
        };
        Self {
            name: name.to_owned(),
            members: Some(group.members.len()),
            kind: CONSUMER.to_owned(),
            state: Some(group.state),
            protocol: Some(group.kind),
            assignor: group.assignor,
            coordinator: group.coordinator,
        }
    }

    fn other(group: OtherGroup) -> Self {
        Self {
            name: group.name,
            state: Some(group.state),
            members: Some(group.members.len()),
            kind: group.kind,
            // Only consumers have another one.
            protocol: Some("Classic".to_owned()),
            assignor: Some(group.protocol).filter(|protocol| !protocol.is_empty()),
            coordinator: None,
        }
    }
}

impl Args {
    pub(super) async fn run(&self, context: &Context<'_>) -> Result<(), Failure> {
        self.watch.run(context, async || self.look(context).await).await
    }

    async fn look(&self, context: &Context<'_>) -> Result<(), Failure> {
        let asking = Asking::new(context).await?;
        asking.admin_cluster("listing consumer groups").await?;
        let known = known(&asking).await?;
        let mut others = others(&asking, context).await;
        let all: Vec<String> = known.iter().chain(others.iter().map(|o| &o.name)).cloned().collect();
        let wanted = if self.groups.is_empty() { all } else { meant(&self.groups, &all, &asking)? };
        let names: Vec<String> = wanted.iter().filter(|name| known.contains(name)).cloned().collect();
        others.retain(|o| wanted.contains(&o.name));
        let groups = asking.answer(asking.admin.describe_groups(&names, asking.limit).await)?;
        let mut entries: Vec<Entry> =
            names.iter().zip(groups).map(|(name, group)| Entry::new(name, group.ok())).collect();
        entries.extend(others.into_iter().map(Entry::other));
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        if entries.is_empty() && context.output.is_table() {
            context.output.say(&format!("Kafka at {} has no groups", asking.kafka.brokers()));
        }
        let all = || entries.iter().map(|e| e.name.clone()).collect();
        let show = |view| if entries.is_empty() { String::new() } else { table(&entries, view) };
        context.output.result(&entries, all, show)
    }
}

fn table(entries: &[Entry], view: View) -> String {
    let mut columns =
        vec![Column::text("NAME").whole(), Column::text("STATE"), Column::number("MEMBERS"), Column::text("TYPE")];
    if view.wide {
        columns.extend([Column::text("PROTOCOL"), Column::text("ASSIGNOR"), Column::text("COORDINATOR")]);
    }
    let mut table = Table::new(columns);
    let dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    for e in entries {
        let mut row =
            vec![e.name.clone(), dash(e.state.clone()), dash(e.members.map(|n| n.to_string())), e.kind.clone()];
        if view.wide {
            row.extend([
                dash(e.protocol.clone()),
                dash(e.assignor.clone()),
                dash(e.coordinator.map(|id| id.to_string())),
            ]);
        }
        table.row(row);
    }
    table.render(view.width)
}
