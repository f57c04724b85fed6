//! `connectctl topics`
//!
//! - `list`, `describe`: what there is; `used`: what connectors have used
//! - `create`, `delete`, `partitions`, `settings`: the commands that change something

mod create;
mod delete;
mod describe;
mod list;
mod partitions;
mod settings;
mod used;

use super::Context;
use crate::error::Failure;

const EXAMPLES: &str = "\
Examples:
  connectctl topics list                              all but those whose names begin with _
  connectctl topics list 'alarm*' -o wide
  connectctl topics describe active-alarms            partitions, replicas, offsets, settings
  connectctl topics create alarms --partitions 1 --config cleanup.policy=compact --if-not-exists
  connectctl topics config set alarms retention.ms=86400000 --dry-run
  connectctl topics config unset alarms retention.ms
  connectctl topics partitions telemetry 6
  connectctl topics delete 'test-*' --dry-run";

/// What `topics` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List the topics of Kafka with their partitions, replicas, clean-up policy and size in records.
    ///
    /// RECORDS is the distance between the first offset and the end of all partitions: there are fewer where a topic is
    /// compacted or written in transactions.
    List(list::Args),
    /// Show everything about topics: partitions with leader, replicas and offsets, and the settings that were made.
    Describe(describe::Args),
    /// Create topics; without options with the broker's defaults.
    Create(create::Args),
    /// Delete topics with all that is in them.
    Delete(delete::Args),
    /// Show or change settings of topics.
    Config(settings::Args),
    /// Give a topic more partitions.
    ///
    /// Kafka cannot take partitions away. Records stay where they are, but a key's next records may go to another partition
    /// than those before: their order is lost, and compaction keeps the old ones, too.
    Partitions(partitions::Args),
    /// Show which topics connectors have used since they were created, or since that was forgotten.
    Used(used::UsedArgs),
    /// Have the worker forget which topics connectors have used; the topics themselves stay.
    Forget(used::ForgetArgs),
}

/// Runs the action.
pub async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    match &args.action {
        Action::List(args) => args.run(context).await,
        Action::Describe(args) => args.run(context).await,
        Action::Create(args) => args.run(context).await,
        Action::Delete(args) => args.run(context).await,
        Action::Config(args) => args.run(context).await,
        Action::Partitions(args) => args.run(context).await,
        Action::Used(args) => used::show(args, context).await,
        Action::Forget(args) => used::forget(args, context).await,
    }
}

/// Names of topics, at least one.
#[derive(Debug, Clone, clap::Args)]
struct Topics {
    /// Names of topics; also patterns such as 'alarm*' and regular expressions such as '/^alarm-/'.
    #[arg(value_name = "TOPIC", required = true, value_parser = written, add = crate::complete::topics())]
    topics: Vec<String>,
}

/// A name or a pattern, as it may stand for topics.
fn written(text: &str) -> Result<String, String> {
    crate::names::name(text)
        .map_err(|e| e.replace("the REST API cannot address a connector of this name", "no topic has this name"))
}
