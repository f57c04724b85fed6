//! The settings.

use std::time::Duration;

use connect_api::{
    Result,
    config::{Key, Millis, Problems, Secret},
    template::Template,
};
use connector_http::{
    Joined,
    config::positive,
    tls::{self, Acceptor, PemFile, ServerFiles},
};

use crate::{
    clock::Clock,
    framing::Framing,
    listener::{Listen, Listens, Transport},
    message::Expected,
    record::{self, Layout, RecordTime, Recording, Text},
};

/// The source's own settings with those of Confluent's connector.
pub type SyslogSourceConfig = Joined<SyslogSettings, ConfluentSettings>;

/// Where it listens unless the settings say so.
const LISTENERS: &str = "udp://127.0.0.1:5514,tcp://127.0.0.1:5514";

connect_api::config_enum! {
    /// What becomes of what is no message.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Invalid {
        /// It is reported.
        Report = "report",
        /// It becomes a record all the same.
        Record = "record",
    }
}

connect_api::config! {
    /// The source's own settings.
    #[derive(Debug, Clone)]
    pub struct SyslogSettings {
        /// Where to listen: a list of udp://host:port, tcp://host:port and tls://host:port, IPv6 addresses in brackets. Port 0
        /// takes a free one, which the log names. Others than loopback are open to whoever reaches them. Default:
        /// udp://127.0.0.1:5514,tcp://127.0.0.1:5514.
        listeners: Option<Listens> = Key::new("syslog.listeners").high(),
        /// Template of the topic. Names are those of the fields of values (see syslog.layout, tocsin), such as in
        /// syslog.{{facility_name}}. Characters that a topic cannot have become underscores.
        topic: Template = Key::new("topic").default("syslog").high().check(topic),
        /// Template of the record's key, over the same names; empty for none. host is the host name in the message, or the
        /// address of the sender if there is none.
        key: Template = Key::new("syslog.key").default("{{host}}").check(of_fields),
        /// How messages are expected. auto: RFC 5424 where a version follows the priority, else RFC 3164 with what devices
        /// make of it. rfc5424, rfc3164: that alone.
        format: Expected = Key::new("syslog.format").default("auto"),
        /// What becomes of bytes that are no message or not a whole one. report: errors.tolerance and the dead letter queue
        /// decide, which gets the bytes as they came. record: a record whose format is unknown, with the bytes in raw.
        invalid: Invalid = Key::new("syslog.invalid").default("report"),
        /// What values look like. tocsin: all that is known, by the names of RFC 5424. confluent: as Confluent's connector
        /// writes them. Default: confluent with syslog.port, else tocsin.
        layout: Option<Layout> = Key::new("syslog.layout"),
        /// Whether values have the bytes as they came in the field raw, beside what is understood of them. Confluent's values
        /// always have them as text.
        raw: bool = Key::new("syslog.raw").default("false").low(),
        /// The zone of times that name none: system for that of this machine, UTC, an offset such as +01:00, or a name such as
        /// Europe/Zurich. A time without a year is in the last year in which it is not more than a week ahead.
        timezone: Clock = Key::new("syslog.timezone").default("system"),
        /// What the records' time stamps say. received: when the message came. sent: what the sender says, if it does; Kafka
        /// refuses what is too far ahead, and what is old is soon deleted. The field timestamp has it in any case.
        time: RecordTime = Key::new("syslog.record.timestamp").default("received"),
        /// How messages over TCP and TLS are told apart (RFC 6587). octet-counting: by the length before each. non-transparent: by
        /// a newline or NUL behind each. auto: by what a connection begins with, a digit or anything else.
        framing: Framing = Key::new("syslog.framing").default("auto").low(),
        /// Longest message in bytes. Of a longer one the beginning is reported or recorded, as syslog.invalid says.
        message_limit: i32 = Key::new("syslog.message.limit").default("65536").low().at_least(480).at_most(16_777_216),
        /// Most messages of one batch.
        batch_size: i32 = Key::new("syslog.batch.size").default("1000").low().at_least(1).at_most(100_000),
        /// Most messages over UDP that wait for Kafka. Further ones are dropped, which the status and the metrics tell: UDP
        /// knows no other way.
        queue: i32 = Key::new("syslog.udp.queue").default("50000").low().at_least(1).at_most(10_000_000),
        /// Most bytes of them, with 200 for each message besides its text.
        queue_bytes: i32 = Key::new("syslog.udp.queue.bytes").default("33554432").low().at_least(65_536),
        /// What to ask of the kernel as the buffer of each UDP socket, in bytes. It gives no more than net.core.rmem_max says;
        /// the log tells if that is less. Default: net.core.rmem_default.
        receive_buffer: Option<i32> = Key::new("syslog.udp.receive.buffer").low().check(at_least_1),
        /// Most bytes, over all connections, that are read ahead of what Kafka takes. Nothing more is read then, and senders
        /// wait. What was read is lost if the worker is killed, as the protocol knows no acknowledgement.
        read_ahead: i32 = Key::new("syslog.read.ahead.bytes").default("1048576").low().at_least(65_536),
        /// Most connections at a time; further ones wait until one ends.
        connections: i32 = Key::new("syslog.connections").default("256").low().at_least(1).at_most(65_536),
        /// Longest time, in milliseconds, for a TLS handshake, and for a message to come whole after its first byte. Who takes
        /// longer is cut off.
        client_timeout: Millis = Key::new("syslog.client.timeout.ms").default("30000").low().check(positive),
        /// Longest time, in milliseconds, between messages of a connection; 0 for any. Senders often notice only after the next
        /// message, which is lost then.
        idle_timeout: Millis = Key::new("syslog.idle.timeout.ms").default("0").low(),
        /// PEM file with the certificate of tls listeners and, if needed, its chain.
        certificate_file: Option<String> = Key::new("syslog.tls.certificate.file"),
        /// PEM file with the key of that certificate.
        key_file: Option<String> = Key::new("syslog.tls.key.file"),
        /// Password of the key, if it is encrypted.
        key_password: Option<Secret> = Key::new("syslog.tls.key.password").low(),
        /// PEM file with authorities of senders: only those with a certificate of theirs are let in.
        client_ca_file: Option<String> = Key::new("syslog.tls.client.ca.file"),
    }
}

connect_api::config! {
    /// Settings of Confluent's connector, in place of ours.
    #[derive(Debug, Clone)]
    pub struct ConfluentSettings {
        /// As in Confluent's connector, in place of syslog.listeners: the port to listen on.
        port: Option<i32> = Key::new("syslog.port").low().check(port),
        /// With syslog.port: UDP, TCP or TCPSSL.
        listener: TheirListener = Key::new("syslog.listener").default("UDP").low(),
        /// With syslog.port: the address to listen on, by default all, as there.
        listen_address: String = Key::new("syslog.listen.address").default("0.0.0.0").low().non_empty(),
        /// The old name of topic, of which it is the default.
        topic_prefix: Option<Template> = Key::new("topic.prefix").low()
            .check(|template: &Option<Template>| template.as_ref().map_or(Ok(()), of_fields)),
        /// Another name of syslog.tls.certificate.file.
        certificate_file: Option<String> = Key::new("syslog.ssl.cert.chain.path").low(),
        /// Another name of syslog.tls.key.file.
        key_file: Option<String> = Key::new("syslog.ssl.key.path").low(),
        /// Another name of syslog.tls.key.password.
        key_password: Option<Secret> = Key::new("syslog.ssl.key.password").low(),
        /// Not supported; must be false.
        self_signed: bool = Key::new("syslog.ssl.self.signed.certificate.enable").default("false").low()
            .rule(|on| refused(*on, "syslog.ssl.self.signed.certificate.enable", "make a certificate, whose senders can know it, and name its files")),
        /// Not supported; must be false.
        reverse_dns: bool = Key::new("syslog.reverse.dns.remote.ip").default("false").low()
            .rule(|on| refused(*on, "syslog.reverse.dns.remote.ip", "messages would wait for name servers; records have the sender's address, and most messages its name")),
        /// Another name of syslog.udp.queue.
        queue: Option<i32> = Key::new("syslog.queue.max.size").low().check(at_least_1),
        /// Another name of syslog.batch.size.
        batch_size: Option<i32> = Key::new("syslog.queue.batch.size").low().check(at_least_1),
    }
}

connect_api::config_enum! {
    /// Transports by Confluent's names.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum TheirListener {
        /// UDP.
        Udp = "UDP",
        /// TCP.
        Tcp = "TCP",
        /// TLS.
        TcpSsl = "TCPSSL",
    }
}

/// What the readers of sockets need.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Framing of streams.
    pub framing: Framing,
    /// Longest message.
    pub message: usize,
    /// Longest time for a handshake or a message.
    pub client_timeout: Duration,
    /// Longest silence.
    pub idle_timeout: Option<Duration>,
    /// Buffer of UDP sockets.
    pub receive_buffer: Option<usize>,
}

/// The settings of both together.
pub trait Chosen {
    /// Where to listen.
    fn listens(&self) -> Vec<Listen>;
    /// What accepts TLS; none if nothing listens so.
    fn acceptor(&self) -> Result<Option<Acceptor>>;
    /// How messages become records.
    fn recording(&self) -> Recording;
    /// What the readers of sockets need.
    fn limits(&self) -> Limits;
    /// Most messages over UDP that wait.
    fn queue_size(&self) -> usize;
    /// Most messages of a batch.
    fn batch(&self) -> usize;
    /// Rules that span several keys.
    fn check(&self, problems: &mut Problems);
}

impl Chosen for SyslogSourceConfig {
    fn listens(&self) -> Vec<Listen> {
        match (&self.own.listeners, self.with.port) {
            (Some(listens), _) => listens.0.clone(),
            (None, Some(port)) => {
                let transport = match self.with.listener {
                    TheirListener::Udp => Transport::Udp,
                    TheirListener::Tcp => Transport::Tcp,
                    TheirListener::TcpSsl => Transport::Tls,
                };
                let host = &self.with.listen_address;
                let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
                vec![Listen { transport, address: format!("{host}:{port}") }]
            }
            (None, None) => {
                <Listens as connect_api::config::ConfigType>::parse(LISTENERS).map_or_else(|_| Vec::new(), |l| l.0)
            }
        }
    }

    fn acceptor(&self) -> Result<Option<Acceptor>> {
        let (own, theirs) = (&self.own, &self.with);
        if self.listens().iter().all(|listen| listen.transport != Transport::Tls) {
            return Ok(None);
        }
        let file = |own: (&'static str, &'_ Option<String>), theirs: (&'static str, &'_ Option<String>)| {
            let (setting, path) = if own.1.is_some() { own } else { theirs };
            path.clone().map(|path| (setting, path))
        };
        let certificate = file(
            ("syslog.tls.certificate.file", &own.certificate_file),
            ("syslog.ssl.cert.chain.path", &theirs.certificate_file),
        );
        let key = file(("syslog.tls.key.file", &own.key_file), ("syslog.ssl.key.path", &theirs.key_file));
        let (Some((certificate, certificate_path)), Some((key, key_path))) = (certificate, key) else {
            return Ok(None);
        };
        let pem = |setting, path| PemFile { setting, path };
        let files = ServerFiles {
            listener: "the syslog listener",
            certificate: pem(certificate, &certificate_path),
            key: pem(key, &key_path),
            password: own.key_password.as_ref().or(theirs.key_password.as_ref()).map(Secret::reveal),
            client_ca: own.client_ca_file.as_deref().map(|path| pem("syslog.tls.client.ca.file", path)),
        };
        tls::acceptor(&files).map(Some)
    }

    fn recording(&self) -> Recording {
        let by_default = if self.with.port.is_some() { Layout::Confluent } else { Layout::Tocsin };
        let topic = self.with.topic_prefix.as_ref().filter(|_| self.own.topic.source() == "syslog");
        Recording {
            layout: self.own.layout.unwrap_or(by_default),
            topic: Text::from(topic.unwrap_or(&self.own.topic)),
            key: Text::from(&self.own.key),
            time: self.own.time,
            raw: self.own.raw,
        }
    }

    fn limits(&self) -> Limits {
        Limits {
            framing: self.own.framing,
            message: size(self.own.message_limit),
            client_timeout: self.own.client_timeout.0,
            idle_timeout: Some(self.own.idle_timeout.0).filter(|time| !time.is_zero()),
            receive_buffer: self.own.receive_buffer.map(size),
        }
    }

    fn queue_size(&self) -> usize {
        size(self.with.queue.unwrap_or(self.own.queue))
    }

    fn batch(&self) -> usize {
        size(self.with.batch_size.unwrap_or(self.own.batch_size))
    }

    fn check(&self, problems: &mut Problems) {
        let (own, theirs) = (&self.own, &self.with);
        if own.listeners.is_some() && theirs.port.is_some() {
            problems.add("syslog.port", "syslog.listeners and syslog.port exclude each other: set one of them");
        }
        if own.layout == Some(Layout::Confluent) && own.raw {
            problems.add(
                "syslog.raw",
                "syslog.raw is for syslog.layout=tocsin; Confluent's values have rawMessage: remove it",
            );
        }
        let twice = [
            (
                "syslog.ssl.cert.chain.path",
                "syslog.tls.certificate.file",
                &theirs.certificate_file,
                &own.certificate_file,
            ),
            ("syslog.ssl.key.path", "syslog.tls.key.file", &theirs.key_file, &own.key_file),
        ];
        for (alias, name, _, _) in twice.iter().filter(|(.., a, b)| a.is_some() && b.is_some()) {
            problems.add(*alias, format!("{alias} and {name} mean the same: set one of them"));
        }
        let is_tls = self.listens().iter().any(|listen| listen.transport == Transport::Tls);
        for (alias, name, a, b) in twice {
            match (is_tls, a.is_some() || b.is_some()) {
                (true, false) => drop(problems.add(name, format!("{name} is needed by listeners with tls"))),
                (false, true) => {
                    let key = if b.is_some() { name } else { alias };
                    problems.add(key, format!("{key} is of no use without a listener with tls: remove it"));
                }
                _ => {}
            }
        }
        if own.client_ca_file.is_some() && !is_tls {
            let key = "syslog.tls.client.ca.file";
            problems.add(key, format!("{key} is of no use without a listener with tls: remove it"));
        }
    }
}

fn size(number: i32) -> usize {
    usize::try_from(number).unwrap_or(1)
}

fn refused(on: bool, key: &str, way_out: &str) -> Result<(), String> {
    if on { Err(format!("{key} is not supported: {way_out}")) } else { Ok(()) }
}

fn at_least_1(number: &Option<i32>) -> Result<(), String> {
    if number.is_some_and(|n| n < 1) { Err("Value must be at least 1".into()) } else { Ok(()) }
}

fn port(number: &Option<i32>) -> Result<(), String> {
    match number {
        Some(n) if !(1..=65_535).contains(n) => Err("Expected a port from 1 to 65535".into()),
        _ => Ok(()),
    }
}

fn topic(template: &Template) -> Result<(), String> {
    if template.source().is_empty() { Err("String must be non-empty".into()) } else { of_fields(template) }
}

/// Whether a template uses none but the fields of values.
fn of_fields(template: &Template) -> Result<(), String> {
    let fields: Vec<&str> = record::schema().fields().iter().map(|field| field.name()).collect();
    template.check_names(&fields)
}

#[cfg(test)]
mod tests {
    use connect_api::{Connector, Settings, config::Config};

    use super::*;
    use crate::SyslogSource;

    fn problems(given: &[(&str, &str)]) -> Vec<String> {
        let settings: Settings = given.iter().copied().collect();
        let mut problems = Problems::new();
        match SyslogSourceConfig::parse(&settings) {
            Ok(config) => SyslogSource::validate(&config, &mut problems),
            Err(found) => problems = found,
        }
        problems.iter().map(|p| p.key.clone()).collect()
    }

    fn config(given: &[(&str, &str)]) -> SyslogSourceConfig {
        SyslogSourceConfig::parse(&given.iter().copied().collect()).expect("right")
    }

    #[test]
    fn nothing_is_needed_and_loopback_is_where_it_listens() {
        assert_eq!(problems(&[]), [""; 0]);
        let listens: Vec<String> = config(&[]).listens().iter().map(ToString::to_string).collect();
        assert_eq!(listens.join(","), LISTENERS);
    }

    #[test]
    fn confluents_settings_mean_what_they_mean_there() {
        let theirs = config(&[
            ("syslog.port", "1514"),
            ("syslog.listener", "TCP"),
            ("topic.prefix", "logs"),
            ("syslog.queue.max.size", "7"),
        ]);
        assert_eq!(theirs.listens()[0].to_string(), "tcp://0.0.0.0:1514");
        let recording = theirs.recording();
        assert_eq!((recording.layout, theirs.queue_size()), (Layout::Confluent, 7));
        assert!(matches!(recording.topic, Text::Fixed(topic) if &*topic == "logs"));
        assert_eq!(
            problems(&[("syslog.port", "1514"), ("syslog.ssl.self.signed.certificate.enable", "true")]),
            ["syslog.ssl.self.signed.certificate.enable"]
        );
        assert_eq!(problems(&[("syslog.reverse.dns.remote.ip", "true")]), ["syslog.reverse.dns.remote.ip"]);
        assert_eq!(problems(&[("syslog.port", "0")]), ["syslog.port"]);
        let tls = [("syslog.port", "1514"), ("syslog.listener", "TCPSSL")];
        assert_eq!(problems(&tls), ["syslog.tls.certificate.file", "syslog.tls.key.file"]);
        let files = [("syslog.ssl.cert.chain.path", "/c"), ("syslog.ssl.key.path", "/k")];
        assert_eq!(problems(&[&tls[..], &files].concat()), [""; 0]);
    }

    #[test]
    fn what_does_not_fit_together_is_named() {
        assert_eq!(problems(&[("syslog.listeners", "udp://h:1"), ("syslog.port", "1")]), ["syslog.port"]);
        assert_eq!(problems(&[("syslog.tls.key.file", "/k")]), ["syslog.tls.key.file"]);
        assert_eq!(problems(&[("syslog.tls.client.ca.file", "/k")]), ["syslog.tls.client.ca.file"]);
        assert_eq!(problems(&[("syslog.layout", "confluent"), ("syslog.raw", "true")]), ["syslog.raw"]);
        assert_eq!(problems(&[("topic", "{{facility}}.{{nope}}"), ("syslog.key", "{{hst}}")]), ["topic", "syslog.key"]);
        let wrong =
            [("topic", ""), ("syslog.key", "{{host"), ("syslog.timezone", "Mars"), ("syslog.udp.receive.buffer", "0")];
        assert_eq!(problems(&wrong), ["topic", "syslog.key", "syslog.timezone", "syslog.udp.receive.buffer"]);
    }
}
