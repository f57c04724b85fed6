//! The client against servers that answer well, badly, late and not at all.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use connect_api::{Check, Error, ErrorClass, Settings, config::Config, config::Secret};
use connector_http::{AuthConfig, Client, HttpConfig, Keys, Method, Url};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{any, header, method, path},
};

const KEYS: Keys = Keys { url: "x.url", credentials: "x.token" };

fn client() -> Client {
    let settings = Settings::from([("http.request.timeout.ms", "500"), ("http.proxy", "none")]);
    Client::new(&HttpConfig::parse(&settings).unwrap(), KEYS).unwrap()
}

async fn failure(client: &Client, url: &str) -> Error {
    let url = Url::parse(url).unwrap();
    client.deliver(client.request(Method::POST, url), || "posting a record".into()).await.unwrap_err()
}

#[tokio::test]
async fn answers_are_classified_and_carry_the_servers_delay() {
    let server = MockServer::start().await;
    let busy = ResponseTemplate::new(429).insert_header("retry-after", "2").set_body_string("slow down");
    Mock::given(path("/busy")).respond_with(busy).mount(&server).await;
    let moved = ResponseTemplate::new(302).insert_header("location", "/elsewhere");
    Mock::given(path("/moved")).respond_with(moved).mount(&server).await;
    Mock::given(path("/slow"))
        .respond_with(ResponseTemplate::new(200).set_delay(Duration::from_secs(5)))
        .mount(&server)
        .await;
    let e = failure(&client(), &format!("{}/busy", server.uri())).await;
    assert_eq!((e.class(), e.delay()), (ErrorClass::Retriable, Some(Duration::from_secs(2))));
    let text = e.one_line();
    assert!(text.starts_with("posting a record: the server answered 429 Too Many Requests, next try at 20"), "{text}");
    assert!(text.ends_with("Z: slow down"), "{text}");
    assert_eq!(failure(&client(), &format!("{}/moved", server.uri())).await.class(), ErrorClass::Fatal);
    assert_eq!(failure(&client(), &format!("{}/slow", server.uri())).await.class(), ErrorClass::Retriable);
    assert_eq!(failure(&client(), &format!("{}/none", server.uri())).await.class(), ErrorClass::Fatal);
}

#[tokio::test]
async fn a_knock_tells_a_dead_proxy_a_refusing_one_and_a_port_that_wants_tls() {
    let knock = async |url: &str, proxy: &str| {
        let settings = Settings::from([("http.request.timeout.ms", "2000"), ("http.proxy", proxy)]);
        let client = Client::new(&HttpConfig::parse(&settings).unwrap(), KEYS).unwrap();
        client.knock(&Url::parse(url).unwrap()).await
    };
    let server = MockServer::start().await;
    let url = server.uri();
    let answer = async |status: u16, text: &str| {
        server.reset().await;
        let answer = ResponseTemplate::new(status).set_body_string(text);
        Mock::given(method("OPTIONS")).respond_with(answer).expect(1).mount(&server).await;
    };
    answer(405, "").await;
    let check = knock(&url, "none").await.unwrap();
    assert!(matches!(check, Check::Partly(text) if text.contains("answers 405 Method Not Allowed to OPTIONS")));
    answer(400, "Client sent an HTTP request to an HTTPS server.").await;
    let e = knock(&url, "none").await.unwrap_err();
    assert!(e.message().ends_with("begin x.url with https"), "{e}");
    answer(407, "").await;
    let e = knock("http://there.example/", &url).await.unwrap_err();
    assert!(e.message().ends_with("correct http.proxy.username and http.proxy.password"), "{e}");
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let e = knock("http://there.example/", &format!("http://{free}")).await.unwrap_err();
    assert!(e.report().contains("refused"), "{}", e.report());
}

#[tokio::test]
async fn connections_that_are_refused_closed_or_garbled_are_retriable_and_show_no_secrets() {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (stream, _) = socket.accept().await.unwrap();
        drop(stream);
        let (mut stream, _) = socket.accept().await.unwrap();
        stream.write_all(b"SSH-2.0-x\r\n").await.unwrap();
        drop(stream);
        drop(socket);
    });
    let url = format!("http://user:pass@{address}/hook?token=secret");
    for _ in 0..2 {
        let e = failure(&client(), &url).await;
        assert_eq!(e.class(), ErrorClass::Retriable, "{e:?}");
        assert!(!e.report().contains("secret") && !e.report().contains("pass"), "{e:?}");
    }
    server.await.unwrap();
    let e = failure(&client(), &url).await;
    assert_eq!(e.class(), ErrorClass::Retriable, "{e:?}");
    assert!(e.report().contains("refused") && !e.report().contains("secret"), "{}", e.report());
}

#[tokio::test]
async fn credentials_are_sent_and_kept_out_of_what_the_server_echoes() {
    let server = MockServer::start().await;
    let echo = ResponseTemplate::new(401).set_body_string("unknown token s3cr3t");
    Mock::given(header("authorization", "Bearer s3cr3t")).respond_with(echo).mount(&server).await;
    Mock::given(header("authorization", "Basic dTpwYXNz"))
        .respond_with(ResponseTemplate::new(204))
        .mount(&server)
        .await;
    let auth = AuthConfig { username: None, password: None, token: Some(Secret::new("s3cr3t")) };
    let e = failure(&client().with_auth(&auth).unwrap(), &server.uri()).await;
    assert_eq!(e.class(), ErrorClass::Fatal);
    assert!(e.report().ends_with("unknown token [hidden]"), "{}", e.report());
    let auth = AuthConfig { username: Some("u".into()), password: Some(Secret::new("pass")), token: None };
    let echo = ResponseTemplate::new(400).set_body_string("signature s1gnature of person of alarms");
    Mock::given(path("/hook")).respond_with(echo).mount(&server).await;
    let e = failure(&client(), &format!("{}/hook?sig=s1gnature&db=person", server.uri())).await;
    assert!(e.report().ends_with("signature [hidden] of person of alarms"), "{}", e.report());
    let client = client().with_auth(&auth).unwrap();
    let request = client.request(Method::POST, Url::parse(&server.uri()).unwrap());
    assert_eq!(client.deliver(request, String::new).await.unwrap().status, 204);
}

#[tokio::test]
async fn a_success_stays_one_when_its_text_breaks_off() {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", socket.local_addr().unwrap())).unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = socket.accept().await.unwrap();
        assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").await.unwrap();
    });
    let client = client();
    let answer = client.deliver(client.request(Method::POST, url), String::new).await.unwrap();
    assert_eq!((answer.text.as_str(), answer.broken, answer.cut), ("half", true, false));
}

#[tokio::test]
async fn so_much_of_an_answer_is_read_as_is_asked_for() {
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(200).set_body_string("x".repeat(70_000)))
        .mount(&server)
        .await;
    let post = async |client: Client| {
        let url = Url::parse(&server.uri()).unwrap();
        client.deliver(client.request(Method::POST, url), String::new).await.unwrap()
    };
    let answer = post(client()).await;
    assert_eq!((answer.text.len(), answer.broken, answer.cut), (64 * 1024, false, true));
    for (limit, read) in [(69_999, 69_999), (70_000, 70_000), (100_000, 70_000)] {
        let answer = post(client().reading(limit)).await;
        assert_eq!((answer.text.len(), answer.cut), (read, limit < 70_000));
    }
}

#[tokio::test]
async fn a_proxy_is_used_with_its_credentials() {
    let proxy = MockServer::start().await;
    Mock::given(any())
        .and(header("proxy-authorization", "Basic dTpwYXNz"))
        .respond_with(ResponseTemplate::new(200))
        .mount(&proxy)
        .await;
    let uri = proxy.uri();
    let settings =
        Settings::from([("http.proxy", uri.as_str()), ("http.proxy.username", "u"), ("http.proxy.password", "pass")]);
    let client = Client::new(&HttpConfig::parse(&settings).unwrap(), KEYS).unwrap();
    let request = client.request(Method::POST, Url::parse("http://unknown.invalid/x").unwrap());
    assert_eq!(client.deliver(request, String::new).await.unwrap().status, 200);
}
