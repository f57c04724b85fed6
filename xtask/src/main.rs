//! `cargo xtask …`: test servers, tests, checks.
#![allow(clippy::print_stdout, reason = "a command line prints")]

mod commands;
mod interrupt;
mod leftovers;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::servers::Kind;

/// Development tasks of the workspace.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Fetch or run the servers that tests need
    #[command(subcommand)]
    Servers(Servers),
    /// Fetch the servers, build and test the workspace, and compare it briefly with Kafka Connect
    Test {
        #[command(flatten)]
        without: Without,
        /// Further arguments for `cargo test`
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Compare connectd with Kafka Connect itself, side by side on one Kafka
    Compat {
        /// Leave out rare cases, and the tables of cases for plugins
        #[arg(long)]
        short: bool,
    },
    /// Run what takes long: many kills, the whole comparison with Kafka Connect, faults, all tests as released, benches
    Soak {
        /// Only this run; may be repeated
        #[arg(long, value_name = "NAME")]
        only: Vec<String>,
        /// Say which runs there are, and run none
        #[arg(long)]
        list: bool,
        /// How often the worker is killed
        #[arg(long, value_name = "N", default_value_t = 100)]
        kills: u32,
        #[command(flatten)]
        without: Without,
    },
    /// Check formatting, lints and documentation
    Check,
    /// Make the reference pages in docs/reference anew
    Docs,
}

#[derive(Subcommand)]
enum Servers {
    /// Fetch them into the cache
    Fetch {
        #[command(flatten)]
        without: Without,
    },
    /// Start them, print their addresses, and run until interrupted
    Up {
        /// Which ones (default: all)
        #[arg(value_name = "NAME")]
        kinds: Vec<Kind>,
        /// Give Kafka listeners with SASL and TLS as well
        #[arg(long)]
        secure: bool,
        /// EPICS database of the IOC (default: a few sample records)
        #[arg(long, value_name = "FILE")]
        db: Option<std::path::PathBuf>,
    },
}

/// Servers to do without.
#[derive(clap::Args)]
struct Without {
    /// A server to do without; may be repeated
    #[arg(long = "without", value_name = "NAME")]
    kinds: Vec<Kind>,
}

impl Without {
    fn wanted(&self) -> Vec<Kind> {
        Kind::ALL.into_iter().filter(|kind| !self.kinds.contains(kind)).collect()
    }
}

/// Why a task failed: already a sentence for people.
type Outcome = Result<(), String>;

fn main() -> ExitCode {
    let outcome = match Arguments::parse().task {
        Task::Servers(Servers::Fetch { without }) => commands::servers::fetch(&without.wanted()),
        Task::Servers(Servers::Up { kinds, secure, db }) => commands::servers::up(kinds, secure, db.as_deref()),
        Task::Test { without, arguments } => commands::test::run(&without, &arguments),
        Task::Compat { short } => commands::compat::run(short),
        Task::Soak { list: true, .. } => {
            commands::soak::list();
            Ok(())
        }
        Task::Soak { only, kills, without, .. } => commands::soak::run(&only, kills, &without),
        Task::Check => commands::check::run(),
        Task::Docs => commands::docs::run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}
