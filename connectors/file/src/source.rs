//! Follows a text file: each line becomes a record.

use std::{
    io::{self, SeekFrom},
    sync::Arc,
    time::Duration,
};

use connect_api::{
    Connector, ConnectorContext, Error, OffsetMap, PluginInfo, Result, Schema, Settings, SourceBatch, SourceConnector,
    SourceContext, SourceRecord, SourceTask, Topic, Value, async_trait,
    config::{Key, Width},
    time,
};
use tokio::{
    fs::File,
    io::{AsyncReadExt, AsyncSeekExt},
};

use crate::lines::first_line;

connect_api::config! {
    /// Settings of the file source.
    #[derive(Debug, Clone)]
    pub struct FileSourceConfig {
        /// Path of the file to follow. It may be missing at first; it is looked for every second.
        file: String = Key::new("file").high().non_empty().form("File", Width::Long, "File"),
        /// Topic to write to.
        topic: String = Key::new("topic").high().non_empty().form("File", Width::Medium, "Topic"),
        /// Most lines of one batch.
        batch_size: i32 = Key::new("batch.size").default("2000").low().at_least(1).form("File", Width::Short, "Batch size"),
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
        about: "Follows a text file and writes each line as a record. Continues behind the last line that Kafka has. \
                The position counts bytes.",
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
        let position = match context.offset(&partition).await?.as_ref().and_then(|o| o.get("position")) {
            None => 0,
            Some(p) => p.as_u64().ok_or_else(|| Error::fatal("Offset position is the incorrect type"))?,
        };
        let topic = Topic::from(config.topic.as_str());
        Ok(Box::new(FileSourceTask { config, topic, partition, position, open: None }))
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
    topic: Topic,
    partition: Arc<OffsetMap>,
    /// Byte behind the last line handed over.
    position: u64,
    open: Option<Open>,
}

struct Open {
    file: File,
    /// What was read behind `position`.
    buffer: Vec<u8>,
}

const PAUSE: Duration = Duration::from_secs(1);
const CHUNK: usize = 128 * 1024;

#[async_trait]
impl SourceTask for FileSourceTask {
    async fn poll(&mut self) -> Result<SourceBatch> {
        loop {
            if self.open.is_none() && !self.try_open().await? {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            let records = self.lines();
            if !records.is_empty() {
                return Ok(records.into());
            }
            if !self.read_more().await? {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

impl FileSourceTask {
    fn doing(&self, what: &str, e: io::Error) -> Error {
        Error::retriable(format!("{what} file {}", self.config.file)).caused_by(e)
    }

    async fn try_open(&mut self) -> Result<bool> {
        let mut file = match File::open(&self.config.file).await {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                tracing::warn!("file {} is missing; it is looked for every second", self.config.file);
                return Ok(false);
            }
            Err(e) => return Err(self.doing("opening", e)),
        };
        file.seek(SeekFrom::Start(self.position)).await.map_err(|e| self.doing("seeking in", e))?;
        self.open = Some(Open { file, buffer: Vec::new() });
        Ok(true)
    }

    /// The complete lines of the buffer, up to a batch. Only the last one carries an offset: it covers the
    /// others, and an offset per line would cost more than the line.
    fn lines(&mut self) -> Vec<SourceRecord> {
        let Some(open) = &mut self.open else { return Vec::new() };
        let most = usize::try_from(self.config.batch_size).unwrap_or(1);
        let now = time::now_ms();
        let mut records = Vec::new();
        let mut used = 0;
        while records.len() < most {
            let Some(line) = first_line(&open.buffer[used..]) else { break };
            let text = Value::from(String::from_utf8_lossy(line.bytes).as_ref());
            records.push(SourceRecord::new(self.topic.clone()).value(Some(Schema::string()), text).timestamp(now));
            used += line.length;
        }
        open.buffer.drain(..used);
        self.position += used as u64;
        if let Some(last) = records.last_mut() {
            let offset = [("position".to_owned(), self.position.into())].into_iter().collect();
            last.source = Some((self.partition.clone(), offset));
        }
        records
    }

    /// Reads on; `false` when there is nothing more at the moment. A single await that keeps what it read,
    /// so that a dropped poll loses nothing.
    async fn read_more(&mut self) -> Result<bool> {
        let Some(open) = &mut self.open else { return Ok(false) };
        open.buffer.reserve(CHUNK);
        let read = open.file.read_buf(&mut open.buffer).await;
        read.map(|n| n > 0).map_err(|e| self.doing("reading", e))
    }
}
