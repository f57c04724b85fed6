//! `connectctl delete`

use super::{Context, Outcome, Outcomes};
use crate::{args::Names, error::Failure};

/// What `delete` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    names: Names,
}

/// Removes the connectors.
pub async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    let mut outcomes = Outcomes::default();
    for name in &args.names.names {
        let outcome = match context.client.delete(name).await {
            Ok(()) => Ok(Outcome::new(name, "deleted")),
            Err(e) => Err(context.explain(name, e).await),
        };
        if !outcomes.add(context, name, outcome) {
            break;
        }
    }
    outcomes.print(context)
}
