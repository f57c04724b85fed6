//! `connectctl groups reset`

use connect_api::{PartitionOffset, TopicPartition, time};
use connect_kafka::{Cluster, GroupError};
use serde::Serialize;

use super::{
    super::{Context, offsets::When},
    has_members, lag,
    lag::Place,
    meant_consumers,
};
use crate::{
    cluster::Asking,
    consent::{Consent, DryRun},
    error::Failure,
    output::View,
    page::Page,
    table::{Column, Table},
};

/// What `groups reset` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Name of the group.
    #[arg(value_name = "GROUP", add = crate::complete::groups())]
    group: String,

    #[command(flatten)]
    target: Target,

    /// Only this topic, also one that the group has not read yet; may be given several times. All that the group has
    /// committed without any.
    #[arg(long, value_name = "TOPIC", add = crate::complete::topics())]
    topic: Vec<String>,

    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    dry_run: DryRun,
}

#[derive(Debug, Clone, Copy, clap::Args)]
#[group(required = true, multiple = false)]
struct Target {
    /// Go on with the first record that Kafka has.
    #[arg(long)]
    to_earliest: bool,

    /// Go on with what comes from now on.
    #[arg(long)]
    to_latest: bool,

    /// Go on with the first record that is not older: 2026-11-21T12:00:00Z, milliseconds since 1970, or 90s, 30m, 12h, 7d ago.
    #[arg(long, value_name = "TIME", value_parser = When::parse)]
    to_time: Option<When>,
}

impl Target {
    fn words(self) -> String {
        match self.to_time {
            Some(when) => time::rfc3339(when.ms),
            None if self.to_latest => "the end".into(),
            None => "the beginning".into(),
        }
    }
}

#[derive(Debug, Serialize)]
struct Move {
    topic: String,
    partition: i32,
    /// Null where nothing was committed.
    old: Option<i64>,
    new: i64,
}

#[derive(Debug, Serialize)]
struct Done {
    group: String,
    partitions: Vec<Move>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dry_run: bool,
}

impl Args {
    pub(super) async fn run(&self, context: &Context<'_>) -> Result<(), Failure> {
        let asking = Asking::new(context).await?;
        let cluster = asking.admin_cluster("resetting a consumer group").await?;
        let name = &self.group;
        meant_consumers(std::slice::from_ref(name), &asking, context).await?;
        let found = asking.answer(asking.admin.describe_groups(std::slice::from_ref(name), asking.limit).await)?;
        let group =
            found.into_iter().next().ok_or_else(|| Failure::Failed(format!("{name}: kafka does not tell of it")))?;
        let group = asking.answer(group)?;
        if !group.members.is_empty() {
            return Err(has_members(name, group.members.len()));
        }
        let places = lag::places(&group, &asking).await?;
        let partitions = self.partitions(&places, &cluster, &asking)?;
        let moves = self.moves(partitions, &places, &asking).await?;
        let dry_run = self.dry_run.dry_run;
        if !dry_run {
            let what = format!("have group {name} go on at {} in {} partitions", self.target.words(), moves.len());
            self.consent.ask(&what)?;
            let offsets: Vec<PartitionOffset> = moves
                .iter()
                .map(|m| PartitionOffset {
                    partition: TopicPartition { topic: m.topic.as_str().into(), partition: m.partition },
                    offset: m.new,
                })
                .collect();
            let set = lag::offsets_of(name, &asking)?.alter(&offsets).await;
            asking.answer(set.map_err(GroupError::into_error))?;
        }
        let done = Done { group: name.clone(), partitions: moves, dry_run };
        context.output.result(&done, || vec![name.clone()], |view| text(&done, view))
    }

    /// Which partitions are meant.
    fn partitions(&self, places: &[Place], cluster: &Cluster, asking: &Asking) -> Result<Vec<TopicPartition>, Failure> {
        let found: Vec<TopicPartition> = if self.topic.is_empty() {
            // What is gone has no places to go to.
            let there = places.iter().filter(|p| p.end.is_some());
            there.map(|p| TopicPartition { topic: p.topic.as_str().into(), partition: p.partition }).collect()
        } else {
            let topics = asking.meant(&self.topic, cluster, true)?;
            let all = topics.iter().flat_map(|t| t.partitions.iter().map(|p| (t.name.as_str(), p.number)));
            all.map(|(topic, partition)| TopicPartition { topic: topic.into(), partition }).collect()
        };
        if found.is_empty() {
            let text = format!(
                "{}: the group has committed nothing of topics that there are; name them with --topic",
                self.group
            );
            return Err(Failure::Failed(text));
        }
        Ok(found)
    }

    async fn moves(
        &self,
        partitions: Vec<TopicPartition>,
        places: &[Place],
        asking: &Asking,
    ) -> Result<Vec<Move>, Failure> {
        let positions = asking.positions()?;
        let offsets: Vec<i64> = if let Some(when) = self.target.to_time {
            let found = asking.answer(positions.at(&partitions, when.ms, asking.limit).await)?;
            found.into_iter().map(|o| o.offset).collect()
        } else {
            let spans = asking.answer(positions.spans(&partitions, asking.limit).await)?;
            spans.into_iter().map(|s| if self.target.to_latest { s.end } else { s.first }).collect()
        };
        let old = |p: &TopicPartition| {
            places.iter().find(|place| *place.topic == *p.topic && place.partition == p.partition)?.offset
        };
        let one = |(p, new): (&TopicPartition, i64)| Move {
            topic: p.topic.to_string(),
            partition: p.partition,
            old: old(p),
            new,
        };
        Ok(partitions.iter().zip(offsets).map(one).collect())
    }
}

fn text(done: &Done, view: View) -> String {
    let mut page = Page::new(view.width);
    let would = if done.dry_run { "would go" } else { "goes" };
    page.line(0, &format!("{} {would} on there:", done.group));
    let columns =
        [Column::text("TOPIC").whole(), Column::number("PARTITION"), Column::number("WAS"), Column::number("IS")];
    let mut table = Table::new(columns);
    for m in &done.partitions {
        let old = m.old.map_or_else(|| "-".into(), |n| n.to_string());
        table.row([m.topic.clone(), m.partition.to_string(), old, m.new.to_string()]);
    }
    page.text + &table.render(view.width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paint::resolve;

    #[test]
    fn what_moves_is_shown() {
        let one = |partition, old, new| Move { topic: "t".into(), partition, old, new };
        let done = Done { group: "g".into(), partitions: vec![one(0, Some(9), 2), one(1, None, 0)], dry_run: true };
        let expected = "\
g would go on there:
TOPIC  PARTITION  WAS  IS
t              0    9   2
t              1    -   0
";
        assert_eq!(resolve(&text(&done, View { width: None, wide: false }), false), expected);
    }
}
