//! Writes the reference pages of all plugins into a folder: `cargo run -p connectd --example reference -- docs/reference`

use std::{fs, path::Path, process::ExitCode};

fn main() -> ExitCode {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "docs/reference".into());
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(&folder)?;
        for (name, text) in connectd::reference::pages(&connectd::plugins()) {
            fs::write(Path::new(&folder).join(name), text)?;
        }
        Ok(())
    };
    match write() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("writing the reference into {folder}: {e}");
            ExitCode::FAILURE
        }
    }
}
