//! The `Alarm` transform: alarms from the records of any connector.

use connect_api::{
    Error, PluginInfo, Record, RecordMeta, Result, TaskContext, Topic, Transform, TransformPlugin, async_trait,
    config::Problems, time,
};

use crate::{Audit, Engine, RecordAlarmConfig, RecordMapping};

/// The plugin behind `transforms.NAME.type=Alarm`.
#[derive(Debug)]
pub struct AlarmTransform;

#[async_trait]
impl TransformPlugin for AlarmTransform {
    type Config = RecordAlarmConfig;

    const INFO: PluginInfo = PluginInfo {
        name: "Alarm",
        aliases: &["io.tocsin.transforms.Alarm"],
        version: env!("CARGO_PKG_VERSION"),
        about: "Makes alarms of records: raises, updates and clears the alarm that a record is about, and drops records \
                that change nothing about it. Alarms go to the topic of the active alarms, keyed by their name; a \
                tombstone clears one.",
    };

    async fn build(config: RecordAlarmConfig, context: &TaskContext) -> Result<Box<dyn Transform>> {
        let mut problems = Problems::new();
        config.validate("", &mut problems);
        if !problems.is_empty() {
            return Err(Error::from(problems));
        }
        Ok(Box::new(Alarms {
            engine: Engine::start(&config.alarm, context).await?,
            audit: Audit::of_process(context.connector().clone(), config.alarm.user.as_deref()),
            topic: config.alarm.topic.as_str().into(),
            mapping: RecordMapping::new(config, context.connector().clone()),
        }))
    }
}

struct Alarms {
    mapping: RecordMapping,
    engine: Engine,
    audit: Audit,
    topic: Topic,
}

impl Transform for Alarms {
    fn apply(&mut self, record: Record, _meta: &RecordMeta) -> Result<Option<Record>> {
        let Some(seen) = self.mapping.observe(&record)? else { return Ok(None) };
        let change = self.engine.observe(&seen.name, &seen.state, time::now_ms());
        Ok(change.map(|change| self.audit.record(&self.topic, &seen.name, &change, record.timestamp)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use connect_api::{
        CancellationToken, OffsetMap, Settings, SinkRecord, SourceRecord, State, Table, TaskHost, Value,
        config::Config, json::from_json,
    };
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::{Alarm, Priority};

    /// A worker whose topics are all empty.
    struct Host;

    #[async_trait]
    impl TaskHost for Host {
        async fn state(&self, name: &str) -> Result<Arc<dyn State>> {
            Err(Error::fatal(format!("no state {name}")))
        }

        async fn table(&self, _topic: &str) -> Result<Table> {
            Ok(Table::new().0)
        }

        async fn offset(&self, _partition: &OffsetMap) -> Result<Option<OffsetMap>> {
            Ok(None)
        }

        async fn report_source(&self, _record: SourceRecord, error: Error) -> Result<()> {
            Err(error)
        }

        async fn report_sink(&self, _record: &SinkRecord, error: Error) -> Result<()> {
            Err(error)
        }

        fn request(&self, _request: connect_api::SinkRequest) {}
    }

    async fn build(settings: &[(&str, &str)]) -> Result<Box<dyn Transform>> {
        let stopping = CancellationToken::new();
        let context = TaskContext::new("hooks".into(), 0, Settings::new(), stopping, Arc::new(Host));
        let settings: Settings = settings.iter().copied().collect();
        AlarmTransform::build(RecordAlarmConfig::parse(&settings)?, &context).await
    }

    fn apply(transform: &mut dyn Transform, value: Json) -> Result<Option<Record>> {
        let mut record = Record::new("in");
        (record.key, record.value, record.timestamp) = ("r1".into(), from_json(&value), Some(5));
        transform.apply(record, &RecordMeta::default())
    }

    #[tokio::test]
    async fn records_become_alarms_and_those_without_news_are_dropped() {
        let settings = [("severity", "value.severity"), ("message", "{{value.text}}"), ("user", "ops")];
        let mut transform = build(&settings).await.expect("a transform");
        let mut apply = |severity: &str| {
            apply(&mut *transform, json!({"severity": severity, "text": "link down"})).expect("mapped")
        };
        assert_eq!(apply("normal"), None, "there is nothing to clear");
        let raised = apply("major").expect("an alarm");
        assert_eq!((&*raised.topic, raised.key.as_str(), raised.timestamp), ("active-alarms", Some("r1"), Some(5)));
        let alarm = Alarm::from_value(&raised.value);
        assert_eq!((alarm.priority, &*alarm.message, &*alarm.source), (Priority::Property, "link down", "hooks"));
        let header = |name: &str| raised.headers.last(name).map(|h| h.value.clone());
        assert_eq!((header("user"), header("producer")), (Some("ops".into()), Some("hooks".into())));
        assert_eq!(apply("major"), None);
        let cleared = apply("normal").expect("a tombstone");
        assert_eq!((cleared.key.as_str(), cleared.value), (Some("r1"), Value::Null));
        assert_eq!(apply("normal"), None);
    }

    #[tokio::test]
    async fn bad_records_are_errors_of_the_data_and_bad_settings_fail_the_start() {
        let mut transform = build(&[("severity", "value.severity")]).await.expect("a transform");
        let e = apply(&mut *transform, json!({"severity": "strange"})).expect_err("unknown");
        assert_eq!(e.class(), connect_api::ErrorClass::Data);
        assert!(build(&[]).await.is_err(), "nothing says when to alarm");
    }
}
