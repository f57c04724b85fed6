//! `connectctl groups delete`

use connect_kafka::GroupError;

use super::{
    super::{Context, Outcome, Outcomes},
    Groups, has_members, lag, meant_consumers,
};
use crate::{
    cluster::Asking,
    consent::{Consent, DryRun, listed},
    error::Failure,
};

/// What `groups delete` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    groups: Groups,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    dry_run: DryRun,
}

impl Args {
    pub(super) async fn run(&self, context: &Context<'_>) -> Result<(), Failure> {
        let asking = Asking::new(context).await?;
        asking.admin_cluster("deleting consumer groups").await?;
        let names = meant_consumers(&self.groups.groups, &asking, context).await?;
        let dry_run = self.dry_run.dry_run;
        let groups = asking.answer(asking.admin.describe_groups(&names, asking.limit).await)?;
        let mut outcomes = Outcomes::default();
        let mut free = Vec::with_capacity(names.len());
        for (name, group) in names.into_iter().zip(groups) {
            match asking.answer(group).map(|group| group.members.len()) {
                Ok(0) => free.push(name),
                other => {
                    let failure = other.map_or_else(|e| e, |members| has_members(&name, members));
                    if !outcomes.add(context, &name, Err(failure)) {
                        return outcomes.print(context);
                    }
                }
            }
        }
        if !dry_run && !free.is_empty() {
            self.consent.ask(&format!("delete the consumer groups {} with what they have committed", listed(&free)))?;
        }
        for name in &free {
            let outcome = async {
                if !dry_run {
                    let deleted = lag::offsets_of(name, &asking)?.delete_group().await;
                    asking.answer(deleted.map_err(GroupError::into_error))?;
                }
                Ok(Outcome { dry_run, ..Outcome::new(name, "deleted") })
            };
            if !outcomes.add(context, name, outcome.await) {
                break;
            }
        }
        outcomes.print(context)
    }
}
