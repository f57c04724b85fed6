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
    let mut columns =
        vec![Column::text("NAME").whole(), Column::text("PARTITION").whole(), Column::text("OFFSET").whole()];
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::paint::resolve;

    fn entries() -> Vec<Entry> {
        let entry = |name: &str, partition, offset, ends: Option<(i64, i64)>| {
            let at = serde_json::from_value(json!({ "partition": partition, "offset": offset })).expect("an offset");
            let standing = Standing { at, end: ends.map(|(end, _)| end), lag: ends.map(|(_, lag)| lag) };
            Entry { name: name.into(), offsets: vec![standing] }
        };
        let topic = "lsst.sal.Dome_logevent_appliedSettingsMatchStart";
        vec![
            entry(
                "influxdb-sink-of-the-plant",
                json!({ "kafka_topic": topic, "kafka_partition": 11 }),
                json!({ "kafka_offset": 120_456_700 }),
                Some((120_456_789, 89)),
            ),
            entry("files", json!({ "filename": "/data/in.txt" }), json!({ "position": 51, "inode": 10_051_731 }), None),
        ]
    }

    #[test]
    fn places_and_lags_are_there_in_every_terminal() {
        let of = |width| resolve(&table(&entries(), View { width: Some(width), wide: false }), false);
        let narrow = "\
NAME           PARTITION       OFFSET               END  LAG
influxdb-      lsst.sal.Dome_  120456700      120456789   89
  sink-of-       logevent_
  the-plant      appliedSetti
                 ngsMatchStar
                 t:11
files          filename=/      position=51            -    -
                 data/in.txt     inode=
                                 10051731
";
        assert_eq!(of(60), narrow);
        let wide = "\
NAME                        PARTITION                                            OFFSET                            END  LAG
influxdb-sink-of-the-plant  lsst.sal.Dome_logevent_appliedSettingsMatchStart:11  120456700                   120456789   89
files                       filename=/data/in.txt                                position=51 inode=10051731          -    -
";
        assert_eq!(of(200), wide);
        for width in [80, 100] {
            let text = of(width);
            assert!(text.lines().all(|line| line.chars().count() <= width), "{text}");
            assert!(text.lines().next().is_some_and(|l| l.ends_with("END  LAG")), "{text}");
            assert!(text.contains("  120456700  ") && text.contains("  120456789   89\n"), "{text}");
        }
    }
}
