//! `cargo xtask test`.

use xtask::servers::{Kind, WITHOUT};

use crate::interrupt::Interrupt;
use crate::leftovers::Marker;
use crate::{Outcome, Without};

/// Fetches the servers, builds and tests the workspace; ends what is left over.
pub(crate) fn run(without: &Without, arguments: &[String]) -> Outcome {
    let interrupt = Interrupt::listen()?;
    let names = without.kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(",");
    announce_without(&names);
    super::servers::fetch(&without.wanted())?;
    let marker = Marker::new();
    let mut outcome = build_and_test(&names, arguments, &marker, &interrupt);
    if !without.kinds.contains(&Kind::Kafka) && !interrupt.came() {
        outcome = super::compat::steps(true, &marker, &interrupt).and(outcome);
    }
    let outcome = super::conclude(outcome, &marker);
    announce_without(&names);
    outcome?;
    println!("the workspace is tested{}", if names.is_empty() { "" } else { ", except as said" });
    Ok(())
}

fn build_and_test(names: &str, arguments: &[String], marker: &Marker, interrupt: &Interrupt) -> Outcome {
    // Some tests run our own programs, which building the tests alone does not build.
    let build = super::cargo_with(&["build", "--workspace", "--bins"]);
    super::run_step(build, "building the workspace", marker, interrupt)?;
    let mut test = super::cargo_with(&["test", "--workspace", "--no-fail-fast"]);
    test.args(arguments).env(WITHOUT, names);
    super::run_step(test, "testing the workspace", marker, interrupt)
}

fn announce_without(names: &str) {
    if !names.is_empty() {
        eprintln!("\n*** WITHOUT {}: whatever needs them is NOT TESTED ***\n", names.replace(',', ", "));
    }
}
