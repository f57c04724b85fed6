//! `connectctl alarms`: what is active, acknowledged and on the shelf, and changing that; interoperable with the console of
//! Jefferson Lab.
//!
//! - `topics`: where the topics are; `entry`: a record of one; `replay`: reading them; `state`: what they say together
//! - `write`: writing, in the schema that the subject has; `messages`: active alarms of JLab's last generation
//! - `pick`: which alarms are meant; `said`: a record in one line; `document`: an alarm as a file has it
//! - `view`: the whole screen
//! - `list`, `watch`, `describe`, `set`, `ack`, `shelve`, `register`, `export`, `import`, `schemas`: the commands

mod ack;
mod describe;
mod document;
mod entry;
mod export;
mod import;
mod list;
mod messages;
mod pick;
mod register;
mod replay;
mod said;
mod schemas;
mod set;
mod shelve;
mod state;
mod topics;
mod view;
mod watch;
mod write;

use std::time::Duration;

use connector_alarm::Kind;

use self::replay::Replay;
use super::Context;
use crate::{
    client::Client,
    error::Failure,
    output::{Format, Output},
    places::Places,
};

/// What `alarms` takes.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
#[group(skip)]
pub struct Args {
    #[command(subcommand)]
    action: Option<Action>,

    /// Without a command it is the view.
    #[command(flatten)]
    view: view::Args,
}

const LIST: &str = "\
Examples:
  connectctl alarms list                           what is active and not on the shelf
  connectctl alarms list 'vac-*' --priority P1 --sort raised
  connectctl alarms list --all -o json";

const SET: &str = "\
Examples:
  connectctl alarms set pump --priority P2 --message 'pressure is low' --label zone=NL
  connectctl alarms set pump --message 'pressure is very low'        the rest stays as it is
  connectctl alarms set pump --unset                                 as connectctl alarms unset pump";

const ACK: &str = "\
Examples:
  connectctl alarms ack pump door
  connectctl alarms ack 'vac-*' --user alice --dry-run";

const SHELVE: &str = "\
Examples:
  connectctl alarms shelve pump --for 2h --reason 'being repaired'
  connectctl alarms shelve 'vac-*' --until 2026-12-01T06:00:00Z --reason shutdown
  connectctl alarms shelve door --forever --reason 'sensor is broken'";

const WATCH: &str = "\
Examples:
  connectctl alarms watch                          a line per change, until interrupted
  connectctl alarms watch 'vac-*' --priority P1,P2 --initial
  connectctl alarms watch --count 1 -o json        the next change";

const REGISTER: &str = "\
Examples:
  connectctl alarms register pump --source T:ai0 --location NL --category Vacuum --latching
  connectctl alarms register pump --latching=false         the rest stays as it is
  connectctl alarms register --file definitions.txt --dry-run
  connectctl alarms register pump --unset";

const EXPORT: &str = "\
Examples:
  connectctl alarms export > alarms.yaml
  connectctl alarms export --only registered -o json > alarms.jsonl
  connectctl alarms import -f alarms.yaml --dry-run        what would change";

const SCHEMAS: &str = "\
Examples:
  connectctl alarms schemas list
  connectctl alarms schemas dump --generation jlab-2
  connectctl alarms schemas dump --registered --folder /tmp/schema-cache";

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show alarms on the whole screen, as they come and go; acknowledge and shelve them by key. Without a command, too.
    ///
    /// ? shows what keys do. The terminal is as it was at every end.
    View(view::Args),
    /// Show alarms: those that are active and not on the shelf, unless others are asked for.
    ///
    /// The topics are read from the beginning, later records winning. What cannot be decoded is told, with exit code 1.
    #[command(after_help = LIST)]
    List(list::Args),
    /// Follow the topics and show a line per change; the end of an alarm is shown as cleared.
    ///
    /// With -o json each change is a line of JSON.
    #[command(after_help = WATCH, visible_alias = "monitor")]
    Watch(watch::Args),
    /// Show everything about alarms: state, shelf, registration, latest records.
    Describe(describe::DescribeArgs),
    /// Show the records about one alarm that the topics still have: when, what, by whom.
    History(describe::HistoryArgs),
    /// Raise alarms, or change what is said of them.
    ///
    /// A higher priority resets the acknowledgement, other changes keep it. What is not named stays as it is, also what only
    /// others know. Values have the schema that the registry has for the topic, and headers say user, producer and host.
    #[command(after_help = SET)]
    Set(set::SetArgs),
    /// Clear alarms: a tombstone each.
    ///
    /// One that is registered as latching stays until it is acknowledged, unless --force is said.
    Unset(set::UnsetArgs),
    /// Acknowledge active alarms; what others have said of them stays.
    ///
    /// One that is over is not brought back, also not if it ends in this moment. A latched alarm is over with it.
    #[command(after_help = ACK)]
    Ack(ack::Args),
    /// Put alarms on the shelf, so that nobody is told of them.
    #[command(after_help = SHELVE)]
    Shelve(shelve::ShelveArgs),
    /// Take alarms off the shelf.
    Unshelve(shelve::UnshelveArgs),
    /// Register alarms: what can alarm, from which source, where.
    ///
    /// What is not named stays as it is. Registrations have the schema that the registry has for the topic: JLab's generations
    /// need a source, location, category, documentation and the path of a screen.
    #[command(after_help = REGISTER)]
    Register(register::Args),
    /// Write alarms as YAML, or with -o json as lines of JSON, which import reads.
    #[command(after_help = EXPORT)]
    Export(export::Args),
    /// Write to the topics what a file says and is not so yet; what it does not mention stays as it is.
    Import(import::Args),
    /// The Avro schemas of the topics.
    #[command(after_help = SCHEMAS)]
    Schemas(schemas::Args),
}

/// Names of alarms in the topics of their usual names, for shells that complete them.
pub async fn names(client: &Client, places: &Places, timeout: Duration) -> Result<Vec<String>, Failure> {
    let output = Output::new(Format::Name);
    let context = Context { client: client.clone(), output: &output, places: places.clone(), timeout };
    let topics = view::Args::plain().topics;
    Replay::new(&context, &topics, &Kind::ALL).await?.plain_names().await
}

/// Runs the action.
pub async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    let Some(action) = &args.action else {
        return view::run(&args.view, context).await;
    };
    match action {
        Action::View(args) => view::run(args, context).await,
        Action::List(args) => list::run(args, context).await,
        Action::Watch(args) => watch::run(args, context).await,
        Action::Describe(args) => describe::describe(args, context).await,
        Action::History(args) => describe::history(args, context).await,
        Action::Set(args) => set::set(args, context).await,
        Action::Unset(args) => set::unset(args, context).await,
        Action::Ack(args) => ack::run(args, context).await,
        Action::Shelve(args) => shelve::shelve(args, context).await,
        Action::Unshelve(args) => shelve::unshelve(args, context).await,
        Action::Register(args) => register::run(args, context).await,
        Action::Export(args) => export::run(args, context).await,
        Action::Import(args) => import::run(args, context).await,
        Action::Schemas(args) => schemas::run(args, context).await,
    }
}
