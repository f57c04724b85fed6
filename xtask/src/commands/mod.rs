//! One file per task.

pub(crate) mod check;
pub(crate) mod servers;
pub(crate) mod test;

use std::path::PathBuf;
use std::process::Command;

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

/// Says what is run, as one would type it.
fn announce(command: &Command) {
    let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
    eprintln!("\n=== cargo {}", words.join(" "));
}
