//! `connectctl pause`, `resume` and `stop`: one request with three verbs.

use super::{Context, Outcome};
use crate::{
    consent::DryRun,
    error::Failure,
    names::Names,
    wait::{Goal, Wait},
};

/// What the three commands take.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    names: Names,
    #[command(flatten)]
    wait: Wait,
    #[command(flatten)]
    dry_run: DryRun,
}

/// A target state.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    verb: &'static str,
    done: &'static str,
    goal: Goal,
}

/// Tasks rest and keep what they hold.
pub const PAUSE: Target = Target { verb: "pause", done: "paused", goal: Goal::Paused };
/// Run again.
pub const RESUME: Target = Target { verb: "resume", done: "resumed", goal: Goal::Running };
/// Tasks are gone.
pub const STOP: Target = Target { verb: "stop", done: "stopped", goal: Goal::Stopped };

/// Asks for the target state of every connector.
pub async fn run(args: &Args, target: Target, context: &Context<'_>) -> Result<(), Failure> {
    let dry_run = args.dry_run.dry_run.then_some(target.done);
    let act = async |name: &str| {
        context.client.set_target(name, target.verb).await?;
        Ok(Outcome::new(name, target.done))
    };
    let names = context.each(&args.names.names, dry_run, act).await?;
    if dry_run.is_some() {
        return Ok(());
    }
    let goals: Vec<(String, Goal)> = names.into_iter().map(|name| (name, target.goal)).collect();
    args.wait.until(&goals, context).await
}
