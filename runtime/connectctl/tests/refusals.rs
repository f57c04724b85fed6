//! What is refused before anything is asked, opened or sent.

mod support;

use serde_json::json;
use support::{answer, bare, ctl, error, status, worker};
use wiremock::MockServer;

/// The requests that could have changed something.
async fn changes(server: &MockServer) -> usize {
    let all = server.received_requests().await.unwrap_or_default();
    all.iter().filter(|r| r.method.as_str() != "GET" && !r.url.path().ends_with("/validate")).count()
}

#[tokio::test]
async fn an_editor_that_nobody_named_needs_a_terminal() {
    let server = worker().await;
    let said = "connectctl: there is no terminal to edit on; connectctl export alpha > FILE and connectctl apply -f FILE need \
                none, nor does connectctl set alpha KEY=VALUE; or set EDITOR to a program that needs none\n";
    for variable in ["EDITOR", "VISUAL"] {
        let run = ctl(&server.uri(), &["edit", "alpha"]).env(variable, "").run().await;
        assert_eq!((run.code, run.err.as_str()), (2, said));
        let run = ctl(&server.uri(), &["edit", "alpha"]).env(variable, "false").run().await;
        assert!(run.code == 1 && run.err.contains("the editor false ended with"), "{run:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_done_is_not_asked_about() {
    let server = worker().await;
    answer(&server, "DELETE", "/connectors/alpha", 204, json!(null)).await;
    answer(&server, "GET", "/connectors/alpha/status", 200, status("alpha", "RUNNING", "RUNNING")).await;
    answer(&server, "GET", "/connectors/alpha/offsets", 200, json!({ "offsets": [] })).await;
    let gone = "connectctl: connector alhpa not found; did you mean alpha?\n";
    let running = "connectctl: alpha is RUNNING, and offsets are only changed while it is STOPPED; --stop stops it for that and \
                   lets it be as it was afterwards\n";
    for (arguments, said) in [
        (&["delete", "alhpa"][..], gone),
        (&["topics", "forget", "alhpa"], gone),
        (&["offsets", "reset", "alhpa"], gone),
        (&["offsets", "reset", "alpha"], running),
    ] {
        let run = ctl(&server.uri(), arguments).run().await;
        assert_eq!((run.code, run.err.as_str()), (1, said), "{arguments:?}");
    }
    let source = json!({ "name": "alpha", "type": "source", "tasks": [], "config": {} });
    let other = MockServer::start().await;
    answer(&other, "GET", "/connectors/alpha", 200, source).await;
    answer(&other, "GET", "/connectors", 200, json!(["alpha"])).await;
    answer(&other, "GET", "/connectors/alpha/status", 200, status("alpha", "RUNNING", "RUNNING")).await;
    let run = ctl(&other.uri(), &["offsets", "set", "alpha", "t:0=1"]).run().await;
    assert_eq!((run.code, run.err.as_str()), (1, running));
    // Of several, those that there are.
    let run = ctl(&server.uri(), &["delete", "alhpa", "alpha"]).run().await;
    let asked = "connectctl: there is no terminal to ask whether to delete connector alpha; say --yes\n";
    assert_eq!((run.code, run.err), (2, format!("{gone}{asked}")));
    assert_eq!(changes(&server).await + changes(&other).await, 0);
    let run = ctl(&server.uri(), &["delete", "alhpa", "alpha", "--yes"]).run().await;
    assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (1, "alpha deleted\n", gone));
}

#[tokio::test]
async fn a_class_that_there_is_not_is_told_with_the_nearest() {
    let server = worker().await;
    let unknown = error(500, "Failed to find any class that implements Connector and which name matches flie-sink, …");
    answer(&server, "PUT", "/connector-plugins/flie-sink/config/validate", 500, unknown).await;
    let plugins = json!([{ "class": "file-sink", "type": "sink" }, { "class": "file-source", "type": "source" }]);
    answer(&server, "GET", "/connector-plugins", 200, plugins).await;
    answer(&server, "GET", "/connector-plugins/mail-sink/config", 404, error(404, "Unknown plugin mail-sink")).await;
    let run = ctl(&server.uri(), &["set", "alpha", "connector.class=flie-sink"]).run().await;
    let said = "connectctl: connector.class: the worker has no plugin flie-sink; did you mean file-sink?\n";
    assert_eq!((run.code, run.err.as_str()), (1, said));
    let run = ctl(&server.uri(), &["plugins", "mail-sink"]).run().await;
    let said = "connectctl: the worker has no plugin mail-sink; connectctl plugins lists those that it has\n";
    assert_eq!((run.code, run.err.as_str()), (1, said));
}

#[tokio::test]
async fn files_that_are_no_certificates_are_named() {
    let folder = tempfile::tempdir().expect("folder");
    let junk = folder.path().join("junk.pem");
    std::fs::write(&junk, "junk").expect("file");
    let (junk, none) = (junk.display().to_string(), folder.path().join("none.pem").display().to_string());
    for (arguments, said) in [
        (&["--tls-ca", &junk][..], format!("tls.ca: {junk}: the certificates of the authorities are not in PEM")),
        (&["--tls-ca", &none], format!("tls.ca: reading {none}: No such file")),
        (
            &["--tls-cert", &junk, "--tls-key", &junk],
            format!("tls.cert and tls.key: {junk} and {junk}: the client's certificate or key is not in PEM"),
        ),
        (&["--auth-user", "u", "--auth-password", &format!("file:{none}")], format!("password: reading {none}: ")),
        (&["--bootstrap-servers", "h:1", "--command-config", &none], format!("{none}: there is no such file")),
    ] {
        let run = bare(&[&["topics", "list"], arguments].concat()).run().await;
        assert!(run.code == 1 && run.err.starts_with(&format!("connectctl: {said}")), "{run:?}");
    }
}
