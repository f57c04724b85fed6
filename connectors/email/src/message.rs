//! From records to mails; pure.

use connect_api::{
    Error, Result, SinkRecord,
    template::{Escape, Template, record_names},
    time,
};
use connector_alarm::place::is_active;
use lettre::{
    Address, Message,
    message::{
        Mailbox, MultiPart, SinglePart,
        header::{HeaderName, HeaderValue},
    },
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use crate::{
    config::{EmailSettings, mailbox},
    recipients::Recipients,
    thread::Thread,
};

/// Longest subject.
const SUBJECT: usize = 250;

/// The templates.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Who the mails are from.
    pub from: Mailbox,
    reply_to: Option<Mailbox>,
    to: Recipients,
    cc: Recipients,
    bcc: Recipients,
    raised: Texts,
    cleared: Texts,
    digest: Texts,
    thread: Option<Template>,
    connector: String,
}

/// What a mail says.
#[derive(Debug, Clone)]
struct Texts {
    subject: Template,
    /// None for the value as JSON.
    text: Option<Template>,
    html: Option<Template>,
}

/// Who gets a mail, and how they are named in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct To {
    to: Vec<Mailbox>,
    cc: Vec<Mailbox>,
    bcc: Vec<Mailbox>,
}

impl To {
    /// Whether it is nobody.
    pub fn is_empty(&self) -> bool {
        self.addresses().next().is_none()
    }

    /// All addresses.
    pub fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.to.iter().chain(&self.cc).chain(&self.bcc).map(|mailbox| &mailbox.email)
    }

    /// Those and others, each once.
    pub fn with(&self, others: &Self) -> Self {
        let new = |all: &[Mailbox]| -> Vec<Mailbox> {
            all.iter().filter(|other| !self.addresses().any(|known| *known == other.email)).cloned().collect()
        };
        let both = |own: &[Mailbox], others: &[Mailbox]| [own, &new(others)].concat();
        Self { to: both(&self.to, &others.to), cc: both(&self.cc, &others.cc), bcc: both(&self.bcc, &others.bcc) }
    }

    /// Those of them whose address is right.
    pub fn only(&self, right: impl Fn(&Address) -> bool) -> Self {
        let some = |all: &[Mailbox]| -> Vec<Mailbox> { all.iter().filter(|m| right(&m.email)).cloned().collect() };
        Self { to: some(&self.to), cc: some(&self.cc), bcc: some(&self.bcc) }
    }
}

/// Recipients as text.
#[derive(Serialize, Deserialize)]
struct Written {
    to: Vec<String>,
    cc: Vec<String>,
    bcc: Vec<String>,
}

impl From<To> for Written {
    fn from(To { to, cc, bcc }: To) -> Self {
        let text = |all: Vec<Mailbox>| all.iter().map(ToString::to_string).collect();
        Self { to: text(to), cc: text(cc), bcc: text(bcc) }
    }
}

impl TryFrom<Written> for To {
    type Error = String;

    fn try_from(Written { to, cc, bcc }: Written) -> Result<Self, String> {
        let read = |all: Vec<String>| all.iter().map(|text| mailbox(text)).collect::<Result<Vec<_>, _>>();
        Ok(Self { to: read(to)?, cc: read(cc)?, bcc: read(bcc)? })
    }
}

/// What is to be said about a record.
#[derive(Debug, Clone)]
pub struct Said {
    /// Who gets it.
    pub to: To,
    /// Subject.
    pub subject: String,
    /// Text.
    pub text: String,
    html: Option<String>,
    /// The thread that it belongs to.
    pub thread: Option<String>,
    names: Json,
}

/// A mail.
#[derive(Debug, Clone)]
pub struct Email {
    /// Its Message-ID.
    pub id: String,
    /// Subject.
    pub subject: String,
    /// Text.
    pub text: String,
    /// Who gets it.
    pub to: Vec<Address>,
    /// All of it.
    pub bytes: Vec<u8>,
}

impl Plan {
    /// Reads the templates.
    pub fn new(config: &EmailSettings, connector: &str) -> Result<Self> {
        let list = |text: &Option<String>| text.as_deref().map_or(Ok(Recipients::default()), Recipients::parse);
        let address = |text: &str| mailbox(text).map_err(Error::fatal);
        let prose = |text: &String| Template::parse(text, Escape::Prose);
        let page = |text: &Option<String>| text.as_ref().map(|text| Template::parse(text, Escape::Html)).transpose();
        let thread = config.thread.trim();
        Ok(Self {
            from: address(&config.from)?,
            reply_to: config.reply_to.as_deref().map(address).transpose()?,
            to: Recipients::parse(&config.to)?,
            cc: list(&config.cc)?,
            bcc: list(&config.bcc)?,
            raised: Texts {
                subject: prose(&config.subject)?,
                text: config.text.as_ref().map(prose).transpose()?,
                html: page(&config.html)?,
            },
            cleared: Texts {
                subject: prose(&config.cleared_subject)?,
                text: Some(prose(&config.cleared_text)?),
                html: None,
            },
            digest: Texts {
                subject: prose(&config.digest_subject)?,
                text: Some(prose(&config.digest_text)?),
                html: page(&config.digest_html)?,
            },
            thread: if thread.is_empty() { None } else { Some(prose(&config.thread)?) },
            connector: connector.to_owned(),
        })
    }

    /// The thread that a record belongs to.
    pub fn thread(&self, record: &SinkRecord) -> Result<Option<String>> {
        let Some(template) = &self.thread else { return Ok(None) };
        let thread = template.render_names(&Json::Object(names(record)))?;
        Ok(Some(thread).filter(|text| !text.trim().is_empty()))
    }

    /// Whether mails form threads.
    pub fn has_threads(&self) -> bool {
        self.thread.is_some()
    }

    /// What is to be said about a record whose thread has had this mail.
    pub fn say(&self, record: &SinkRecord, key: Option<String>, thread: Option<&Thread>) -> Result<Said> {
        let names = with_thread(record, thread);
        let to = To { to: self.to.of(&names)?, cc: self.cc.of(&names)?, bcc: self.bcc.of(&names)? };
        self.say_to(record, to, key, names)
    }

    /// What is to be said about the end of an alarm to those who know of its beginning: its record may tell nothing of them.
    pub fn say_over(&self, record: &SinkRecord, to: To, key: String, thread: Option<&Thread>) -> Result<Said> {
        self.say_to(record, to, Some(key), with_thread(record, thread))
    }

    fn say_to(&self, record: &SinkRecord, to: To, thread: Option<String>, names: Json) -> Result<Said> {
        let texts = if is_active(record) { &self.raised } else { &self.cleared };
        let (subject, text, html) = texts.render(&names)?;
        let text = match text {
            Some(text) => text,
            None => serde_json::to_string_pretty(&names["value"])
                .map_err(|e| Error::data("writing the value as JSON").caused_by(e))?,
        };
        Ok(Said { to, subject, text, html, thread, names })
    }

    /// The mail about one record.
    pub fn single(&self, record: &SinkRecord, said: &Said, thread: Option<&Thread>) -> Result<Email> {
        self.build(self.id(&[record]), said.subject.clone(), said.text.clone(), said.html.clone(), &said.to, thread)
    }

    /// The mail about several records, who all have the same recipients.
    pub fn digest(&self, records: &[(&SinkRecord, &Said)]) -> Result<Email> {
        let all = records.iter().map(|(_, said)| {
            let mut names = said.names.clone();
            names["subject"] = json!(said.subject);
            names["text"] = json!(said.text);
            names
        });
        let names = json!({ "count": records.len(), "records": all.collect::<Vec<_>>() });
        let (subject, text, html) = self.digest.render(&names)?;
        let of: Vec<&SinkRecord> = records.iter().map(|(record, _)| *record).collect();
        let to = records.first().map(|(_, said)| said.to.clone()).unwrap_or_default();
        self.build(self.id(&of), subject, text.unwrap_or_default(), html, &to, None)
    }

    fn build(
        &self,
        id: String,
        subject: String,
        text: String,
        html: Option<String>,
        to: &To,
        thread: Option<&Thread>,
    ) -> Result<Email> {
        let mut message = Message::builder()
            .from(self.from.clone())
            .subject(subject.clone())
            .message_id(Some(id.clone()))
            .date_now()
            // Nobody's absence is answered to a machine (RFC 3834).
            .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".into()));
        if let Some(reply_to) = &self.reply_to {
            message = message.reply_to(reply_to.clone());
        }
        message = to.to.iter().fold(message, |message, mailbox| message.to(mailbox.clone()));
        message = to.cc.iter().fold(message, |message, mailbox| message.cc(mailbox.clone()));
        if to.to.is_empty() && to.cc.is_empty() {
            // A mail without any recipient in its headers is often refused.
            message = message.to(self.from.clone());
        }
        if let Some(thread) = thread {
            message = message.in_reply_to(thread.last.clone()).references(thread.references());
        }
        let addresses: Vec<Address> = to.addresses().cloned().collect();
        let envelope = lettre::address::Envelope::new(Some(self.from.email.clone()), addresses.clone());
        let failed = |e: lettre::error::Error| Error::data("composing a mail").caused_by(e.to_string());
        message = message.envelope(envelope.map_err(failed)?);
        let message = match html {
            Some(html) => message.multipart(MultiPart::alternative_plain_html(text.clone(), html)),
            None => message.singlepart(SinglePart::plain(text.clone())),
        };
        let bytes = message.map_err(failed)?.formatted();
        Ok(Email { id, subject, text, to: addresses, bytes })
    }

    /// The same for the same records, so that what is sent again can be recognised.
    fn id(&self, records: &[&SinkRecord]) -> String {
        let word = |text: &str| text.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "_");
        let place = |record: &SinkRecord| {
            let origin = &record.origin;
            let time = record.timestamp.unwrap_or_default();
            format!("{}.{}.{}.{time}", word(&origin.topic), origin.partition, origin.offset)
        };
        let of = match records {
            [] => String::new(),
            [one] => place(one),
            [first, .., last] => format!("{}.{}.{}", place(first), place(last), records.len()),
        };
        format!("<{of}.{}@{}>", word(&self.connector), self.from.email.domain())
    }
}

impl Texts {
    fn render(&self, names: &Json) -> Result<(String, Option<String>, Option<String>)> {
        let text = self.text.as_ref().map(|t| t.render_names(names)).transpose()?;
        let html = self.html.as_ref().map(|t| t.render_names(names)).transpose()?;
        Ok((
            one_line(&self.subject.render_names(names)?),
            text.as_deref().map(printable),
            html.as_deref().map(printable),
        ))
    }
}

fn names(record: &SinkRecord) -> Map<String, Json> {
    let mut names = record_names(record);
    names.insert("offset".into(), json!(record.origin.offset));
    names.insert("time".into(), json!(record.timestamp.map(time::rfc3339)));
    names.insert("thread".into(), Json::Null);
    names
}

fn with_thread(record: &SinkRecord, thread: Option<&Thread>) -> Json {
    let mut names = names(record);
    names.insert("thread".into(), thread.map_or(Json::Null, |thread| json!({ "subject": thread.subject })));
    Json::Object(names)
}

/// A header has one line, whatever records hold.
fn one_line(text: &str) -> String {
    let blank = |c: char| if c.is_control() || c.is_whitespace() { ' ' } else { c };
    let words: Vec<String> = text.split(|c| blank(c) == ' ').filter(|w| !w.is_empty()).map(str::to_owned).collect();
    let line = words.join(" ");
    match line.char_indices().nth(SUBJECT) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

/// Without characters that are no part of texts.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}

#[cfg(test)]
mod tests {
    use connect_api::{Origin, Record, Settings, TimestampType, Value, config::Config};

    use super::*;

    fn plan(more: &[(&str, &str)]) -> Plan {
        let mut settings = Settings::from([
            ("email.smtp.host", "h"),
            ("email.from", "Alarms <alarms@example.org>"),
            ("email.to", "ops@example.org"),
        ]);
        settings.extend(&more.iter().copied().collect());
        Plan::new(&EmailSettings::parse(&settings).expect("settings"), "mails").expect("plan")
    }

    fn record(key: &str, value: Value) -> SinkRecord {
        let mut record = Record::new("t");
        (record.key, record.value, record.timestamp) = (key.into(), value, Some(5000));
        let origin = Origin { topic: "a.b".into(), partition: 0, offset: 7, timestamp_type: TimestampType::CreateTime };
        SinkRecord { record, origin }
    }

    fn mail(plan: &Plan, record: &SinkRecord, thread: Option<&Thread>) -> (Email, String) {
        let said = plan.say(record, None, thread).expect("said");
        let mail = plan.single(record, &said, thread).expect("mail");
        let text = String::from_utf8(mail.bytes.clone()).expect("ASCII");
        (mail, text)
    }

    #[test]
    fn mails_have_the_same_id_when_they_come_again_and_threads_refer_to_each_other() {
        let plan = plan(&[("email.subject", "{{value.text}}")]);
        let raised = record("k", Value::map([("text", Value::from("häuser"))]));
        let (first, text) = mail(&plan, &raised, None);
        assert_eq!(first.id, "<a_b.0.7.5000.mails@example.org>");
        assert_eq!(mail(&plan, &raised, None).0.id, first.id);
        assert!(text.contains("Subject: =?utf-8?b?aMOkdXNlcg==?=\r\n"), "{text}");
        assert!(text.contains("Auto-Submitted: auto-generated\r\n") && !text.contains("In-Reply-To"), "{text}");
        let thread =
            Thread { first: first.id.clone(), last: "<b@x>".into(), subject: "häuser".into(), ..Thread::default() };
        let (cleared, text) = mail(&plan, &record("k", Value::Null), Some(&thread));
        assert_eq!((cleared.subject.as_str(), cleared.text.as_str()), ("Re: häuser - cleared", "k was cleared."));
        assert!(text.contains("In-Reply-To: <b@x>\r\n"), "{text}");
        assert!(text.contains(&format!("References: {} <b@x>\r\n", first.id)), "{text}");
    }

    #[test]
    fn records_write_no_headers() {
        let plan = plan(&[("email.subject", "{{value}}"), ("email.text", "{{value}}")]);
        for bad in ["a\r\nBcc: x@example.org", "a\nBcc: x@example.org", "a\u{2028}\rBcc: x@example.org\0"] {
            let (mail, text) = mail(&plan, &record("k", Value::from(bad)), None);
            assert_eq!(mail.subject, "a Bcc: x@example.org");
            let (head, _) = text.split_once("\r\n\r\n").expect("a head");
            assert!(!head.lines().any(|line| line.starts_with("Bcc")), "{head}");
            assert!(!text.replace("\r\n", "").contains(['\r', '\n', '\0']), "{text:?}");
        }
        let (long, _) = mail(&plan, &record("k", Value::from("ä".repeat(300))), None);
        assert_eq!(long.subject.chars().count(), 251);
    }

    #[test]
    fn html_is_beside_the_text_and_escaped() {
        let plan = plan(&[("email.html", "<b>{{value.x}}</b>"), ("email.bcc", "secret@example.org")]);
        let (mail, text) = mail(&plan, &record("k", Value::map([("x", Value::from("<script>"))])), None);
        assert!(text.contains("multipart/alternative") && text.contains("<b>&lt;script&gt;</b>"), "{text}");
        assert!(text.contains("\"x\": \"<script>\""), "{text}");
        assert!(!text.contains("secret@") && mail.to.len() == 2, "{text}");
    }

    #[test]
    fn digests_say_all_of_their_records() {
        let plan = plan(&[("email.text", "{{value}}")]);
        let records = [record("one", "first".into()), record("two", "second".into()), record("three", Value::Null)];
        let said: Vec<Said> = records.iter().map(|r| plan.say(r, None, None).expect("said")).collect();
        let pairs: Vec<_> = records.iter().zip(&said).collect();
        let digest = plan.digest(&pairs).expect("digest");
        assert_eq!(digest.subject, "3 messages, the first one: one");
        let time = "1970-01-01T00:00:05";
        assert!(digest.text.starts_with(time), "{}", digest.text);
        assert!(digest.text.contains("one\nfirst\n") && digest.text.contains("Cleared: three\nthree was cleared."));
    }
}
