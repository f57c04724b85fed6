//! Avro in Confluent's wire format: a zero byte, the schema's id in four bytes, Avro's binary form.
//!
//! - `node`: Avro schemas with all their attributes
//! - `to_connect`, `to_avro`, `names`: schemas both ways, as Confluent's `AvroData` translates them
//! - `encode`, `decode`, `anything`: values both ways; `from_json`: what people write, strictly
//! - `settings`: the settings

mod anything;
mod decode;
mod encode;
mod from_json;
mod names;
mod node;
mod settings;
mod to_avro;
mod to_connect;

use std::sync::Arc;

use bytes::{Buf, Bytes};
use connect_api::{
    Converter, ConverterPlugin, Error, ErrorClass, PluginInfo, Result, Role, Schema, SchemaAndValue, Settings, Step,
    Topic, Value, logical,
};

use self::{decode::Decoder, encode::Encoder, names::Style};
pub use self::{
    from_json::{AvroFromJson, BareAvro},
    node::{Kind, Name, Node, RecordField},
    settings::{AvroConfig, AvroOptions, BearerSource, CredentialsSource, RegistryCredentials, SubjectStrategy},
    to_connect::{default_value, latin1},
};
use crate::{SchemaRegistry, cache::Cache};

/// Writes and reads Avro with schemas in a registry.
#[derive(Debug)]
pub struct AvroConverter {
    shared: Arc<Shared>,
    role: Role,
}

#[derive(Debug)]
struct Shared {
    registry: SchemaRegistry,
    style: Style,
    auto_register: bool,
    use_latest: bool,
    strategy: SubjectStrategy,
    // By the schema's address, which the writer keeps from being used again; 0 for no schema.
    writers: Cache<(usize, Topic), Arc<Writer>>,
    readers: Cache<i32, Arc<Reader>>,
}

#[derive(Debug)]
struct Writer {
    _schema: Option<Schema>,
    id: i32,
    // A value that is nothing but bytes is written without its length.
    raw: bool,
    encoder: Encoder,
}

#[derive(Debug)]
struct Reader {
    schema: Option<Schema>,
    raw: bool,
    decoder: Decoder,
}

/// Whether the text is an Avro schema, whatever a Connect schema could say of it.
pub fn check_avro_schema(json: &str) -> Result<()> {
    apache_avro::Schema::parse_str(json).map(drop).map_err(|e| Error::fatal(format!("parsing an Avro schema: {e}")))
}

/// The Connect schema of an Avro schema, for programs that embed `.avsc` files.
///
/// Values of the schema are written in just this text, with all of its attributes and blanks, by every
/// [`AvroConverter`] of the process that leaves enums enums. The same text gives the same schema.
pub fn connect_schema_from_avro(json: &str) -> Result<Schema> {
    check_avro_schema(json)?;
    let style = Style { enums: true, full_member_names: true, meta_data: true };
    let node = Node::parse(json)?;
    let schema = to_connect::connect_schema(&node, style)?;
    let schema = schema.ok_or_else(|| Error::fatal("the Avro schema stands for values without schema"))?;
    Ok(to_avro::remember(schema, json.to_owned()))
}

impl AvroConverter {
    /// A converter with these settings.
    pub fn new(config: &AvroConfig, role: Role) -> Result<Self> {
        let options = &config.options;
        let limit = usize::try_from(options.cache_size).unwrap_or(0);
        let enhanced = options.enhanced_support;
        Ok(Self {
            shared: Arc::new(Shared {
                registry: SchemaRegistry::new(config.registry_options()?)?,
                style: Style {
                    enums: enhanced.unwrap_or(true),
                    full_member_names: enhanced.unwrap_or(false),
                    meta_data: options.connect_meta_data,
                },
                auto_register: options.auto_register_schemas,
                use_latest: options.use_latest_version,
                strategy: match role {
                    Role::Key => options.key_strategy,
                    Role::Value | Role::Header => options.value_strategy,
                },
                writers: Cache::new(limit),
                readers: Cache::new(limit),
            }),
            role,
        })
    }

    /// A converter with default settings that reads with the schemas of this registry.
    pub fn reader(registry: SchemaRegistry, role: Role) -> Self {
        Self::with(registry, role, false)
    }

    /// The same, which also writes: schemas are registered, those of [`connect_schema_from_avro`] in their own text.
    pub fn writer(registry: SchemaRegistry, role: Role) -> Self {
        Self::with(registry, role, true)
    }

    fn with(registry: SchemaRegistry, role: Role, auto_register: bool) -> Self {
        const SCHEMAS: usize = 1000;
        let shared = Shared {
            registry,
            style: Style { enums: true, full_member_names: false, meta_data: true },
            auto_register,
            use_latest: false,
            strategy: SubjectStrategy::Topic,
            writers: Cache::new(SCHEMAS),
            readers: Cache::new(SCHEMAS),
        };
        Self { shared: Arc::new(shared), role }
    }

    fn subject_suffix(&self) -> &'static str {
        match self.role {
            Role::Key => "-key",
            Role::Value | Role::Header => "-value",
        }
    }
}

impl ConverterPlugin for AvroConverter {
    type Config = AvroConfig;

    const INFO: PluginInfo = PluginInfo {
        name: "avro",
        aliases: &["io.confluent.connect.avro.AvroConverter"],
        version: env!("CARGO_PKG_VERSION"),
        about: "Writes and reads Avro with schemas in a schema registry, in Confluent's wire format.",
    };

    fn build(config: AvroConfig, _settings: &Settings, role: Role) -> Result<Box<dyn Converter>> {
        Ok(Box::new(Self::new(&config, role)?))
    }
}

impl Converter for AvroConverter {
    fn serialize(&self, topic: &Topic, schema: Option<&Schema>, value: &Value) -> Result<Step<Option<Bytes>>> {
        if value.is_null() && schema.is_none_or(Schema::is_optional) {
            return Ok(Step::Done(None));
        }
        let failed = |e: Error| e.context(format!("Failed to serialize Avro data from topic {topic} :"));
        let identity = schema.map_or(0, Schema::identity);
        let Some(writer) = self.shared.writers.get(&(identity, topic.clone())) else {
            let (shared, schema) = (self.shared.clone(), schema.cloned());
            let (topic, suffix) = (topic.clone(), self.subject_suffix());
            return Ok(Step::Wait(Box::pin(async move {
                let writer = shared.writer(&topic, suffix, schema).await;
                let failed = |e: Error| e.context(format!("Failed to serialize Avro data from topic {topic} :"));
                shared.writers.insert((identity, topic.clone()), Arc::new(writer.map_err(failed)?));
                Ok(())
            })));
        };
        let mut out = Vec::with_capacity(128);
        out.push(0);
        out.extend_from_slice(&writer.id.to_be_bytes());
        match schema {
            Some(schema) if writer.raw => match logical::to_physical(schema, value).map_err(failed)? {
                Value::Bytes(bytes) => out.extend_from_slice(&bytes),
                _ => writer.encoder.encode(value, &mut out).map_err(failed)?,
            },
            _ => writer.encoder.encode(value, &mut out).map_err(failed)?,
        }
        Ok(Step::Done(Some(Bytes::from(out))))
    }

    fn deserialize(&self, topic: &Topic, bytes: Option<&Bytes>) -> Result<Step<SchemaAndValue>> {
        let Some(bytes) = bytes else { return Ok(Step::Done(SchemaAndValue::default())) };
        let failed = |e: Error| e.context(format!("Failed to deserialize data for topic {topic} to Avro: "));
        let mut input = bytes.clone();
        if input.try_get_u8().ok() != Some(0) {
            return Err(failed(Error::data("Unknown magic byte!")));
        }
        let id = input.try_get_i32().map_err(|_| failed(Error::data("the id of the schema is cut off")))?;
        let Some(reader) = self.shared.readers.get(&id) else {
            let (shared, topic) = (self.shared.clone(), topic.clone());
            return Ok(Step::Wait(Box::pin(async move {
                let failed = |e: Error| e.context(format!("Failed to deserialize data for topic {topic} to Avro: "));
                let reader = shared.reader(id).await.map_err(failed)?;
                shared.readers.insert(id, Arc::new(reader));
                Ok(())
            })));
        };
        let value = match (&reader.schema, reader.raw) {
            (Some(schema), true) => logical::from_physical(schema, Value::Bytes(input)),
            _ => reader.decoder.decode(&mut input),
        };
        Ok(Step::Done(SchemaAndValue { schema: reader.schema.clone(), value: value.map_err(failed)? }))
    }
}

impl Shared {
    async fn writer(&self, topic: &Topic, suffix: &str, schema: Option<Schema>) -> Result<Writer> {
        let mut text = to_avro::avro_schema(schema.as_ref(), self.style)?;
        let mut node = Node::parse(&text)?;
        let subject = self.subject(topic, suffix, &node)?;
        let id = if self.auto_register {
            self.registry.register(&subject, &text).await?
        } else if self.use_latest {
            let latest = self.registry.latest(&subject).await.map_err(unregistered)?;
            text = latest.schema;
            node = Node::parse(&text)?;
            latest.id
        } else {
            self.registry.lookup(&subject, &text).await.map_err(unregistered)?.id
        };
        let encoder = Encoder::plan(schema.as_ref(), &node, self.style)?;
        Ok(Writer { _schema: schema, id, raw: matches!(node.kind, Kind::Bytes), encoder })
    }

    async fn reader(&self, id: i32) -> Result<Reader> {
        let text = self.registry.schema(id).await?;
        let node = Node::parse(&text)?;
        let schema = to_connect::connect_schema(&node, self.style)?;
        let decoder = Decoder::plan(&node, schema.as_ref(), self.style)?;
        Ok(Reader { schema, raw: matches!(node.kind, Kind::Bytes), decoder })
    }

    fn subject(&self, topic: &Topic, suffix: &str, node: &Node) -> Result<String> {
        let record = || match (&node.kind, node.name()) {
            (Kind::Record { .. }, Some(name)) => Ok(name.full.as_str()),
            _ => Err(Error::data(format!(
                "the subject of an Avro {} is not known: only records have the name that the subject strategy asks for",
                node.type_name()
            ))),
        };
        Ok(match self.strategy {
            SubjectStrategy::Topic => format!("{topic}{suffix}"),
            SubjectStrategy::Record => record()?.to_owned(),
            SubjectStrategy::TopicRecord => format!("{topic}-{}", record()?),
        })
    }
}

fn unregistered(e: Error) -> Error {
    match e.class() {
        ErrorClass::Data => Error::data(format!("{e}; register the schema or set auto.register.schemas=true")),
        _ => e,
    }
}

#[cfg(test)]
mod tests;
