//! `connectctl restart`

use connect_rest_model::ConnectorStatus;

use super::{Context, Outcome, missing_task};
use crate::{
    consent::DryRun,
    error::Failure,
    names::Names,
    wait::{Goal, Wait},
};

/// What `restart` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    names: Names,

    /// Restart the tasks, too, not only the connector's own part.
    #[arg(long)]
    tasks: bool,

    /// Restart only what is FAILED; with --tasks this heals whatever failed.
    #[arg(long)]
    only_failed: bool,

    /// Restart only this task; may be given several times.
    #[arg(long = "task", value_name = "N", conflicts_with_all = ["tasks", "only_failed"], add = crate::complete::tasks())]
    task: Vec<u32>,

    #[command(flatten)]
    wait: Wait,
    #[command(flatten)]
    dry_run: DryRun,
}

/// Restarts the connectors, or tasks of them.
pub async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    let dry_run = args.dry_run.dry_run;
    // For a restart whatever its state, it is enough that there is such a connector.
    let whole = (dry_run && args.task.is_empty() && !args.only_failed).then_some("restarted");
    let act = async |name: &str| match dry_run {
        true => foresee(args, name, context).await,
        false => restart(args, name, context).await,
    };
    let names = context.each(&args.names.names, whole, act).await?;
    if dry_run {
        return Ok(());
    }
    let goals: Vec<(String, Goal)> = names.into_iter().map(|name| (name, Goal::Settled)).collect();
    args.wait.until(&goals, context).await
}

async fn restart(args: &Args, name: &str, context: &Context<'_>) -> Result<Outcome, Failure> {
    if !args.task.is_empty() {
        for task in &args.task {
            context.client.restart_task(name, *task).await?;
        }
        let detail = task_list(&args.task);
        return Ok(Outcome { detail: Some(detail), ..Outcome::new(name, "restarted") });
    }
    let status = context.client.restart(name, args.tasks, args.only_failed).await?;
    Ok(match status {
        Some(status) => plan(args, name, &status),
        None => {
            let detail = "the connector, not its tasks; --tasks restarts them, too";
            Outcome { detail: Some(detail.into()), ..Outcome::new(name, "restarted") }
        }
    })
}

/// What a restart of certain tasks, or of what is FAILED, would do now.
async fn foresee(args: &Args, name: &str, context: &Context<'_>) -> Result<Outcome, Failure> {
    let mut status = context.client.status(name).await?;
    let outcome = if args.only_failed {
        // As the worker says it when it does so.
        let tasks = status.tasks.iter_mut().filter(|_| args.tasks).map(|t| &mut t.state);
        for state in tasks.chain([&mut status.connector.state]) {
            *state = if state == "FAILED" { "RESTARTING".into() } else { String::new() };
        }
        status.tasks.retain(|t| t.state == "RESTARTING");
        plan(args, name, &status)
    } else {
        if let Some(text) = args.task.iter().find_map(|task| missing_task(&status, *task)) {
            return Err(Failure::Failed(text));
        }
        Outcome { detail: Some(task_list(&args.task)), ..Outcome::new(name, "restarted") }
    };
    Ok(Outcome { dry_run: true, ..outcome })
}

/// What the worker says that it restarts.
fn plan(args: &Args, name: &str, status: &ConnectorStatus) -> Outcome {
    let mut tasks: Vec<u32> = status.tasks.iter().filter(|t| t.state == "RESTARTING").map(|t| t.id).collect();
    tasks.sort_unstable();
    let connector = status.connector.state == "RESTARTING";
    let (result, detail) = match (connector, tasks.is_empty()) {
        (true, true) => ("restarted", Some("the connector".to_owned())),
        (true, false) => ("restarted", Some(format!("the connector and {}", task_list(&tasks)))),
        (false, false) => ("restarted", Some(task_list(&tasks))),
        (false, true) if args.tasks => ("unchanged", Some("nothing of it is FAILED".to_owned())),
        (false, true) => ("unchanged", Some("its own part is not FAILED; --tasks looks at its tasks, too".to_owned())),
    };
    Outcome { detail, ..Outcome::new(name, result) }
}

fn task_list(tasks: &[u32]) -> String {
    let numbers: Vec<String> = tasks.iter().map(u32::to_string).collect();
    format!("task{} {}", if tasks.len() == 1 { "" } else { "s" }, numbers.join(", "))
}
