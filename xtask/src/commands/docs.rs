//! `cargo xtask docs`.

use crate::Outcome;
use crate::interrupt::Interrupt;
use crate::leftovers::{self, Marker};

/// Makes the reference pages anew. Tests of `connectd` and `connectctl` check that they are current.
pub(crate) fn run() -> Outcome {
    let interrupt = Interrupt::listen()?;
    let marker = Marker::new();
    let mut outcome = Ok(());
    for (package, folder) in [("connectd", "docs/reference"), ("connectctl", "docs/reference/connectctl")] {
        let mut command = super::cargo();
        command.args(["run", "--quiet", "--package", package, "--example", "reference", "--", folder]);
        outcome = outcome.and_then(|()| super::run_step(command, "making the reference pages", &marker, &interrupt));
    }
    leftovers::end(&marker);
    outcome
}
