//! `connectctl brokers list` and `describe`

use connect_api::ErrorClass;
use connect_kafka::{Cluster, ResourceSetting, resource::Origin, version_told_by};
use indexmap::IndexMap;
use serde::Serialize;

use super::{super::Context, Ids};
use crate::{
    cluster::Asking,
    error::Failure,
    output::View,
    page::Page,
    paint::{Tone, paint},
    table::{Column, Table},
    watch::Watch,
};

/// What `brokers list` takes.
#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    watch: Watch,
}

/// What `brokers describe` takes.
#[derive(Debug, clap::Args)]
pub(super) struct DescribeArgs {
    #[command(flatten)]
    brokers: Ids,
}

/// A broker and what it has.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Entry {
    id: i32,
    address: String,
    /// Whether it takes requests for the controller.
    controller: bool,
    /// Partitions that it leads.
    leads: usize,
    /// Replicas that it is to have.
    has: usize,
    out_of_sync: usize,
}

fn entries(cluster: &Cluster, controller: Option<i32>) -> Vec<Entry> {
    let partitions = || cluster.topics.iter().flat_map(|t| &t.partitions);
    let entry = |b: &connect_kafka::Broker| Entry {
        id: b.id,
        address: format!("{}:{}", b.host, b.port),
        controller: controller == Some(b.id),
        leads: partitions().filter(|p| p.leader == Some(b.id)).count(),
        has: partitions().filter(|p| p.replicas.contains(&b.id)).count(),
        out_of_sync: partitions().filter(|p| p.replicas.contains(&b.id) && !p.in_sync.contains(&b.id)).count(),
    };
    cluster.brokers.iter().map(entry).collect()
}

/// Brokers that are to have replicas but are not there, with how many.
fn absent(cluster: &Cluster) -> IndexMap<i32, usize> {
    let mut found = IndexMap::new();
    for id in cluster.topics.iter().flat_map(|t| &t.partitions).flat_map(|p| &p.replicas) {
        if !cluster.brokers.iter().any(|b| b.id == *id) {
            *found.entry(*id).or_default() += 1;
        }
    }
    found
}

pub(super) async fn list(args: &ListArgs, context: &Context<'_>) -> Result<(), Failure> {
    args.watch.run(context, async || look(context).await).await
}

async fn look(context: &Context<'_>) -> Result<(), Failure> {
    let asking = Asking::new(context).await?;
    let cluster = asking.cluster().await?;
    let controller = asking.answer(asking.admin.controller(asking.limit).await)?;
    let all = entries(&cluster, controller);
    for (id, replicas) in absent(&cluster) {
        context.output.say(&format!("warning: broker {id}, which is to have {replicas} replicas, is not there"));
    }
    let names = || all.iter().map(|b| b.id.to_string()).collect();
    context.output.result(&all, names, |view| table(&all, view))
}

fn table(all: &[Entry], view: View) -> String {
    let columns = [
        Column::text("ID"),
        Column::text("ADDRESS").whole(),
        Column::number("LEADS"),
        Column::number("HAS"),
        Column::number("OUT OF SYNC"),
        Column::text("CONTROLLER").optional(),
    ];
    let mut table = Table::new(columns);
    for b in all {
        table.row([
            b.id.to_string(),
            b.address.clone(),
            b.leads.to_string(),
            b.has.to_string(),
            b.out_of_sync.to_string(),
            if b.controller { "asked" } else { "" }.to_owned(),
        ]);
    }
    table.render(view.width)
}

/// A broker in full.
#[derive(Debug, Serialize)]
struct Described {
    #[serde(flatten)]
    entry: Entry,
    cluster: Option<String>,
    rack: Option<String>,
    /// Null where the broker has no such setting, as with ZooKeeper.
    roles: Option<String>,
    /// What its settings say of its version.
    version: Option<String>,
    /// Settings that were made; null where the principal may not see them. Null values are secrets.
    settings: Option<IndexMap<String, Option<String>>>,
}

impl Described {
    fn new(entry: Entry, cluster: Option<String>, settings: Option<&[ResourceSetting]>) -> Self {
        let value = |key: &str| settings?.iter().find(|s| s.key == key)?.value.clone().filter(|v| !v.is_empty());
        let made = |all: &[ResourceSetting]| {
            let made = all.iter().filter(|s| !matches!(s.origin, Origin::Default | Origin::Unknown));
            made.map(|s| (s.key.clone(), s.value.clone())).collect()
        };
        Self {
            entry,
            cluster,
            rack: value("broker.rack"),
            roles: value("process.roles"),
            version: settings.and_then(version_told_by),
            settings: settings.map(made),
        }
    }

    fn write(&self, page: &mut Page) {
        let Entry { id, address, controller, leads, has, out_of_sync } = &self.entry;
        page.line(0, &paint(Tone::Strong, &format!("broker {id} at {address}")));
        if let Some(cluster) = &self.cluster {
            page.entry("cluster", cluster);
        }
        if *controller {
            page.entry("controller", "it takes requests for it");
        }
        if let Some(roles) = &self.roles {
            page.entry("roles", roles);
        }
        if let Some(rack) = &self.rack {
            page.entry("rack", rack);
        }
        page.entry("version", self.version.as_deref().unwrap_or("not told"));
        page.entry("partitions", &format!("leads {leads}, has {has}, {out_of_sync} of them out of sync"));
        match &self.settings {
            None => page.entry("settings", "not known: the broker does not tell, or you may not see them"),
            Some(all) => all.iter().for_each(|(key, value)| {
                page.entry("setting", &format!("{key} = {}", value.as_deref().unwrap_or("[hidden]")));
            }),
        }
    }
}

pub(super) async fn describe(args: &DescribeArgs, context: &Context<'_>) -> Result<(), Failure> {
    let asking = Asking::new(context).await?;
    let cluster = asking.cluster().await?;
    let ids = args.brokers.among(&cluster, &asking)?;
    let controller = asking.answer(asking.admin.controller(asking.limit).await)?;
    let name = asking.answer(asking.admin.cluster_id(asking.limit).await)?;
    let mut all = Vec::new();
    for entry in entries(&cluster, controller).into_iter().filter(|e| ids.contains(&e.id)) {
        let settings = match asking.settings_of_broker(entry.id).await {
            // Who may not see the settings sees the rest.
            Some(Err(e)) if e.class() == ErrorClass::Fatal => None,
            Some(found) => Some(asking.answer(found)?),
            None => None,
        };
        all.push(Described::new(entry, name.clone(), settings.as_deref()));
    }
    let names = || all.iter().map(|d| d.entry.id.to_string()).collect();
    context.output.result(&all, names, |view| {
        let mut page = Page::new(view.width);
        for (index, described) in all.iter().enumerate() {
            if index > 0 {
                page.text.push('\n');
            }
            described.write(&mut page);
        }
        page.text
    })
}

#[cfg(test)]
mod tests {
    use connect_kafka::{Broker, Partition, TopicState};

    use super::*;
    use crate::paint::resolve;

    fn cluster() -> Cluster {
        let partition = |number, leader, in_sync: &[i32]| Partition {
            number,
            leader,
            replicas: vec![1, 2],
            in_sync: in_sync.to_vec(),
        };
        let partitions = vec![partition(0, Some(1), &[1]), partition(1, Some(1), &[1])];
        let broker = Broker { id: 1, host: "kafka".into(), port: 9092 };
        let topic = TopicState { name: "t".into(), partitions, problem: None };
        Cluster { brokers: vec![broker], topics: vec![topic], told_by: 1 }
    }

    #[test]
    fn brokers_are_shown_with_what_they_have() {
        let all = entries(&cluster(), Some(1));
        let expected = "\
ID  ADDRESS     LEADS  HAS  OUT OF SYNC  CONTROLLER
1   kafka:9092      2    2            0  asked
";
        assert_eq!(resolve(&table(&all, View { width: None, wide: false }), false), expected);
        assert_eq!(absent(&cluster()).into_iter().collect::<Vec<_>>(), [(2, 2)]);
        let setting = |key: &str, value: Option<&str>, origin| ResourceSetting {
            key: key.into(),
            value: value.map(str::to_owned),
            origin,
            secret: value.is_none(),
            read_only: false,
        };
        let settings = [
            setting("broker.rack", Some("r1"), Origin::File),
            setting("ssl.key.password", None, Origin::File),
            setting("x", Some("1"), Origin::Default),
        ];
        let mut page = Page::new(None);
        Described::new(all[0].clone(), Some("abc".into()), Some(&settings)).write(&mut page);
        let expected = "\
broker 1 at kafka:9092
  cluster       abc
  controller    it takes requests for it
  rack          r1
  version       not told
  partitions    leads 2, has 2, 0 of them out of sync
  setting       broker.rack = r1
  setting       ssl.key.password = [hidden]
";
        assert_eq!(resolve(&page.text, false), expected);
    }
}
