//! `connectctl schemas`

mod convert_sal;

use super::Context;
use crate::error::Failure;

/// What `schemas` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Make Avro schemas of SAL interfaces in XML, as the Sal transform reads messages by them.
    ///
    /// Each topic becomes a record of its own, lsst.sal.TOPIC, which is also its subject. Without --write, --print and
    /// --upload only its topics are listed. What cannot be converted is told with its file, topic and item, and does not keep
    /// the others from their turn; the exit code is 1 then.
    #[command(after_help = convert_sal::EXAMPLES)]
    ConvertSal(convert_sal::Args),
}

/// Runs the action.
pub async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    match &args.action {
        Action::ConvertSal(args) => args.run(context).await,
    }
}
