//! `connectctl topics config`

use connect_kafka::{Resource, ResourceSetting};

use super::super::Context;
use crate::{
    args::assignment,
    cluster::Asking,
    consent::DryRun,
    error::Failure,
    resources::{Altered, Shown, Wanted, show_altered, show_settings},
};

/// What `topics config` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show the settings that were made for topics; with --all the others, too.
    Show(ShowArgs),
    /// Set settings; the others stay.
    Set(SetArgs),
    /// Have the broker's defaults apply again.
    Unset(UnsetArgs),
}

#[derive(Debug, clap::Args)]
struct ShowArgs {
    #[command(flatten)]
    topics: super::Topics,
    #[command(flatten)]
    wanted: Wanted,
}

#[derive(Debug, clap::Args)]
struct SetArgs {
    /// Name of the topic; a pattern or /expression/ for several.
    #[arg(value_name = "TOPIC", value_parser = super::written, add = crate::complete::topics())]
    topic: String,
    /// Settings, such as retention.ms=86400000.
    #[arg(value_name = "KEY=VALUE", required = true, value_parser = assignment)]
    settings: Vec<(String, String)>,
    #[command(flatten)]
    dry_run: DryRun,
}

#[derive(Debug, clap::Args)]
struct UnsetArgs {
    /// Name of the topic; a pattern or /expression/ for several.
    #[arg(value_name = "TOPIC", value_parser = super::written, add = crate::complete::topics())]
    topic: String,
    /// Keys, such as retention.ms.
    #[arg(value_name = "KEY", required = true)]
    keys: Vec<String>,
    #[command(flatten)]
    dry_run: DryRun,
}

impl Args {
    pub(super) async fn run(&self, context: &Context<'_>) -> Result<(), Failure> {
        match &self.action {
            Action::Show(args) => {
                let asking = Asking::new(context).await?;
                let all = found(&args.topics.topics, &asking).await?;
                let shown = all.iter().map(|(of, settings)| Shown::new(of, settings, &args.wanted));
                show_settings(&shown.collect::<Result<Vec<_>, _>>()?, context)
            }
            Action::Set(args) => {
                let changes = args.settings.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
                change(&args.topic, changes, args.dry_run.dry_run, context).await
            }
            Action::Unset(args) => {
                let changes = args.keys.iter().map(|key| (key.trim().to_owned(), None)).collect();
                change(&args.topic, changes, args.dry_run.dry_run, context).await
            }
        }
    }
}

/// The topics that are meant, with their settings.
async fn found(written: &[String], asking: &Asking) -> Result<Vec<(Resource, Vec<ResourceSetting>)>, Failure> {
    let cluster = asking.admin_cluster("settings of topics").await?;
    let topics = asking.meant(written, &cluster, false)?;
    let resources: Vec<Resource> = topics.iter().map(|t| Resource::Topic(t.name.clone())).collect();
    let settings = asking.answer(asking.admin.settings(&resources, asking.limit).await)?;
    resources.into_iter().zip(settings).map(|(of, settings)| Ok((of, asking.answer(settings)?))).collect()
}

async fn change(
    written: &str,
    changes: Vec<(String, Option<String>)>,
    dry_run: bool,
    context: &Context<'_>,
) -> Result<(), Failure> {
    let asking = Asking::new(context).await?;
    let mut all = Vec::new();
    for (of, settings) in found(&[written.to_owned()], &asking).await? {
        let altered = Altered::plan(&of, &settings, &changes)?;
        all.push((of, altered));
    }
    show_altered(all, dry_run, &asking, context).await
}
