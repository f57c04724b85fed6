//! The server with all of Tocsin's plugins.

use std::process::ExitCode;

fn main() -> ExitCode {
    connectd::run(connectd::plugins())
}
