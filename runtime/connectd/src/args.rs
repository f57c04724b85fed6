//! The command line.

use std::path::PathBuf;

use clap::Parser;
use connect_api::config::ConfigType as _;
use connect_worker::worker_config::LogFormat;

/// Tocsin's server: a Kafka Connect worker for alarms and telemetry.
///
/// Without a worker file it starts an embedded broker and schema registry, so that one command shows the
/// whole system. The embedded broker is for trying out: it keeps at most 100,000 messages or 5 MB a partition, in
/// memory only, gives a consumer group its first assignment after 3 s, and has no admin requests, compaction or
/// transactions.
///
/// Exit codes: 0 stopped as asked, 1 wrong usage, 2 the worker could not start (wrong worker file, port taken, Kafka
/// not reached), 3 a connector file is wrong
/// (with --watch the others run).
#[derive(Debug, Parser)]
#[command(name = "connectd", version, max_term_width = 100)]
pub(crate) struct Args {
    /// Worker file: YAML, JSON or Java properties, with Kafka Connect's settings.
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Start the embedded broker and registry although there is a worker file.
    #[arg(long)]
    pub embedded: bool,

    /// Set a worker setting, over the file's.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    pub settings: Vec<(String, String)>,

    /// Watch the connector files and take up what changes: new, changed and deleted connectors.
    ///
    /// A file that is wrong changes nothing: its connectors run as before, the log and their status say why. A connector
    /// that was changed over the REST API stays so until its declaration changes. Deleting a file, or a connector in it,
    /// deletes the connector; its offsets stay. Nothing is deleted while a file cannot be read, or when a folder is gone
    /// or empty.
    #[arg(long, requires = "connectors")]
    pub watch: bool,

    /// Check the files, say what is wrong, and exit.
    #[arg(long)]
    pub check: bool,

    /// What to log, such as info, debug or connect_kafka=debug,info; RUST_LOG does the same.
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,

    /// How to log: text, or json, an object a line; the worker setting log.format does the same.
    #[arg(long, value_name = "FORMAT", env = "CONNECTD_LOG_FORMAT", value_parser = LogFormat::parse)]
    pub log_format: Option<LogFormat>,

    /// Connector files, or folders of them.
    #[arg(value_name = "FILE|FOLDER")]
    pub connectors: Vec<PathBuf>,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".into()),
    }
}
