//! `connectctl consume`: reads records of a topic, beside everybody else.

use super::{
    Context,
    records::{
        reading::{From, Reading},
        showing::Showing,
    },
};
use crate::{error::Failure, output::Written};

const EXAMPLES: &str = "\
Examples:
  connectctl consume alarms --until-end                      all that there is
  connectctl consume alarms --from 2h --key pump-1           since two hours ago, and what comes
  connectctl consume alarms --from 1200 --partition 0 --max 10 -o json
  connectctl consume alarms --until-end --template '{key}: {value.priority}'
  connectctl consume alerts --until-end --without cutoutScience --stamps stamps/";

/// What `consume` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Name of the topic.
    #[arg(value_name = "TOPIC", add = crate::complete::topics())]
    topic: String,

    /// Begin there: beginning, end, an offset, or a time such as 2026-11-21T12:00:00Z, @MILLISECONDS, or 90s, 30m, 12h, 7d ago.
    #[arg(long, value_name = "WHERE", default_value = "beginning", value_parser = From::parse)]
    from: From,

    /// Only this partition; may be given several times.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Vec<i32>,

    /// At most so many records.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max: Option<u64>,

    /// Stop at what is the end now, instead of waiting for more.
    #[arg(long)]
    until_end: bool,

    #[command(flatten)]
    showing: Showing,
}

/// Shows records until there are no more, or enough.
pub async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    let reading = Reading::new(&args.topic, &args.partition, context).await?;
    let spans = reading.spans(args.from, context).await?;
    let mut batches = if args.until_end {
        reading.until_end(&spans)?
    } else {
        reading.follow(&spans.iter().map(|s| (s.partition.partition, s.first)).collect())?
    };
    let mut shower = args.showing.shower(context).await?;
    while let Some(batch) = reading.next(&mut batches).await? {
        let mut records = shower.decode(batch).await;
        let left = args.max.map(|max| max - shower.shown);
        if let Some(left) = left {
            records.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        }
        let written = shower.show(records)?;
        if written == Written::NobodyReads || args.max.is_some_and(|max| shower.shown >= max) {
            break;
        }
    }
    shower.end();
    Ok(())
}
