//! A complete source connector: counts, and continues after a restart where it stopped.

use std::{sync::Arc, time::Duration};

use connect_api::config::{Config, Key, Millis};
use connect_api::{
    Connector, ConnectorContext, OffsetMap, PluginInfo, Result, Schema, Settings, SourceBatch, SourceConnector,
    SourceContext, SourceRecord, SourceTask, async_trait,
};

connect_api::config! {
    /// Settings of the counter.
    pub struct CounterConfig {
        /// Topic to write to.
        topic: String = Key::new("topic").high().non_empty(),
        /// Pause between two numbers.
        interval: Millis = Key::new("interval.ms").default("1000"),
    }
}

struct Counter(Settings);

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
        let partition: Arc<OffsetMap> = Arc::new([("counter".to_owned(), "main".into())].into_iter().collect());
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
        let offset = [("count".to_owned(), self.next.into())].into_iter().collect();
        let record = SourceRecord::new(self.config.topic.as_str()).value(Some(Schema::int64()), self.next);
        self.next += 1;
        Ok(vec![record.at(&self.partition, offset)].into())
    }
}

fn main() {
    let settings = Settings::from([("topic", "numbers")]);
    let config = CounterConfig::parse(&settings).map_err(connect_api::Error::from).expect("valid settings");
    assert_eq!(config.interval.0, Duration::from_secs(1));
}
