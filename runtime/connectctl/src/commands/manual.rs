//! `connectctl manual`

use std::{fs, io, path::PathBuf};

use clap::CommandFactory;

use crate::{args::Cli, error::Failure, output::Output};

/// What `manual` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder for the pages, such as ~/.local/share/man/man1; it is made if it is not there.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

/// Writes connectctl.1 and a page per command.
pub fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    let write = || -> io::Result<()> {
        fs::create_dir_all(&args.folder)?;
        clap_mangen::generate_to(Cli::command(), &args.folder)
    };
    write().map_err(|e| Failure::Failed(format!("writing man pages into {}: {e}", args.folder.display())))?;
    let folder = args.folder.display().to_string();
    output.result(
        &serde_json::json!({ "folder": folder }),
        || vec![folder.clone()],
        |_| format!("man pages are in {folder}"),
    )
}
