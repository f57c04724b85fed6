//! The `Alarm` transform: alarms from the records of any connector.

use connect_api::{
    Error, PluginInfo, Record, RecordMeta, Result, TaskContext, Transform, TransformPlugin, async_trait,
    config::Problems, time,
};

use crate::{Engine, RecordAlarmConfig, RecordMapping, Writer};

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
                that change nothing about it. Alarms go to the topic of the active alarms, keyed by their name, and to a \
                topic by template if copy.topic says so; a tombstone clears one, or what clear.with says. With \
                copy.topic or clear.with=both a record becomes several, which only those of sources can.",
    };

    fn validate(config: &RecordAlarmConfig, problems: &mut Problems) {
        config.validate("", problems);
    }

    async fn build(config: RecordAlarmConfig, context: &TaskContext) -> Result<Box<dyn Transform>> {
        let mut problems = Problems::new();
        Self::validate(&config, &mut problems);
        if !problems.is_empty() {
            return Err(Error::from(problems));
        }
        Ok(Box::new(Alarms {
            engine: Engine::start(&config.alarm, context).await?,
            writer: Writer::new(&config.alarm, context.connector().clone()),
            mapping: RecordMapping::new(config, context.connector().clone()),
            further: Vec::new(),
        }))
    }
}

struct Alarms {
    mapping: RecordMapping,
    engine: Engine,
    writer: Writer,
    further: Vec<Record>,
}

impl Transform for Alarms {
    fn apply(&mut self, record: Record, _meta: &RecordMeta) -> Result<Option<Record>> {
        let Some(seen) = self.mapping.observe(&record)? else { return Ok(None) };
        let Some(change) = self.engine.observe(&seen.name, &seen.state, time::now_ms()) else { return Ok(None) };
        let mut records = self.writer.records(&change, record.timestamp).into_iter();
        let first = records.next();
        self.further = records.collect();
        Ok(first)
    }

    fn further(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.further)
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
    async fn one_record_can_become_several() {
        let settings = [("severity", "value.severity"), ("clear.with", "both"), ("copy.topic", "of-{{name}}")];
        let mut transform = build(&settings).await.expect("a transform");
        let mut topics = |severity: &str| {
            let first = apply(&mut *transform, json!({"severity": severity})).expect("mapped");
            let shown = |r: &Record| (r.topic.to_string(), r.value.is_null());
            first.iter().chain(&transform.further()).map(shown).collect::<Vec<_>>()
        };
        let record = |topic: &str, is_null| (topic.to_owned(), is_null);
        assert_eq!(topics("major"), [record("active-alarms", false), record("of-r1", false)]);
        assert_eq!(topics("major"), []);
        let cleared = [("active-alarms", false), ("active-alarms", true), ("of-r1", false), ("of-r1", true)];
        assert_eq!(topics("normal"), cleared.map(|(topic, is_null)| record(topic, is_null)));
    }

    #[tokio::test]
    async fn bad_records_are_errors_of_the_data_and_bad_settings_fail_the_start() {
        let mut transform = build(&[("severity", "value.severity")]).await.expect("a transform");
        let e = apply(&mut *transform, json!({"severity": "strange"})).expect_err("unknown");
        assert_eq!(e.class(), connect_api::ErrorClass::Data);
        assert!(build(&[]).await.is_err(), "nothing says when to alarm");
    }
}
