//! `connectctl topics list`

use connect_kafka::{ResourceSetting, Span, TopicState};
use serde::Serialize;

use super::super::Context;
use crate::{
    cluster::{Asking, is_internal},
    error::Failure,
    output::View,
    table::{Column, Table},
    watch::Watch,
};

/// What `topics list` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Names of topics; also patterns such as 'alarm*' and regular expressions such as '/^alarm-/'. All without any.
    #[arg(value_name = "TOPIC", value_parser = super::written, add = crate::complete::topics())]
    topics: Vec<String>,

    /// Also those whose names begin with _, which Kafka and other programs have for themselves.
    #[arg(short, long)]
    all: bool,

    #[command(flatten)]
    watch: Watch,
}

/// A topic in a list.
#[derive(Debug, Serialize)]
struct Entry {
    name: String,
    partitions: usize,
    replicas: usize,
    /// Partitions that have fewer replicas in sync than they are to have.
    under_replicated: usize,
    /// Partitions that cannot be read and written at the moment.
    without_leader: usize,
    /// Null where it is not known, here and below.
    cleanup: Option<String>,
    retention_ms: Option<i64>,
    records: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

impl Entry {
    fn new(topic: &TopicState, settings: Option<&[ResourceSetting]>, spans: &[Option<Span>]) -> Self {
        let setting = |key: &str| settings?.iter().find(|s| s.key == key)?.value.clone();
        let records = spans.iter().map(|s| s.as_ref().map(|s| s.end - s.first)).sum::<Option<i64>>();
        Self {
            name: topic.name.clone(),
            partitions: topic.partitions.len(),
            replicas: topic.replication(),
            under_replicated: topic.under_replicated(),
            without_leader: topic.partitions.iter().filter(|p| p.leader.is_none()).count(),
            cleanup: setting("cleanup.policy"),
            retention_ms: setting("retention.ms").and_then(|ms| ms.parse().ok()),
            records: records.filter(|_| topic.problem.is_none()),
            problem: topic.problem.clone(),
        }
    }
}

impl Args {
    pub(super) async fn run(&self, context: &Context<'_>) -> Result<(), Failure> {
        self.watch.run(context, async || self.look(context).await).await
    }

    async fn look(&self, context: &Context<'_>) -> Result<(), Failure> {
        let asking = Asking::new(context).await?;
        let cluster = asking.cluster().await?;
        let topics: Vec<&TopicState> = if self.topics.is_empty() {
            cluster.topics.iter().filter(|t| self.all || !is_internal(&t.name)).collect()
        } else {
            asking.meant(&self.topics, &cluster, self.all)?
        };
        let settings = asking.settings_of(&topics).await?;
        let spans = asking.spans_of(&topics).await?;
        let mut rest = spans.as_slice();
        let mut entries = Vec::with_capacity(topics.len());
        for (topic, settings) in topics.iter().zip(&settings) {
            let (own, others) = rest.split_at(topic.partitions.len().min(rest.len()));
            rest = others;
            entries.push(Entry::new(topic, settings.as_deref(), own));
        }
        let hidden = cluster.topics.len() - entries.len();
        if entries.is_empty() && context.output.is_table() {
            let more = if hidden > 0 && !self.all {
                format!(" but {hidden} whose names begin with _; --all shows them")
            } else {
                String::new()
            };
            context.output.say(&format!("Kafka at {} has no topics{more}", asking.kafka.brokers()));
        }
        let names = || entries.iter().map(|e| e.name.clone()).collect();
        context.output.result(
            &entries,
            names,
            |view| if entries.is_empty() { String::new() } else { table(&entries, view) },
        )
    }
}

fn table(entries: &[Entry], view: View) -> String {
    let mut columns = vec![
        Column::text("NAME").whole(),
        Column::number("PARTITIONS"),
        Column::number("REPLICAS"),
        Column::number("RECORDS"),
        Column::text("CLEANUP").optional(),
    ];
    if view.wide {
        columns.extend([Column::text("RETENTION"), Column::number("OUT OF SYNC")]);
    }
    let mut table = Table::new(columns);
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    for e in entries {
        let mut row = vec![
            e.name.clone(),
            e.partitions.to_string(),
            e.replicas.to_string(),
            or_dash(e.records.map(|n| n.to_string())),
            or_dash(e.cleanup.clone()),
        ];
        if view.wide {
            row.extend([or_dash(e.retention_ms.map(retention)), e.under_replicated.to_string()]);
        }
        table.row(row);
        if let Some(problem) = &e.problem {
            table.note(2, problem.as_str());
        } else if e.without_leader > 0 {
            table.note(
                2,
                format!("{} partitions have no leader: they can be neither read nor written", e.without_leader),
            );
        } else if e.under_replicated > 0 && !view.wide {
            table.note(2, format!("{} partitions have replicas that are not in sync", e.under_replicated));
        }
    }
    table.render(view.width)
}

/// A time in milliseconds in its largest whole unit.
pub(super) fn retention(ms: i64) -> String {
    const UNITS: [(i64, &str); 5] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms")];
    match ms {
        ..0 => "for ever".into(),
        0 => "0".into(),
        ms => UNITS
            .iter()
            .find(|(unit, _)| ms % unit == 0)
            .map_or_else(|| ms.to_string(), |(unit, name)| format!("{}{name}", ms / unit)),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use connect_api::TopicPartition;
    use connect_kafka::{Partition, resource::Origin};

    use super::*;
    use crate::paint::resolve;

    pub(in super::super) fn topic(name: &str, in_sync: &[&[i32]]) -> TopicState {
        let partition = |(number, in_sync): (usize, &&[i32])| Partition {
            number: number as i32,
            leader: in_sync.first().copied(),
            replicas: vec![1, 2],
            in_sync: in_sync.to_vec(),
        };
        TopicState { name: name.into(), partitions: in_sync.iter().enumerate().map(partition).collect(), problem: None }
    }

    pub(in super::super) fn setting(key: &str, value: &str, origin: Origin) -> ResourceSetting {
        ResourceSetting { key: key.into(), value: Some(value.into()), origin, secret: false, read_only: false }
    }

    pub(in super::super) fn span(partition: i32, first: i64, end: i64) -> Option<Span> {
        Some(Span { partition: TopicPartition { topic: "t".into(), partition }, first, end })
    }

    #[test]
    fn the_table_shows_size_and_trouble() {
        let settings = [
            setting("cleanup.policy", "compact", Origin::Topic),
            setting("retention.ms", "604800000", Origin::Default),
        ];
        let entries = [
            Entry::new(&topic("alarms", &[&[1, 2], &[2, 1]]), Some(&settings), &[span(0, 10, 25), span(1, 0, 1)]),
            Entry::new(&topic("lame", &[&[1]]), Some(&[]), &[span(0, 0, 0)]),
            Entry::new(&topic("dead", &[&[]]), None, &[None]),
        ];
        let shown = |wide| resolve(&table(&entries, View { width: None, wide }), false);
        let expected = "\
NAME    PARTITIONS  REPLICAS  RECORDS  CLEANUP
alarms           2         2       16  compact
lame             1         2        0  -
  1 partitions have replicas that are not in sync
dead             1         2        -  -
  1 partitions have no leader: they can be neither read nor written
";
        assert_eq!(shown(false), expected);
        assert!(
            shown(true).contains("alarms           2         2       16  compact  7d                   0\n"),
            "{}",
            shown(true)
        );
        let json = serde_json::to_value(&entries[2]).expect("json");
        assert_eq!(
            (&json["records"], &json["cleanup"], &json["without_leader"]),
            (&serde_json::Value::Null, &serde_json::Value::Null, &1.into())
        );
    }

    #[test]
    fn times_are_told_in_their_unit() {
        for (ms, text) in [(604_800_000, "7d"), (5_400_000, "90m"), (100, "100ms"), (-1, "for ever"), (0, "0")] {
            assert_eq!(retention(ms), text);
        }
    }
}
