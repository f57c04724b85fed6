//! Converters between Kafka's bytes and the values of `connect-api`, under the names and settings of Kafka
//! Connect's.
//!
//! - [`StringConverter`], [`ByteArrayConverter`], [`numbers`]: plain texts, bytes and fixed-width numbers
//!   ([`Charset`]: how texts become bytes)
//! - [`JsonConverter`]: JSON with or without the schema envelope (`json`, `json_schema`, `json_read`,
//!   `json_typed`, `json_write`)
//! - [`AvroConverter`]: Avro with schemas in a registry; [`AvroFromJson`], [`BareAvro`]: single values, without settings; [`connect_schema_from_avro`] for embedded schemas, and
//!   [`avro_tree`] for what is to be read from an Avro schema itself
//! - [`SchemaRegistry`]: client of a schema registry, usable by itself (`registry_admin`: what people do with one)
//! - [`SimpleHeaderConverter`]: headers as readable texts, by the rules of [`connect_api::parse_value`]
//! - `cache`: bounded maps that all of them use

mod avro;
mod bytes;
mod cache;
mod charset;
mod json;
mod json_read;
mod json_schema;
mod json_typed;
mod json_write;
pub mod numbers;
mod registry;
mod registry_admin;
mod simple_header;
mod string;
#[cfg(test)]
mod testing;

pub use self::{
    avro::{
        AvroConfig, AvroConverter, AvroFromJson, AvroOptions, BareAvro, BearerSource, CredentialsSource,
        RegistryCredentials, SubjectStrategy, check_avro_schema, connect_schema_from_avro,
    },
    bytes::ByteArrayConverter,
    charset::Charset,
    json::{DecimalFormat, JsonConfig, JsonConverter},
    registry::{NotARegistry, RegisteredSchema, RegistryAuth, RegistryOptions, SchemaRegistry, Tls},
    registry_admin::{AnySchema, Compatible},
    simple_header::SimpleHeaderConverter,
    string::{StringConfig, StringConverter},
};

/// Avro schemas as trees that keep every attribute.
pub mod avro_tree {
    pub use crate::avro::{Kind, Name, Node, RecordField, default_value, latin1};
}

connect_api::config! {
    /// Settings of the converters that have none.
    #[derive(Debug)]
    pub struct NoSettings {}
}
