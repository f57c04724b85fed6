//! A server with two connectors and a transform of its own beside Tocsin's: `cargo run -- counter.yaml`

mod sink;
mod source;
mod transform;

fn main() -> std::process::ExitCode {
    let plugins = connectd::plugins();
    connectd::run(plugins.source::<source::Counter>().sink::<sink::Lines>().transform::<transform::Scale>())
}
