//! `connectctl topics delete`

use super::super::{Context, Outcome, Outcomes};
use crate::{
    cluster::{Asking, is_internal},
    consent::{Consent, DryRun, listed},
    error::Failure,
};

/// What `topics delete` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    topics: super::Topics,

    /// Also topics whose names begin with _, which Kafka and other programs have for themselves.
    #[arg(short, long)]
    all: bool,

    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    dry_run: DryRun,
}

impl Args {
    pub(super) async fn run(&self, context: &Context<'_>) -> Result<(), Failure> {
        let asking = Asking::new(context).await?;
        let cluster = asking.admin_cluster("deleting topics").await?;
        let meant = asking.meant(&self.topics.topics, &cluster, self.all)?;
        let names: Vec<String> = meant.iter().map(|t| t.name.clone()).collect();
        if let Some(internal) = names.iter().find(|name| !self.all && is_internal(name)) {
            let text = format!(
                "{internal} is a topic that Kafka or another program has for itself; --all deletes it all the same"
            );
            return Err(Failure::Usage(text));
        }
        let dry_run = self.dry_run.dry_run;
        if !dry_run {
            let spans = asking.spans_of(&meant).await?;
            let records: i64 = spans.iter().flatten().map(|s| s.end - s.first).sum();
            let topics = if names.len() == 1 { "topic" } else { "topics" };
            self.consent.ask(&format!("delete {topics} {} with {records} records", listed(&names)))?;
        }
        let mut outcomes = Outcomes::default();
        for name in &names {
            let done =
                if dry_run { Ok(()) } else { asking.answer(asking.admin.delete_topic(name, asking.limit).await) };
            let outcome = done.map(|()| Outcome { dry_run, ..Outcome::new(name, "deleted") });
            if !outcomes.add(context, name, outcome) {
                break;
            }
        }
        outcomes.print(context)
    }
}
