//! Schemas: the shape of values, shared by all records that have it.

use std::{collections::HashMap, fmt, sync::Arc};

use crate::{Error, Result, Value, validate};

/// Primitive and container types (`org.apache.kafka.connect.data.Schema.Type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names are the documentation")]
pub enum Type {
    Int8,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    Boolean,
    String,
    Bytes,
    Array,
    Map,
    Struct,
}

impl Type {
    /// Java's name: `INT8`, `STRING` …
    pub fn name(self) -> &'static str {
        match self {
            Self::Int8 => "INT8",
            Self::Int16 => "INT16",
            Self::Int32 => "INT32",
            Self::Int64 => "INT64",
            Self::Float32 => "FLOAT32",
            Self::Float64 => "FLOAT64",
            Self::Boolean => "BOOLEAN",
            Self::String => "STRING",
            Self::Bytes => "BYTES",
            Self::Array => "ARRAY",
            Self::Map => "MAP",
            Self::Struct => "STRUCT",
        }
    }

    /// Neither array nor map nor struct.
    pub fn is_primitive(self) -> bool {
        !matches!(self, Self::Array | Self::Map | Self::Struct)
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A schema, shared; cloning costs a reference count, comparing two clones a pointer.
///
/// All attributes take part in equality, documentation and defaults included, as in Kafka Connect.
#[derive(Clone)]
pub struct Schema(Arc<Inner>);

#[derive(Debug, Clone, PartialEq)]
struct Inner {
    kind: Type,
    optional: bool,
    default: Option<Value>,
    name: Option<Arc<str>>,
    version: Option<i32>,
    doc: Option<Arc<str>>,
    parameters: Option<Vec<(String, String)>>,
    key: Option<Schema>,
    element: Option<Schema>,
    fields: Vec<Field>,
    index: HashMap<Arc<str>, usize>,
}

/// A field of a struct schema.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    name: Arc<str>,
    index: usize,
    schema: Schema,
}

impl Field {
    /// Name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Name, shared.
    pub fn shared_name(&self) -> &Arc<str> {
        &self.name
    }

    /// Position in the struct, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Schema of its values.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }
}

macro_rules! plain {
    ($($(#[$doc:meta])* $name:ident, $optional:ident => $kind:ident;)*) => {$(
        $(#[$doc])*
        pub fn $name() -> Self {
            static SCHEMA: std::sync::LazyLock<Schema> = std::sync::LazyLock::new(|| Schema::bare(Type::$kind, false));
            SCHEMA.clone()
        }

        /// The same, optional.
        pub fn $optional() -> Self {
            static SCHEMA: std::sync::LazyLock<Schema> = std::sync::LazyLock::new(|| Schema::bare(Type::$kind, true));
            SCHEMA.clone()
        }
    )*};
}

impl Schema {
    plain! {
        /// Signed 8-bit integer.
        int8, optional_int8 => Int8;
        /// Signed 16-bit integer.
        int16, optional_int16 => Int16;
        /// Signed 32-bit integer.
        int32, optional_int32 => Int32;
        /// Signed 64-bit integer.
        int64, optional_int64 => Int64;
        /// 32-bit IEEE number.
        float32, optional_float32 => Float32;
        /// 64-bit IEEE number.
        float64, optional_float64 => Float64;
        /// Boolean.
        boolean, optional_boolean => Boolean;
        /// Text.
        string, optional_string => String;
        /// Bytes.
        bytes, optional_bytes => Bytes;
    }

    fn bare(kind: Type, optional: bool) -> Self {
        let mut builder = SchemaBuilder::new(kind);
        builder.inner.optional = optional;
        Self(Arc::new(builder.inner))
    }

    /// The type.
    pub fn kind(&self) -> Type {
        self.0.kind
    }

    /// Whether null is allowed.
    pub fn is_optional(&self) -> bool {
        self.0.optional
    }

    /// The default; `Some(Value::Null)` cannot be told from none in Kafka Connect and is none here.
    pub fn default(&self) -> Option<&Value> {
        self.0.default.as_ref()
    }

    /// Name of the record or of the logical type.
    pub fn name(&self) -> Option<&str> {
        self.0.name.as_deref()
    }

    /// Version.
    pub fn version(&self) -> Option<i32> {
        self.0.version
    }

    /// Documentation.
    pub fn doc(&self) -> Option<&str> {
        self.0.doc.as_deref()
    }

    /// Parameters in order; `None` when none was ever set.
    pub fn parameters(&self) -> Option<&[(String, String)]> {
        self.0.parameters.as_deref()
    }

    /// One parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters()?.iter().find(|(k, _)| k == name).map(|(_, v)| v.as_str())
    }

    /// Fields of a struct; empty for all other types, see [`Schema::struct_fields`] for the error.
    pub fn fields(&self) -> &[Field] {
        &self.0.fields
    }

    /// Fields of a struct; an error for other types.
    pub fn struct_fields(&self) -> Result<&[Field]> {
        if self.kind() == Type::Struct {
            Ok(&self.0.fields)
        } else {
            Err(Error::data("Cannot list fields on non-struct type"))
        }
    }

    /// A field by name; `None` also for other types than struct.
    pub fn field(&self, name: &str) -> Option<&Field> {
        // Few fields are faster found by walking them than by hashing the name.
        if self.0.fields.len() <= 8 {
            return self.0.fields.iter().find(|f| &*f.name == name);
        }
        self.0.index.get(name).map(|i| &self.0.fields[*i])
    }

    /// Schema of a map's keys. `None` in the special map without key schema.
    pub fn key_schema(&self) -> Result<Option<&Schema>> {
        if self.kind() == Type::Map {
            Ok(self.0.key.as_ref())
        } else {
            Err(Error::data("Cannot look up key schema on non-map type"))
        }
    }

    /// Schema of a map's values or an array's elements. `None` in the special ones without it.
    pub fn value_schema(&self) -> Result<Option<&Schema>> {
        match self.kind() {
            Type::Map | Type::Array => Ok(self.0.element.as_ref()),
            _ => Err(Error::data("Cannot look up value schema on non-array and non-map type")),
        }
    }

    /// Whether both are the same object: the cheap test in front of caches.
    pub fn same(&self, other: &Schema) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// An address for cache keys; valid while this schema is kept alive.
    pub fn identity(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }

    /// Array of elements.
    pub fn array(element: Schema) -> SchemaBuilder {
        let mut b = SchemaBuilder::new(Type::Array);
        b.inner.element = Some(element);
        b
    }

    /// Map.
    pub fn map(key: Schema, value: Schema) -> SchemaBuilder {
        let mut b = SchemaBuilder::new(Type::Map);
        b.inner.key = Some(key);
        b.inner.element = Some(value);
        b
    }

    /// Struct without fields so far.
    pub fn structure() -> SchemaBuilder {
        SchemaBuilder::new(Type::Struct)
    }

    /// A builder that starts with all attributes, elements and fields of this schema.
    pub fn to_builder(&self) -> SchemaBuilder {
        SchemaBuilder { inner: (*self.0).clone(), optional_set: true, error: None }
    }

    /// The same schema of that name and version, without anything else changed. Nothing is checked: the
    /// default stays although a new name may stand for another type of values.
    pub fn with_name_and_version(&self, name: Option<&str>, version: Option<i32>) -> Schema {
        let mut inner = (*self.0).clone();
        (inner.name, inner.version) = (name.map(Arc::from), version);
        Schema(Arc::new(inner))
    }

    /// The same schema, optional or required, without anything else changed.
    pub fn with_optional(&self, optional: bool) -> Schema {
        if self.is_optional() == optional {
            return self.clone();
        }
        let mut b = self.to_builder();
        b.inner.optional = optional;
        Schema(Arc::new(b.inner))
    }
}

impl PartialEq for Schema {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Eq for Schema {}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(n) => write!(f, "Schema{{{n}:{}}}", self.kind()),
            None => write!(f, "Schema{{{}}}", self.kind()),
        }
    }
}

impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Builds a schema; the first wrong call is reported by [`SchemaBuilder::build`].
#[derive(Debug)]
pub struct SchemaBuilder {
    inner: Inner,
    optional_set: bool,
    error: Option<Error>,
}

impl SchemaBuilder {
    /// A schema of the type with no attribute set.
    pub fn new(kind: Type) -> Self {
        Self {
            inner: Inner {
                kind,
                optional: false,
                default: None,
                name: None,
                version: None,
                doc: None,
                parameters: None,
                key: None,
                element: None,
                fields: Vec::new(),
                index: HashMap::new(),
            },
            optional_set: false,
            error: None,
        }
    }

    fn fail(mut self, error: Error) -> Self {
        self.error.get_or_insert(error);
        self
    }

    fn once<T: PartialEq>(mut self, attribute: &str, new: T, slot: impl FnOnce(&mut Inner) -> &mut Option<T>) -> Self {
        let slot = slot(&mut self.inner);
        match slot {
            Some(old) if *old != new => {
                let text = format!("Invalid SchemaBuilder call: {attribute} has already been set.");
                self.fail(builder_error(text))
            }
            _ => {
                *slot = Some(new);
                self
            }
        }
    }

    fn optionality(mut self, optional: bool) -> Self {
        if self.optional_set && self.inner.optional != optional {
            return self.fail(builder_error("Invalid SchemaBuilder call: optional has already been set."));
        }
        self.optional_set = true;
        self.inner.optional = optional;
        self
    }

    /// Allows null.
    pub fn optional(self) -> Self {
        self.optionality(true)
    }

    /// Forbids null, which is what a schema does anyway.
    pub fn required(self) -> Self {
        self.optionality(false)
    }

    /// Sets the default, which must fit what the builder says so far.
    pub fn default(self, value: Value) -> Self {
        let so_far = Schema(Arc::new(self.inner.clone()));
        match validate(&so_far, &value) {
            Err(e) => self.fail(builder_error("Invalid default value").caused_by(e)),
            Ok(()) if value.is_null() => self,
            Ok(()) => self.once("default", value, |i| &mut i.default),
        }
    }

    /// Names the record or the logical type.
    pub fn name(self, name: impl Into<Arc<str>>) -> Self {
        self.once("name", name.into(), |i| &mut i.name)
    }

    /// Sets the version.
    pub fn version(self, version: i32) -> Self {
        self.once("version", version, |i| &mut i.version)
    }

    /// Sets the documentation.
    pub fn doc(self, doc: impl Into<Arc<str>>) -> Self {
        self.once("doc", doc.into(), |i| &mut i.doc)
    }

    /// Adds a parameter or replaces one of that name.
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let (name, value) = (name.into(), value.into());
        let all = self.inner.parameters.get_or_insert_with(Vec::new);
        match all.iter_mut().find(|(k, _)| *k == name) {
            Some(entry) => entry.1 = value,
            None => all.push((name, value)),
        }
        self
    }

    /// Adds a field to a struct.
    pub fn field(mut self, name: impl Into<Arc<str>>, schema: Schema) -> Self {
        let name = name.into();
        if self.inner.kind != Type::Struct {
            let text = format!("Cannot create fields on type {}", self.inner.kind);
            return self.fail(builder_error(text));
        }
        if name.is_empty() {
            return self.fail(builder_error("fieldName cannot be null."));
        }
        if self.inner.index.contains_key(&name) {
            let text = format!("Cannot create field because of field name duplication {name}");
            return self.fail(builder_error(text));
        }
        let index = self.inner.fields.len();
        self.inner.index.insert(name.clone(), index);
        self.inner.fields.push(Field { name, index, schema });
        self
    }

    /// Removes the element schemas: the array or map of unknown elements that value parsing makes.
    pub fn without_elements(mut self, key: bool, value: bool) -> Self {
        if key {
            self.inner.key = None;
        }
        if value {
            self.inner.element = None;
        }
        self
    }

    /// The schema, or the first error of the calls before.
    pub fn build(self) -> Result<Schema> {
        match self.error {
            Some(e) => Err(e),
            None => Ok(Schema(Arc::new(self.inner))),
        }
    }
}

fn builder_error(text: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::data(text).exception("org.apache.kafka.connect.errors.SchemaBuilderException")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_can_be_set_once_to_a_different_value() {
        let e = Schema::structure().name("a").name("b").build().expect_err("two names");
        assert_eq!(e.message(), "Invalid SchemaBuilder call: name has already been set.");
        assert!(Schema::structure().name("a").name("a").build().is_ok());
        let e = Schema::structure().optional().required().build().expect_err("both");
        assert_eq!(e.message(), "Invalid SchemaBuilder call: optional has already been set.");
    }

    #[test]
    fn a_default_must_fit_and_null_needs_optional_first() {
        let e = SchemaBuilder::new(Type::Int32).default(Value::Null).build().expect_err("null");
        assert_eq!(e.message(), "Invalid default value");
        assert!(SchemaBuilder::new(Type::Int32).optional().default(Value::Null).build().is_ok());
        assert!(SchemaBuilder::new(Type::Int32).default("x".into()).build().is_err());
    }

    #[test]
    fn fields_are_found_by_name_and_not_doubled() {
        let e = Schema::structure().field("a", Schema::int8()).field("a", Schema::int8()).build().expect_err("twice");
        assert_eq!(e.message(), "Cannot create field because of field name duplication a");
        let e = Schema::array(Schema::int8()).field("a", Schema::int8()).build().expect_err("array");
        assert_eq!(e.message(), "Cannot create fields on type ARRAY");
        let mut b = Schema::structure();
        for i in 0..20 {
            b = b.field(format!("f{i}"), Schema::int8());
        }
        let s = b.build().expect("fields");
        assert_eq!(s.field("f13").map(Field::index), Some(13));
        assert!(s.field("f20").is_none());
    }

    #[test]
    fn documentation_takes_part_in_equality() {
        let a = SchemaBuilder::new(Type::Int8).doc("x").build().expect("a");
        assert_ne!(a, Schema::int8());
        assert_eq!(a, SchemaBuilder::new(Type::Int8).doc("x").build().expect("b"));
    }
}
