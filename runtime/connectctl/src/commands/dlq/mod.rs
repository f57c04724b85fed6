//! `connectctl dlq`: dead letters, of Tocsin's workers and of Kafka Connect's.
//!
//! - `reason`: what headers say of why a record is a dead letter; `letter`: a letter as it is shown
//! - `filter`: which letters are meant; `queue`: where they are, and reading them
//! - `ledger`: which letters have been replayed
//! - `list`, `show`, `replay`, `purge`: the commands; `waiting`: how many letters wait for somebody

mod filter;
mod ledger;
mod letter;
mod list;
mod purge;
pub(super) mod queue;
mod reason;
mod replay;
mod show;
pub(super) mod waiting;

use super::{
    Context,
    records::{payload, send},
};
use crate::error::Failure;

/// What `dlq` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show which connectors have a dead letter queue, how many letters are in it, and why.
    ///
    /// REPLAYED are those letters that connectctl dlq replay has sent. Reasons are counted among the newest letters; numbers
    /// in them do not make them different. NEWEST is the last letter of the queue, also where its record is older than others,
    /// as one that was replayed and failed again; of several partitions' last letters it is the one whose record was written, or
    /// replayed, later. In brackets is the age of the record.
    List(list::Args),
    /// Show the newest dead letters: why, where they come from, and what they say, decoded as far as possible.
    ///
    /// Which are the newest is as in connectctl dlq list: those at the end of the queue.
    /// Values are shown as Avro (with the schema that the registry has), JSON or text, else in hex. With -o wide the whole
    /// trace is shown.
    Show(show::Args),
    /// Send dead letters to the topics they come from, once each.
    ///
    /// A letter goes with its key, value, time stamp and headers, without those of the error, to the topic that the header
    /// __connect.errors.topic names. Headers __connectctl.replay.topic, .partition, .offset, .time and .by say from which
    /// letter the record was made. The time stamp is that of the record that failed: what reads it sees when something
    /// happened, not when it was mended; a topic that keeps records for less time than that deletes it soon.
    ///
    /// What Kafka has acknowledged is recorded in a compacted topic, so that the next replay skips it. If connectctl is
    /// killed, the letters that were under way, at most 200, may be sent twice. A letter that was cut because it was too large,
    /// one without that header where --to does not name a topic, and one that the topic does not take do not keep the others
    /// from their turn; they are told at the end, with exit code 1.
    Replay(replay::Args),
    /// Delete dead letters.
    ///
    /// Kafka deletes records from the beginning of a partition only: what should go but lies behind a letter that stays, stays
    /// as well, and is counted.
    Purge(purge::Args),
}

/// Runs the action.
pub async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    match &args.action {
        Action::List(args) => args.run(context).await,
        Action::Show(args) => show::run(args, context).await,
        Action::Replay(args) => replay::run(args, context).await,
        Action::Purge(args) => purge::run(args, context).await,
    }
}

/// A letter's place: `PARTITION:OFFSET`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Place {
    partition: i32,
    offset: i64,
}

impl Place {
    fn parse(text: &str) -> Result<Self, String> {
        let parsed = text.split_once(':').and_then(|(partition, offset)| {
            let partition = partition.parse().ok().filter(|n: &i32| *n >= 0)?;
            Some(Self { partition, offset: offset.parse().ok().filter(|n: &i64| *n >= 0)? })
        });
        parsed.ok_or_else(|| "expected PARTITION:OFFSET, such as 0:1200".into())
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.partition, self.offset)
    }
}

impl serde::Serialize for Place {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
