//! `connectctl apply`

use connect_rest_model::{ConnectorInfo, CreateConnector};

use super::{Context, Outcome, Outcomes};
use crate::{args::Files, check::check, declared::Declared, error::Failure};

/// What `apply` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    files: Files,
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
    let mut outcomes = Outcomes::default();
    for declared in &checked.connectors {
        let name = &declared.connector.name;
        let outcome = apply(declared, context).await.map_err(|e| match e {
            Failure::Refused { status, message } => Failure::Refused { status, message: format!("{name}: {message}") },
            other => other,
        });
        if !outcomes.add(context, name, outcome) {
            break;
        }
    }
    outcomes.print(context)
}

async fn apply(declared: &Declared, context: &Context<'_>) -> Result<Outcome, Failure> {
    let name = &declared.connector.name;
    let config = declared.config();
    let existing = match context.client.info(name).await {
        Ok(info) => info,
        Err(Failure::Refused { status: 404, .. }) => {
            match declared.connector.initial_state {
                // Only creation takes a state.
                Some(state) => {
                    let initial_state = Some(state.name().to_owned());
                    let request = CreateConnector { name: name.clone(), config, initial_state };
                    context.client.create(&request).await?;
                }
                None => drop(context.client.put_config(name, &config).await?),
            }
            return Ok(Outcome::new(name, "created"));
        }
        Err(e) => return Err(e),
    };
    let keys = changes(declared, &existing);
    if !keys.is_empty() {
        context.client.put_config(name, &config).await?;
    }
    say_other_state(declared, context).await;
    let result = if keys.is_empty() { "unchanged" } else { "changed" };
    Ok(Outcome { keys, ..Outcome::new(name, result) })
}

/// Keys whose values differ, in the order of the file, then those that the file has no more.
fn changes(declared: &Declared, existing: &ConnectorInfo) -> Vec<String> {
    let new = &declared.connector.config;
    let differs = new.iter().filter(|(k, v)| existing.config.get(k) != Some(v)).map(|(k, _)| k.clone());
    let gone = existing.config.keys().filter(|k| !new.iter().any(|(n, _)| n == *k)).cloned();
    differs.chain(gone).collect()
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
            "{name} is {state} and stays so, because the file's state is for new connectors; connectctl {verb} {name} changes it"
        ));
    }
}
