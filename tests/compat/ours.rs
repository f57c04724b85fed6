//! The same questions, answered by the plugins of this program, found by their Java names.

use std::sync::Arc;

use connect_api::{
    Bytes, Converter, Error, OffsetMap, Record, RecordMeta, Result, Role, Schema, SchemaAndValue, Settings, SinkRecord,
    SourceRecord, State, Step, Table, TaskContext, TaskHost, Topic, Value, async_trait, json::base64,
};
use connect_worker::Plugins;
use serde_json::{Value as Json, json};

use crate::encode;

/// What is asked.
#[derive(Debug, Clone)]
pub enum Question {
    /// What a transform makes of a record; with an offset the record is a sink's.
    Transform(Record, Option<i64>),
    /// Whether a predicate holds.
    Test(Record),
    /// The bytes of a value, of a header's value in case of `true`.
    Serialize(Option<Schema>, Value, bool),
    /// The value of bytes, of a header's in case of `true`.
    Deserialize(Option<Vec<u8>>, bool),
}

/// A question to a plugin with settings.
#[derive(Debug, Clone)]
pub struct Case {
    /// Java class.
    pub class: String,
    /// Settings.
    pub config: Vec<(String, String)>,
    /// The question.
    pub question: Question,
}

impl Case {
    /// As a line for the oracle.
    pub fn asked(&self) -> Json {
        let config: serde_json::Map<String, Json> =
            self.config.iter().map(|(k, v)| (k.clone(), Json::from(v.as_str()))).collect();
        let mut asked = json!({ "class": self.class, "config": config });
        match &self.question {
            Question::Transform(record, offset) => {
                asked["do"] = "transform".into();
                asked["record"] = encode::record(record);
                asked["record"]["offset"] = json!(offset);
            }
            Question::Test(record) => {
                asked["do"] = "test".into();
                asked["record"] = encode::record(record);
                asked["record"]["offset"] = 0.into();
            }
            Question::Serialize(schema, value, header) => {
                asked["do"] = if *header { "serializeHeader" } else { "serialize" }.into();
                asked["schema"] = encode::schema(schema.as_ref());
                asked["value"] = encode::value(value);
            }
            Question::Deserialize(bytes, header) => {
                asked["do"] = if *header { "deserializeHeader" } else { "deserialize" }.into();
                asked["bytes"] = json!(bytes.as_deref().map(base64));
            }
        }
        asked
    }
}

/// Our answers.
pub struct Ours {
    plugins: Plugins,
    runtime: tokio::runtime::Runtime,
}

impl Ours {
    /// With the plugins that the server has.
    pub fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
        Self { plugins: connectd::plugins(), runtime }
    }

    /// The answer, in the form of the oracle's.
    pub fn answer(&self, case: &Case) -> Json {
        let settings: Settings = case.config.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        let (stage, outcome) = match &case.question {
            Question::Transform(record, offset) => {
                let plugin = self.plugins.transforms.find(&case.class).expect("the transform is registered");
                match self.runtime.block_on((plugin.build)(settings, context())) {
                    Ok(mut transform) => {
                        let changed = transform.apply(record.clone(), &RecordMeta { kafka_offset: *offset });
                        ("apply", changed.map(|changed| changed.as_ref().map_or(Json::Null, encode::record)))
                    }
                    Err(e) => ("configure", Err(e)),
                }
            }
            Question::Test(record) => {
                let plugin = self.plugins.predicates.find(&case.class).expect("the predicate is registered");
                match (plugin.build)(&settings) {
                    Ok(predicate) => {
                        let held = predicate.test(record, &RecordMeta { kafka_offset: Some(0) });
                        ("apply", held.map(Json::from))
                    }
                    Err(e) => ("configure", Err(e)),
                }
            }
            question => {
                let plugin = self.plugins.converters.find(&case.class).expect("the converter is registered");
                match (plugin.build)(&settings, Role::Value) {
                    Ok(converter) => ("apply", convert(&*converter, question)),
                    Err(e) => ("configure", Err(e)),
                }
            }
        };
        match outcome {
            Ok(answer) => json!({ "ok": answer }),
            Err(e) => json!({ "stage": stage, "class": e.exception_class(), "message": e.message() }),
        }
    }
}

fn convert(converter: &dyn Converter, question: &Question) -> Result<Json> {
    let topic = Topic::from("topic");
    match question {
        Question::Serialize(schema, value, _) => {
            let bytes = done(converter.serialize(&topic, schema.as_ref(), value)?);
            Ok(json!(bytes.map(|b| base64(&b))))
        }
        Question::Deserialize(bytes, _) => {
            let bytes = bytes.as_ref().map(|b| Bytes::copy_from_slice(b));
            let SchemaAndValue { schema, value } = done(converter.deserialize(&topic, bytes.as_ref())?);
            Ok(json!({ "schema": encode::schema(schema.as_ref()), "value": encode::value(&value) }))
        }
        other => panic!("not for a converter: {other:?}"),
    }
}

fn done<T>(step: Step<T>) -> T {
    match step {
        Step::Done(made) => made,
        Step::Wait(_) => panic!("the converter has to wait"),
    }
}

/// None of the transforms compared asks the worker for anything.
struct NoHost;

#[async_trait]
impl TaskHost for NoHost {
    async fn state(&self, name: &str) -> Result<Arc<dyn State>> {
        Err(Error::fatal(format!("no state {name}")))
    }

    async fn table(&self, topic: &str) -> Result<Table> {
        Err(Error::fatal(format!("no table {topic}")))
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

fn context() -> TaskContext {
    TaskContext::new("compat".into(), 0, Settings::new(), connect_api::CancellationToken::new(), Arc::new(NoHost))
}
