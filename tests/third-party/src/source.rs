//! A complete source connector: counts, and continues after a restart where it stopped.

use std::sync::Arc;

use connect_api::config::{Key, Millis};
use connect_api::{Connector, ConnectorContext, OffsetMap, PluginInfo, Result, Schema, Settings, async_trait};
use connect_api::{SourceBatch, SourceConnector, SourceContext, SourceRecord, SourceTask};

connect_api::config! {
    /// Settings of the counter.
    pub struct CounterConfig {
        /// Topic to write to.
        topic: String = Key::new("topic").high().non_empty(),
        /// Pause between two numbers.
        interval: Millis = Key::new("interval.ms").default("1000"),
    }
}

pub struct Counter(Settings);

#[async_trait]
impl Connector for Counter {
    type Config = CounterConfig;
    const INFO: PluginInfo = PluginInfo { name: "counter-source", aliases: &[], version: "1.0.0", about: "Counts." };
    async fn start(_config: CounterConfig, context: ConnectorContext) -> Result<Self> {
        Ok(Self(context.settings))
    }
    fn task_configs(&self, _max_tasks: usize) -> Result<Vec<Settings>> {
        Ok(vec![self.0.clone()])
    }
}

#[async_trait]
impl SourceConnector for Counter {
    async fn start_task(config: CounterConfig, context: SourceContext) -> Result<Box<dyn SourceTask>> {
        let partition = Arc::new(OffsetMap::from_iter([("counter".to_owned(), "main".into())]));
        let last = context.offset(&partition).await?.and_then(|o| o.get("count")?.as_i64());
        Ok(Box::new(CounterTask { config, partition, next: last.map_or(0, |n| n + 1) }))
    }
}

struct CounterTask {
    config: CounterConfig,
    partition: Arc<OffsetMap>,
    next: i64,
}

#[async_trait]
impl SourceTask for CounterTask {
    async fn poll(&mut self) -> Result<SourceBatch> {
        tokio::time::sleep(self.config.interval.0).await;
        let offset = OffsetMap::from_iter([("count".to_owned(), self.next.into())]);
        let record = SourceRecord::new(self.config.topic.as_str()).value(Some(Schema::int64()), self.next);
        self.next += 1;
        Ok(vec![record.at(&self.partition, offset)].into())
    }
}
