//! Settings of topics and brokers: reading them, and changing some of them while the others stay.
//!
//! librdkafka can change single settings (KIP-339), the rdkafka crate only all at once, which would lose what somebody else
//! sets meanwhile. The calls are sound for the reasons that [`crate::group_offsets`] gives: the client outlives the call,
//! what librdkafka hands out is held by `Owned`, what it is given is copied during the call, and answers are copied.
#![allow(unsafe_code, reason = "calls of librdkafka that the rdkafka crate lacks")]

use std::{ffi::CString, ptr, time::Duration};

use connect_api::{Error, ErrorClass, Result};
use rdkafka::{
    admin::{AdminClient, AdminOptions, ConfigEntry, ConfigSource, ResourceSpecifier},
    bindings as c,
    error::{KafkaError, RDKafkaErrorCode as Code},
};

use crate::{
    admin::Admin,
    client::Context,
    error::kafka_error,
    owned::{Answer, Owned, ask, failed, text},
};

/// What has settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// A topic.
    Topic(String),
    /// A broker.
    Broker(i32),
}

impl Resource {
    fn specifier(&self) -> ResourceSpecifier<'_> {
        match self {
            Self::Topic(name) => ResourceSpecifier::Topic(name),
            Self::Broker(id) => ResourceSpecifier::Broker(*id),
        }
    }
}

impl std::fmt::Display for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Topic(name) => write!(f, "topic {name}"),
            Self::Broker(id) => write!(f, "broker {id}"),
        }
    }
}

/// Where the value of a setting comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It was set for this topic.
    Topic,
    /// It was set for this broker while it ran.
    Broker,
    /// It was set for all brokers while they ran.
    Cluster,
    /// It is in the broker's file.
    File,
    /// Nobody has set it.
    Default,
    /// The broker does not tell.
    Unknown,
}

/// A setting of a topic or a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceSetting {
    /// Its key.
    pub key: String,
    /// Its value; none where the broker keeps it for itself, as it does with secrets.
    pub value: Option<String>,
    /// Where it comes from.
    pub origin: Origin,
    /// Whether it is a secret.
    pub secret: bool,
    /// Whether it cannot be changed while the broker runs.
    pub read_only: bool,
}

impl ResourceSetting {
    fn new(entry: ConfigEntry) -> Self {
        let origin = match entry.source {
            ConfigSource::DynamicTopic => Origin::Topic,
            ConfigSource::DynamicBroker => Origin::Broker,
            ConfigSource::DynamicDefaultBroker => Origin::Cluster,
            ConfigSource::StaticBroker => Origin::File,
            ConfigSource::Default => Origin::Default,
            ConfigSource::Unknown => Origin::Unknown,
        };
        let value = entry.value.filter(|_| !entry.is_sensitive);
        Self { key: entry.name, value, origin, secret: entry.is_sensitive, read_only: entry.is_read_only }
    }
}

/// How many resources are asked for at once.
const AT_ONCE: usize = 200;

impl Admin {
    /// The settings of each of these, sorted by key. A refusal for one of them is not one for the others.
    pub async fn settings(&self, of: &[Resource], limit: Duration) -> Result<Vec<Result<Vec<ResourceSetting>>>> {
        let mut all = Vec::with_capacity(of.len());
        // A request may be for one broker only, which answers it itself.
        let brokers = of.iter().any(|r| matches!(r, Resource::Broker(_)));
        for some in of.chunks(if brokers { 1 } else { AT_ONCE }) {
            let specifiers: Vec<ResourceSpecifier<'_>> = some.iter().map(Resource::specifier).collect();
            let options = AdminOptions::new().request_timeout(Some(limit));
            let results = self.client().describe_configs(&specifiers, &options).await;
            let results = results.map_err(|e| self.failed(kafka_error(asking(&some[0]), e)))?;
            if results.len() != some.len() {
                return Err(Error::retriable(format!("{}: kafka has answered something else", asking(&some[0]))));
            }
            all.extend(results.into_iter().zip(some).map(|(result, resource)| match result {
                // The rdkafka crate drops what the broker refuses; everything has settings that it may tell of.
                Ok(found) if found.entries.is_empty() => Err(Error::fatal(format!(
                    "{}: the broker tells of none; the principal needs an ACL with DescribeConfigs",
                    asking(resource)
                ))),
                Ok(found) => {
                    let mut settings: Vec<ResourceSetting> =
                        found.entries.into_iter().map(ResourceSetting::new).collect();
                    settings.sort_by(|a, b| a.key.cmp(&b.key));
                    Ok(settings)
                }
                Err(code) => Err(kafka_error(asking(resource), KafkaError::AdminOp(code))),
            }));
        }
        Ok(all)
    }

    /// Sets these settings, or where there is no value has the default apply again; the others stay. With `validate` the
    /// broker only looks whether it could be done. The broker's own words are in the error.
    pub async fn alter(
        &self,
        resource: &Resource,
        changes: &[(String, Option<String>)],
        validate: bool,
        limit: Duration,
    ) -> Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let doing = format!("changing settings of {resource}");
        let (resource, changes) = (resource.clone(), changes.to_vec());
        let asked = self.blocking(move |client| send(client, &resource, &changes, validate, limit)).await?;
        match asked.map_err(|e| self.failed(kafka_error(doing.clone(), e)))? {
            None => Ok(()),
            Some((code, text)) => {
                let error = kafka_error(format!("{doing}: {text}"), KafkaError::AdminOp(code));
                // What the broker says of a value is a refusal, whatever its code.
                let refused = matches!(code, Code::InvalidRequest | Code::InvalidConfig | Code::InvalidRecord);
                Err(if refused && error.class() != ErrorClass::Fatal {
                    Error::fatal(format!("{doing}: {text}"))
                } else {
                    error
                })
            }
        }
    }
}

fn asking(resource: &Resource) -> String {
    format!("asking for the settings of {resource}")
}

/// Sends the request and waits for the answer: what the broker refuses, and why.
fn send(
    client: &AdminClient<Context>,
    resource: &Resource,
    changes: &[(String, Option<String>)],
    validate: bool,
    limit: Duration,
) -> Answer<Option<(Code, String)>> {
    let (kind, name) = match resource {
        Resource::Topic(name) => (c::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC, CString::new(name.as_str())?),
        Resource::Broker(id) => (c::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_BROKER, CString::new(id.to_string())?),
    };
    let mut texts = Vec::with_capacity(changes.len());
    for (key, value) in changes {
        texts.push((CString::new(key.as_str())?, value.as_deref().map(CString::new).transpose()?));
    }
    let operation = c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_INCREMENTALALTERCONFIGS;
    let answer = ask(client.inner(), Some((operation, limit)), |rk, options, queue| {
        // SAFETY: `name` and `texts` live to the end of this function and are copied by librdkafka. Each pointer that comes
        // back goes into an `Owned` with the function that frees its type; texts for what is wrong with options are not asked
        // for. The array has one element, which the call does not keep. The rest `ask` answers for.
        unsafe {
            failed(c::rd_kafka_AdminOptions_set_validate_only(options, validate.into(), ptr::null_mut(), 0))?;
            let made = c::rd_kafka_ConfigResource_new(kind, name.as_ptr());
            let wanted = Owned::new(made, c::rd_kafka_ConfigResource_destroy)?;
            for (key, value) in &texts {
                let (kind, value) = match value {
                    Some(value) => (c::rd_kafka_AlterConfigOpType_t::RD_KAFKA_ALTER_CONFIG_OP_TYPE_SET, value.as_ptr()),
                    None => (c::rd_kafka_AlterConfigOpType_t::RD_KAFKA_ALTER_CONFIG_OP_TYPE_DELETE, ptr::null()),
                };
                let error = c::rd_kafka_ConfigResource_add_incremental_config(wanted.get(), key.as_ptr(), kind, value);
                if let Ok(error) = Owned::new(error, c::rd_kafka_error_destroy) {
                    failed(c::rd_kafka_error_code(error.get()))?;
                }
            }
            c::rd_kafka_IncrementalAlterConfigs(rk, &mut wanted.get(), 1, options, queue);
        }
        Ok(())
    })?;
    let mut count = 0;
    // SAFETY: `answer` is an event that lives to the end of this function. Of an event of another kind the result is null,
    // which is looked for. What is read belongs to the event and is copied; the array has as many elements as librdkafka
    // says.
    unsafe {
        let result = c::rd_kafka_event_IncrementalAlterConfigs_result(answer.get());
        if result.is_null() {
            return Err(KafkaError::AdminOp(Code::BadMessage));
        }
        let resources = c::rd_kafka_IncrementalAlterConfigs_result_resources(result, &mut count);
        if resources.is_null() || count == 0 {
            return Err(KafkaError::AdminOp(Code::BadMessage));
        }
        let code = c::rd_kafka_ConfigResource_error(*resources);
        Ok(match Code::from(code) {
            Code::NoError => None,
            code => {
                let why = text(c::rd_kafka_ConfigResource_error_string(*resources));
                let why = why.unwrap_or_else(|| "the broker does not say why".into());
                Some((code, why.trim_end_matches('.').to_owned()))
            }
        })
    }
}
