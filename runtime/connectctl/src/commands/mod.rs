//! The commands, one file each, and what they share.

pub mod alarms;
pub mod apply;
pub mod brokers;
pub mod completion;
pub mod consume;
pub mod context;
pub mod create;
pub mod delete;
pub mod describe;
pub mod diff;
pub mod dlq;
pub mod doctor;
pub mod edit;
pub mod export;
pub mod get;
pub mod groups;
pub mod info;
pub mod init;
mod lag;
pub mod list;
pub mod loggers;
pub mod logs;
pub mod manual;
pub mod metrics;
pub mod offsets;
pub mod plugins;
pub mod produce;
mod records;
pub mod registry;
pub mod restart;
pub mod schemas;
pub mod set;
pub mod status;
pub mod tail;
pub mod target;
pub mod test;
pub mod top;
pub mod topics;
pub mod validate;

use std::time::Duration;

use connect_rest_model::{ConnectorStatus, TaskState};
use serde::Serialize;

use crate::{
    args::Command,
    client::Client,
    consent::Consent,
    error::Failure,
    names::{expand, not_found},
    output::Output,
    places::{Places, kafka::Kafka, registry::Registry},
};

/// What a command works with.
#[derive(Debug)]
pub struct Context<'a> {
    /// The worker.
    pub client: Client,
    /// Where results go.
    pub output: &'a Output,
    /// Where everything else is.
    pub places: Places,
    /// How long to wait for an answer.
    pub timeout: Duration,
}

/// Runs a command.
pub async fn run(command: Command, context: &Context<'_>) -> Result<(), Failure> {
    match command {
        Command::Status(args) => status::run(&args, context).await,
        Command::List(args) => list::run(&args, context).await,
        Command::Describe(args) => describe::run(&args, context).await,
        Command::Top(args) => top::run(&args, context).await,
        Command::Metrics(args) => metrics::run(&args, context).await,
        Command::Logs(args) => logs::run(&args, context).await,
        Command::Apply(args) => apply::run(&args, context).await,
        Command::Diff(args) => diff::run(&args, context).await,
        Command::Validate(args) => validate::run(&args, context).await,
        Command::Test(args) => test::run(&args, context).await,
        Command::Init(args) => init::run(&args, context).await,
        Command::Create(args) => create::run(&args, context).await,
        Command::Get(args) => get::run(&args, context).await,
        Command::Set(args) => set::run(&args, context).await,
        Command::Edit(args) => edit::run(&args, context).await,
        Command::Export(args) => export::run(&args, context).await,
        Command::Pause(args) => target::run(&args, target::PAUSE, context).await,
        Command::Resume(args) => target::run(&args, target::RESUME, context).await,
        Command::Stop(args) => target::run(&args, target::STOP, context).await,
        Command::Restart(args) => restart::run(&args, context).await,
        Command::Delete(args) => delete::run(&args, context).await,
        Command::Offsets(args) => offsets::run(&args, context).await,
        Command::Dlq(args) => dlq::run(&args, context).await,
        Command::Doctor(args) => doctor::run(&args, context).await,
        Command::Registry(args) => registry::run(&args, context).await,
        Command::Schemas(args) => schemas::run(&args, context).await,
        Command::Alarms(args) => alarms::run(&args, context).await,
        Command::Topics(args) => topics::run(&args, context).await,
        Command::Brokers(args) => brokers::run(&args, context).await,
        Command::Groups(args) => groups::run(&args, context).await,
        Command::Produce(args) => produce::run(&args, context).await,
        Command::Consume(args) => consume::run(&args, context).await,
        Command::Tail(args) => tail::run(&args, context).await,
        Command::Loggers(args) => loggers::run(&args, context).await,
        Command::Info(args) => info::run(&args, context).await,
        Command::Plugins(args) => plugins::run(&args, context).await,
        Command::Context(args) => context::run(&args, context.output),
        Command::Completion(args) => completion::run(&args, context.output),
        Command::Manual(args) => manual::run(&args, context.output),
    }
}

impl Context<'_> {
    /// The Kafka to talk to.
    pub async fn kafka(&self) -> Result<Kafka, Failure> {
        self.places.kafka(&self.client).await
    }

    /// The schema registry to talk to.
    pub async fn registry(&self) -> Result<Registry, Failure> {
        self.places.registry(&self.client, self.timeout).await
    }

    /// Does something to each of these connectors and prints what became of it. One failure does not keep the others from
    /// their turn. A dry run only looks whether there are such connectors; `done` is what would become of them.
    async fn each(
        &self,
        written: &[String],
        dry_run: Option<&str>,
        act: impl AsyncFn(&str) -> Result<Outcome, Failure>,
    ) -> Result<Vec<String>, Failure> {
        let names = expand(written, &self.client).await?;
        let mut outcomes = Outcomes::default();
        let known = if dry_run.is_some() { self.client.names().await? } else { Vec::new() };
        for name in &names {
            let outcome = match dry_run {
                Some(_) if !known.contains(name) => Err(Failure::Failed(missing(name, &known))),
                Some(done) => Ok(Outcome { dry_run: true, ..Outcome::new(name, done) }),
                None => match act(name).await {
                    Ok(outcome) => Ok(outcome),
                    Err(e) => Err(self.explain(name, e).await),
                },
            };
            if !outcomes.add(self, name, outcome) {
                break;
            }
        }
        outcomes.print(self)?;
        Ok(names)
    }

    /// As [`Context::each`], for what is asked about first. Where `check` finds that it cannot be done, that is told before the
    /// question, and the connector is left out; `what` makes the question of the others.
    async fn each_asked(
        &self,
        names: &[String],
        consent: Consent,
        what: impl Fn(&[String]) -> String,
        check: impl AsyncFn(&str) -> Result<(), Failure>,
        act: impl AsyncFn(&str) -> Result<Outcome, Failure>,
    ) -> Result<(), Failure> {
        let mut outcomes = Outcomes::default();
        let mut ready = Vec::with_capacity(names.len());
        for name in names {
            match check(name).await {
                Ok(()) => ready.push(name.clone()),
                Err(e) => {
                    let e = self.explain(name, e).await;
                    if !outcomes.add(self, name, Err(e)) {
                        return outcomes.print(self);
                    }
                }
            }
        }
        if !ready.is_empty() {
            consent.ask(&what(&ready))?;
        }
        for name in &ready {
            let outcome = match act(name).await {
                Ok(outcome) => Ok(outcome),
                Err(e) => Err(self.explain(name, e).await),
            };
            if !outcomes.add(self, name, outcome) {
                break;
            }
        }
        outcomes.print(self)
    }

    /// Turns a refusal that concerns a connector which does not exist into one that says so, with the nearest
    /// name. Workers say it in many ways, not all of them 404.
    pub(crate) async fn explain(&self, name: &str, failure: Failure) -> Failure {
        let Failure::Refused { status, message } = failure else { return failure };
        let text = match self.client.names().await {
            Ok(names) if !names.iter().any(|n| n == name) => {
                return Failure::Failed(missing(name, &names));
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

/// What to say of a connector that is not there.
fn missing(name: &str, known: &[String]) -> String {
    let hint = if known.is_empty() { "the worker has no connectors" } else { "connectctl list shows those that exist" };
    not_found("connector", name, known, hint)
}

/// Nothing of a connector that is there, else what to say of it.
fn there(name: &str, known: &[String]) -> Result<(), Failure> {
    if known.iter().any(|k| k == name) { Ok(()) } else { Err(Failure::Failed(missing(name, known))) }
}

/// What to say of a task that a connector does not have; nothing if it has it.
fn missing_task(status: &ConnectorStatus, task: u32) -> Option<String> {
    let mut known: Vec<u32> = status.tasks.iter().map(|t| t.id).collect();
    known.sort_unstable();
    if known.contains(&task) {
        return None;
    }
    let name = &status.name;
    Some(match known.as_slice() {
        [] => format!("{name} has no task {task}: it is {} and has no tasks", status.connector.state),
        [only] => format!("{name} has no task {task}; its only one is {only}"),
        [first, .., last] => format!("{name} has no task {task}; there are {first} to {last}"),
    })
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
    /// Whether nothing was done, but only said what would be.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

impl Outcome {
    /// Something was done.
    pub fn new(name: &str, result: &str) -> Self {
        Self { name: name.to_owned(), result: result.to_owned(), detail: None, keys: Vec::new(), dry_run: false }
    }

    fn line(&self) -> String {
        let detail = self.detail.as_ref().map(|d| format!(": {d}")).unwrap_or_default();
        let keys = if self.keys.is_empty() { String::new() } else { format!(": {}", self.keys.join(", ")) };
        let would = if self.dry_run && self.result != "unchanged" { "would be " } else { "" };
        format!("{} {would}{}{detail}{keys}\n", self.name, self.result)
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
        let done = || self.all.iter().filter(|o| o.result != "failed").map(|o| o.name.clone()).collect();
        context.output.result(&self.all, done, lines)?;
        self.failure.map_or(Ok(()), Err)
    }
}

/// How many tasks run.
pub(crate) fn running(tasks: &[TaskState]) -> usize {
    tasks.iter().filter(|t| t.state == "RUNNING").count()
}

/// Running and all tasks: `1/2`.
fn task_count(status: &ConnectorStatus) -> String {
    format!("{}/{}", running(&status.tasks), status.tasks.len())
}
