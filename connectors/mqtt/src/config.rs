//! Settings of the source.

use std::time::Duration;

use connect_api::{
    config::{Key, Problems, Secret},
    template::Template,
};

use crate::address::{self, Address};

connect_api::config_enum! {
    /// Version of the protocol.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Version {
        /// MQTT 3.1.1.
        V3 = "3.1.1",
        /// MQTT 5.
        V5 = "5",
    }
}

connect_api::config_enum! {
    /// What becomes of a message's payload.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Format {
        /// It stays as it is.
        Bytes = "bytes",
        /// A text.
        Text = "string",
        /// What the JSON says.
        Json = "json",
    }
}

connect_api::config_enum! {
    /// Which retained messages are wanted.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Retained {
        /// Those of subscriptions that the session has not got yet.
        New = "new",
        /// All, whenever it connects.
        Always = "always",
        /// None.
        Never = "never",
    }
}

/// What templates know, the value last, of which they know with texts and JSON.
const NAMES: [&str; 7] = ["topic", "levels", "qos", "retained", "properties", "connector", "value"];

connect_api::config! {
    /// The source's settings.
    #[derive(Debug, Clone)]
    pub struct MqttConfig {
        /// Brokers to connect to, such as tcp://broker:1883 or ssl://broker:8883, of which the first that answers is taken.
        /// All must be entrances to one broker or cluster, which keeps the sessions.
        servers: Vec<String> = Key::new("mqtt.server.uri").high().at_least_one().check(|servers: &Vec<String>| {
            all_of(servers, |server| Address::parse(server).map(drop))
        }),
        /// Filters of the MQTT topics to subscribe to, such as site/+/alarm or site/#. Those of shared subscriptions, such as
        /// $share/group/site/#, are subscribed to by each of up to tasks.max tasks, and the broker deals the messages out.
        /// All others belong to the first task, so that without shared subscriptions there is one task.
        topics: Vec<String> = Key::new("mqtt.topics").high().at_least_one().check(|filters: &Vec<String>| {
            all_of(filters, address::check_filter)
        }),
        /// Quality of service that is asked for: with 1 and 2 a message is acknowledged when Kafka has its record and comes
        /// again if it has not; 2 leaves out what comes again as long as the task runs. With 0 what is under way when
        /// a connection breaks or the worker ends is lost. A message has at most the quality that it was published with.
        qos: i32 = Key::new("mqtt.qos").default("1").high().at_least(0).at_most(2),
        /// Topic of the records, or a template of it, in which characters that a topic cannot have become underscores, as in
        /// mqtt.{{levels[1]}}. Names: topic (the MQTT topic), levels (the parts of it), qos, retained, properties (user
        /// properties), connector, value (of texts and JSON).
        kafka_topic: Template = Key::new("kafka.topic").default("mqtt").high().check(not_empty),
        /// Template of the records' keys, with the same names.
        key: Template = Key::new("mqtt.key").default("{{topic}}").check(not_empty),
        /// What becomes of payloads: bytes for as they are; string for texts, which must be UTF-8; json for what the JSON says.
        /// A payload that is not that is a bad record, about which errors.tolerance decides.
        format: Format = Key::new("mqtt.value.format").default("bytes"),
        /// Version of the protocol. With 5 headers tell user properties and more, the broker says why it refuses something,
        /// and the limits of sessions are those of mqtt.receive.maximum and mqtt.session.expiry.seconds.
        version: Version = Key::new("mqtt.version").default("3.1.1"),
        /// Name of the session at the broker, which must be no other client's. Tasks from the second on have their number
        /// behind it. Default: tocsin- and the name of the connector.
        client_id: Option<String> = Key::new("mqtt.client.id"),
        /// Whether the broker forgets the session when the connection ends. By default it keeps it, with what is published
        /// meanwhile.
        clean: bool = Key::new("mqtt.clean.session.enabled").default("false"),
        /// With version 5: how many seconds the broker keeps the session while nobody is connected. With 3.1.1 the broker's own
        /// settings say that.
        session_expiry: i64 = Key::new("mqtt.session.expiry.seconds").default("604800").low()
            .at_least(0).at_most(4_294_967_295),
        /// With version 5: most messages of quality 1 and 2 that the broker sends ahead of acknowledgements. With 3.1.1 the
        /// broker's own settings say that, such as max_inflight_messages of Mosquitto.
        receive_maximum: i32 = Key::new("mqtt.receive.maximum").default("1000").low().at_least(1).at_most(65_535),
        /// Retained messages that are wanted: new for those of subscriptions that the session has not got yet (with version
        /// 3.1.1 they come at each connection, as the protocol has no word for it), always for all of them at each
        /// connection, never for none.
        retained: Retained = Key::new("mqtt.retained").default("new"),
        /// Name of the user.
        username: Option<String> = Key::new("mqtt.username"),
        /// Password of the user.
        password: Option<Secret> = Key::new("mqtt.password"),
        /// How long connecting to a broker may take, and its answers, in seconds.
        connect_timeout: i32 = Key::new("mqtt.connect.timeout.seconds").default("30").low().at_least(1).at_most(3600),
        /// A connection that has been silent for so many seconds is asked for a sign of life, and given up without one.
        keepalive: i32 = Key::new("mqtt.keepalive.interval.seconds").default("60").low().at_least(1).at_most(65_535),
        /// File with the certificates of authorities that brokers' certificates are checked with: PEM or PKCS#12. Default:
        /// those of the system.
        trust_store: Option<String> = Key::new("mqtt.ssl.trust.store.path").high(),
        /// Password of a PKCS#12 file with authorities.
        trust_store_password: Option<Secret> = Key::new("mqtt.ssl.trust.store.password"),
        /// File with the certificate to show and its private key: PEM or PKCS#12.
        key_store: Option<String> = Key::new("mqtt.ssl.key.store.path").high(),
        /// Password of a PKCS#12 file with a certificate.
        key_store_password: Option<Secret> = Key::new("mqtt.ssl.key.store.password"),
        /// Password of the private key of a PEM file. Default: mqtt.ssl.key.store.password.
        key_password: Option<Secret> = Key::new("mqtt.ssl.key.password"),
        /// File with the private key, where it is not in the file with the certificate: PEM.
        key_file: Option<String> = Key::new("mqtt.ssl.key.path"),
        /// Name that the broker's certificate must have. Default: the host of its address.
        server_name: Option<String> = Key::new("mqtt.ssl.server.name").low(),
        /// Largest payload in bytes. A larger one is a bad record, of which a dead letter has the beginning.
        message_limit: i32 = Key::new("mqtt.message.limit").default("1048576").low().at_least(1024).at_most(268_435_455),
        /// Most messages that wait for the task. Then nothing is read from the broker any more.
        queue: i32 = Key::new("mqtt.queue").default("2000").low().at_least(1).at_most(1_000_000),
        /// Most bytes of messages that wait for the task. At least mqtt.message.limit.
        queue_bytes: i32 = Key::new("mqtt.queue.bytes").default("33554432").low().at_least(1),
        /// Most messages of one batch.
        batch_size: i32 = Key::new("batch.size").default("1000").low().at_least(1),
    }
}

impl MqttConfig {
    /// Rules that span several keys.
    pub fn validate(&self, problems: &mut Problems) {
        if self.password().is_some() && self.username().is_none() {
            problems.add("mqtt.username", "mqtt.username must be set with mqtt.password");
        }
        let files = [
            ("mqtt.ssl.trust.store.path", &self.trust_store),
            ("mqtt.ssl.key.store.path", &self.key_store),
            ("mqtt.ssl.key.path", &self.key_file),
            ("mqtt.ssl.server.name", &self.server_name),
        ];
        if self.addresses().iter().all(|address| !address.tls) {
            for (key, _) in files.iter().filter(|(_, file)| given(file).is_some()) {
                problems
                    .add(*key, format!("{key} is for TLS, which no address asks for: write ssl:// in mqtt.server.uri"));
            }
        }
        if given(&self.key_file).is_some() && given(&self.key_store).is_none() {
            let text = "mqtt.ssl.key.store.path must be set with mqtt.ssl.key.path, for the certificate of the key";
            problems.add("mqtt.ssl.key.store.path", text);
        }
        if self.queue_bytes < self.message_limit {
            let text = "mqtt.queue.bytes must be at least mqtt.message.limit, or the largest messages could never wait";
            problems.add("mqtt.queue.bytes", text);
        }
        if !self.kafka_topic.source().contains(['{', '}'])
            && let Err(why) = connect_api::config::topic_name(self.kafka_topic.source())
        {
            problems.invalid("kafka.topic", self.kafka_topic.source(), &why);
        }
        // Payloads that stay as they are have no value that a template could look into.
        let names = if self.format == Format::Bytes { &NAMES[..NAMES.len() - 1] } else { &NAMES[..] };
        for (key, template) in [("kafka.topic", &self.kafka_topic), ("mqtt.key", &self.key)] {
            if let Err(why) = template.check_names(names) {
                problems.invalid(key, template.source(), &why);
            }
        }
        let twice = self.topics.iter().enumerate().filter(|(i, filter)| self.topics[..*i].contains(filter));
        for (_, filter) in twice {
            problems.add("mqtt.topics", format!("{filter} is there twice in mqtt.topics"));
        }
    }

    /// The brokers.
    pub fn addresses(&self) -> Vec<Address> {
        self.servers.iter().filter_map(|server| Address::parse(server).ok()).collect()
    }

    /// The session's name of a task.
    pub fn client_id(&self, connector: &str, task: u32) -> String {
        let base = given(&self.client_id).map_or_else(|| format!("tocsin-{connector}"), str::to_owned);
        if task == 0 { base } else { format!("{base}-{task}") }
    }

    /// What a task subscribes to.
    pub fn filters(&self, task: u32) -> Vec<String> {
        self.topics.iter().filter(|filter| task == 0 || address::is_shared(filter)).cloned().collect()
    }

    /// How many tasks have something to do.
    pub fn tasks(&self, most: usize) -> usize {
        if self.topics.iter().any(|filter| address::is_shared(filter)) { most } else { 1 }
    }

    /// The user, if there is one.
    pub fn username(&self) -> Option<&str> {
        given(&self.username)
    }

    /// The password, if there is one.
    pub fn password(&self) -> Option<&Secret> {
        secret(&self.password)
    }

    /// Quality of service that is asked for.
    pub fn qos(&self) -> u8 {
        u8::try_from(self.qos).unwrap_or(1)
    }

    /// How long connecting may take.
    pub fn patience(&self) -> Duration {
        Duration::from_secs(u64::from(self.connect_timeout.unsigned_abs()))
    }
}

/// A setting that is not blank, which stands for none.
pub(crate) fn given(setting: &Option<String>) -> Option<&str> {
    setting.as_deref().filter(|text| !text.is_empty())
}

/// As [`given`].
pub(crate) fn secret(setting: &Option<Secret>) -> Option<&Secret> {
    setting.as_ref().filter(|secret| !secret.reveal().is_empty())
}

/// Whether all entries are right; the error tells of each that is not.
fn all_of(entries: &[String], check: impl Fn(&str) -> Result<(), String>) -> Result<(), String> {
    let wrong: Vec<String> = entries.iter().filter_map(|entry| check(entry).err()).collect();
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
}

fn not_empty(template: &Template) -> Result<(), String> {
    if template.source().is_empty() { Err("String must be non-empty".into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use connect_api::{Settings, config::Config as _};

    const LEAST: [(&str, &str); 2] = [("mqtt.server.uri", "tcp://a"), ("mqtt.topics", "a/#,$share/g/b")];

    fn problems(given: &[(&str, &str)]) -> Vec<String> {
        let settings: Settings = LEAST.into_iter().chain(given.iter().copied()).collect();
        let mut problems = Problems::new();
        match MqttConfig::parse(&settings) {
            Ok(config) => config.validate(&mut problems),
            Err(found) => problems = found,
        }
        problems.iter().map(|p| p.key.clone()).collect()
    }

    #[test]
    fn what_does_not_fit_together_is_named() {
        assert_eq!(problems(&[]), [""; 0]);
        assert_eq!(
            problems(&[("mqtt.username", ""), ("mqtt.password", ""), ("mqtt.ssl.trust.store.path", "")]),
            [""; 0]
        );
        assert_eq!(problems(&[("mqtt.password", "x")]), ["mqtt.username"]);
        assert_eq!(problems(&[("mqtt.ssl.trust.store.path", "x")]), ["mqtt.ssl.trust.store.path"]);
        assert_eq!(problems(&[("mqtt.server.uri", "tcp://a,wss://b")]), ["mqtt.server.uri"]);
        assert_eq!(problems(&[("mqtt.topics", "a,a")]), ["mqtt.topics"]);
        assert_eq!(problems(&[("mqtt.topics", "a/#/b")]), ["mqtt.topics"]);
        assert_eq!(problems(&[("mqtt.topics", "a,a,b,b")]), ["mqtt.topics", "mqtt.topics"]);
        assert_eq!(problems(&[("kafka.topic", "a b")]), ["kafka.topic"]);
        assert_eq!(problems(&[("kafka.topic", "a{{levels[0]}}")]), [""; 0]);
        assert_eq!(problems(&[("kafka.topic", "x{{nope}}"), ("mqtt.key", "{{topics}}")]), ["kafka.topic", "mqtt.key"]);
        assert_eq!(problems(&[("kafka.topic", "x{{value.a}}")]), ["kafka.topic"]);
        assert_eq!(problems(&[("kafka.topic", "x{{value.a}}"), ("mqtt.value.format", "json")]), [""; 0]);
        assert_eq!(problems(&[("mqtt.queue.bytes", "1000")]), ["mqtt.queue.bytes"]);
        assert_eq!(problems(&[("mqtt.qos", "3"), ("mqtt.version", "4")]), ["mqtt.qos", "mqtt.version"]);
    }

    #[test]
    fn each_entry_of_a_list_that_is_wrong_is_named() {
        let settings = LEAST.into_iter().chain([("mqtt.topics", "a#,b/+,c/#/d"), ("mqtt.server.uri", "a:b,ws://c")]);
        let problems = MqttConfig::parse(&settings.collect()).expect_err("wrong");
        let texts: Vec<String> = problems.iter().map(|p| p.text.clone()).collect();
        let has = |words: [&str; 2]| texts.iter().any(|text| words.iter().all(|word| text.contains(word)));
        assert!(has(["\"a#\" is no filter", "\"c/#/d\" is no filter"]) && has(["a:b", "; "]), "{texts:?}");
    }

    #[test]
    fn the_first_task_has_everything_and_others_what_is_shared() {
        let config = MqttConfig::parse(&LEAST.into_iter().collect()).expect("right");
        assert_eq!(config.filters(0), ["a/#", "$share/g/b"]);
        assert_eq!(config.filters(1), ["$share/g/b"]);
        assert_eq!((config.client_id("c", 0), config.client_id("c", 2)), ("tocsin-c".into(), "tocsin-c-2".into()));
        assert_eq!(config.tasks(3), 3);
    }
}
