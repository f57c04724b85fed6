//! Transforms of the key or of the value: one implementation, two plugins, as in Kafka Connect.

use async_trait::async_trait;
use connect_api::{
    PluginInfo, Record, RecordMeta, Result, Schema, TaskContext, Transform, TransformPlugin, Value, config::Config,
};

/// The part of a record that a transform works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Key and its schema.
    Key,
    /// Value and its schema.
    Value,
}

impl Side {
    /// Schema and value of this side.
    pub fn of(self, record: &Record) -> (Option<&Schema>, &Value) {
        match self {
            Self::Key => (record.key_schema.as_ref(), &record.key),
            Self::Value => (record.value_schema.as_ref(), &record.value),
        }
    }

    /// Takes the value out, so that it can be changed without a copy. A transform that fails leaves it out.
    pub fn take(self, record: &mut Record) -> Value {
        match self {
            Self::Key => std::mem::take(&mut record.key),
            Self::Value => std::mem::take(&mut record.value),
        }
    }

    /// Replaces schema and value of this side.
    pub fn set(self, record: &mut Record, schema: Option<Schema>, value: Value) {
        match self {
            Self::Key => (record.key_schema, record.key) = (schema, value),
            Self::Value => (record.value_schema, record.value) = (schema, value),
        }
    }
}

/// A transform that works on the key or on the value and drops no record.
pub trait Sided: Send + Sync + Sized + 'static {
    /// Its settings.
    type Config: Config;

    /// Names of the plugin that works on the key.
    const KEY: PluginInfo;

    /// Names of the plugin that works on the value.
    const VALUE: PluginInfo;

    /// Makes one; the error is about settings that do not go together.
    fn new(config: Self::Config) -> Result<Self>;

    /// Changes a side of the record. A record that could not be changed is not used any more.
    fn change(&mut self, side: Side, record: &mut Record, meta: &RecordMeta) -> Result<()>;
}

macro_rules! sides {
    ($($(#[$doc:meta])* $name:ident: $side:expr, $info:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name<T>(T);

        #[async_trait]
        impl<T: Sided> TransformPlugin for $name<T> {
            type Config = T::Config;
            const INFO: PluginInfo = T::$info;

            async fn build(config: T::Config, _context: &TaskContext) -> Result<Box<dyn Transform>> {
                Ok(Box::new(Self(T::new(config)?)))
            }
        }

        impl<T: Sided> Transform for $name<T> {
            fn apply(&mut self, mut record: Record, meta: &RecordMeta) -> Result<Option<Record>> {
                self.0.change($side, &mut record, meta)?;
                Ok(Some(record))
            }
        }
    )*};
}

sides! {
    /// The transform, working on keys.
    OfKey: Side::Key, KEY;
    /// The transform, working on values.
    OfValue: Side::Value, VALUE;
}

/// The names of both plugins of a [`Sided`] transform.
macro_rules! names {
    ($name:literal, $class:literal, $about:literal) => {
        const KEY: connect_api::PluginInfo = connect_api::PluginInfo {
            name: concat!($name, "-key"),
            aliases: &[concat!($class, "$Key")],
            version: env!("CARGO_PKG_VERSION"),
            about: concat!("On the key: ", $about),
        };
        const VALUE: connect_api::PluginInfo = connect_api::PluginInfo {
            name: concat!($name, "-value"),
            aliases: &[concat!($class, "$Value")],
            version: env!("CARGO_PKG_VERSION"),
            about: concat!("On the value: ", $about),
        };
    };
}
pub(crate) use names;
