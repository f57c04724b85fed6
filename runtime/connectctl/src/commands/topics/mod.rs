//! `connectctl topics`

mod used;

use super::Context;
use crate::error::Failure;

/// What `topics` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show which topics connectors have used since they were created, or since that was forgotten.
    Used(used::UsedArgs),
    /// Have the worker forget which topics connectors have used; the topics themselves stay.
    Forget(used::ForgetArgs),
}

/// Runs the action.
pub async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    match &args.action {
        Action::Used(args) => used::show(args, context).await,
        Action::Forget(args) => used::forget(args, context).await,
    }
}
