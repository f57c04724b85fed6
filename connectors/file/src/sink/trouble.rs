//! What the system says, as errors with the way out.

use std::{io, path::Path};

use connect_api::Error;

/// An error that passes once somebody has seen to it: what was tried with the path, and what to do.
pub fn trouble(doing: &str, path: &Path, e: io::Error) -> Error {
    named(Error::retriable, doing, path, e)
}

/// As [`trouble`], of a class of choice.
pub fn named(class: fn(String) -> Error, doing: &str, path: &Path, e: io::Error) -> Error {
    let way_out = match e.kind() {
        io::ErrorKind::NotFound => "make its folder, or set file to another path",
        io::ErrorKind::PermissionDenied => {
            "let the worker's user write to it and its folder, or set file to another path"
        }
        io::ErrorKind::IsADirectory => "set file to the path of a file in that folder",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room on its disk",
        io::ErrorKind::ReadOnlyFilesystem => "mount its file system for writing, or set file to another path",
        _ => "see whether the setting file is right",
    };
    class(format!("{doing} {}: {way_out}", path.display())).caused_by(e)
}
