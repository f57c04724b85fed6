//! Settings of the Avro converter.

use connect_api::{
    Error, Result,
    config::{Config, ConfigDef, Key, Reader, Secret},
};

use crate::{RegistryAuth, RegistryOptions};

connect_api::config_enum! {
    /// How the subject of a record's schema is called.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum SubjectStrategy {
        /// The topic with `-key` or `-value`.
        Topic = "io.confluent.kafka.serializers.subject.TopicNameStrategy",
        /// The full name of the Avro record.
        Record = "io.confluent.kafka.serializers.subject.RecordNameStrategy",
        /// The topic and the full name of the Avro record.
        TopicRecord = "io.confluent.kafka.serializers.subject.TopicRecordNameStrategy",
    }
}

connect_api::config_enum! {
    /// Where user and password come from.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum CredentialsSource {
        /// The URL.
        Url = "URL",
        /// The setting `basic.auth.user.info`.
        UserInfo = "USER_INFO",
    }
}

connect_api::config_enum! {
    /// Where the bearer token comes from.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum BearerSource {
        /// The setting `bearer.auth.token`.
        StaticToken = "STATIC_TOKEN",
    }
}

connect_api::config! {
    /// How a registry is told who asks.
    #[derive(Debug)]
    pub struct RegistryCredentials {
        /// Where user and password for the registry come from: the URL, or basic.auth.user.info.
        credentials_source: CredentialsSource = Key::new("basic.auth.credentials.source").default("URL"),
        /// User and password for the registry as user:password, with basic.auth.credentials.source=USER_INFO.
        user_info: Option<Secret> = Key::new("basic.auth.user.info"),
        /// Where the bearer token for the registry comes from.
        bearer_source: BearerSource = Key::new("bearer.auth.credentials.source").default("STATIC_TOKEN"),
        /// Bearer token for the registry.
        bearer_token: Option<Secret> = Key::new("bearer.auth.token"),
    }
}

connect_api::config! {
    /// Settings of the Avro converter but for the credentials.
    #[derive(Debug)]
    pub struct AvroOptions {
        /// Base URLs of the schema registry, comma-separated; the next is asked when one does not answer.
        urls: Vec<String> = Key::new("schema.registry.url").high()
            .check(|urls: &Vec<String>| some_url(urls)),
        /// Whether to register schemas that the subject does not have yet.
        auto_register_schemas: bool = Key::new("auto.register.schemas").default("true"),
        /// Whether to write in the latest schema of the subject, matched by field names, instead of the
        /// record's own. Counts only with auto.register.schemas=false.
        use_latest_version: bool = Key::new("use.latest.version").default("false").low(),
        /// How the subjects of key schemas are called.
        key_strategy: SubjectStrategy = Key::new("key.subject.name.strategy")
            .default("io.confluent.kafka.serializers.subject.TopicNameStrategy"),
        /// How the subjects of value schemas are called.
        value_strategy: SubjectStrategy = Key::new("value.subject.name.strategy")
            .default("io.confluent.kafka.serializers.subject.TopicNameStrategy"),
        /// Whether Avro enums stay enums and members of unions go by their full names. When it is not set,
        /// enums stay enums and members go by their short names. Confluent's converter takes false for not
        /// set, which writes enums as strings.
        enhanced_support: Option<bool> = Key::new("enhanced.avro.schema.support"),
        /// Whether names, versions, documentation, parameters and defaults of Connect schemas are kept in
        /// Avro schemas.
        connect_meta_data: bool = Key::new("connect.meta.data").default("true").low(),
        /// The maximum number of schemas that this converter instance remembers.
        cache_size: i32 = Key::new("schemas.cache.config").default("1000").low().at_least(0),
    }
}

fn some_url(urls: &[String]) -> Result<(), String> {
    if urls.is_empty() { Err("at least one URL is needed".into()) } else { Ok(()) }
}

/// Settings of the Avro converter.
#[derive(Debug)]
pub struct AvroConfig {
    /// All but the credentials.
    pub options: AvroOptions,
    /// Credentials for the registry.
    pub credentials: RegistryCredentials,
}

impl Config for AvroConfig {
    fn definition() -> ConfigDef {
        let mut definition = AvroOptions::definition();
        definition.embed("", &RegistryCredentials::definition());
        definition
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        // Both are read before any is judged, so that every problem is found.
        let (options, credentials) = (AvroOptions::read(reader), RegistryCredentials::read(reader));
        Some(Self { options: options?, credentials: credentials? })
    }
}

impl AvroConfig {
    /// How to reach the registry.
    pub fn registry_options(&self) -> Result<RegistryOptions> {
        let cache_size = usize::try_from(self.options.cache_size).unwrap_or(0);
        let reach = RegistryOptions::new(self.options.urls.clone());
        Ok(RegistryOptions { auth: self.credentials.auth()?, cache_size, ..reach })
    }
}

impl RegistryCredentials {
    /// What is sent to the registry.
    pub fn auth(&self) -> Result<RegistryAuth> {
        Ok(match (self.credentials_source, &self.user_info, &self.bearer_token) {
            (CredentialsSource::UserInfo, Some(info), _) => {
                let (user, password) = info.reveal().split_once(':').ok_or_else(|| {
                    Error::fatal("basic.auth.user.info has to be user and password, separated by a colon")
                })?;
                RegistryAuth::Basic { user: user.to_owned(), password: Secret::new(password) }
            }
            (CredentialsSource::UserInfo, None, _) => {
                return Err(Error::fatal("basic.auth.credentials.source=USER_INFO needs basic.auth.user.info"));
            }
            (_, _, Some(token)) => RegistryAuth::Bearer(token.clone()),
            _ => RegistryAuth::None,
        })
    }
}
