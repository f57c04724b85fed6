//! Debian's rsyslog, which forwards messages, and util-linux's logger, which sends single ones.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::process::{self, Launch, Process, Server};
use super::{Cache, Error, Port, Result, command, debian, prerequisites};

const ITEM: &str = "rsyslogd";
/// The program, its TLS, and what it is linked with and not every system has.
const PACKAGES: [&str; 4] = ["rsyslog", "rsyslog-openssl", "libestr0", "libfastjson4"];
const PROGRAM: &str = "usr/sbin/rsyslogd";

/// How rsyslog reaches a receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Forward {
    /// A datagram for each message.
    Udp,
    /// A newline behind each message.
    Tcp,
    /// The length before each message.
    TcpCounted,
    /// The length before each message, through TLS.
    Tls {
        /// PEM file with the receiver's authority.
        ca: PathBuf,
        /// PEM files with rsyslog's own certificate and key, if it has one.
        own: Option<(PathBuf, PathBuf)>,
    },
}

/// How rsyslog writes messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// RFC 5424.
    Rfc5424,
    /// RFC 3164.
    Traditional,
    /// RFC 3164 with a time of ISO 8601.
    Iso,
}

impl Style {
    fn template(self) -> &'static str {
        match self {
            Self::Rfc5424 => "RSYSLOG_SyslogProtocol23Format",
            Self::Traditional => "RSYSLOG_TraditionalForwardFormat",
            Self::Iso => "RSYSLOG_ForwardFormat",
        }
    }
}

/// An rsyslog that forwards what it is given to one receiver, and keeps in its queue what that does not take.
#[derive(Debug)]
pub struct Rsyslog {
    process: Process,
    input: Port,
}

impl Rsyslog {
    /// What is fetched, and its version.
    pub(crate) const ITEM: (&str, &str) = (ITEM, debian::VERSION);

    /// Fetches it unless it is in the cache; returns where it was unpacked.
    pub(crate) fn fetch(cache: &Cache) -> Result<PathBuf> {
        debian::unpacked(cache, ITEM, &PACKAGES)
    }

    /// Starts one that forwards to this address.
    pub fn start(to: SocketAddr, forward: &Forward, style: Style) -> Result<Self> {
        let unpacked = Self::fetch(&Cache::open()?)?;
        let libraries = debian::libraries(&unpacked)?;
        let input = Port::claim()?;
        let dir = process::folder("rsyslog")?;
        let settings = settings(dir.path(), input.number(), to, forward, style);
        let settings = process::write(dir.path(), "rsyslog.conf", &settings)?;
        let mut command = Command::new(unpacked.join(PROGRAM));
        command.env("LD_LIBRARY_PATH", &libraries);
        command.args(["-n", "-i", "NONE", "-M"]).arg(libraries.join("rsyslog")).arg("-f").arg(settings);
        let address = input.address();
        let launch = Launch {
            name: "rsyslog",
            command,
            holds_stdin: false,
            probe: Box::new(move || TcpStream::connect(&address).is_ok()),
            ready_within: Duration::from_secs(60),
        };
        Ok(Self { process: Process::launch(launch, dir)?, input })
    }

    /// Where it takes messages, one a line, over TCP.
    pub fn input(&self) -> String {
        self.input.address()
    }

    /// Gives it messages.
    pub fn take<T: AsRef<str>>(&self, messages: impl IntoIterator<Item = T>) -> Result<()> {
        let doing = || format!("giving messages to rsyslog on {}", self.input());
        let stream = TcpStream::connect(self.input()).map_err(Error::io(doing()))?;
        let mut writer = std::io::BufWriter::new(stream);
        for message in messages {
            writeln!(writer, "{}", message.as_ref()).map_err(Error::io(doing()))?;
        }
        writer.flush().map_err(Error::io(doing()))
    }
}

fn settings(dir: &Path, input: u16, to: SocketAddr, forward: &Forward, style: Style) -> String {
    let mut global = format!("workDirectory=\"{}\" maxMessageSize=\"64k\" net.enableDNS=\"off\"", dir.display());
    let protocol = match forward {
        Forward::Udp => "protocol=\"udp\"".to_owned(),
        Forward::Tcp => "protocol=\"tcp\" TCP_Framing=\"traditional\"".to_owned(),
        Forward::TcpCounted => "protocol=\"tcp\" TCP_Framing=\"octet-counted\"".to_owned(),
        Forward::Tls { ca, own } => {
            global += &format!(" defaultNetstreamDriver=\"ossl\" defaultNetstreamDriverCAFile=\"{}\"", ca.display());
            if let Some((certificate, key)) = own {
                global += &format!(
                    " defaultNetstreamDriverCertFile=\"{}\" defaultNetstreamDriverKeyFile=\"{}\"",
                    certificate.display(),
                    key.display()
                );
            }
            "protocol=\"tcp\" TCP_Framing=\"octet-counted\" StreamDriver=\"ossl\" StreamDriverMode=\"1\" \
             StreamDriverAuthMode=\"x509/certvalid\""
                .to_owned()
        }
    };
    format!(
        "global({global})\nmodule(load=\"imptcp\")\n\
         input(type=\"imptcp\" address=\"127.0.0.1\" port=\"{input}\" supportOctetCountedFraming=\"off\" ruleset=\"on\")\n\
         ruleset(name=\"on\") {{\n  action(type=\"omfwd\" target=\"{}\" port=\"{}\" {protocol} template=\"{}\"\n    \
         queue.type=\"linkedlist\" queue.size=\"500000\" queue.timeoutShutdown=\"1\" action.resumeRetryCount=\"-1\" \
         action.resumeInterval=\"1\")\n}}\n",
        to.ip(),
        to.port(),
        style.template()
    )
}

/// Runs util-linux's logger with these arguments.
pub fn logger(arguments: &[&str]) -> Result<()> {
    let program = match prerequisites::on_path("logger") {
        Some(program) => program,
        None => debian::program(&Cache::open()?, "bsdutils", "usr/bin/logger")?,
    };
    let doing = format!("sending a message with logger {}", arguments.join(" "));
    command::run(Command::new(program).args(arguments), &doing, Duration::from_secs(30)).map(drop)
}

impl Server for Rsyslog {
    fn process(&self) -> &Process {
        &self.process
    }

    fn process_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}
