//! Lines of a file into Kafka, and records into lines of a file.
//!
//! - [`source`]: follows text files; Kafka's `FileStreamSourceConnector` with its settings, which are in [`config`]
//! - `one_file`, `many_files`: the tasks, for what has one name and for what a pattern matches
//! - `pattern`: which files a pattern matches; `reading`: from lines to records
//! - [`follow`]: reads one file to its end, and notices that it was rotated, truncated or replaced
//! - [`input`]: bytes of a file, as they are or unpacked
//! - [`archives`]: compressed copies of files that were being read
//! - [`between`]: the files that were passed over between two looks
//! - [`place`]: where a task stands and in which file: what a source offset says
//! - [`sink`]: appends records as JSON lines; Kafka's `FileStreamSinkConnector` writes plain text
//! - [`lines`]: the pure part: cutting bytes into lines

pub mod archives;
pub mod between;
pub mod config;
pub mod follow;
pub mod input;
pub mod lines;
mod many_files;
mod one_file;
mod pattern;
pub mod place;
mod reading;
pub mod sink;
pub mod source;

pub use sink::{FileSink, FileStreamSink};
pub use source::FileSource;
