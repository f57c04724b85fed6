//! A server with two connectors of its own beside Tocsin's:
//! `cargo run -p connectd --example plugin -- counter.yaml`

mod sink;
mod source;

fn main() -> std::process::ExitCode {
    connectd::run(connectd::plugins().source::<source::Counter>().sink::<sink::Lines>())
}
