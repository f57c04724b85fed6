//! Appends records to a file: JSON lines, or plain text under Kafka's name.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    marker::PhantomData,
    os::unix::fs::MetadataExt,
    path::Path,
};

use connect_api::{
    Check, Connector, ConnectorContext, Error, PartitionOffset, PluginInfo, Rendered, Rendering, Result, Settings,
    SinkConnector, SinkContext, SinkRecord, SinkTask, SinkTrial, TopicPartition, async_trait,
    config::{Key, Width},
    json::to_json,
};
use serde_json::json;

connect_api::config_enum! {
    /// How a record becomes a line.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Format {
        /// A JSON object with topic, partition, offset, timestamp, key, value and headers.
        Json = "json",
        /// The value as text.
        Text = "text",
    }
}

connect_api::config! {
    /// Settings of the file sink.
    #[derive(Debug, Clone)]
    pub struct FileSinkConfig {
        /// Path of the file to append to. Tasks may share it: each line is written whole.
        file: String = Key::new("file").high().non_empty().form("File", Width::Long, "File"),
        /// How a record becomes a line: json writes an object with topic, partition, offset, timestamp, key, value and
        /// headers; text writes the value alone. The default is json, and text under Kafka's class name.
        format: Option<Format> = Key::new("file.format").form("File", Width::Short, "Format"),
    }
}

/// Which format a class writes unless it is told otherwise.
pub trait Flavour: Send + Sync + 'static {
    /// The names.
    const INFO: PluginInfo;
    /// The format.
    const FORMAT: Format;
}

/// `file-sink`
pub struct Ours;

impl Flavour for Ours {
    const INFO: PluginInfo = PluginInfo {
        name: "file-sink",
        aliases: &[],
        version: env!("CARGO_PKG_VERSION"),
        about: "Appends records to a file as JSON lines, on the disk before offsets are committed. A JSON line \
                that a crash cut off is removed at the next start; its record comes again. A file that is renamed or \
                removed, as logrotate does, is made anew at the next write, without a signal.",
    };
    const FORMAT: Format = Format::Json;
}

/// Kafka's class.
pub struct Kafkas;

impl Flavour for Kafkas {
    const INFO: PluginInfo = PluginInfo {
        name: "file-stream-sink",
        aliases: &["org.apache.kafka.connect.file.FileStreamSinkConnector"],
        version: env!("CARGO_PKG_VERSION"),
        about: "Appends the text of each record's value to a file, as Kafka's example connector does.",
    };
    const FORMAT: Format = Format::Text;
}

/// The connector, in one of its flavours.
pub struct AnyFileSink<F>(Settings, PhantomData<F>);

/// `file-sink`
pub type FileSink = AnyFileSink<Ours>;
/// `FileStreamSinkConnector`
pub type FileStreamSink = AnyFileSink<Kafkas>;

#[async_trait]
impl<F: Flavour> Connector for AnyFileSink<F> {
    type Config = FileSinkConfig;
    const INFO: PluginInfo = F::INFO;

    async fn start(_config: FileSinkConfig, context: ConnectorContext) -> Result<Self> {
        Ok(Self(context.settings, PhantomData))
    }

    fn task_configs(&self, max_tasks: usize) -> Result<Vec<Settings>> {
        Ok(vec![self.0.clone(); max_tasks])
    }
}

#[async_trait]
impl<F: Flavour> SinkConnector for AnyFileSink<F> {
    async fn start_task(config: FileSinkConfig, _context: SinkContext) -> Result<Box<dyn SinkTask>> {
        let format = config.format.unwrap_or(F::FORMAT);
        let opened = tokio::task::block_in_place(|| open(&config.file, format));
        let file = opened.map_err(|e| open_error(Error::fatal, &config.file, e))?;
        Ok(Box::new(FileSinkTask { file, path: config.file, format, lines: Vec::new(), unflushed: false, lost: false }))
    }

    async fn start_trial(config: FileSinkConfig, _context: SinkContext) -> Result<Option<Box<dyn SinkTrial>>> {
        Ok(Some(Box::new(FileSinkTrial { format: config.format.unwrap_or(F::FORMAT), path: config.file })))
    }

    fn alter_offsets(_config: &FileSinkConfig, _offsets: &[(TopicPartition, Option<i64>)]) -> Result<bool> {
        Ok(true)
    }
}

fn open_error(class: fn(String) -> Error, path: &str, e: io::Error) -> Error {
    let way_out = match e.kind() {
        io::ErrorKind::NotFound => "make its folder, or set file to another path",
        io::ErrorKind::PermissionDenied => {
            "let the worker's user write to it and its folder, or set file to another path"
        }
        io::ErrorKind::IsADirectory => "set file to the path of a file in that folder",
        _ => "see whether the setting file is right",
    };
    class(format!("opening file {path} for appending: {way_out}")).caused_by(e)
}

/// What every line of the format json begins with.
const LINE_START: &[u8] = br#"{"topic":"#;

/// Opens for appending and ends a last line that has no end: a crash of ours cut it off, or somebody else
/// wrote it.
fn open(path: &str, format: Format) -> io::Result<File> {
    if fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
        // A pipe waits for its reader, as Kafka's class does: what nobody reads is not stored.
        return File::options().append(true).open(path);
    }
    let mut file = File::options().create(true).append(true).read(true).open(path)?;
    // Other tasks may be writing to the same file at this moment.
    file.lock()?;
    let ended = end_last_line(&mut file, path, format);
    file.unlock()?;
    ended.map(|()| file)
}

fn end_last_line(file: &mut File, path: &str, format: Format) -> io::Result<()> {
    let length = file.seek(SeekFrom::End(0))?;
    let mut start = length;
    let mut tail = Vec::new();
    while start > 0 {
        let from = start.saturating_sub(8192);
        let mut chunk = vec![0u8; (start - from) as usize];
        file.seek(SeekFrom::Start(from))?;
        file.read_exact(&mut chunk)?;
        let at = chunk.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        let found = at > 0;
        tail = [&chunk[at..], &tail].concat();
        start = from + at as u64;
        if found {
            break;
        }
    }
    if tail.is_empty() {
        return Ok(());
    }
    let known = tail.len().min(LINE_START.len());
    if format == Format::Json && tail[..known] == LINE_START[..known] {
        tracing::warn!(
            "removing {} bytes of a line that was cut off at the end of {path}; its record comes again",
            tail.len()
        );
        return file.set_len(start);
    }
    // Whose bytes these are cannot be known, so they stay, as a line of their own.
    file.write_all(b"\n")
}

struct FileSinkTask {
    file: File,
    path: String,
    format: Format,
    lines: Vec<u8>,
    /// Whether lines were written since the last flush.
    unflushed: bool,
    /// Whether such lines went with a file that somebody removed.
    lost: bool,
}

impl FileSinkTask {
    /// Goes to a new file when the path names another one than it did.
    fn follow_path(&mut self) -> Result<()> {
        let looking = |e| Error::retriable(format!("looking at file {}", self.path)).caused_by(e);
        let held = self.file.metadata().map_err(looking)?;
        match fs::metadata(&self.path) {
            Ok(named) if (named.dev(), named.ino()) == (held.dev(), held.ino()) => return Ok(()),
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(looking(e)),
            _ => {}
        }
        let opened = open(&self.path, self.format).map_err(|e| open_error(Error::retriable, &self.path, e))?;
        tracing::info!("file {} was renamed or removed; going on in a new one", self.path);
        if self.unflushed && held.nlink() > 0 {
            self.sync()?;
        }
        self.lost |= std::mem::take(&mut self.unflushed) && held.nlink() == 0;
        self.file = opened;
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        // Pipes and devices keep nothing that could be lost.
        if self.file.metadata().is_ok_and(|found| !found.is_file()) {
            return Ok(());
        }
        self.file.sync_data().map_err(|e| Error::retriable(format!("syncing {}", self.path)).caused_by(e))
    }
}

#[async_trait]
impl SinkTask for FileSinkTask {
    async fn put(&mut self, records: &[SinkRecord]) -> Result<()> {
        self.lines.clear();
        for record in records {
            self.lines.extend(line(self.format, record).into_bytes());
            self.lines.push(b'\n');
        }
        self.follow_path()?;
        self.unflushed = true;
        let (file, lines) = (&mut self.file, &self.lines);
        // Local files are quick; a thread hop for each batch would cost more than the write.
        let written = file.lock().and_then(|()| {
            let before = file.metadata();
            let written = file.write_all(lines);
            if let (Err(_), Ok(before)) = (&written, before)
                && before.is_file()
            {
                // A full disk takes a part; what comes again must not be glued to it.
                file.set_len(before.len())?;
            }
            file.unlock().and(written)
        });
        written
            .map_err(|e| Error::retriable(format!("appending {} lines to {}", records.len(), self.path)).caused_by(e))
    }

    async fn flush(&mut self, offsets: &[PartitionOffset]) -> Result<Vec<PartitionOffset>> {
        tokio::task::block_in_place(|| {
            // Lines that were put may have gone with a file that somebody removed before they were safe.
            self.follow_path()?;
            self.sync()
        })?;
        self.unflushed = false;
        if std::mem::take(&mut self.lost) {
            let text =
                format!("flushing file {}: it was removed with lines that were not safe; they come again", self.path);
            return Err(Error::retriable(text));
        }
        Ok(offsets.to_vec())
    }
}

/// A sink in a test call: it looks at the file and leaves it as it is.
struct FileSinkTrial {
    path: String,
    format: Format,
}

#[async_trait]
impl SinkTrial for FileSinkTrial {
    async fn check(&mut self) -> Result<Check> {
        let path = &self.path;
        // Opening for appending changes nothing while nothing is written, and a file that is missing is not made.
        match File::options().append(true).open(path) {
            Ok(_) => Ok(Check::Passed(format!("file {path} can be appended to"))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let folder = Path::new(path).parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
                if folder.is_dir() {
                    Ok(Check::Partly(format!("file {path} is not there; whether it can be made was not tried")))
                } else {
                    Err(open_error(Error::fatal, path, e))
                }
            }
            Err(e) => Err(open_error(Error::fatal, path, e)),
        }
    }

    fn render(&mut self, record: &SinkRecord) -> Result<Rendering> {
        let (to, body) = (format!("append to {}", self.path), Some(line(self.format, record)));
        Ok(Rendering::Sent(Rendered { to, body, ..Rendered::default() }))
    }
}

/// A record as a line, without its end.
fn line(format: Format, record: &SinkRecord) -> String {
    match format {
        Format::Json => json_line(record),
        Format::Text => record.value.to_string(),
    }
}

fn json_line(record: &SinkRecord) -> String {
    let headers: Vec<_> =
        record.headers.iter().map(|h| json!({ "key": &*h.key, "value": to_json(&h.value) })).collect();
    let mut line = json!({
        "topic": &*record.topic,
        "partition": record.origin.partition,
        "offset": record.origin.offset,
        "timestamp": record.timestamp,
        "key": to_json(&record.key),
        "value": to_json(&record.value),
    });
    if let (false, Some(members)) = (headers.is_empty(), line.as_object_mut()) {
        members.insert("headers".into(), headers.into());
    }
    line.to_string()
}
