//! The grammar of the command line.

use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use reqwest::Url;

use crate::{
    commands::{apply, delete, list, logs, plugins, restart, status, target, test, validate},
    output::Format,
};

const AFTER_HELP: &str = "\
Examples:
  connectctl status                       all connectors and their tasks
  connectctl status influxdb-sink         one connector in full
  connectctl apply -f connectors/         create or change what the folder declares
  connectctl logs influxdb-sink -f         what is logged about it, and what will be
  connectctl test connectors/slack.yaml   what it would send, and whether it could
  connectctl restart influxdb-sink --tasks --only-failed

Exit codes:
  0  done
  1  the command failed: the worker refused it, a connector was not found, a file has problems, a test failed
  2  wrong usage
  3  no Kafka Connect worker answered at the address
  4  status --fail-on-failed: a connector or task is FAILED";

/// Looks at and steers the connectors of a Kafka Connect worker.
#[derive(Debug, Parser)]
#[command(name = "connectctl", version, max_term_width = 100, after_help = AFTER_HELP)]
pub struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Address of the worker's REST API.
    ///
    /// User and password go into it where the worker wants them: https://USER:PASSWORD@HOST:PORT.
    #[arg(
        long,
        global = true,
        env = "CONNECT_URL",
        hide_env_values = true,
        value_name = "URL",
        default_value = "http://127.0.0.1:8083",
        value_parser = url
    )]
    pub url: Url,

    /// How results are printed.
    #[arg(short, long, global = true, value_enum, value_name = "FORMAT", default_value_t = Format::Table)]
    pub output: Format,

    /// How long to wait for an answer of the worker.
    #[arg(long, global = true, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub timeout: Duration,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what runs, what fails, and why.
    ///
    /// Workers that count records show per task, since it started: IN, the records read; OUT, those that reached
    /// their destination; BAD, those dead-lettered or skipped; LAST, how long ago one last reached its destination.
    Status(status::Args),
    /// List all connectors, a line each.
    List(list::Args),
    /// Show the latest log lines of a connector and its tasks.
    Logs(logs::Args),
    /// Create or change the connectors that files declare.
    Apply(apply::Args),
    /// Say everything that is wrong in connector files, and change nothing.
    Validate(validate::Args),
    /// Try out a connector or a file: validate, connect, read and show some records; nothing is written.
    Test(test::Args),
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
    /// List the plugins that the worker can run.
    Plugins(plugins::Args),
}

/// Names of connectors, at least one.
#[derive(Debug, Args)]
pub struct Names {
    /// Names of connectors.
    #[arg(value_name = "NAME", required = true, value_parser = name)]
    pub names: Vec<String>,
}

/// Connector files, at least one.
#[derive(Debug, Args)]
pub struct Files {
    /// A file of connectors, a folder of files, or - for standard input; may be given several times.
    ///
    /// Files end in .yaml, .yml, .json or .properties; standard input is YAML or JSON. A connector is written flat,
    /// as {name, config} or as a KafkaConnector resource.
    #[arg(short = 'f', long = "file", value_name = "FILE|FOLDER|-", required = true)]
    pub files: Vec<std::path::PathBuf>,
}

/// A name that can stand in the path of a URL.
pub fn name(text: &str) -> Result<String, String> {
    match text {
        "" => Err("the name is empty".into()),
        "." | ".." => Err("the REST API cannot address a connector of this name".into()),
        _ => Ok(text.to_owned()),
    }
}

fn url(text: &str) -> Result<Url, String> {
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

fn seconds(text: &str) -> Result<Duration, String> {
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
