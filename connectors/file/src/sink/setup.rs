//! The settings as a task uses them.

use std::{
    sync::{Arc, atomic::AtomicUsize},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use connect_api::{Result, SinkRecord};

use super::{
    config::{FileSinkConfig, Sync},
    format::Lines,
    journal::Entry,
    paths::Paths,
};

/// What all files of a task have in common.
#[derive(Debug)]
pub struct Setup {
    /// Where files are.
    pub paths: Paths,
    /// What is in them.
    pub lines: Lines,
    /// The setting `file`, and what else files are made by: where that changes, others are begun.
    pub file: String,
    /// Whether files are compressed.
    pub gzip: bool,
    /// Whether files have another name until they are complete.
    pub atomic: bool,
    /// Whether a rule ends files.
    pub rotates: bool,
    /// Whether contents are made to reach the disk.
    pub sync: bool,
    /// Whether that is done with each batch.
    pub sync_puts: bool,
    /// Most open files.
    pub open_limit: usize,
    /// How many are open.
    pub open: Arc<AtomicUsize>,
    bytes: u64,
    records: u64,
    after: Option<Duration>,
}

impl Setup {
    /// Reads the settings.
    pub fn new(config: &FileSinkConfig) -> Result<Self> {
        let most = |limit: Option<i64>| limit.and_then(|n| u64::try_from(n).ok()).unwrap_or(u64::MAX);
        Ok(Self {
            paths: Paths::new(config)?,
            lines: config.lines()?,
            file: made_by(config),
            gzip: config.gzip,
            atomic: config.atomic(),
            rotates: config.rotates(),
            sync: config.sync != Sync::Never,
            sync_puts: config.sync == Sync::Put,
            open_limit: usize::try_from(config.open_limit).unwrap_or(1),
            open: Arc::default(),
            bytes: most(config.rotate_bytes),
            records: most(config.rotate_records),
            after: config.rotate_after.map(|ms| ms.0),
        })
    }

    /// A file that begins with this record.
    pub fn begin(&self, series: &str, record: &SinkRecord) -> Entry {
        let mut first = Vec::new();
        self.lines.begin(&mut first);
        Entry {
            series: series.to_owned(),
            path: self.paths.complete(series, record.origin.offset),
            part: self.atomic,
            done: false,
            inode: 0,
            length: 0,
            text: first.len() as u64,
            records: 0,
            began: now(),
        }
    }

    /// Whether a line does not go into the file any more.
    pub fn is_full(&self, entry: &Entry, line: usize) -> bool {
        let more = line as u64;
        entry.records > 0 && (entry.records >= self.records || entry.text + more.max(1) > self.bytes)
    }

    /// How long the file is written to from now on; none where time does not end files.
    pub fn remaining(&self, entry: &Entry) -> Option<Duration> {
        let elapsed = Duration::from_millis(u64::try_from(now() - entry.began).unwrap_or(0));
        self.after.map(|after| after.saturating_sub(elapsed))
    }
}

/// The settings by which files are made, as one text that begins with the path.
pub fn made_by(config: &FileSinkConfig) -> String {
    let lines = match config.format {
        super::config::Format::Json => format!("{:?}", config.json_members),
        super::config::Format::Csv => {
            format!("{:?} {} {:?} {:?}", config.csv_columns, config.csv_header, config.csv_separator, config.csv_quote)
        }
        super::config::Format::Template => format!("{:?}", config.template),
        _ => String::new(),
    };
    let files = (config.gzip, config.rotates(), config.atomic());
    format!("{} {:?} {lines} {files:?}", config.file, config.format)
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
