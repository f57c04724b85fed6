//! `connectctl loggers`

use indexmap::IndexMap;
use serde_json::json;

use super::Context;
use crate::{
    consent::DryRun,
    error::Failure,
    names::{matching, not_found},
    table::{Column, Table},
};

/// What `loggers` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show the levels of loggers.
    Show {
        /// Names of loggers, patterns or /expressions/; all without any.
        #[arg(value_name = "LOGGER", add = crate::complete::loggers())]
        names: Vec<String>,
    },
    /// Set the level of a logger and of those below it, until the worker ends.
    Set {
        /// Name of the logger; root is all of them.
        #[arg(value_name = "LOGGER", add = crate::complete::loggers())]
        name: String,
        /// The level.
        #[arg(value_name = "LEVEL", value_enum, ignore_case = true)]
        level: Level,
        /// On all workers of the cluster, not only on the one that is asked.
        #[arg(long)]
        cluster: bool,
        #[command(flatten)]
        dry_run: DryRun,
    },
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
#[value(rename_all = "UPPER")]
#[allow(missing_docs, reason = "the names are the documentation")]
enum Level {
    Off,
    Fatal,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
    All,
}

/// Looks at or changes how much is logged.
pub async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    match &args.action {
        Action::Show { names } => show(names, context).await,
        Action::Set { name, level, cluster, dry_run } => {
            let level = format!("{level:?}").to_uppercase();
            let changed =
                if dry_run.dry_run { Vec::new() } else { context.client.set_level(name, &level, *cluster).await? };
            let data = json!({ "logger": name, "level": level, "changed": changed, "dry_run": dry_run.dry_run });
            let text = match (dry_run.dry_run, changed.len()) {
                (true, _) => format!("{name} would be {level}"),
                (false, 0 | 1) => format!("{name} is {level}"),
                (false, n) => format!("{name} is {level}; {n} loggers changed"),
            };
            context.output.result(&data, || vec![name.clone()], |_| text)
        }
    }
}

async fn show(names: &[String], context: &Context<'_>) -> Result<(), Failure> {
    let mut all = context.client.loggers().await?;
    if !names.is_empty() {
        let known: Vec<String> = all.keys().cloned().collect();
        let hint = "connectctl loggers show lists them";
        let wanted = matching(names, &known, "logger", hint).map_err(Failure::Failed)?;
        if let Some(missing) = wanted.iter().find(|name| !all.contains_key(*name)) {
            return Err(Failure::Failed(not_found("logger", missing, &known, hint)));
        }
        let found: IndexMap<_, _> = wanted.into_iter().filter_map(|name| all.swap_remove_entry(&name)).collect();
        all = found;
    }
    context.output.result(
        &all,
        || all.keys().cloned().collect(),
        |view| {
            let columns = [Column::text("LOGGER").whole(), Column::text("LEVEL"), Column::text("CHANGED").optional()];
            let mut table = Table::new(columns);
            for (name, level) in &all {
                let changed = level.last_modified.and_then(|ms| i64::try_from(ms).ok()).map(connect_api::time::rfc3339);
                table.row([name.clone(), level.level.clone(), changed.unwrap_or_else(|| "-".into())]);
            }
            table.render(view.width)
        },
    )
}
