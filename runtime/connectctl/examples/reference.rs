//! Writes a page per command into a folder: `cargo run -p connectctl --example reference -- docs/reference/connectctl`

use std::{fs, path::Path, process::ExitCode};

fn main() -> ExitCode {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "docs/reference/connectctl".into());
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(&folder)?;
        for (name, text) in connectctl::reference::pages() {
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
