//! The files of one partition, each record in exactly one of them.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    sync::Arc,
    time::Duration,
};

use connect_api::{Error, ErrorClass, Result, SinkRecord, TopicPartition};

use super::{
    journal::{Entry, Journal, Store},
    open::{Found, Open, complete, location, of_another},
    setup::Setup,
    trouble::trouble,
};

/// Of so many files each has its lines compressed with each batch.
const MANY: usize = 32;

/// Why files could not be brought up to date.
#[derive(Debug)]
pub enum Trouble {
    /// An error; nothing is lost.
    Failed(Error),
    /// Somebody removed a file with records that Kafka was not told to be safe: they have to come again.
    Lost(String),
}

impl Trouble {
    fn into_error(self) -> Error {
        match self {
            Self::Failed(e) => e,
            Self::Lost(why) => Error::retriable(why),
        }
    }
}

impl From<Error> for Trouble {
    fn from(e: Error) -> Self {
        Self::Failed(e)
    }
}

/// A partition whose files are ours.
#[derive(Debug)]
pub struct Partition {
    name: TopicPartition,
    store: Store,
    /// Files by the path that the template made.
    files: BTreeMap<String, Open>,
    /// Files that are complete but for what is not written yet.
    ended: Vec<Open>,
    /// The path that all records have in common, if there is one.
    series: Option<Arc<str>>,
    /// Kafka's id of the topic, where it is known.
    topic: Option<String>,
    next: Option<i64>,
    newest: Option<i64>,
    /// The latest record that was passed over since it was found that the topic still is the same.
    passed: Option<i64>,
    /// Whether it was said that records are passed over.
    said: bool,
}

/// Where a record belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Into a file.
    New,
    /// It is in a file already.
    Written,
    /// It is in a file already, or of another topic that has the name now.
    Unsure,
}

impl Partition {
    /// Takes up the files where the journal says that they are: what goes beyond it is cut off. Where they are those of a
    /// topic with another id, others are begun.
    pub fn load(setup: &Setup, connector: &str, name: &TopicPartition, id: Option<&str>) -> Result<Self> {
        let store = Store::open(setup.paths.base(), connector, name, setup.sync)?;
        let mut partition = Self::resume(setup, name, store)?;
        if !partition.is_of(id) {
            partition.begin_anew(setup, id).map_err(Trouble::into_error)?;
        }
        Ok(partition)
    }

    /// Whether its files are those of the topic with this id, as far as that is known. From now on they are.
    pub fn is_of(&mut self, id: Option<&str>) -> bool {
        let Some(id) = id else { return true };
        let known = self.topic.get_or_insert_with(|| id.to_owned());
        *known == id
    }

    /// Ends all files, as the topic is another one now, of this id: it has other records under the same offsets.
    pub fn begin_anew(&mut self, setup: &Setup, id: Option<&str>) -> Result<usize, Trouble> {
        tracing::warn!(
            "topic {} was deleted and created again: what files have of the old one in partition {} is complete, and records of \
             the new one are written where the consumer group stands",
            self.name.topic,
            self.name.partition
        );
        self.go_on_at(setup, None, id)
    }

    fn go_on_at(&mut self, setup: &Setup, next: Option<i64>, id: Option<&str>) -> Result<usize, Trouble> {
        let all: Vec<String> = self.files.keys().cloned().collect();
        all.iter().for_each(|series| self.end(series));
        let ended = self.checkpoint(setup)?;
        let topic = id.map(str::to_owned);
        self.store.write(Journal { file: setup.file.clone(), topic: topic.clone(), next, ..Journal::default() })?;
        (self.topic, self.next, self.newest, self.passed, self.said) = (topic, next, None, None, false);
        Ok(ended)
    }

    fn resume(setup: &Setup, name: &TopicPartition, store: Store) -> Result<Self> {
        let journal = store.durable();
        let (topic, next, newest) = (journal.topic.clone(), journal.next, journal.newest);
        let same = journal.file == setup.file;
        let mut files = BTreeMap::new();
        for entry in &journal.files {
            if !found(entry, setup, &store)? {
                continue;
            }
            if entry.done || !same {
                complete(entry, setup)?;
            } else {
                files.insert(entry.series.clone(), Open::new(entry.clone()));
            }
        }
        let (name, ended) = (name.clone(), Vec::new());
        Ok(Self { name, store, files, ended, series: None, topic, next, newest, passed: None, said: false })
    }

    /// Ends all files, and has the partition go on at an offset of somebody's choice.
    pub fn rewind(setup: &Setup, name: &TopicPartition, store: Store, next: Option<i64>) -> Result<()> {
        // Whatever topic has the name when it goes on: that is the one that was meant.
        Self::resume(setup, name, store)?.go_on_at(setup, next, None).map(drop).map_err(Trouble::into_error)
    }

    /// Where a record belongs; `sure` says that the topic was found to be the same just now. An error where it is another
    /// one in the place of one that was written.
    pub fn place(&self, record: &SinkRecord, sure: bool) -> Result<Place> {
        let (offset, Some(next)) = (record.origin.offset, self.next) else { return Ok(Place::New) };
        if offset >= next {
            return Ok(Place::New);
        }
        // What comes again comes in order, so that what goes back may be of another topic.
        if !sure && self.passed.is_none_or(|passed| passed >= offset) {
            return Ok(Place::Unsure);
        }
        if record.timestamp.zip(self.newest).is_some_and(|(time, newest)| time > newest) {
            return Err(self.is_another(offset, next));
        }
        Ok(Place::Written)
    }

    fn is_another(&self, offset: i64, next: i64) -> Error {
        Error::fatal(format!(
            "writing offset {offset} of {}-{}: its files have records up to offset {}, and none is as new as this one. The \
             topic seems to have been deleted and created again, or Kafka to have lost records: set the connector's offsets, \
             or move the files away with their journal, and restart it",
            self.name.topic,
            self.name.partition,
            next - 1
        ))
    }

    /// Passes over a record that is in a file already.
    pub fn pass_over(&mut self, record: &SinkRecord) {
        self.passed = Some(record.origin.offset);
        if let (false, Some(next)) = (self.said, self.next) {
            tracing::info!(
                "{}-{}: records from offset {} to {} are passed over, which are in its files",
                self.name.topic,
                self.name.partition,
                record.origin.offset,
                next - 1
            );
            self.said = true;
        }
    }

    /// Takes a record's line. Nothing is written yet.
    pub fn add(&mut self, setup: &Setup, series: &str, record: &SinkRecord, line: &[u8]) {
        if self.files.get(series).is_some_and(|open| setup.is_full(&open.entry, line.len())) {
            self.end(series);
        }
        if !self.files.contains_key(series) {
            self.files.insert(series.to_owned(), Open::new(setup.begin(series, record)));
        }
        if let Some(open) = self.files.get_mut(series) {
            open.add(line);
            if setup.is_full(&open.entry, 0) {
                self.end(series);
            }
        }
        self.pass(record);
    }

    /// The path that a record's files have in common.
    pub fn series(&mut self, setup: &Setup, record: &SinkRecord) -> Result<Arc<str>> {
        if let Some(series) = &self.series {
            return Ok(series.clone());
        }
        let series: Arc<str> = setup.paths.series(record)?.into();
        if setup.paths.of_partition() {
            self.series = Some(series.clone());
        }
        Ok(series)
    }

    /// Goes on behind a record.
    pub fn pass(&mut self, record: &SinkRecord) {
        (self.next, self.passed) = (Some(record.origin.offset + 1), None);
        self.newest = self.newest.max(record.timestamp);
    }

    fn end(&mut self, series: &str) {
        if let Some(mut open) = self.files.remove(series) {
            open.entry.done = true;
            self.ended.push(open);
        }
    }

    /// Ends the files whose time is over.
    pub fn end_overdue(&mut self, setup: &Setup) {
        let is_over = |open: &Open| setup.remaining(&open.entry) == Some(Duration::ZERO);
        let over: Vec<String> = self.files.iter().filter(|(_, o)| is_over(o)).map(|(s, _)| s.clone()).collect();
        over.iter().for_each(|series| self.end(series));
    }

    /// How long until a file's time is over.
    pub fn remaining(&self, setup: &Setup) -> Option<Duration> {
        self.files.values().filter_map(|open| setup.remaining(&open.entry)).min()
    }

    /// Writes what was taken, and gives complete files their names. Returns how many there were.
    pub fn settle(&mut self, setup: &Setup) -> Result<usize, Trouble> {
        if !self.ended.is_empty() || setup.sync_puts {
            return self.checkpoint(setup);
        }
        self.make(setup)?;
        // What waits to be compressed must not add up.
        let all = self.files.len() > MANY;
        for open in self.files.values_mut() {
            open.write(setup, all)?;
        }
        Ok(0)
    }

    /// Makes everything that was taken safe. Returns how many files became complete.
    pub fn checkpoint(&mut self, setup: &Setup) -> Result<usize, Trouble> {
        self.make(setup)?;
        let mut renamed = Vec::new();
        for open in self.files.values_mut().chain(&mut self.ended) {
            open.write(setup, true)?;
            open.sync(setup)?;
            let path = open.location(setup);
            match open.find(setup)? {
                Found::Here => {}
                Found::Renamed => {
                    tracing::warn!("file {} was renamed; going on in a new one", path.display());
                    renamed.push(open.entry.inode);
                }
                Found::Gone => {
                    return Err(Trouble::Lost(format!(
                        "file {} was removed while it was written; its records come again from the last commit on",
                        path.display()
                    )));
                }
            }
        }
        let stays = |open: &Open| !renamed.contains(&open.entry.inode);
        self.files.retain(|_, open| stays(open));
        self.ended.retain(stays);
        let files = self.files.values().chain(&self.ended).map(|open| open.entry.clone()).collect();
        let (file, topic, next, newest) = (setup.file.clone(), self.topic.clone(), self.next, self.newest);
        self.store.write(Journal { file, topic, next, newest, files })?;
        let ended = self.ended.len();
        // The journal knows that they are complete, so that what a crash leaves undone is done when it is read.
        while let Some(open) = self.ended.pop() {
            if let Err(e) = complete(&open.entry, setup) {
                self.ended.push(open);
                return Err(e.into());
            }
        }
        Ok(ended)
    }

    /// Makes files that are not there, once the journal knows of them: it tells what to do with a file that was made and
    /// has nothing safe in it.
    fn make(&mut self, setup: &Setup) -> Result<()> {
        let mut known = self.store.durable().clone();
        let mut any = false;
        for open in self.files.values_mut().chain(&mut self.ended).filter(|open| open.is_new()) {
            let attempted = known.files.iter().any(|other| other.path == open.entry.path && other.inode == 0);
            open.prepare(setup, &self.store, attempted)?;
            let (length, entry) = (open.entry.length, &open.entry);
            known.files.retain(|other| other.path != entry.path);
            known.files.push(Entry { done: false, records: 0, text: 0, length, ..entry.clone() });
            any = true;
        }
        if !any {
            return Ok(());
        }
        known.file.clone_from(&setup.file);
        self.store.write(known.clone())?;
        for open in self.files.values_mut().chain(&mut self.ended).filter(|open| open.is_new()) {
            if let Err(e) = open.make(setup, &self.store) {
                // What is another's is not ours because it was wanted.
                if e.class() == ErrorClass::Fatal {
                    known.files.retain(|other| other.path != open.entry.path);
                    self.store.write(known)?;
                }
                return Err(e);
            }
            if setup.open.load(std::sync::atomic::Ordering::Relaxed) > setup.open_limit {
                open.close(setup)?;
            }
        }
        Ok(())
    }

    /// The files that are open, for closing those that have not been used.
    pub fn open_files(&mut self) -> impl Iterator<Item = &mut Open> {
        self.files.values_mut().filter(|open| open.is_open())
    }
}

/// Whether a file of the journal is there; brings it to the length that the journal says.
fn found(entry: &Entry, setup: &Setup, store: &Store) -> Result<bool> {
    let (path, base) = (location(entry, setup), setup.paths.base());
    let found = match fs::metadata(&path) {
        Ok(found) => found,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            // One that has got its name is the reader's. One that was never made has nothing.
            if !entry.done && entry.inode != 0 {
                tracing::warn!("file {} is gone, whose records were safe; going on in a new one", path.display());
            }
            return Ok(false);
        }
        Err(e) => return Err(trouble("looking at file", &path, e)),
    };
    if entry.inode != 0 && entry.inode != found.ino() {
        tracing::warn!("another file has the name {}; what is in it stays as it is", path.display());
        return Ok(false);
    }
    if entry.inode == 0 && store.other_with(base, &entry.path, None)?.is_some() {
        return Ok(false);
    }
    if entry.inode == 0 && entry.length == 0 && entry.part {
        fs::remove_file(&path).map_err(|e| trouble("removing file", &path, e))?;
        return Ok(false);
    }
    if found.len() < entry.length {
        return Err(Error::fatal(format!(
            "taking up file {}: it has {} bytes of {} that were stored; bring it back, or move it away to go on without what \
             was cut off",
            path.display(),
            found.len(),
            entry.length
        )));
    }
    if found.len() > entry.length {
        if let Some(other) = store.other_with(base, &entry.path, Some(found.ino()))? {
            return Err(of_another("taking up file", &path, &other));
        }
        tracing::info!(
            "cutting {} bytes off {}, which were not safe; their records come again",
            found.len() - entry.length,
            path.display()
        );
        let cut = File::options().write(true).open(&path).and_then(|file| {
            file.set_len(entry.length)?;
            if setup.sync { file.sync_all() } else { Ok(()) }
        });
        cut.map_err(|e| trouble("cutting file", &path, e))?;
    }
    // One that was not made, or not known to be, is begun anew.
    Ok(entry.inode != 0)
}
