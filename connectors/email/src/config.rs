//! The settings.

use std::{fs, time::Duration};

use connect_api::{
    Error, Result,
    config::{Config, ConfigDef, ConfigType, Key, Millis, Reader, Secret},
    template::{Escape, Template},
};
use connector_alarm::shelving::ShelvingConfig;
use lettre::{
    message::Mailbox,
    transport::smtp::{
        authentication::{Credentials, Mechanism},
        client::{Certificate, Identity, TlsParameters},
        extension::ClientId,
    },
};

use crate::{recipients::Recipients, smtp::Server};

/// Settings of the sink with those of shelving.
#[derive(Debug, Clone)]
pub struct EmailSinkConfig {
    /// The sink's own settings.
    pub own: EmailSettings,
    /// Alarms to be silent about.
    pub shelving: ShelvingConfig,
}

impl Config for EmailSinkConfig {
    fn definition() -> ConfigDef {
        let mut definition = EmailSettings::definition();
        definition.embed("", &ShelvingConfig::definition());
        definition
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        // All is read and compared before any is judged, so that every problem is found.
        let (own, shelving) = (EmailSettings::read(reader), ShelvingConfig::read(reader));
        compare(reader);
        Some(Self { own: own?, shelving: shelving? })
    }
}

/// The names that a digest's templates have.
const DIGEST: [&str; 2] = ["records", "count"];

connect_api::config_enum! {
    /// How the connection is secured.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Security {
        /// By STARTTLS, before anything is said that matters.
        Starttls = "starttls",
        /// From the first byte on.
        Tls = "tls",
        /// Not at all.
        None = "none",
    }
}

connect_api::config_enum! {
    /// How the password is told.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Auth {
        /// As the server can.
        Auto = "auto",
        /// AUTH PLAIN.
        Plain = "plain",
        /// AUTH LOGIN.
        Login = "login",
    }
}

connect_api::config_enum! {
    /// When mails are sent.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Mode {
        /// One for each record.
        Immediate = "immediate",
        /// One for the records of some time.
        Digest = "digest",
    }
}

connect_api::config_enum! {
    /// What to do with tombstones.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Tombstones {
        /// Send a mail by the templates of what is cleared.
        Clear = "clear",
        /// Skip them.
        Ignore = "ignore",
    }
}

connect_api::config! {
    /// The sink's own settings.
    #[derive(Debug, Clone)]
    pub struct EmailSettings {
        /// Host of the SMTP server.
        host: String = Key::new("email.smtp.host").high().non_empty(),
        /// Port of the SMTP server. The default is 587, 465 with email.smtp.security tls, and 25 with none.
        port: Option<i32> = Key::new("email.smtp.port").check(|port: &Option<i32>| {
            if port.is_none_or(|port| (1..=65535).contains(&port)) { Ok(()) } else { Err("Value must be a port".into()) }
        }),
        /// How the connection is secured: starttls after the greeting, and only then; tls from the beginning; none.
        security: Security = Key::new("email.smtp.security").default("starttls"),
        /// User name for the SMTP server.
        username: Option<String> = Key::new("email.smtp.username"),
        /// Password for the SMTP server. It is told through TLS only.
        password: Option<Secret> = Key::new("email.smtp.password"),
        /// How the password is told: plain, login, or auto for what the server offers.
        auth: Auth = Key::new("email.smtp.auth").default("auto").low(),
        /// Name by which the server is greeted. The default is the host's name.
        hello: Option<String> = Key::new("email.smtp.hello").low(),
        /// PEM file with certificates of authorities to trust besides those of the system.
        ca_file: Option<String> = Key::new("email.tls.ca.file").low(),
        /// PEM file with the client's certificate and, if needed, its chain.
        certificate_file: Option<String> = Key::new("email.tls.certificate.file").low(),
        /// PEM file (PKCS#8) with the key of the client's certificate.
        key_file: Option<String> = Key::new("email.tls.key.file").low(),
        /// Name that the server's certificate has to be for. The default is email.smtp.host.
        server_name: Option<String> = Key::new("email.tls.server.name").low(),
        /// Longest time for connecting to the server until it has greeted, in milliseconds.
        connect_timeout: Millis = Key::new("email.connect.timeout.ms").default("10000").low().check(positive),
        /// Longest time for an answer of the server, in milliseconds.
        timeout: Millis = Key::new("email.timeout.ms").default("60000").low().check(positive),
        /// How long, in milliseconds, a recipient of a mail is tried again whom the server refuses for now (4xx), as of a full
        /// mailbox. Later records wait behind the mail; then the record is a bad one, as with a recipient who is refused
        /// for good. The time begins anew with the task. 0 is without end.
        recipient_timeout: Millis = Key::new("email.recipient.retry.timeout.ms").default("3600000"),
        /// Who the mails are from, such as Alarms <alarms@example.org>.
        from: String = Key::new("email.from").high().non_empty().check(|text: &String| mailbox(text).map(drop)),
        /// Who is to be answered, if somebody else.
        reply_to: Option<String> = Key::new("email.reply.to")
            .check(|text: &Option<String>| text.as_deref().map_or(Ok(()), |text| mailbox(text).map(drop))),
        /// Recipients, separated by commas. Each may be a template of one, such as {{value.owner}}@example.org or
        /// {% if value.priority == "P1_LIFE" %}on-call@example.org{% endif %}; one that is blank for a record gets no mail. A
        /// record without any recipient is passed over.
        to: String = Key::new("email.to").high().non_empty().check(recipients),
        /// Recipients of a copy, as in email.to.
        cc: Option<String> = Key::new("email.cc").check(maybe(recipients)),
        /// Recipients whom the others do not see, as in email.to.
        bcc: Option<String> = Key::new("email.bcc").check(maybe(recipients)),
        /// Template of the subject. Names: topic, partition, offset, timestamp, time (as text), key, value, headers, and
        /// thread with the subject of its first mail where there was one. Line breaks become blanks.
        subject: String = Key::new("email.subject").default("{% if key is none %}{{topic}}{% else %}{{key}}{% endif %}").check(prose),
        /// Template of the text, over the same names. The default is the value as JSON.
        text: Option<String> = Key::new("email.text").check(maybe(prose)),
        /// Template of the text as HTML, over the same names, sent beside the plain one. What it inserts is escaped.
        html: Option<String> = Key::new("email.html").check(maybe(prose)),
        /// What to do with the end of an alarm, a tombstone or the marker of a cleared one: clear sends a mail by the templates
        /// email.cleared.* to whoever got one about the alarm before; ignore skips it.
        tombstones: Tombstones = Key::new("email.tombstones").default("clear"),
        /// Template of the subject for a tombstone, and for the marker of a cleared alarm.
        cleared_subject: String = Key::new("email.cleared.subject")
            .default("{% if thread is none %}Cleared: {{key}}{% else %}Re: {{thread.subject}} - cleared{% endif %}").check(prose),
        /// Template of the text for a tombstone.
        cleared_text: String = Key::new("email.cleared.text").default("{{key}} was cleared.").check(prose),
        /// Template of what is a thread: mails of the same one answer each other until its last alarm is over. Blank is none;
        /// then nobody knows who was told of an alarm, and the templates make what they can of tombstones.
        thread: String = Key::new("email.thread").default("{{key}}").check(prose),
        /// When mails are sent: immediate sends one for each record, digest one for the records of email.digest.interval.ms.
        mode: Mode = Key::new("email.mode").default("immediate"),
        /// How long, in milliseconds, records wait for others after the first one of a digest.
        digest_interval: Millis = Key::new("email.digest.interval.ms").default("900000").check(positive),
        /// Most records of a digest. It is sent at once when there are so many.
        digest_records: i32 = Key::new("email.digest.max.records").default("500").at_least(1),
        /// Template of a digest's subject. Names: count, and records, each with the names of email.subject and its own
        /// subject and text.
        digest_subject: String = Key::new("email.digest.subject")
            .default("{% if count == 1 %}{{records[0].subject}}{% else %}{{count}} messages, the first one: {{records[0].subject}}{% endif %}").check(digest),
        /// Template of a digest's text, over the same names.
        digest_text: String = Key::new("email.digest.text")
            .default("{% for r in records %}{{r.time}} {{r.subject}}\n{{r.text}}\n\n{% endfor %}").check(digest),
        /// Template of a digest's text as HTML, over the same names.
        digest_html: Option<String> = Key::new("email.digest.html").check(maybe(digest)),
        /// Most mails of a task in a minute. What comes beyond is sent as a digest when there is room again.
        per_minute: Option<i32> = Key::new("email.max.per.minute").check(|most: &Option<i32>| {
            if most.is_some_and(|most| most < 1) { Err("Value must be at least 1".into()) } else { Ok(()) }
        }),
    }
}

fn positive(millis: &Millis) -> Result<(), String> {
    if millis.0 == Duration::ZERO { Err("Value must be at least 1".into()) } else { Ok(()) }
}

/// Reads an address, with or without a name. The error is a reason as configurations have it.
pub fn mailbox(text: &str) -> Result<Mailbox, String> {
    // What is between the name and the address is no place for line breaks.
    if text.contains(char::is_control) {
        return Err(format!("{text:?} holds control characters"));
    }
    text.parse().map_err(|e| format!("{text:?} is no address such as Name <name@example.org>: {e}"))
}

/// Rules that span several settings.
fn compare(reader: &mut Reader<'_>) {
    let is_open =
        reader.given("email.smtp.security").is_some_and(|text| Security::parse(text.trim()) == Ok(Security::None));
    let given = |reader: &Reader<'_>, key: &str| reader.given(key).is_some();
    for (one, other) in
        [("email.smtp.username", "email.smtp.password"), ("email.tls.certificate.file", "email.tls.key.file")]
    {
        if given(reader, one) != given(reader, other) {
            let missing = if given(reader, one) { other } else { one };
            reader.refuse(missing, format!("{one} and {other} must be set together"));
        }
    }
    if is_open && given(reader, "email.smtp.username") {
        let text = "email.smtp.security none would show the password to everybody on the way: set starttls or tls";
        reader.refuse("email.smtp.security", text);
    }
    for key in ["email.tls.ca.file", "email.tls.certificate.file", "email.tls.server.name"] {
        if is_open && given(reader, key) {
            reader.refuse(key, format!("{key} needs email.smtp.security starttls or tls"));
        }
    }
}

type Checked = Result<(), String>;

fn right<T>(checked: Result<T>) -> Checked {
    checked.map(drop).map_err(|e| e.one_line())
}

fn prose<T: AsRef<str>>(text: &T) -> Checked {
    right(Template::parse(text.as_ref(), Escape::Prose))
}

fn digest<T: AsRef<str>>(text: &T) -> Checked {
    Template::parse(text.as_ref(), Escape::Prose).map_err(|e| e.one_line())?.check_names(&DIGEST)
}

fn recipients<T: AsRef<str>>(list: &T) -> Checked {
    right(Recipients::parse(list.as_ref()))
}

/// The check of a setting, of one that may be absent.
fn maybe(check: fn(&String) -> Checked) -> impl Fn(&Option<String>) -> Checked {
    move |text| text.as_ref().map_or(Ok(()), check)
}

impl EmailSettings {
    /// Host and port.
    pub fn address(&self) -> (String, u16) {
        let usual = match self.security {
            Security::Starttls => 587,
            Security::Tls => 465,
            Security::None => 25,
        };
        (self.host.clone(), self.port.and_then(|port| u16::try_from(port).ok()).unwrap_or(usual))
    }

    /// The server with everything that is needed to talk to it.
    pub fn server(&self) -> Result<Server> {
        let (host, port) = self.address();
        let tls = match self.security {
            Security::None => None,
            _ => Some(self.tls(&host)?),
        };
        let mechanisms = match self.auth {
            Auth::Auto => vec![Mechanism::Plain, Mechanism::Login],
            Auth::Plain => vec![Mechanism::Plain],
            Auth::Login => vec![Mechanism::Login],
        };
        let credentials = self.username.clone().zip(self.password.as_ref());
        Ok(Server {
            host,
            port,
            security: self.security,
            tls,
            hello: self.hello.clone().map_or_else(ClientId::default, ClientId::Domain),
            credentials: credentials.map(|(user, password)| Credentials::new(user, password.reveal().to_owned())),
            mechanisms,
            connect_timeout: self.connect_timeout.0,
            timeout: self.timeout.0,
        })
    }

    fn tls(&self, host: &str) -> Result<TlsParameters> {
        let mut tls = TlsParameters::builder(self.server_name.clone().unwrap_or_else(|| host.to_owned()));
        if let Some(path) = &self.ca_file {
            let reading = || format!("reading certificates from {path} (email.tls.ca.file)");
            let pem = fs::read(path).map_err(|e| Error::fatal(reading()).caused_by(e))?;
            let text = String::from_utf8_lossy(&pem);
            const END: &str = "-----END CERTIFICATE-----";
            let all: Vec<&str> = text.split_inclusive(END).filter(|part| part.contains(END)).collect();
            if all.is_empty() {
                return Err(Error::fatal(format!("{}: there is none in it", reading())));
            }
            for one in all {
                let one = Certificate::from_pem(one.trim_start().as_bytes());
                tls = tls.add_root_certificate(one.map_err(|e| Error::fatal(reading()).caused_by(e.to_string()))?);
            }
        }
        if let (Some(certificate), Some(key)) = (&self.certificate_file, &self.key_file) {
            let read = |path: &String, setting| {
                let reading = || Error::fatal(format!("reading {path} ({setting})"));
                fs::read(path).map_err(|e| reading().caused_by(e))
            };
            let pair = (read(certificate, "email.tls.certificate.file")?, read(key, "email.tls.key.file")?);
            let identity = Identity::from_pem(&pair.0, &pair.1).map_err(|e| {
                let doing =
                    "reading a certificate and its key of PKCS#8 (email.tls.certificate.file, email.tls.key.file)";
                Error::fatal(doing).caused_by(e.to_string())
            })?;
            tls = tls.identify_with(identity);
        }
        tls.build().map_err(|e| Error::fatal("preparing TLS").caused_by(e.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use connect_api::Settings;

    use super::*;

    fn problems(more: &[(&str, &str)]) -> Vec<String> {
        let mut settings = Settings::from([
            ("email.smtp.host", "h"),
            ("email.from", "A <a@example.org>"),
            ("email.to", "b@example.org"),
        ]);
        settings.extend(&more.iter().copied().collect());
        let problems = EmailSinkConfig::parse(&settings).err().unwrap_or_default();
        problems.iter().map(|p| p.text.clone()).collect()
    }

    #[test]
    fn what_is_wrong_is_told() {
        assert_eq!(problems(&[]), Vec::<String>::new());
        for (settings, expected) in [
            (&[("email.from", "nobody")][..], "is no address"),
            (&[("email.to", "a@example.org, nobody")], "\"nobody\" is no address"),
            (&[("email.to", "{{value.x}}, {% if key %}a@example.org")], "parsing the template"),
            (&[("email.to", " , ")], "a recipient is missing"),
            (&[("email.cc", "{{")], "parsing the template"),
            (&[("email.subject", "{{x")], "parsing the template"),
            (&[("email.digest.text", "{{record}}")], "There is no name \"record\" here"),
            (&[("email.smtp.username", "u")], "must be set together"),
            (
                &[("email.smtp.username", "u"), ("email.smtp.password", "p"), ("email.smtp.security", "none")],
                "would show the password",
            ),
            (&[("email.tls.ca.file", "x"), ("email.smtp.security", "none")], "email.tls.ca.file needs"),
            (&[("email.tls.key.file", "x")], "email.tls.certificate.file and email.tls.key.file must be set together"),
            (&[("email.smtp.port", "0")], "must be a port"),
            (&[("email.timeout.ms", "0")], "at least 1"),
            (&[("email.max.per.minute", "0")], "at least 1"),
        ] {
            let found = problems(settings);
            assert!(found.len() == 1 && found[0].contains(expected), "{settings:?}: {found:?}");
        }
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let settings = Settings::from([
            ("email.from", "nobody"),
            ("email.to", "a@example.org, {{"),
            ("email.subject", "{{x"),
            ("email.digest.html", "{{record}}"),
            ("email.smtp.username", "u"),
            ("email.smtp.security", "none"),
            ("email.tls.key.file", "key.pem"),
            ("email.tls.server.name", "x"),
            ("shelved.alarms.topic", "a b"),
        ]);
        let problems = EmailSinkConfig::parse(&settings).expect_err("wrong");
        let keys: Vec<&str> = problems.iter().map(|p| p.key.as_str()).collect();
        let expected = [
            "email.smtp.host",
            "email.from",
            "email.to",
            "email.subject",
            "email.digest.html",
            "shelved.alarms.topic",
            "email.smtp.password",
            "email.tls.certificate.file",
            "email.smtp.security",
            "email.tls.server.name",
        ];
        assert_eq!(keys, expected, "{problems:?}");
    }

    #[test]
    fn ports_are_the_usual_ones_unless_they_are_set() {
        for (security, port) in [("starttls", 587), ("tls", 465), ("none", 25)] {
            let settings = Settings::from([
                ("email.smtp.host", "h"),
                ("email.from", "a@example.org"),
                ("email.to", "b@example.org"),
                ("email.smtp.security", security),
            ]);
            assert_eq!(EmailSettings::parse(&settings).expect("settings").address().1, port);
        }
    }
}
