//! `connectctl topics partitions`

use super::super::{Context, Outcome, Outcomes};
use crate::{
    cluster::Asking,
    consent::{Consent, DryRun},
    error::Failure,
};

/// What `topics partitions` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Name of the topic.
    #[arg(value_name = "TOPIC", value_parser = super::create::topic, add = crate::complete::topics())]
    topic: String,

    /// How many partitions it is to have.
    #[arg(value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    partitions: u32,

    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    dry_run: DryRun,
}

impl Args {
    pub(super) async fn run(&self, context: &Context<'_>) -> Result<(), Failure> {
        let asking = Asking::new(context).await?;
        let cluster = asking.admin_cluster("giving a topic more partitions").await?;
        let topic = asking.meant(std::slice::from_ref(&self.topic), &cluster, true)?;
        let (name, wanted, dry_run) = (&self.topic, self.partitions as usize, self.dry_run.dry_run);
        let has = topic.iter().map(|t| t.partitions.len()).sum::<usize>();
        if wanted < has {
            return Err(Failure::Failed(format!(
                "{name} has {has} partitions, and Kafka cannot take partitions away; create another topic and copy what is in \
                 this one"
            )));
        }
        let mut outcomes = Outcomes::default();
        let outcome = if wanted == has {
            Outcome { dry_run, ..Outcome::new(name, "unchanged") }
        } else {
            let settings = asking.settings_of(&topic).await?.pop().flatten().unwrap_or_default();
            let compacted = settings
                .iter()
                .any(|s| s.key == "cleanup.policy" && s.value.as_ref().is_some_and(|value| value.contains("compact")));
            let kept = if compacted {
                "; the topic is compacted: readers may find an old record of a key beside its newest, for good"
            } else {
                ""
            };
            context.output.say(&format!(
                "{name}: warning: from now on records of a key may go to another partition than those before, so that their \
                 order is lost{kept}"
            ));
            if !dry_run {
                self.consent
                    .ask(&format!("give topic {name} {wanted} partitions instead of {has}, which cannot be undone"))?;
            }
            asking.answer(asking.admin.grow_topic(name, wanted, dry_run, asking.limit).await)?;
            Outcome { dry_run, detail: Some(format!("{has} → {wanted} partitions")), ..Outcome::new(name, "changed") }
        };
        outcomes.add(context, name, Ok(outcome));
        outcomes.print(context)
    }
}
