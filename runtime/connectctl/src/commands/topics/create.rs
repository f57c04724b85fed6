//! `connectctl topics create`

use connect_kafka::{Cluster, Resource, TopicSpec, TopicState};

use super::super::{Context, Outcome, Outcomes};
use crate::{
    args::assignment,
    cluster::{Asking, check_key},
    consent::DryRun,
    error::Failure,
};

/// What `topics create` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Names of topics.
    #[arg(value_name = "TOPIC", required = true, value_parser = topic)]
    topics: Vec<String>,

    /// Partitions; the broker's num.partitions if nobody says.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=100_000))]
    partitions: Option<i32>,

    /// On how many brokers each partition is to be; the broker's default.replication.factor if nobody says.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=1000))]
    replication: Option<i32>,

    /// A setting of the topic, such as cleanup.policy=compact; may be given several times.
    #[arg(short = 'c', long = "config", value_name = "KEY=VALUE", value_parser = assignment)]
    settings: Vec<(String, String)>,

    /// Leave a topic that exists as it is, and be content.
    #[arg(long)]
    if_not_exists: bool,

    #[command(flatten)]
    dry_run: DryRun,
}

/// A name that a topic may have.
pub(super) fn topic(text: &str) -> Result<String, String> {
    const LONGEST: usize = 249;
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if text.is_empty() || text.len() > LONGEST || matches!(text, "." | "..") || !text.chars().all(fits) {
        return Err(format!(
            "a topic's name has 1 to {LONGEST} of the characters a to z, A to Z, 0 to 9, '.', '_' and '-'"
        ));
    }
    Ok(text.to_owned())
}

impl Args {
    pub(super) async fn run(&self, context: &Context<'_>) -> Result<(), Failure> {
        let asking = Asking::new(context).await?;
        let cluster = asking.admin_cluster("creating topics").await?;
        self.check_keys(&asking, &cluster).await?;
        let mut outcomes = Outcomes::default();
        for name in &self.topics {
            let outcome = self.create(name, &cluster, &asking, context).await;
            if !outcomes.add(context, name, outcome.map_err(|e| e.of(name))) {
                break;
            }
        }
        outcomes.print(context)
    }

    /// A topic that there is knows all settings that topics have.
    async fn check_keys(&self, asking: &Asking, cluster: &Cluster) -> Result<(), Failure> {
        let Some(any) = cluster.topics.first().filter(|_| !self.settings.is_empty()) else { return Ok(()) };
        let known = asking.settings_of(&[any]).await?.pop().flatten().unwrap_or_default();
        self.settings.iter().try_for_each(|(key, _)| check_key(key, "a topic", &known))
    }

    async fn create(
        &self,
        name: &str,
        cluster: &Cluster,
        asking: &Asking,
        context: &Context<'_>,
    ) -> Result<Outcome, Failure> {
        if let Some(found) = cluster.topics.iter().find(|t| t.name == name && t.problem.is_none()) {
            return self.exists(found, context);
        }
        let spec = TopicSpec {
            name: name.to_owned(),
            partitions: self.partitions.unwrap_or(-1),
            replication_factor: self.replication.unwrap_or(-1),
            settings: self.settings.clone(),
        };
        let dry_run = self.dry_run.dry_run;
        let created = if dry_run {
            asking.admin.try_topic(&spec, asking.limit).await
        } else {
            asking.admin.create_topic(&spec).await
        };
        let created = match asking.answer(created) {
            Err(Failure::Failed(text)) => return Err(Failure::Failed(self.why(text, cluster, asking).await)),
            other => other?,
        };
        if !created {
            // It was created since the list was made.
            let found = asking.cluster().await?;
            let none = TopicState { name: name.to_owned(), partitions: Vec::new(), problem: None };
            return self.exists(found.topics.iter().find(|t| t.name == name).unwrap_or(&none), context);
        }
        Ok(Outcome { dry_run, ..Outcome::new(name, "created") })
    }

    /// Why the settings are refused, in the broker's words if it has any. Of a topic that is to be created it only tells that
    /// something is wrong; of settings of a topic that there is, which and why. None is changed by that.
    async fn why(&self, refused: String, cluster: &Cluster, asking: &Asking) -> String {
        let Some(any) = cluster.topics.iter().find(|t| t.problem.is_none()) else { return refused };
        let of = Resource::Topic(any.name.clone());
        for (key, value) in &self.settings {
            let change = [(key.clone(), Some(value.clone()))];
            if let Err(e) = asking.admin.alter(&of, &change, true, asking.limit).await
                && e.class() == connect_api::ErrorClass::Fatal
                && !connect_kafka::not_permitted(&e)
            {
                let words = e.message();
                // What it was asked of is no matter of this topic.
                let words = words.strip_prefix(&format!("changing settings of {of}: ")).unwrap_or(words);
                return format!("{key}={value}: {words}");
            }
        }
        refused
    }

    fn exists(&self, found: &TopicState, context: &Context<'_>) -> Result<Outcome, Failure> {
        if !self.if_not_exists {
            let text = "the topic exists; --if-not-exists leaves it as it is, connectctl topics config and partitions change it";
            return Err(Failure::Failed(text.into()));
        }
        let partitions = found.partitions.len();
        if let Some(wanted) = self.partitions.filter(|n| usize::try_from(*n).is_ok_and(|n| n != partitions)) {
            context.output.say(&format!("{}: warning: it has {partitions} partitions, not {wanted}", found.name));
        }
        Ok(Outcome { dry_run: self.dry_run.dry_run, ..Outcome::new(&found.name, "unchanged") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kafkas() {
        assert!(topic("a.B_c-9").is_ok());
        for wrong in ["", ".", "..", "a b", "ä", "a/b", "a*", &"x".repeat(250)] {
            assert!(topic(wrong).is_err(), "{wrong}");
        }
    }
}
