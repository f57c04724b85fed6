//! Transforms and predicates, one file each.
//!
//! - [`Filter`], [`RegexRouter`]: Kafka's transforms of those names
//! - [`TopicNameMatches`], [`RecordIsTombstone`], [`HasHeaderKey`]: Kafka's predicates
//! - [`ExpressionPredicate`]: a condition on the record's contents, which Kafka Connect has not

mod expression;
mod filter;
mod has_header_key;
mod record_is_tombstone;
mod regex_router;
mod topic_name_matches;

pub use expression::ExpressionPredicate;
pub use filter::Filter;
pub use has_header_key::HasHeaderKey;
pub use record_is_tombstone::RecordIsTombstone;
pub use regex_router::RegexRouter;
pub use topic_name_matches::TopicNameMatches;

connect_api::config! {
    /// Settings of the plugins that have none.
    #[derive(Debug)]
    pub struct NoSettings {}
}

/// A regular expression that has to match a whole text, as Java's `matches` does.
///
/// Java's look-around and back references do not exist here; they are refused with the place.
fn whole(pattern: &str) -> Result<regex::Regex, String> {
    regex::Regex::new(&format!("^(?:{pattern})$")).map_err(|e| format!("Invalid regex: {e}"))
}
