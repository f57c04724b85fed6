//! Kafka Connect and this worker side by side on one Kafka: one long conversation over the whole REST API, then the same
//! connector files, are put to both; what they answer, write and store is compared. `intended.yaml` has the differences
//! that are meant. Run by `cargo xtask compat`.
//!
//! - `talk`: asks both and compares; `differences`: what differs, and what of it is meant
//! - `plugins`, `requests`, `connectors`, `offsets`: the conversation
//! - `flows`, `input`: the connector files, and what they read; `stored`: what both have written down
#![allow(clippy::print_stdout, reason = "a report is printed")]

mod connectors;
mod differences;
mod flows;
mod input;
mod offsets;
mod plugins;
mod requests;
mod stored;
mod talk;

use std::{path::Path, process::ExitCode, time::Instant};

use tocsin_tests::sides::Sides;
use xtask::servers::Server;

use self::{differences::Report, talk::Talk};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let whole = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => true,
        ["--short"] => false,
        _ => {
            eprintln!("error: the only argument is --short, not {}", arguments.join(" "));
            return ExitCode::FAILURE;
        }
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("side-by-side");
    let mut report = match Report::new(&folder.join("intended.yaml")) {
        Ok(report) => report,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    compare(&mut report, &folder, whole);
    let (text, fine) = report.finish(whole);
    print!("{text}");
    if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn compare(report: &mut Report, folder: &Path, whole: bool) {
    let began = Instant::now();
    let mut sides = Sides::start(&[]);
    let done = |part: &str, report: &Report| {
        println!("{part}: {} comparisons after {:.0} s", report.compared(), began.elapsed().as_secs_f64());
    };
    let mut talk = Talk { both: &sides.both, report, part: "" };
    plugins::listed(&mut talk);
    plugins::validated(&mut talk);
    done("plugins", talk.report);
    requests::odd(&mut talk);
    if whole {
        requests::bodies(&mut talk);
    }
    done("requests", talk.report);
    connectors::unknown(&mut talk);
    connectors::lived(&mut talk);
    connectors::failed(&mut talk);
    done("connectors", talk.report);
    flows::run(&mut talk, &sides.reader, &folder.join("connectors"), whole);
    done("connector files", talk.report);
    offsets::asked(&mut talk, &sides.reader);
    done("offsets", talk.report);
    stored::compare(&sides, report);
    sides.connect.restart().expect("restarting kafka connect");
    sides.restart_ours();
    offsets::kept(&mut Talk { both: &sides.both, report, part: "" });
    done("a restart", report);
}
