//! `connectctl delete`

use super::{Context, Outcome, there};
use crate::{
    consent::{Consent, DryRun, listed},
    error::Failure,
    names::{Names, expand},
    wait::{Goal, Wait},
};

/// What `delete` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    names: Names,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    wait: Wait,
    #[command(flatten)]
    dry_run: DryRun,
}

/// Removes the connectors.
pub async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    let names = expand(&args.names.names, &context.client).await?;
    let act = async |name: &str| {
        context.client.delete(name).await?;
        Ok(Outcome::new(name, "deleted"))
    };
    if args.dry_run.dry_run {
        return context.each(&names, Some("deleted"), act).await.map(drop);
    }
    let known = context.client.names().await?;
    let what = |names: &[String]| {
        let s = if names.len() == 1 { "" } else { "s" };
        format!("delete connector{s} {}", listed(names))
    };
    context.each_asked(&names, args.consent, what, async |name: &str| there(name, &known), act).await?;
    let goals: Vec<(String, Goal)> = names.into_iter().map(|name| (name, Goal::Gone)).collect();
    args.wait.until(&goals, context).await
}
