//! Talks to the SMTP server: connects, sends, and tells what its answers mean.

use std::{fmt, future::Future, time::Duration};

use connect_api::{Error, Result};
use connector_http::CertificateTrouble;
use lettre::{
    Address,
    transport::smtp::{
        Error as SmtpError,
        authentication::{Credentials, Mechanism},
        client::{AsyncSmtpConnection, TlsParameters},
        commands::{Data, Mail, Noop, Rcpt, Rset},
        extension::{ClientId, Extension, MailParameter},
        response::Response,
    },
};
use tokio::time::{Instant, timeout};

use crate::config::Security;

/// After so long without a command it is seen whether the server is still there.
const IDLE: Duration = Duration::from_secs(5);
/// How long the server is waited for when the connection is given up.
const QUIT: Duration = Duration::from_millis(500);

/// Where the server is and how it is talked to.
pub struct Server {
    /// Host.
    pub host: String,
    /// Port.
    pub port: u16,
    /// How the connection is secured.
    pub security: Security,
    /// Certificates and names; none without TLS.
    pub tls: Option<TlsParameters>,
    /// Who we are.
    pub hello: ClientId,
    /// User and password.
    pub credentials: Option<Credentials>,
    /// How the password may be told.
    pub mechanisms: Vec<Mechanism>,
    /// Longest time until the server has greeted.
    pub connect_timeout: Duration,
    /// Longest time for an answer.
    pub timeout: Duration,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// A recipient with what the server said about it.
pub type Answered = (Address, String);

/// What has become of a mail.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Who will get it; nobody if the server wants none of the recipients.
    pub accepted: Vec<Address>,
    /// Who will never get it.
    pub refused: Vec<Answered>,
    /// Who may get it later.
    pub later: Vec<Answered>,
}

/// A connection that is made when it is needed.
pub struct Smtp {
    server: Server,
    connection: Option<(AsyncSmtpConnection, Instant)>,
}

impl Smtp {
    /// Not connected yet.
    pub fn new(server: Server) -> Self {
        Self { server, connection: None }
    }

    /// Connects, logs in, and offers a mail from this address without sending it. Says what is there.
    pub async fn check(&mut self, from: &Address) -> Result<String> {
        let mut connection = self.connect().await?;
        let offered = self.command(&mut connection, Mail::new(Some(from.clone()), Vec::new())).await;
        offered.map_err(|e| self.sender(from, e))?;
        let secured = match self.server.security {
            Security::Starttls => "STARTTLS",
            Security::Tls => "TLS",
            Security::None => "no TLS",
        };
        let known = if self.server.credentials.is_some() { ", with user and password" } else { "" };
        self.connection = Some((connection, Instant::now()));
        self.quit().await;
        Ok(format!("the SMTP server at {} takes mail from {from} ({secured}{known})", self.server))
    }

    /// Sends a mail to as many recipients as the server takes.
    pub async fn send(&mut self, from: &Address, to: &[Address], message: &[u8]) -> Result<Outcome> {
        let mut kept = None;
        if let Some((mut connection, used)) = self.connection.take()
            && (used.elapsed() < IDLE || self.command(&mut connection, Noop).await.is_ok())
        {
            kept = Some(connection);
        }
        let mut connection = match kept {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let sent = self.send_over(&mut connection, from, to, message).await;
        // After an error of the connection nothing is known of what is on it.
        if !connection.has_broken() && !matches!(&sent, Err(Failure::Connection(_))) {
            self.connection = Some((connection, Instant::now()));
        }
        sent.map_err(Failure::into_error)
    }

    async fn send_over(
        &self,
        connection: &mut AsyncSmtpConnection,
        from: &Address,
        to: &[Address],
        message: &[u8],
    ) -> Result<Outcome, Failure> {
        let mut options = Vec::new();
        let plain = |address: &Address| AsRef::<str>::as_ref(address).is_ascii();
        if !plain(from) || !to.iter().all(plain) {
            if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
                let why = format!("the SMTP server at {} knows no addresses beyond ASCII", self.server);
                return Err(Failure::Answer(Error::data(why)));
            }
            options.push(MailParameter::SmtpUtfEight);
        }
        if let Err(e) = self.command(connection, Mail::new(Some(from.clone()), options)).await {
            return Err(self.failed(connection, &e, |e| self.sender(from, e)).await);
        }
        let mut outcome = Outcome::default();
        for address in to {
            match self.command(connection, Rcpt::new(address.clone(), Vec::new())).await {
                Ok(_) => outcome.accepted.push(address.clone()),
                Err(Trouble::Refused(_, text)) => outcome.refused.push((address.clone(), text)),
                Err(Trouble::Later(code, text)) if code != CLOSING => outcome.later.push((address.clone(), text)),
                Err(e) => return Err(Failure::Connection(self.away("offering a recipient to", e))),
            }
        }
        if outcome.accepted.is_empty() {
            self.reset(connection).await?;
            return Ok(outcome);
        }
        if let Err(e) = self.command(connection, Data).await {
            return Err(self.failed(connection, &e, |e| self.content(e)).await);
        }
        let message = connection.message(message);
        if let Err(e) = self.within(self.server.timeout, message).await {
            return Err(self.failed(connection, &e, |e| self.content(e)).await);
        }
        Ok(outcome)
    }

    /// An answer leaves a connection that can be used again, anything else does not.
    async fn failed(
        &self,
        connection: &mut AsyncSmtpConnection,
        trouble: &Trouble,
        error: impl Fn(Trouble) -> Error,
    ) -> Failure {
        let error = error(trouble.clone());
        match trouble {
            Trouble::Later(CLOSING, _) | Trouble::Away(_) => Failure::Connection(error),
            _ => match self.reset(connection).await {
                Ok(()) => Failure::Answer(error),
                Err(_) => Failure::Connection(error),
            },
        }
    }

    async fn reset(&self, connection: &mut AsyncSmtpConnection) -> Result<(), Failure> {
        let reset = self.command(connection, Rset).await;
        reset.map(drop).map_err(|e| Failure::Connection(self.away("clearing the connection to", e)))
    }

    /// Ends the connection as the protocol wants it.
    pub async fn quit(&mut self) {
        if let Some((mut connection, _)) = self.connection.take() {
            // Nothing depends on the answer.
            let _ = timeout(QUIT, connection.quit()).await;
        }
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection> {
        let server = &self.server;
        let implicit = if server.security == Security::Tls { server.tls.clone() } else { None };
        let connected = AsyncSmtpConnection::connect_tokio1(
            (server.host.as_str(), server.port),
            Some(server.connect_timeout),
            &server.hello,
            implicit,
            None,
        );
        let connected = self.within(server.connect_timeout, connected).await;
        let settings = match server.security {
            Security::Tls => "email.smtp.host, email.smtp.port, and email.smtp.security, which is tls",
            _ => "email.smtp.host, email.smtp.port, and email.smtp.security, which wants a port without TLS at first",
        };
        let mut connection = connected
            .map_err(|e| self.unreached(&format!("connecting to the SMTP server at {server} ({settings})"), e))?;
        if let (Security::Starttls, Some(tls)) = (server.security, &server.tls) {
            if !connection.can_starttls() {
                return Err(Error::fatal(format!(
                    "securing the connection to {server}: it does not offer STARTTLS; see email.smtp.port and \
                     email.smtp.security"
                )));
            }
            let secured = self.within(server.timeout, connection.starttls(tls.clone(), &server.hello)).await;
            secured.map_err(|e| {
                self.unreached(
                    &format!("securing the connection to {server} (email.tls.ca.file, email.tls.server.name)"),
                    e,
                )
            })?;
        }
        if let Some(credentials) = &server.credentials {
            let known = connection.auth(&server.mechanisms, credentials);
            if let Err(e) = self.within(server.timeout, known).await {
                let doing =
                    format!("logging in to {server} (email.smtp.username, email.smtp.password, email.smtp.auth)");
                return Err(match e {
                    Trouble::Refused(_, text) => Error::fatal(doing).caused_by(text).denied(),
                    Trouble::Impossible(text) => Error::fatal(doing).caused_by(text),
                    other => self.unreached(&doing, other),
                });
            }
        }
        Ok(connection)
    }

    async fn command<C: fmt::Display>(
        &self,
        connection: &mut AsyncSmtpConnection,
        command: C,
    ) -> Result<Response, Trouble> {
        self.within(self.server.timeout, connection.command(command)).await
    }

    async fn within<T>(&self, limit: Duration, call: impl Future<Output = Result<T, SmtpError>>) -> Result<T, Trouble> {
        match timeout(limit, call).await {
            Ok(answer) => answer.map_err(Trouble::from),
            Err(_) => Err(Trouble::Away(format!("it does not answer within {} ms", limit.as_millis()))),
        }
    }

    fn sender(&self, from: &Address, e: Trouble) -> Error {
        let doing = format!("offering a mail from {from} (email.from) to {}", self.server);
        match e {
            // 530 and 535 say that it wants to know who we are.
            Trouble::Refused(530 | 535, text) => {
                Error::fatal(format!("{doing} without the right email.smtp.username and email.smtp.password"))
                    .caused_by(text)
                    .denied()
            }
            Trouble::Refused(_, text) => Error::fatal(doing).caused_by(text),
            other => self.unreached(&doing, other),
        }
    }

    fn content(&self, e: Trouble) -> Error {
        let doing = format!("sending a mail through {}", self.server);
        match e {
            Trouble::Refused(_, text) => Error::data(doing).caused_by(text),
            other => self.unreached(&doing, other),
        }
    }

    fn away(&self, doing: &str, e: Trouble) -> Error {
        self.unreached(&format!("{doing} {}", self.server), e)
    }

    fn unreached(&self, doing: &str, e: Trouble) -> Error {
        let why = e.to_string();
        let error = match certificate_way_out(&why) {
            Some(way_out) => Error::fatal(format!("{doing}: {way_out}")),
            None => Error::retriable(doing.to_owned()),
        };
        error.caused_by(why)
    }
}

/// What to do about certificates that one side refuses.
fn certificate_way_out(why: &str) -> Option<&'static str> {
    Some(match CertificateTrouble::of(why)? {
        CertificateTrouble::OtherName => "set email.tls.server.name to a name that the server's certificate has",
        CertificateTrouble::Expired => "the server's certificate has to be renewed",
        CertificateTrouble::UnknownAuthority => "set email.tls.ca.file to the certificate of the server's authority",
        CertificateTrouble::OursRefused => {
            "the server wants another certificate of ours, or one at all: see email.tls.certificate.file and \
             email.tls.key.file"
        }
    })
}

/// The server says that it closes the connection.
const CLOSING: u16 = 421;

/// What went wrong with a command.
#[derive(Debug, Clone)]
enum Trouble {
    /// A 5xx.
    Refused(u16, String),
    /// A 4xx.
    Later(u16, String),
    /// No answer, or none that is one.
    Away(String),
    /// What the server cannot do.
    Impossible(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(_, text) | Self::Later(_, text) | Self::Away(text) | Self::Impossible(text) => {
                f.write_str(text)
            }
        }
    }
}

impl From<SmtpError> for Trouble {
    fn from(e: SmtpError) -> Self {
        let Some(code) = e.status() else {
            let text = e.to_string();
            return if e.is_client() { Self::Impossible(text) } else { Self::Away(text) };
        };
        let said = std::error::Error::source(&e).map(|text| format!(" {text}")).unwrap_or_default();
        let text = format!("the server answers {code}{said}");
        if e.is_permanent() { Self::Refused(code.into(), text) } else { Self::Later(code.into(), text) }
    }
}

/// Why a mail was not sent.
enum Failure {
    /// The server's answer; the connection goes on.
    Answer(Error),
    /// The connection is of no more use.
    Connection(Error),
}

impl Failure {
    fn into_error(self) -> Error {
        match self {
            Self::Answer(e) | Self::Connection(e) => e,
        }
    }
}
