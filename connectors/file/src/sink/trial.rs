//! Test calls: they look at the file, or the folder of files, and leave it as it is.

use std::{fs::File, io, path::Path};

use connect_api::{Check, Error, Rendered, Rendering, Result, SinkRecord, SinkTrial, async_trait};
use rustix::fs::{Access, access};

use super::{format::Lines, paths::Paths, setup::Setup, trouble::named};

/// Of a sink into one file.
pub struct OneFile {
    /// The file.
    pub path: String,
    /// How records become lines.
    pub lines: Lines,
}

#[async_trait]
impl SinkTrial for OneFile {
    async fn check(&mut self) -> Result<Check> {
        let path = Path::new(&self.path);
        let failed = |e| named(Error::fatal, "opening file", path, e);
        // Opening for appending changes nothing while nothing is written, and a file that is missing is not made.
        match File::options().append(true).open(path) {
            Ok(_) => Ok(Check::Passed(format!("file {} can be appended to", self.path))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let folder = path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
                if folder.is_dir() {
                    Ok(Check::Partly(format!("file {} is not there; whether it can be made was not tried", self.path)))
                } else {
                    Err(failed(e))
                }
            }
            Err(e) => Err(failed(e)),
        }
    }

    fn render(&mut self, record: &SinkRecord) -> Result<Rendering> {
        let (to, body) = (format!("append to {}", self.path), Some(self.lines.text(record)?));
        Ok(Rendering::Sent(Rendered { to, body, ..Rendered::default() }))
    }
}

/// Of a sink into the files of each partition.
pub struct ManyFiles(pub Setup);

#[async_trait]
impl SinkTrial for ManyFiles {
    async fn check(&mut self) -> Result<Check> {
        let base = self.0.paths.base();
        let failed = |e: io::Error| named(Error::fatal, "looking at folder", base, e);
        if !base.metadata().map_err(failed)?.is_dir() {
            return Err(failed(io::Error::from(io::ErrorKind::NotADirectory)));
        }
        access(base, Access::WRITE_OK | Access::EXEC_OK).map_err(|e| failed(e.into()))?;
        Ok(Check::Passed(format!("files can be made in folder {}", base.display())))
    }

    fn render(&mut self, record: &SinkRecord) -> Result<Rendering> {
        let paths = &self.0.paths;
        let mut path = paths.base().join(paths.complete(&paths.series(record)?, record.origin.offset));
        if self.0.atomic {
            path = Paths::incomplete(&path);
        }
        let (to, body) = (format!("append to {}", path.display()), Some(self.0.lines.text(record)?));
        Ok(Rendering::Sent(Rendered { to, body, ..Rendered::default() }))
    }
}
