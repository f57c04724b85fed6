//! Structs: values by field index, so that a record carries no field names.

use std::sync::Arc;

use crate::{Error, Result, Schema, Type, Value, validate};

/// A struct value of a struct schema; absent fields are null.
#[derive(Debug, Clone, PartialEq)]
pub struct Struct {
    schema: Schema,
    values: Vec<Value>,
}

impl Struct {
    /// A struct with all fields absent. Panics never; a schema of another type is an error.
    pub fn new(schema: &Schema) -> Result<Self> {
        if schema.kind() != Type::Struct {
            return Err(Error::data(format!("Not a struct schema: {schema}")));
        }
        Ok(Self { schema: schema.clone(), values: vec![Value::Null; schema.fields().len()] })
    }

    /// A struct from values in field order, each checked against its field's schema.
    pub fn from_values(schema: &Schema, values: Vec<Value>) -> Result<Self> {
        let fields = schema.struct_fields()?;
        if fields.len() != values.len() {
            return Err(Error::data(format!("{} values for the {} fields of {schema}", values.len(), fields.len())));
        }
        let made = Self { schema: schema.clone(), values };
        made.validate()?;
        Ok(made)
    }

    /// The schema.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// All values in field order, without defaults.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// Sets a field after checking the value. Null is refused for a required field even if it has a default.
    pub fn put(&mut self, name: &str, value: impl Into<Value>) -> Result<&mut Self> {
        let Some(field) = self.schema.field(name) else {
            return Err(Error::data(format!("{name} is not a valid field name")));
        };
        let value = value.into();
        validate::check(field.schema(), &value, &validate::Place::Field(name))?;
        self.values[field.index()] = value;
        Ok(self)
    }

    /// The value, or the default when it is null and a default exists; `None` for an unknown field.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let field = self.schema.field(name)?;
        Some(self.at(field.index()))
    }

    /// As [`Struct::get`] by field index, which must be one of the schema's.
    pub fn at(&self, index: usize) -> &Value {
        match &self.values[index] {
            Value::Null => self.schema.fields()[index].schema().default().unwrap_or(&Value::Null),
            v => v,
        }
    }

    /// The value without the default; `None` for an unknown field.
    pub fn get_without_default(&self, name: &str) -> Option<&Value> {
        self.schema.field(name).map(|f| &self.values[f.index()])
    }

    /// The raw value if the field has that type, the typed getter of Kafka Connect.
    pub fn typed(&self, name: &str, kind: Type) -> Result<&Value> {
        let Some(field) = self.schema.field(name) else {
            return Err(Error::data(format!("{name} is not a valid field name")));
        };
        if field.schema().kind() != kind {
            return Err(Error::data(format!("Field '{name}' is not of type {kind}")));
        }
        Ok(&self.values[field.index()])
    }

    /// Checks all fields: null is right if optional or if there is a default.
    pub fn validate(&self) -> Result<()> {
        for (field, value) in self.schema.fields().iter().zip(&self.values) {
            if value.is_null() && field.schema().default().is_some() {
                continue;
            }
            validate::check(field.schema(), value, &validate::Place::Field(field.name()))?;
        }
        Ok(())
    }

    /// The struct as a shared value.
    pub fn into_value(self) -> Value {
        Value::Struct(Arc::new(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SchemaBuilder;

    fn schema() -> Schema {
        let with_default = SchemaBuilder::new(Type::Int32).default(Value::Int32(7)).build().expect("default");
        Schema::structure().field("a", with_default).field("b", Schema::optional_string()).build().expect("schema")
    }

    #[test]
    fn defaults_stand_in_for_absent_fields_but_null_cannot_be_put() {
        let mut s = Struct::new(&schema()).expect("struct");
        assert_eq!(s.get("a"), Some(&Value::Int32(7)));
        assert_eq!(s.get_without_default("a"), Some(&Value::Null));
        let e = s.put("a", Value::Null).expect_err("null");
        assert_eq!(e.message(), "Invalid value: null used for required field: \"a\", schema type: INT32");
        assert!(s.validate().is_ok());
    }

    #[test]
    fn wrong_fields_and_types_are_named() {
        let mut s = Struct::new(&schema()).expect("struct");
        assert_eq!(s.put("c", 1).expect_err("c").message(), "c is not a valid field name");
        assert_eq!(s.typed("b", Type::Int8).expect_err("type").message(), "Field 'b' is not of type INT8");
        assert!(Struct::new(&Schema::int8()).is_err());
    }
}
