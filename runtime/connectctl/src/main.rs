//! The `connectctl` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    connectctl::main()
}
