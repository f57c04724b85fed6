//! Which schema registry commands talk to, and with which credentials.

mod support;

use std::time::Duration;

use connectctl::{
    client::Client,
    error::Failure,
    places::{Given, Places, contexts::Contexts},
};
use serde_json::json;
use support::answer;
use wiremock::MockServer;

async fn registry() -> MockServer {
    let server = MockServer::start().await;
    answer(&server, "GET", "/subjects", 200, json!(["a-value"])).await;
    server
}

async fn subjects(contexts: &Contexts, given: Given) -> Result<Vec<String>, Failure> {
    let places = Places::among(contexts, given)?;
    let worker = Client::new(places.url.clone(), Duration::from_secs(5), &places.access)?;
    let registry = places.registry(&worker, Duration::from_secs(5)).await?;
    registry.client.subjects().await.map_err(|e| registry.failure(e))
}

#[tokio::test]
async fn the_registry_is_the_first_that_is_named() {
    let [flag, own, told] = [registry().await, registry().await, registry().await];
    let worker = MockServer::start().await;
    let about = json!({ "version": "1", "worker_id": "w", "mode": "standalone", "bootstrap_servers": "h:1",
        "security_protocol": "PLAINTEXT", "schema_registry_url": told.uri() });
    answer(&worker, "GET", "/worker", 200, about).await;
    let text = format!(
        "current: c\ncontexts:\n  c: {{url: '{worker}', schema.registry.url: '{}', registry: {{user: me, password: 'file:pw'}}}}\n  \
         bare: {{url: '{worker}'}}\n  none: {{url: 'http://127.0.0.1:1'}}\n",
        own.uri(),
        worker = worker.uri()
    );
    let folder = support::contexts(&text);
    std::fs::write(folder.path().join("pw"), "p@ss\n").expect("file");
    let places = |name: &str| Given { context: Some(name.into()), ..Given::default() };
    let contexts = Contexts::read_from(folder.path().join("config.yaml")).expect("contexts");

    let given = Given { registry: Some(flag.uri()), ..places("c") };
    assert_eq!(subjects(&contexts, given).await.expect("subjects"), ["a-value"]);
    assert_eq!(subjects(&contexts, places("c")).await.expect("subjects"), ["a-value"]);
    assert_eq!(subjects(&contexts, places("bare")).await.expect("subjects"), ["a-value"]);
    let sent = async |server: &MockServer| {
        let requests = server.received_requests().await.unwrap_or_default();
        let header = requests[0].headers.get("authorization").and_then(|h| h.to_str().ok()).map(str::to_owned);
        (requests.len(), header)
    };
    assert_eq!(sent(&flag).await, (1, None), "credentials of a context stay with its registry");
    assert_eq!(sent(&own).await, (1, Some("Basic bWU6cEBzcw==".into())));
    assert_eq!(sent(&told).await, (1, None));

    let e = subjects(&contexts, places("none")).await.expect_err("nobody tells");
    let told = e.to_string().contains("it is not known where the schema registry is");
    assert!(told && matches!(e, Failure::Unreachable(_)), "{e}");
    let dead = Given { registry: Some("127.0.0.1:1".into()), ..places("c") };
    let e = subjects(&contexts, dead).await.expect_err("nobody is there");
    assert!(matches!(&e, Failure::Unreachable(text) if text.contains("http://127.0.0.1:1 (from --registry")), "{e}");
}

#[tokio::test]
async fn what_is_no_registry_is_told_with_its_address_and_the_way_out() {
    let server = MockServer::start().await;
    let html = wiremock::ResponseTemplate::new(404).set_body_string("<html>");
    let file_server = MockServer::start().await;
    wiremock::Mock::given(wiremock::matchers::any()).respond_with(html).mount(&file_server).await;
    // As workers and other servers in Java say it.
    let unknown = json!({ "error_code": 404, "message": "HTTP 404 Not Found" });
    let unknown = wiremock::ResponseTemplate::new(404).set_body_json(unknown);
    wiremock::Mock::given(wiremock::matchers::any()).respond_with(unknown).mount(&server).await;
    let web = MockServer::start().await;
    let page = wiremock::ResponseTemplate::new(200).set_body_string("<html>");
    wiremock::Mock::given(wiremock::matchers::any()).respond_with(page).mount(&web).await;
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("s.avsc");
    std::fs::write(&file, "{\"type\": \"int\"}").expect("file");
    let file = file.to_string_lossy();
    let commands = [
        &["registry", "list"][..],
        &["registry", "show", "a"],
        &["registry", "test", "a", &file],
        &["registry", "upload", "a", &file],
        &["registry", "delete", "a", "--yes"],
        &["registry", "compat"],
    ];
    for (server, answered) in [
        (&server, "HTTP status 404 Not Found"),
        (&file_server, "HTTP status 404 Not Found"),
        (&web, "what it says is no answer of one"),
    ] {
        let url = server.uri();
        let expected = format!(
            "there is no schema registry at {url} (from --registry or SCHEMA_REGISTRY): {answered}; name its base URL with \
             --registry URL, SCHEMA_REGISTRY or connectctl context set NAME schema.registry.url=URL\n"
        );
        for arguments in commands {
            let run = support::bare(&[arguments, &["--registry", &url]].concat()).run().await;
            assert!(run.code == 3 && run.err.ends_with(&expected) && run.out.is_empty(), "{arguments:?}: {run:?}");
        }
    }
}

#[tokio::test]
async fn a_schema_of_a_subject_that_does_not_exist_yet_could_be_its_first_version() {
    let server = registry().await;
    let missing = json!({ "error_code": 40401, "message": "Subject 'b-value' not found." });
    answer(&server, "POST", "/compatibility/subjects/b-value/versions/latest", 404, missing).await;
    let folder = tempfile::tempdir().expect("folder");
    let test = async |schema: &str| {
        let file = folder.path().join("s.avsc");
        std::fs::write(&file, schema).expect("file");
        let file = file.to_string_lossy();
        support::bare(&["--registry", &server.uri(), "registry", "test", "b-value", &file]).run().await
    };
    let run = test("{\"type\": \"int\"}").await;
    let expected = "b-value: there is no such subject yet; it could be registered as the first version\n";
    assert_eq!((run.code, run.out.as_str()), (0, expected), "{run:?}");
    let run = test("{\"type\": \"record\", \"name\": \"R\"}").await;
    assert!(run.code == 1 && run.err.contains("b-value: "), "{run:?}");
}
