//! `apply` and `validate` of the real program against a worker.

mod support;

use std::fs;

use serde_json::{Value, json};
use support::{answer, bodies, ctl, error, info, status};
use tempfile::TempDir;
use wiremock::MockServer;

const VALIDATE: &str = "/connector-plugins/file-sink/config/validate";

/// What validation answers: the keys `file` and `topics` are known; errors of one of them.
fn infos(errors: &[(&str, &str)]) -> Value {
    let value = |name: &str| {
        let own: Vec<&str> = errors.iter().filter(|(k, _)| *k == name).map(|(_, e)| *e).collect();
        json!({ "definition": null, "value": { "name": name, "value": null, "recommended_values": [], "errors": own, "visible": true } })
    };
    let configs: Vec<Value> = ["name", "connector.class", "file", "topics"].iter().map(|n| value(n)).collect();
    json!({ "name": "file-sink", "error_count": errors.len(), "groups": [], "configs": configs })
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("folder");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("write");
    }
    folder
}

fn path(folder: &TempDir) -> &str {
    folder.path().to_str().expect("UTF-8")
}

#[tokio::test]
async fn apply_creates_changes_and_leaves_alone() {
    let server = MockServer::start().await;
    answer(&server, "PUT", VALIDATE, 200, infos(&[])).await;
    for name in ["same", "other"] {
        answer(&server, "GET", &format!("/connectors/{name}"), 200, info(name)).await;
    }
    for name in ["new", "resting"] {
        let missing = error(404, &format!("Connector {name} not found"));
        answer(&server, "GET", &format!("/connectors/{name}"), 404, missing).await;
    }
    answer(&server, "PUT", "/connectors/new/config", 201, info("new")).await;
    answer(&server, "PUT", "/connectors/other/config", 200, info("other")).await;
    answer(&server, "POST", "/connectors", 201, info("resting")).await;
    let files = folder(&[
        (
            "a.yaml",
            "name: same\nconnector.class: file-sink\ntopics: [a]\nfile: /tmp/x\n---\nname: other\nconnector.class: file-sink\ntopics: [a, b]\n",
        ),
        (
            "b.json",
            r#"{"name": "resting", "initial_state": "paused", "config": {"connector.class": "file-sink", "topics": "a"}}"#,
        ),
        ("c.properties", "name=new\nconnector.class=file-sink\ntopics=a\n"),
    ]);
    let run = ctl(&server.uri(), &["apply", "-f", path(&files)]).run().await;
    let expected = "same unchanged\nother changed: topics, file\nresting created\nnew created\n";
    assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (0, expected, ""));
    assert!(bodies(&server, "PUT", "/connectors/same/config").await.is_empty());
    let put = bodies(&server, "PUT", "/connectors/other/config").await;
    assert_eq!(put, [json!({ "name": "other", "connector.class": "file-sink", "topics": "a,b" })]);
    let post = bodies(&server, "POST", "/connectors").await;
    assert_eq!(post[0]["initial_state"], "PAUSED");
    let run = ctl(&server.uri(), &["apply", "-f", path(&files), "-o", "json"]).run().await;
    assert_eq!(run.json()[1], json!({ "name": "other", "result": "changed", "keys": ["topics", "file"] }));
}

#[tokio::test]
async fn apply_names_what_failed_beside_what_does_not_settle() {
    let server = MockServer::start().await;
    answer(&server, "PUT", VALIDATE, 200, infos(&[])).await;
    for (name, task) in [("slow", "UNASSIGNED"), ("wrong", "FAILED")] {
        answer(&server, "GET", &format!("/connectors/{name}"), 404, error(404, "not found")).await;
        answer(&server, "PUT", &format!("/connectors/{name}/config"), 201, info(name)).await;
        answer(&server, "GET", &format!("/connectors/{name}/status"), 200, status(name, "RUNNING", task)).await;
    }
    let one = |name: &str| format!("name: {name}\nconnector.class: file-sink\ntopics: [a]\n");
    let files = folder(&[("a.yaml", &one("slow")), ("b.yaml", &one("wrong"))]);
    let run = ctl(&server.uri(), &["apply", "-f", path(&files), "--wait", "--wait-timeout", "5"]).run().await;
    assert_eq!((run.code, run.out.as_str()), (5, "slow created\nwrong created\n"), "{run:?}");
    let expected = "connectctl: after 5 s slow is RUNNING, 0 of 1 tasks running; wrong FAILED: writing 2 points: timed out; \
                    connectctl status says more, --wait-timeout waits longer";
    assert_eq!(run.err.lines().last(), Some(expected), "{run:?}");
}

#[tokio::test]
async fn apply_changes_nothing_when_anything_is_wrong() {
    let server = MockServer::start().await;
    let errors =
        [("topics", "Must configure one of topics or topics.regex"), ("file", "Missing required configuration")];
    answer(&server, "PUT", VALIDATE, 200, infos(&errors)).await;
    let files = folder(&[
        ("a.yaml", "name: one\nconnector.class: file-sink\ntopics: ''\ntopisc: a\n"),
        ("b.yaml", "name: two\n---\nname: [x]\n"),
    ]);
    let run = ctl(&server.uri(), &["apply", "-f", path(&files)]).run().await;
    let p = path(&files);
    let expected = format!(
        "{p}/a.yaml:1: one: file: Missing required configuration\n\
         {p}/a.yaml:3: one: topics: Must configure one of topics or topics.regex\n\
         {p}/a.yaml:4: warning: one: topisc: is not a setting of file-sink and may have no effect; did you mean topics?\n\
         {p}/b.yaml:1: two: connector.class: is missing; set it to a plugin that connectctl plugins lists\n\
         {p}/b.yaml:3: name must be a single value, not a list\n\
         connectctl: nothing was applied because of 4 problems\n"
    );
    assert_eq!((run.code, run.out.as_str(), run.err), (1, "", expected));
    let requests = server.received_requests().await.unwrap_or_default();
    assert!(requests.iter().all(|r| r.url.path() == VALIDATE), "{requests:?}");
}

#[tokio::test]
async fn apply_reads_standard_input_and_reports_what_the_worker_refuses() {
    let server = MockServer::start().await;
    answer(&server, "PUT", VALIDATE, 200, infos(&[])).await;
    for name in ["one", "two"] {
        answer(&server, "GET", &format!("/connectors/{name}"), 404, error(404, "Connector not found")).await;
    }
    answer(&server, "PUT", "/connectors/one/config", 500, error(500, "the broker is gone")).await;
    answer(&server, "PUT", "/connectors/two/config", 201, info("two")).await;
    let text = "name: one\nconnector.class: file-sink\n---\nname: two\nconnector.class: file-sink\n";
    let run = ctl(&server.uri(), &["apply", "-f", "-"]).stdin(text).run().await;
    assert_eq!((run.code, run.out.as_str()), (1, "two created\n"));
    assert_eq!(run.err, "connectctl: one: the broker is gone (HTTP 500)\n");
}

#[tokio::test]
async fn standard_input_may_be_properties() {
    let server = MockServer::start().await;
    answer(&server, "PUT", VALIDATE, 200, infos(&[])).await;
    answer(&server, "GET", "/connectors/one", 404, error(404, "Connector not found")).await;
    answer(&server, "PUT", "/connectors/one/config", 201, info("one")).await;
    let text = "# as connect-standalone takes it\n\nname=one\nconnector.class = file-sink\ntopics=a,\\\n   b: c\n\
                transforms.t.type=x\n! done\n";
    let run = ctl(&server.uri(), &["apply", "-f", "-"]).stdin(text).run().await;
    assert_eq!((run.code, run.out.as_str()), (0, "one created\n"), "{run:?}");
    let sent = server.received_requests().await.unwrap_or_default();
    let sent = sent.iter().find(|r| r.url.path() == "/connectors/one/config").expect("the settings");
    let sent: Value = serde_json::from_slice(&sent.body).expect("json");
    let expected =
        json!({ "name": "one", "connector.class": "file-sink", "topics": "a,b: c", "transforms.t.type": "x" });
    assert_eq!(sent, expected);
    for (text, problem) in [
        ("name=one\nname=two\n", "<stdin>:2: the key name stands twice"),
        ("topics=a\nfile=b\n", "<stdin>:1: the connector has no name"),
        ("name=one\njust a line\n", "<stdin>:1: a connector is a mapping with a name"),
    ] {
        let run = ctl(&server.uri(), &["apply", "-f", "-"]).stdin(text).run().await;
        assert!(run.code == 1 && run.err.starts_with(problem), "{run:?}");
    }
}

#[tokio::test]
async fn apply_says_that_states_are_for_new_connectors() {
    let server = MockServer::start().await;
    answer(&server, "PUT", VALIDATE, 200, infos(&[])).await;
    answer(&server, "GET", "/connectors/c", 200, info("c")).await;
    answer(&server, "GET", "/connectors/c/status", 200, support::status("c", "RUNNING", "RUNNING")).await;
    let text = "name: c\nconnector.class: file-sink\ntopics: a\nfile: /tmp/x\ninitial_state: stopped\n";
    let run = ctl(&server.uri(), &["apply", "-f", "-"]).stdin(text).run().await;
    assert_eq!((run.code, run.out.as_str()), (0, "c unchanged\n"));
    assert!(run.err.contains("c is RUNNING and stays so") && run.err.contains("connectctl stop c"), "{}", run.err);
}

#[tokio::test]
async fn validate_tells_every_problem_and_exits_with_one() {
    let server = MockServer::start().await;
    answer(&server, "PUT", VALIDATE, 200, infos(&[("file", "is empty")])).await;
    answer(&server, "GET", "/connector-plugins", 200, json!([{ "class": "file-sink", "type": "sink" }])).await;
    let unknown = "org.apache.kafka.connect.runtime.rest.errors.BadRequestException: Failed to find any class that \
                   implements Connector and which name matches flie-sink, available connectors are: PluginDesc{…}";
    answer(&server, "PUT", "/connector-plugins/flie-sink/config/validate", 500, error(500, unknown)).await;
    let text = "name: a\nconfig:\n  connector.class: file-sink\n  file: ''\n---\nname: b\nconnector.class: flie-sink\n";
    let run = ctl(&server.uri(), &["validate", "-f", "-"]).stdin(text).run().await;
    assert_eq!(
        run.err,
        "<stdin>:4: a: file: is empty\n\
         <stdin>:7: b: connector.class: the worker has no plugin flie-sink; did you mean file-sink?\n"
    );
    assert_eq!((run.code, run.out.as_str()), (1, "2 connectors checked, 2 problems found\n"));
    let run = ctl(&server.uri(), &["apply", "-f", "-"]).stdin("name: ..\nconnector.class: file-sink\n").run().await;
    assert_eq!(run.code, 1);
    assert!(run.err.contains("name: the REST API cannot address a connector of this name"), "{run:?}");
    let run = ctl(&server.uri(), &["validate", "-f", "-", "-o", "json"]).stdin(text).run().await;
    assert_eq!((run.code, run.err.as_str()), (1, ""));
    let first = json!({ "file": "<stdin>", "line": 4, "connector": "a", "key": "file", "message": "is empty", "warning": false });
    assert_eq!(run.json()[0], first);
}

#[tokio::test]
async fn validate_accepts_what_is_right_and_warns_without_failing() {
    let server = MockServer::start().await;
    answer(&server, "PUT", VALIDATE, 200, infos(&[])).await;
    let text = "name: a\nconnector.class: file-sink\nfiel: x\ntransforms.t.type: x\n";
    let run = ctl(&server.uri(), &["validate", "-f", "-"]).stdin(text).run().await;
    assert_eq!((run.code, run.out.as_str()), (0, "1 connector checked, no problem found\n"));
    assert_eq!(
        run.err,
        "<stdin>:3: warning: a: fiel: is not a setting of file-sink and may have no effect; did you mean file?\n"
    );
}

#[tokio::test]
async fn problems_of_files_are_told_even_when_the_worker_is_gone() {
    let run = ctl("http://127.0.0.1:1", &["validate", "-f", "-"])
        .stdin("name: a\nconnector.class: x\n---\n[1]\n")
        .run()
        .await;
    assert_eq!(run.code, 3);
    assert!(run.err.starts_with("<stdin>:4: ") && run.err.contains("cannot reach"), "{}", run.err);
}

fn mode(path: &std::path::Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).expect("a file").permissions().mode() & 0o777
}

#[tokio::test]
async fn nobody_else_reads_settings_that_are_edited_or_exported() {
    let server = support::worker().await;
    let dir = tempfile::tempdir().expect("folder");
    let editor = dir.path().join("editor");
    // As editors do that write a file anew.
    let text = "stat -c %a \"$1\" \"$(dirname \"$1\")\"\nrm \"$1\"\numask 022\necho 'name: [' > \"$1\"\n";
    std::fs::write(&editor, text).expect("editor");
    let run = ctl(&server.uri(), &["edit", "alpha"]).env("EDITOR", &format!("sh {}", editor.display())).run().await;
    assert_eq!((run.code, run.out.as_str()), (1, "600\n700\n"), "{run:?}");
    let kept = run.err.split("the text is in ").nth(1).map(str::trim).expect("where the text is");
    let kept = std::path::Path::new(kept);
    let folder = kept.parent().expect("its folder");
    assert_eq!((mode(kept), mode(folder)), (0o600, 0o700));
    std::fs::remove_dir_all(folder).expect("remove what was kept");

    let out = dir.path().join("out");
    std::fs::create_dir(&out).expect("folder");
    std::fs::write(out.join("alpha.yaml"), "old").expect("file");
    let run = ctl(&server.uri(), &["export", "alpha", "--folder", &out.to_string_lossy()]).run().await;
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(mode(&out.join("alpha.yaml")), 0o600);
    assert!(std::fs::read_to_string(out.join("alpha.yaml")).expect("file").contains("file-sink"));
    assert_eq!(std::fs::read_dir(&out).expect("folder").count(), 1);
}
