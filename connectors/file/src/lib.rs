//! Lines of a file into Kafka, and records into lines of a file.
//!
//! - [`source`]: follows a text file; Kafka's `FileStreamSourceConnector` with its settings
//! - [`follow`]: reads one file to its end, and notices that it was rotated, truncated or replaced
//! - [`between`]: the files that were passed over between two looks
//! - [`place`]: where a task stands and in which file: what a source offset says
//! - [`sink`]: appends records as JSON lines; Kafka's `FileStreamSinkConnector` writes plain text
//! - [`lines`]: the pure part: cutting bytes into lines

pub mod between;
pub mod follow;
pub mod lines;
pub mod place;
pub mod sink;
pub mod source;

pub use sink::{FileSink, FileStreamSink};
pub use source::FileSource;
