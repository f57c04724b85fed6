//! aiosmtpd, an SMTP server that keeps the mails that it takes.

use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::process::{self, Launch, Process, Server};
use super::{Cache, Certificates, Error, Port, Result, python};

const PACKAGES: [&str; 1] = ["aiosmtpd==1.4.6"];
const PROGRAM: &str = include_str!("mail_server.py");

/// How connections are secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailSecurity {
    /// Not at all.
    None,
    /// By STARTTLS, without which nothing is taken.
    Starttls,
    /// From the first byte on.
    Tls,
}

/// How a server knows who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Not,
    ByPassword,
    ByCertificate,
}

/// A mail that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Sender.
    pub from: String,
    /// Recipients.
    pub to: Vec<String>,
    /// Headers and text.
    pub text: String,
}

impl Received {
    /// A header's value, its lines joined.
    pub fn header(&self, name: &str) -> Option<String> {
        let head = self.text.split("\r\n\r\n").next()?.replace("\r\n ", " ");
        let mut lines = head.split("\r\n");
        lines.find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim().to_owned()))
    }
}

/// A mail server. What it refuses is said at the beginning of its program, `mail_server.py`.
#[derive(Debug)]
pub struct Aiosmtpd {
    process: Process,
    port: Port,
    certificates: Option<Certificates>,
}

impl Aiosmtpd {
    /// What it is called in the cache, and its version.
    pub(crate) const ITEM: (&str, &str) = ("aiosmtpd", "1.4.6");
    /// The one user of a server that wants to know who sends.
    pub const USER: &str = "sender";
    /// The user's password.
    pub const PASSWORD: &str = "sender-secret";

    /// Fetches it unless it is in the cache; returns its virtual environment.
    pub(crate) fn fetch(cache: &Cache) -> Result<PathBuf> {
        cache.ensure(Self::ITEM.0, Self::ITEM.1, |into| python::fetch(&PACKAGES, into))
    }

    /// Starts one that takes mails of everybody.
    pub fn start() -> Result<Self> {
        Self::launch(MailSecurity::None, Known::Not, 0)
    }

    /// Starts one that takes mails of [`USER`](Self::USER) only.
    pub fn start_secure(security: MailSecurity) -> Result<Self> {
        Self::launch(security, Known::ByPassword, 0)
    }

    /// Starts one that takes mails of those with a certificate of its authority only.
    pub fn start_mutual(security: MailSecurity) -> Result<Self> {
        Self::launch(security, Known::ByCertificate, 0)
    }

    /// Starts one that fails with one in so many mails: it refuses it for now, or takes it and hangs up without an answer.
    pub fn start_failing(every: usize) -> Result<Self> {
        Self::launch(MailSecurity::None, Known::Not, every)
    }

    fn launch(security: MailSecurity, known: Known, every: usize) -> Result<Self> {
        let python = python::interpreter(&Self::fetch(&Cache::open()?)?);
        let port = Port::claim()?;
        let dir = process::folder("aiosmtpd")?;
        let (name, certificates) = match security {
            MailSecurity::None => ("none", None),
            MailSecurity::Starttls => ("starttls", Some(Certificates::make(dir.path())?)),
            MailSecurity::Tls => ("tls", Some(Certificates::make(dir.path())?)),
        };
        let (user, password) = if known == Known::ByPassword { (Self::USER, Self::PASSWORD) } else { ("", "") };
        let certificate = if known == Known::ByCertificate { "certificate" } else { "" };
        let mut command = Command::new(python);
        command.args(["-c", PROGRAM]).arg(port.number().to_string()).arg(name).arg(dir.path());
        command.args([user, password]).arg(every.to_string()).arg(certificate);
        let address = port.address();
        let launch = Launch {
            name: "aiosmtpd",
            command,
            holds_stdin: false,
            probe: Box::new(move || TcpStream::connect(&address).is_ok()),
            ready_within: Duration::from_secs(60),
        };
        Ok(Self { process: Process::launch(launch, dir)?, port, certificates })
    }

    /// Where it listens, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The certificates of a secure one, for clients, too.
    pub fn certificates(&self) -> Option<&Certificates> {
        self.certificates.as_ref()
    }

    /// The authority of its certificate (PEM), which is for localhost and 127.0.0.1.
    pub fn ca(&self) -> Option<PathBuf> {
        self.certificates.as_ref().map(Certificates::ca)
    }

    /// The mails that it has taken, in order.
    pub fn mails(&self) -> Result<Vec<Received>> {
        let path = self.process.dir().join("mails.jsonl");
        let text = match std::fs::read_to_string(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            read => read.map_err(Error::io(format!("reading {}", path.display())))?,
        };
        // The last line may be half written at this moment.
        let whole = &text[..text.rfind('\n').map_or(0, |at| at + 1)];
        let mails: Option<Vec<Received>> = whole.lines().map(received).collect();
        mails.ok_or_else(|| Error::io(format!("reading {}", path.display()))(std::io::ErrorKind::InvalidData.into()))
    }
}

fn received(line: &str) -> Option<Received> {
    let mail: Value = serde_json::from_str(line).ok()?;
    let text = |v: &Value| v.as_str().map(str::to_owned);
    let to = mail["to"].as_array()?.iter().map(text).collect::<Option<_>>()?;
    Some(Received { from: text(&mail["from"])?, to, text: text(&mail["text"])? })
}

impl Server for Aiosmtpd {
    fn process(&self) -> &Process {
        &self.process
    }

    fn process_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}
