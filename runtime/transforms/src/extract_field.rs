//! Puts one field in the place of the whole key or value.

use connect_api::{Error, Record, RecordMeta, Result, Value, config::Key};

use crate::{
    field_path::{FieldPath, FieldSyntax},
    rebuild::{require_map, require_struct_or_null},
    sided::{Side, Sided, names},
};

connect_api::config! {
    /// Settings of the transform.
    #[derive(Debug)]
    pub struct ExtractFieldConfig {
        /// The field to extract.
        field: String = Key::new("field"),
        /// Whether a null field takes the default of its schema.
        replace_null_with_default: bool = Key::new("replace.null.with.default").default("true"),
        /// How the name of the field is read: V1 is a name at the top, V2 a path with dots, in which backticks keep
        /// dots that belong to a name, as in `foo.bar`.baz.
        syntax: FieldSyntax = Key::new("field.syntax.version").default("V1").high(),
    }
}

/// `org.apache.kafka.connect.transforms.ExtractField`
#[derive(Debug)]
pub struct ExtractField {
    path: FieldPath,
    text: String,
    with_default: bool,
}

const PURPOSE: &str = "field extraction";

impl Sided for ExtractField {
    type Config = ExtractFieldConfig;

    names!(
        "extract-field",
        "org.apache.kafka.connect.transforms.ExtractField",
        "puts one of its fields, with the field's schema, in the place of all of it."
    );

    fn new(config: ExtractFieldConfig) -> Result<Self> {
        let path = FieldPath::parse(&config.field, config.syntax)
            .map_err(|e| Error::fatal(e).exception("org.apache.kafka.common.config.ConfigException"))?;
        Ok(Self { path, text: config.field, with_default: config.replace_null_with_default })
    }

    fn change(&mut self, side: Side, record: &mut Record, _meta: &RecordMeta) -> Result<()> {
        let (schema, value) = side.of(record);
        let Some(schema) = schema else {
            let value = match side.take(record) {
                Value::Null => Value::Null,
                value => self.path.value_in_map(&*require_map(value, PURPOSE)?)?,
            };
            side.set(record, None, value);
            return Ok(());
        };
        let s = require_struct_or_null(value, PURPOSE)?;
        let Some(field) = self.path.field_in(schema)? else {
            let text = format!("Unknown field: {}", self.text);
            return Err(Error::data(text).exception("java.lang.IllegalArgumentException"));
        };
        let extracted = s.map_or(Ok(Value::Null), |s| self.path.value_in_struct(s, self.with_default))?;
        let schema = field.schema().clone();
        side.set(record, Some(schema), extracted);
        Ok(())
    }
}
