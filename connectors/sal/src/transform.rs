//! The `Sal` transform: SAL's plain-text messages as typed records.

use std::{str, sync::Arc, time::Instant};

use connect_api::{
    Counter, Error, PluginInfo, Prepare, Record, RecordMeta, Result, Summary, TaskContext, Transform, TransformPlugin,
    Value, async_trait, time,
};
use tokio_util::sync::DropGuard;
use tracing::Instrument;

use crate::{SalConfig, message, plan::Plan, schemas::Schemas};

/// The plugin behind `transforms.NAME.type=Sal`.
#[derive(Debug)]
pub struct SalTransform;

#[async_trait]
impl TransformPlugin for SalTransform {
    type Config = SalConfig;

    const INFO: PluginInfo = PluginInfo {
        name: "Sal",
        aliases: &["io.tocsin.transforms.Sal"],
        version: env!("CARGO_PKG_VERSION"),
        about: "Makes typed records of SAL's plain-text messages, such as `Dome_event Dome_state:( 'r1' , …)`, by the latest \
                schemas of their topics in a schema registry or a folder. They go to the topic that is named like the subject \
                of the schema, lsst.sal.NAME, without a key. Values have to be texts or bytes.",
    };

    async fn build(config: SalConfig, context: &TaskContext) -> Result<Box<dyn Transform>> {
        let place = config.place(context)?;
        let options = config.options;
        let schemas = Schemas::new(place, options.namespace, options.refresh.0);
        // A task that does not start is not told to stop.
        let over = context.stopping().child_token();
        let (following, end) = (schemas.clone().follow(), over.clone());
        tokio::spawn(async move { end.run_until_cancelled(following).await }.in_current_span());
        Ok(Box::new(Sal {
            schemas,
            began: None,
            next: None,
            meters: Meters::of(context),
            _following: over.drop_guard(),
        }))
    }
}

struct Sal {
    schemas: Schemas,
    /// When the record that is next was first looked at.
    began: Option<Instant>,
    /// What is known about its schema.
    next: Option<Result<Arc<Plan>>>,
    meters: Meters,
    _following: DropGuard,
}

/// The names are those of the program that did this before.
struct Meters {
    produced: Counter,
    total: Summary,
    transform: Summary,
}

impl Meters {
    fn of(context: &TaskContext) -> Self {
        Self {
            produced: context.counter("saltransform_produced_total", "Messages that became typed records.", &[]),
            total: context.summary(
                "saltransform_total_seconds",
                "Time from a message to its typed record, in seconds, with that for getting the schema.",
                &[],
            ),
            transform: context.summary(
                "saltransform_transform_seconds",
                "Time to make a typed record of a message, in seconds.",
                &[],
            ),
        }
    }
}

impl Transform for Sal {
    fn prepare(&mut self, record: &Record) -> Option<Prepare> {
        self.began.get_or_insert_with(Instant::now);
        // What is no message is told when the record is to be changed.
        let name = text(&record.value).and_then(message::name).ok()?;
        self.next = self.schemas.plan(name);
        if self.next.is_some() { None } else { Some(self.schemas.look(name)) }
    }

    fn apply(&mut self, mut record: Record, _meta: &RecordMeta) -> Result<Option<Record>> {
        let now = Instant::now();
        let (began, plan) = (self.began.take().unwrap_or(now), self.next.take());
        let message = message::parse(text(&record.value)?)?;
        let plan = plan.unwrap_or_else(|| Err(Error::fatal(format!("the schema of {} is not known", message.name))))?;
        let value = plan.record(&message.items, time::now_ms())?;
        (record.topic, record.partition) = (plan.topic().clone(), None);
        (record.key_schema, record.key) = (None, Value::Null);
        (record.value_schema, record.value) = (Some(plan.schema().clone()), value);
        self.meters.produced.add(1);
        self.meters.transform.observe(now.elapsed().as_secs_f64());
        self.meters.total.observe(began.elapsed().as_secs_f64());
        Ok(Some(record))
    }
}

fn text(value: &Value) -> Result<&str> {
    match value {
        Value::String(text) => Ok(text),
        Value::Bytes(bytes) => {
            str::from_utf8(bytes).map_err(|e| Error::data("reading a SAL message as UTF-8").caused_by(e))
        }
        Value::Null => Err(Error::data("a record without value is no SAL message")),
        _ => Err(Error::data("a SAL message has to be a text: read the topic with the converter String or ByteArray")),
    }
}

#[cfg(test)]
mod tests {
    use connect_api::{ErrorClass, Settings, config::Config};
    use connect_testkit::Host;
    use serde_json::json;
    use wiremock::{Mock, MockServer, ResponseTemplate, matchers::path};

    use super::*;

    const MESSAGE: &str = "Dome_event Dome_a:( 'r' , 1.5 , 2.5 , 3 , 4 , 5 , 6.5 )";

    fn schema() -> String {
        let fields = json!([{"name": "x", "type": "double", "sal_index": 0}]);
        json!({"type": "record", "namespace": "lsst.sal", "name": "Dome_a", "fields": fields}).to_string()
    }

    async fn build(settings: &[(&str, &str)]) -> Result<Box<dyn Transform>> {
        let (context, _stopping) = Host::new().source(&Settings::new());
        let settings: Settings = settings.iter().copied().collect();
        SalTransform::build(SalConfig::parse(&settings).expect("settings"), &context).await
    }

    /// What a worker does.
    async fn apply(transform: &mut dyn Transform, value: Value) -> Result<Record> {
        let mut record =
            Record { partition: Some(3), timestamp: Some(9), key: "k".into(), value, ..Record::new("Dome_event") };
        record.headers.add_string("h", "v");
        while let Some(work) = transform.prepare(&record) {
            work.await?;
        }
        transform.apply(record, &RecordMeta::default()).map(|made| made.expect("it drops none"))
    }

    #[tokio::test]
    async fn a_message_becomes_a_record_of_its_own_topic_without_a_key() {
        let server = MockServer::start().await;
        let latest = json!({"subject": "lsst.sal.Dome_a", "version": 3, "id": 5, "schema": schema()});
        let answer = ResponseTemplate::new(200).set_body_json(latest);
        let latest = Mock::given(path("/subjects/lsst.sal.Dome_a/versions/latest"));
        latest.respond_with(answer).expect(1).mount(&server).await;
        let mut transform = build(&[("schema.registry.url", &server.uri())]).await.expect("a transform");
        for value in [Value::from(MESSAGE), Value::Bytes(MESSAGE.into())] {
            let made = apply(&mut *transform, value).await.expect("a record");
            assert_eq!((&*made.topic, made.partition, made.timestamp), ("lsst.sal.Dome_a", None, Some(9)));
            assert_eq!((&made.key, &made.key_schema), (&Value::Null, &None));
            assert_eq!(made.value_schema.as_ref().and_then(|s| s.name()), Some("lsst.sal.Dome_a"));
            assert_eq!(made.value.get("x"), Some(&Value::Float64(6.5)));
            assert!(made.headers.last("h").is_some());
        }
    }

    #[tokio::test]
    async fn what_is_no_message_or_has_no_schema_is_an_error_of_the_data() {
        let dir = tempfile::tempdir().expect("folder");
        std::fs::write(dir.path().join("Dome_a.json"), schema()).expect("a file");
        let folder = dir.path().to_string_lossy();
        let mut transform = build(&[("schemas.folder", &folder)]).await.expect("a transform");
        let wrong = [
            Value::Null,
            Value::Int32(1),
            Value::from("hello"),
            Value::Bytes(vec![0xff].into()),
            Value::from(MESSAGE.replace("Dome_a", "Dome_b").as_str()),
            Value::from(MESSAGE.replace("6.5", "north").as_str()),
        ];
        for value in wrong {
            let e = apply(&mut *transform, value.clone()).await.expect_err("wrong");
            assert_eq!(e.class(), ErrorClass::Data, "{value:?}: {e:?}");
        }
        assert!(apply(&mut *transform, MESSAGE.into()).await.is_ok(), "the others go on");
    }

    #[tokio::test]
    async fn without_one_place_for_schemas_it_does_not_start() {
        let text = |settings: &'static [(&str, &str)]| async move {
            build(settings).await.err().expect("it does not start").one_line()
        };
        assert!(text(&[]).await.contains("set schema.registry.url or schemas.folder"));
        let both = text(&[("schemas.folder", "x"), ("schema.registry.url", "http://r")]).await;
        assert!(both.contains("schemas.folder and schema.registry.url are both set"), "{both}");
    }
}
