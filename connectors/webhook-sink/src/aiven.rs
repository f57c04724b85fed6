//! Settings of Aiven's HTTP sink, `io.aiven.kafka.connect.http.HttpSinkConnector`.

use std::time::Duration;

use connect_api::{
    Error, PluginInfo, Result, Settings,
    config::{Config, ConfigDef, Key, Millis, Problems, Reader, Secret},
};
use connector_http::{
    AuthConfig, DeliveryConfig, HttpConfig, Keys, Method, OAuthConfig, OAuthKeys, Statuses, config::server_url,
    header::HeaderValue, oauth::CredentialsIn,
};
use serde_json::Map;

use crate::{
    batch::Batch,
    plan::{Limit, Plan, Style, Verdicts},
    request::{Body, HeaderPlan, OnTombstone, RequestPlan, UrlTemplate},
};

const KEYS: Keys =
    Keys { url: "http.url", credentials: "http.headers.authorization, or oauth2.client.id and oauth2.client.secret" };

const OAUTH: OAuthKeys = OAuthKeys {
    url: "oauth2.access.token.url",
    credentials: "oauth2.client.id and oauth2.client.secret",
    scope: "oauth2.client.scope",
    credentials_in: "oauth2.client.authorization.mode",
    token_field: "oauth2.response.token.property",
};

connect_api::config_enum! {
    /// How requests say who sends them.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Authorization {
        /// They do not.
        None = "none",
        /// By a token of OAuth 2.
        OAuth2 = "oauth2",
        /// By a header.
        Static = "static",
        /// By the same header.
        ApiKey = "apikey",
    }
}

connect_api::config_enum! {
    /// How the token endpoint is told who asks.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum AuthorizationMode {
        /// By basic authentication.
        Header = "HEADER",
        /// In the form that is posted.
        Url = "URL",
    }
}

connect_api::config! {
    /// Aiven's own.
    #[derive(Debug, Clone)]
    pub struct AivenSettings {
        /// URL that values are posted to.
        url: String = Key::new("http.url").high().check(|u: &String| server_url(u)),
        /// How requests say who sends them: none, oauth2 for a token of OAuth 2, static and apikey for the header
        /// Authorization of http.headers.authorization.
        authorization: Authorization = Key::new("http.authorization.type").high(),
        /// Value of the header Authorization for static and apikey.
        authorization_header: Option<Secret> = Key::new("http.headers.authorization"),
        /// Content type of the body.
        content_type: Option<String> = Key::new("http.headers.content.type")
            .check(|t: &Option<String>| t.as_deref().map_or(Ok(()), |t| HeaderValue::from_str(t).map(drop).map_err(|e| e.to_string()))),
        /// Further headers, each as name:value. Never shown, since values may be credentials.
        additional: Secret = Key::new("http.headers.additional").default("").low()
            .check(|list: &Secret| headers(list).map(drop)),
        /// URL of the endpoint that gives tokens of OAuth 2 for client credentials.
        token_url: Option<String> = Key::new("oauth2.access.token.url").high()
            .check(|u: &Option<String>| u.as_deref().map_or(Ok(()), server_url)),
        /// Id of the client.
        client_id: Option<String> = Key::new("oauth2.client.id").high(),
        /// Secret of the client.
        client_secret: Option<Secret> = Key::new("oauth2.client.secret").high(),
        /// Scope to ask for.
        scope: Option<String> = Key::new("oauth2.client.scope"),
        /// How id and secret are told: HEADER for basic authentication, URL for fields of the form.
        mode: AuthorizationMode = Key::new("oauth2.client.authorization.mode").default("HEADER"),
        /// Field of the answer that holds the token.
        token_field: String = Key::new("oauth2.response.token.property").default("access_token").low().non_empty(),
        /// Whether a request takes several records.
        batching: bool = Key::new("batching.enabled").default("false").high(),
        /// Most records of a request.
        batch_size: i32 = Key::new("batch.max.size").default("500").at_least(1).at_most(1_000_000),
        /// What a batch begins with. Blanks and line breaks count here and in the next ones.
        prefix: Option<String> = Key::new("batch.prefix"),
        /// What a batch ends with. Default: a line break.
        suffix: Option<String> = Key::new("batch.suffix"),
        /// What stands between two records. Default: a line break.
        separator: Option<String> = Key::new("batch.separator"),
        /// How often a request is sent again after a failure that may pass, before the task fails. Default: until it is
        /// taken, where Aiven's connector gives up after one.
        max_retries: Option<i32> = Key::new("max.retries").check(|n: &Option<i32>| at_least_0(*n)),
        /// How long to wait before it is sent again, unless the server says so, with max.retries.
        back_off: Millis = Key::new("retry.backoff.ms").default("3000"),
        /// Refused, as tries again are this worker's business: how long it waits in between grows by itself.
        kafka_back_off: Option<String> = Key::new("kafka.retry.backoff.ms").low().rule(|text: &Option<String>| match text {
            None => Ok(()),
            Some(_) => Err("kafka.retry.backoff.ms is not supported: remove it, and max.retries too for retries without end".into()),
        }),
        /// How long a request may take, in seconds.
        timeout: i32 = Key::new("http.timeout").default("30").low().at_least(1),
    }
}

/// All settings of Aiven's sink, with those of our client.
#[derive(Debug, Clone)]
pub struct AivenConfig {
    own: AivenSettings,
    delivery: DeliveryConfig,
    http: HttpConfig,
    own_timeout: bool,
}

impl Config for AivenConfig {
    fn definition() -> ConfigDef {
        let mut definition = AivenSettings::definition();
        definition.embed("", &DeliveryConfig::definition());
        definition.embed("", &HttpConfig::definition());
        definition
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        // As Aiven's connector does: what the definition reads has no blanks and line breaks around it.
        let raw = ["batch.prefix", "batch.suffix", "batch.separator"].map(|key| reader.given(key).map(str::to_owned));
        let own_timeout = reader.given("http.request.timeout.ms").is_some();
        let (own, delivery, http) =
            (AivenSettings::read(reader), DeliveryConfig::read(reader), HttpConfig::read(reader));
        let mut own = own?;
        [own.prefix, own.suffix, own.separator] = raw;
        Some(Self { own, delivery: delivery?, http: http?, own_timeout })
    }
}

/// `io.aiven.kafka.connect.http.HttpSinkConnector`
#[derive(Debug)]
pub struct Aiven;

impl Style for Aiven {
    type Config = AivenConfig;

    const INFO: PluginInfo = PluginInfo {
        name: "aiven-http-sink",
        aliases: &["io.aiven.kafka.connect.http.HttpSinkConnector"],
        version: env!("CARGO_PKG_VERSION"),
        about: "Stands in for Aiven's HTTP sink, with its settings: posts the values of records, texts as they are and all \
                else as JSON. For new connectors take webhook-sink.",
    };

    fn validate(config: &AivenConfig, problems: &mut Problems) {
        let own = &config.own;
        let needs = |problems: &mut Problems, key: &str, given: bool, kind: &str| {
            if !given {
                problems.add(key, format!("{key} must be set for http.authorization.type={kind}"));
            }
        };
        match own.authorization {
            Authorization::None => {}
            Authorization::Static | Authorization::ApiKey => {
                let kind = if own.authorization == Authorization::Static { "static" } else { "apikey" };
                needs(problems, "http.headers.authorization", own.authorization_header.is_some(), kind);
            }
            Authorization::OAuth2 => {
                needs(problems, "oauth2.access.token.url", own.token_url.is_some(), "oauth2");
                needs(problems, "oauth2.client.id", own.client_id.is_some(), "oauth2");
                needs(problems, "oauth2.client.secret", own.client_secret.is_some(), "oauth2");
            }
        }
        if config.own_timeout {
            problems.add("http.request.timeout.ms", "http.request.timeout.ms has no effect here: set http.timeout");
        }
        config.http.validate(problems);
    }

    fn plan(config: &AivenConfig) -> Result<Plan> {
        let own = &config.own;
        let mut all =
            headers(&own.additional).map_err(|why| Error::fatal("reading http.headers.additional").caused_by(why))?;
        let fixed = matches!(own.authorization, Authorization::Static | Authorization::ApiKey);
        if let Some(value) = own.authorization_header.as_ref().filter(|_| fixed) {
            let header = HeaderPlan::fixed("Authorization", value.reveal(), true);
            all.push(header.map_err(|why| Error::fatal("reading http.headers.authorization").caused_by(why))?);
        }
        let oauth = match own.authorization {
            Authorization::OAuth2 => OAuthConfig {
                url: own.token_url.clone(),
                client_id: own.client_id.clone(),
                client_secret: own.client_secret.clone(),
                scope: own.scope.clone(),
                credentials_in: match own.mode {
                    AuthorizationMode::Header => CredentialsIn::Header,
                    AuthorizationMode::Url => CredentialsIn::Body,
                },
                parameters: Vec::new(),
                token_field: own.token_field.clone(),
            },
            _ => OAuthConfig::none(),
        };
        let mut http = config.http.clone();
        http.request_timeout = Millis(Duration::from_secs(u64::try_from(own.timeout).unwrap_or(30)));
        let content_type = HeaderValue::from_str(own.content_type.as_deref().unwrap_or("application/json"));
        let text = |t: &Option<String>, default: &str| t.clone().unwrap_or_else(|| default.to_owned());
        let limit = own.max_retries.and_then(|n| u32::try_from(n).ok());
        Ok(Plan {
            keys: KEYS,
            http,
            auth: AuthConfig::parse(&Settings::new()).map_err(Error::from)?,
            oauth,
            oauth_keys: OAUTH,
            signer: None,
            hidden: Vec::new(),
            request: RequestPlan {
                url: UrlTemplate::fixed_as(&own.url, "http.url")?,
                method: Method::POST,
                headers: all,
                content_type: content_type
                    .map_err(|e| Error::fatal("reading http.headers.content.type").caused_by(e))?,
                body: Body::Value,
                edits: Vec::new(),
                group: None,
                // Theirs says of a record without value that it must not be null.
                tombstones: OnTombstone::Refuse,
                more_names: None,
                fixed_names: Map::new(),
            },
            batch: own.batching.then(|| Batch {
                prefix: text(&own.prefix, ""),
                separator: text(&own.separator, "\n"),
                suffix: text(&own.suffix, "\n"),
                records: usize::try_from(own.batch_size).unwrap_or(1),
                bytes: usize::MAX,
            }),
            delivery: config.delivery.clone(),
            verdicts: Verdicts {
                success: Statuses::range(200..=299),
                retry: Statuses::default(),
                limit: limit.map(|retries| Limit { retries, back_off: own.back_off.0, give_up: false }),
                denial: None,
                pages: true,
            },
            responses: None,
            check: None,
        })
    }
}

fn at_least_0(number: Option<i32>) -> Result<(), String> {
    if number.is_some_and(|n| n < 0) { Err("Value must be at least 0".into()) } else { Ok(()) }
}

fn headers(list: &Secret) -> Result<Vec<HeaderPlan>, String> {
    let header = |text: String| {
        let (name, value) = text.split_once(':').ok_or("Expected name:value for each header")?;
        HeaderPlan::fixed(name.trim(), value.trim(), true)
    };
    connect_api::config::split_list(list.reveal()).into_iter().map(header).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(more: &[(&str, &str)]) -> AivenConfig {
        let mut settings = Settings::from([("http.url", "http://h/x"), ("http.authorization.type", "none")]);
        settings.extend(&more.iter().copied().collect());
        AivenConfig::parse(&settings).expect("single keys")
    }

    #[test]
    fn line_breaks_around_batches_are_kept() {
        let batch = |more: &[(&str, &str)]| {
            let all: Vec<_> = more.iter().copied().chain([("batching.enabled", "true")]).collect();
            let batch = Aiven::plan(&parse(&all)).expect("plan").batch.expect("a batch");
            String::from_utf8(batch.join([b"a".as_slice(), b"b"].into_iter())).expect("text")
        };
        assert_eq!(batch(&[]), "a\nb\n");
        assert_eq!(batch(&[("batch.prefix", "[ "), ("batch.separator", ",\n"), ("batch.suffix", "]")]), "[ a,\nb]");
    }

    #[test]
    fn what_cannot_be_done_is_refused_with_the_way_out() {
        let problems = |more: &[(&str, &str)]| {
            let mut problems = Problems::new();
            Aiven::validate(&parse(more), &mut problems);
            problems.iter().map(|p| p.key.clone()).collect::<Vec<_>>()
        };
        let refused = Settings::from([
            ("http.url", "http://h"),
            ("http.authorization.type", "none"),
            ("kafka.retry.backoff.ms", "1000"),
        ]);
        assert!(AivenConfig::parse(&refused).expect_err("refused").iter().all(|p| p.text.contains("remove it")));
        assert_eq!(problems(&[("http.request.timeout.ms", "1000")]), ["http.request.timeout.ms"]);
        assert_eq!(problems(&[("http.authorization.type", "apikey")]), ["http.headers.authorization"]);
        assert_eq!(problems(&[("http.authorization.type", "oauth2")]).len(), 3);
        assert!(problems(&[]).is_empty());
    }
}
