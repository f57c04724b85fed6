//! `connectctl offsets` (KIP-875): where connectors stand, and where they are to go on.

mod change;
pub(super) mod kafka;
mod show;

use connect_rest_model::ConnectorOffset;
use serde_json::{Map, Value as Json};

use super::Context;
use crate::error::Failure;
pub use change::When;

/// What `offsets` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show where connectors stand; for sinks also the ends of partitions and how far they are behind.
    Show(show::Args),
    /// Set offsets of a connector; what is not named stays as it is.
    Set(change::SetArgs),
    /// Have connectors begin anew: without offsets, or at a time, the beginning or the end of their topics.
    Reset(change::ResetArgs),
}

/// Runs the action.
pub async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    match &args.action {
        Action::Show(args) => show::run(args, context).await,
        Action::Set(args) => change::set(args, context).await,
        Action::Reset(args) => change::reset(args, context).await,
    }
}

/// A partition and its offset in one line.
pub(super) fn line(one: &ConnectorOffset) -> String {
    format!("{} = {}", place(&one.partition), one.offset.as_ref().map_or_else(|| "forgotten".into(), offset))
}

/// What is read: `TOPIC:PARTITION` of a sink, else `key=value` of a source.
fn place(partition: &Map<String, Json>) -> String {
    match (partition.get("kafka_topic").and_then(Json::as_str), partition.get("kafka_partition")) {
        (Some(topic), Some(number)) if partition.len() == 2 => format!("{topic}:{number}"),
        _ => pairs(partition),
    }
}

fn offset(offset: &Map<String, Json>) -> String {
    match offset.get("kafka_offset") {
        Some(number) if offset.len() == 1 => number.to_string(),
        _ => pairs(offset),
    }
}

fn pairs(map: &Map<String, Json>) -> String {
    let text = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    map.iter().map(|(key, value)| format!("{key}={}", text(value))).collect::<Vec<_>>().join(" ")
}
