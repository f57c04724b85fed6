//! `connectctl consume`: reads records of a topic, beside everybody else.

use std::collections::BTreeMap;

use connect_api::time;
use connect_kafka::RawRecord;

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

    /// Say on standard error when what is the end now of a partition is reached.
    #[arg(long)]
    ends: bool,

    #[command(flatten)]
    showing: Showing,
}

/// Ends of partitions that have not been reached yet.
#[derive(Debug, Default)]
struct Ends(BTreeMap<i32, i64>);

impl Ends {
    /// Those that are reached with these records.
    fn reached(&mut self, records: &[RawRecord]) -> Vec<(i32, i64)> {
        let mut reached = Vec::new();
        for record in records {
            if let Some(end) = self.0.get(&record.partition).copied().filter(|end| record.offset + 1 >= *end) {
                self.0.remove(&record.partition);
                reached.push((record.partition, end));
            }
        }
        reached
    }
}

/// In the words of `printStream.py`, but for the key.
fn say_ends(ends: &[(i32, i64)], topic: &str, context: &Context<'_>) {
    for (partition, offset) in ends {
        let time = time::rfc3339(time::now_ms());
        context.output.say(&format!("topic:{topic}, partition:{partition}, status:end, offset:{offset}, time:{time}"));
    }
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
    let mut ends = Ends::default();
    if args.ends {
        // What is empty, or behind the beginning, is at its end.
        let (open, at_end): (Vec<_>, Vec<_>) =
            spans.iter().map(|s| (s.partition.partition, s.end, s.first < s.end)).partition(|(_, _, is_open)| *is_open);
        ends.0 = open.into_iter().map(|(partition, end, _)| (partition, end)).collect();
        say_ends(&at_end.into_iter().map(|(p, end, _)| (p, end)).collect::<Vec<_>>(), &args.topic, context);
    }
    while let Some(batch) = reading.next(&mut batches, context).await? {
        let reached = ends.reached(&batch);
        let mut records = shower.decode(batch).await;
        let left = args.max.map(|max| max - shower.shown);
        if let Some(left) = left {
            records.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        }
        let written = shower.show(records)?;
        if written == Written::NobodyReads || args.max.is_some_and(|max| shower.shown >= max) {
            // What was read ahead was not shown.
            ends.0.clear();
            break;
        }
        say_ends(&reached, &args.topic, context);
    }
    // Behind the last records there may be offsets without any.
    say_ends(&ends.0.into_iter().collect::<Vec<_>>(), &args.topic, context);
    shower.end()
}

#[cfg(test)]
mod tests {
    use connect_api::TimestampType;

    use super::*;

    #[test]
    fn ends_are_told_once() {
        let record = |partition, offset| RawRecord {
            topic: "t".into(),
            partition,
            offset,
            timestamp: None,
            timestamp_type: TimestampType::None,
            key: None,
            value: None,
            headers: Vec::new(),
        };
        let mut ends = Ends([(0, 3), (1, 9)].into());
        assert_eq!(ends.reached(&[record(0, 1), record(1, 5)]), []);
        assert_eq!(ends.reached(&[record(0, 2), record(0, 3)]), [(0, 3)]);
        // The last offset may be that of the end of a transaction.
        assert_eq!(ends.reached(&[record(1, 12)]), [(1, 9)]);
        assert!(ends.0.is_empty());
    }
}
