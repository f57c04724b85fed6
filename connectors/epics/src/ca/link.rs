//! One TCP connection to a server: messages in both directions, and the watchdog that notices a dead peer.

use std::{io, net::SocketAddr, time::Duration};

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::{Instant, sleep_until, timeout},
};

use super::{
    dbr::MAX_METADATA,
    protocol::{Decoder, Frame, Request},
    settings::Settings,
};

/// How long a server may take to answer an echo.
const ECHO_TIMEOUT: Duration = Duration::from_secs(5);
/// The room for one read. Smaller than what sockets buffer, so that a circuit that does not read holds up its server.
const READ_SIZE: usize = 32 * 1024;

/// Why a connection could not be made or has ended.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The connection was refused or the server is unreachable.
    #[error("connecting to {server}")]
    Connect {
        /// The server.
        server: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// The server did not accept the connection in time.
    #[error("connecting to {server}: no answer within {} s", after.as_secs_f64())]
    ConnectTimeout {
        /// The server.
        server: SocketAddr,
        /// How long was waited.
        after: Duration,
    },
    /// The connection broke.
    #[error("exchanging messages with {server}")]
    Broken {
        /// The server.
        server: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// The server closed the connection.
    #[error("{server} closed the connection")]
    Closed {
        /// The server.
        server: SocketAddr,
    },
    /// The server was silent and then did not answer an echo.
    #[error("{server} did not answer an echo within {} s", ECHO_TIMEOUT.as_secs())]
    NoAnswer {
        /// The server.
        server: SocketAddr,
    },
}

/// A connection. Nothing moves but in [`Link::exchange`].
#[derive(Debug)]
pub struct Link {
    server: SocketAddr,
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    decoder: Decoder,
    out: BytesMut,
    silence: Duration,
    /// When silence ends in an echo or, if that was sent, in giving up.
    deadline: Instant,
    echo_sent: bool,
}

impl Link {
    /// Connects and queues the greeting: version with priority, user and host.
    ///
    /// # Errors
    ///
    /// If the server does not accept the connection within the connection timeout.
    pub async fn connect(server: SocketAddr, priority: u8, settings: &Settings) -> Result<Link, LinkError> {
        let silence = settings.connection_timeout;
        let connected = timeout(silence, TcpStream::connect(server)).await;
        let connected = connected.map_err(|_| LinkError::ConnectTimeout { server, after: silence })?;
        let set_up = connected.and_then(|stream| stream.set_nodelay(true).map(|()| stream));
        let stream = set_up.map_err(|source| LinkError::Connect { server, source })?;
        let (reader, writer) = stream.into_split();
        let mut link = Link {
            server,
            reader,
            writer,
            decoder: Decoder::new(settings.max_array_bytes.saturating_add(MAX_METADATA)),
            out: BytesMut::new(),
            silence,
            deadline: Instant::now() + silence,
            echo_sent: false,
        };
        link.send(Request::Version { priority });
        link.send(Request::ClientName(&settings.client_name));
        link.send(Request::HostName(&settings.host_name));
        Ok(link)
    }

    /// The greatest payload that is received, in bytes.
    pub fn payload_limit(&self) -> u32 {
        self.decoder.limit()
    }

    /// Queues a message.
    pub fn send(&mut self, request: Request<'_>) {
        request.write(&mut self.out);
    }

    /// Queues messages that are already encoded.
    pub fn send_encoded(&mut self, messages: &[u8]) {
        self.out.extend_from_slice(messages);
    }

    /// How many bytes wait to be sent.
    pub fn queued(&self) -> usize {
        self.out.len()
    }

    /// The next frame of what was received so far.
    pub fn next_frame(&mut self) -> Option<Frame> {
        self.decoder.next_frame()
    }

    /// Sends what is queued until something was received. Cancel-safe: what was read stays with the link, and so does
    /// the clock of the watchdog.
    ///
    /// # Errors
    ///
    /// If the connection ended or the peer is dead.
    pub async fn exchange(&mut self) -> Result<(), LinkError> {
        let server = self.server;
        let broken = |source| LinkError::Broken { server, source };
        loop {
            self.decoder.buffer().reserve(READ_SIZE);
            tokio::select! {
                // Requests go out even if there is always something to read, and what was received while nobody looked
                // counts before the clock does.
                biased;
                written = self.writer.write_buf(&mut self.out), if !self.out.is_empty() => {
                    written.map_err(broken)?;
                }
                read = self.reader.read_buf(self.decoder.buffer()) => {
                    if read.map_err(broken)? == 0 {
                        return Err(LinkError::Closed { server });
                    }
                    self.deadline = Instant::now() + self.silence;
                    self.echo_sent = false;
                    return Ok(());
                }
                () = sleep_until(self.deadline) => {
                    if self.echo_sent {
                        return Err(LinkError::NoAnswer { server });
                    }
                    self.send(Request::Echo);
                    self.echo_sent = true;
                    self.deadline = Instant::now() + ECHO_TIMEOUT;
                }
            }
        }
    }
}
