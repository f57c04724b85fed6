//! Settings of topics and brokers, shown and changed.

use connect_kafka::{Resource, ResourceSetting, resource::Origin};
use serde::Serialize;

use crate::{
    cluster::{Asking, check_key},
    commands::Context,
    error::Failure,
    output::View,
    page::Page,
    table::{Column, Table},
};

/// Which settings are to be shown.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Wanted {
    /// Also those that nobody has set.
    #[arg(short, long)]
    pub all: bool,

    /// Only this one, whoever has set it; may be given several times.
    #[arg(short, long, value_name = "KEY")]
    pub key: Vec<String>,
}

#[derive(Debug, Serialize)]
struct One {
    key: String,
    /// Null where the broker keeps it for itself.
    value: Option<String>,
    origin: &'static str,
    secret: bool,
    read_only: bool,
}

/// The settings of a topic or a broker.
#[derive(Debug, Serialize)]
pub struct Shown {
    name: String,
    settings: Vec<One>,
}

/// How a topic or a broker is called where several are shown.
fn name_of(resource: &Resource) -> String {
    match resource {
        Resource::Topic(name) => name.clone(),
        Resource::Broker(_) => resource.to_string(),
    }
}

/// Whether somebody has made the setting for just this, as far as it can be taken back here.
fn is_own(resource: &Resource, origin: Origin) -> bool {
    origin == if matches!(resource, Resource::Topic(_)) { Origin::Topic } else { Origin::Broker }
}

/// Whether the setting makes it what it is: what stands in the brokers' files is only a default of topics.
fn is_made(resource: &Resource, origin: Origin) -> bool {
    let of_brokers = matches!(resource, Resource::Broker(_)) && matches!(origin, Origin::File | Origin::Cluster);
    is_own(resource, origin) || of_brokers
}

fn word(origin: Origin) -> &'static str {
    match origin {
        Origin::Topic => "topic",
        Origin::Broker => "broker",
        Origin::Cluster => "cluster",
        Origin::File => "file",
        Origin::Default => "default",
        Origin::Unknown => "unknown",
    }
}

impl Shown {
    /// Those that are wanted. A key that there is not is a failure with the nearest one.
    pub fn new(of: &Resource, settings: &[ResourceSetting], wanted: &Wanted) -> Result<Self, Failure> {
        let name = name_of(of);
        wanted.key.iter().try_for_each(|key| check_key(key, &name, settings))?;
        let is_meant = |s: &&ResourceSetting| match wanted.key.as_slice() {
            [] => wanted.all || is_made(of, s.origin),
            keys => keys.contains(&s.key),
        };
        let one = |s: &ResourceSetting| One {
            key: s.key.clone(),
            value: s.value.clone(),
            origin: word(s.origin),
            secret: s.secret,
            read_only: s.read_only,
        };
        Ok(Self { name, settings: settings.iter().filter(is_meant).map(one).collect() })
    }
}

/// Prints them; names are keys.
pub fn show_settings(all: &[Shown], context: &Context<'_>) -> Result<(), Failure> {
    if all.iter().all(|s| s.settings.is_empty()) && context.output.is_table() {
        context.output.say("nothing was set; --all shows the defaults");
    }
    let names = || all.iter().flat_map(|s| s.settings.iter().map(|one| one.key.clone())).collect();
    context.output.result(&all, names, |view| text(all, view))
}

fn text(all: &[Shown], view: View) -> String {
    if all.iter().all(|s| s.settings.is_empty()) {
        return String::new();
    }
    let [name, key, value] = ["NAME", "KEY", "VALUE"].map(|title| Column::text(title).whole());
    let columns = [name, key, Column::text("FROM"), value];
    let mut table = Table::new(columns);
    for shown in all {
        for s in &shown.settings {
            let value = s.value.clone().unwrap_or_else(|| if s.secret { "[hidden]".into() } else { "-".into() });
            table.row([shown.name.clone(), s.key.clone(), s.origin.to_owned(), value]);
        }
    }
    table.render(view.width)
}

/// A setting before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Change {
    key: String,
    /// Null where it is a secret.
    old: Option<String>,
    /// Null where the default applies again.
    new: Option<String>,
}

/// What changes of a topic or a broker.
#[derive(Debug, Serialize)]
pub struct Altered {
    name: String,
    changes: Vec<Change>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dry_run: bool,
}

impl Altered {
    /// What of these changes differs from what is.
    pub fn plan(of: &Resource, has: &[ResourceSetting], changes: &[(String, Option<String>)]) -> Result<Self, Failure> {
        let name = name_of(of);
        let mut planned: Vec<Change> = Vec::new();
        for (key, new) in changes {
            check_key(key, &name, has)?;
            let found = has.iter().find(|s| s.key == *key);
            if found.is_some_and(|s| s.read_only) {
                let text =
                    format!("{name}: {key} cannot be changed while the broker runs; it is a setting of its file");
                return Err(Failure::Failed(text));
            }
            let was_set = found.is_some_and(|s| is_own(of, s.origin));
            let old = found.and_then(|s| s.value.clone());
            let same = match new {
                Some(new) => was_set && old.as_ref() == Some(new),
                None => !was_set,
            };
            if planned.iter().any(|c| c.key == *key) {
                return Err(Failure::Usage(format!("{key} is given twice")));
            }
            if !same {
                planned.push(Change { key: key.clone(), old, new: new.clone() });
            }
        }
        Ok(Self { name, changes: planned, dry_run: false })
    }

    fn write(&self, page: &mut Page) {
        let would = if self.dry_run { "would be " } else { "" };
        if self.changes.is_empty() {
            return page.line(0, &format!("{} unchanged", self.name));
        }
        page.line(0, &format!("{} {would}changed", self.name));
        for c in &self.changes {
            let old = c.old.as_deref().unwrap_or("[hidden]");
            page.line(2, &format!("{}: {old} → {}", c.key, c.new.as_deref().unwrap_or("the default")));
        }
    }
}

/// Has Kafka take the changes, or in a dry run say whether it would, and prints them.
pub async fn show_altered(
    all: Vec<(Resource, Altered)>,
    dry_run: bool,
    asking: &Asking,
    context: &Context<'_>,
) -> Result<(), Failure> {
    let mut done = Vec::with_capacity(all.len());
    let mut failure = None;
    for (resource, mut altered) in all {
        let pairs: Vec<_> = altered.changes.iter().map(|c| (c.key.clone(), c.new.clone())).collect();
        match asking.answer(asking.admin.alter(&resource, &pairs, dry_run, asking.limit).await) {
            Ok(()) => {
                altered.dry_run = dry_run;
                done.push(altered);
            }
            Err(e @ Failure::Unreachable(_)) => {
                failure = Some(e);
                break;
            }
            // One failure does not keep the others from their turn.
            Err(e) => {
                context.output.problem(&e.to_string());
                failure = Some(Failure::Reported);
            }
        }
    }
    let names = || done.iter().map(|a| a.name.clone()).collect();
    context.output.result(&done, names, |view| {
        let mut page = Page::new(view.width);
        done.iter().for_each(|altered| altered.write(&mut page));
        page.text
    })?;
    failure.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paint::resolve;

    fn setting(key: &str, value: &str, origin: Origin) -> ResourceSetting {
        ResourceSetting { key: key.into(), value: Some(value.into()), origin, secret: false, read_only: key == "fixed" }
    }

    fn settings() -> Vec<ResourceSetting> {
        vec![
            setting("retention.ms", "1000", Origin::Topic),
            setting("min.insync.replicas", "2", Origin::Cluster),
            setting("segment.ms", "7", Origin::Default),
            setting("fixed", "x", Origin::File),
        ]
    }

    fn planned(changes: &[(&str, Option<&str>)]) -> Result<Altered, Failure> {
        let changes: Vec<_> = changes.iter().map(|(k, v)| ((*k).to_owned(), v.map(str::to_owned))).collect();
        Altered::plan(&Resource::Topic("alarms".into()), &settings(), &changes)
    }

    #[test]
    fn only_what_differs_is_changed() {
        let altered = planned(&[("retention.ms", Some("5")), ("segment.ms", None)]).expect("plan");
        let mut page = Page::new(None);
        altered.write(&mut page);
        assert_eq!(page.text, "alarms changed\n  retention.ms: 1000 → 5\n");
        // What is the default by chance is set for good.
        assert_eq!(planned(&[("segment.ms", Some("7"))]).expect("plan").changes.len(), 1);
        assert!(planned(&[("min.insync.replicas", None)]).expect("plan").changes.is_empty(), "nobody set it here");
        assert!(planned(&[("retention.ms", Some("1000"))]).expect("plan").changes.is_empty());
        let altered = Altered { dry_run: true, ..planned(&[("retention.ms", None)]).expect("plan") };
        let mut page = Page::new(None);
        altered.write(&mut page);
        assert_eq!(page.text, "alarms would be changed\n  retention.ms: 1000 → the default\n");
    }

    #[test]
    fn what_cannot_be_changed_is_told() {
        for (changes, part) in [
            (&[("retention.sm", Some("1"))][..], "alarms has no setting retention.sm; did you mean retention.ms?"),
            (&[("fixed", Some("1"))], "cannot be changed while the broker runs"),
            (&[("segment.ms", Some("1")), ("segment.ms", Some("2"))], "given twice"),
        ] {
            let said = planned(changes).expect_err(part).to_string();
            assert!(said.contains(part), "{said}");
        }
    }

    #[test]
    fn settings_that_were_made_are_shown_and_others_on_demand() {
        let all = |of: Resource, wanted: Wanted| {
            let shown = Shown::new(&of, &settings(), &wanted).expect("settings");
            resolve(&text(&[shown], View { width: None, wide: false }), false)
        };
        let topic = || Resource::Topic("t".into());
        let expected = "\
NAME  KEY           FROM   VALUE
t     retention.ms  topic  1000
";
        assert_eq!(all(topic(), Wanted::default()), expected);
        let expected = "\
NAME      KEY                  FROM     VALUE
broker 1  min.insync.replicas  cluster  2
broker 1  fixed                file     x
";
        assert_eq!(all(Resource::Broker(1), Wanted::default()), expected);
        assert!(all(topic(), Wanted { all: true, key: Vec::new() }).contains("segment.ms"));
        let one = all(topic(), Wanted { all: false, key: vec!["segment.ms".into()] });
        assert!(one.contains("segment.ms") && !one.contains("retention.ms"), "{one}");
    }

    #[test]
    fn values_are_whole_in_every_terminal() {
        let listeners = "SASL_SSL://broker-1.plant.example.org:9093,CONTROLLER://broker-1.plant.example.org:9094";
        let settings = [
            setting("advertised.listeners", listeners, Origin::File),
            setting("transaction.remove.expired.transaction.cleanup.interval.ms", "3600000", Origin::Default),
        ];
        let shown = Shown::new(&Resource::Broker(1), &settings, &Wanted { all: true, key: Vec::new() });
        let shown = [shown.expect("settings")];
        let of = |width| resolve(&text(&shown, View { width: Some(width), wide: false }), false);
        let expected = "\
NAME      KEY                            FROM     VALUE
broker 1  advertised.listeners           file     SASL_SSL://broker-1.plant.
                                                    example.org:9093,CONTROLLER:
                                                    //broker-1.plant.example.
                                                    org:9094
broker 1  transaction.remove.expired.    default  3600000
            transaction.cleanup.
            interval.ms
";
        assert_eq!(of(80), expected);
        for width in [50, 60, 80, 100, 120] {
            let text = of(width);
            let fits = text.lines().all(|l| l.chars().count() <= width);
            assert!(fits && text.lines().next().is_some_and(|l| l.contains("FROM     VALUE")), "{text}");
            assert!(text.contains(" 3600000\n") && !text.contains('…'), "{text}");
        }
    }
}
