//! Contexts, and where addresses and credentials come from.

mod support;

use std::fs;

use serde_json::json;
use support::{answer, bare, contexts, ctl};
use wiremock::MockServer;

/// The `Authorization` headers of all requests.
async fn authorizations(server: &MockServer) -> Vec<Option<String>> {
    let requests = server.received_requests().await.unwrap_or_default();
    let header =
        |r: &wiremock::Request| r.headers.get("authorization").and_then(|h| h.to_str().ok()).map(str::to_owned);
    requests.iter().map(header).collect()
}

async fn worker() -> MockServer {
    let server = MockServer::start().await;
    answer(&server, "GET", "/connector-plugins", 200, json!([])).await;
    server
}

#[tokio::test]
async fn contexts_are_made_shown_switched_and_removed() {
    let folder = tempfile::tempdir().expect("folder");
    let run = async |arguments: &[&str]| bare(arguments).contexts(&folder).run().await;
    let made = run(&["context", "set", "plant", "url=http://plant:8083", "user=me", "password=env:PLANT"]).await;
    assert_eq!((made.code, made.out.as_str()), (0, "plant set\n"), "{made:?}");
    let made = run(&["context", "set", "lab", "url=lab:8083", "kafka.security.protocol=SSL", "--dry-run"]).await;
    assert_eq!((made.code, made.out.as_str()), (0, "lab would be set\n"), "{made:?}");
    assert_eq!(run(&["context", "list", "-o", "name"]).await.out, "plant\n");
    assert_eq!(run(&["context", "set", "lab", "url=lab:8083", "bootstrap.servers=lab:9092"]).await.code, 0);
    let expected = "\
NAME   CURRENT  URL                KAFKA     REGISTRY
plant  *        http://plant:8083  -         -
lab             lab:8083           lab:9092  -
";
    assert_eq!(run(&["context", "list"]).await.out, expected);
    assert_eq!(run(&["context", "use", "lab"]).await.out, "lab current\n");
    assert_eq!(run(&["context", "show", "-o", "json"]).await.json()["name"], "lab");
    let shown = run(&["context", "show", "plant"]).await.out;
    assert_eq!(shown, "KEY       VALUE\nurl       http://plant:8083\nuser      me\npassword  env:PLANT\n");
    assert_eq!(run(&["context", "set", "plant", "user=", "password="]).await.code, 0);
    assert_eq!(run(&["context", "show", "plant"]).await.out, "KEY  VALUE\nurl  http://plant:8083\n");

    let asked = run(&["context", "delete", "plant"]).await;
    assert_eq!((asked.code, asked.err.contains("say --yes")), (2, true), "{asked:?}");
    assert_eq!(run(&["context", "delete", "l*", "--yes"]).await.out, "lab deleted\n");
    let gone = run(&["context", "use", "plnat"]).await;
    assert!(gone.code == 1 && gone.err.contains("did you mean plant?"), "{gone:?}");
    let none = run(&["context", "show"]).await;
    assert!(none.code == 1 && none.err.contains("no current context"), "{none:?}");
}

#[tokio::test]
async fn secrets_do_not_get_into_the_file() {
    let folder = tempfile::tempdir().expect("folder");
    for setting in [
        "password=hush",
        "url=http://u:hush@h",
        "kafka.sasl.jaas.config=x password=\"hush\";",
        "kafka.sasl.password=hush",
        "ulr=h",
    ] {
        let run = bare(&["context", "set", "a", setting]).contexts(&folder).run().await;
        assert!(run.code == 2 && !run.err.contains("hush"), "{run:?}");
        assert!(!folder.path().join("config.yaml").exists());
    }
    let run = bare(&["status", "--auth-token", "hush"]).run().await;
    let said = "--auth-token must refer to the secret, not hold it; write env:NAME or file:PATH";
    assert_eq!((run.code, run.err), (2, format!("connectctl: {said}\n")));
    let run = bare(&["context", "set", "a", "token=env:T"]).contexts(&folder).run().await;
    assert_eq!(run.code, 0, "{run:?}");
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(folder.path().join("config.yaml")).expect("file").permissions().mode();
    assert_eq!(mode & 0o077, 0, "{mode:o}");
}

#[tokio::test]
async fn the_first_that_names_an_address_is_asked() {
    let [flag, variable, current, other] = [worker().await, worker().await, worker().await, worker().await];
    let text = format!("current: c\ncontexts: {{c: {{url: '{}'}}, o: {{url: '{}'}}}}\n", current.uri(), other.uri());
    let folder = contexts(&text);
    let ask = ["plugins", "-o", "name"];
    let ran = async |run: support::Ctl| assert_eq!(run.contexts(&folder).run().await.code, 0);
    ran(ctl(&flag.uri(), &ask).env("CONNECT_URL", &variable.uri()).env("CONNECT_CONTEXT", "o")).await;
    ran(bare(&ask).env("CONNECT_URL", &variable.uri())).await;
    ran(bare(&["plugins", "-o", "name", "--context", "o"])).await;
    ran(bare(&ask)).await;
    for server in [flag, variable, current, other] {
        let asked = server.received_requests().await.unwrap_or_default();
        assert!(!asked.is_empty() && asked.len() < 4, "{asked:?}");
    }
    let run = bare(&["list", "--context", "x"]).contexts(&folder).run().await;
    assert!(run.code == 1 && run.err.contains("no context x"), "{run:?}");
}

#[tokio::test]
async fn credentials_of_a_context_go_to_its_own_address_only() {
    let [own, foreign] = [worker().await, worker().await];
    let folder =
        contexts(&format!("current: c\ncontexts: {{c: {{url: '{}', user: me, password: env:PW}}}}\n", own.uri()));
    fs::write(folder.path().join("token"), "t0ken\n").expect("file");
    let run = bare(&["plugins", "-o", "name"]).contexts(&folder).env("PW", "p@ss").run().await;
    assert_eq!(run.code, 0, "{run:?}");
    let sent = authorizations(&own).await;
    assert!(sent.iter().all(|h| h.as_deref() == Some("Basic bWU6cEBzcw==")), "{sent:?}");
    let run = ctl(&foreign.uri(), &["plugins", "-o", "name"]).contexts(&folder).env("PW", "p@ss").run().await;
    assert_eq!(run.code, 0, "{run:?}");
    assert!(authorizations(&foreign).await.iter().all(Option::is_none));
    foreign.reset().await;
    answer(&foreign, "GET", "/connector-plugins", 200, json!([])).await;
    let token = format!("file:{}", folder.path().join("token").display());
    let run = ctl(&foreign.uri(), &["plugins", "-o", "name", "--auth-token", &token]).contexts(&folder).run().await;
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(authorizations(&foreign).await[0].as_deref(), Some("Bearer t0ken"));

    let run = bare(&["list"]).contexts(&folder).run().await;
    assert!(run.code == 1 && run.err.contains("context c: password: the environment has no variable PW"), "{run:?}");
    let run =
        bare(&["list"]).contexts(&contexts("contexts: {c: {tls: {ca: none.pem}, url: h}}\ncurrent: c\n")).run().await;
    assert!(run.code == 1 && run.err.contains("context c: tls.ca: reading "), "{run:?}");
}

#[tokio::test]
async fn a_wrong_file_of_contexts_is_named() {
    for (text, part) in [("contexts: [", "config.yaml:"), ("contexts: {a: {b: c}}", "context a: b is no key")] {
        let run = bare(&["list"]).contexts(&contexts(text)).run().await;
        assert!(run.code == 1 && run.err.contains(part), "{run:?}");
    }
}

#[tokio::test]
async fn every_setting_of_a_context_may_be_a_reference() {
    let server = worker().await;
    let folder = contexts("contexts: {}\n");
    fs::write(folder.path().join("url"), server.uri() + "\n").expect("file");
    let set = [
        "context",
        "set",
        "c",
        "url=file:url",
        "user=${env:ME}",
        "password=env:PW",
        "bootstrap.servers=env:BROKERS",
        "kafka.sasl.password=env:KP",
        "kafka.security.protocol=SASL_PLAINTEXT",
        "kafka.sasl.mechanism=env:KIND",
    ];
    assert_eq!(bare(&set).contexts(&folder).run().await.code, 0);
    let asked = |arguments: &[&str]| bare(arguments).contexts(&folder).env("ME", "me").env("PW", "p@ss");
    let run = asked(&["plugins", "-o", "name"]).run().await;
    assert_eq!(run.code, 0, "{run:?}");
    let sent = authorizations(&server).await;
    assert!(!sent.is_empty() && sent.iter().all(|h| h.as_deref() == Some("Basic bWU6cEBzcw==")), "{sent:?}");

    let topics = ["topics", "list", "--timeout", "0.5"];
    let run = asked(&topics).run().await;
    let said = "context c: bootstrap.servers: the environment has no variable BROKERS; set it";
    assert!(run.code == 1 && run.err.contains(said), "{run:?}");
    let with_brokers = || asked(&topics).env("BROKERS", "127.0.0.1:9");
    let run = with_brokers().env("KIND", "PLAIN").run().await;
    let said = "context c: kafka.sasl.password: the environment has no variable KP; set it";
    assert!(run.code == 1 && run.err.contains(said), "{run:?}");
    let run = with_brokers().env("KP", "hush").env("KIND", "no-such-kind").run().await;
    assert!(run.code == 1 && run.err.contains("no-such-kind") && !run.err.contains("hush"), "{run:?}");
}

#[tokio::test]
async fn variables_that_are_empty_are_not_set() {
    let server = worker().await;
    let url = server.uri();
    let folder =
        contexts(&format!("current: here\ncontexts: {{here: {{url: '{url}', user: me, password: 'env:P'}}}}\n"));
    let mut run = bare(&["plugins"]).contexts(&folder).env("P", "x");
    for name in [
        "CONNECT_URL",
        "CONNECT_CONTEXT",
        "BOOTSTRAP_SERVERS",
        "KAFKA_CLIENT_CONFIG",
        "SCHEMA_REGISTRY",
        "CONNECT_USER",
        "CONNECT_CA",
        "CONNECT_CERT",
        "CONNECT_KEY",
        "INFLUXDB",
    ] {
        run = run.env(name, "");
    }
    let run = run.run().await;
    assert_eq!((run.code, run.err.as_str()), (0, ""), "{run:?}");
    assert_eq!(authorizations(&server).await, [Some("Basic bWU6eA==".to_owned())]);
    // Said in so many words it is a mistake.
    let run = bare(&["plugins", "--url", ""]).env("CONNECT_URL", &url).run().await;
    assert!(run.code == 2 && run.err.contains("the address is empty"), "{run:?}");
    let run = bare(&["create", "influxdb-sink", "t", "--url", &url]).env("INFLUXDB", "").run().await;
    assert!(run.code == 2 && run.err.contains("--influxdb"), "{run:?}");
}
