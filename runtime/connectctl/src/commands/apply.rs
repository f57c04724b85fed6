//! `connectctl apply`

use connect_rest_model::CreateConnector;

use super::{Context, Outcome, Outcomes};
use crate::{
    args::Files,
    changes::changes,
    check::check,
    consent::{Consent, DryRun, listed},
    declared::Declared,
    error::Failure,
    names::{matching, name},
    shell,
    wait::{Goal, Wait},
};

/// What `apply` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    prune: Prune,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    wait: Wait,
    #[command(flatten)]
    dry_run: DryRun,
}

/// What becomes of connectors that no file declares.
#[derive(Debug, clap::Args)]
pub struct Prune {
    /// Remove connectors that no file declares: all, or those whose names match the pattern or /expression/.
    #[arg(long, value_name = "PATTERN", num_args = 0..=1, require_equals = true, default_missing_value = "*", value_parser = name)]
    prune: Option<String>,
}

impl Prune {
    /// Connectors that exist, are not declared, and match.
    pub(super) async fn undeclared(
        &self,
        declared: &[Declared],
        context: &Context<'_>,
    ) -> Result<Vec<String>, Failure> {
        let Some(pattern) = &self.prune else { return Ok(Vec::new()) };
        let mut others = context.client.names().await?;
        others.retain(|name| !declared.iter().any(|d| d.connector.name == *name));
        // That nothing matches is as it should be.
        let found = matching(std::slice::from_ref(pattern), &others, "connector", "").unwrap_or_default();
        Ok(found.into_iter().filter(|name| others.contains(name)).collect())
    }
}

/// Validates all connectors, then creates or changes each; where one has a problem nothing is changed at all.
pub async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    let checked = check(&context.client, &args.files.files).await;
    checked.problems.iter().for_each(|p| context.output.say(&p.line()));
    let errors = checked.errors();
    if let Some(failure) = checked.failure {
        return Err(failure);
    }
    if errors > 0 {
        let problems = if errors == 1 { "a problem".to_owned() } else { format!("{errors} problems") };
        context.output.problem(&format!("nothing was applied because of {problems}"));
        return Err(Failure::Reported);
    }
    let dry_run = args.dry_run.dry_run;
    let pruned = args.prune.undeclared(&checked.connectors, context).await?;
    if !pruned.is_empty() && !dry_run {
        let s = if pruned.len() == 1 { "" } else { "s" };
        args.consent.ask(&format!("delete connector{s} {}, which no file declares", listed(&pruned)))?;
    }
    let mut outcomes = Outcomes::default();
    let mut goals = Vec::new();
    let mut reachable = true;
    for declared in &checked.connectors {
        let name = &declared.connector.name;
        let outcome = apply(declared, dry_run, context).await.map_err(|e| e.of(name));
        if outcome.as_ref().is_ok_and(|o| o.result != "unchanged") {
            goals.push((name.clone(), Goal::Settled));
        }
        reachable = outcomes.add(context, name, outcome);
        if !reachable {
            break;
        }
    }
    for name in pruned.iter().filter(|_| reachable) {
        let done = if dry_run { Ok(()) } else { context.client.delete(name).await };
        let outcome = done.map(|()| Outcome { dry_run, ..Outcome::new(name, "deleted") }).map_err(|e| e.of(name));
        goals.push((name.clone(), Goal::Gone));
        if !outcomes.add(context, name, outcome) {
            break;
        }
    }
    outcomes.print(context)?;
    if dry_run { Ok(()) } else { args.wait.until(&goals, context).await }
}

async fn apply(declared: &Declared, dry_run: bool, context: &Context<'_>) -> Result<Outcome, Failure> {
    let name = &declared.connector.name;
    let config = declared.config();
    let existing = match context.client.info(name).await {
        Ok(info) => info,
        Err(Failure::Refused { status: 404, .. }) => {
            match declared.connector.initial_state {
                _ if dry_run => {}
                // Only creation takes a state.
                Some(state) => {
                    let initial_state = Some(state.name().to_owned());
                    let request = CreateConnector { name: name.clone(), config, initial_state };
                    context.client.create(&request).await?;
                }
                None => drop(context.client.put_config(name, &config).await?),
            }
            return Ok(Outcome { dry_run, ..Outcome::new(name, "created") });
        }
        Err(e) => return Err(e),
    };
    let keys: Vec<String> = changes(&existing.config, &declared.connector.config).into_iter().map(|c| c.key).collect();
    if !keys.is_empty() && !dry_run {
        context.client.put_config(name, &config).await?;
    }
    say_other_state(declared, context).await;
    let result = if keys.is_empty() { "unchanged" } else { "changed" };
    Ok(Outcome { keys, dry_run, ..Outcome::new(name, result) })
}

/// The file's state is an initial one; someone who expects it to be taken up is told what to do.
async fn say_other_state(declared: &Declared, context: &Context<'_>) {
    let name = &declared.connector.name;
    let Some(wanted) = declared.connector.initial_state.map(connect_files::InitialState::name) else { return };
    // A remark is not worth a failure.
    let Ok(status) = context.client.status(name).await else { return };
    let state = status.connector.state.as_str();
    let verb = match wanted {
        "PAUSED" => "pause",
        "STOPPED" => "stop",
        _ => "resume",
    };
    let differs = if wanted == "RUNNING" { matches!(state, "PAUSED" | "STOPPED") } else { state != wanted };
    if differs {
        context.output.say(&format!(
            "{name} is {state} and stays so, because the file's state is for new connectors; connectctl {verb} {} changes it",
            shell::word(name)
        ));
    }
}
