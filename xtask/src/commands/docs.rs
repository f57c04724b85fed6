//! `cargo xtask docs`.

use crate::Outcome;
use crate::interrupt::Interrupt;
use crate::leftovers::{self, Marker};

/// Makes the reference pages anew. A test of `connectd` checks that they are current.
pub(crate) fn run() -> Outcome {
    let interrupt = Interrupt::listen()?;
    let marker = Marker::new();
    let mut command = super::cargo();
    command.args(["run", "--quiet", "--package", "connectd", "--example", "reference", "--", "docs/reference"]);
    let outcome = super::run_step(command, "making the reference pages", &marker, &interrupt);
    leftovers::end(&marker);
    outcome
}
