//! Inputs that the fuzz target `channel_access` found worth keeping, decoded again. What a run finds goes into the folder
//! `inputs`, minimised, with its mistake.

mod decoding;

use std::{fs, path::Path};

#[test]
fn stored_inputs_are_decoded_without_a_finding() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/inputs");
    let mut count = 0;
    for entry in fs::read_dir(&folder).expect("the folder of inputs") {
        let path = entry.expect("an entry").path();
        let input = fs::read(&path).expect("an input");
        // Says which one it was, should it be one.
        eprintln!("{}", path.display());
        decoding::decode(&input);
        count += 1;
    }
    assert!(count >= 10, "{count} inputs");
}

#[test]
fn every_beginning_of_every_input_is_decoded_without_a_finding() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/inputs");
    for entry in fs::read_dir(&folder).expect("the folder of inputs") {
        let input = fs::read(entry.expect("an entry").path()).expect("an input");
        for end in 0..input.len() {
            decoding::decode(&input[..end]);
        }
    }
}
