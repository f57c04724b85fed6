//! Tokens of OAuth 2: fetched once, replaced before they expire and when they are refused. The endpoint is a mock that
//! answers as RFC 6749 says.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::atomic::{AtomicUsize, Ordering};

use connect_api::{ErrorClass, Result, Settings, config::Config};
use connector_http::{Answer, Client, HttpConfig, Keys, Method, OAuthConfig, Url};
use serde_json::json;
use wiremock::{
    Mock, MockServer, Request, ResponseTemplate,
    matchers::{body_string, header, path},
};

const KEYS: Keys = Keys { url: "x.url", credentials: "x.token" };
const SECRET: &str = "s3cret/+";

fn client(server: &MockServer, more: &[(&str, &str)]) -> Client {
    let url = format!("{}/token", server.uri());
    let mut settings = Settings::from([
        ("http.oauth2.token.url", url.as_str()),
        ("http.oauth2.client.id", "me"),
        ("http.oauth2.client.secret", SECRET),
        ("http.proxy", "none"),
    ]);
    settings.extend(&more.iter().copied().collect());
    let client = Client::new(&HttpConfig::parse(&settings).unwrap(), KEYS).unwrap();
    client.with_oauth(&OAuthConfig::parse(&settings).unwrap()).unwrap()
}

async fn post(client: &Client, server: &MockServer) -> Result<Answer> {
    let request = client.request(Method::POST, Url::parse(&format!("{}/x", server.uri())).unwrap()).body("b");
    client.deliver(request, || "posting".into()).await
}

/// Tokens t0, t1 … with this life in seconds.
async fn gives_tokens(server: &MockServer, life: u64, times: u64) {
    let count = AtomicUsize::new(0);
    let answer = move |_: &Request| {
        let token = format!("t{}", count.fetch_add(1, Ordering::Relaxed));
        ResponseTemplate::new(200).set_body_json(json!({"access_token": token, "expires_in": life}))
    };
    Mock::given(path("/token")).respond_with(answer).expect(times).mount(server).await;
}

async fn takes(server: &MockServer, token: &str, times: u64) {
    let token = format!("Bearer {token}");
    let taken = Mock::given(path("/x")).and(header("authorization", token)).respond_with(ResponseTemplate::new(204));
    taken.expect(times).mount(server).await;
}

#[tokio::test]
async fn a_token_is_fetched_once_by_however_many_wait_for_it() {
    let server = MockServer::start().await;
    gives_tokens(&server, 3600, 1).await;
    takes(&server, "t0", 11).await;
    let client = client(&server, &[]);
    let all = (0..10).map(|_| post(&client, &server));
    for answer in futures_util::future::join_all(all).await {
        answer.unwrap();
    }
    post(&client, &server).await.unwrap();
}

#[tokio::test]
async fn a_token_is_replaced_before_it_expires_and_when_it_is_refused() {
    let server = MockServer::start().await;
    gives_tokens(&server, 0, 2).await;
    takes(&server, "t0", 1).await;
    takes(&server, "t1", 1).await;
    let expiring = client(&server, &[]);
    post(&expiring, &server).await.unwrap();
    post(&expiring, &server).await.unwrap();

    let server = MockServer::start().await;
    gives_tokens(&server, 3600, 2).await;
    takes(&server, "t1", 2).await;
    Mock::given(path("/x")).respond_with(ResponseTemplate::new(401)).expect(1).mount(&server).await;
    let revoked = client(&server, &[]);
    post(&revoked, &server).await.unwrap();
    post(&revoked, &server).await.unwrap();
}

#[tokio::test]
async fn a_new_token_that_is_refused_too_is_an_error_of_the_credentials() {
    let server = MockServer::start().await;
    gives_tokens(&server, 3600, 2).await;
    let echo = |r: &Request| {
        ResponseTemplate::new(401).set_body_string(format!("not {:?}", r.headers["authorization"].to_str()))
    };
    Mock::given(path("/x")).respond_with(echo).expect(2).mount(&server).await;
    let e = post(&client(&server, &[]), &server).await.unwrap_err();
    assert!(e.class() == ErrorClass::Fatal && e.is_denied(), "{e:?}");
    assert!(!e.report().contains("t1") && e.report().contains("[hidden]"), "{}", e.report());
}

#[tokio::test]
async fn the_form_has_what_the_settings_say() {
    let server = MockServer::start().await;
    let answer = ResponseTemplate::new(200).set_body_json(json!({"id_token": "t0", "expires_in": "60"}));
    Mock::given(path("/token"))
        .and(header("authorization", "Basic bWU6czNjcmV0JTJGJTJC"))
        .and(body_string("grant_type=client_credentials&scope=a%20b&audience=https%3A%2F%2Fx%3Fy%3Dz"))
        .respond_with(answer.clone())
        .expect(1)
        .mount(&server)
        .await;
    Mock::given(path("/token"))
        .and(body_string("grant_type=client_credentials&client_id=me&client_secret=s3cret%2F%2B"))
        .respond_with(answer)
        .expect(1)
        .mount(&server)
        .await;
    takes(&server, "t0", 2).await;
    let field = ("http.oauth2.token.field", "id_token");
    let more = [field, ("http.oauth2.scope", "a b"), ("http.oauth2.parameters", "audience=https://x?y=z")];
    post(&client(&server, &more), &server).await.unwrap();
    post(&client(&server, &[field, ("http.oauth2.credentials.in", "body")]), &server).await.unwrap();
}

#[tokio::test]
async fn refusals_of_the_endpoint_say_what_to_correct_and_are_never_the_records_fault() {
    let refused = |error: &str| {
        ResponseTemplate::new(400).set_body_json(json!({"error": error, "error_description": format!("{SECRET}?")}))
    };
    let busy = ResponseTemplate::new(429).insert_header("retry-after", "7");
    for (answer, class, denied, expected) in [
        (
            refused("invalid_client"),
            ErrorClass::Fatal,
            true,
            "correct http.oauth2.client.id and http.oauth2.client.secret",
        ),
        (refused("invalid_scope"), ErrorClass::Fatal, false, "correct http.oauth2.scope"),
        (ResponseTemplate::new(401), ErrorClass::Fatal, true, "correct http.oauth2.client.id"),
        (ResponseTemplate::new(404), ErrorClass::Fatal, false, "correct http.oauth2.token.url"),
        (
            ResponseTemplate::new(200).set_body_string("<html>"),
            ErrorClass::Fatal,
            false,
            "correct http.oauth2.token.url",
        ),
        (busy, ErrorClass::Retriable, false, "getting a token from http://"),
        (ResponseTemplate::new(503), ErrorClass::Retriable, false, "getting a token from http://"),
    ] {
        let server = MockServer::start().await;
        Mock::given(path("/token")).respond_with(answer).mount(&server).await;
        let e = post(&client(&server, &[]), &server).await.unwrap_err();
        assert_eq!((e.class(), e.is_denied()), (class, denied), "{e:?}");
        assert!(e.message().contains(expected) && !e.report().contains(SECRET), "{}", e.report());
        assert_eq!(server.received_requests().await.unwrap().len(), 1, "nothing is sent without a token");
    }
}
