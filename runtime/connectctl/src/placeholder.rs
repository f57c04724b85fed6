//! Values that `init` leaves open for whoever knows them, and which nobody wants applied.

use crate::declared::{Declared, Problem};

/// What stands for a value that only the user knows.
pub const OPEN: &str = "CHANGE-ME";

/// Whether the value, or a part of it, is still open.
pub fn is_open(value: &str) -> bool {
    value.contains(OPEN)
}

/// A problem for each setting that is still open.
pub fn left_in(all: &[Declared]) -> Vec<Problem> {
    let text =
        format!("{OPEN} stands for a value that only you know; write that, or remove the line where it may be missing");
    let of_one = |declared: &Declared| {
        let open = declared.connector.config.iter().filter(|(_, value)| is_open(value));
        open.map(|(key, _)| declared.problem(Some(key), &*text)).collect::<Vec<_>>()
    };
    all.iter().flat_map(of_one).collect()
}
