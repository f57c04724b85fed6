//! `connectctl set`: changes settings of connectors.

use std::time::{Duration, Instant};

use connect_rest_model::ConfigMap;
use tokio::time::sleep;

use super::{Context, Outcome};
use crate::{
    args::assignment,
    changes::changes,
    check::validate_config,
    consent::{DryRun, listed},
    error::Failure,
    names::name,
    shell,
    wait::{Goal, Wait},
};

/// What `set` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the connector; a pattern or /expression/ for several.
    #[arg(value_name = "NAME", value_parser = name, add = crate::complete::connectors())]
    name: String,

    /// Settings; what is not named stays as it is.
    #[arg(value_name = "KEY=VALUE", required_unless_present = "unset", value_parser = setting)]
    settings: Vec<(String, String)>,

    /// Remove this setting; may be given several times.
    #[arg(long, value_name = "KEY")]
    unset: Vec<String>,

    #[command(flatten)]
    wait: Wait,
    #[command(flatten)]
    dry_run: DryRun,
}

/// A worker that has passed a change on to another one may see it this much later.
const SEEN: Duration = Duration::from_secs(3);
const AGAIN: Duration = Duration::from_millis(200);

fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = assignment(text)?;
    if key == "name" { Err("a connector cannot be renamed; create another one".into()) } else { Ok((key, value)) }
}

/// Changes settings once the worker has validated them; it restarts the tasks. A dry run has them validated, too.
pub async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    let dry_run = args.dry_run.dry_run;
    let patch: ConfigMap = args
        .settings
        .iter()
        .map(|(key, value)| (key.clone(), Some(value.clone())))
        .chain(args.unset.iter().map(|key| (key.clone(), None)))
        .collect();
    let written = std::slice::from_ref(&args.name);
    let names = context.each(written, None, async |name: &str| set(name, &patch, dry_run, context).await).await?;
    if dry_run {
        return Ok(());
    }
    let goals: Vec<(String, Goal)> = names.into_iter().map(|name| (name, Goal::Settled)).collect();
    args.wait.until(&goals, context).await
}

async fn set(name: &str, patch: &ConfigMap, dry_run: bool, context: &Context<'_>) -> Result<Outcome, Failure> {
    let info = context.client.info(name).await?;
    let mut new = info.config.clone();
    for (key, value) in patch {
        match value {
            Some(value) => drop(new.insert(key.clone(), value.clone())),
            None => drop(new.shift_remove(key)),
        }
    }
    let new: Vec<(String, String)> = new.into_iter().collect();
    let keys: Vec<String> = changes(&info.config, &new).into_iter().map(|c| c.key).collect();
    if keys.is_empty() {
        return Ok(Outcome { dry_run, ..Outcome::new(name, "unchanged") });
    }
    let whole: ConfigMap = new.into_iter().map(|(key, value)| (key, Some(value))).collect();
    let added = patch.iter().filter(|(_, value)| value.is_some()).map(|(key, _)| key.as_str());
    for remark in validate_config(&context.client, &whole, added).await? {
        context.output.say(&format!("{name}: warning: {remark}"));
    }
    if !dry_run {
        store(name, patch, &whole, context).await?;
    }
    Ok(Outcome { keys, dry_run, ..Outcome::new(name, "changed") })
}

/// Sends only what is changed, so that others may change other settings meanwhile, where the worker can take that.
pub(super) async fn store(
    name: &str,
    patch: &ConfigMap,
    whole: &ConfigMap,
    context: &Context<'_>,
) -> Result<(), Failure> {
    match context.client.patch_config(name, patch).await {
        // Workers before Kafka 3.9.
        Err(Failure::Refused { status: 405, .. }) => context.client.put_config(name, whole).await?,
        answer => answer?,
    };
    // Of two changes at the same time, workers of Kafka Connect may lose one although they have answered both.
    let deadline = Instant::now() + SEEN;
    loop {
        let now = context.client.info(name).await?.config;
        let lost = patch.iter().filter(|(key, value)| now.get(*key) != value.as_ref());
        let lost: Vec<String> = lost.map(|(key, _)| key.clone()).collect();
        if lost.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(Failure::Failed(format!(
                "somebody else has changed {name} in this moment: {} is not as it was to be; connectctl get {} shows what \
                 there is now",
                listed(&lost),
                shell::word(name)
            )));
        }
        sleep(AGAIN).await;
    }
}
