//! Many records.

use std::time::Instant;

use tocsin_tests::avro::{JLAB, jlab_alarm};

use crate::plant::Plant;

const SYMBOLS: [&str; 4] = ["P1_LIFE", "P2_PROPERTY", "P3_PRODUCTIVITY", "P4_DIAGNOSTIC"];

/// How long a million records take is said on standard error: `cargo build --release -p connectctl`, and
/// `cargo test --release -p tocsin-tests --test connectctl_alarms -- --ignored --nocapture`.
#[test]
#[ignore = "writes a million records"]
fn a_million_records_are_replayed() {
    const RECORDS: usize = 1_000_000;
    const NAMES: usize = 50_000;
    let Some(plant) = Plant::start() else { return };
    plant.kafka.create("active-alarms", 1, &[]);
    let value = |n: u32| plant.schemas.encode("active-alarms-value", JLAB, jlab_alarm((n, SYMBOLS[n as usize]), false));
    let values: Vec<Vec<u8>> = (0..4).map(value).collect();
    let records = (0..RECORDS).map(|n| (format!("alarm-{}", n % NAMES), Some(values[n % 4].clone())));
    plant.kafka.write_all("active-alarms", records);
    for number in 0..3 {
        let began = Instant::now();
        let names = plant.names(&["--priority", "P1"]);
        eprintln!("run {number}: {RECORDS} records of {NAMES} alarms in {} ms", began.elapsed().as_millis());
        assert_eq!(names.len(), NAMES / 4);
    }
}
