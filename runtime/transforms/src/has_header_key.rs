//! Whether the record has a header of a key.

use connect_api::{PluginInfo, Predicate, PredicatePlugin, Record, RecordMeta, Result, config::Key};

connect_api::config! {
    /// Settings of the predicate.
    #[derive(Debug)]
    pub struct HasHeaderKeyConfig {
        /// Key of the header.
        name: String = Key::new("name").non_empty(),
    }
}

/// `org.apache.kafka.connect.transforms.predicates.HasHeaderKey`
#[derive(Debug)]
pub struct HasHeaderKey(String);

impl PredicatePlugin for HasHeaderKey {
    type Config = HasHeaderKeyConfig;
    const INFO: PluginInfo = PluginInfo {
        name: "has-header-key",
        aliases: &["org.apache.kafka.connect.transforms.predicates.HasHeaderKey"],
        version: env!("CARGO_PKG_VERSION"),
        about: "Holds for records that have at least one header of the key.",
    };

    fn build(config: HasHeaderKeyConfig) -> Result<Box<dyn Predicate>> {
        Ok(Box::new(Self(config.name)))
    }
}

impl Predicate for HasHeaderKey {
    fn test(&self, record: &Record, _meta: &RecordMeta) -> Result<bool> {
        Ok(record.headers.last(&self.0).is_some())
    }
}
