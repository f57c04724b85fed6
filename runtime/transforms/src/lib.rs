//! Transforms and predicates, one file each.
//!
//! - Kafka's transforms, under their names: [`Cast`], [`DropHeaders`], [`ExtractField`], [`Filter`], [`Flatten`],
//!   [`HeaderFrom`], [`HoistField`], [`InsertField`], [`InsertHeader`], [`MaskField`], [`RegexRouter`],
//!   [`ReplaceField`], [`SetSchemaMetadata`], [`TimestampConverter`], [`TimestampRouter`], [`ValueToKey`]
//! - Kafka's predicates: [`TopicNameMatches`], [`RecordIsTombstone`], [`HasHeaderKey`]
//! - what Kafka Connect has not: [`ExpressionPredicate`], a condition on the record's contents, and
//!   [`TemplateField`], text made of them
//! - [`Sided`]: transforms of the key or the value, of which [`OfKey`] and [`OfValue`] make two plugins
//! - `rebuild`: taking structs and maps apart and putting them together; `field_path`: paths to nested fields
//! - `date_format`: Java's date patterns; `numbers`: Java's conversions of numbers; `regex`: its
//!   regular expressions

mod cast;
mod date_format;
mod drop_headers;
mod expression;
mod extract_field;
mod field_path;
mod filter;
mod flatten;
mod has_header_key;
mod header_from;
mod hoist_field;
mod insert_field;
mod insert_header;
mod mask_field;
mod numbers;
mod rebuild;
mod record_is_tombstone;
mod regex;
mod regex_router;
mod replace_field;
mod set_schema_metadata;
mod sided;
mod template;
mod timestamp_converter;
mod timestamp_router;
mod topic_name_matches;
mod value_to_key;

pub use cast::Cast;
pub use drop_headers::DropHeaders;
pub use expression::ExpressionPredicate;
pub use extract_field::ExtractField;
pub use filter::Filter;
pub use flatten::Flatten;
pub use has_header_key::HasHeaderKey;
pub use header_from::HeaderFrom;
pub use hoist_field::HoistField;
pub use insert_field::InsertField;
pub use insert_header::InsertHeader;
pub use mask_field::MaskField;
pub use record_is_tombstone::RecordIsTombstone;
pub use regex_router::RegexRouter;
pub use replace_field::ReplaceField;
pub use set_schema_metadata::SetSchemaMetadata;
pub use sided::{OfKey, OfValue, Side, Sided};
pub use template::TemplateField;
pub use timestamp_converter::TimestampConverter;
pub use timestamp_router::TimestampRouter;
pub use topic_name_matches::TopicNameMatches;
pub use value_to_key::ValueToKey;

connect_api::config! {
    /// Settings of the plugins that have none.
    #[derive(Debug)]
    pub struct NoSettings {}
}
