//! `connectctl groups delete`

use connect_kafka::GroupError;

use super::{
    super::{Context, Outcome, Outcomes},
    Groups, has_members, known, lag, meant,
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
        let names = meant(&self.groups.groups, &known(&asking).await?, &asking)?;
        let dry_run = self.dry_run.dry_run;
        if !dry_run {
            self.consent
                .ask(&format!("delete the consumer groups {} with what they have committed", listed(&names)))?;
        }
        let groups = asking.answer(asking.admin.describe_groups(&names, asking.limit).await)?;
        let mut outcomes = Outcomes::default();
        for (name, group) in names.iter().zip(groups) {
            let outcome = async {
                let members = asking.answer(group)?.members.len();
                if members > 0 {
                    return Err(has_members(name, members));
                }
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
