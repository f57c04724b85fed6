//! A condition on the record's contents.

use connect_api::{
    Error, PluginInfo, Predicate, PredicatePlugin, Record, RecordMeta, Result,
    config::Key,
    template::{Expression, record_names},
};
use serde_json::Value as Json;

connect_api::config! {
    /// Settings of the predicate.
    #[derive(Debug)]
    pub struct ExpressionConfig {
        /// Condition in Jinja's syntax over topic, partition, timestamp, key, value, headers and, in sinks, offset,
        /// such as `value.duration > 60`. What does not exist is undefined, which is false.
        expression: String = Key::new("expression").high()
            .check(|e: &String| Expression::parse(e).map(drop).map_err(|e| e.to_string())),
    }
}

/// The predicate `Expression`.
#[derive(Debug)]
pub struct ExpressionPredicate(Expression);

impl PredicatePlugin for ExpressionPredicate {
    type Config = ExpressionConfig;
    const INFO: PluginInfo = PluginInfo {
        name: "expression",
        aliases: &["io.tocsin.transforms.predicates.Expression"],
        version: env!("CARGO_PKG_VERSION"),
        about: "Holds for records that meet a condition on their contents. Kafka Connect has nothing of the kind.",
    };

    fn build(config: ExpressionConfig) -> Result<Box<dyn Predicate>> {
        Ok(Box::new(Self(Expression::parse(&config.expression)?)))
    }
}

impl Predicate for ExpressionPredicate {
    fn test(&self, record: &Record, meta: &RecordMeta) -> Result<bool> {
        let mut names = record_names(record);
        if let Some(offset) = meta.kafka_offset {
            names.insert("offset".into(), offset.into());
        }
        self.0.holds(&Json::Object(names)).map_err(|e| Error::data("testing the predicate").caused_by(e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use connect_api::Value;

    #[test]
    fn records_are_told_apart_by_their_contents() {
        let config = ExpressionConfig { expression: "value.duration > 60".into() };
        let predicate = ExpressionPredicate::build(config).expect("predicate");
        let holds = |value: Value| {
            let mut record = Record::new("calls");
            record.value = value;
            predicate.test(&record, &RecordMeta::default()).expect("test")
        };
        assert!(holds(Value::map([("duration", Value::Int64(61))])));
        assert!(!holds(Value::map([("duration", Value::Int64(60))])));
        assert!(!holds(Value::Null));
    }
}
