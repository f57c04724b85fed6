//! The server with plugins that hang where they are told to.

use std::process::ExitCode;

use connect_testkit::hanging::{HangingSink, HangingSource, HangingTransform};

fn main() -> ExitCode {
    let plugins = connectd::plugins().source::<HangingSource>().sink::<HangingSink>();
    connectd::run(plugins.transform::<HangingTransform>())
}
