//! Runs the real program against a worker that is played by a mock server.

#![allow(dead_code, reason = "not every test file needs all of it")]

use std::{
    io::Write,
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::path as any_path};

/// What the program did.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Run {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

/// A command line to run.
#[derive(Debug)]
pub struct Ctl {
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    stdin: String,
}

/// The program with these arguments.
pub fn ctl(url: &str, arguments: &[&str]) -> Ctl {
    let mut all = vec!["--url".to_owned(), url.to_owned()];
    all.extend(arguments.iter().map(|a| (*a).to_owned()));
    Ctl { arguments: all, environment: Vec::new(), stdin: String::new() }
}

/// The program with exactly these arguments.
pub fn bare(arguments: &[&str]) -> Ctl {
    let arguments = arguments.iter().map(|a| (*a).to_owned()).collect();
    Ctl { arguments, environment: Vec::new(), stdin: String::new() }
}

impl Ctl {
    pub fn env(mut self, key: &str, value: &str) -> Self {
        self.environment.push((key.to_owned(), value.to_owned()));
        self
    }

    pub fn stdin(self, text: &str) -> Self {
        Self { stdin: text.to_owned(), ..self }
    }

    /// Runs it to its end, beside the mock server.
    pub async fn run(self) -> Run {
        tokio::task::spawn_blocking(move || {
            let mut child = Command::new(env!("CARGO_BIN_EXE_connectctl"))
                .args(&self.arguments)
                .env_clear()
                .env("PATH", std::env::var_os("PATH").unwrap_or_default())
                // No contexts of whoever runs the tests.
                .env("CONNECTCTL_CONFIG", "/nonexistent/config.yaml")
                .envs(self.environment)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("start");
            // A program that reads no input may be gone already.
            let _ = child.stdin.take().map(|mut pipe| pipe.write_all(self.stdin.as_bytes()));
            let output = child.wait_with_output().expect("wait");
            Run {
                code: output.status.code().unwrap_or(-1),
                out: String::from_utf8(output.stdout).expect("UTF-8"),
                err: String::from_utf8(output.stderr).expect("UTF-8"),
            }
        })
        .await
        .expect("run")
    }
}

/// A folder with a file of contexts.
pub fn contexts(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("folder");
    std::fs::write(folder.path().join("config.yaml"), text).expect("file");
    folder
}

impl Ctl {
    /// With the file of contexts in that folder.
    pub fn contexts(self, folder: &tempfile::TempDir) -> Self {
        self.env("CONNECTCTL_CONFIG", &folder.path().join("config.yaml").to_string_lossy())
    }
}

/// Answers every request with this method and path.
pub async fn answer(server: &MockServer, method: &str, path: &str, status: u16, body: Value) {
    let response = ResponseTemplate::new(status);
    // As Kafka Connect's early errors: a body without a content type.
    let response = if body.is_null() { response } else { response.set_body_bytes(body.to_string()) };
    Mock::given(wiremock::matchers::method(method)).and(any_path(path)).respond_with(response).mount(server).await;
}

/// Kafka Connect's error body.
pub fn error(code: u16, message: &str) -> Value {
    json!({ "error_code": code, "message": message })
}

/// The bodies of the requests with this method and path.
pub async fn bodies(server: &MockServer, method: &str, path: &str) -> Vec<Value> {
    let requests = server.received_requests().await.unwrap_or_default();
    let wanted = requests.iter().filter(|r| r.method.as_str() == method && r.url.path() == path);
    wanted.map(|r| serde_json::from_slice(&r.body).unwrap_or(Value::Null)).collect()
}

/// A status with one task.
pub fn status(name: &str, connector: &str, task: &str) -> Value {
    let mut status = json!({
        "name": name, "type": "sink",
        "connector": { "state": connector, "worker_id": "w:8083" },
        "tasks": [{ "id": 0, "state": task, "worker_id": "w:8083" }],
    });
    if task == "FAILED" {
        status["tasks"][0]["trace"] = json!("writing 2 points\nCaused by: timed out\n\tat a.B.c(B.java:1)\n");
    }
    status
}

/// A worker with the connectors `alpha`, which runs, and `beta`, whose task FAILED; `gamma` has no status yet.
pub async fn worker() -> MockServer {
    let server = MockServer::start().await;
    let expanded = json!({
        "beta": { "status": status("beta", "RUNNING", "FAILED"), "info": info("beta") },
        "alpha": { "status": status("alpha", "RUNNING", "RUNNING"), "info": info("alpha") },
    });
    Mock::given(wiremock::matchers::method("GET"))
        .and(any_path("/connectors"))
        .and(wiremock::matchers::query_param("expand", "status"))
        .respond_with(ResponseTemplate::new(200).set_body_json(expanded))
        .mount(&server)
        .await;
    answer(&server, "GET", "/connectors", 200, json!(["gamma", "beta", "alpha"])).await;
    for (name, task) in [("alpha", "RUNNING"), ("beta", "FAILED")] {
        answer(&server, "GET", &format!("/connectors/{name}/status"), 200, status(name, "RUNNING", task)).await;
        answer(&server, "GET", &format!("/connectors/{name}"), 200, info(name)).await;
    }
    let missing = error(404, "No status found for connector gamma");
    answer(&server, "GET", "/connectors/gamma/status", 404, missing).await;
    answer(&server, "GET", "/connectors/alhpa/status", 404, error(404, "No status found for connector alhpa")).await;
    server
}

/// What `GET /connectors/C` answers.
pub fn info(name: &str) -> Value {
    json!({
        "name": name, "type": "sink", "tasks": [],
        "config": { "name": name, "connector.class": "file-sink", "topics": "a", "file": "/tmp/x" },
    })
}
