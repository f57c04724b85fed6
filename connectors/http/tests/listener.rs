//! The listener over real sockets.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{sync::Arc, time::Duration};

use connect_api::{Settings, config::Config};
use connector_http::{ListenConfig, Listener, Reply, Request, StatusCode, listener::Handler};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
    time::timeout,
};

const SOON: Duration = Duration::from_secs(10);

fn config(more: &[(&str, &str)]) -> ListenConfig {
    let mut settings = Settings::from([("webhook.listen", "127.0.0.1:0"), ("webhook.client.timeout.ms", "300")]);
    for (k, v) in more {
        settings.set(*k, *v);
    }
    ListenConfig::parse(&settings).unwrap()
}

fn echo() -> Handler {
    Arc::new(|request: Request| {
        Box::pin(async move { Reply::new(StatusCode::OK, String::from_utf8_lossy(&request.body)) })
    })
}

/// Sends a text and reads until the server closes the connection.
async fn exchange(listener: &Listener, text: &str) -> String {
    let mut stream = TcpStream::connect(listener.address()).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A reset behind the answer is all right: the rest of the request was not read.
    let _ = timeout(SOON, stream.read_to_end(&mut answer)).await.expect("the server closes in time");
    String::from_utf8(answer).unwrap()
}

fn post(path: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn paths_methods_and_sizes_are_checked() {
    let listener = Listener::open(&config(&[])).await.unwrap();
    let route = listener.route("/a", "first", 10, echo()).unwrap();
    assert!(exchange(&listener, &post("/a", "hello")).await.ends_with("\r\n\r\nhello\n"));
    assert!(exchange(&listener, &post("/a?x=y", "0123456789")).await.starts_with("HTTP/1.1 200"));
    let answer = exchange(&listener, &post("/b", "x")).await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after: 5\r\n"), "may be starting: {answer}");
    assert!(exchange(&listener, &post("/a", "01234567890")).await.starts_with("HTTP/1.1 413"));
    let chunked =
        "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n012345\r\n6\r\n012345\r\n0\r\n\r\n";
    assert!(exchange(&listener, chunked).await.starts_with("HTTP/1.1 413"));
    let answer = exchange(&listener, "GET /a HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 405") && answer.contains("allow: POST\r\n"), "{answer}");
    drop(route);
    let answer = exchange(&listener, &post("/a", "x")).await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after: 5\r\n"), "{answer}");
    let _again = listener.route("/a", "first", 10, echo()).unwrap();
    assert!(exchange(&listener, &post("/a", "x")).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn slow_and_idle_clients_are_cut_off() {
    let listener = Listener::open(&config(&[])).await.unwrap();
    let _route = listener.route("/a", "first", 100, echo()).unwrap();
    assert_eq!(exchange(&listener, "").await, "", "says nothing");
    assert_eq!(exchange(&listener, "POST /a HT").await, "", "stops in the head");
    let answer = exchange(&listener, "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nxxx").await;
    assert!(answer.starts_with("HTTP/1.1 408"), "stops in the body: {answer}");
    let answer = exchange(&listener, "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "keeps the connection for nothing: {answer}");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_place() {
    let listener = Listener::open(&config(&[("webhook.connections", "1")])).await.unwrap();
    let _route = listener.route("/a", "first", 100, echo()).unwrap();
    let _idle = TcpStream::connect(listener.address()).await.unwrap();
    assert!(exchange(&listener, &post("/a", "x")).await.starts_with("HTTP/1.1 200"), "after the idle one is cut off");
}

#[tokio::test]
async fn an_address_is_shared_and_free_again_after_the_last_route() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mine = config(&[("webhook.listen", &free)]);
    let first = Listener::open(&mine).await.unwrap().route("/a", "first", 10, echo()).unwrap();
    let shared = Listener::open(&mine).await.unwrap();
    let e = shared.route("/a", "second", 10, echo()).unwrap_err();
    let expected = format!("the path /a on {free} is the connector first's: set webhook.paths");
    assert!(e.message().starts_with(&expected), "{e:?}");
    let second = shared.route("/b", "second", 10, echo()).unwrap();
    let other = config(&[("webhook.listen", &free), ("webhook.connections", "3")]);
    assert!(
        Listener::open(&other)
            .await
            .unwrap_err()
            .message()
            .contains("with other limits or certificates: set webhook.connections")
    );
    let (_, port) = free.rsplit_once(':').unwrap();
    let spelt = config(&[("webhook.listen", &format!("localhost:{port}"))]);
    let e = Listener::open(&spelt).await.unwrap_err();
    assert!(e.message().contains(&format!("with webhook.listen={free}; write the same")), "{e:?}");
    drop((first, second, shared));
    let again = Listener::open(&other).await.unwrap();
    assert_eq!(again.address().to_string(), free);
    drop(again);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = config(&[("webhook.listen", &taken.local_addr().unwrap().to_string())]);
    let e = Listener::open(&taken).await.unwrap_err();
    let expected = format!("listening on {} for webhooks: another program has the port; stop that,", taken.listen);
    assert!(e.message().starts_with(&expected), "{e:?}");
    let e = Listener::open(&config(&[("webhook.listen", "192.0.2.1:8090")])).await.unwrap_err();
    assert!(e.message().ends_with("set webhook.listen to an address of this machine"), "{e:?}");
}

#[tokio::test]
async fn stopping_lets_the_request_in_hand_end() {
    let (started, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (s, g) = (started.clone(), go_on.clone());
    let handler: Handler = Arc::new(move |_| {
        let (started, go_on) = (s.clone(), g.clone());
        Box::pin(async move {
            started.notify_one();
            go_on.notified().await;
            Reply::new(StatusCode::OK, "stored")
        })
    });
    let listener = Listener::open(&config(&[])).await.unwrap();
    let address = listener.address();
    let route = listener.route("/a", "first", 100, handler).unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx").await.unwrap();
    timeout(SOON, started.notified()).await.unwrap();
    drop((route, listener));
    timeout(SOON, async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await
        }
    })
    .await
    .expect("the port is closed");
    go_on.notify_one();
    let mut answer = String::new();
    timeout(SOON, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("stored\n"), "{answer}");
}

#[tokio::test]
async fn who_does_not_read_the_answers_is_cut_off() {
    let listener = Listener::open(&config(&[("webhook.connections", "1")])).await.unwrap();
    let handler: Handler = Arc::new(|_| Box::pin(async { Reply::new(StatusCode::OK, "x".repeat(1 << 20)) }));
    let _route = listener.route("/a", "first", 10, handler).unwrap();
    let mut deaf = TcpStream::connect(listener.address()).await.unwrap();
    let keep = "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx".repeat(64);
    deaf.write_all(keep.as_bytes()).await.unwrap();
    let answer = exchange(&listener, &post("/a", "x")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "its place is free again");
}

#[tokio::test]
async fn heads_that_never_end_are_refused() {
    let listener = Listener::open(&config(&[])).await.unwrap();
    let _route = listener.route("/a", "first", 10, echo()).unwrap();
    let long = format!("POST /a HTTP/1.1\r\nHost: h\r\nX: {}", "x".repeat(100_000));
    let answer = exchange(&listener, &long).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    for garbage in ["\0\0\0\0\r\n\r\n", "GET\r\n\r\n", "POST /a HTTP/9.9\r\n\r\n", "POST /a HTTP/1.1\r\nA B\r\n\r\n"] {
        let answer = exchange(&listener, garbage).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{garbage:?}: {answer}");
    }
    assert!(exchange(&listener, &post("/a", "x")).await.starts_with("HTTP/1.1 200"), "others are not disturbed");
}
