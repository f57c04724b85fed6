//! Follows the file that has a name, whatever becomes of it.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use connect_api::{Error, OffsetMap, Result, SourceBatch, SourceContext, SourceRecord, SourceTask, async_trait};
use tokio::task::block_in_place;

use crate::{
    between::{Former, Passed},
    config::FileSourceConfig,
    follow::{Followed, Found, News, Remark, find},
    input::Input,
    place::Place,
    reading::{Bad, Reading, failed},
};

/// Follows what has one name.
pub(crate) struct OneFile {
    config: Arc<FileSourceConfig>,
    context: SourceContext,
    reading: Reading,
    /// Where the task stood when it was stopped, until a file was found.
    stood: Option<Place>,
    followed: Option<Followed>,
    /// The file that was followed before, until the next one was opened.
    former: Option<Former>,
    /// A line that is no proper record and was not reported yet, and why.
    bad: Option<Bad>,
    absence: Absence,
}

/// How often the ends of files are looked at.
pub(crate) const PAUSE: Duration = Duration::from_millis(250);

#[async_trait]
impl SourceTask for OneFile {
    async fn poll(&mut self) -> Result<SourceBatch> {
        // Nothing that was read is in a future that may be dropped: local files are read in place.
        loop {
            if let Some((record, error)) = &self.bad {
                self.context.report(record.clone(), error.clone()).await?;
                self.bad = None;
            }
            if self.followed.is_none() && !block_in_place(|| self.open())? {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            let records = self.records();
            if !records.is_empty() {
                return Ok(records.into());
            }
            if self.bad.is_none() && !block_in_place(|| self.read_on())? {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

impl OneFile {
    /// Goes on where the task stood.
    pub(crate) async fn start(config: FileSourceConfig, context: SourceContext) -> Result<Self> {
        let partition: OffsetMap = [("filename".to_owned(), config.file.clone().into())].into_iter().collect();
        let stood = context.offset(&partition).await?.as_ref().map(Place::from_offset).transpose()?;
        let config = Arc::new(config);
        Ok(Self {
            reading: Reading::new(&config, partition, &config.file),
            config,
            context,
            stood,
            followed: None,
            former: None,
            bad: None,
            absence: Absence::default(),
        })
    }

    fn failed(&self, what: &str, e: io::Error) -> Error {
        failed(what, &self.config.file, e)
    }

    fn records(&mut self) -> Vec<SourceRecord> {
        let Some(followed) = &mut self.followed else { return Vec::new() };
        let (records, bad) = self.reading.records(followed);
        self.bad = bad;
        records
    }

    /// Opens the file; `false` while there is none.
    fn open(&mut self) -> Result<bool> {
        let file = &self.config.file;
        let found =
            find(Path::new(file), self.stood.as_ref(), self.config.gunzip).map_err(|e| self.failed("opening", e))?;
        let Some(Found { input, position, remark }) = found else {
            if self.absence.say_now(Instant::now()) {
                tracing::warn!("file {file} is missing; it is read as soon as it is there");
            }
            return Ok(false);
        };
        match remark {
            Some(Remark::Renamed(path)) => {
                tracing::info!("going on at byte {position} of {}, which was {file}", path.display());
            }
            Some(Remark::Lost(why)) => {
                let stood = self.stood.as_ref().map_or(0, |place| place.position);
                tracing::warn!(
                    "file {file} was read to byte {stood}, and {why}; what followed there is not read, and the file is \
                     read from its beginning"
                );
            }
            None if self.absence.ended() => tracing::info!("file {file} is there now"),
            None => {}
        }
        let passed = self.former.take().and_then(|former| self.passed_over(&former, input.file()));
        let (input, position) = match &passed {
            Some(path) => (self.open_passed(path)?, 0),
            None => (input, position),
        };
        let mut followed =
            Followed::new(input, position, self.config.line_limit()).map_err(|e| self.failed("reading", e))?;
        if passed.is_some() {
            followed.finish();
        }
        self.followed = Some(followed);
        self.absence = Absence::default();
        self.stood = None;
        Ok(true)
    }

    fn open_passed(&self, path: &Path) -> Result<Input> {
        tracing::info!("file {} was rotated more than once; {} is read next", self.config.file, path.display());
        let opened = File::open(path).and_then(|file| Input::new(file, path, self.config.gunzip));
        opened.map_err(|e| failed("opening", path.display(), e))
    }

    /// The oldest of the files that had the name between the one that was read and the current one, and says which of
    /// them are gone.
    fn passed_over(&self, former: &Former, current: &File) -> Option<PathBuf> {
        let file = &self.config.file;
        let passed = former.passed_over(Path::new(file), current).unwrap_or_else(|e| {
            tracing::warn!("whether file {file} was rotated more than once is not known: {e}");
            Vec::new()
        });
        let mut renamed = Vec::new();
        for one in passed {
            match one {
                Passed::Renamed(path) => renamed.push((path.metadata().and_then(|m| m.modified()).ok(), path)),
                Passed::Perhaps(path) => tracing::warn!(
                    "file {file} was rotated more than once since it was looked at: {} may have been it meanwhile; it is \
                     not read",
                    path.display()
                ),
                Passed::Gone(inode) => tracing::warn!(
                    "file {file} was rotated more than once since it was looked at: the file with inode {inode} was it \
                     meanwhile and is gone; it is not read"
                ),
            }
        }
        renamed.into_iter().min().map(|(_, path)| path)
    }

    /// Looks whether the file still is the one to read, since what comes after a pause may be another's, and reads on;
    /// `false` when there is nothing more at the moment.
    fn read_on(&mut self) -> Result<bool> {
        if let Some(over) = self.followed.take_if(|followed| followed.is_over()) {
            tracing::info!("file {}: done with the one that was read up to byte {}", self.config.file, over.position());
            self.former = over.into_former().map_err(|e| self.failed("looking at", e))?;
            return Ok(true);
        }
        let Some(followed) = &mut self.followed else { return Ok(true) };
        let (file, position) = (&self.config.file, followed.position());
        let news = followed.check(Path::new(file), self.config.rotation_wait.0);
        match news.map_err(|e| self.failed("looking at", e))? {
            Some(News::Gone) => {
                if self.absence.say_now(Instant::now()) {
                    tracing::warn!("file {file} is gone; who has it open is still followed until there is a new one");
                }
            }
            Some(News::Replaced) => tracing::info!("file {file} was replaced; the old one is read to its end first"),
            Some(News::Rewritten) => tracing::warn!(
                "file {file} was truncated or written anew when it had been read up to byte {position}; it is read \
                 from its beginning"
            ),
            None => self.absence = Absence::default(),
        }
        let Some(followed) = &mut self.followed else { return Ok(true) };
        let (is_more, bad) = self.reading.read_more(followed)?;
        self.bad = bad;
        Ok(is_more)
    }
}

/// A file that is not there: told at once, and again at intervals that grow from a minute to an hour.
#[derive(Debug, Default)]
struct Absence(Option<(Instant, Duration)>);

const LONGEST: Duration = Duration::from_secs(3600);

impl Absence {
    fn say_now(&mut self, now: Instant) -> bool {
        match self.0 {
            None => self.0 = Some((now, Duration::from_secs(60))),
            Some((said, wait)) if now.duration_since(said) >= wait => self.0 = Some((now, (wait * 2).min(LONGEST))),
            Some(_) => return false,
        }
        true
    }

    fn ended(&self) -> bool {
        self.0.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_is_told_ever_less_often() {
        let (mut absence, start) = (Absence::default(), Instant::now());
        let said: Vec<u64> = (0..20_000).filter(|s| absence.say_now(start + Duration::from_secs(*s))).collect();
        assert_eq!(said, [0, 60, 180, 420, 900, 1860, 3780, 7380, 10_980, 14_580, 18_180]);
    }
}
