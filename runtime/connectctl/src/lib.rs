//! `connectctl`: looks at and steers the connectors of a Kafka Connect worker, Tocsin's or the JVM's.
//!
//! ```text
//! connectctl status [NAME]... [--fail-on-failed]         what runs, what fails, and why
//! connectctl list                                        all connectors, a line each
//! connectctl apply -f FILE|FOLDER|-                      creates or changes what the files declare
//! connectctl validate -f FILE|FOLDER|-                   says everything that is wrong in the files
//! connectctl pause|resume|stop|delete NAME...
//! connectctl restart NAME... [--tasks] [--only-failed] [--task N]
//! connectctl plugins [--all]                             what the worker can run
//! ```
//!
//! Every command takes `--url` (or `$CONNECT_URL`), `-o table|json|yaml` and `--timeout`. Results go to
//! standard output, problems to standard error. Exit codes:
//!
//! | Code | Meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | the command failed: the worker refused it, a connector was not found, a file has problems |
//! | 2 | wrong usage |
//! | 3 | no Kafka Connect worker answered at the address |
//! | 4 | `status --fail-on-failed`: a connector or task is FAILED |
//!
//! The modules: [`args`] is the grammar; [`commands`] has a file per command; [`client`] is the REST API with
//! typed methods; [`declared`] reads connector files and knows each key's line; [`check`] has them validated by
//! the worker; [`output`] prints tables ([`table`]), JSON and YAML ([`yaml`]), a [`page`] is a text of lines;
//! [`error`] maps failures to exit codes.

pub mod args;
pub mod check;
pub mod client;
pub mod commands;
pub mod declared;
pub mod error;
pub mod output;
pub mod page;
pub mod table;
pub mod yaml;

use std::process::ExitCode;

use clap::Parser;

use crate::{args::Cli, client::Client, commands::Context, error::Failure, output::Output};

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = Output::new(cli.global.output);
    match run(cli, &output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.is_reported() {
                output.problem(&failure.to_string());
            }
            failure.code()
        }
    }
}

fn run(cli: Cli, output: &Output) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Failure::Failed(format!("starting: {e}")))?;
    let client = Client::new(cli.global.url, cli.global.timeout)?;
    runtime.block_on(commands::run(cli.command, &Context { client, output }))
}
