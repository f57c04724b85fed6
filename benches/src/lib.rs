//! What benchmarks share: processes and what they have used.

pub mod contest;
pub mod usage;
