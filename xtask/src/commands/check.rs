//! `cargo xtask check`.

use crate::Outcome;
use crate::interrupt::Interrupt;
use crate::leftovers::{self, Marker};

/// Runs every check, also after one has failed.
pub(crate) fn run() -> Outcome {
    let outside = ["fmt", "--check", "--manifest-path", "tests/third-party/Cargo.toml"];
    let checks: [(&str, &[&str]); 4] = [
        ("formatting", &["fmt", "--all", "--check"]),
        ("formatting of the crate outside", &outside),
        ("lints", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
        ("documentation", &["doc", "--workspace", "--no-deps"]),
    ];
    let interrupt = Interrupt::listen()?;
    let marker = Marker::new();
    let mut failed = Vec::new();
    for (name, words) in checks {
        let mut command = super::cargo();
        command.args(words).env("RUSTDOCFLAGS", "-D warnings");
        if super::run_step(command, name, &marker, &interrupt).is_err() {
            failed.push(name);
        }
        if interrupt.came() {
            break;
        }
    }
    leftovers::end(&marker);
    if failed.is_empty() {
        println!("formatting, lints and documentation are in order");
        return Ok(());
    }
    Err(format!("not in order: {}", failed.join(", ")))
}
