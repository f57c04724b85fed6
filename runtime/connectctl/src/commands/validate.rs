//! `connectctl validate`

use super::Context;
use crate::{args::Files, check::check, error::Failure};

/// What `validate` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    files: Files,
}

/// Says everything that is wrong. As a table the problems go to standard error, one per line; as JSON or YAML
/// they are the result.
pub async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    let mut checked = check(&context.client, &args.files.files).await;
    if context.output.is_table() {
        checked.problems.iter().for_each(|p| context.output.say(&p.line()));
    }
    let errors = checked.errors();
    if let Some(failure) = checked.failure.take() {
        if !context.output.is_table() {
            context.output.result(&checked.problems, Vec::new, |_| String::new())?;
        }
        return Err(failure);
    }
    let count = checked.connectors.len();
    let connectors = if count == 1 { "1 connector".to_owned() } else { format!("{count} connectors") };
    let wrong = |name: &str| checked.problems.iter().any(|p| !p.warning && p.connector.as_deref() == Some(name));
    let names = checked.connectors.iter().map(|c| c.connector.name.clone());
    let right = || names.filter(|name| !wrong(name)).collect();
    context.output.result(&checked.problems, right, |_| match errors {
        0 => format!("{connectors} checked, no problem found"),
        1 => format!("{connectors} checked, 1 problem found"),
        n => format!("{connectors} checked, {n} problems found"),
    })?;
    if errors == 0 { Ok(()) } else { Err(Failure::Reported) }
}
