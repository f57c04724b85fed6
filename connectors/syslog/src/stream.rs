//! Reads connections, plain or through TLS.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use connect_api::{CancellationToken, time::now_ms};
use connector_http::tls::{self, Acceptor};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    net::{TcpListener, TcpStream},
    sync::{AcquireError, OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_util::task::TaskTracker;

use crate::{
    config::Limits,
    framing::{Broken, End, Framer},
    intake::Intake,
    listener::Listen,
    record::Arrival,
};

/// What is read at once.
const CHUNK: usize = 16 * 1024;
/// What the kernel may hold of a connection: it is lost with the program as what was read is.
const KERNEL_BUFFER: usize = 128 * 1024;
/// Pause after a failed accept: without file descriptors, trying at once only burns time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Who vanishes without a word gives its place back after some two minutes.
const KEEPALIVE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TRIES: u32 = 3;

/// What serves the connections of a listener.
#[derive(Clone)]
pub struct Server {
    /// Who listens.
    pub listener: Arc<Listen>,
    /// What clients may cost.
    pub limits: Limits,
    /// Places for connections.
    pub places: Arc<Semaphore>,
    /// TLS, if it is spoken.
    pub tls: Option<Acceptor>,
    /// Where messages go.
    pub intake: Intake,
    /// Ends it all.
    pub stopping: CancellationToken,
    /// Knows when all has ended.
    pub tasks: TaskTracker,
}

/// Keeps the kernel from holding much of each connection; to be called before the socket listens.
pub fn prepare(socket: &tokio::net::TcpSocket) -> io::Result<()> {
    socket.set_reuseaddr(true)?;
    socket.set_recv_buffer_size(u32::try_from(KERNEL_BUFFER).unwrap_or(u32::MAX))
}

impl Server {
    /// Accepts connections until it is stopped.
    pub async fn accept(self, socket: TcpListener) {
        let accept = async {
            loop {
                match socket.accept().await {
                    Ok((stream, remote)) => {
                        // It waits here, and further ones in the kernel, until there is a place.
                        let Ok(place) = self.place().await else { return };
                        let server = self.clone();
                        self.tasks.spawn(async move {
                            server.serve(stream, remote).await;
                            drop(place);
                        });
                    }
                    Err(e) => {
                        tracing::warn!(error = %e, "accepting a connection on {}", self.listener);
                        sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        };
        self.stopping.run_until_cancelled(accept).await;
    }

    async fn place(&self) -> Result<OwnedSemaphorePermit, AcquireError> {
        if let Ok(place) = self.places.clone().try_acquire_owned() {
            return Ok(place);
        }
        let _locked_out = self.intake.tally().locked_out();
        self.places.clone().acquire_owned().await
    }

    async fn serve(&self, stream: TcpStream, remote: SocketAddr) {
        let _open = self.intake.tally().connection();
        let keepalive =
            TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE_INTERVAL).with_retries(KEEPALIVE_TRIES);
        if let Err(e) = SockRef::from(&stream).set_tcp_keepalive(&keepalive) {
            tracing::debug!(error = %e, "asking for keepalive of the connection of {remote}");
        }
        let Some(acceptor) = &self.tls else { return self.read(stream, remote).await };
        let handshake = timeout(self.limits.client_timeout, tls::accept(acceptor, stream));
        match self.stopping.run_until_cancelled(handshake).await {
            Some(Ok(Ok(stream))) => self.read(stream, remote).await,
            Some(Ok(Err(e))) => tracing::warn!("the TLS handshake of {remote} on {} failed: {e}", self.listener),
            Some(Err(_)) => tracing::warn!("the TLS handshake of {remote} on {} took too long", self.listener),
            None => {}
        }
    }

    async fn read(&self, mut stream: impl AsyncRead + Unpin, remote: SocketAddr) {
        let mut framer = Framer::new(self.limits.framing, self.limits.message);
        let mut buffer = vec![0; CHUNK];
        let mut began = None;
        let end = loop {
            loop {
                match framer.next_frame() {
                    Ok(Some(frame)) => {
                        began = None;
                        if !self.intake.put(frame, self.arrival(remote)).await {
                            return;
                        }
                    }
                    Ok(None) => break,
                    Err(Broken(frame)) => {
                        tracing::warn!(
                            "{remote} on {} sent what has no length before it, and is cut off",
                            self.listener
                        );
                        self.intake.put(frame, self.arrival(remote)).await;
                        return;
                    }
                }
            }
            // The time that the task took for earlier messages does not count.
            let now = Instant::now();
            let deadline = if framer.is_within() {
                Some(*began.get_or_insert(now) + self.limits.client_timeout)
            } else {
                began = None;
                self.limits.idle_timeout.map(|time| now + time)
            };
            let read = async {
                match deadline {
                    Some(deadline) => timeout_at(deadline, stream.read(&mut buffer)).await,
                    None => Ok(stream.read(&mut buffer).await),
                }
            };
            match self.stopping.run_until_cancelled(read).await {
                None => break End::Broken,
                Some(Ok(Ok(0))) => break End::Orderly,
                Some(Ok(Ok(count))) => framer.push(&buffer[..count]),
                Some(Ok(Err(e))) => {
                    tracing::debug!(error = %e, "reading from {remote} on {}", self.listener);
                    break End::Broken;
                }
                Some(Err(_)) => {
                    let why =
                        if framer.is_within() { "took too long for a message" } else { "was silent for too long" };
                    tracing::warn!("{remote} on {} {why}, and is cut off", self.listener);
                    break End::Slow;
                }
            }
        };
        if let Some(frame) = framer.last(end) {
            self.intake.put(frame, self.arrival(remote)).await;
        }
    }

    fn arrival(&self, remote: SocketAddr) -> Arrival {
        Arrival { listener: self.listener.clone(), remote, received: now_ms() }
    }
}
