//! A sink that hangs where it is told to.

use std::sync::Arc;

use async_trait::async_trait;
use connect_api::{
    Connector, ConnectorContext, Error, PartitionOffset, PluginInfo, Result, Settings, SinkConnector, SinkContext,
    SinkRecord, SinkTask, State, TopicPartition, config::Problems,
};

use super::{HangingConfig, Place, instance, one_task};

/// Writes `INSTANCE VALUE` for every record into the file `out`, and hangs where `hang.in` says.
pub struct HangingSink(HangingConfig);

#[async_trait]
impl Connector for HangingSink {
    type Config = HangingConfig;
    const INFO: PluginInfo = PluginInfo {
        name: "hanging-sink",
        aliases: &[],
        version: env!("CARGO_PKG_VERSION"),
        about: "Hangs where it is told to; for tests.",
    };

    fn validate(config: &HangingConfig, _: &mut Problems) {
        config.block(Place::Validate);
    }

    async fn start(config: HangingConfig, _: ConnectorContext) -> Result<Self> {
        config.hang(Place::Start).await;
        Ok(Self(config))
    }

    fn task_configs(&self, _: usize) -> Result<Vec<Settings>> {
        self.0.block(Place::TaskConfigs);
        Ok(one_task())
    }

    async fn stop(self) -> Result<()> {
        self.0.hang(Place::Stop).await;
        Ok(())
    }
}

#[async_trait]
impl SinkConnector for HangingSink {
    async fn start_task(config: HangingConfig, context: SinkContext) -> Result<Box<dyn SinkTask>> {
        config.hang(Place::TaskStart).await;
        let memory = config.memory(&context).await?;
        Ok(Box::new(Task { config, context, memory, instance: instance() }))
    }

    fn alter_offsets(config: &HangingConfig, _: &[(TopicPartition, Option<i64>)]) -> Result<bool> {
        config.block(Place::AlterOffsets);
        Ok(true)
    }
}

struct Task {
    config: HangingConfig,
    context: SinkContext,
    memory: Option<Arc<dyn State>>,
    instance: String,
}

#[async_trait]
impl SinkTask for Task {
    async fn open(&mut self, _: &[TopicPartition]) -> Result<()> {
        self.config.hang(Place::Open).await;
        Ok(())
    }

    async fn put(&mut self, records: &[SinkRecord]) -> Result<()> {
        if self.config.hang(Place::Put).await
            && let Some(memory) = &self.memory
            && let Some(record) = records.first()
        {
            let bad = self.context.report(record, Error::data(format!("from {}", self.instance))).await;
            let kept = memory.put("instance", Some(self.instance.clone().into())).await;
            self.context.request_commit();
            self.config.done(&[("report", bad), ("state", kept)])?;
            // Whether or not the worker heard of the record, it is done with.
            return Ok(());
        }
        records.iter().try_for_each(|r| self.config.note(&format!("{} {}", self.instance, r.record.value)))
    }

    async fn flush(&mut self, offsets: &[PartitionOffset]) -> Result<Vec<PartitionOffset>> {
        self.config.hang(Place::Flush).await;
        Ok(offsets.to_vec())
    }

    async fn close(&mut self, _: &[TopicPartition]) -> Result<()> {
        self.config.hang(Place::Close).await;
        Ok(())
    }

    async fn stop(&mut self) -> Result<()> {
        self.config.hang(Place::TaskStop).await;
        Ok(())
    }
}
