//! `cargo xtask test`.

use std::process::Command;
use std::time::Duration;

use xtask::servers::WITHOUT;

use crate::interrupt::Interrupt;
use crate::leftovers::{self, Marker};
use crate::{Outcome, Without};

/// Fetches the servers, builds and tests the workspace; ends what is left over.
pub(crate) fn run(without: &Without, arguments: &[String]) -> Outcome {
    let interrupt = Interrupt::listen()?;
    let names = without.kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(",");
    announce_without(&names);
    super::servers::fetch(&without.wanted())?;
    let marker = Marker::new();
    let outcome = build_and_test(&names, arguments, &marker, &interrupt);
    let left = leftovers::end(&marker);
    announce_without(&names);
    match (outcome, left.is_empty()) {
        (Ok(()), true) => {
            println!("the workspace is tested{}", if names.is_empty() { "" } else { ", except as said" });
            Ok(())
        }
        (Ok(()), false) => Err(format!("the tests passed but left processes running: {}", left.join("; "))),
        (failed, _) => failed,
    }
}

fn build_and_test(names: &str, arguments: &[String], marker: &Marker, interrupt: &Interrupt) -> Outcome {
    // Some tests run our own programs, which building the tests alone does not build.
    let mut build = super::cargo();
    build.args(["build", "--workspace", "--bins"]);
    run_step(build, "building the workspace", marker, interrupt)?;
    let mut test = super::cargo();
    test.args(["test", "--workspace"]).args(arguments).env(WITHOUT, names);
    run_step(test, "testing the workspace", marker, interrupt)
}

fn run_step(mut command: Command, doing: &str, marker: &Marker, interrupt: &Interrupt) -> Outcome {
    super::announce(&command);
    marker.mark(&mut command);
    let mut child = command.spawn().map_err(|error| format!("starting cargo: {error}"))?;
    loop {
        match child.try_wait().map_err(|error| format!("{doing}: {error}"))? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(format!("{doing} failed ({status})")),
            None if interrupt.came() => {
                // What cargo started is marked and is ended next.
                child.kill().and_then(|()| child.wait()).map_err(|error| format!("ending cargo: {error}"))?;
                return Err(format!("{doing} was interrupted"));
            }
            None => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

fn announce_without(names: &str) {
    if !names.is_empty() {
        eprintln!("\n*** WITHOUT {}: whatever needs them is NOT TESTED ***\n", names.replace(',', ", "));
    }
}
