//! A server that answers as Slack's Web API is documented, and what the tests need of a task.
#![allow(dead_code, reason = "not every test file needs all of it")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use connect_api::{Result, Settings, SinkConnector, SinkTask, TopicPartition, Value, config::Config};
use connect_testkit::{Host, sink::when_due};
use connector_slack::{SlackConfig, SlackSink};
use serde_json::{Value as Json, json};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate, matchers::any};

#[derive(Default)]
struct Seen {
    calls: Vec<String>,
    messages: Vec<Json>,
    /// Answers that are given once, by channel or method, or to what goes into a thread.
    answers: BTreeMap<String, ResponseTemplate>,
    /// What no message may hold.
    refused: Option<String>,
}

/// The server.
pub struct Slack {
    server: MockServer,
    seen: Arc<Mutex<Seen>>,
}

struct Api(Arc<Mutex<Seen>>);

impl Respond for Api {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let mut seen = self.0.lock().unwrap();
        let body: Json = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(request.headers["authorization"], "Bearer xoxb-s3cret");
        let method = request.url.path().trim_start_matches("/api/chat.").to_owned();
        if method == "/api/auth.test" {
            seen.calls.push("auth.test".into());
            let answer = json!({ "ok": true, "user": "tocsin", "team": "t" });
            return seen.answers.remove("auth.test").unwrap_or(ResponseTemplate::new(200).set_body_json(answer));
        }
        if seen.refused.as_ref().is_some_and(|refused| body.to_string().contains(refused)) {
            seen.calls.push("refused".into());
            return ResponseTemplate::new(200).set_body_json(json!({ "ok": false, "error": "invalid_attachments" }));
        }
        let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
        let channel = text("channel");
        let threaded = if body["thread_ts"].is_string() { "thread" } else { "" };
        for key in [channel.trim_start_matches("id of "), method.as_str(), threaded] {
            if let Some(answer) = seen.answers.remove(key) {
                return answer;
            }
        }
        let said = [text("text"), body["attachments"][0]["text"].as_str().unwrap_or_default().to_owned()];
        let said = said.iter().filter(|t| !t.is_empty()).cloned().collect::<Vec<_>>().join(" ");
        let said = said.trim_end();
        let ts = match method.as_str() {
            "postMessage" if body["thread_ts"].is_string() => {
                seen.calls.push(format!("reply {}: {said}", text("thread_ts")));
                "in-thread".to_owned()
            }
            "postMessage" => {
                seen.calls.push(format!("post {}: {said}", channel.trim_start_matches("id of ")));
                seen.messages.push(body.clone());
                seen.messages.len().to_string()
            }
            "update" => {
                seen.calls.push(format!("update {}: {said}", text("ts")));
                let index = text("ts").parse::<usize>().unwrap() - 1;
                seen.messages[index] = body.clone();
                text("ts")
            }
            "delete" => {
                seen.calls.push(format!("delete {}", text("ts")));
                text("ts")
            }
            other => panic!("no method {other}"),
        };
        let id = format!("id of {}", channel.trim_start_matches("id of "));
        // The echo comes behind what is needed, with characters as escapes.
        let echo: String = body.to_string().encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
        let answer = format!(r#"{{"ok":true,"channel":{},"ts":"{ts}","message":{{"text":"{echo}"}}}}"#, json!(id));
        ResponseTemplate::new(200).set_body_string(answer)
    }
}

impl Slack {
    /// Starts it.
    pub async fn start() -> Self {
        let (server, seen) = (MockServer::start().await, Arc::default());
        Mock::given(any()).respond_with(Api(Arc::clone(&seen))).mount(&server).await;
        Self { server, seen }
    }

    /// Settings of a sink.
    pub fn settings(&self, more: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
        let all = [
            ("slack.token", "xoxb-s3cret"),
            ("slack.channel", "#alarms"),
            ("slack.rules", r#"[{"when": "value.priority == 'P1_LIFE'", "mention": "<!here>"}]"#),
            ("slack.raised.template", "{{key}} {{value.message}}"),
            ("slack.cleared.template", "{{key}} over"),
        ];
        let api = ("slack.api.url", format!("{}/api", self.server.uri()));
        all.iter().chain(more).map(|(k, v)| (*k, (*v).to_owned())).chain([api]).collect()
    }

    /// What was called since this was asked last.
    pub fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().unwrap().calls)
    }

    /// The colour of a message.
    pub fn color(&self, ts: &str) -> String {
        let index = ts.parse::<usize>().unwrap() - 1;
        self.seen.lock().unwrap().messages[index]["attachments"][0]["color"].as_str().unwrap().to_owned()
    }

    /// Refuses every message that holds that.
    pub fn refuse(&self, text: &str) {
        self.seen.lock().unwrap().refused = Some(text.to_owned());
    }

    /// Answers the next request to that channel, or of that method, so.
    pub fn answer(&self, channel_or_method: &str, answer: ResponseTemplate) {
        self.seen.lock().unwrap().answers.insert(channel_or_method.to_owned(), answer);
    }
}

/// A task on a host of its own.
pub async fn start(settings: &[(&'static str, String)]) -> (Box<dyn SinkTask>, Arc<Host>) {
    let host = Host::new();
    (start_on(&host, settings).await, host)
}

/// A task on a host, after those before.
pub async fn start_on(host: &Arc<Host>, more: &[(&'static str, String)]) -> Box<dyn SinkTask> {
    let mut settings =
        Settings::from([("http.proxy", "none"), ("http.request.timeout.ms", "300"), ("slack.interval.ms", "1")]);
    settings.extend(&more.iter().map(|(k, v)| (*k, v.as_str())).collect());
    let (context, _) = host.sink(&settings);
    let mut task = SlackSink::start_task(SlackConfig::parse(&settings).unwrap(), context).await.unwrap();
    let partition = |topic: &str| TopicPartition { topic: topic.into(), partition: 0 };
    task.open(&[partition("active-alarms"), partition("t")]).await.unwrap();
    task
}

/// Calls the task as long as it is due.
pub async fn drain(task: &mut dyn SinkTask) -> Result<()> {
    while task.due().is_some() {
        when_due(task).await?;
    }
    Ok(())
}

/// An alarm.
pub fn alarm(priority: &str, message: &str) -> Value {
    Value::map([("priority", Value::from(priority)), ("message", Value::from(message))])
}
