//! `cargo xtask test`.

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
    super::run_step(build, "building the workspace", marker, interrupt)?;
    let mut test = super::cargo();
    test.args(["test", "--workspace", "--no-fail-fast"]).args(arguments).env(WITHOUT, names);
    super::run_step(test, "testing the workspace", marker, interrupt)
}

fn announce_without(names: &str) {
    if !names.is_empty() {
        eprintln!("\n*** WITHOUT {}: whatever needs them is NOT TESTED ***\n", names.replace(',', ", "));
    }
}
