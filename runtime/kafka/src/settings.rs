//! The one table from Java client settings to librdkafka's.
//!
//! Each key is passed on, renamed, converted, served by the worker itself, without effect here (and
//! why), or refused with the way out. Keys of librdkafka that Java does not know pass unchanged.
//! Names and defaults: Kafka's producer, consumer and admin configuration pages; librdkafka's
//! `CONFIGURATION.md`.

use std::collections::BTreeMap;

use connect_api::Settings;
use rdkafka::ClientConfig;

use crate::{jaas, stores};

/// Which client the settings are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Producer.
    Producer,
    /// Consumer.
    Consumer,
    /// Admin client.
    Admin,
}

/// A key that cannot be used, or not as it was meant, with the reason and the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The Java key.
    pub key: String,
    /// Reason and way out; what is said of a warning stands behind its key.
    pub reason: String,
}

/// Settings ready for librdkafka, and what the worker serves itself.
#[derive(Debug, Clone, Default)]
pub struct ClientSettings {
    /// librdkafka's settings.
    pub native: BTreeMap<String, String>,
    /// `max.poll.records`: most records of one batch.
    pub max_poll_records: Option<usize>,
    /// Keys without effect, unknown or risky, and what is to be said of each.
    pub warnings: Vec<Problem>,
}

impl ClientSettings {
    /// As rdkafka wants it.
    pub fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        for (key, value) in &self.native {
            config.set(key, value);
        }
        // rdkafka hands librdkafka's messages to `log`/`tracing` from this level on.
        config.set_log_level(rdkafka::config::RDKafkaLogLevel::Info);
        config
    }

    /// The brokers that a client with these settings turns to.
    pub fn brokers(&self) -> &str {
        self.native.get("bootstrap.servers").map_or("", String::as_str)
    }

    /// Sets a librdkafka key unless it has been set.
    pub fn or_set(&mut self, key: &str, value: &str) -> &mut Self {
        self.native.entry(key.to_owned()).or_insert_with(|| value.to_owned());
        self
    }
}

enum Rule {
    Same,
    To(&'static str),
    By(&'static str, fn(&str) -> Result<String, String>),
    MaxPollRecords,
    /// Read together with others: stores, JAAS.
    Joined,
    Inert(&'static str),
    Refused(&'static str),
    /// Right with these values only, which are what this program does anyway.
    Only(&'static [&'static str], &'static str),
}

use Role::{Admin, Consumer, Producer};
use Rule::{By, Inert, Joined, MaxPollRecords, Only, Refused, Same, To};

const ALL: &[Role] = &[Producer, Consumer, Admin];
const P: &[Role] = &[Producer];
const C: &[Role] = &[Consumer];

const BYTES_ONLY: &str =
    "the worker's converters serialise; remove it, and set key.converter or value.converter instead";
const NO_PLUGIN: &str = "classes of the JVM cannot be loaded; remove it";
const METRICS: &str = "there is no JMX here";

/// Every Java client key, by client.
const TABLE: &[(&str, &[Role], Rule)] = &[
    ("bootstrap.servers", ALL, Same),
    ("client.id", ALL, Same),
    ("client.dns.lookup", ALL, Same),
    ("client.rack", C, Same),
    ("metadata.max.age.ms", ALL, Same),
    ("metadata.recovery.strategy", ALL, Same),
    ("metadata.recovery.rebootstrap.trigger.ms", ALL, Same),
    ("metadata.max.idle.ms", P, Inert("topics are forgotten by librdkafka on its own")),
    ("connections.max.idle.ms", ALL, Same),
    ("reconnect.backoff.ms", ALL, Same),
    ("reconnect.backoff.max.ms", ALL, Same),
    ("retry.backoff.ms", ALL, Same),
    ("retry.backoff.max.ms", ALL, Same),
    ("request.timeout.ms", P, Same),
    ("request.timeout.ms", &[Consumer, Admin], By("socket.timeout.ms", at_least_10)),
    ("default.api.timeout.ms", &[Consumer, Admin], Inert("each request has its own limit")),
    ("send.buffer.bytes", ALL, By("socket.send.buffer.bytes", minus_one_is_zero)),
    ("receive.buffer.bytes", ALL, By("socket.receive.buffer.bytes", minus_one_is_zero)),
    ("socket.connection.setup.timeout.ms", ALL, By("socket.connection.setup.timeout.ms", at_least_1000)),
    ("socket.connection.setup.timeout.max.ms", ALL, Inert("librdkafka does not raise the timeout")),
    ("enable.metrics.push", ALL, Same),
    ("metric.reporters", ALL, Inert(METRICS)),
    ("metrics.num.samples", ALL, Inert(METRICS)),
    ("metrics.recording.level", ALL, Inert(METRICS)),
    ("metrics.sample.window.ms", ALL, Inert(METRICS)),
    ("auto.include.jmx.reporter", ALL, Inert(METRICS)),
    ("config.providers", ALL, Inert("references are resolved by the worker")),
    // Security
    ("security.protocol", ALL, By("security.protocol", protocol)),
    ("security.providers", ALL, Refused(NO_PLUGIN)),
    ("sasl.mechanism", ALL, By("sasl.mechanism", mechanism)),
    ("sasl.jaas.config", ALL, Joined),
    ("sasl.client.callback.handler.class", ALL, Refused(NO_PLUGIN)),
    ("sasl.login.callback.handler.class", ALL, Joined),
    ("sasl.login.class", ALL, Refused(NO_PLUGIN)),
    ("sasl.oauthbearer.token.endpoint.url", ALL, Joined),
    ("sasl.oauthbearer.scope.claim.name", ALL, Inert("tokens are not looked into")),
    ("sasl.oauthbearer.sub.claim.name", ALL, Inert("tokens are not looked into")),
    (
        "sasl.kerberos.service.name",
        ALL,
        Refused("Kerberos (GSSAPI) is not built in; use SCRAM, PLAIN, OAUTHBEARER or TLS"),
    ),
    ("sasl.login.refresh.window.factor", ALL, Inert("librdkafka refreshes tokens at 80 % of their life")),
    ("sasl.login.refresh.window.jitter", ALL, Inert("librdkafka refreshes tokens at 80 % of their life")),
    ("sasl.login.refresh.buffer.seconds", ALL, Inert("librdkafka refreshes tokens at 80 % of their life")),
    ("sasl.login.refresh.min.period.seconds", ALL, Inert("librdkafka refreshes tokens at 80 % of their life")),
    ("sasl.login.connect.timeout.ms", ALL, Inert("the token request has librdkafka's limit")),
    ("sasl.login.read.timeout.ms", ALL, Inert("the token request has librdkafka's limit")),
    ("sasl.login.retry.backoff.ms", ALL, Inert("librdkafka retries every 10 s")),
    ("sasl.login.retry.backoff.max.ms", ALL, Inert("librdkafka retries every 10 s")),
    ("ssl.keystore.type", ALL, Joined),
    ("ssl.keystore.location", ALL, Joined),
    ("ssl.keystore.password", ALL, Joined),
    ("ssl.keystore.certificate.chain", ALL, Joined),
    ("ssl.keystore.key", ALL, Joined),
    ("ssl.key.password", ALL, Joined),
    ("ssl.truststore.type", ALL, Joined),
    ("ssl.truststore.location", ALL, Joined),
    ("ssl.truststore.password", ALL, Joined),
    ("ssl.truststore.certificates", ALL, Joined),
    ("ssl.endpoint.identification.algorithm", ALL, By("ssl.endpoint.identification.algorithm", none_if_empty)),
    ("ssl.cipher.suites", ALL, By("ssl.cipher.suites", colons)),
    ("ssl.protocol", ALL, Inert("OpenSSL negotiates the newest version that both sides know")),
    ("ssl.enabled.protocols", ALL, Inert("OpenSSL negotiates the newest version that both sides know")),
    ("ssl.provider", ALL, Refused(NO_PLUGIN)),
    ("ssl.engine.factory.class", ALL, Refused(NO_PLUGIN)),
    ("ssl.keymanager.algorithm", ALL, Inert("OpenSSL does this")),
    ("ssl.trustmanager.algorithm", ALL, Inert("OpenSSL does this")),
    ("ssl.secure.random.implementation", ALL, Inert("OpenSSL does this")),
    // Producer
    ("acks", P, Same),
    ("batch.size", P, By("batch.size", at_least_1)),
    ("batch.num.messages", P, Same),
    ("buffer.memory", P, By("queue.buffering.max.kbytes", kilobytes)),
    ("compression.type", P, Same),
    ("compression.gzip.level", P, To("compression.level")),
    ("compression.lz4.level", P, To("compression.level")),
    ("compression.zstd.level", P, Inert("librdkafka compresses zstd at its own level")),
    ("delivery.timeout.ms", P, By("delivery.timeout.ms", max_is_endless)),
    ("enable.idempotence", P, Same),
    ("linger.ms", P, Same),
    ("max.block.ms", P, Inert("a full queue is backpressure here: the task waits")),
    ("max.in.flight.requests.per.connection", P, Same),
    ("max.request.size", P, By("message.max.bytes", at_least_1000)),
    ("retries", P, Same),
    ("transactional.id", P, Refused("transactions are the worker's business; remove it")),
    ("transaction.timeout.ms", P, Same),
    ("partitioner.class", P, By("partitioner", partitioner)),
    ("partitioner.ignore.keys", P, Only(&["false"], "keys must go to Java's partition; remove it")),
    (
        "partitioner.adaptive.partitioning.enable",
        P,
        Inert("librdkafka chooses partitions of records without key at random"),
    ),
    ("partitioner.availability.timeout.ms", P, Inert("librdkafka chooses partitions of records without key at random")),
    ("interceptor.classes", &[Producer, Consumer], Only(&[""], NO_PLUGIN)),
    ("key.serializer", P, Only(&["org.apache.kafka.common.serialization.ByteArraySerializer"], BYTES_ONLY)),
    ("value.serializer", P, Only(&["org.apache.kafka.common.serialization.ByteArraySerializer"], BYTES_ONLY)),
    // Consumer
    ("group.id", C, Same),
    ("group.instance.id", C, Same),
    ("group.protocol", C, Only(&["classic", "CLASSIC"], "only the classic protocol is supported; remove it")),
    ("group.remote.assignor", C, Inert("the classic group protocol has none")),
    ("allow.auto.create.topics", C, Same),
    ("auto.commit.interval.ms", C, Inert("the worker commits offsets")),
    ("auto.offset.reset", C, By("auto.offset.reset", offset_reset)),
    ("check.crcs", C, Same),
    (
        "enable.auto.commit",
        C,
        Only(&["false"], "the worker commits offsets when the sink has stored the records; remove it"),
    ),
    ("exclude.internal.topics", C, Inert("topics.regex decides what is read")),
    ("fetch.max.bytes", C, Same),
    ("fetch.max.wait.ms", C, To("fetch.wait.max.ms")),
    ("fetch.min.bytes", C, Same),
    ("heartbeat.interval.ms", C, Same),
    ("isolation.level", C, Same),
    ("key.deserializer", C, Only(&["org.apache.kafka.common.serialization.ByteArrayDeserializer"], BYTES_ONLY)),
    ("value.deserializer", C, Only(&["org.apache.kafka.common.serialization.ByteArrayDeserializer"], BYTES_ONLY)),
    ("max.partition.fetch.bytes", C, Same),
    ("max.poll.interval.ms", C, Same),
    ("max.poll.records", C, MaxPollRecords),
    ("partition.assignment.strategy", C, By("partition.assignment.strategy", assignors)),
    ("session.timeout.ms", C, Same),
];

fn rule(role: Role, key: &str) -> Option<&'static Rule> {
    TABLE.iter().find(|(name, roles, _)| *name == key && roles.contains(&role)).map(|(_, _, rule)| rule)
}

/// Whether Java's client of that role knows the key.
pub fn is_known(role: Role, key: &str) -> bool {
    rule(role, key).is_some()
}

/// All Java keys of a role, for hints about misspelt ones.
pub fn known_keys(role: Role) -> impl Iterator<Item = &'static str> {
    TABLE.iter().filter(move |(_, roles, _)| roles.contains(&role)).map(|(name, _, _)| *name)
}

/// Translates Java client settings. All problems are reported at once.
pub fn translate(role: Role, java: &Settings) -> Result<ClientSettings, Vec<Problem>> {
    let mut out = ClientSettings::default();
    let mut problems = Vec::new();
    for (key, value) in java.iter() {
        let value = value.trim();
        let refuse = |reason: String| Problem { key: key.to_owned(), reason };
        match rule(role, key) {
            Some(Same) => drop(out.native.insert(key.to_owned(), value.to_owned())),
            Some(To(name)) => drop(out.native.insert((*name).to_owned(), value.to_owned())),
            Some(By(name, convert)) => match convert(value) {
                Ok(v) => drop(out.native.insert((*name).to_owned(), v)),
                Err(reason) => problems.push(refuse(reason)),
            },
            Some(MaxPollRecords) => match value.parse() {
                Ok(n @ 1..) => out.max_poll_records = Some(n),
                _ => problems.push(refuse(format!("{value} is not a number from 1 up"))),
            },
            Some(Joined) => {}
            Some(Inert(why)) => warn(&mut out, key, format!(" has no effect: {why}")),
            Some(Refused(way_out)) => problems.push(refuse((*way_out).to_owned())),
            Some(Only(values, way_out)) if !values.contains(&value) => {
                problems.push(refuse(format!("{value}: {way_out}")))
            }
            Some(Only(..)) => {}
            None => match native_problem(role, key, value) {
                Native::Fine => drop(out.native.insert(key.to_owned(), value.to_owned())),
                Native::Unknown => {
                    warn(&mut out, key, format!(" is not a setting of Kafka's {role:?} client; it is ignored"))
                }
                Native::Wrong(reason) => problems.push(refuse(reason)),
            },
        }
    }
    // Java's defaults; librdkafka would wait up to ten seconds between two tries to connect, so that a consumer could
    // outlive its session although Kafka is back.
    out.or_set("reconnect.backoff.ms", "50").or_set("reconnect.backoff.max.ms", "1000");
    if let Some(acks) = out.native.get("acks").filter(|a| !["all", "-1"].contains(&a.as_str())) {
        let said = format!(
            "={acks}: records that Kafka loses count as stored; remove it to have them acknowledged by all replicas"
        );
        warn(&mut out, "acks", said);
    }
    join_sasl(java, &mut out, &mut problems);
    stores::join(java, &mut out, &mut problems);
    let ours = out.native.clone();
    for (key, value) in &ours {
        if let Native::Wrong(reason) = native_problem(role, key, value) {
            let java_key =
                java.keys().find(|k| matches!(rule(role, k), Some(To(n) | By(n, _)) if n == key)).unwrap_or(key);
            problems.push(Problem { key: java_key.to_owned(), reason });
        }
    }
    problems.dedup();
    if problems.is_empty() { Ok(out) } else { Err(problems) }
}

fn warn(out: &mut ClientSettings, key: &str, reason: String) {
    out.warnings.push(Problem { key: key.to_owned(), reason });
}

enum Native {
    Fine,
    Unknown,
    Wrong(String),
}

// librdkafka itself is asked: its own list of keys and values is the only one that is always right.
fn native_problem(role: Role, key: &str, value: &str) -> Native {
    use rdkafka::{error::KafkaError, types::RDKafkaConfRes as Res};
    let mut config = ClientConfig::new();
    config.set(key, value);
    match config.create_native_config() {
        Ok(_) => Native::Fine,
        Err(KafkaError::ClientConfig(Res::RD_KAFKA_CONF_UNKNOWN, ..)) => Native::Unknown,
        Err(KafkaError::ClientConfig(_, reason, ..)) => {
            // Secrets may stand in the value, so librdkafka's text is cut before it quotes one.
            let secret = key.contains("password") || key.contains("secret") || key.contains("pem");
            Native::Wrong(if secret {
                "librdkafka refuses the value".into()
            } else {
                let reason = in_javas_names(role, &reason);
                if reason.contains(value) { reason } else { format!("{reason} (the value is {value})") }
            })
        }
        Err(e) => Native::Wrong(e.to_string()),
    }
}

/// librdkafka's other names of keys that pass under Java's; its messages use either.
const SYNONYMS: &[(&str, &str)] = &[
    ("request.required.acks", "acks"),
    ("queue.buffering.max.ms", "linger.ms"),
    ("message.timeout.ms", "delivery.timeout.ms"),
    ("message.send.max.retries", "retries"),
    ("compression.codec", "compression.type"),
    ("max.in.flight", "max.in.flight.requests.per.connection"),
    ("metadata.broker.list", "bootstrap.servers"),
];

/// A message of librdkafka with the names that Java's client of that role has for its keys.
pub(crate) fn in_javas_names(role: Role, text: &str) -> String {
    let ours = |word: &str| {
        let synonym = SYNONYMS.iter().find(|(native, _)| *native == word).map(|(_, java)| *java);
        synonym.or_else(|| {
            let renamed = |rule: &Rule| matches!(rule, To(n) | By(n, _) if *n == word);
            TABLE.iter().find(|(_, roles, rule)| roles.contains(&role) && renamed(rule)).map(|(java, ..)| *java)
        })
    };
    let is_key = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '_';
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_key) {
        let end = rest[start..].find(|c| !is_key(c)).map_or(rest.len(), |n| start + n);
        out.push_str(&rest[..start]);
        out.push_str(ours(&rest[start..end]).unwrap_or(&rest[start..end]));
        rest = &rest[end..];
    }
    out + rest
}

fn join_sasl(java: &Settings, out: &mut ClientSettings, problems: &mut Vec<Problem>) {
    let mut refuse = |key: &str, reason: String| problems.push(Problem { key: key.to_owned(), reason });
    if let Some(handler) = java.get("sasl.login.callback.handler.class")
        && !handler.trim().ends_with(".OAuthBearerLoginCallbackHandler")
    {
        refuse("sasl.login.callback.handler.class", NO_PLUGIN.into());
    }
    let endpoint = java.get("sasl.oauthbearer.token.endpoint.url").map(str::trim);
    if let Some(url) = endpoint {
        out.native.insert("sasl.oauthbearer.method".into(), "oidc".into());
        out.native.insert("sasl.oauthbearer.token.endpoint.url".into(), url.into());
    }
    let Some(text) = java.get("sasl.jaas.config") else { return };
    let login = match jaas::parse(text) {
        Ok(login) => login,
        Err(reason) => return refuse("sasl.jaas.config", reason),
    };
    let option = |name: &str| login.options.get(name).cloned();
    let mut copy = |from: &str, to: &str| match option(from) {
        Some(value) => drop(out.native.insert(to.to_owned(), value)),
        None => refuse("sasl.jaas.config", format!("the login module {} needs the option {from}", login.module)),
    };
    match login.module.as_str() {
        "PlainLoginModule" | "ScramLoginModule" => {
            copy("username", "sasl.username");
            copy("password", "sasl.password");
        }
        "OAuthBearerLoginModule" if endpoint.is_some() => {
            copy("clientId", "sasl.oauthbearer.client.id");
            copy("clientSecret", "sasl.oauthbearer.client.secret");
            if let Some(scope) = option("scope") {
                out.native.insert("sasl.oauthbearer.scope".into(), scope);
            }
        }
        "OAuthBearerLoginModule" => match option("unsecuredLoginStringClaim_sub") {
            Some(principal) => {
                out.native.insert("enable.sasl.oauthbearer.unsecure.jwt".into(), "true".into());
                out.native.insert("sasl.oauthbearer.config".into(), format!("principal={principal}"));
            }
            None => refuse(
                "sasl.jaas.config",
                "set sasl.oauthbearer.token.endpoint.url with clientId and clientSecret, or unsecuredLoginStringClaim_sub".into(),
            ),
        },
        "Krb5LoginModule" => {
            refuse("sasl.jaas.config", "Kerberos (GSSAPI) is not built in; use SCRAM, PLAIN, OAUTHBEARER or TLS".into());
        }
        other => refuse(
            "sasl.jaas.config",
            format!("unknown login module {other}; known are PlainLoginModule, ScramLoginModule and OAuthBearerLoginModule"),
        ),
    }
}

fn mechanism(v: &str) -> Result<String, String> {
    let known = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"];
    if known.contains(&v) {
        return Ok(v.to_owned());
    }
    Err(format!("{v} is none of {}; Kerberos (GSSAPI) is not built in", known.join(", ")))
}

fn protocol(v: &str) -> Result<String, String> {
    let known = ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"];
    match known.iter().find(|k| k.eq_ignore_ascii_case(v)) {
        Some(known) => Ok(known.to_ascii_lowercase()),
        None => Err(format!("{v} is none of {}", known.join(", "))),
    }
}

fn number(v: &str) -> Result<i64, String> {
    v.parse().map_err(|_| format!("{v} is not a whole number"))
}

fn at_least_1(v: &str) -> Result<String, String> {
    Ok(number(v)?.max(1).to_string())
}

fn at_least_10(v: &str) -> Result<String, String> {
    Ok(number(v)?.max(10).to_string())
}

fn at_least_1000(v: &str) -> Result<String, String> {
    Ok(number(v)?.max(1000).to_string())
}

fn minus_one_is_zero(v: &str) -> Result<String, String> {
    Ok(number(v)?.max(0).to_string())
}

fn kilobytes(v: &str) -> Result<String, String> {
    Ok((number(v)? / 1024).max(1).to_string())
}

fn max_is_endless(v: &str) -> Result<String, String> {
    let ms = number(v)?;
    Ok(if ms >= i64::from(i32::MAX) { 0 } else { ms }.to_string())
}

fn none_if_empty(v: &str) -> Result<String, String> {
    Ok(if v.is_empty() { "none".into() } else { v.to_ascii_lowercase() })
}

fn colons(v: &str) -> Result<String, String> {
    Ok(v.split(',').map(str::trim).collect::<Vec<_>>().join(":"))
}

fn offset_reset(v: &str) -> Result<String, String> {
    match v.to_ascii_lowercase().as_str() {
        v @ ("earliest" | "latest") => Ok(v.to_owned()),
        "none" => Ok("error".into()),
        _ => Err(format!("{v} is none of earliest, latest, none")),
    }
}

fn partitioner(v: &str) -> Result<String, String> {
    match v.rsplit('.').next() {
        Some("DefaultPartitioner" | "UniformStickyPartitioner" | "") => Ok("murmur2_random".into()),
        Some("RoundRobinPartitioner") => Ok("random".into()),
        // librdkafka's own names.
        Some("murmur2_random" | "murmur2" | "consistent" | "consistent_random" | "random") => Ok(v.to_owned()),
        _ => Err(format!("{v} cannot be loaded; remove it: keys go to the partitions of Java's default partitioner")),
    }
}

fn assignors(v: &str) -> Result<String, String> {
    let known = |class: &str| match class.rsplit('.').next() {
        Some("RangeAssignor" | "range") => Ok("range"),
        Some("RoundRobinAssignor" | "roundrobin") => Ok("roundrobin"),
        Some("CooperativeStickyAssignor" | "cooperative-sticky") => Ok("cooperative-sticky"),
        _ => Err(format!("{class} is none of RangeAssignor, RoundRobinAssignor, CooperativeStickyAssignor")),
    };
    let names = v.split(',').map(|c| known(c.trim())).collect::<Result<Vec<_>, _>>()?;
    // Java lets both kinds stand side by side for a rolling upgrade; librdkafka does not.
    let cooperative = names.contains(&"cooperative-sticky");
    let names: Vec<_> = names.into_iter().filter(|n| !cooperative || *n != "cooperative-sticky").collect();
    Ok(if names.is_empty() { "cooperative-sticky".into() } else { names.join(",") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn native(role: Role, java: &[(&str, &str)]) -> BTreeMap<String, String> {
        translate(role, &java.iter().copied().collect()).expect("translates").native
    }

    fn reason(role: Role, key: &str, value: &str) -> String {
        let problems = translate(role, &Settings::from([(key, value)])).expect_err("must be refused");
        assert_eq!(problems[0].key, key);
        problems[0].reason.clone()
    }

    #[test]
    fn every_native_name_in_the_table_is_one_of_librdkafkas() {
        let sample = |key: &str| match key {
            "client.dns.lookup" => "use_all_dns_ips",
            "isolation.level" => "read_committed",
            "sasl.mechanism" => "PLAIN",
            "compression.type" => "zstd",
            "acks" => "all",
            "metadata.recovery.strategy" => "none",
            "security.protocol" => "SSL",
            "ssl.endpoint.identification.algorithm" => "https",
            "auto.offset.reset" => "earliest",
            "partitioner.class" => "org.apache.kafka.clients.producer.internals.DefaultPartitioner",
            "partition.assignment.strategy" => "org.apache.kafka.clients.consumer.RangeAssignor",
            "bootstrap.servers" | "client.id" | "client.rack" | "group.id" | "group.instance.id" => "x",
            "ssl.cipher.suites" => "ECDHE-RSA-AES256-GCM-SHA384",
            "compression.gzip.level" | "compression.lz4.level" => "3",
            k if k.starts_with("enable.") || k.starts_with("allow.") || k == "check.crcs" => "true",
            "max.in.flight.requests.per.connection" => "5",
            _ => "6000",
        };
        for (key, roles, rule) in TABLE {
            if matches!(rule, Same | To(_) | By(..)) {
                for role in *roles {
                    let made = translate(*role, &Settings::from([(*key, sample(key))]));
                    assert!(
                        matches!(&made, Ok(m) if m.warnings.is_empty() && m.native.keys().filter(|k| !k.starts_with("reconnect.")).count() + usize::from(key.starts_with("reconnect.")) == 1),
                        "{key} {role:?}: {made:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn values_are_converted_where_librdkafka_counts_otherwise() {
        let made = native(
            Producer,
            &[("buffer.memory", "33554432"), ("delivery.timeout.ms", "2147483647"), ("send.buffer.bytes", "-1")],
        );
        assert_eq!(made["queue.buffering.max.kbytes"], "32768");
        assert_eq!(made["delivery.timeout.ms"], "0");
        assert_eq!(made["socket.send.buffer.bytes"], "0");
        let made = native(Consumer, &[("auto.offset.reset", "NONE"), ("fetch.max.wait.ms", "100")]);
        assert_eq!((made["auto.offset.reset"].as_str(), made["fetch.wait.max.ms"].as_str()), ("error", "100"));
    }

    #[test]
    fn the_login_module_becomes_user_and_password() {
        let jaas =
            "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"alice\" password=\"a b\";";
        let made = native(
            Admin,
            &[("security.protocol", "SASL_SSL"), ("sasl.mechanism", "SCRAM-SHA-512"), ("sasl.jaas.config", jaas)],
        );
        assert_eq!((made["sasl.username"].as_str(), made["sasl.password"].as_str()), ("alice", "a b"));
        assert_eq!(made["security.protocol"], "sasl_ssl");
        assert!(reason(Admin, "sasl.jaas.config", "x.ScramLoginModule required username=\"a\";").contains("password"));
        assert!(reason(Admin, "sasl.jaas.config", "x.Krb5LoginModule required;").contains("Kerberos"));
    }

    #[test]
    fn what_cannot_be_translated_is_refused_with_the_way_out() {
        assert!(reason(Producer, "key.serializer", "a.StringSerializer").contains("key.converter"));
        assert!(reason(Consumer, "enable.auto.commit", "true").contains("worker commits"));
        assert!(reason(Producer, "interceptor.classes", "a.B").contains("remove it"));
        assert!(reason(Producer, "partitioner.class", "a.MyPartitioner").contains("Java's default partitioner"));
        assert!(reason(Producer, "acks", "7000").contains("acks"));
        assert!(reason(Producer, "linger.ms", "soon").to_lowercase().contains("invalid value"));
        assert_eq!(reason(Consumer, "max.poll.records", "0"), "0 is not a number from 1 up");
    }

    #[test]
    fn librdkafkas_own_keys_pass_and_unknown_ones_are_warned_of() {
        assert_eq!(native(Producer, &[("queue.buffering.max.messages", "5")])["queue.buffering.max.messages"], "5");
        let made = translate(Producer, &Settings::from([("linger.m", "5")])).expect("a warning only");
        let warning = &made.warnings[0];
        assert_eq!(warning.key, "linger.m");
        assert!(warning.reason.starts_with(" is not a setting"), "{warning:?}");
    }

    #[test]
    fn cooperative_and_eager_assignors_side_by_side_become_eager() {
        let both = "org.apache.kafka.clients.consumer.RangeAssignor,org.apache.kafka.clients.consumer.CooperativeStickyAssignor";
        assert_eq!(assignors(both), Ok("range".into()));
        assert_eq!(
            assignors("org.apache.kafka.clients.consumer.CooperativeStickyAssignor"),
            Ok("cooperative-sticky".into())
        );
        assert!(assignors("a.StickyAssignor").is_err());
    }

    #[test]
    fn librdkafka_has_every_codec_and_login() {
        let config = ClientConfig::new().create_native_config().expect("configuration");
        let features = config.get("builtin.features").expect("features");
        let built: Vec<&str> = features.trim_end_matches('\0').split(',').collect();
        for wanted in ["gzip", "snappy", "lz4", "zstd", "ssl", "sasl_plain", "sasl_scram", "sasl_oauthbearer", "oidc"] {
            assert!(built.contains(&wanted), "{wanted} is not in {built:?}");
        }
    }

    #[test]
    fn messages_name_javas_keys_and_the_value() {
        let problems = translate(Producer, &Settings::from([("linger.ms", "-5"), ("acks", "some")])).expect_err("both");
        let text = format!("{problems:?}");
        assert!(text.contains("linger.ms") && text.contains("-5") && text.contains("some"), "{text}");
        assert!(!text.contains("queue.buffering") && !text.contains("request.required"), "{text}");
        let java = "`buffer.memory` and `acks` of send.buffer.bytes.";
        let native = "`queue.buffering.max.kbytes` and `request.required.acks` of send.buffer.bytes.";
        assert_eq!(in_javas_names(Producer, native), java);
    }
}
