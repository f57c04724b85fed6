//! The commands, one file each, and what they share.

pub mod apply;
pub mod delete;
pub mod list;
pub mod logs;
pub mod plugins;
pub mod restart;
pub mod status;
pub mod target;
pub mod test;
pub mod validate;

use connect_rest_model::{ConnectorStatus, TaskState};
use serde::Serialize;

use crate::{args::Command, check::nearest, client::Client, error::Failure, output::Output};

/// What a command works with.
#[derive(Debug)]
pub struct Context<'a> {
    /// The worker.
    pub client: Client,
    /// Where results go.
    pub output: &'a Output,
}

/// Runs a command.
pub async fn run(command: Command, context: &Context<'_>) -> Result<(), Failure> {
    match command {
        Command::Status(args) => status::run(&args, context).await,
        Command::List(args) => list::run(&args, context).await,
        Command::Logs(args) => logs::run(&args, context).await,
        Command::Apply(args) => apply::run(&args, context).await,
        Command::Validate(args) => validate::run(&args, context).await,
        Command::Test(args) => test::run(&args, context).await,
        Command::Pause(args) => target::run(&args, target::PAUSE, context).await,
        Command::Resume(args) => target::run(&args, target::RESUME, context).await,
        Command::Stop(args) => target::run(&args, target::STOP, context).await,
        Command::Restart(args) => restart::run(&args, context).await,
        Command::Delete(args) => delete::run(&args, context).await,
        Command::Plugins(args) => plugins::run(&args, context).await,
    }
}

impl Context<'_> {
    /// Turns a refusal that concerns a connector which does not exist into one that says so, with the nearest
    /// name. Workers say it in many ways, not all of them 404.
    async fn explain(&self, name: &str, failure: Failure) -> Failure {
        let Failure::Refused { status, message } = failure else { return failure };
        let text = match self.client.names().await {
            Ok(names) if !names.iter().any(|n| n == name) => {
                let hint = match nearest(name, names.iter().map(String::as_str)) {
                    Some(near) => format!("; did you mean {near}?"),
                    None if names.is_empty() => "; the worker has no connectors".into(),
                    None => "; connectctl list shows those that exist".into(),
                };
                return Failure::Failed(format!("connector {name} not found{hint}"));
            }
            Ok(_) if status == 404 && message.starts_with("No status found for connector") => {
                return Failure::Failed(format!("connector {name} has no status yet; try again in a moment"));
            }
            Err(e @ Failure::Unreachable(_)) => return e,
            _ => format!("{name}: {message}"),
        };
        Failure::Refused { status, message: text }
    }
}

/// What became of one of several connectors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Connector.
    pub name: String,
    /// What was done, as a word; `failed` when nothing was.
    pub result: String,
    /// More about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Keys whose values differ from before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
}

impl Outcome {
    /// Something was done.
    pub fn new(name: &str, result: &str) -> Self {
        Self { name: name.to_owned(), result: result.to_owned(), detail: None, keys: Vec::new() }
    }

    fn line(&self) -> String {
        let detail = self.detail.as_ref().map(|d| format!(": {d}")).unwrap_or_default();
        let keys = if self.keys.is_empty() { String::new() } else { format!(": {}", self.keys.join(", ")) };
        format!("{} {}{detail}{keys}\n", self.name, self.result)
    }
}

/// Collects what became of several connectors: one failure does not keep the others from their turn, unless the
/// worker is gone.
#[derive(Debug, Default)]
struct Outcomes {
    all: Vec<Outcome>,
    failure: Option<Failure>,
}

impl Outcomes {
    /// Notes an outcome and says a failure at once. Tells whether to go on.
    fn add(&mut self, context: &Context<'_>, name: &str, outcome: Result<Outcome, Failure>) -> bool {
        let failure = match outcome {
            Ok(outcome) => {
                self.all.push(outcome);
                return true;
            }
            Err(failure) => failure,
        };
        if matches!(failure, Failure::Unreachable(_)) {
            self.failure = Some(failure);
            return false;
        }
        context.output.problem(&failure.to_string());
        self.all.push(Outcome { detail: Some(failure.to_string()), ..Outcome::new(name, "failed") });
        self.failure = Some(Failure::Reported);
        true
    }

    /// Prints what was done. Failures have been said already and stand in JSON and YAML only.
    fn print(self, context: &Context<'_>) -> Result<(), Failure> {
        let lines = |_| self.all.iter().filter(|o| o.result != "failed").map(Outcome::line).collect();
        context.output.result(&self.all, lines)?;
        self.failure.map_or(Ok(()), Err)
    }
}

/// How many tasks run.
fn running(tasks: &[TaskState]) -> usize {
    tasks.iter().filter(|t| t.state == "RUNNING").count()
}

/// Running and all tasks: `1/2`.
fn task_count(status: &ConnectorStatus) -> String {
    format!("{}/{}", running(&status.tasks), status.tasks.len())
}
