//! Connections of the REST API: accepted, bounded in time, and let go when the worker stops.

use std::{net::SocketAddr, pin::Pin, time::Duration};

use axum::Router;
use connect_api::{Error, Result};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tokio_openssl::SslStream;
use tokio_util::sync::CancellationToken;

use super::tls;

/// How long a client may take for the head of a request, and how long a connection may idle; Jetty's time.
const HEAD: Duration = Duration::from_secs(30);

/// The scheme by which a request came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scheme(pub &'static str);

/// A bound listener.
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<tls::Acceptor>,
    head: Duration,
}

impl Bound {
    /// Binds host and port; an empty host means all interfaces.
    pub(super) async fn bind(host: &str, port: u16, tls: Option<tls::Acceptor>, key: &str) -> Result<Self> {
        let shown = if host.is_empty() { "0.0.0.0" } else { host };
        let bound = TcpListener::bind((shown, port)).await;
        let listener = bound.map_err(|e| {
            Error::fatal(format!(
                "binding the REST API to {shown}:{port} (is another worker running? set {key} to another port)"
            ))
            .caused_by(e)
        })?;
        let address =
            listener.local_addr().map_err(|e| Error::fatal("asking for the REST API's address").caused_by(e))?;
        Ok(Self { listener, address, tls, head: HEAD })
    }

    /// The address that was bound.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address as a URL.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme().0, self.address)
    }

    fn scheme(&self) -> Scheme {
        Scheme(if self.tls.is_some() { "https" } else { "http" })
    }

    /// Serves until it is told to stop; then requests under way are finished.
    pub(super) async fn serve(self, router: Router, stop: CancellationToken) {
        let router = router.layer(axum::Extension(self.scheme()));
        let under_way = GracefulShutdown::new();
        loop {
            let stream = tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => stream,
                    Err(e) => {
                        // Too many open files, mostly: it passes when connections end.
                        tracing::warn!("accepting a connection of the REST API: {e}");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                },
                () = stop.cancelled() => break,
            };
            let (router, watcher) = (router.clone(), under_way.watcher());
            let (tls, head) = (self.tls.clone(), self.head);
            tokio::spawn(async move { answer(stream, tls, router, watcher, head).await });
        }
        drop(self.listener);
        under_way.shutdown().await;
    }
}

async fn answer(stream: TcpStream, tls: Option<tls::Acceptor>, router: Router, watcher: Watcher, head: Duration) {
    // Answers are small; without this the last part of one could wait for an acknowledgement.
    if let Err(e) = stream.set_nodelay(true) {
        tracing::debug!("a connection of the REST API: {e}");
    }
    let Some(tls) = tls else { return connection(stream, router, watcher, head).await };
    match tokio::time::timeout(head, encrypted(stream, &tls)).await {
        Ok(Ok(stream)) => connection(stream, router, watcher, head).await,
        // The client's business, like what follows.
        Ok(Err(e)) => tracing::debug!("a TLS connection of the REST API: {e}"),
        Err(_) => tracing::debug!("a TLS connection of the REST API was not made within {} s", head.as_secs()),
    }
}

async fn encrypted(
    stream: TcpStream,
    tls: &tls::Acceptor,
) -> std::result::Result<SslStream<TcpStream>, Box<dyn std::error::Error + Send + Sync>> {
    let mut stream = SslStream::new(openssl::ssl::Ssl::new(tls.context())?, stream)?;
    Pin::new(&mut stream).accept().await?;
    Ok(stream)
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    watcher: Watcher,
    head: Duration,
) {
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    if let Err(e) = watcher.watch(connection).await {
        // The client's business: it went away or was too slow.
        tracing::debug!("a connection of the REST API: {e}");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn started(head: Duration) -> (SocketAddr, CancellationToken, tokio::task::JoinHandle<()>) {
        let mut bound = Bound::bind("127.0.0.1", 0, None, "listeners").await.expect("a port");
        bound.head = head;
        let (address, stop) = (bound.address(), CancellationToken::new());
        let slow = || async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            "done"
        };
        let router = Router::new().route("/slow", axum::routing::get(slow));
        let served = tokio::spawn(bound.serve(router, stop.clone()));
        (address, stop, served)
    }

    async fn all(stream: &mut TcpStream) -> String {
        let mut text = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut text)).await;
        read.expect("the connection is closed in time").expect("bytes");
        String::from_utf8(text).expect("text")
    }

    #[tokio::test]
    async fn a_client_that_does_not_finish_its_request_is_let_go() {
        let (address, ..) = started(Duration::from_millis(200)).await;
        let began = Instant::now();
        let mut stream = TcpStream::connect(address).await.expect("connection");
        stream.write_all(b"GET /slow HTTP/1.1\r\nHo").await.expect("part of a request");
        assert!(!all(&mut stream).await.contains("200"));
        assert!(began.elapsed() >= Duration::from_millis(200));
    }

    #[tokio::test]
    async fn requests_under_way_are_finished_when_it_stops() {
        let (address, stop, served) = started(Duration::from_secs(30)).await;
        let mut stream = TcpStream::connect(address).await.expect("connection");
        stream.write_all(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n").await.expect("request");
        // The connection is answered from the moment that it was accepted, which a second one shows.
        let mut other = TcpStream::connect(address).await.expect("connection");
        other.write_all(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await.expect("request");
        assert!(all(&mut other).await.starts_with("HTTP/1.1 404"));
        stop.cancel();
        assert!(all(&mut stream).await.ends_with("done"));
        served.await.expect("the server ends");
    }
}
