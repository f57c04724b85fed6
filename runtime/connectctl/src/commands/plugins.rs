//! `connectctl plugins`

use super::Context;
use crate::{
    error::Failure,
    table::{Column, Table},
};

/// What `plugins` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// List converters, transformations and predicates, too.
    #[arg(long)]
    all: bool,
}

/// Lists what the worker can run.
pub async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    let plugins = context.client.plugins(args.all).await?;
    context.output.result(&plugins, |width| {
        let mut table = Table::new([Column::text("CLASS"), Column::text("TYPE"), Column::text("VERSION").optional()]);
        for p in &plugins {
            table.row([p.class.clone(), p.kind.clone(), p.version.clone().unwrap_or_else(|| "-".into())]);
        }
        table.render(width)
    })
}
