//! `connectctl tail`: the newest records of a topic.

use std::collections::{BTreeMap, VecDeque};

use super::{
    Context,
    records::{
        reading::{From, Reading},
        showing::Showing,
        shown::Shown,
    },
};
use crate::{error::Failure, output::Written};

const EXAMPLES: &str = "\
Examples:
  connectctl tail active-alarms                the ten newest records
  connectctl tail active-alarms -n 3 -o wide   three, with headers
  connectctl tail active-alarms -f             and what comes
  connectctl tail active-alarms -f -n 0 --template '{time} {key} {value.priority}'";

/// What `tail` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Name of the topic.
    #[arg(value_name = "TOPIC", add = crate::complete::topics())]
    topic: String,

    /// So many of the newest records, by time, of all partitions.
    #[arg(short = 'n', long, value_name = "N", default_value = "10", value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    records: u32,

    /// Show what comes, too.
    #[arg(short, long)]
    follow: bool,

    #[command(flatten)]
    showing: Showing,
}

/// Shows the newest records, and those that come.
pub async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    let reading = Reading::new(&args.topic, &[], context).await?;
    // What comes while the newest are read is shown then, or afterwards.
    let spans = reading.spans(From::Beginning, context).await?;
    let mut next: BTreeMap<i32, i64> = spans.iter().map(|s| (s.partition.partition, s.end)).collect();
    let mut shower = args.showing.shower(context).await?;
    let count = args.records as usize;
    let records: Vec<Shown> = if args.showing.key.is_none() {
        let found = if count == 0 { Vec::new() } else { reading.newest(count, context).await? };
        shower.decode(found).await
    } else {
        // How far back those of a key are, nobody knows.
        let mut newest = VecDeque::new();
        let mut batches = reading.until_end(&spans)?;
        while let Some(batch) = reading.next(&mut batches, context).await? {
            newest.extend(shower.decode(batch).await);
            newest.drain(..newest.len().saturating_sub(count));
        }
        newest.into()
    };
    for record in &records {
        let place = next.entry(record.partition).or_default();
        *place = (*place).max(record.offset + 1);
    }
    let mut written = shower.show(records)?;
    if args.follow {
        let mut batches = reading.follow(&next)?;
        while written == Written::All
            && let Some(batch) = reading.next(&mut batches, context).await?
        {
            let records = shower.decode(batch).await;
            written = shower.show(records)?;
        }
    }
    shower.end()
}
