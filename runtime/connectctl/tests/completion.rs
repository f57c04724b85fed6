//! What the shell is told to complete.

mod support;

use serde_json::json;
use support::{Ctl, answer, bare, contexts, worker};

/// The words that a shell gets for the last of these.
async fn completed(words: &[&str], with: impl FnOnce(Ctl) -> Ctl) -> Vec<String> {
    let all: Vec<&str> = ["--", "connectctl"].into_iter().chain(words.iter().copied()).collect();
    let run = with(bare(&all).env("COMPLETE", "fish")).run().await;
    assert_eq!(run.code, 0, "{run:?}");
    // Fish gets a remark behind a tab.
    run.out.lines().map(|line| line.split('\t').next().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn names_of_connectors_tasks_plugins_and_loggers_are_completed() {
    let server = worker().await;
    answer(&server, "GET", "/connector-plugins", 200, json!([{ "class": "file-sink", "type": "sink" }])).await;
    let level = json!({ "level": "INFO", "last_modified": null });
    answer(&server, "GET", "/admin/loggers", 200, json!({ "root": level, "org.x": level })).await;
    let at = |c: Ctl| c.env("CONNECT_URL", &server.uri());
    assert_eq!(completed(&["status", "al"], at).await, ["alpha"]);
    assert_eq!(completed(&["pause", "alpha", "b"], at).await, ["beta"]);
    assert_eq!(completed(&["restart", "beta", "--task", ""], at).await, ["0"]);
    assert_eq!(completed(&["logs", "beta", "--task", ""], at).await, ["0"]);
    assert_eq!(completed(&["logs", "beta", "--task="], at).await, ["--task=0"]);
    assert_eq!(completed(&["init", "f"], at).await, ["file-sink"]);
    assert_eq!(completed(&["loggers", "set", "or"], at).await, ["org.x"]);
    let url = server.uri();
    let none = |c: Ctl| at(c).env("BOOTSTRAP_SERVERS", "").env("CONNECT_CONTEXT", "");
    assert_eq!(completed(&["status", "al"], none).await, ["alpha"], "what is empty is not there");
    assert_eq!(completed(&["--url", &url, "status", "ga"], |c| c).await, ["gamma"], "the address of the line counts");
    let folder = contexts(&format!("current: here\ncontexts: {{here: {{url: '{url}'}}, there: {{url: h}}}}\n"));
    assert_eq!(completed(&["status", "al"], |c| c.contexts(&folder)).await, ["alpha"]);
    assert_eq!(completed(&["--context", "t"], |c| c.contexts(&folder)).await, ["there"]);
}

#[tokio::test]
async fn without_a_worker_commands_and_options_are_completed_still() {
    let dead = |c: Ctl| c.env("CONNECT_URL", "http://127.0.0.1:1");
    assert_eq!(completed(&["desc"], dead).await, ["describe"]);
    assert!(completed(&["status", "--fail"], dead).await.contains(&"--fail-on".to_owned()));
    assert_eq!(completed(&["status", "--fail-on", "FA"], dead).await, ["FAILED"]);
    assert!(!completed(&["status", "al"], dead).await.contains(&"alpha".to_owned()));
}
