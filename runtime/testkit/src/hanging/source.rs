//! A source that hangs where it is told to.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use connect_api::{
    Connector, ConnectorContext, Error, OffsetMap, PluginInfo, Result, Settings, SourceBatch, SourceConnector,
    SourceContext, SourceRecord, SourceTask, State, config::Problems,
};

use super::{HangingConfig, Place, instance, one_task};

/// Writes a record `INSTANCE:N` every few milliseconds, and hangs where `hang.in` says.
pub struct HangingSource(HangingConfig);

#[async_trait]
impl Connector for HangingSource {
    type Config = HangingConfig;
    const INFO: PluginInfo = PluginInfo {
        name: "hanging-source",
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

    async fn watch(&mut self) -> Result<()> {
        self.0.hang(Place::Watch).await;
        std::future::pending().await
    }

    async fn stop(self) -> Result<()> {
        self.0.hang(Place::Stop).await;
        Ok(())
    }
}

#[async_trait]
impl SourceConnector for HangingSource {
    async fn start_task(config: HangingConfig, context: SourceContext) -> Result<Box<dyn SourceTask>> {
        config.hang(Place::TaskStart).await;
        let partition: Arc<OffsetMap> = Arc::new([("source".to_owned(), "hanging".into())].into_iter().collect());
        let stored = context.offset(&partition).await?;
        let next = stored.and_then(|o| o.get("n").and_then(|n| n.as_i64())).map_or(0, |n| n + 1);
        let memory = config.memory(&context).await?;
        Ok(Box::new(Task { config, context, partition, next, memory, instance: instance() }))
    }

    fn alter_offsets(config: &HangingConfig, _: &[(OffsetMap, Option<OffsetMap>)]) -> Result<bool> {
        config.block(Place::AlterOffsets);
        Ok(true)
    }
}

struct Task {
    config: HangingConfig,
    context: SourceContext,
    partition: Arc<OffsetMap>,
    next: i64,
    memory: Option<Arc<dyn State>>,
    instance: String,
}

impl Task {
    fn record(&self, n: i64) -> SourceRecord {
        let offset = [("n".to_owned(), n.into())].into_iter().collect();
        SourceRecord::new(self.config.topic.as_str())
            .value(None, format!("{}:{n}", self.instance))
            .at(&self.partition, offset)
    }
}

#[async_trait]
impl SourceTask for Task {
    async fn poll(&mut self) -> Result<SourceBatch> {
        if self.config.hang(Place::Poll).await
            && let Some(memory) = &self.memory
        {
            let bad = self.context.report(self.record(-1), Error::data(format!("from {}", self.instance))).await;
            let kept = memory.put("instance", Some(self.instance.clone().into())).await;
            self.config.done(&[("report", bad), ("state", kept)])?;
        } else {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let n = self.next;
        self.next += 1;
        Ok(SourceBatch::new(vec![self.record(n)]))
    }

    async fn stop(&mut self) -> Result<()> {
        self.config.hang(Place::TaskStop).await;
        Ok(())
    }
}
