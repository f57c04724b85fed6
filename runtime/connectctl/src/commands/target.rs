//! `connectctl pause`, `resume` and `stop`: one request with three verbs.

use super::{Context, Outcome, Outcomes};
use crate::{args::Names, error::Failure};

/// What the three commands take.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    names: Names,
}

/// A target state.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    verb: &'static str,
    done: &'static str,
}

/// Tasks rest and keep what they hold.
pub const PAUSE: Target = Target { verb: "pause", done: "paused" };
/// Run again.
pub const RESUME: Target = Target { verb: "resume", done: "resumed" };
/// Tasks are gone.
pub const STOP: Target = Target { verb: "stop", done: "stopped" };

/// Asks for the target state of every connector.
pub async fn run(args: &Args, target: Target, context: &Context<'_>) -> Result<(), Failure> {
    let mut outcomes = Outcomes::default();
    for name in &args.names.names {
        let outcome = match context.client.set_target(name, target.verb).await {
            Ok(()) => Ok(Outcome::new(name, target.done)),
            Err(e) => Err(context.explain(name, e).await),
        };
        if !outcomes.add(context, name, outcome) {
            break;
        }
    }
    outcomes.print(context)
}
