//! Settings of the source.

use std::ops::Deref;

use connect_api::{
    Error, Result,
    config::{Config, ConfigDef, Key, Millis, Problems, Reader, Secret, topic_name},
    config_enum,
    template::{Escape, Template},
};
use connect_converters::{RegistryAuth, RegistryOptions, SchemaRegistry};

use crate::{plan::Form, spec};

config_enum! {
    /// What is simulated where no schema and no model says what values are like.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Preset {
        /// Topics of a telescope's service abstraction layer.
        Salmock = "salmock",
        /// Telephone calls.
        Calls = "calls",
    }
}

config_enum! {
    /// What the records of simulated calls look like.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum CallForm {
        /// No key; the value is JSON as text.
        Text = "text",
        /// The caller is the key, the call the value.
        Call = "call",
        /// The caller is the key, and stands in the value beside the call.
        Keyed = "keyed",
    }
}

connect_api::config! {
    /// The source's own settings.
    #[derive(Debug, Clone)]
    pub struct OwnConfig {
        /// Topics to write to, all with the same schema or model; each has a sequence of records of its own.
        topics: Vec<String> = Key::new("topics").default("").high().check(|topics: &Vec<String>| {
            topics.iter().try_for_each(|topic| topic_name(topic))
        }),
        /// One topic, as Confluent's connector calls it. With it that connector's defaults hold: max.interval=500,
        /// iterations=1000000, and each task writes records of its own.
        kafka_topic: Option<String> = Key::new("kafka.topic").high().check(|topic: &Option<String>| {
            topic.as_deref().map_or(Ok(()), topic_name)
        }),
        /// Topics with settings of their own: a list of mappings with topic and any of rate, max.interval, iterations,
        /// schema.string, schema.filename, schema.subject, quickstart, model, model.filename, model.name, keyfield and
        /// key.template. What an entry leaves out is as the settings of the connector say.
        streams: Option<String> = Key::new("datagen.streams"),
        /// A ready simulation: salmock for the topics of a telescope's service abstraction layer, calls for telephone calls.
        preset: Option<Preset> = Key::new("datagen.preset").high(),
        /// Avro schema of the values, as JSON. Hints of Avro Random Generator (arg.properties) are followed.
        schema_string: Option<String> = Key::new("schema.string"),
        /// File with the Avro schema of the values.
        schema_filename: Option<String> = Key::new("schema.filename"),
        /// Subject of the schema registry whose latest Avro schema is that of the values. It may hold {topic}.
        schema_subject: Option<String> = Key::new("datagen.schema.subject"),
        /// One of the ready schemas, with its key: users, pageviews, orders, ratings, stock_trades.
        quickstart: Option<String> = Key::new("quickstart"),
        /// Model of the values in YAML: for each field what it is like. In a YAML file it is a text (datagen.model: |) or
        /// a list of fields with their names.
        model: Option<String> = Key::new("datagen.model"),
        /// File with the model of the values.
        model_filename: Option<String> = Key::new("datagen.model.filename"),
        /// Full name of the model's record, such as org.example.Reading, for converters that write it.
        model_name: Option<String> = Key::new("datagen.model.name"),
        /// Field of the value that is the record's key; fields within fields are reached by dots. Default: that of the
        /// quickstart, else records have no key.
        keyfield: Option<String> = Key::new("schema.keyfield"),
        /// Template of the record's key, with the names topic, value and iteration, instead of a field.
        key_template: Option<String> = Key::new("datagen.key.template"),
        /// Records a second of each topic; 0 for as many as Kafka takes. Default: 1.
        rate: Option<f64> = Key::new("datagen.rate").high().check(|rate: &Option<f64>| {
            spec::rate(rate.unwrap_or(1.0)).map(drop)
        }),
        /// Longest pause between two records of a topic in milliseconds; each is between 0 and this, by chance. It takes the
        /// place of a rate; 0 is no pause.
        max_interval: Option<i64> = Key::new("max.interval"),
        /// How many records each topic gets in all; 0 or less for no end. Of calls it counts batches.
        iterations: Option<i64> = Key::new("iterations"),
        /// Seed of the random numbers, for the same values again, also after a restart. What shows the clock is as the clock
        /// is. Default: another one at each start.
        seed: Option<i64> = Key::new("random.seed"),
        /// What values are: struct for structs with a schema; map for maps without, which JsonConverter writes and which
        /// records within themselves need.
        form: Form = Key::new("datagen.form").default("struct"),
        /// How many sequences of records each topic has, for more tasks than topics. Default: 1.
        sequences: Option<i32> = Key::new("datagen.sequences").low().check(|n: &Option<i32>| {
            if n.is_none_or(|n| (1..=10_000).contains(&n)) { Ok(()) } else { Err("Value must be at least 1 and at most 10000".into()) }
        }),
        /// How much of its time a task makes up for, in milliseconds, when Kafka or the machine has held it up. Records of an
        /// earlier time are left out.
        catch_up: Millis = Key::new("datagen.catch.up.ms").default("5000").low(),
        /// Most records of one batch. A batch of calls is whole in any case.
        batch_size: i32 = Key::new("batch.size").default("2000").low().at_least(1).at_most(1_000_000),
        /// Base URLs of the schema registry that schemas are taken from, for datagen.schema.subject. With the preset salmock
        /// topics have the registry's schemas, of the subject TOPIC-value; without topics it takes all that have
        /// sal_topic_type. What records are written with is the converter's matter.
        registry_urls: Vec<String> = Key::new("schema.registry.url").default(""),
        /// User and password for the registry as user:password.
        registry_user: Option<Secret> = Key::new("schema.registry.basic.auth.user.info").low(),
        /// Bearer token for the registry.
        registry_token: Option<Secret> = Key::new("schema.registry.bearer.auth.token").low(),
        /// Most topics that the preset salmock takes from the registry. Default: all.
        max_topics: Option<i32> = Key::new("salmock.max.topics").low().check(|n: &Option<i32>| {
            if n.is_none_or(|n| n > 0) { Ok(()) } else { Err("Value must be at least 1".into()) }
        }),
        /// Mean number of the calls of a batch, which is by Poisson's distribution.
        calls_mean: f64 = Key::new("calls.number.mean").default("10").check(|mean: &f64| {
            if *mean > 0.0 && *mean <= 100_000.0 { Ok(()) } else { Err("Value must be above 0 and at most 100000".into()) }
        }),
        /// Mean duration of a call in minutes; durations are exponentially distributed, in whole seconds, at least one.
        calls_scale: f64 = Key::new("calls.duration.scale").default("2").check(|scale: &f64| {
            if *scale >= 0.01 && *scale <= 1e9 { Ok(()) } else { Err("Value must be at least 0.01 and at most 1e9".into()) }
        }),
        /// Pause between two batches of calls in milliseconds.
        calls_pause: Millis = Key::new("calls.pause.ms").default("100"),
        /// What the records of calls look like: text for a JSON text without key, with key, called_phone_number,
        /// start_call_epoch_time and call_duration; call for the caller as key and the other three as value; keyed for the
        /// caller as key and a value with key and value, which has those three.
        calls_form: CallForm = Key::new("calls.form").default("call"),
    }
}

/// Keys below which templates of headers stand.
const HEADERS: &str = "datagen.header.";

/// Settings of the source with its headers.
#[derive(Debug, Clone)]
pub struct DatagenConfig {
    own: OwnConfig,
    /// Templates of headers, by name.
    pub headers: Vec<(String, String)>,
    /// A key that nesting has made of a model.
    nested: Option<String>,
}

impl Deref for DatagenConfig {
    type Target = OwnConfig;

    fn deref(&self) -> &OwnConfig {
        &self.own
    }
}

impl Config for DatagenConfig {
    fn definition() -> ConfigDef {
        let mut definition = OwnConfig::definition();
        definition
            .family(HEADERS, "Templates of headers, by their names, with the names topic, key, value and iteration.");
        definition
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let headers = reader.below(HEADERS).iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let model = reader.below("datagen.model.");
        let nested = model.keys().find(|key| !["filename", "name"].contains(key)).map(str::to_owned);
        OwnConfig::read(reader).map(|own| Self { own, headers, nested })
    }
}

impl DatagenConfig {
    /// Rules that span several keys.
    pub fn validate(&self, problems: &mut Problems) {
        if let Some(key) = &self.nested {
            problems.add(
                "datagen.model",
                format!(
                    "datagen.model.{key} is not read: write the model as a text (datagen.model: | and the fields \
                     below) or as a list of fields with their names, which keep its order"
                ),
            );
        }
        for (name, template) in &self.headers {
            if let Err(e) = Template::parse(template, Escape::None) {
                problems.add(format!("{HEADERS}{name}"), e.to_string());
            }
        }
        if self.has_registry()
            && let Err(e) = self.registry()
        {
            problems.add("schema.registry.url", e.to_string());
        }
        if self.nested.is_none() {
            spec::validate(self, problems);
        }
    }

    /// Whether a registry is known.
    pub fn has_registry(&self) -> bool {
        !self.registry_urls.is_empty()
    }

    /// The registry.
    ///
    /// # Errors
    ///
    /// If none is set, or its URL is none.
    pub fn registry(&self) -> Result<SchemaRegistry> {
        if !self.has_registry() {
            return Err(Error::fatal("schemas of a registry need schema.registry.url, the registry's base URL"));
        }
        let auth = match (self.registry_user.as_ref().map(Secret::reveal), &self.registry_token) {
            (Some(info), _) => {
                let (user, password) = info.split_once(':').ok_or_else(|| {
                    Error::fatal(
                        "schema.registry.basic.auth.user.info has to be user and password, separated by a colon",
                    )
                })?;
                RegistryAuth::Basic { user: user.to_owned(), password: Secret::new(password) }
            }
            (None, Some(token)) => RegistryAuth::Bearer(token.clone()),
            (None, None) => RegistryAuth::None,
        };
        SchemaRegistry::new(RegistryOptions { auth, ..RegistryOptions::new(self.registry_urls.clone()) })
    }
}
