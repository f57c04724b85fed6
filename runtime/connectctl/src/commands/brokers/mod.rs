//! `connectctl brokers`

mod show;

use super::Context;
use crate::{
    args::assignment,
    cluster::Asking,
    consent::DryRun,
    error::Failure,
    resources::{Altered, Shown, Wanted, show_altered, show_settings},
};
use connect_kafka::{Cluster, Resource, ResourceSetting};

const EXAMPLES: &str = "\
Examples:
  connectctl brokers list
  connectctl brokers describe 1
  connectctl brokers config show --key log.retention.hours
  connectctl brokers config set 1 log.cleaner.threads=2 --dry-run";

/// What `brokers` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List the brokers of Kafka: addresses, how many partitions they lead and have, which one is asked for the controller.
    ///
    /// LEADS counts the partitions that a broker leads, HAS its replicas, OUT OF SYNC those of them that lag behind.
    /// Brokers that are down are not listed by Kafka; partitions whose replicas they have show them.
    List(show::ListArgs),
    /// Show what is known of brokers: address, roles, version, and the settings that were made.
    ///
    /// Brokers do not tell their version to clients; it is told as far as their settings show it. Those before Kafka 4 have
    /// inter.broker.protocol.version, which is that of the oldest broker as a rule.
    Describe(show::DescribeArgs),
    /// Show or change settings of brokers.
    Config(ConfigArgs),
}

#[derive(Debug, clap::Args)]
struct ConfigArgs {
    #[command(subcommand)]
    action: ConfigAction,
}

#[derive(Debug, clap::Subcommand)]
enum ConfigAction {
    /// Show the settings that were made for brokers; with --all the others, too.
    Show(ShowArgs),
    /// Set settings of a running broker; the others stay. Those of its file cannot be changed so.
    Set(SetArgs),
    /// Have the file's value or the default apply again.
    Unset(UnsetArgs),
}

#[derive(Debug, clap::Args)]
struct ShowArgs {
    #[command(flatten)]
    brokers: Ids,
    #[command(flatten)]
    wanted: Wanted,
}

#[derive(Debug, clap::Args)]
struct SetArgs {
    /// Id of the broker.
    #[arg(value_name = "BROKER")]
    broker: i32,
    /// Settings, such as log.cleaner.threads=2.
    #[arg(value_name = "KEY=VALUE", required = true, value_parser = assignment)]
    settings: Vec<(String, String)>,
    #[command(flatten)]
    dry_run: DryRun,
}

#[derive(Debug, clap::Args)]
struct UnsetArgs {
    /// Id of the broker.
    #[arg(value_name = "BROKER")]
    broker: i32,
    /// Keys, such as log.cleaner.threads.
    #[arg(value_name = "KEY", required = true)]
    keys: Vec<String>,
    #[command(flatten)]
    dry_run: DryRun,
}

/// Ids of brokers.
#[derive(Debug, Clone, clap::Args)]
struct Ids {
    /// Ids of brokers. All without any.
    #[arg(value_name = "BROKER")]
    ids: Vec<i32>,
}

impl Ids {
    /// The brokers that are meant; one that is not there is a failure.
    fn among(&self, cluster: &Cluster, asking: &Asking) -> Result<Vec<i32>, Failure> {
        let known: Vec<i32> = cluster.brokers.iter().map(|b| b.id).collect();
        if let Some(missing) = self.ids.iter().find(|id| !known.contains(id)) {
            let all = known.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            return Err(Failure::Failed(format!(
                "broker {missing} not found; Kafka at {} has the brokers {all}",
                asking.kafka.brokers()
            )));
        }
        Ok(if self.ids.is_empty() { known } else { self.ids.clone() })
    }
}

/// Runs the action.
pub async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    match &args.action {
        Action::List(args) => show::list(args, context).await,
        Action::Describe(args) => show::describe(args, context).await,
        Action::Config(args) => match &args.action {
            ConfigAction::Show(args) => {
                let asking = Asking::new(context).await?;
                let all = found(&args.brokers, &asking).await?;
                let shown = all.iter().map(|(of, settings)| Shown::new(of, settings, &args.wanted));
                show_settings(&shown.collect::<Result<Vec<_>, _>>()?, context)
            }
            ConfigAction::Set(args) => {
                let changes = args.settings.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect();
                change(args.broker, changes, args.dry_run.dry_run, context).await
            }
            ConfigAction::Unset(args) => {
                let changes = args.keys.iter().map(|key| (key.trim().to_owned(), None)).collect();
                change(args.broker, changes, args.dry_run.dry_run, context).await
            }
        },
    }
}

/// The brokers that are meant, with their settings.
async fn found(ids: &Ids, asking: &Asking) -> Result<Vec<(Resource, Vec<ResourceSetting>)>, Failure> {
    let cluster = asking.admin_cluster("settings of brokers").await?;
    let ids = ids.among(&cluster, asking)?;
    let resources: Vec<Resource> = ids.iter().map(|id| Resource::Broker(*id)).collect();
    let settings = asking.answer(asking.admin.settings(&resources, asking.limit).await)?;
    resources.into_iter().zip(settings).map(|(of, settings)| Ok((of, asking.answer(settings)?))).collect()
}

async fn change(
    broker: i32,
    changes: Vec<(String, Option<String>)>,
    dry_run: bool,
    context: &Context<'_>,
) -> Result<(), Failure> {
    let asking = Asking::new(context).await?;
    let mut all = Vec::new();
    for (of, settings) in found(&Ids { ids: vec![broker] }, &asking).await? {
        let altered = Altered::plan(&of, &settings, &changes)?;
        all.push((of, altered));
    }
    show_altered(all, dry_run, &asking, context).await
}
