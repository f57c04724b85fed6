//! The HTTP server of webhook sources: one per address, shared by connectors, each with its own paths.

use std::{
    collections::{BTreeMap, HashMap},
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, PoisonError, RwLock, Weak},
    time::{Duration, Instant},
};

use bytes::Bytes;
use connect_api::{
    CancellationToken, Error, Result,
    config::{Key, Millis, Problems},
};
use hyper::{HeaderMap, StatusCode};
use tokio::{
    net::{TcpListener, TcpSocket, lookup_host},
    sync::Mutex,
};

use crate::{
    config::positive,
    connection,
    tls::{self, Acceptor, PemFile, ServerFiles},
};

connect_api::config! {
    /// Where webhooks are received, and what a client may cost.
    #[derive(Debug, Clone, PartialEq)]
    pub struct ListenConfig {
        /// Address to listen on, host:port. Connectors of one worker may share it, each with other paths.
        /// Port 0 takes a free one, which the log names. Others than loopback are open to whoever reaches them.
        listen: String = Key::new("webhook.listen").default("127.0.0.1:8090").high().check(|a: &String| address(a)),
        /// Most connections at a time; further ones wait until one ends.
        connections: i32 = Key::new("webhook.connections").default("256").low().at_least(1).at_most(65_536),
        /// Longest time, in milliseconds, for a client to send its request, and for an idle connection.
        client_timeout: Millis = Key::new("webhook.client.timeout.ms").default("10000").low().check(positive),
        /// PEM file with the certificate of the listener and, if needed, its chain: it then speaks https. Files are
        /// read when the first connector of the address starts.
        certificate_file: Option<String> = Key::new("webhook.tls.certificate.file"),
        /// PEM file with the key of that certificate, unencrypted.
        key_file: Option<String> = Key::new("webhook.tls.key.file"),
        /// PEM file with authorities of clients: only those with a certificate of theirs are let in.
        client_ca_file: Option<String> = Key::new("webhook.tls.client.ca.file").low(),
    }
}

impl ListenConfig {
    /// Rules that span several keys.
    pub fn validate(&self, problems: &mut Problems) {
        if self.certificate_file.is_some() != self.key_file.is_some() {
            let missing = if self.key_file.is_some() { "webhook.tls.certificate.file" } else { "webhook.tls.key.file" };
            problems.add(missing, "webhook.tls.certificate.file and webhook.tls.key.file must be set together");
        }
        if self.client_ca_file.is_some() && self.certificate_file.is_none() {
            let text = "webhook.tls.client.ca.file needs webhook.tls.certificate.file and webhook.tls.key.file";
            problems.add("webhook.tls.client.ca.file", text);
        }
    }

    /// What accepts connections; none if the settings do not ask for TLS.
    fn acceptor(&self) -> Result<Option<Acceptor>> {
        let (Some(certificate), Some(key)) = (&self.certificate_file, &self.key_file) else { return Ok(None) };
        let file = |setting, path| PemFile { setting, path };
        let files = ServerFiles {
            listener: "the webhook listener",
            certificate: file("webhook.tls.certificate.file", certificate),
            key: file("webhook.tls.key.file", key),
            password: None,
            client_ca: self.client_ca_file.as_deref().map(|path| file("webhook.tls.client.ca.file", path)),
        };
        tls::acceptor(&files).map(Some)
    }
}

/// A request that was read whole.
#[derive(Debug)]
pub struct Request {
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

/// An answer of plain text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Status.
    pub status: StatusCode,
    /// What to tell the client.
    pub text: String,
    /// When to come again, in seconds.
    pub retry_after: Option<u64>,
}

impl Reply {
    /// A reply of a status and a text.
    pub fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into(), retry_after: None }
    }

    /// 503: the client should send the same again in a few seconds.
    pub fn unavailable(why: impl Into<String>) -> Self {
        Self { retry_after: Some(RETRY_AFTER), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, why) }
    }
}

const RETRY_AFTER: u64 = 5;
/// For that long a path whose connector has stopped answers 503: it may be restarting.
const RESTART_GRACE: Duration = Duration::from_secs(60);
/// For that long after a listener has opened any path answers 503: its connector may be starting.
const START_GRACE: Duration = Duration::from_secs(30);

/// What answers the POST requests of a path. It is dropped when the client goes away.
pub type Handler = Arc<dyn Fn(Request) -> Pin<Box<dyn Future<Output = Reply> + Send>> + Send + Sync>;

/// What bodies a path takes.
#[derive(Clone)]
pub struct Bodies {
    /// The largest, in bytes.
    pub limit: usize,
    /// Is told of requests that are refused because their bodies are too large, too slow or broken.
    pub refused: Arc<dyn Fn(&Reply) + Send + Sync>,
}

impl From<usize> for Bodies {
    fn from(limit: usize) -> Self {
        Self { limit, refused: Arc::new(|_| {}) }
    }
}

/// A running HTTP server. It stops when the last [`Route`] and the last clone are gone.
#[derive(Clone)]
pub struct Listener(Arc<Shared>);

struct Shared {
    config: ListenConfig,
    address: SocketAddr,
    routes: Arc<Routes>,
    stopping: CancellationToken,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.stopping.cancel();
    }
}

struct Running {
    listener: Weak<Shared>,
    /// Cancelled when the port is free again.
    closed: CancellationToken,
}

/// All listeners by the address in the settings; those on port 0 are nobody else's and not here.
static RUNNING: Mutex<BTreeMap<String, Running>> = Mutex::const_new(BTreeMap::new());

impl Listener {
    /// Listens on the address, or joins the listener that is there.
    pub async fn open(config: &ListenConfig) -> Result<Self> {
        let mut running = RUNNING.lock().await;
        if let Some(known) = running.get(&config.listen) {
            if let Some(shared) = known.listener.upgrade() {
                return shared.join(config);
            }
            known.closed.cancelled().await;
        }
        running.retain(|_, known| known.listener.strong_count() > 0);
        let (closed, tls) = (CancellationToken::new(), config.acceptor()?);
        let listener = Self::bind(config, tls, closed.clone()).await.map_err(|e| bind_error(config, e, &running))?;
        if !config.listen.ends_with(":0") {
            running.insert(config.listen.clone(), Running { listener: Arc::downgrade(&listener.0), closed });
        }
        Ok(listener)
    }

    /// Looks whether a connector could have these paths of the address, and says how; nothing listens meanwhile.
    pub async fn look(config: &ListenConfig, paths: &[String], owner: &str) -> Result<String> {
        // As long as this is held no connector of the worker takes or leaves an address.
        let running = RUNNING.lock().await;
        let address = &config.listen;
        let known = running.get(address).and_then(|known| known.listener.upgrade());
        let Some(shared) = known else {
            config.acceptor()?;
            let tried = bind_only(address).await.map_err(|e| bind_error(config, e, &running))?;
            return Ok(format!("{tried} is free; nothing listens there before the connector runs"));
        };
        let listener = shared.join(config)?;
        let mut own = false;
        for path in paths {
            match listener.0.routes.owner(path) {
                Some(other) if &*other == owner => own = true,
                Some(other) => return Err(listener.taken(path, &other)),
                None => {}
            }
        }
        Ok(if own {
            format!("the running connector listens on {}", listener.address())
        } else {
            format!("another connector listens on {}, whose address would be shared", listener.address())
        })
    }

    async fn bind(config: &ListenConfig, tls: Option<Acceptor>, closed: CancellationToken) -> io::Result<Self> {
        let addresses: Vec<SocketAddr> = lookup_host(&config.listen).await?.collect();
        let socket = TcpListener::bind(&addresses[..]).await?;
        let address = socket.local_addr()?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        tracing::info!(%address, scheme, "listening for webhooks");
        let stopping = CancellationToken::new();
        let routes = Arc::new(Routes::new(Instant::now()));
        let limits = connection::Limits {
            connections: usize::try_from(config.connections).unwrap_or(1),
            client_timeout: config.client_timeout.0,
            tls,
        };
        tokio::spawn(connection::accept(socket, routes.clone(), limits, stopping.clone(), closed));
        Ok(Self(Arc::new(Shared { config: config.clone(), address, routes, stopping })))
    }

    /// Where it listens, with the port that was taken.
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// Takes a path for as long as the route is kept. A path that somebody else has is a fatal error.
    pub fn route(&self, path: &str, owner: &str, bodies: impl Into<Bodies>, handler: Handler) -> Result<Route> {
        let endpoint = Endpoint { owner: owner.into(), bodies: bodies.into(), handler };
        self.0.routes.take(path, endpoint).map_err(|other| self.taken(path, &other))?;
        Ok(Route { path: path.into(), listener: self.clone() })
    }

    fn taken(&self, path: &str, other: &str) -> Error {
        Error::fatal(format!(
            "the path {path} on {} is the connector {other}'s: set webhook.paths to other ones, or webhook.listen",
            self.0.address
        ))
    }
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Listener({})", self.0.address)
    }
}

impl Shared {
    fn join(self: Arc<Self>, config: &ListenConfig) -> Result<Listener> {
        if self.config != *config {
            return Err(Error::fatal(format!(
                "another connector listens on {} with other limits or certificates: set webhook.connections, \
                 webhook.client.timeout.ms and webhook.tls.* alike, or webhook.listen to another address",
                config.listen
            )));
        }
        Ok(Listener(self))
    }
}

/// Binds without listening, so that nobody can connect meanwhile; answers the address.
pub async fn bind_only(address: &str) -> io::Result<SocketAddr> {
    let mut failure = None;
    for one in lookup_host(address).await? {
        let socket = if one.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // As listeners do: connections that have just ended are in nobody's way.
        socket.set_reuseaddr(true)?;
        match socket.bind(one) {
            Ok(()) => return Ok(one),
            Err(e) => failure = Some(e),
        }
    }
    Err(failure.unwrap_or_else(|| io::Error::other("the name has no address")))
}

fn bind_error(config: &ListenConfig, e: io::Error, running: &BTreeMap<String, Running>) -> Error {
    let listen = &config.listen;
    let port = listen.rsplit_once(':').map(|(_, port)| port);
    let same_port = |known: &&String| known.rsplit_once(':').map(|(_, port)| port) == port;
    let way_out = match (e.kind(), running.keys().find(same_port)) {
        (io::ErrorKind::AddrInUse, Some(known)) => format!(
            "a connector of this worker has the port with webhook.listen={known}; write the same to share it, or take \
             another port"
        ),
        (kind, _) => way_out(kind, "webhook.listen"),
    };
    Error::fatal(format!("listening on {listen} for webhooks: {way_out}")).caused_by(e)
}

/// What a person can do about an address, named by that setting, that cannot be listened on.
pub fn way_out(kind: io::ErrorKind, setting: &str) -> String {
    match kind {
        io::ErrorKind::AddrInUse => format!("another program has the port; stop that, or set {setting} to a free one"),
        io::ErrorKind::AddrNotAvailable => format!("set {setting} to an address of this machine"),
        io::ErrorKind::PermissionDenied => {
            format!("set {setting} to a port from 1024 on, or let the worker's user have lower ones")
        }
        _ => format!("correct {setting}"),
    }
}

/// A path that is taken; dropping it gives the path back.
#[derive(Debug)]
pub struct Route {
    path: String,
    listener: Listener,
}

impl Route {
    /// Where its listener listens.
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }
}

impl Drop for Route {
    fn drop(&mut self) {
        self.listener.0.routes.release(&self.path);
    }
}

/// What answers a path.
#[derive(Clone)]
pub(crate) struct Endpoint {
    owner: Arc<str>,
    pub(crate) bodies: Bodies,
    pub(crate) handler: Handler,
}

enum Slot {
    Taken(Endpoint),
    Released(Instant),
}

/// Who answers which path.
pub(crate) struct Routes {
    opened: Instant,
    slots: RwLock<HashMap<String, Slot>>,
}

impl Routes {
    fn new(opened: Instant) -> Self {
        Self { opened, slots: RwLock::default() }
    }

    /// Who answers the path, or the reply when nobody does.
    pub(crate) fn find(&self, path: &str) -> Result<Endpoint, Reply> {
        let since = match self.slots.read().unwrap_or_else(PoisonError::into_inner).get(path) {
            Some(Slot::Taken(endpoint)) => return Ok(endpoint.clone()),
            Some(Slot::Released(since)) => Some(*since),
            None => None,
        };
        Err(self.nobody(since, Instant::now()))
    }

    /// What a path answers that nobody has, and since when if somebody had it. Senders that never repeat what was
    /// answered with 404 must not lose what they send while connectors start.
    fn nobody(&self, released: Option<Instant>, now: Instant) -> Reply {
        let within = |since: Instant, grace| now.saturating_duration_since(since) < grace;
        if released.is_some_and(|since| within(since, RESTART_GRACE)) {
            Reply::unavailable("the connector of this path is stopped")
        } else if within(self.opened, START_GRACE) {
            Reply::unavailable("no connector listens on this path yet")
        } else {
            Reply::new(StatusCode::NOT_FOUND, "no connector listens on this path")
        }
    }

    fn take(&self, path: &str, endpoint: Endpoint) -> Result<(), Arc<str>> {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(Slot::Taken(other)) = slots.get(path) {
            return Err(other.owner.clone());
        }
        slots.insert(path.to_owned(), Slot::Taken(endpoint));
        Ok(())
    }

    fn owner(&self, path: &str) -> Option<Arc<str>> {
        match self.slots.read().unwrap_or_else(PoisonError::into_inner).get(path) {
            Some(Slot::Taken(endpoint)) => Some(endpoint.owner.clone()),
            _ => None,
        }
    }

    fn release(&self, path: &str) {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        slots.insert(path.to_owned(), Slot::Released(Instant::now()));
    }
}

fn address(text: &str) -> Result<(), String> {
    match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(()),
        _ => Err("Expected host:port, such as 127.0.0.1:8090".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_nobody_has_are_told_to_come_again_for_a_while() {
        let opened = Instant::now();
        let routes = Routes::new(opened);
        let reply = |released: Option<u64>, at: u64| {
            let after = |seconds| opened + Duration::from_secs(seconds);
            let reply = routes.nobody(released.map(after), after(at));
            (reply.status.as_u16(), reply.retry_after.is_some())
        };
        assert_eq!(reply(None, 0), (503, true), "its connector may be starting");
        assert_eq!(reply(None, 29), (503, true));
        assert_eq!(reply(None, 30), (404, false));
        assert_eq!(reply(Some(100), 159), (503, true), "its connector may be restarting");
        assert_eq!(reply(Some(100), 160), (404, false));
    }
}
