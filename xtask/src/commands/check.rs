//! `cargo xtask check`.

use crate::Outcome;

/// Runs every check, also after one has failed.
pub(crate) fn run() -> Outcome {
    let checks: [(&str, &[&str]); 3] = [
        ("formatting", &["fmt", "--all", "--check"]),
        ("lints", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
        ("documentation", &["doc", "--workspace", "--no-deps"]),
    ];
    let mut failed = Vec::new();
    for (name, words) in checks {
        let mut command = super::cargo();
        command.args(words).env("RUSTDOCFLAGS", "-D warnings");
        super::announce(&command);
        let status = command.status().map_err(|error| format!("starting cargo: {error}"))?;
        if !status.success() {
            failed.push(name);
        }
    }
    if failed.is_empty() {
        println!("formatting, lints and documentation are in order");
        return Ok(());
    }
    Err(format!("not in order: {}", failed.join(", ")))
}
