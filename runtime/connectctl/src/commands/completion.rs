//! `connectctl completion`

use clap_complete::env::Shells;

use crate::{error::Failure, output::Output};

/// What `completion` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell. `source <(connectctl completion bash)` has the running one complete; the line belongs into .bashrc.
    #[arg(value_name = "SHELL", value_parser = ["bash", "zsh", "fish", "elvish", "powershell"])]
    shell: String,
}

/// Prints the script. The program itself is asked for words, so names of connectors and topics are completed, too.
pub fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    let failed = |what: String| Failure::Failed(format!("writing the script: {what}"));
    let shells = Shells::builtins();
    let shell = shells.completer(&args.shell).ok_or_else(|| failed(format!("{} is unknown", args.shell)))?;
    let mut script = Vec::new();
    let written = shell.write_registration("COMPLETE", "connectctl", "connectctl", "connectctl", &mut script);
    written.map_err(|e| failed(e.to_string()))?;
    output.script(&String::from_utf8_lossy(&script)).map(drop)
}
