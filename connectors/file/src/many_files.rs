//! Follows all files that a pattern matches. A file is what has an inode: it may be renamed.

use std::{
    collections::BTreeSet,
    fs::{File, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use connect_api::{Error, OffsetMap, Result, SourceBatch, SourceContext, SourceRecord, SourceTask, async_trait};
use indexmap::IndexMap;
use tokio::task::block_in_place;

use crate::{
    archives::{Archives, Copied},
    config::FileSourceConfig,
    follow::{Followed, News, change, holds, renamed},
    input::Input,
    one_file::PAUSE,
    pattern::Pattern,
    place::Place,
    reading::{Bad, Reading, failed},
};

/// So many files are open at most; others wait for one that has nothing new.
const OPEN: usize = 128;
/// A file that has had nothing new for so long is closed.
const IDLE: Duration = Duration::from_secs(60);

/// Device and inode.
type Id = (u64, u64);

/// Follows many files.
pub(crate) struct ManyFiles {
    config: Arc<FileSourceConfig>,
    context: SourceContext,
    pattern: Pattern,
    files: IndexMap<Id, OneOf>,
    /// The file whose turn it is.
    next: usize,
    scanned: Option<Instant>,
    bad: Option<Bad>,
    told: BTreeSet<String>,
}

/// One of the files.
struct OneOf {
    path: PathBuf,
    inode: u64,
    reading: Reading,
    state: State,
    /// Since when the pattern does not match it.
    unmatched: Option<Instant>,
    /// Why it could not be read since the last look for files, until the next one.
    problem: Option<String>,
}

enum State {
    Open {
        followed: Box<Followed>,
        /// When it last had something new.
        active: Instant,
        /// Whether it was written anew, so that it has to be read again.
        is_anew: bool,
    },
    /// It was read up to there when it was of that length and time; those are none where it is to be read.
    Closed { place: Place, seen: Option<(u64, i64, i64)> },
}

/// What came of a file's turn.
enum Turn {
    Records(Vec<SourceRecord>),
    /// There may be more at once.
    Busy,
    Nothing,
    /// The file is done with.
    Done,
}

impl ManyFiles {
    /// Goes on in each file where the task stood in it.
    pub(crate) fn start(config: FileSourceConfig, context: SourceContext) -> Result<Self> {
        let pattern = Pattern::new(&config.file, config.exclude.as_deref())
            .map_err(|why| Error::fatal(format!("following files by {}: {why}", config.file)))?;
        Ok(Self {
            config: Arc::new(config),
            context,
            pattern,
            files: IndexMap::new(),
            next: 0,
            scanned: None,
            bad: None,
            told: BTreeSet::new(),
        })
    }

    /// Looks for files that came, and for those that have other names or none.
    async fn scan(&mut self) -> Result<()> {
        let is_first = self.scanned.is_none();
        let mut found = block_in_place(|| self.pattern.matches());
        for one in self.files.values_mut() {
            one.unmatched = one.unmatched.or(Some(Instant::now()));
        }
        let nothing = found.files.is_empty();
        for (path, metadata) in found.files {
            let id = (metadata.dev(), metadata.ino());
            if let Some(known) = self.files.get_mut(&id) {
                known.is_matched(path, &metadata);
            } else if self.files.keys().any(|(_, inode)| *inode == id.1) {
                found.problems.insert(format!(
                    "{} is not read: a file of another file system has its inode {}; follow it by another connector",
                    path.display(),
                    id.1
                ));
            } else {
                let new = self.one_of(path, id.1).await?;
                self.files.insert(id, new);
            }
        }
        // Those that had other names when the worker was stopped, and were not read to their ends.
        for (path, metadata) in if is_first { block_in_place(|| self.pattern.others()) } else { Vec::new() } {
            let mut one = self.one_of(path, metadata.ino()).await?;
            let State::Closed { place, .. } = &one.state else { continue };
            if place.position == 0 || self.files.contains_key(&(metadata.dev(), metadata.ino())) {
                continue;
            }
            let is_it = File::open(&one.path)
                .and_then(|file| holds(&Input::new(file, &one.path, self.config.gunzip)?, place))
                .unwrap_or(false);
            if is_it {
                one.unmatched = Some(Instant::now());
                self.files.insert((metadata.dev(), metadata.ino()), one);
            }
        }
        if is_first && self.config.gunzip {
            self.find_copies().await?;
        }
        if nothing {
            found.problems.insert(format!("no file matches {}", self.config.file));
        }
        found.problems.extend(self.files.values_mut().filter_map(|one| one.problem.take()));
        self.tell(found.problems);
        self.scanned = Some(Instant::now());
        Ok(())
    }

    /// Goes on in compressed copies of files that are gone: what was written to those before they were compressed is
    /// nowhere else.
    async fn find_copies(&mut self) -> Result<()> {
        let stored = self.context.offsets().await?;
        let matches = |partition: &OffsetMap| {
            partition.get("filename").and_then(|name| name.as_str()) == Some(self.config.file.as_str())
        };
        let present = block_in_place(|| [self.pattern.matches().files, self.pattern.others()].concat());
        let archives = block_in_place(|| Archives::among(present.iter().map(|(path, _)| path.clone())));
        for (partition, offset) in stored.into_iter().filter(|(partition, _)| matches(partition)) {
            let place = Place::from_offset(&offset)?;
            let inode = place.identity.as_ref().map(|identity| identity.inode);
            let is_here = present.iter().filter(|(_, metadata)| Some(metadata.ino()) == inode).any(|(path, _)| {
                File::open(path).and_then(|file| holds(&Input::new(file, path, true)?, &place)).unwrap_or(false)
            });
            if place.position == 0 || inode.is_none() || is_here {
                continue;
            }
            match block_in_place(|| archives.copy_of(&place)) {
                Some(Copied::Unread(path, input)) => {
                    let metadata = input.file().metadata().map_err(|e| failed("looking at", path.display(), e))?;
                    let id = (metadata.dev(), metadata.ino());
                    if self.files.contains_key(&id) {
                        continue;
                    }
                    tracing::info!(
                        "going on at byte {} of {}, which is a compressed copy of what was read",
                        place.position,
                        path.display()
                    );
                    let mut one = self.one_of(path, id.1).await?;
                    one.state =
                        State::Closed { place: Place { position: place.position, ..Place::default() }, seen: None };
                    one.unmatched = Some(Instant::now());
                    self.files.insert(id, one);
                }
                None if place.ended.is_none() => tracing::warn!(
                    "a file that {} matched was read up to byte {} and is gone, inode {}; what followed there is not read",
                    self.config.file,
                    place.position,
                    partition.get("inode").and_then(|inode| inode.as_str()).unwrap_or("unknown")
                ),
                Some(Copied::Read) | None => {}
            }
        }
        Ok(())
    }

    async fn one_of(&self, path: PathBuf, inode: u64) -> Result<OneOf> {
        let partition: OffsetMap =
            [("filename".to_owned(), self.config.file.clone().into()), ("inode".to_owned(), inode.to_string().into())]
                .into_iter()
                .collect();
        let stood = self.context.offset(&partition).await?.as_ref().map(Place::from_offset).transpose()?;
        let place = stood.unwrap_or_default();
        let reading = Reading::new(&self.config, partition, path.display());
        Ok(OneOf { path, inode, reading, state: State::Closed { place, seen: None }, unmatched: None, problem: None })
    }

    /// Says what cannot be read, once and in the status.
    fn tell(&mut self, problems: BTreeSet<String>) {
        if problems == self.told {
            return;
        }
        problems.difference(&self.told).for_each(|new| tracing::warn!("{new}"));
        let all: Vec<&str> = problems.iter().map(String::as_str).collect();
        self.context.note((!all.is_empty()).then(|| all.join("; ")));
        self.told = problems;
    }

    /// Lets each file have its turn until there are records; whether there may be more at once.
    fn round(&mut self) -> (Vec<SourceRecord>, bool) {
        let mut is_busy = false;
        let mut open = self.files.values().filter(|one| one.is_open()).count();
        for _ in 0..self.files.len() {
            self.next = (self.next + 1) % self.files.len().max(1);
            let Some((_, one)) = self.files.get_index_mut(self.next) else { continue };
            let was_open = one.is_open();
            let turn = one.turn(&self.config, open >= OPEN, &mut self.bad);
            let is_open = one.is_open() && !matches!(turn, Turn::Done);
            open = open + usize::from(is_open) - usize::from(was_open);
            match turn {
                Turn::Records(records) => return (records, true),
                Turn::Busy => is_busy = true,
                Turn::Nothing => {}
                Turn::Done => {
                    self.files.swap_remove_index(self.next);
                }
            }
            if self.bad.is_some() {
                return (Vec::new(), true);
            }
        }
        (Vec::new(), is_busy)
    }
}

impl OneOf {
    fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }

    /// The pattern matches it, by this name.
    fn is_matched(&mut self, path: PathBuf, metadata: &Metadata) {
        self.unmatched = None;
        if self.path != path {
            tracing::info!("going on with {}, which was {}", path.display(), self.path.display());
            self.path = path;
        }
        if let State::Closed { seen, .. } = &mut self.state {
            *seen = seen.filter(|seen| *seen == change(metadata));
        }
    }

    /// What cannot be read holds up no other file.
    fn turn(&mut self, config: &FileSourceConfig, is_full: bool, bad: &mut Option<Bad>) -> Turn {
        if self.problem.is_some() {
            return Turn::Nothing;
        }
        let turn = match &self.state {
            State::Closed { seen: Some(_), .. } if self.unmatched.is_none() => Ok(Turn::Nothing),
            State::Closed { .. } if is_full => Ok(Turn::Nothing),
            State::Closed { place, .. } => self.open(config, &place.clone()),
            State::Open { .. } => self.read(config, is_full, bad),
        };
        turn.unwrap_or_else(|e| {
            self.problem = Some(e.one_line());
            if let State::Open { followed, .. } = &self.state {
                self.state = State::Closed { place: followed.place(), seen: None };
            }
            Turn::Nothing
        })
    }

    fn read(&mut self, config: &FileSourceConfig, is_full: bool, bad: &mut Option<Bad>) -> Result<Turn> {
        let wait = config.rotation_wait.0;
        let State::Open { followed, active, is_anew } = &mut self.state else { return Ok(Turn::Nothing) };
        let (records, found) = self.reading.records(followed);
        *bad = found;
        if !records.is_empty() || bad.is_some() {
            *active = Instant::now();
            return Ok(if records.is_empty() { Turn::Busy } else { Turn::Records(records) });
        }
        if followed.is_over() {
            if !*is_anew {
                tracing::info!("file {}: done, read up to byte {}", self.path.display(), followed.position());
                return Ok(Turn::Done);
            }
            self.state = State::Closed { place: Place::default(), seen: None };
            return Ok(Turn::Busy);
        }
        if self.unmatched.is_some_and(|since| since.elapsed() >= wait) {
            followed.finish();
        }
        let news = followed.check(&self.path, wait).map_err(|e| failed("looking at", self.path.display(), e))?;
        if let Some(News::Rewritten) = news {
            let (path, position) = (self.path.display(), followed.position());
            tracing::warn!(
                "file {path} was truncated or written anew when it had been read up to byte {position}; it is read from \
                 its beginning"
            );
            *is_anew = true;
        }
        let (is_more, found) = self.reading.read_more(followed)?;
        *bad = found;
        if is_more {
            return Ok(Turn::Busy);
        }
        if self.unmatched.is_none() && (is_full || active.elapsed() >= IDLE) {
            self.state = State::Closed { place: followed.place(), seen: Some(followed.seen()) };
        }
        Ok(Turn::Nothing)
    }

    fn open(&mut self, config: &FileSourceConfig, place: &Place) -> Result<Turn> {
        let opened = self.find(config, place).and_then(|found| {
            let Some(input) = found else { return Ok(None) };
            let is_it = place.identity.is_none() || holds(&input, place)?;
            let position = if is_it { place.position } else { 0 };
            Ok(Some((Followed::new(input, position, config.line_limit())?, is_it)))
        });
        match opened {
            Ok(Some((followed, is_it))) => {
                if !is_it {
                    tracing::warn!(
                        "file {} is not the one that was read up to byte {}, or was written anew; it is read from its \
                         beginning",
                        self.path.display(),
                        place.position
                    );
                }
                self.state = State::Open { followed: Box::new(followed), active: Instant::now(), is_anew: false };
                Ok(Turn::Busy)
            }
            Ok(None) => {
                tracing::info!("file {} is gone; it was read up to byte {}", self.path.display(), place.position);
                Ok(Turn::Done)
            }
            Err(e) => Err(failed("opening", self.path.display(), e)),
        }
    }

    /// Opens the file, which may have another name in its folder.
    fn find(&self, config: &FileSourceConfig, place: &Place) -> io::Result<Option<Input>> {
        match File::open(&self.path) {
            Ok(file) if file.metadata()?.ino() == self.inode => Input::new(file, &self.path, config.gunzip).map(Some),
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(renamed(&self.path, place, self.inode, config.gunzip).map(|(_, input)| input)),
        }
    }
}

#[async_trait]
impl SourceTask for ManyFiles {
    async fn poll(&mut self) -> Result<SourceBatch> {
        // Nothing that was read is in a future that may be dropped: local files are read in place.
        loop {
            if let Some((record, error)) = &self.bad {
                self.context.report(record.clone(), error.clone()).await?;
                self.bad = None;
            }
            if self.scanned.is_none_or(|scanned| scanned.elapsed() >= self.config.scan_interval.0) {
                self.scan().await?;
            }
            let (records, is_more) = block_in_place(|| self.round());
            if !records.is_empty() {
                return Ok(records.into());
            }
            if is_more {
                tokio::task::yield_now().await;
            } else {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_file_that_has_not_changed_stays_closed() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("a.log");
        std::fs::write(&path, "one\n").expect("file");
        let metadata = std::fs::metadata(&path).expect("metadata");
        let input = Input::new(File::open(&path).expect("file"), &path, true).expect("input");
        let followed = Followed::new(input, 4, 100).expect("followed");
        let settings = connect_api::Settings::from([("file", "*.log"), ("topic", "t")]);
        let config = <FileSourceConfig as connect_api::config::Config>::parse(&settings).expect("settings");
        let mut one = OneOf {
            reading: Reading::new(&Arc::new(config), OffsetMap::new(), path.display()),
            inode: metadata.ino(),
            state: State::Closed { place: followed.place(), seen: Some(followed.seen()) },
            unmatched: None,
            problem: None,
            path: path.clone(),
        };
        one.is_matched(path.clone(), &metadata);
        assert!(matches!(one.state, State::Closed { seen: Some(_), .. }), "it is the same");
        std::fs::write(&path, "one\ntwo\n").expect("file");
        one.is_matched(path.clone(), &std::fs::metadata(&path).expect("metadata"));
        assert!(matches!(one.state, State::Closed { seen: None, .. }), "it has grown");
    }
}
