//! The REST API of a worker with the embedded broker, as a client sees it.

use std::time::Duration;

use reqwest::{Method, blocking::Client};
use serde_json::{Value as Json, json};

use crate::Connectd;

/// The longest wait for an answer and for states.
pub const LIMIT: Duration = Duration::from_secs(30);

/// What came back.
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Body.
    pub text: String,
    /// `Location`.
    pub location: Option<String>,
    /// `Content-Type`.
    pub content_type: Option<String>,
}

impl Answer {
    /// The body.
    pub fn json(&self) -> Json {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("not JSON: {e}: {:?}", self.text))
    }

    /// The message of an error, whose code must be the status.
    pub fn message(&self) -> String {
        let body = self.json();
        assert_eq!(body["error_code"], self.status, "{body}");
        body["message"].as_str().expect("message").to_owned()
    }
}

/// A worker and a client of its REST API.
pub struct Rest {
    /// The worker.
    pub connectd: Connectd,
    client: Client,
    dir: tempfile::TempDir,
}

impl Rest {
    /// Starts it with these arguments.
    pub fn start(arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("folder");
        let connectd = Connectd::start(arguments, &dir.path().join("log"));
        Self { connectd, client: Client::new(), dir }
    }

    /// Any request.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&str>) -> Answer {
        let url = format!("{}{path}", self.connectd.url());
        let mut request = self.client.request(method.parse::<Method>().expect("method"), url).timeout(LIMIT);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.body(body.to_owned());
        }
        let answer = request.send().expect("an answer");
        let header = |name: &str| answer.headers().get(name).map(|v| v.to_str().expect("text").to_owned());
        let (location, content_type) = (header("location"), header("content-type"));
        Answer { status: answer.status().as_u16(), location, content_type, text: answer.text().expect("text") }
    }

    /// `GET`.
    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], None)
    }

    /// A request with a body of JSON.
    pub fn send(&self, method: &str, path: &str, body: &str) -> Answer {
        self.ask(method, path, &[("content-type", "application/json")], Some(body))
    }

    /// A request without body.
    pub fn order(&self, method: &str, path: &str) -> Answer {
        self.ask(method, path, &[], None)
    }

    /// A path in the worker's folder.
    pub fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_string_lossy().into_owned()
    }

    /// Settings of a file source that waits for its file.
    pub fn source(&self) -> Json {
        json!({ "connector.class": "FileStreamSource", "file": self.path("absent"), "topic": "t",
            "value.converter": "StringConverter" })
    }

    /// Creates a connector.
    pub fn create(&self, name: &str, config: &Json) -> Answer {
        let answer = self.send("POST", "/connectors", &json!({ "name": name, "config": config }).to_string());
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer
    }
}
