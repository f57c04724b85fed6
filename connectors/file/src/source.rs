//! Follows a text file: each line becomes a record.

use std::io;

use connect_api::{
    Check, Connector, ConnectorContext, Error, OffsetMap, PluginInfo, Reading, Result, Settings, SourceConnector,
    SourceContext, SourceTask, SourceTrial, async_trait, config::Problems,
};

use tokio::task::block_in_place;

use crate::{config::FileSourceConfig, many_files::ManyFiles, one_file::OneFile, pattern::Pattern};

/// The connector: one task, whatever tasks.max says.
pub struct FileSource(Settings);

#[async_trait]
impl Connector for FileSource {
    type Config = FileSourceConfig;
    const INFO: PluginInfo = PluginInfo {
        name: "file-source",
        aliases: &["org.apache.kafka.connect.file.FileStreamSourceConnector"],
        version: env!("CARGO_PKG_VERSION"),
        about: "Follows a text file, or all files that a pattern matches, and writes each line as a record. Continues \
                behind the last line that Kafka has; \
                the position counts bytes. A file that is renamed is read to its end, then the new one under its name \
                from its beginning; also when that happened while the worker was down, if the renamed file is in the \
                same folder, or a compressed copy of it is. Files that had the name in between are read in their order \
                where their names end in a number or a date; others are named by a warning. Where a pattern is followed, each \
                file has offsets of its own by its inode, and one that loses its name is read to its end. A file that is \
                truncated or written anew is read from its beginning. A last line without end waits for its end, and \
                becomes a record when its file is over.",
    };

    fn validate(config: &FileSourceConfig, problems: &mut Problems) {
        config.validate(problems);
    }

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
        Ok(if config.is_pattern() {
            Box::new(ManyFiles::start(config, context)?)
        } else {
            Box::new(OneFile::start(config, context).await?)
        })
    }

    async fn start_trial(config: FileSourceConfig, context: SourceContext) -> Result<Option<SourceTrial>> {
        let file = config.file.clone();
        if config.is_pattern() {
            let pattern = Pattern::new(&file, config.exclude.as_deref()).map_err(Error::fatal)?;
            let files = block_in_place(|| pattern.matches()).files.len();
            let check = Check::Passed(format!("{files} files match {file}"));
            return Ok(Some(SourceTrial { check, reading: Reading::Task(Self::start_task(config, context).await?) }));
        }
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
