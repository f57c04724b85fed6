//! Gives the schema another name or version.

use connect_api::{Error, Record, RecordMeta, Result, Struct, Value, config::Key};

use crate::{
    rebuild::{SchemaCache, field_value},
    sided::{Side, Sided, names},
};

connect_api::config! {
    /// Settings of the transform.
    #[derive(Debug)]
    pub struct SetSchemaMetadataConfig {
        /// The new name.
        name: Option<String> = Key::new("schema.name").high(),
        /// The new version.
        version: Option<i32> = Key::new("schema.version").high(),
        /// Whether a null field takes the default of its schema.
        replace_null_with_default: bool = Key::new("replace.null.with.default").default("true"),
    }
}

/// `org.apache.kafka.connect.transforms.SetSchemaMetadata`
#[derive(Debug)]
pub struct SetSchemaMetadata {
    name: Option<String>,
    version: Option<i32>,
    with_default: bool,
    schemas: SchemaCache,
}

impl Sided for SetSchemaMetadata {
    type Config = SetSchemaMetadataConfig;

    names!(
        "set-schema-metadata",
        "org.apache.kafka.connect.transforms.SetSchemaMetadata",
        "gives the schema another name, version or both."
    );

    fn new(config: SetSchemaMetadataConfig) -> Result<Self> {
        if config.name.is_none() && config.version.is_none() {
            let text = "Neither schema name nor version configured";
            return Err(Error::fatal(text).exception("org.apache.kafka.common.config.ConfigException"));
        }
        Ok(Self {
            name: config.name,
            version: config.version,
            with_default: config.replace_null_with_default,
            schemas: SchemaCache::new(),
        })
    }

    fn change(&mut self, side: Side, record: &mut Record, _meta: &RecordMeta) -> Result<()> {
        let (schema, value) = side.of(record);
        let Some(schema) = schema else {
            return if value.is_null() {
                Ok(())
            } else {
                Err(Error::data("Schema required for [updating schema metadata]"))
            };
        };
        let Self { name, version, schemas, .. } = self;
        let made = schemas.get(schema, || {
            let name = name.as_deref().or(schema.name());
            Ok(schema.with_name_and_version(name, version.or(schema.version())))
        })?;
        let value = match value {
            Value::Struct(s) => {
                let mut changed = Struct::new(&made)?;
                for field in made.fields() {
                    changed.put(field.name(), field_value(s, field.index(), self.with_default).clone())?;
                }
                changed.into_value()
            }
            other => other.clone(),
        };
        side.set(record, Some(made), value);
        Ok(())
    }
}
