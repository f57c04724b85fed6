//! `init` of the real program, and what becomes of files in which values are still open.

mod support;

use serde_json::{Value, json};
use support::{answer, ctl};
use wiremock::{
    Mock, MockServer, Request, ResponseTemplate,
    matchers::{method, path},
};

fn key(name: &str, required: bool) -> Value {
    json!({ "name": name, "type": "STRING", "required": required, "default_value": null, "importance": "HIGH",
        "documentation": format!("About {name}."), "group": null, "width": "SHORT", "display_name": name,
        "dependents": [], "order": 1 })
}

/// Validation as a plugin does that needs an address, and a hook or a token, and with the token a channel.
fn judged(request: &Request) -> ResponseTemplate {
    let given: Value = serde_json::from_slice(&request.body).expect("settings");
    let text = |key: &str| given[key].as_str().map(str::to_owned);
    let errors = |key: &str| match (key, text(key)) {
        ("url", Some(url)) if !url.starts_with("http") => vec![format!("{url} is no address")],
        ("hook", None) if text("token").is_none() => vec!["hook or token is required".to_owned()],
        ("channel", None) if text("token").is_some() => vec!["channel is required with token".to_owned()],
        _ => Vec::new(),
    };
    let one = |key: &&str| {
        json!({ "definition": null, "value": { "name": key, "value": text(key), "recommended_values": [],
            "errors": errors(key), "visible": true } })
    };
    let configs: Vec<Value> = ["url", "hook", "token", "channel", "name", "connector.class"].iter().map(one).collect();
    ResponseTemplate::new(200)
        .set_body_json(json!({ "name": "chat-sink", "error_count": 0, "groups": [], "configs": configs }))
}

async fn chat() -> MockServer {
    let server = MockServer::start().await;
    let keys = [key("url", true), key("hook", false), key("token", false), key("channel", false), key("name", true)];
    answer(&server, "GET", "/connector-plugins/chat-sink/config", 200, json!(keys)).await;
    answer(&server, "GET", "/connector-plugins", 200, json!([{ "class": "chat-sink", "type": "sink" }])).await;
    let asked = Mock::given(method("PUT")).and(path("/connector-plugins/chat-sink/config/validate"));
    asked.respond_with(judged).mount(&server).await;
    server
}

#[tokio::test]
async fn what_is_needed_beside_others_is_said_where_it_stands() {
    let server = chat().await;
    let run = ctl(&server.uri(), &["init", "chat-sink"]).run().await;
    let expected = "
# About url.
url: CHANGE-ME

# About hook.
# Needed: hook or token is required
#hook:

# About token.
# Needed: hook or token is required
#token:

# About channel.
# Needed with token: channel is required with token
#channel:
";
    assert!(run.code == 0 && run.out.ends_with(expected), "{}", run.out);
    let run = ctl(&server.uri(), &["init", "chat-sink", "--set", "hook=h"]).run().await;
    assert!(run.out.contains("\n# About token.\n#token:\n"), "{}", run.out);
}

#[tokio::test]
async fn a_worker_that_cannot_validate_leaves_the_template_as_it_is() {
    let server = MockServer::start().await;
    answer(&server, "GET", "/connector-plugins/chat-sink/config", 200, json!([key("hook", false)])).await;
    answer(&server, "GET", "/connector-plugins", 200, json!([])).await;
    let run = ctl(&server.uri(), &["init", "chat-sink"]).run().await;
    assert!(run.code == 0 && run.out.ends_with("\n# About hook.\n#hook:\n"), "{run:?}");
}

#[tokio::test]
async fn what_is_still_open_is_told_with_its_line_and_not_applied() {
    let server = chat().await;
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("c.yaml");
    let file = file.to_str().expect("UTF-8");
    let text = "name: c\nconnector.class: chat-sink\nurl: CHANGE-ME\nhook: https://CHANGE-ME/x\n";
    std::fs::write(file, text).expect("file");
    let open =
        "CHANGE-ME stands for a value that only you know; write that, or remove the line where it may be missing";
    let said = format!("{file}:3: c: url: {open}\n{file}:4: c: hook: {open}\n");
    for arguments in [&["validate", "-f", file][..], &["test", file], &["diff", "-f", file]] {
        let run = ctl(&server.uri(), arguments).run().await;
        assert_eq!((run.code, run.err.as_str()), (1, said.as_str()), "{arguments:?}");
    }
    let run = ctl(&server.uri(), &["apply", "-f", file]).run().await;
    assert_eq!((run.code, run.out.as_str()), (1, ""));
    assert_eq!(run.err, format!("{said}connectctl: nothing was applied because of 2 problems\n"));
    let asked = server.received_requests().await.expect("requests");
    assert!(asked.iter().all(|r| r.url.path().ends_with("/config/validate")), "{asked:?}");
}

#[tokio::test]
async fn files_that_exist_stay_unless_they_may_go() {
    let server = chat().await;
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("a b.yaml");
    let file = file.to_str().expect("UTF-8");
    std::fs::write(file, "mine").expect("file");
    for arguments in [
        &["init", "chat-sink", "-f", file][..],
        &["create", "influxdb-sink", "--influxdb", "http://h", "t", "-f", file],
    ] {
        answer(&server, "GET", "/connector-plugins", 200, json!([])).await;
        let run = ctl(&server.uri(), arguments).run().await;
        assert_eq!(run.code, 1, "{run:?}");
        assert_eq!(std::fs::read_to_string(file).expect("file"), "mine");
        if arguments[0] == "init" {
            let said = format!("connectctl: {file} exists; --force replaces it, and --file may name another one\n");
            assert_eq!(run.err, said);
        }
    }
    let run = ctl(&server.uri(), &["init", "chat-sink", "-f", file, "--force"]).run().await;
    let next = format!("{file} is written; next: connectctl validate -f '{file}', connectctl test '{file}'\n");
    assert_eq!((run.code, run.out), (0, next));
    assert!(std::fs::read_to_string(file).expect("file").contains("url: CHANGE-ME"));
}

#[tokio::test]
async fn nobody_else_reads_a_file_with_a_password() {
    use std::os::unix::fs::PermissionsExt;
    let server = MockServer::start().await;
    let mut password = key("password", false);
    password["type"] = json!("PASSWORD");
    answer(&server, "GET", "/connector-plugins/p/config", 200, json!([password, key("name", true)])).await;
    answer(&server, "GET", "/connector-plugins", 200, json!([])).await;
    let folder = tempfile::tempdir().expect("folder");
    let made = async |name: &str, setting: &str, more: &[&str]| {
        let file = folder.path().join(name);
        let path = file.to_str().expect("UTF-8");
        let run = ctl(&server.uri(), &[&["init", "p", "--set", setting, "-f", path], more].concat()).run().await;
        assert_eq!(run.code, 0, "{run:?}");
        std::fs::metadata(&file).expect("file").permissions().mode() & 0o777
    };
    assert_eq!(made("a", "password=hush", &[]).await, 0o600);
    let plain = made("b", "password=${env:P}", &[]).await;
    assert_ne!(plain, 0o600, "there is nothing to hide");
    assert_eq!(made("b", "password=hush", &["--force"]).await, 0o600);
}
