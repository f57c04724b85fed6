//! `connectctl groups describe`

use connect_kafka::{Group, GroupMember};
use serde::Serialize;

use super::{super::Context, Groups, known, lag, lag::Place, meant, others, others::DescribedOther};
use crate::{
    cluster::Asking,
    error::Failure,
    output::View,
    page::Page,
    paint::{Tone, paint},
    table::{Column, Table},
    watch::Watch,
};

/// What `groups describe` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    groups: Groups,
    #[command(flatten)]
    watch: Watch,
}

#[derive(Debug, Serialize)]
struct Member {
    client: String,
    id: String,
    host: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    /// Partitions that it reads.
    reads: usize,
}

impl Member {
    fn new(member: &GroupMember) -> Self {
        Self {
            client: member.client.clone(),
            id: member.id.clone(),
            host: member.host.clone(),
            instance: member.instance.clone(),
            reads: member.partitions.len(),
        }
    }
}

#[derive(Debug, Serialize)]
struct Described {
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    state: String,
    protocol: String,
    assignor: Option<String>,
    coordinator: Option<i32>,
    members: Vec<Member>,
    /// Of all partitions whose lag is known.
    lag: i64,
    partitions: Vec<Place>,
}

impl Described {
    fn new(group: Group, partitions: Vec<Place>) -> Self {
        Self {
            members: group.members.iter().map(Member::new).collect(),
            lag: partitions.iter().filter_map(|p| p.lag).sum(),
            name: group.name,
            kind: "consumer",
            state: group.state,
            protocol: group.kind,
            assignor: group.assignor,
            coordinator: group.coordinator,
            partitions,
        }
    }

    fn write(&self, page: &mut Page) {
        page.line(0, &paint(Tone::Strong, &self.name));
        page.entry("state", &self.state);
        page.entry("lag", &self.lag.to_string());
        if let Some(assignor) = &self.assignor {
            page.entry("assignor", assignor);
        }
        if let Some(id) = self.coordinator {
            page.entry("coordinator", &format!("broker {id}"));
        }
        for m in &self.members {
            let instance = m.instance.as_ref().map_or_else(String::new, |id| format!(", instance {id}"));
            let partitions = if m.reads == 1 { "partition" } else { "partitions" };
            page.entry("member", &format!("{} at {}{instance}, reads {} {partitions}", m.client, m.host, m.reads));
        }
        if self.partitions.is_empty() {
            return page.entry("partitions", "nothing was committed");
        }
        let columns = [
            Column::text("TOPIC").whole(),
            Column::number("PARTITION"),
            Column::number("OFFSET"),
            Column::number("END"),
            Column::number("LAG"),
            Column::text("MEMBER").optional(),
        ];
        let mut table = Table::new(columns);
        let number = |n: Option<i64>| n.map_or_else(|| "-".into(), |n| n.to_string());
        for p in &self.partitions {
            table.row([
                p.topic.clone(),
                p.partition.to_string(),
                number(p.offset),
                p.end.map_or_else(|| "gone".into(), |n| n.to_string()),
                number(p.lag),
                p.member.clone().unwrap_or_default(),
            ]);
        }
        for line in table.render(page.width.map(|w| w.saturating_sub(2))).lines() {
            page.text.push_str(&format!("  {line}\n"));
        }
    }
}

impl Args {
    pub(super) async fn run(&self, context: &Context<'_>) -> Result<(), Failure> {
        self.watch.run(context, async || self.look(context).await).await
    }

    async fn look(&self, context: &Context<'_>) -> Result<(), Failure> {
        let asking = Asking::new(context).await?;
        asking.admin_cluster("describing consumer groups").await?;
        let known = known(&asking).await?;
        let written = &self.groups.groups;
        // Only for these it matters whether there are others.
        let is_other = |name: &String| !known.contains(name);
        let others = if written.iter().any(is_other) { others(&asking, context).await } else { Vec::new() };
        let named: Vec<String> = known.iter().chain(others.iter().map(|o| &o.name)).cloned().collect();
        let wanted = meant(written, &named, &asking)?;
        let names: Vec<String> = wanted.iter().filter(|name| known.contains(name)).cloned().collect();
        let mut all = Vec::with_capacity(wanted.len());
        for group in asking.answer(asking.admin.describe_groups(&names, asking.limit).await)? {
            let group = asking.answer(group)?;
            let places = lag::places(&group, &asking).await?;
            all.push(Shown::Consumers(Described::new(group, places)));
        }
        let others = others.into_iter().filter(|other| wanted.contains(&other.name));
        all.extend(others.map(|other| Shown::Others(DescribedOther::new(other))));
        let names = || all.iter().map(|shown| shown.name().to_owned()).collect();
        context.output.result(&all, names, |view| text(&all, view))
    }
}

/// A group of either kind.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Shown {
    Consumers(Described),
    Others(DescribedOther),
}

impl Shown {
    fn name(&self) -> &str {
        match self {
            Self::Consumers(group) => &group.name,
            Self::Others(group) => group.name(),
        }
    }
}

fn text(all: &[Shown], view: View) -> String {
    let mut page = Page::new(view.width);
    for (index, described) in all.iter().enumerate() {
        if index > 0 {
            page.text.push('\n');
        }
        match described {
            Shown::Consumers(group) => group.write(&mut page),
            Shown::Others(group) => group.write(&mut page),
        }
    }
    page.text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paint::resolve;

    #[test]
    fn a_group_is_shown_with_members_and_lag() {
        let member = GroupMember {
            id: "c-1".into(),
            client: "reader".into(),
            host: "/127.0.0.1".into(),
            instance: None,
            partitions: vec![connect_api::TopicPartition { topic: "alarms".into(), partition: 0 }],
        };
        let group = Group {
            name: "g".into(),
            state: "Stable".into(),
            kind: "Classic".into(),
            assignor: Some("range".into()),
            coordinator: Some(1),
            members: vec![member],
        };
        let place = |partition, offset, end: Option<i64>, member: Option<&str>| Place {
            topic: "alarms".into(),
            partition,
            offset,
            end,
            lag: Option::zip(offset, end).map(|(offset, end): (i64, i64)| end - offset),
            member: member.map(str::to_owned),
        };
        let places = vec![place(0, Some(3), Some(10), Some("reader")), place(1, Some(4), None, None)];
        let expected = "\
g
  state         Stable
  lag           7
  assignor      range
  coordinator   broker 1
  member        reader at /127.0.0.1, reads 1 partition
  TOPIC   PARTITION  OFFSET   END  LAG  MEMBER
  alarms          0       3    10    7  reader
  alarms          1       4  gone    -
";
        let all = [Shown::Consumers(Described::new(group, places))];
        assert_eq!(resolve(&text(&all, View { width: None, wide: false }), false), expected);
    }
}
