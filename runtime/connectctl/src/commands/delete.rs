//! `connectctl delete`

use super::{Context, Outcome};
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
    let dry_run = args.dry_run.dry_run.then_some("deleted");
    let names = expand(&args.names.names, &context.client).await?;
    if dry_run.is_none() {
        let s = if names.len() == 1 { "" } else { "s" };
        args.consent.ask(&format!("delete connector{s} {}", listed(&names)))?;
    }
    let act = async |name: &str| {
        context.client.delete(name).await?;
        Ok(Outcome::new(name, "deleted"))
    };
    let names = context.each(&names, dry_run, act).await?;
    if dry_run.is_some() {
        return Ok(());
    }
    let goals: Vec<(String, Goal)> = names.into_iter().map(|name| (name, Goal::Gone)).collect();
    args.wait.until(&goals, context).await
}
