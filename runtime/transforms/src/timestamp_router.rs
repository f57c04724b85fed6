//! Puts the record's time into the name of its topic.

use async_trait::async_trait;
use connect_api::{
    Error, PluginInfo, Record, RecordMeta, Result, TaskContext, Transform, TransformPlugin, config::Key,
};

use crate::date_format::DateFormat;

connect_api::config! {
    /// Settings of the router.
    #[derive(Debug)]
    pub struct TimestampRouterConfig {
        /// The new name; ${topic} stands for the old one, ${timestamp} for the record's time.
        topic_format: String = Key::new("topic.format").default("${topic}-${timestamp}").high(),
        /// Pattern of the time in the syntax of Java's SimpleDateFormat. Times are UTC, names English.
        timestamp_format: String = Key::new("timestamp.format").default("yyyyMMdd").high()
            .check(|p: &String| DateFormat::new(p).map(drop)),
    }
}

/// `org.apache.kafka.connect.transforms.TimestampRouter`
#[derive(Debug)]
pub struct TimestampRouter {
    topic_format: String,
    timestamp_format: DateFormat,
}

#[async_trait]
impl TransformPlugin for TimestampRouter {
    type Config = TimestampRouterConfig;
    const INFO: PluginInfo = PluginInfo {
        name: "timestamp-router",
        aliases: &["org.apache.kafka.connect.transforms.TimestampRouter"],
        version: env!("CARGO_PKG_VERSION"),
        about: "Gives records a topic whose name is made of the old one and of the record's time, such as a topic a day.",
    };

    async fn build(config: TimestampRouterConfig, _context: &TaskContext) -> Result<Box<dyn Transform>> {
        let timestamp_format = DateFormat::new(&config.timestamp_format).map_err(Error::fatal)?;
        Ok(Box::new(Self { topic_format: config.topic_format, timestamp_format }))
    }
}

impl Transform for TimestampRouter {
    fn apply(&mut self, mut record: Record, _meta: &RecordMeta) -> Result<Option<Record>> {
        let Some(timestamp) = record.timestamp else {
            let (topic, key) = (&record.topic, &record.key);
            return Err(Error::data(format!("Timestamp missing on record: topic {topic}, key {key}")));
        };
        // A topic whose name holds a placeholder has it replaced, too, as in Java.
        let topic = self.topic_format.replace("${topic}", &record.topic);
        record.topic = topic.replace("${timestamp}", &self.timestamp_format.format(timestamp)).into();
        Ok(Some(record))
    }
}
