//! Settings of Confluent's HTTP sink, `io.confluent.connect.http.HttpSinkConnector`.

use connect_api::{
    Error, PluginInfo, Result, Settings,
    config::{Config, ConfigDef, Key, Millis, Problems, Reader, Secret},
    template::{Escape, Template},
};
use connector_http::{
    AuthConfig, DeliveryConfig, HttpConfig, Keys, Method, OAuthConfig, OAuthKeys, Statuses, config::server_url,
    header::HeaderValue, oauth::CredentialsIn,
};
use regex::Regex;
use serde_json::Map;

use crate::{
    batch::Batch,
    dialect,
    plan::{Limit, Plan, Style, Verdicts},
    request::{Body, HeaderPlan, OnTombstone, RequestPlan, UrlTemplate},
    responses::ResponsePlan,
};

const KEYS: Keys = Keys {
    url: "http.api.url",
    credentials: "connection.user and connection.password, oauth2.client.id and oauth2.client.secret, or headers",
};
const PRODUCER: &str = "reporter.producer.";

const OAUTH: OAuthKeys = OAuthKeys {
    url: "oauth2.token.url",
    credentials: "oauth2.client.id and oauth2.client.secret",
    scope: "oauth2.client.scope",
    credentials_in: "oauth2.client.auth.mode",
    token_field: "oauth2.token.property",
};

connect_api::config_enum! {
    /// Method.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Verb {
        /// POST.
        Post = "POST",
        /// PUT.
        Put = "PUT",
        /// PATCH.
        Patch = "PATCH",
    }
}

connect_api::config_enum! {
    /// What to do with tombstones.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum OnNull {
        /// Skip them.
        Ignore = "ignore",
        /// They are bad records.
        Fail = "fail",
        /// Skip them.
        Log = "log",
        /// Send a DELETE.
        Delete = "delete",
    }
}

connect_api::config_enum! {
    /// What happens when retries are used up.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum OnError {
        /// The task fails.
        Fail = "fail",
        /// The records are bad ones.
        Log = "log",
        /// The records are bad ones.
        Ignore = "ignore",
    }
}

connect_api::config_enum! {
    /// How bodies are written.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum BodyFormat {
        /// Texts as they are.
        Text = "string",
        /// As JSON.
        Json = "json",
    }
}

connect_api::config_enum! {
    /// How requests say who sends them.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Auth {
        /// They do not.
        None = "NONE",
        /// By user and password.
        Basic = "BASIC",
        /// By a token of OAuth 2.
        OAuth2 = "OAUTH2",
    }
}

connect_api::config_enum! {
    /// How the token endpoint is told who asks.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum ClientAuth {
        /// By basic authentication.
        Header = "header",
        /// In the form that is posted.
        Url = "url",
    }
}

connect_api::config! {
    /// Confluent's own.
    #[derive(Debug, Clone)]
    pub struct ConfluentSettings {
        /// URL of requests; ${topic} and ${key} stand for those of the record, percent-encoded.
        url: String = Key::new("http.api.url").high().check(|u: &String| dialect::template(u).map(drop)),
        /// Method.
        method: Verb = Key::new("request.method").default("POST").high(),
        /// What to do with tombstones: ignore and log skip them, fail makes them bad records, delete sends a DELETE without body.
        on_null: OnNull = Key::new("behavior.on.null.values").default("ignore"),
        /// What happens when max.retries are used up: fail fails the task; with log and ignore the records are bad ones, about
        /// which errors.tolerance decides.
        on_error: OnError = Key::new("behavior.on.error").default("fail"),
        /// Headers, each as name:value, with header.separator in between. Never shown, since values may be credentials.
        headers: Secret = Key::new("headers").default("").high(),
        /// What separates headers.
        header_separator: String = Key::new("header.separator").default("|").non_empty(),
        /// How values are written: string as texts are, and all else as JSON, where Confluent's has Java's words for structs;
        /// json as JSON.
        format: BodyFormat = Key::new("request.body.format").default("string"),
        /// Most records of a request.
        batch_size: i32 = Key::new("batch.max.size").default("1").high().at_least(1),
        /// Records for which this says the same share a request: ${topic} and ${key} stand for those of the record.
        batch_key: String = Key::new("batch.key.pattern").default("${topic}").check(|p: &String| dialect::template(p).map(drop)),
        /// What a batch begins with.
        prefix: String = Key::new("batch.prefix").default(""),
        /// What a batch ends with.
        suffix: String = Key::new("batch.suffix").default(""),
        /// What stands between two records of a batch. Blanks and line breaks count.
        separator: String = Key::new("batch.separator").default(","),
        /// Whether batches are JSON arrays.
        as_array: bool = Key::new("batch.json.as.array").default("false"),
        /// Regular expressions that are replaced in each record's body, with regex.separator in between.
        patterns: Option<String> = Key::new("regex.patterns"),
        /// What takes the place of what they match, as many.
        replacements: Option<String> = Key::new("regex.replacements"),
        /// What separates expressions and replacements.
        regex_separator: String = Key::new("regex.separator").default("~").non_empty(),
        /// How often a request is sent again after a failure that may pass. Default: until it is taken, where Confluent's
        /// connector gives up after 10 tries.
        max_retries: Option<i32> = Key::new("max.retries").check(|n: &Option<i32>| match n {
            Some(n) if *n < 0 => Err("Value must be at least 0".into()),
            _ => Ok(()),
        }),
        /// How long to wait before it is sent again, unless the server says so, with max.retries.
        back_off: Millis = Key::new("retry.backoff.ms").default("3000"),
        /// Statuses after which the same is sent again, beside 408, 425, 429 and 5xx. Default: none beside these, where
        /// Confluent's connector has 400-.
        retry: Statuses = Key::new("retry.on.status.codes").default(""),
        /// How requests say who sends them.
        auth: Auth = Key::new("auth.type").default("NONE").high(),
        /// Name of the user, for BASIC.
        user: Option<String> = Key::new("connection.user"),
        /// Password, for BASIC.
        password: Option<Secret> = Key::new("connection.password"),
        /// URL of the endpoint that gives tokens, for OAUTH2.
        token_url: Option<String> = Key::new("oauth2.token.url").check(|u: &Option<String>| u.as_deref().map_or(Ok(()), server_url)),
        /// Id of the client.
        client_id: Option<String> = Key::new("oauth2.client.id"),
        /// Secret of the client.
        client_secret: Option<Secret> = Key::new("oauth2.client.secret"),
        /// Scope to ask for; any and an empty text ask for none.
        scope: String = Key::new("oauth2.client.scope").default("any"),
        /// How id and secret are told: header for basic authentication, url for fields of the form.
        client_auth: ClientAuth = Key::new("oauth2.client.auth.mode").default("header"),
        /// Field of the answer that holds the token.
        token_field: String = Key::new("oauth2.token.property").default("access_token").non_empty(),
        /// How long connecting may take, in milliseconds.
        connect_timeout: Millis = Key::new("http.connect.timeout.ms").default("30000").low(),
        /// How long a request may take, in milliseconds.
        request_timeout: Millis = Key::new("http.request.timeout.ms").default("30000").low(),
        /// Host of the proxy.
        proxy_host: Option<String> = Key::new("http.proxy.host").low(),
        /// Port of the proxy.
        proxy_port: i32 = Key::new("http.proxy.port").default("3128").low().at_least(1).at_most(65_535),
        /// Name of the user for the proxy.
        proxy_user: Option<String> = Key::new("http.proxy.user").low(),
        /// Password for the proxy.
        proxy_password: Option<Secret> = Key::new("http.proxy.password").low(),
        /// File with the certificates of authorities to trust besides those of the system: PEM.
        trust_store: Option<String> = Key::new("https.ssl.truststore.location").low(),
        /// Must be PEM: openssl pkcs12 -in trust.p12 -nokeys -out trust.pem makes such a file, and for JKS
        /// keytool -list -rfc -keystore trust.jks.
        trust_type: String = Key::new("https.ssl.truststore.type").default("PEM").low().check(|t: &String| pem(t)),
        /// File with the client's key and certificates: PEM, the key (PKCS#8) first.
        key_store: Option<String> = Key::new("https.ssl.keystore.location").low(),
        /// Must be PEM: openssl pkcs12 -in key.p12 -nodes -out key.pem makes such a file.
        key_type: String = Key::new("https.ssl.keystore.type").default("PEM").low().check(|t: &String| pem(t)),
        /// Kafka that answers are written to. Default: the worker's.
        bootstrap: Option<String> = Key::new("reporter.bootstrap.servers"),
        /// Topic for the answers to requests that were taken; without it they are not written.
        result_topic: Option<String> = Key::new("reporter.result.topic.name"),
        /// Topic for the answers to records that were refused; without it they are not written.
        error_topic: Option<String> = Key::new("reporter.error.topic.name"),
    }
}

/// What Confluent's connector has and this one has not, with the way out.
const REFUSED: [(&str, &str); 9] = [
    ("oauth2.jwt.enabled", "set auth.type=OAUTH2 with client id and secret"),
    ("oauth2.client.headers", "take webhook-sink with http.oauth2.parameters"),
    ("https.ssl.truststore.password", "PEM files of certificates have none: remove it"),
    ("https.ssl.keystore.password", "convert to PEM without password: openssl pkcs12 -in key.p12 -nodes -out key.pem"),
    ("https.ssl.key.password", "convert to PEM without password: openssl pkcs12 -in key.p12 -nodes -out key.pem"),
    ("https.ssl.trustmanager.algorithm", "remove it"),
    ("https.ssl.endpoint.identification.algorithm", "names of certificates are always checked: remove it"),
    ("sensitive.headers", "take webhook-sink with webhook.headers"),
    ("api.config.type", "take a connector for each URL"),
];

/// All settings of Confluent's sink.
#[derive(Debug, Clone)]
pub struct ConfluentConfig {
    own: ConfluentSettings,
    delivery: DeliveryConfig,
    producer: Settings,
    refused: Vec<(&'static str, &'static str)>,
}

impl Config for ConfluentConfig {
    fn definition() -> ConfigDef {
        let mut definition = ConfluentSettings::definition();
        definition.family(PRODUCER, "Settings of the client that writes answers.");
        definition.embed("", &DeliveryConfig::definition());
        definition
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let [prefix, suffix, separator] =
            ["batch.prefix", "batch.suffix", "batch.separator"].map(|key| reader.given(key).map(str::to_owned));
        let given = |key: &str| reader.given(key).is_some_and(|text| !matches!(text.trim(), "" | "false"));
        let refused = REFUSED.into_iter().filter(|(key, _)| given(key)).collect();
        let producer = reader.below(PRODUCER);
        let (own, delivery) = (ConfluentSettings::read(reader), DeliveryConfig::read(reader));
        let mut own = own?;
        // Blanks around them count, which the definition takes away.
        own.prefix = prefix.unwrap_or(own.prefix);
        own.suffix = suffix.unwrap_or(own.suffix);
        own.separator = separator.unwrap_or(own.separator);
        Some(Self { own, delivery: delivery?, producer, refused })
    }
}

/// `io.confluent.connect.http.HttpSinkConnector`
#[derive(Debug)]
pub struct Confluent;

impl Style for Confluent {
    type Config = ConfluentConfig;

    const INFO: PluginInfo = PluginInfo {
        name: "confluent-http-sink",
        aliases: &["io.confluent.connect.http.HttpSinkConnector"],
        version: env!("CARGO_PKG_VERSION"),
        about: "Stands in for Confluent's HTTP sink, with its settings: sends the values of records, texts as they are and \
                all else as JSON. For new connectors take webhook-sink.",
    };

    fn validate(config: &ConfluentConfig, problems: &mut Problems) {
        let own = &config.own;
        for (key, way_out) in &config.refused {
            problems.add(*key, format!("{key} is not supported: {way_out}"));
        }
        if let Err(why) = headers(own) {
            problems.add("headers", why);
        }
        if let Err(why) = edits(own) {
            problems.add("regex.patterns", why);
        }
        let needed: &[(&str, bool)] = match own.auth {
            Auth::None => &[],
            Auth::Basic => &[("connection.user", own.user.is_some()), ("connection.password", own.password.is_some())],
            Auth::OAuth2 => &[
                ("oauth2.token.url", own.token_url.is_some()),
                ("oauth2.client.id", own.client_id.is_some()),
                ("oauth2.client.secret", own.client_secret.is_some()),
            ],
        };
        for (key, _) in needed.iter().filter(|(_, given)| !given) {
            problems.add(*key, format!("{key} must be set for that auth.type"));
        }
        if own.max_retries.is_none() && own.on_error != OnError::Fail {
            let text =
                "behavior.on.error needs max.retries, as retries are without end otherwise: set both, or remove it";
            problems.add("behavior.on.error", text);
        }
        if let Err(e) = http(own) {
            problems.add("http.proxy.host", e.one_line());
        }
    }

    fn plan(config: &ConfluentConfig) -> Result<Plan> {
        let own = &config.own;
        let wrong = |key: &str, why: String| Error::fatal(format!("reading {key}")).caused_by(why);
        let template = |source: Result<String, String>, key: &str| source.map_err(|why| wrong(key, why));
        let basic = own.auth == Auth::Basic;
        let oauth = match own.auth {
            Auth::OAuth2 => OAuthConfig {
                url: own.token_url.clone(),
                client_id: own.client_id.clone(),
                client_secret: own.client_secret.clone(),
                scope: Some(own.scope.clone()).filter(|scope| !scope.is_empty() && scope != "any"),
                credentials_in: match own.client_auth {
                    ClientAuth::Header => CredentialsIn::Header,
                    ClientAuth::Url => CredentialsIn::Body,
                },
                parameters: Vec::new(),
                token_field: own.token_field.clone(),
            },
            _ => OAuthConfig::none(),
        };
        let group = template(dialect::template(&own.batch_key), "batch.key.pattern")?;
        let many = own.batch_size > 1;
        let around = |array: &str, text: &str| if own.as_array { array.to_owned() } else { text.to_owned() };
        let mut client = config.producer.clone();
        if let Some(servers) = &own.bootstrap {
            client.set("bootstrap.servers", servers);
        }
        let responses = ResponsePlan { taken: own.result_topic.clone(), refused: own.error_topic.clone(), client };
        let limit = own.max_retries.and_then(|n| u32::try_from(n).ok());
        Ok(Plan {
            keys: KEYS,
            http: http(own)?,
            auth: AuthConfig {
                username: own.user.clone().filter(|_| basic),
                password: own.password.clone().filter(|_| basic),
                token: None,
            },
            oauth,
            oauth_keys: OAUTH,
            signer: None,
            hidden: Vec::new(),
            request: RequestPlan {
                url: UrlTemplate::new(&template(dialect::template(&own.url), "http.api.url")?, "http.api.url")?,
                method: match own.method {
                    Verb::Post => Method::POST,
                    Verb::Put => Method::PUT,
                    Verb::Patch => Method::PATCH,
                },
                headers: headers(own).map_err(|why| wrong("headers", why))?,
                content_type: HeaderValue::from_static("application/json"),
                body: if own.format == BodyFormat::Json { Body::Json } else { Body::Value },
                edits: edits(own).map_err(|why| wrong("regex.patterns", why))?,
                group: many.then(|| Template::parse(&group, Escape::Prose)).transpose()?,
                tombstones: match own.on_null {
                    OnNull::Ignore | OnNull::Log => OnTombstone::Ignore,
                    OnNull::Fail => OnTombstone::Refuse,
                    OnNull::Delete => OnTombstone::Delete,
                },
                more_names: None,
                fixed_names: Map::new(),
            },
            batch: (many || own.as_array).then(|| Batch {
                prefix: around("[", &own.prefix),
                separator: around(",", &own.separator),
                suffix: around("]", &own.suffix),
                records: usize::try_from(own.batch_size).unwrap_or(1),
                bytes: usize::MAX,
            }),
            delivery: config.delivery.clone(),
            verdicts: Verdicts {
                success: Statuses::range(200..=299),
                retry: own.retry.clone(),
                limit: limit.map(|retries| Limit {
                    retries,
                    back_off: own.back_off.0,
                    give_up: own.on_error != OnError::Fail,
                }),
                denial: None,
                pages: true,
            },
            responses: Some(responses).filter(|plan| plan.taken.is_some() || plan.refused.is_some()),
            check: None,
        })
    }
}

/// The settings of our client that theirs stand for.
fn http(own: &ConfluentSettings) -> Result<HttpConfig> {
    let mut settings = Settings::new();
    settings.set("http.connect.timeout.ms", own.connect_timeout.0.as_millis().to_string());
    settings.set("http.request.timeout.ms", own.request_timeout.0.as_millis().to_string());
    for (key, value) in [
        ("http.proxy.username", own.proxy_user.as_deref()),
        ("http.proxy.password", own.proxy_password.as_ref().map(Secret::reveal)),
        ("http.tls.ca.file", own.trust_store.as_deref()),
        ("http.tls.certificate.file", own.key_store.as_deref()),
        ("http.tls.key.file", own.key_store.as_deref()),
    ] {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            settings.set(key, value);
        }
    }
    if let Some(host) = own.proxy_host.as_deref().filter(|host| !host.is_empty()) {
        settings.set("http.proxy", format!("http://{host}:{}", own.proxy_port));
    }
    let http = HttpConfig::parse(&settings).map_err(Error::from)?;
    let mut problems = Problems::new();
    http.validate(&mut problems);
    if problems.is_empty() { Ok(http) } else { Err(problems.into()) }
}

fn headers(own: &ConfluentSettings) -> Result<Vec<HeaderPlan>, String> {
    let all = own.headers.reveal().split(own.header_separator.as_str()).filter(|text| !text.trim().is_empty());
    all.map(|text| {
        let (name, value) = text.split_once(':').ok_or("Expected name:value for each header")?;
        HeaderPlan::fixed(name.trim(), value.trim(), true)
    })
    .collect()
}

fn edits(own: &ConfluentSettings) -> Result<Vec<(Regex, String)>, String> {
    let split = |text: &Option<String>| -> Vec<String> {
        let text = text.as_deref().unwrap_or_default();
        if text.is_empty() { Vec::new() } else { text.split(own.regex_separator.as_str()).map(str::to_owned).collect() }
    };
    let (patterns, replacements) = (split(&own.patterns), split(&own.replacements));
    if patterns.len() != replacements.len() {
        return Err(format!(
            "regex.patterns has {} expressions and regex.replacements {}: write as many of both, with {:?} in between",
            patterns.len(),
            replacements.len(),
            own.regex_separator
        ));
    }
    let edit = |(pattern, by): (String, String)| {
        let regex = Regex::new(&pattern).map_err(|e| format!("{pattern} cannot be read: {e}"))?;
        Ok((regex, dialect::replacement(&by)))
    };
    patterns.into_iter().zip(replacements).map(edit).collect()
}

fn pem(kind: &str) -> Result<(), String> {
    match kind {
        "PEM" => Ok(()),
        _ => Err("only PEM can be read: openssl pkcs12 -in store.p12 -nodes -out store.pem, for JKS behind keytool \
                  -importkeystore -srckeystore store.jks -destkeystore store.p12 -deststoretype pkcs12"
            .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use connect_api::{Origin, Record, SinkRecord, TimestampType};

    fn parse(more: &[(&str, &str)]) -> ConfluentConfig {
        let mut settings = Settings::from([("http.api.url", "http://h/${topic}/${key}?x={{1}}")]);
        settings.extend(&more.iter().copied().collect());
        ConfluentConfig::parse(&settings).expect("single keys")
    }

    fn problems(more: &[(&str, &str)]) -> Vec<String> {
        let mut problems = Problems::new();
        Confluent::validate(&parse(more), &mut problems);
        problems.iter().map(|p| p.key.clone()).collect()
    }

    fn record(key: &str, value: &str) -> SinkRecord {
        let mut record = Record::new("t");
        (record.key, record.value) = (key.into(), value.into());
        let origin = Origin { topic: "t".into(), partition: 0, offset: 7, timestamp_type: TimestampType::CreateTime };
        SinkRecord { record, origin }
    }

    #[test]
    fn urls_headers_and_edits_are_as_theirs() {
        let plan = Confluent::plan(&parse(&[
            ("headers", "X-A: 1, 2|Content-Type:text/plain"),
            ("regex.patterns", "^~$~(b+)c"),
            ("regex.replacements", r#"[~]~$1d\$"#),
        ]))
        .expect("plan");
        let part = plan.request.part(&record("a/b", "abbc")).expect("right").expect("sent");
        assert_eq!(part.place.url.as_str(), "http://h/t/a%2Fb?x={{1}}");
        let headers: Vec<_> = part.place.headers.iter().map(|(n, v)| (n.as_str(), v.as_bytes())).collect();
        assert_eq!(headers, [("x-a", b"1, 2".as_slice()), ("content-type", b"text/plain")]);
        assert_eq!(part.body.as_deref(), Some(b"[abbd$]".as_slice()));
    }

    #[test]
    fn batches_are_kept_apart_by_their_pattern() {
        let plan = |more: &[(&str, &str)]| Confluent::plan(&parse(more)).expect("plan");
        let by_key = plan(&[("batch.max.size", "10"), ("batch.key.pattern", "${key}"), ("batch.separator", ",\n")]);
        let group = |key: &str| by_key.request.part(&record(key, "v")).expect("right").expect("sent").place.group;
        assert_eq!((group("a"), group("b")), ("a".to_owned(), "b".to_owned()));
        assert_eq!(by_key.batch.map(|batch| batch.separator).as_deref(), Some(",\n"));
        let array = plan(&[("batch.max.size", "10"), ("batch.json.as.array", "true")]).batch.expect("a batch");
        assert_eq!(array.join([b"1".as_slice(), b"2"].into_iter()), b"[1,2]");
        assert_eq!(plan(&[]).batch, None);
    }

    #[test]
    fn what_cannot_be_done_is_refused_with_the_way_out() {
        assert!(problems(&[]).is_empty());
        for (given, expected) in [
            (("oauth2.jwt.enabled", "true"), "oauth2.jwt.enabled"),
            (("https.ssl.keystore.password", "x"), "https.ssl.keystore.password"),
            (("behavior.on.error", "ignore"), "behavior.on.error"),
            (("regex.patterns", "a~b"), "regex.patterns"),
            (("headers", "x"), "headers"),
            (("http.proxy.user", "u"), "http.proxy.host"),
        ] {
            assert_eq!(problems(&[given]), [expected]);
        }
        assert_eq!(problems(&[("auth.type", "OAUTH2")]).len(), 3);
        for wrong in [("http.api.url", "http://h/${id}"), ("https.ssl.truststore.type", "JKS")] {
            let settings: Settings = [("http.api.url", "http://h"), wrong].into_iter().collect();
            assert_eq!(ConfluentConfig::parse(&settings).expect_err("refused").len(), 1, "{wrong:?}");
        }
        assert!(
            problems(&[("oauth2.jwt.enabled", "false"), ("max.retries", "3"), ("behavior.on.error", "log")]).is_empty()
        );
    }
}
