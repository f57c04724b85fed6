//! Hostile bytes: stored inputs of the fuzz target, and random ones made of what messages are made of.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{fs, path::Path};

mod decoding;

#[test]
fn stored_inputs_are_decoded_without_a_panic() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/inputs");
    let inputs: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(inputs.len() >= 8, "{inputs:?}");
    for input in inputs {
        decoding::decode(&fs::read(input).unwrap());
    }
}

/// Parts of messages; what is between them is random.
const PARTS: [&[u8]; 32] = [
    b"<13>",
    b"<191>",
    b"<192>",
    b"<>",
    b"1 ",
    b"999 ",
    b"- ",
    b"-",
    b"2003-10-11T22:14:15.003Z",
    b"2003-02-30T22:14:15+23:59",
    b" ",
    b"[a b=\"",
    b"\\\"",
    b"\\]",
    b"\"]",
    b"[",
    b"]",
    b"\xef\xbb\xbf",
    b"\xff",
    b"Oct 11 22:14:15",
    b"Feb 29 23:59:60",
    b"h ",
    b"su[3]: ",
    b"%ASA-6-302013: ",
    b": ",
    b"*",
    b"12 ",
    b"0 ",
    b"99999999999 ",
    b"\n",
    b"\0",
    b"UTC 1987 ",
];

/// Marsaglia's xorshift: the same bytes in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }
}

#[test]
fn random_messages_are_decoded_without_a_panic() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..30_000 {
        let mut input = vec![u8::try_from(random.below(256)).unwrap()];
        for _ in 0..random.below(20) {
            match random.below(4) {
                0 => input.extend((0..random.below(8)).map(|_| u8::try_from(random.below(256)).unwrap())),
                _ => input.extend_from_slice(PARTS[random.below(PARTS.len())]),
            }
        }
        decoding::decode(&input);
    }
}
