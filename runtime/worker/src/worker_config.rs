//! Settings of the worker itself (config.md §1–2).

use connect_api::{
    Error, Result, Settings,
    config::{ClassName, Config, Key, Millis, Problem, Problems, missing_value},
};
use connect_kafka::{ClientSettings, Lease, Role, settings as client};

use crate::{
    distributed::{BETWEEN_WORKERS, DistributedConfig},
    override_policy::OverridePolicy,
    providers::{self, Providers, secrets::Secrets},
    registry::nearest,
    rest::{
        Listener,
        basic_auth::{EXTENSION, JAAS_FILE},
        browsers::header_rules,
        tls,
    },
    restart::{Policy, RestartConfig},
    unknown_keys,
};

connect_api::config_enum! {
    /// How log lines are written.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum LogFormat {
        /// For people.
        Text = "text",
        /// For programs: an object a line.
        Json = "json",
    }
}

connect_api::config! {
    /// Settings of every worker.
    #[derive(Debug, Clone)]
    pub struct WorkerConfig {
        /// Kafka brokers as host:port, separated by commas.
        bootstrap_servers: Vec<String> = Key::new("bootstrap.servers").default("localhost:9092").high(),
        /// Default converter of record keys.
        key_converter: ClassName = Key::new("key.converter").high(),
        /// Default converter of record values.
        value_converter: ClassName = Key::new("value.converter").high(),
        /// Default converter of headers.
        header_converter: ClassName = Key::new("header.converter")
            .default("org.apache.kafka.connect.storage.SimpleHeaderConverter").low(),
        /// How long all tasks that are being stopped may take together.
        shutdown_timeout: Millis = Key::new("task.shutdown.graceful.timeout.ms").default("5000").low(),
        /// How often offsets are committed.
        flush_interval: Millis = Key::new("offset.flush.interval.ms").default("60000").low()
            .check(|ms: &Millis| if ms.0.is_zero() { Err("Value must be at least 1".into()) } else { Ok(()) }),
        /// Longest wait for records and offsets to be stored when offsets are committed.
        flush_timeout: Millis = Key::new("offset.flush.timeout.ms").default("5000").low(),
        /// File that keeps source offsets. Without it, which only the embedded broker allows, they live in memory.
        offset_file: Option<String> = Key::new("offset.storage.file.filename").high(),
        /// Addresses of the REST API, such as http://127.0.0.1:8083 or https://:8443. For https the ssl.* settings say
        /// key and certificate; if there is any below listeners.https., only those count.
        listeners: Vec<String> = Key::new("listeners").default("http://:8083").low().check(|l: &Vec<String>| listeners_are_right(l)),
        /// Addresses for log levels (/admin/loggers) alone. Where it is not set they are on the other listeners, empty
        /// is nowhere. TLS settings stand below admin.listeners.https.
        admin_listeners: Option<Vec<String>> = Key::new("admin.listeners").low()
            .check(|l: &Option<Vec<String>>| l.iter().flatten().try_for_each(|l| listener(l).map(drop))),
        /// Origins of web pages that may use the REST API, separated by commas; * stands for any text.
        cors_origin: String = Key::new("access.control.allow.origin").default("").low(),
        /// Methods that pages of those origins may use; GET, POST and HEAD where it is empty.
        cors_methods: String = Key::new("access.control.allow.methods").default("").low(),
        /// Further headers of every answer: rules such as add Cache-Control: no-cache, separated by commas, in double
        /// quotes where they hold commas; actions are set, add, setDate and addDate.
        response_headers: String = Key::new("response.http.headers.config").default("").low()
            .check(|text: &String| header_rules(text).map(drop)),
        /// Extensions of the REST API. There is one, BasicAuthSecurityRestExtension, which asks for user and password.
        rest_extensions: Vec<String> = Key::new("rest.extension.classes").default("").low()
            .check(|all: &Vec<String>| extensions_are_known(all)),
        /// JAAS file whose entry KafkaConnect names PropertyFileLoginModule and the properties file with users and
        /// passwords. For a JVM it is a system property.
        jaas_file: Option<String> = Key::new(JAAS_FILE),
        /// Which of the listeners statuses show, http or https; http where there is one.
        advertised_listener: Option<String> = Key::new("rest.advertised.listener").low()
            .check(|l: &Option<String>| match l.as_deref().map(str::to_ascii_lowercase).as_deref() {
                None | Some("http" | "https") => Ok(()),
                Some(_) => Err("it is neither http nor https".into()),
            }),
        /// Host name that statuses show as part of the worker's id.
        advertised_host: Option<String> = Key::new("rest.advertised.host.name").low(),
        /// Port that statuses show as part of the worker's id.
        advertised_port: Option<i32> = Key::new("rest.advertised.port").low(),
        /// Which settings of Kafka clients connectors may set: All, None, or Principal, which is sasl.jaas.config,
        /// sasl.mechanism and security.protocol.
        override_policy: OverridePolicy = Key::new("connector.client.config.override.policy").default("All"),
        /// Whether source connectors may have topics created by their topic.creation.* settings.
        topic_creation: bool = Key::new("topic.creation.enable").default("true").low(),
        /// Aliases of config providers, to which references such as ${file:/etc/secrets.properties:password} in all
        /// settings but plugin.path are resolved. config.providers.ALIAS.class is FileConfigProvider,
        /// DirectoryConfigProvider or EnvVarConfigProvider; below config.providers.ALIAS.param. stand allowed.paths of
        /// the first two and allowlist.pattern of the last.
        config_providers: Vec<String> = Key::new(providers::ALIASES).default("").low(),
        /// Whether the worker notes which topics connectors use, for GET /connectors/{name}/topics.
        topic_tracking: bool = Key::new("topic.tracking.enable").default("true").low(),
        /// Whether those may be reset, by PUT /connectors/{name}/topics/reset.
        topic_reset: bool = Key::new("topic.tracking.allow.reset").default("true").low(),
        /// Where keyed state of connectors is kept.
        state_topic: String = Key::new("state.storage.topic").default("connect-state").low().non_empty(),
        /// Replication factor of the topic for keyed state where it has to be created; -1 is the broker's default.
        state_replication: i16 = Key::new("state.storage.replication.factor").default("-1").low(),
        /// How long a running task that has something to do may go without getting on before its status shows it as
        /// stalled, with what it is doing; 0 is for ever. Something to do is a call of the connector that has not
        /// returned, a record that Kafka has not acknowledged, and for sinks records that Kafka has.
        stalled_after: Millis = Key::new("task.stalled.after.ms").default("60000").low(),
        /// How log lines are written: text, or json, which is an object a line with timestamp, level, target, message,
        /// connector, task, and further fields below fields. The option --log-format and the environment variable
        /// CONNECTD_LOG_FORMAT go before it.
        log_format: LogFormat = Key::new("log.format").default("text").low(),
    }
}

fn listeners_are_right(listeners: &[String]) -> Result<(), String> {
    if listeners.is_empty() {
        return Err("at least one listener is needed, such as http://127.0.0.1:8083".into());
    }
    listeners.iter().try_for_each(|l| listener(l).map(drop))
}

fn extensions_are_known(all: &[String]) -> Result<(), String> {
    match all.iter().find(|name| !EXTENSION.contains(&name.as_str())) {
        Some(other) => Err(format!(
            "{other} cannot be loaded without a JVM; {} is built in, for anything else put a proxy in front",
            EXTENSION[1]
        )),
        None => Ok(()),
    }
}

/// An address of the REST API; an empty host means all interfaces.
pub fn listener(text: &str) -> Result<Listener, String> {
    let (scheme, rest) = text.split_once("://").unwrap_or_default();
    let https = match scheme.to_ascii_lowercase().as_str() {
        "http" => false,
        "https" => true,
        _ => return Err(format!("{text} is not of the form http://host:port or https://host:port")),
    };
    let address = rest.trim_end_matches('/');
    let (host, port) =
        address.rsplit_once(':').ok_or_else(|| format!("{text} has no port; expected {scheme}://host:port"))?;
    let port = port.parse().map_err(|_| format!("{text} has no port from 0 to 65535"))?;
    Ok(Listener { https, host: host.trim_matches(['[', ']']).to_owned(), port })
}

/// Keys of Kafka Connect that change what a worker does and that this one cannot honour.
const REFUSED: &[(&str, &str)] = &[("exactly.once.source.support", "delivery is at least once; remove it")];

/// Keys that have no meaning without a JVM, or none in standalone mode; accepted so that files work as they are.
const INERT: &[&str] = &[
    "plugin.path",
    "plugin.discovery",
    "internal.key.converter",
    "internal.value.converter",
    "metrics.sample.window.ms",
    "metrics.num.samples",
    "metrics.recording.level",
    "metric.reporters",
];

/// Further settings of the topics that keep state.
const STORAGE: &[&str] = &["config.storage.", "offset.storage.", "status.storage."];

const PREFIXES: &[&str] = &[
    "key.converter.",
    "value.converter.",
    "header.converter.",
    "producer.",
    "consumer.",
    "admin.",
    "metrics.context.",
    "listeners.https.",
    "admin.listeners.https.",
    "config.providers.",
];

/// A worker's settings, read and checked.
#[derive(Debug, Clone)]
pub struct Worker {
    /// The typed settings.
    pub config: WorkerConfig,
    /// All settings, references resolved.
    pub settings: Settings,
    /// Whether the broker is the embedded one, which has no admin requests.
    pub embedded: bool,
    /// Whether what fails is left to a person unless settings say otherwise, as users of Kafka Connect's properties
    /// files expect.
    pub restarts_off: bool,
    /// Settings of a distributed worker; a standalone one has none.
    pub distributed: Option<DistributedConfig>,
    /// What references in settings are resolved by.
    pub providers: Providers,
    /// Whether the worker has its place in the cluster, without which it writes nothing.
    pub lease: Lease,
}

impl Worker {
    /// Reads worker settings as written. The error lists every problem.
    pub fn read(written: Settings, embedded: bool) -> Result<Self, Problems> {
        let providers = Providers::read(&written, Secrets::default())?;
        let resolved = providers.resolve_worker(&written).map_err(|e| {
            let mut problems = Problems::new();
            problems.add(providers::ALIASES, e.one_line());
            problems
        })?;
        Self::read_resolved(resolved.settings, providers, embedded)
    }

    /// Reads worker settings in which these providers have resolved references. The error lists every problem.
    pub fn read_resolved(settings: Settings, providers: Providers, embedded: bool) -> Result<Self, Problems> {
        let mut problems = Problems::new();
        let distributed = match settings.contains("group.id").then(|| DistributedConfig::parse(&settings)).transpose() {
            Ok(_) if embedded && settings.contains("group.id") => {
                problems.add(
                    "group.id",
                    "group.id asks for a distributed worker, which the embedded broker cannot have because its topics are \
                     not compacted; remove group.id, or start without --embedded",
                );
                None
            }
            Ok(distributed) => {
                // A member of the worker's group has other defaults than a consumer.
                if let Some(d) = distributed.as_ref().filter(|d| d.heartbeat_interval.0 >= d.session_timeout.0) {
                    let text = format!(
                        "Heartbeat must be set lower than the session timeout: session.timeout.ms is {} and \
                         heartbeat.interval.ms {}",
                        d.session_timeout.0.as_millis(),
                        d.heartbeat_interval.0.as_millis()
                    );
                    problems.add("heartbeat.interval.ms", text);
                }
                if let Some((key, text)) = distributed.as_ref().and_then(DistributedConfig::same_topics) {
                    problems.add(key, text);
                }
                distributed
            }
            Err(found) => {
                for p in found.iter() {
                    problems.add(p.key.clone(), p.text.clone());
                }
                None
            }
        };
        for (key, way_out) in REFUSED {
            let harmless =
                |v: &str| v.trim().is_empty() || (*key == "exactly.once.source.support" && v.trim() == "disabled");
            if settings.get(key).is_some_and(|v| !harmless(v)) {
                problems.add(*key, format!("{key} is not supported: {way_out}"));
            }
        }
        if !embedded && !settings.contains("group.id") && !settings.contains("offset.storage.file.filename") {
            problems.add("offset.storage.file.filename", missing_value("offset.storage.file.filename"));
        }
        if let Err(found) = Policy::of(&settings, &Settings::new(), false) {
            for p in found.iter() {
                problems.add(p.key.clone(), p.text.clone());
            }
        }
        match WorkerConfig::parse(&settings) {
            Ok(config) if problems.is_empty() => {
                let lease = distributed.as_ref().map(|d| Lease::awaited(d.session_timeout.0)).unwrap_or_default();
                Ok(Self { config, settings, embedded, restarts_off: false, distributed, providers, lease })
            }
            Ok(_) => Err(problems),
            Err(mut all) => {
                for p in problems.iter() {
                    all.add(p.key.clone(), p.text.clone());
                }
                Err(all)
            }
        }
    }

    /// Settings that nobody reads, each with the nearest name that somebody does, whatever else is wrong.
    pub fn unknown_keys(settings: &Settings) -> Vec<Problem> {
        let mut unknown = Providers::unknown_keys(settings);
        let definition = WorkerConfig::definition();
        let of_cluster = DistributedConfig::definition();
        for key in settings.keys() {
            let known = definition.key(key).is_some()
                || of_cluster.key(key).is_some()
                || RestartConfig::definition().key(key).is_some()
                || BETWEEN_WORKERS.contains(&key)
                || INERT.contains(&key)
                || tls::KNOWN.contains(&key)
                || REFUSED.iter().any(|(k, _)| *k == key)
                || PREFIXES.iter().any(|p| key.starts_with(p))
                || client::is_known(Role::Admin, key)
                || STORAGE.iter().any(|p| key.starts_with(p));
            if !known {
                let mut all: Vec<String> = definition.keys().iter().map(|k| k.name.clone()).collect();
                all.extend(of_cluster.keys().iter().map(|k| k.name.clone()));
                all.extend(INERT.iter().copied().chain(client::known_keys(Role::Admin)).map(str::to_owned));
                let hint = nearest(key, all.iter().map(String::as_str))
                    .map(|n| format!("; did you mean {n}?"))
                    .unwrap_or_default();
                let text = format!("the worker setting {key} is unknown and has no effect{hint}");
                unknown.push(Problem { key: key.to_owned(), text });
            }
        }
        unknown
    }

    /// What every client would be refused for, each once, whatever else is wrong.
    pub fn client_problems(settings: &Settings) -> Vec<Problem> {
        let mut all: Vec<Problem> = Vec::new();
        for (role, prefix) in WITH_PREFIX {
            let translated = connect_kafka::translate(role, &clients_part(settings, role, prefix));
            let from = |key: &str| match settings.contains(&format!("{prefix}{key}")) {
                true => format!("{prefix}{key}"),
                false => key.to_owned(),
            };
            for p in translated.err().into_iter().flatten() {
                let key = from(&p.key);
                if !all.iter().any(|known| known.key == key) {
                    all.push(Problem { text: format!("{key}: {}", p.reason), key });
                }
            }
            let late = late_heartbeat(&settings.prefixed(prefix), from)
                .filter(|_| role == Role::Consumer && !prefix.is_empty());
            all.extend(late.map(|text| Problem { key: format!("{prefix}heartbeat.interval.ms"), text }));
        }
        all
    }

    /// Settings of a client of this connector: the worker's addresses, the worker's settings under the
    /// role's prefix, then the connector's overrides (config.md §7).
    pub fn client(&self, role: Role, connector: &Settings, id: &str) -> Result<ClientSettings> {
        let (prefix, overrides) = prefixes(role);
        let java = self.java_client(role, connector, id);
        let from = |key: &str| {
            if connector.contains(&format!("{overrides}{key}")) {
                format!("{overrides}{key}")
            } else if self.settings.contains(&format!("{prefix}{key}")) {
                format!("{prefix}{key}")
            } else {
                key.to_owned()
            }
        };
        let translated = connect_kafka::translate(role, &java).map_err(|problems| {
            let texts: Vec<String> = problems.into_iter().map(|p| format!("{}: {}", from(&p.key), p.reason)).collect();
            Error::fatal(texts.join("; ")).exception("org.apache.kafka.common.config.ConfigException")
        })?;
        if role == Role::Consumer
            && let Some(text) = late_heartbeat(&java, from)
        {
            let cause = Error::fatal(text).exception("java.lang.IllegalArgumentException");
            let e = cause.context("Failed to construct kafka consumer");
            return Err(e.exception("org.apache.kafka.common.KafkaException"));
        }
        // Those of the worker are told when it is started.
        let own = |key: &str| connector.contains(&format!("{overrides}{key}"));
        for warning in translated.warnings.iter().filter(|warning| own(&warning.key)) {
            tracing::warn!("{}", unknown_keys::client_warning(role, overrides, warning));
        }
        Ok(translated)
    }

    /// As [`Worker::client`], by the names of Java's clients.
    pub fn java_client(&self, role: Role, connector: &Settings, id: &str) -> Settings {
        let (prefix, overrides) = prefixes(role);
        let mut java = Settings::new();
        java.set("client.id", id);
        if role == Role::Admin {
            // Only the admin client sees the worker's settings without prefix.
            java.extend(&clients_part(&self.settings, role, ""));
        }
        java.set("bootstrap.servers", self.config.bootstrap_servers.join(","));
        java.extend(&clients_part(&self.settings, role, prefix));
        java.extend(&connector.prefixed(overrides));
        java
    }

    /// Settings of the worker's own clients, without any prefix.
    pub fn own_client(&self, role: Role, id: &str) -> Result<ClientSettings> {
        let mut java = clients_part(&self.settings, role, "");
        java.set("client.id", id).set("bootstrap.servers", self.config.bootstrap_servers.join(","));
        connect_kafka::translate(role, &java).map_err(|problems| {
            let texts: Vec<String> = problems.into_iter().map(|p| format!("{}: {}", p.key, p.reason)).collect();
            Error::fatal(texts.join("; "))
        })
    }
}

/// Where worker settings of clients stand: those of the worker's own clients without a prefix.
pub(crate) const WITH_PREFIX: [(Role, &str); 4] =
    [(Role::Admin, ""), (Role::Producer, "producer."), (Role::Consumer, "consumer."), (Role::Admin, "admin.")];

/// The worker's settings that are for clients, below a prefix or without one.
pub(crate) fn clients_part(settings: &Settings, role: Role, prefix: &str) -> Settings {
    if prefix.is_empty() {
        // Java's clients read this one, too; it is the worker's, whoever else is told of it.
        let own = |k: &str| client::is_known(Role::Admin, k) && k != "config.providers";
        return settings.iter().filter(|(k, _)| own(k)).collect();
    }
    // admin.listeners and what is below is about the REST API, although it begins like a setting of the client.
    let own = settings.prefixed(prefix);
    own.iter().filter(|(k, _)| role != Role::Admin || !k.starts_with("listeners")).collect()
}

/// Where the worker and a connector have their settings of a role.
fn prefixes(role: Role) -> (&'static str, &'static str) {
    match role {
        Role::Producer => ("producer.", "producer.override."),
        Role::Consumer => ("consumer.", "consumer.override."),
        Role::Admin => ("admin.", "admin.override."),
    }
}

/// What Java's consumer refuses: a session that could be over before its next heartbeat. `from` names the settings.
fn late_heartbeat(java: &Settings, from: impl Fn(&str) -> String) -> Option<String> {
    let [(session, session_ms), (heartbeat, heartbeat_ms)] =
        [("session.timeout.ms", "45000"), ("heartbeat.interval.ms", "3000")].map(|(key, default)| {
            match java.get(key) {
                Some(value) => (from(key), value.trim()),
                None => (key.to_owned(), default),
            }
        });
    let late = heartbeat_ms.parse::<i64>().ok()? >= session_ms.parse::<i64>().ok()?;
    late.then(|| {
        format!("Heartbeat must be set lower than the session timeout: {session} is {session_ms} and {heartbeat} {heartbeat_ms}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(extra: &[(&str, &str)]) -> Settings {
        let mut s = Settings::from([
            ("key.converter", "StringConverter"),
            ("value.converter", "JsonConverter"),
            ("offset.storage.file.filename", "/tmp/o"),
        ]);
        for (k, v) in extra {
            s.set(*k, *v);
        }
        s
    }

    fn problems(extra: &[(&str, &str)]) -> Vec<String> {
        Worker::read(settings(extra), false).expect_err("problems").iter().map(|p| p.text.clone()).collect()
    }

    #[test]
    fn a_worker_file_of_kafka_connect_is_read() {
        let given = settings(&[("plugin.path", "/x"), ("producer.acks", "all"), ("security.protocol", "PLAINTEXT")]);
        assert!(Worker::unknown_keys(&given).is_empty());
        Worker::read(given, false).expect("worker");
    }

    #[test]
    fn problems_are_named_with_the_way_out() {
        let all = problems(&[("group.id", "g"), ("status.storage.topic", "s")]);
        assert!(all[0].contains("config.storage.topic") && all[1].contains("offset.storage.topic"), "{all:?}");
        assert!(problems(&[("listeners", "ftp://:1")])[0].contains("http://host:port"));
        assert!(
            problems(&[("rest.extension.classes", "x.Y")])[0].contains("BasicAuthSecurityRestExtension is built in")
        );
        assert!(problems(&[("listeners", "localhost")])[0].contains("http://host:port"));
        assert!(problems(&[("offset.flush.interval.ms", "x")])[0].contains("Not a number of type LONG"));
        let all = Worker::read(Settings::new(), false).expect_err("nothing is set");
        assert_eq!(all.len(), 3, "{all:?}");
    }

    #[test]
    fn what_clients_would_be_refused_for_is_named_once_whatever_else_is_wrong() {
        let found = |extra: &[(&str, &str)]| -> Vec<(String, String)> {
            Worker::client_problems(&settings(extra)).into_iter().map(|p| (p.key, p.text)).collect()
        };
        assert_eq!(found(&[("offset.flush.interval.ms", "abc"), ("producer.acks", "0")]), []);
        let all = found(&[
            ("offset.flush.interval.ms", "abc"),
            ("consumer.auto.offset.reset", "foo"),
            ("security.protocol", "FOO"),
        ]);
        let keys: Vec<&str> = all.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["security.protocol", "consumer.auto.offset.reset"], "{all:?}");
        assert!(all[0].1.starts_with("security.protocol: FOO is none of PLAINTEXT, "), "{all:?}");
        assert!(all[1].1.contains("foo"), "{all:?}");
        let late = found(&[("consumer.session.timeout.ms", "6000"), ("consumer.heartbeat.interval.ms", "6000")]);
        assert!(late.len() == 1 && late[0].0 == "consumer.heartbeat.interval.ms", "{late:?}");
    }

    #[test]
    fn unknown_keys_are_warned_of_with_the_nearest_name() {
        let unknown =
            Worker::unknown_keys(&settings(&[("ofset.flush.interval.ms", "1"), ("offset.flush.interval.ms", "x")]));
        assert_eq!(unknown.len(), 1, "{unknown:?}");
        assert_eq!(unknown[0].key, "ofset.flush.interval.ms");
        assert!(unknown[0].text.ends_with("did you mean offset.flush.interval.ms?"), "{unknown:?}");
    }

    #[test]
    fn a_session_that_ends_before_its_next_heartbeat_is_refused_as_by_kafka() {
        let worker = Worker::read(settings(&[("consumer.heartbeat.interval.ms", "6000")]), false).expect("worker");
        let consumer = |ms: &str| {
            let connector = Settings::from([("consumer.override.session.timeout.ms", ms)]);
            worker.client(Role::Consumer, &connector, "c").map(drop)
        };
        assert!(consumer("6001").is_ok());
        let e = consumer("6000").expect_err("too short");
        assert_eq!(
            e.trace(),
            "org.apache.kafka.common.KafkaException: Failed to construct kafka consumer\n\
             Caused by: java.lang.IllegalArgumentException: Heartbeat must be set lower than the session timeout: \
             consumer.override.session.timeout.ms is 6000 and consumer.heartbeat.interval.ms 6000"
        );
        let of_worker = [
            ("group.id", "g"),
            ("config.storage.topic", "c"),
            ("offset.storage.topic", "o"),
            ("status.storage.topic", "s"),
            ("session.timeout.ms", "1"),
        ];
        let texts = problems(&of_worker);
        let text = "Heartbeat must be set lower than the session timeout: session.timeout.ms is 1 and \
                    heartbeat.interval.ms 3000";
        assert!(texts.len() == 1 && texts[0].contains(text), "{texts:?}");
    }

    #[test]
    fn clients_say_nothing_of_providers_that_are_the_workers() {
        let warnings = |extra: &[(&str, &str)]| {
            let worker = Worker::read(settings(extra), false).expect("worker");
            let made = worker.client(Role::Admin, &Settings::new(), "a").expect("settings");
            made.warnings.into_iter().map(|w| w.key).collect::<Vec<_>>()
        };
        let providers = [("config.providers", "f"), ("config.providers.f.class", "FileConfigProvider")];
        assert_eq!(warnings(&providers), [""; 0]);
        assert_eq!(warnings(&[("admin.config.providers", "f"), ("metric.reporters", "x")]).len(), 2);
    }

    #[test]
    fn connector_clients_see_prefixed_settings_only() {
        let worker = Worker::read(settings(&[("producer.linger.ms", "7"), ("send.buffer.bytes", "1000")]), false)
            .expect("worker");
        let connector = Settings::from([("producer.override.linger.ms", "9")]);
        let made = worker.client(Role::Producer, &connector, "connector-producer-c-0").expect("settings");
        assert_eq!(made.native["linger.ms"], "9");
        assert!(!made.native.contains_key("socket.send.buffer.bytes"));
        let worker = Worker::read(settings(&[("admin.listeners", "http://:9"), ("admin.retries", "3")]), false);
        let made = worker.as_ref().expect("worker").client(Role::Admin, &Settings::new(), "a").expect("settings");
        assert!(made.warnings.iter().all(|w| !w.key.contains("listeners")), "{:?}", made.warnings);
        let worker = worker.expect("worker");
        let e =
            worker.client(Role::Producer, &Settings::from([("producer.override.acks", "x")]), "i").expect_err("acks");
        assert!(e.message().starts_with("producer.override.acks"), "{e}");
    }
}
