//! What callers of a webhook meet while its connector runs, is paused, stopped or started anew, and who may have its port.

use std::{net::TcpListener, time::Duration};

use serde_json::{Value as Json, json};
use tocsin_tests::{Connectd, file, wait};
use xtask::servers::Port;

fn hooks(listen: &str) -> Json {
    json!({"connector.class": "webhook-source", "webhook.format": "json", "webhook.listen": listen,
        "webhook.paths": "/hook", "webhook.ack.timeout.ms": "500", "value.converter": "JsonConverter"})
}

/// Status and Retry-After of a POST, or `None` when the connection is refused.
fn post(address: &str) -> Option<(u16, bool)> {
    let client = reqwest::blocking::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build();
    match client.expect("client").post(format!("http://{address}/hook")).json(&json!({"n": 1})).send() {
        Ok(answer) => Some((answer.status().as_u16(), answer.headers().contains_key("retry-after"))),
        Err(e) if e.is_connect() => None,
        Err(e) => panic!("posting: {e:?}"),
    }
}

/// Why the task of a connector has failed.
fn failure(connectd: &Connectd, name: &str, config: &Json) -> String {
    let (code, answer) = connectd.send("PUT", &format!("/connectors/{name}/config"), Some(config));
    assert_eq!(code, 201, "{answer}");
    wait("the task to fail", Duration::from_secs(30), || {
        let (_, status) = connectd.get(&format!("/connectors/{name}/status"));
        let task = &status["tasks"][0];
        let trace = task["trace"].as_str().unwrap_or_default();
        // Behind the class of the exception.
        (task["state"] == "FAILED").then(|| trace.split_once("Exception: ").map_or(trace, |(_, told)| told).to_owned())
    })
}

#[test]
fn callers_are_told_to_come_again_while_paused_and_refused_while_stopped() {
    let (dir, port) = (tempfile::tempdir().expect("folder"), Port::claim().expect("port"));
    let address = port.address();
    let mut declared = hooks(&address);
    declared["name"] = "hooks".into();
    let source = file(dir.path(), "hooks.json", &declared.to_string());
    let connectd = Connectd::start(&[&source], &dir.path().join("log"));
    connectd.await_state("hooks", "RUNNING");
    assert_eq!(post(&address), Some((200, false)));

    connectd.send("PUT", "/connectors/hooks/pause", None);
    connectd.await_state("hooks", "PAUSED");
    assert_eq!(post(&address), Some((503, true)), "paused");
    connectd.send("PUT", "/connectors/hooks/resume", None);
    connectd.await_state("hooks", "RUNNING");
    assert_eq!(post(&address), Some((200, false)), "resumed");

    connectd.send("PUT", "/connectors/hooks/stop", None);
    wait("the port to be closed", Duration::from_secs(30), || post(&address).is_none().then_some(()));
    connectd.send("PUT", "/connectors/hooks/resume", None);
    connectd.await_state("hooks", "RUNNING");
    assert_eq!(post(&address), Some((200, false)), "started again");

    let trace = failure(&connectd, "rival", &hooks(&address));
    let expected = format!("the path /hook on {address} is the connector hooks's: set webhook.paths to other ones");
    assert!(trace.starts_with(&expected), "{trace}");
    assert_eq!(post(&address), Some((200, false)), "the first one is not disturbed");

    let taken = TcpListener::bind("127.0.0.1:0").expect("port");
    let other = taken.local_addr().expect("address").to_string();
    let trace = failure(&connectd, "late", &hooks(&other));
    let expected = format!("listening on {other} for webhooks: another program has the port; stop that, or set");
    assert!(trace.starts_with(&expected), "{trace}");
}
