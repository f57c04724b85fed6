//! What benchmarks share: processes and what they have used, and topics to read.

pub mod contest;
pub mod topic;
pub mod usage;
