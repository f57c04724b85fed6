//! The grammar of the command line.

use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use reqwest::Url;

use crate::{
    commands::{
        alarms, apply, brokers, completion, consume, context, create, delete, describe, diff, dlq, doctor, edit,
        export, get, groups, info, init, list, loggers, logs, manual, metrics, offsets, plugins, produce, registry,
        restart, schemas, set, status, tail, target, test, top, topics, validate,
    },
    error::CODES,
    output::Format,
    places::Given,
};

const EXAMPLES: &str = "\
Examples:
  connectctl status                       all connectors and their tasks
  connectctl status influxdb-sink         one connector in full
  connectctl apply -f connectors/         create or change what the folder declares
  connectctl logs influxdb-sink -f        what is logged about it, and what will be
  connectctl test connectors/slack.yaml   what it would send, and whether it could
  connectctl restart '*-sink' --tasks --only-failed
  connectctl context set plant url=https://connect.plant:8083 user=me password=env:PLANT";

/// What stands below the help of the whole program.
fn after_help() -> String {
    let codes: String = CODES.iter().map(|(code, about)| format!("\n  {code}  {about}")).collect();
    format!("{EXAMPLES}\n\nExit codes:{codes}")
}

/// Looks at and steers the connectors of a Kafka Connect worker.
#[derive(Debug, Parser)]
#[command(name = "connectctl", version, max_term_width = 100, after_help = after_help())]
pub struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The grammar for reading a command line: variables of the environment that are empty count as not set, as shells have no
/// other way to leave one out for a single command.
pub fn without_empty_variables(command: clap::Command) -> clap::Command {
    let is_empty = |arg: &clap::Arg| arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
    let command = command.mut_args(|arg| if is_empty(&arg) { arg.env(None::<&str>) } else { arg });
    command.mut_subcommands(without_empty_variables)
}

/// What every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// How results are printed.
    #[arg(short, long, global = true, value_enum, value_name = "FORMAT", default_value_t = Format::Table)]
    pub output: Format,

    /// How long to wait for an answer.
    #[arg(long, global = true, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub timeout: Duration,

    /// Where everything is.
    #[command(flatten)]
    pub given: Given,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what runs, what fails, and why.
    ///
    /// Workers that count records show per task: LAG, how many records a sink is behind; RATE, records a second that
    /// reached their destination within the last minute; LAST, how long ago one last did; and since the task started: BAD,
    /// the records dead-lettered or skipped; IN, those read; OUT, those that reached their destination.
    Status(status::Args),
    /// List all connectors, a line each.
    List(list::Args),
    /// Show everything about connectors: state, settings, topics, offsets, errors with all their causes.
    Describe(describe::Args),
    /// Show what connectors do, again and again, what does most first.
    Top(top::Args),
    /// Show what the worker counts.
    Metrics(metrics::Args),
    /// Show the latest log lines of a connector and its tasks.
    Logs(logs::Args),
    /// Create or change the connectors that files declare.
    Apply(apply::Args),
    /// Show what apply would change; the exit code says whether that is anything.
    Diff(diff::Args),
    /// Say everything that is wrong in connector files, and change nothing.
    Validate(validate::Args),
    /// Try out a connector or a file: validate, connect, read and show some records; nothing is written.
    Test(test::Args),
    /// Write a commented file to begin with, from the settings of a plugin.
    Init(init::Args),
    /// Create a connector of a common kind from a few options.
    Create(create::Args),
    /// Show settings of connectors.
    Get(get::Args),
    /// Change settings of connectors; the others stay.
    Set(set::Args),
    /// Change settings of a connector in $VISUAL or $EDITOR.
    Edit(edit::Args),
    /// Write connectors as YAML that apply reads, from any worker.
    Export(export::Args),
    /// Let connectors rest; their tasks keep what they hold.
    Pause(target::Args),
    /// Let paused or stopped connectors run again.
    Resume(target::Args),
    /// Stop connectors and free their tasks; resume starts them again.
    Stop(target::Args),
    /// Start connectors or their tasks anew.
    Restart(restart::Args),
    /// Remove connectors; their offsets stay, and a new connector of the same name goes on from them.
    Delete(delete::Args),
    /// Show or change where connectors stand.
    Offsets(offsets::Args),
    /// Dead letters: records that connectors could not process.
    Dlq(dlq::Args),
    /// Look at everything at once: worker, Kafka, registry, connectors, lag, dead letters, clocks, disk.
    ///
    /// Each line is ok, warn or fail, with what to do about it; - is what could not be looked at, and why. No check takes
    /// longer than --timeout, and what needs an answer that did not come is left out.
    ///
    /// With --nagios the exit code is 0 for OK, 1 for WARNING, 2 for CRITICAL and 3 for UNKNOWN; otherwise 4 where something
    /// is at the level of --fail-on, and 0 where nothing is.
    #[command(after_help = doctor::EXAMPLES)]
    Doctor(doctor::Args),
    /// Schemas by subject, and which may follow each other.
    Registry(registry::Args),
    /// Schemas made of other descriptions.
    Schemas(schemas::Args),
    /// Alarms: what is active, acknowledged and on the shelf, and changing that.
    Alarms(alarms::Args),
    /// Topics of Kafka: list, create, change and delete them, and see which ones connectors use.
    Topics(topics::Args),
    /// Brokers of Kafka: what they have, and their settings.
    Brokers(brokers::Args),
    /// Consumer groups of Kafka: members, lag, where they go on.
    Groups(groups::Args),
    /// Write records to a topic: texts, JSON or Avro. Fails if Kafka does not acknowledge one.
    Produce(produce::Args),
    /// Read records of a topic, decoded, from wherever you want, and go on as they come.
    ///
    /// It reads beside everybody else: no group is joined and no offset is committed. Keys and values are shown as Avro
    /// (with the schema that the record names), JSON or text, else in hex; what is not what --value-format says is shown
    /// in hex, with the reason.
    Consume(consume::Args),
    /// Show the newest records of a topic, and those that come.
    Tail(tail::Args),
    /// Show or change how much the worker logs.
    Loggers(loggers::Args),
    /// Show the worker, its cluster, and how many connectors and tasks are in which state.
    Info(info::Args),
    /// List the plugins that the worker can run, or show the settings of one.
    Plugins(plugins::Args),
    /// Name the addresses and credentials of a worker, its Kafka and its registry, and switch between several.
    ///
    /// Contexts are kept in $CONNECTCTL_CONFIG, else in $XDG_CONFIG_HOME/connectctl/config.yaml, without secrets: those
    /// are referred to as env:NAME or file:PATH.
    Context(context::Args),
    /// Print the script that has a shell complete commands, options and names.
    Completion(completion::Args),
    /// Write man pages into a folder.
    Manual(manual::Args),
}

/// Connector files, at least one.
#[derive(Debug, Args)]
pub struct Files {
    /// A file of connectors, a folder of files, or - for standard input; may be given several times.
    ///
    /// Files end in .yaml, .yml, .json or .properties; standard input is YAML, JSON, or properties if every line
    /// is KEY=VALUE. A connector is written flat, as {name, config} or as a KafkaConnector resource.
    #[arg(short = 'f', long = "file", value_name = "FILE|FOLDER|-", required = true)]
    pub files: Vec<std::path::PathBuf>,
}

/// An address over HTTP.
pub fn url(text: &str) -> Result<Url, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("the address is empty; expected http://HOST:PORT".into());
    }
    let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url: Url = full.parse().map_err(|e| format!("{e}; expected http://HOST:PORT"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("{} is neither http nor https", url.scheme()));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("the address must end with host, port and at most a path".into());
    }
    Ok(url)
}

/// A setting as `KEY=VALUE`; blanks around the key do not count.
pub fn assignment(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    match key.trim() {
        "" => Err("the key is empty; expected KEY=VALUE".into()),
        key => Ok((key.to_owned(), value.to_owned())),
    }
}

/// A time as a number of seconds.
pub fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(n) if (0.01..=86_400.0).contains(&n) => Ok(Duration::from_secs_f64(n)),
        _ => Err("expected a number of seconds from 0.01 to 86400".into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_grammar_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn addresses_may_lack_the_scheme_but_not_the_host() {
        assert_eq!(url("worker:8083").map(|u| u.to_string()).as_deref(), Ok("http://worker:8083/"));
        assert_eq!(url(" https://h/connect ").map(|u| u.to_string()).as_deref(), Ok("https://h/connect"));
        for wrong in ["", "http://", "ftp://h", "http://h:99999", "http://h/?a=b"] {
            assert!(url(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn seconds_are_positive_numbers() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for wrong in ["0", "-1", "x", "NaN", "inf"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
