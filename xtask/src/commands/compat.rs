//! `cargo xtask compat`.

use xtask::servers::Kind;

use crate::Outcome;
use crate::interrupt::Interrupt;
use crate::leftovers::Marker;

/// Fetches Kafka Connect, compares with it, and ends what is left over.
pub(crate) fn run(short: bool) -> Outcome {
    let interrupt = Interrupt::listen()?;
    super::servers::fetch(&[Kind::Kafka])?;
    let marker = Marker::new();
    super::conclude(steps(short, &marker, &interrupt), &marker)?;
    println!("connectd does as Kafka Connect does, except where that is intended");
    Ok(())
}

/// Puts one long conversation and the same connector files to Kafka Connect and to `connectd`; unless it is to be short,
/// all of them, and tables of cases to the plugins of both. Fails when something differs that is not intended.
pub(crate) fn steps(short: bool, marker: &Marker, interrupt: &Interrupt) -> Outcome {
    super::run_step(
        super::cargo_with(&["build", "--workspace", "--bins"]),
        "building the workspace",
        marker,
        interrupt,
    )?;
    let mut compare =
        super::cargo_with(&["run", "--quiet", "--package", "tocsin-tests", "--bin", "side-by-side", "--"]);
    compare.args(short.then_some("--short"));
    let compared = super::run_step(compare, "comparing with kafka connect", marker, interrupt);
    if short || interrupt.came() {
        return compared;
    }
    let plugins = super::cargo_with(&["test", "--package", "tocsin-tests", "--test", "compat"]);
    super::run_step(plugins, "comparing plugins with kafka connect's", marker, interrupt).and(compared)
}
