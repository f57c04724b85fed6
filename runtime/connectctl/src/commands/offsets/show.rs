//! `connectctl offsets show`

use std::time::Duration;

use connect_rest_model::ConnectorOffset;
use serde::Serialize;

use super::{super::Context, kafka::partition, offset, place};
use crate::{
    error::Failure,
    names::{SomeNames, expand},
    output::View,
    reading::Reading,
    table::{Column, Table},
    watch::Watch,
};

/// What `offsets show` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    names: SomeNames,
    #[command(flatten)]
    watch: Watch,
}

#[derive(Debug, Serialize)]
struct Entry {
    name: String,
    offsets: Vec<Standing>,
}

#[derive(Debug, Serialize)]
struct Standing {
    #[serde(flatten)]
    at: ConnectorOffset,
    /// Of a sink, where Kafka can be asked: the offset behind the last record.
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<i64>,
    /// How many offsets there are until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    lag: Option<i64>,
}

/// Ends of partitions are an extra: they are not waited for longer than this.
const LIMIT: Duration = Duration::from_secs(5);

pub(super) async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    args.watch.run(context, async || look(args, context).await).await
}

async fn look(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    let written = &args.names.names;
    let names =
        if written.is_empty() { context.client.names().await? } else { expand(written, &context.client).await? };
    let mut entries = Vec::new();
    for name in names {
        let found = match context.client.offsets(&name).await {
            Ok(found) => found.offsets,
            Err(e) => return Err(context.explain(&name, e).await),
        };
        let mut offsets: Vec<Standing> = found.into_iter().map(|at| Standing { at, end: None, lag: None }).collect();
        offsets.sort_by_cached_key(|one| {
            (place(&one.at.partition).split(':').next().map(str::to_owned), partition(&one.at).map(|p| p.partition))
        });
        entries.push(Entry { name, offsets });
    }
    if entries.iter().flat_map(|e| &e.offsets).any(|o| partition(&o.at).is_some())
        && let Err(e) = ends(&mut entries, context).await
    {
        context.output.say(&format!("ends of partitions are not shown: {e}"));
    }
    let names = || entries.iter().map(|e| e.name.clone()).collect();
    context.output.result(&entries, names, |view| table(&entries, view))
}

/// Fills in where the partitions of sinks end.
async fn ends(entries: &mut [Entry], context: &Context<'_>) -> Result<(), Failure> {
    let look = async {
        let topics = Reading::new(context).await?;
        for one in entries.iter_mut().flat_map(|e| &mut e.offsets) {
            let Some(partition) = partition(&one.at) else { continue };
            let spans = topics.spans(std::slice::from_ref(&partition)).await?;
            let at = one.at.offset.as_ref().and_then(|o| o.get("kafka_offset")?.as_i64());
            one.end = spans.first().map(|s| s.end);
            one.lag = one.end.zip(at).map(|(end, at)| (end - at).max(0));
        }
        Ok(())
    };
    match tokio::time::timeout(LIMIT, look).await {
        Ok(done) => done,
        Err(_) => Err(Failure::TimedOut(format!("kafka did not answer within {} s", LIMIT.as_secs()))),
    }
}

fn table(entries: &[Entry], view: View) -> String {
    let ended = entries.iter().flat_map(|e| &e.offsets).any(|o| o.end.is_some());
    let mut columns = vec![Column::text("NAME"), Column::text("PARTITION"), Column::text("OFFSET")];
    if ended {
        columns.extend([Column::number("END"), Column::number("LAG")]);
    }
    let mut table = Table::new(columns);
    for entry in entries {
        for one in &entry.offsets {
            let at = one.at.offset.as_ref().map_or_else(|| "-".into(), offset);
            let mut cells = vec![entry.name.clone(), place(&one.at.partition), at];
            if ended {
                cells.extend([one.end, one.lag].map(|n| n.map_or_else(|| "-".into(), |n| n.to_string())));
            }
            table.row(cells);
        }
    }
    table.render(view.width)
}
