//! A complete sink connector: appends each value as a line, on the disk before offsets are committed.

use std::{fs::File, io::Write};

use connect_api::config::Key;
use connect_api::{Connector, ConnectorContext, Error, PluginInfo, Result, Settings, async_trait};
use connect_api::{PartitionOffset, SinkConnector, SinkContext, SinkRecord, SinkTask};

connect_api::config! {
    /// Settings of the line writer.
    pub struct LinesConfig {
        /// File to append to.
        file: String = Key::new("file").high().non_empty(),
    }
}

pub struct Lines(Settings);

#[async_trait]
impl Connector for Lines {
    type Config = LinesConfig;
    const INFO: PluginInfo = PluginInfo { name: "lines-sink", aliases: &[], version: "1.0.0", about: "Writes lines." };
    async fn start(_config: LinesConfig, context: ConnectorContext) -> Result<Self> {
        Ok(Self(context.settings))
    }
    fn task_configs(&self, max_tasks: usize) -> Result<Vec<Settings>> {
        Ok(vec![self.0.clone(); max_tasks])
    }
}

#[async_trait]
impl SinkConnector for Lines {
    async fn start_task(config: LinesConfig, _context: SinkContext) -> Result<Box<dyn SinkTask>> {
        let opened = File::options().create(true).append(true).open(&config.file);
        let file = opened.map_err(|e| Error::fatal(format!("opening {}", config.file)).caused_by(e))?;
        Ok(Box::new(LinesTask(file)))
    }
}

struct LinesTask(File);

#[async_trait]
impl SinkTask for LinesTask {
    async fn put(&mut self, records: &[SinkRecord]) -> Result<()> {
        let text: String = records.iter().map(|r| format!("{}\n", r.value)).collect();
        self.0.write_all(text.as_bytes()).map_err(|e| Error::retriable("appending lines").caused_by(e))
    }

    async fn flush(&mut self, offsets: &[PartitionOffset]) -> Result<Vec<PartitionOffset>> {
        self.0.sync_data().map_err(|e| Error::retriable("syncing the file").caused_by(e))?;
        Ok(offsets.to_vec())
    }
}
