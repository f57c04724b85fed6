//! Serves the clients of a listener: accepts within a limit, reads requests within a time, stops gracefully.

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use connect_api::CancellationToken;
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Response, StatusCode,
    body::Incoming,
    header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};

use crate::{
    listener::{Reply, Request, Routes},
    patience::Patience,
    tls::{self, Acceptor},
};

/// How long requests may take to end after the listener was told to stop.
const STOP_WITHIN: Duration = Duration::from_secs(5);
/// Pause after a failed accept: without file descriptors, trying at once only burns time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What clients may cost.
#[derive(Clone)]
pub(crate) struct Limits {
    pub(crate) connections: usize,
    pub(crate) client_timeout: Duration,
    pub(crate) tls: Option<Acceptor>,
}

/// The longest head of a request.
const HEAD_LIMIT: usize = 64 * 1024;

/// Accepts connections until it is stopped, then frees the port and says so.
pub(crate) async fn accept(
    socket: TcpListener,
    routes: Arc<Routes>,
    limits: Limits,
    stopping: CancellationToken,
    closed: CancellationToken,
) {
    // Also when this future is dropped with its runtime, the port is free.
    let _closed = closed.drop_guard();
    let places = Arc::new(Semaphore::new(limits.connections));
    let accept = async {
        // A connection is accepted when there is a place for it; until then it waits in the kernel.
        while let Ok(place) = places.clone().acquire_owned().await {
            match socket.accept().await {
                Ok((stream, _)) => {
                    let serving = secure(stream, routes.clone(), limits.clone(), stopping.clone());
                    tokio::spawn(async move {
                        serving.await;
                        drop(place);
                    });
                }
                Err(e) => {
                    tracing::warn!(error = %e, "accepting a webhook connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    stopping.run_until_cancelled(accept).await;
    drop(socket);
}

async fn secure(stream: TcpStream, routes: Arc<Routes>, limits: Limits, stopping: CancellationToken) {
    let client_timeout = limits.client_timeout;
    let Some(tls) = limits.tls else { return serve(stream, routes, client_timeout, stopping).await };
    match stopping.run_until_cancelled(timeout(client_timeout, tls::accept(&tls, stream))).await {
        Some(Ok(Ok(stream))) => serve(stream, routes, client_timeout, stopping).await,
        Some(Ok(Err(e))) => tracing::debug!(error = %e, "the TLS handshake of a webhook connection"),
        // Too slow, or the listener stops.
        _ => {}
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin,
    routes: Arc<Routes>,
    client_timeout: Duration,
    stopping: CancellationToken,
) {
    let service = service_fn(move |request| {
        let routes = routes.clone();
        async move { Ok::<_, Infallible>(answer(&routes, client_timeout, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(client_timeout)
        .max_buf_size(HEAD_LIMIT)
        .serve_connection(TokioIo::new(Patience::new(stream, client_timeout)), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            timeout(STOP_WITHIN, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(e) = ended {
        tracing::debug!(error = %e, "serving a webhook connection");
    }
}

async fn answer(routes: &Routes, client_timeout: Duration, request: hyper::Request<Incoming>) -> Response<Full<Bytes>> {
    let endpoint = match routes.find(request.uri().path()) {
        Ok(endpoint) => endpoint,
        Err(reply) => return respond(reply, true),
    };
    if request.method() != Method::POST {
        let reply = Reply::new(StatusCode::METHOD_NOT_ALLOWED, "expected the method POST");
        let mut response = respond(reply, true);
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        return response;
    }
    let (head, body) = request.into_parts();
    let reading = timeout(client_timeout, read(body, endpoint.bodies.limit)).await;
    let read = reading.unwrap_or_else(|_| Err(Reply::new(StatusCode::REQUEST_TIMEOUT, "the body took too long")));
    match read {
        Ok(body) => respond((endpoint.handler)(Request { headers: head.headers, body }).await, false),
        Err(reply) => {
            (endpoint.bodies.refused)(&reply);
            respond(reply, true)
        }
    }
}

async fn read(mut body: Incoming, limit: usize) -> Result<Bytes, Reply> {
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| Reply::new(StatusCode::BAD_REQUEST, format!("the body is broken: {e}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if read.len() + data.len() > limit {
            let text = format!("the body is larger than {limit} bytes");
            return Err(Reply::new(StatusCode::PAYLOAD_TOO_LARGE, text));
        }
        read.extend_from_slice(&data);
    }
    Ok(read.freeze())
}

/// `close`: the request was not read to its end, so nothing can follow it on this connection.
fn respond(reply: Reply, close: bool) -> Response<Full<Bytes>> {
    let mut text = reply.text;
    text.push('\n');
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = reply.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if let Some(seconds) = reply.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if reply.status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"webhooks\""));
    }
    if close {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
