//! The names that Confluent's converter uses to carry Avro through Connect and Connect through Avro.

/// Settings of the translation between the two kinds of schemas.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    /// Enums stay enums instead of becoming strings.
    pub(crate) enums: bool,
    /// Members of unions are called by their full names.
    pub(crate) full_member_names: bool,
    /// Documentation, parameters and the like are carried along (`connect.meta.data`).
    pub(crate) meta_data: bool,
}

pub(crate) const NAMESPACE: &str = "io.confluent.connect.avro";
pub(crate) const DEFAULT_NAME: &str = "ConnectDefault";
pub(crate) const MAP_ENTRY: &str = "MapEntry";
pub(crate) const UNION: &str = "io.confluent.connect.avro.Union";
pub(crate) const ENUM: &str = "io.confluent.connect.avro.Enum";
pub(crate) const ANYTHING: &str = "io.confluent.connect.avro.Anything";
pub(crate) const RECORD_DOC: &str = "io.confluent.connect.avro.record.doc";
pub(crate) const FIELD_DOC: &str = "io.confluent.connect.avro.field.doc.";
pub(crate) const FIELD_DEFAULT: &str = "io.confluent.connect.avro.field.default";
pub(crate) const ENUM_DOC: &str = "io.confluent.connect.avro.enum.doc.";
pub(crate) const ENUM_DEFAULT: &str = "io.confluent.connect.avro.enum.default.";
pub(crate) const CONNECT_NAME: &str = "connect.name";
pub(crate) const CONNECT_DOC: &str = "connect.doc";
pub(crate) const CONNECT_VERSION: &str = "connect.version";
pub(crate) const CONNECT_DEFAULT: &str = "connect.default";
pub(crate) const CONNECT_PARAMETERS: &str = "connect.parameters";
pub(crate) const CONNECT_TYPE: &str = "connect.type";
pub(crate) const INTERNAL_TYPE: &str = "connect.internal.type";
pub(crate) const PRECISION: &str = "connect.decimal.precision";
pub(crate) const DEFAULT_PRECISION: i64 = 64;

/// The Avro schema of values without Connect schema.
pub(crate) const ANYTHING_SCHEMA: &str = concat!(
    r#"{"type":"record","name":"Anything","namespace":"io.confluent.connect.avro","fields":["#,
    r#"{"name":"boolean","type":["null","boolean"],"default":null},"#,
    r#"{"name":"bytes","type":["null","bytes"],"default":null},"#,
    r#"{"name":"double","type":["null","double"],"default":null},"#,
    r#"{"name":"float","type":["null","float"],"default":null},"#,
    r#"{"name":"int","type":["null","int"],"default":null},"#,
    r#"{"name":"long","type":["null","long"],"default":null},"#,
    r#"{"name":"string","type":["null","string"],"default":null},"#,
    r#"{"name":"array","type":["null",{"type":"array","items":"Anything"}],"default":null},"#,
    r#"{"name":"map","type":["null",{"type":"array","items":{"type":"record","name":"MapEntry","fields":["#,
    r#"{"name":"key","type":"Anything"},{"name":"value","type":"Anything"}]}}],"default":null}]}"#,
);

/// Whether a full name is the one given to structs without a name. Several in one schema are numbered.
pub(crate) fn is_default_name(full: &str) -> bool {
    let name =
        full.strip_prefix(NAMESPACE).and_then(|n| n.strip_prefix('.')).and_then(|n| n.strip_prefix(DEFAULT_NAME));
    name.is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit()))
}
