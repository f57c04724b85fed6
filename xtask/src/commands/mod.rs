//! One file per task.

pub(crate) mod check;
pub(crate) mod compat;
pub(crate) mod docs;
pub(crate) mod servers;
pub(crate) mod soak;
pub(crate) mod test;

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::interrupt::Interrupt;
use crate::leftovers::{self, Marker};

/// Cargo, in the workspace's root.
fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // Set by `cargo run`, and so by `cargo xtask`.
    if let Some(root) =
        std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).as_deref().and_then(|path| path.parent())
    {
        command.current_dir(root);
    }
    command
}

/// Cargo with these arguments.
fn cargo_with(arguments: &[&str]) -> Command {
    let mut command = cargo();
    command.args(arguments);
    command
}

/// Ends what marked steps left over, which is an error where they succeeded.
fn conclude(outcome: Outcome, marker: &Marker) -> Outcome {
    let left = leftovers::end(marker);
    match outcome {
        Ok(()) if !left.is_empty() => Err(format!("everything passed but left processes running: {}", left.join("; "))),
        other => other,
    }
}

/// Says what is run, as one would type it.
fn announce(command: &Command) {
    let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
    eprintln!("\n=== cargo {}", words.join(" "));
}

/// Runs a command to its end, or to ours.
fn run_step(command: Command, doing: &str, marker: &Marker, interrupt: &Interrupt) -> Outcome {
    run_within(command, doing, marker, interrupt, None)
}

/// As [`run_step`], and ends it when its time is over.
fn run_within(
    mut command: Command,
    doing: &str,
    marker: &Marker,
    interrupt: &Interrupt,
    limit: Option<Duration>,
) -> Outcome {
    announce(&command);
    marker.mark(&mut command);
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command.spawn().map_err(|error| format!("starting {program}: {error}"))?;
    let began = Instant::now();
    loop {
        let over = limit.filter(|limit| began.elapsed() >= *limit);
        match child.try_wait().map_err(|error| format!("{doing}: {error}"))? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(format!("{doing} failed ({status})")),
            None if interrupt.came() || over.is_some() => {
                // What it started is marked and is ended next.
                child.kill().and_then(|()| child.wait()).map_err(|error| format!("ending {program}: {error}"))?;
                return Err(match over {
                    Some(limit) => format!("{doing} had not ended after {} min and was ended", limit.as_secs() / 60),
                    None => format!("{doing} was interrupted"),
                });
            }
            None => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}
