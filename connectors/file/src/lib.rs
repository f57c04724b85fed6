//! Lines of a file into Kafka, and records into lines of a file.
//!
//! - [`source`]: follows a text file; Kafka's `FileStreamSourceConnector` with its settings
//! - [`sink`]: appends records as JSON lines; Kafka's `FileStreamSinkConnector` writes plain text
//! - [`lines`]: the pure part: cutting bytes into lines

pub mod lines;
pub mod sink;
pub mod source;

pub use sink::{FileSink, FileStreamSink};
pub use source::FileSource;
