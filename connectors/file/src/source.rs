//! Follows a text file: each line becomes a record.

use std::{
    fs::File,
    io,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use connect_api::{
    Bytes, Check, Connector, ConnectorContext, Error, OffsetMap, PluginInfo, Reading, Result, Schema, Settings,
    SourceBatch, SourceConnector, SourceContext, SourceRecord, SourceTask, SourceTrial, Topic, Value, async_trait,
    config::{Key, Millis, Width},
    time,
};
use tokio::task::block_in_place;

use crate::{
    between::{Former, Passed},
    follow::{Followed, Found, News, Remark, find},
    lines::Piece,
    place::Place,
};

connect_api::config_enum! {
    /// What the bytes of a line are.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Encoding {
        /// UTF-8, and nothing else.
        Utf8 = "utf-8",
        /// UTF-8, in which what is invalid is replaced.
        Utf8Lossy = "utf-8-lossy",
        /// Every byte is a character.
        Latin1 = "iso-8859-1",
        /// Bytes.
        Bytes = "bytes",
    }
}

connect_api::config! {
    /// Settings of the file source.
    #[derive(Debug, Clone)]
    pub struct FileSourceConfig {
        /// Path of the file to follow. It may be missing at first, and may be rotated or truncated.
        file: String = Key::new("file").high().non_empty().form("File", Width::Long, "File"),
        /// Topic to write to.
        topic: String = Key::new("topic").high().non_empty().topic().form("File", Width::Medium, "Topic"),
        /// Most lines of one batch.
        batch_size: i32 = Key::new("batch.size").default("2000").low().at_least(1).form("File", Width::Short, "Batch size"),
        /// What the bytes of a line are: utf-8, where a line with anything else is a bad record (errors.tolerance decides);
        /// utf-8-lossy, where U+FFFD replaces what is invalid, as Kafka's class does; iso-8859-1; or bytes, for values of
        /// type bytes.
        encoding: Encoding = Key::new("file.encoding").default("utf-8").form("File", Width::Short, "Encoding"),
        /// Longest line in bytes. A longer one is a bad record, of which a dead letter has the beginning (errors.tolerance
        /// decides).
        line_limit: i32 = Key::new("file.line.limit").default("1048576").low().at_least(1).form("File", Width::Short, "Line limit"),
        /// How long, in milliseconds, a file is read on when another one has taken its name, for writers that still have
        /// it open.
        rotation_wait: Millis = Key::new("file.rotation.wait.ms").default("5000").low().form("File", Width::Short, "Rotation wait"),
    }
}

/// The connector: one task, whatever tasks.max says.
pub struct FileSource(Settings);

#[async_trait]
impl Connector for FileSource {
    type Config = FileSourceConfig;
    const INFO: PluginInfo = PluginInfo {
        name: "file-source",
        aliases: &["org.apache.kafka.connect.file.FileStreamSourceConnector"],
        version: env!("CARGO_PKG_VERSION"),
        about: "Follows a text file and writes each line as a record. Continues behind the last line that Kafka has; \
                the position counts bytes. A file that is renamed is read to its end, then the new one under its name \
                from its beginning; also when that happened while the worker was down, if the renamed file is in the \
                same folder. Of several rotations meanwhile only the file that was being read and the current one are \
                read; those between are named by a warning, as far as they can be known. A file that is truncated or written anew is read from its beginning. A last line without end \
                waits for its end, and becomes a record when its file is over.",
    };

    async fn start(_config: FileSourceConfig, context: ConnectorContext) -> Result<Self> {
        Ok(Self(context.settings))
    }

    fn task_configs(&self, _max_tasks: usize) -> Result<Vec<Settings>> {
        Ok(vec![self.0.clone()])
    }
}

#[async_trait]
impl SourceConnector for FileSource {
    async fn start_task(config: FileSourceConfig, context: SourceContext) -> Result<Box<dyn SourceTask>> {
        let partition: Arc<OffsetMap> =
            Arc::new([("filename".to_owned(), config.file.clone().into())].into_iter().collect());
        let stood = context.offset(&partition).await?.as_ref().map(Place::from_offset).transpose()?;
        let topic = Topic::from(config.topic.as_str());
        let absence = Absence::default();
        Ok(Box::new(FileSourceTask {
            config,
            context,
            topic,
            partition,
            stood,
            followed: None,
            former: None,
            bad: None,
            absence,
        }))
    }

    async fn start_trial(config: FileSourceConfig, context: SourceContext) -> Result<Option<SourceTrial>> {
        let file = config.file.clone();
        // Others than regular files are not opened: that of a pipe waits for its writer.
        let found = std::fs::metadata(&file);
        let found = found.and_then(|f| if f.is_file() { std::fs::File::open(&file)?.metadata() } else { Ok(f) });
        let doing = |way_out: &str| Error::fatal(format!("opening file {file}: {way_out}"));
        let check = match found {
            Ok(found) if found.is_file() => Check::Passed(format!("file {file} has {} bytes", found.len())),
            Ok(_) => return Err(doing("set file to the path of a regular file")),
            Err(e) => {
                let way_out = match e.kind() {
                    io::ErrorKind::NotFound => "it is not there; the running connector would wait for it",
                    io::ErrorKind::PermissionDenied => "let the worker's user read it and its folders, or set file",
                    _ => "see whether the setting file is right",
                };
                return Err(doing(way_out).caused_by(e));
            }
        };
        let task = Self::start_task(config, context).await?;
        Ok(Some(SourceTrial { check, reading: Reading::Task(task) }))
    }

    fn exactly_once(_config: &FileSourceConfig) -> Option<bool> {
        Some(true)
    }

    fn alter_offsets(_config: &FileSourceConfig, offsets: &[(OffsetMap, Option<OffsetMap>)]) -> Result<bool> {
        for (partition, offset) in offsets {
            let Some(offset) = offset else { continue };
            let position = offset.get("position");
            let position = position
                .ok_or_else(|| Error::fatal("Offset objects should either be null or contain the key 'position'"))?;
            let position = position.as_i64().ok_or_else(|| {
                Error::fatal("The value for the 'position' key in the offset is expected to be a Long value")
            })?;
            if position < 0 {
                return Err(Error::fatal(
                    "The value for the 'position' key in the offset should be a non-negative value",
                ));
            }
            if !partition.contains_key("filename") {
                return Err(Error::fatal("Partition objects should contain the key 'filename'"));
            }
        }
        Ok(true)
    }
}

struct FileSourceTask {
    config: FileSourceConfig,
    context: SourceContext,
    topic: Topic,
    partition: Arc<OffsetMap>,
    /// Where the task stood when it was stopped, until a file was found.
    stood: Option<Place>,
    followed: Option<Followed>,
    /// The file that was followed before, until the next one was opened.
    former: Option<Former>,
    /// A line that is no proper record and was not reported yet, and why.
    bad: Option<(SourceRecord, Error)>,
    absence: Absence,
}

/// How often the end of the file is looked at.
const PAUSE: Duration = Duration::from_millis(250);

#[async_trait]
impl SourceTask for FileSourceTask {
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

impl FileSourceTask {
    fn failed(&self, what: &str, e: io::Error) -> Error {
        let doing = format!("{what} file {}", self.config.file);
        match e.kind() {
            io::ErrorKind::IsADirectory | io::ErrorKind::InvalidInput => {
                Error::fatal(format!("{doing}: set file to the path of a regular file")).caused_by(e)
            }
            io::ErrorKind::PermissionDenied => {
                Error::retriable(format!("{doing}: let the worker's user read it and its folders, or set file"))
                    .caused_by(e)
            }
            _ => Error::retriable(doing).caused_by(e),
        }
    }

    /// Opens the file; `false` while there is none.
    fn open(&mut self) -> Result<bool> {
        let file = &self.config.file;
        let found = find(Path::new(file), self.stood.as_ref()).map_err(|e| self.failed("opening", e))?;
        let Some(Found { file: opened, position, remark }) = found else {
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
        if let Some(former) = self.former.take() {
            self.warn_of_passed(&former, &opened);
        }
        let limit = usize::try_from(self.config.line_limit).unwrap_or(1);
        self.followed = Some(Followed::new(opened, position, limit).map_err(|e| self.failed("reading", e))?);
        self.absence = Absence::default();
        self.stood = None;
        Ok(true)
    }

    /// Says what had the file's name between the file that was read and the one that is read now.
    fn warn_of_passed(&self, former: &Former, current: &File) {
        let file = &self.config.file;
        match former.passed_over(Path::new(file), current) {
            Ok(passed) => {
                for one in passed {
                    let what = match one {
                        Passed::Renamed(path) => format!("{} seems to have been it meanwhile", path.display()),
                        Passed::Gone(inode) => format!("the file with inode {inode} was it meanwhile and is gone"),
                    };
                    tracing::warn!(
                        "file {file} was rotated more than once since it was looked at: {what}; it is not read"
                    );
                }
            }
            Err(e) => tracing::warn!("whether file {file} was rotated more than once is not known: {e}"),
        }
    }

    /// The complete lines of what was read, up to a batch or a bad line. Only the last one carries an offset: it
    /// covers the others, and an offset per line would cost more than the line.
    fn records(&mut self) -> Vec<SourceRecord> {
        let Some(followed) = &mut self.followed else { return Vec::new() };
        let most = usize::try_from(self.config.batch_size).unwrap_or(1);
        let now = time::now_ms();
        let mut records = Vec::new();
        let mut position = followed.position();
        while records.len() < most {
            let Some(piece) = followed.next_piece() else { break };
            let record = SourceRecord::new(self.topic.clone()).timestamp(now);
            match value(&self.config, &piece, followed.slice(&piece)) {
                Ok((schema, value)) => records.push(record.value(Some(schema), value)),
                Err(why) => {
                    let bytes = Bytes::copy_from_slice(followed.slice(&piece));
                    let error = Error::data(format!("the line at byte {position} of {} {why}", self.config.file));
                    self.bad = Some((record.value(Some(Schema::bytes()), bytes), error));
                    break;
                }
            }
            position = followed.position();
        }
        if let Some(last) = records.last_mut() {
            last.source = Some((self.partition.clone(), Place { position, ..followed.place() }.to_offset()));
        }
        records
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
        followed.read_more().map_err(|e| self.failed("reading", e))
    }
}

/// The value of a line, or what is wrong with it and the way out.
fn value(config: &FileSourceConfig, piece: &Piece, bytes: &[u8]) -> Result<(Schema, Value), String> {
    if let Piece::TooLong(_) = piece {
        let limit = config.line_limit;
        return Err(format!("is longer than {limit} bytes: raise file.line.limit, or see whether it is text at all"));
    }
    let text = match config.encoding {
        Encoding::Utf8 => std::str::from_utf8(bytes).map_err(|e| {
            format!(
                "is not UTF-8 from its byte {} on: set file.encoding to what it is, to bytes, or to utf-8-lossy for \
                 replacement characters",
                e.valid_up_to()
            )
        })?,
        Encoding::Utf8Lossy => &String::from_utf8_lossy(bytes),
        Encoding::Latin1 => &bytes.iter().map(|b| char::from(*b)).collect::<String>(),
        Encoding::Bytes => return Ok((Schema::bytes(), Bytes::copy_from_slice(bytes).into())),
    };
    Ok((Schema::string(), text.into()))
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
