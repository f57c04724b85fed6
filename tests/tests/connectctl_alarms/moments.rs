//! What another writes between reading and writing.

use std::time::Instant;

use tocsin_tests::avro::{JLAB, jlab_alarm};

use crate::plant::Plant;

#[test]
fn acknowledging_never_brings_back_what_is_cleared_in_that_moment() {
    let Some(plant) = Plant::start() else { return };
    let began = Instant::now();
    plant.alarms(&["set", "pump", "--priority", "P1"]);
    let one = began.elapsed();
    let mut met = 0;
    for round in 0..12 {
        plant.write("active-alarms", "pump", JLAB, jlab_alarm((0, "P1_LIFE"), false));
        std::thread::scope(|scope| {
            let acknowledging = scope.spawn(|| plant.ctl.run(&["alarms", "ack", "pump"]));
            // Each round at another moment of what a command takes.
            std::thread::park_timeout(one * (round + 4) / 16);
            plant.kafka.write("active-alarms", "pump", None);
            let ran = acknowledging.join().expect("acknowledging");
            met += usize::from(ran.err.contains("was cleared in this moment"));
        });
        assert_eq!(plant.names(&["--all"]), Vec::<String>::new(), "round {round}");
    }
    eprintln!("{met} of 12 rounds met the moment");
}
