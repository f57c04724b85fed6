//! `connectctl`: looks at and steers the connectors of a Kafka Connect worker, Tocsin's or the JVM's.
//!
//! Every command takes `-o table|wide|json|yaml|name`; results go to standard output, problems and progress to standard
//! error. Exit codes are those of [`error::CODES`]. A page per command is in `docs/reference/connectctl`.
//!
//! - [`args`] is the grammar; [`commands`] has a file per command
//! - [`places`] says where worker, Kafka and registry are; [`client`] is the REST API with typed methods
//! - [`cluster`] asks Kafka itself; [`resources`]: settings of its topics and brokers
//! - [`reading`] reads Kafka beside everybody else; [`cluster`] and [`resources`] administer it
//! - [`names`], [`watch`], [`wait`], [`fail_on`], [`consent`]: what several commands take
//! - [`changes`]: how settings differ; [`document`]: a connector as a file has it
//! - [`declared`] reads connector files and knows each key's line; [`check`] has them validated by the worker;
//!   [`placeholder`]: values that are still open in them
//! - [`output`] prints tables ([`table`]), JSON and YAML ([`yaml`]); [`exact`]: JSON that keeps all digits; a [`page`] is a text of lines; [`paint`] is colour
//! - [`shell`]: words of suggested commands
//! - [`error`] maps failures to exit codes; [`complete`] is what shells complete; [`reference`](mod@reference) is the grammar as
//!   pages

pub mod args;
pub mod changes;
pub mod check;
pub mod client;
pub mod cluster;
pub mod commands;
pub mod complete;
pub mod consent;
pub mod declared;
pub mod document;
pub mod error;
pub mod exact;
pub mod fail_on;
pub mod names;
pub mod output;
pub mod page;
pub mod paint;
pub mod placeholder;
pub mod places;
pub mod private;
pub mod reading;
pub mod reference;
pub mod resources;
pub mod shell;
pub mod table;
pub mod wait;
pub mod watch;
pub mod yaml;

use std::{ffi::OsString, process::ExitCode};

use clap::{CommandFactory, FromArgMatches, error::ContextKind};

use crate::{
    args::{Cli, Command, without_empty_variables},
    client::Client,
    commands::Context,
    error::Failure,
    output::{Format, Output},
    places::Places,
};

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    // A shell that wants words completed says so in the environment.
    clap_complete::CompleteEnv::with_factory(Cli::command).complete();
    let words = watch::with_equals(std::env::args_os());
    let command = without_empty_variables(Cli::command());
    let cli = match command.try_get_matches_from(&words).and_then(|found| Cli::from_arg_matches(&found)) {
        Ok(cli) => cli,
        Err(e) if e.use_stderr() && std::env::args().any(|a| a == "--nagios") => {
            return unknown(e.to_string().lines().next().unwrap_or_default());
        }
        Err(e) => {
            let remark = watch::remark(&words).filter(|_| e.use_stderr());
            remark.into_iter().for_each(|text| Output::new(Format::Table).say(&text));
            without_environment(e, &words).exit()
        }
    };
    let output = Output::new(cli.global.output);
    let is_plugin = matches!(&cli.command, Command::Doctor(args) if args.is_nagios());
    match run(cli, &output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if is_plugin && !failure.is_reported() => unknown(&failure.to_string()),
        Err(failure) => {
            if !failure.is_reported() {
                output.problem(&failure.to_string());
            }
            if failure.number() == Failure::Reported.number() {
                watch::remark(&words).into_iter().for_each(|text| output.say(&text));
            }
            failure.code()
        }
    }
}

/// The usage below an error lists all that was given, and to clap what the environment says is given, too. It reads as if that
/// were required, so the usage is taken from what clap says without those variables.
fn without_environment(mut error: clap::Error, words: &[OsString]) -> clap::Error {
    let bare = Cli::command().mut_args(|arg| arg.env(None::<&str>));
    if let Err(other) = bare.try_get_matches_from(words)
        && other.kind() == error.kind()
        && let Some(usage) = other.get(ContextKind::Usage)
    {
        error.insert(ContextKind::Usage, usage.clone());
    }
    error
}

/// Monitoring systems read standard output, and take the exit codes of ordinary failures for states.
fn unknown(why: &str) -> ExitCode {
    let line = format!("{}\n", commands::doctor::nagios::unknown(why));
    match Output::new(Format::Table).script(&line) {
        Ok(_) => {}
        // Nobody can be told but by the exit code.
        Err(e) => Output::new(Format::Table).problem(&e.to_string()),
    }
    ExitCode::from(commands::doctor::nagios::UNKNOWN)
}

fn run(cli: Cli, output: &Output) -> Result<(), Failure> {
    // These need no worker, and mend the file that says where one is.
    let command = match cli.command {
        Command::Context(args) => return commands::context::run(&args, output),
        Command::Completion(args) => return commands::completion::run(&args, output),
        Command::Manual(args) => return commands::manual::run(&args, output),
        command => command,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Failure::Failed(format!("starting: {e}")))?;
    let places = Places::find(cli.global.given)?;
    let client = Client::new(places.url.clone(), cli.global.timeout, &places.access)?;
    let context = Context { client, output, places, timeout: cli.global.timeout };
    let outcome = runtime.block_on(commands::run(command, &context));
    // Threads that wait for Kafka must not hold up the exit.
    runtime.shutdown_background();
    outcome
}
