//! `connectctl topics describe`

use connect_api::Topic;
use connect_kafka::{Partition, ResourceSetting, Span, TopicState, resource::Origin};
use indexmap::IndexMap;
use serde::Serialize;

use super::super::Context;
use crate::{
    cluster::Asking,
    error::Failure,
    output::View,
    page::Page,
    paint::{Tone, paint},
    table::{Column, Table},
};

/// What `topics describe` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    topics: super::Topics,
}

#[derive(Debug, Serialize)]
struct Place {
    partition: i32,
    /// Null where there is none at the moment.
    leader: Option<i32>,
    replicas: Vec<i32>,
    in_sync: Vec<i32>,
    /// Offset of the first record; null where it is not known, here and below.
    first: Option<i64>,
    /// Offset behind the last record.
    end: Option<i64>,
}

/// A topic in full.
#[derive(Debug, Serialize)]
struct Described {
    name: String,
    id: Option<String>,
    partitions: Vec<Place>,
    replicas: usize,
    records: Option<i64>,
    /// Settings that were made for the topic; with their values.
    set: IndexMap<String, Option<String>>,
    /// All settings; null where the principal may not see them or the broker cannot tell.
    settings: Option<IndexMap<String, Option<String>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

impl Described {
    fn new(topic: &TopicState, id: Option<&str>, settings: Option<&[ResourceSetting]>, spans: &[Option<Span>]) -> Self {
        let place = |(p, span): (&Partition, &Option<Span>)| Place {
            partition: p.number,
            leader: p.leader,
            replicas: p.replicas.clone(),
            in_sync: p.in_sync.clone(),
            first: span.as_ref().map(|s| s.first),
            end: span.as_ref().map(|s| s.end),
        };
        let pairs = |own: bool| {
            let wanted = settings.unwrap_or_default().iter().filter(|s| !own || s.origin == Origin::Topic);
            wanted.map(|s| (s.key.clone(), s.value.clone())).collect()
        };
        Self {
            name: topic.name.clone(),
            id: id.map(str::to_owned),
            partitions: topic.partitions.iter().zip(spans).map(place).collect(),
            replicas: topic.replication(),
            records: spans.iter().map(|s| s.as_ref().map(|s| s.end - s.first)).sum(),
            set: pairs(true),
            settings: settings.map(|_| pairs(false)),
            problem: topic.problem.clone(),
        }
    }

    fn write(&self, page: &mut Page, view: View) {
        page.line(0, &paint(Tone::Strong, &self.name));
        if let Some(problem) = &self.problem {
            page.entry("problem", problem);
        }
        page.entry("partitions", &self.partitions.len().to_string());
        page.entry("replicas", &self.replicas.to_string());
        page.entry("records", &self.records.map_or_else(|| "not known".into(), |n| n.to_string()));
        if let Some(id) = &self.id {
            page.entry("id", id);
        }
        match &self.settings {
            None => page.entry("settings", "not known: the broker does not tell, or you may not see them"),
            Some(_) if self.set.is_empty() => page.entry("settings", "the broker's defaults"),
            Some(all) => {
                for (key, value) in if view.wide { all } else { &self.set } {
                    page.entry("setting", &format!("{key} = {}", value.as_deref().unwrap_or("[hidden]")));
                }
            }
        }
        let columns = [
            Column::number("PARTITION"),
            Column::number("FIRST"),
            Column::number("END"),
            Column::text("LEADER"),
            Column::text("REPLICAS"),
            Column::text("IN SYNC"),
        ];
        let mut table = Table::new(columns);
        let number = |n: Option<i64>| n.map_or_else(|| "-".into(), |n| n.to_string());
        for p in &self.partitions {
            table.row([
                p.partition.to_string(),
                number(p.first),
                number(p.end),
                p.leader.map_or_else(|| "none".into(), |id| id.to_string()),
                ids(&p.replicas),
                ids(&p.in_sync),
            ]);
        }
        for line in table.render(view.width.map(|w| w.saturating_sub(2))).lines() {
            page.text.push_str(&format!("  {line}\n"));
        }
    }
}

/// Ids of brokers in a line.
fn ids(all: &[i32]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

impl Args {
    pub(super) async fn run(&self, context: &Context<'_>) -> Result<(), Failure> {
        let asking = Asking::new(context).await?;
        let cluster = asking.cluster().await?;
        let topics = asking.meant(&self.topics.topics, &cluster, false)?;
        let settings = asking.settings_of(&topics).await?;
        let names: Vec<Topic> = topics.iter().map(|t| t.name.as_str().into()).collect();
        // Ids are something that brokers may not have; all else has been answered.
        let ids = match asking.is_embedded() {
            true => Default::default(),
            false => asking.positions()?.topic_ids(&names, asking.limit).await.unwrap_or_default(),
        };
        let mut all = Vec::with_capacity(topics.len());
        for (topic, settings) in topics.iter().zip(&settings) {
            let spans = asking.spans_of(&[topic]).await?;
            let id = ids.iter().find(|(name, _)| ***name == *topic.name).map(|(_, id)| &**id);
            all.push(Described::new(topic, id, settings.as_deref(), &spans));
        }
        let names = || all.iter().map(|d| d.name.clone()).collect();
        context.output.result(&all, names, |view| text(&all, view))
    }
}

fn text(all: &[Described], view: View) -> String {
    let mut page = Page::new(view.width);
    for (index, described) in all.iter().enumerate() {
        if index > 0 {
            page.text.push('\n');
        }
        described.write(&mut page, view);
    }
    page.text
}

#[cfg(test)]
mod tests {
    use super::{
        super::list::tests::{setting, span, topic},
        *,
    };
    use crate::paint::resolve;

    #[test]
    fn a_topic_is_shown_with_what_was_set_for_it() {
        let settings =
            [setting("cleanup.policy", "compact", Origin::Topic), setting("retention.ms", "1000", Origin::Default)];
        let all =
            [Described::new(&topic("alarms", &[&[1, 2], &[]]), Some("ab12"), Some(&settings), &[span(0, 3, 10), None])];
        let expected = "\
alarms
  partitions    2
  replicas      2
  records       not known
  id            ab12
  setting       cleanup.policy = compact
  PARTITION  FIRST  END  LEADER  REPLICAS  IN SYNC
          0      3   10  1       1,2       1,2
          1      -    -  none    1,2
";
        assert_eq!(resolve(&text(&all, View { width: None, wide: false }), false), expected);
        let wide = resolve(&text(&all, View { width: None, wide: true }), false);
        assert!(wide.contains("retention.ms = 1000"), "{wide}");
    }
}
