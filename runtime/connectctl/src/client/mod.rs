//! The REST API of a Kafka Connect worker, with typed methods.
//!
//! [`answer`] tells answers of Kafka Connect from those of other servers; [`mod@unreachable`] says why there was no
//! answer at all.

pub mod answer;
pub mod unreachable;

use std::{
    net::IpAddr,
    time::{Duration, Instant, SystemTime},
};

use connect_api::template::percent_encode;
use connect_rest_model::{
    ActiveTopics, ConfigInfos, ConfigKeyInfo, ConfigMap, ConnectorInfo, ConnectorOffsets, ConnectorStatus,
    CreateConnector, ExpandedConnector, Health, LogLines, LoggerLevel, Message, PluginInfo, ServerInfo, TaskInfo,
    WorkerInfo, trial::TestReport,
};
use indexmap::IndexMap;
use reqwest::{Method, StatusCode, Url, header, redirect};
use serde::Serialize;

use crate::{error::Failure, places::Access};
use answer::Answer;

/// How long refusals because of a rebalance are met with another try.
const PATIENCE: Duration = Duration::from_secs(10);

/// A worker's REST API.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    timeout: Duration,
    access: Access,
}

type Result<T> = std::result::Result<T, Failure>;

impl Client {
    /// The API at this address; nothing is sent yet.
    pub fn new(base: Url, timeout: Duration, access: &Access) -> Result<Self> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("connectctl/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .timeout(timeout);
        if is_loopback(&base) {
            builder = builder.no_proxy();
        }
        let builder = access.tls.apply(builder)?;
        let http = builder.build().map_err(|e| Failure::Failed(format!("preparing requests: {e}")))?;
        Ok(Self { http, base, timeout, access: access.clone() })
    }

    /// The same API, waited for at least so long.
    pub fn patient(&self, at_least: Duration) -> Result<Self> {
        Self::new(self.base.clone(), self.timeout.max(at_least), &self.access)
    }

    /// The address without user and password.
    pub fn address(&self) -> String {
        let mut url = self.base.clone();
        // Both fail for addresses that cannot have them, which then have none.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.as_str().trim_end_matches('/').to_owned()
    }

    /// Which program answers, and its Kafka cluster.
    pub async fn server(&self) -> Result<ServerInfo> {
        self.send(Method::GET, "/", None).await?.json()
    }

    /// As [`Client::server`], and what the server's clock said.
    pub async fn server_and_date(&self) -> Result<(ServerInfo, Option<SystemTime>)> {
        let answer = self.send(Method::GET, "/", None).await?;
        Ok((answer.json()?, answer.date()))
    }

    /// What a worker of Tocsin says of itself; others answer 404.
    pub async fn worker(&self) -> Result<WorkerInfo> {
        self.optional("/worker").await?.accepted(&self.address(), &Method::GET, "/worker")?.json()
    }

    /// Whether the worker can take requests; workers before Kafka 3.9 answer 404.
    pub async fn health(&self) -> Result<Health> {
        let answer = self.optional("/health").await?;
        match answer.health() {
            // One that is not well says so with the status of an error.
            Some(health) => Ok(health),
            None => answer.accepted(&self.address(), &Method::GET, "/health")?.json(),
        }
    }

    /// An endpoint that some workers lack: that is a refusal, and no sign of another service.
    async fn optional(&self, path: &str) -> Result<Answer> {
        let answer = self.once(&Method::GET, &self.url(path)?, None).await?;
        if answer.status() == StatusCode::NOT_FOUND {
            // Only a worker knows that it is one.
            self.server().await?;
            return Err(Failure::Refused { status: 404, message: format!("the worker has no {path}") });
        }
        Ok(answer)
    }

    /// Names of all connectors, sorted.
    pub async fn names(&self) -> Result<Vec<String>> {
        let mut names: Vec<String> = self.send(Method::GET, "/connectors", None).await?.json()?;
        if names.is_empty() {
            self.started().await?;
        }
        names.sort();
        Ok(names)
    }

    /// All connectors with status and configuration, sorted by name. One that has no status yet is left out by
    /// workers.
    pub async fn expanded(&self) -> Result<IndexMap<String, ExpandedConnector>> {
        let path = "/connectors?expand=status&expand=info";
        let mut all: IndexMap<String, ExpandedConnector> = self.send(Method::GET, path, None).await?.json()?;
        if all.is_empty() {
            self.started().await?;
        }
        all.sort_keys();
        Ok(all)
    }

    /// A connector's configuration, kind and tasks.
    pub async fn info(&self, name: &str) -> Result<ConnectorInfo> {
        self.send(Method::GET, &connector(name, ""), None).await?.json()
    }

    /// The state of a connector and its tasks.
    pub async fn status(&self, name: &str) -> Result<ConnectorStatus> {
        self.send(Method::GET, &connector(name, "/status"), None).await?.json()
    }

    /// Log lines of a connector; the query says which, such as `?since=7&level=WARN`.
    pub async fn logs(&self, name: &str, query: &str) -> Result<LogLines> {
        self.send(Method::GET, &connector(name, &format!("/logs{query}")), None).await?.json()
    }

    /// Creates a connector; one of that name must not exist.
    pub async fn create(&self, request: &CreateConnector) -> Result<ConnectorInfo> {
        self.send(Method::POST, "/connectors", Some(body(request)?)).await?.json()
    }

    /// Creates a connector or replaces its configuration.
    pub async fn put_config(&self, name: &str, config: &ConfigMap) -> Result<ConnectorInfo> {
        self.send(Method::PUT, &connector(name, "/config"), Some(body(config)?)).await?.json()
    }

    /// Removes a connector.
    pub async fn delete(&self, name: &str) -> Result<()> {
        self.send(Method::DELETE, &connector(name, ""), None).await?.done()
    }

    /// Asks for a target state: `pause`, `resume` or `stop`.
    pub async fn set_target(&self, name: &str, verb: &str) -> Result<()> {
        self.send(Method::PUT, &connector(name, &format!("/{verb}")), None).await?.done()
    }

    /// Restarts the connector's own part; with a flag also what the flags select, answered with the status in
    /// which all of that is `RESTARTING`.
    pub async fn restart(&self, name: &str, tasks: bool, only_failed: bool) -> Result<Option<ConnectorStatus>> {
        let flags = if tasks || only_failed {
            format!("/restart?includeTasks={tasks}&onlyFailed={only_failed}")
        } else {
            "/restart".to_owned()
        };
        let answer = self.send(Method::POST, &connector(name, &flags), None).await?;
        if answer.is_empty() { Ok(None) } else { answer.json().map(Some) }
    }

    /// Restarts a task.
    pub async fn restart_task(&self, name: &str, task: u32) -> Result<()> {
        self.send(Method::POST, &connector(name, &format!("/tasks/{task}/restart")), None).await?.done()
    }

    /// The plugins: connectors, or all kinds.
    pub async fn plugins(&self, all: bool) -> Result<Vec<PluginInfo>> {
        let path = format!("/connector-plugins{}", if all { "?connectorsOnly=false" } else { "" });
        self.send(Method::GET, &path, None).await?.json()
    }

    /// Validates a configuration for the plugin that it names.
    pub async fn validate(&self, class: &str, config: &ConfigMap) -> Result<ConfigInfos> {
        let path = format!("/connector-plugins/{}/config/validate", percent_encode(class));
        self.send(Method::PUT, &path, Some(body(config)?)).await?.json()
    }

    /// Tries out a connector.
    pub async fn test(&self, name: &str, records: u32, seconds: u64) -> Result<TestReport> {
        let path = connector(name, &format!("/test?records={records}&timeout={seconds}"));
        self.send(Method::POST, &path, None).await?.json()
    }

    /// Tries out a configuration for the plugin that it names.
    pub async fn test_config(&self, class: &str, config: &ConfigMap, records: u32, seconds: u64) -> Result<TestReport> {
        let class = percent_encode(class);
        let path = format!("/connector-plugins/{class}/config/test?records={records}&timeout={seconds}");
        self.send(Method::PUT, &path, Some(body(config)?)).await?.json()
    }

    /// Removes and sets some settings of a connector.
    pub async fn patch_config(&self, name: &str, patch: &ConfigMap) -> Result<ConnectorInfo> {
        self.send(Method::PATCH, &connector(name, "/config"), Some(body(patch)?)).await?.json()
    }

    /// Settings of the tasks.
    pub async fn tasks(&self, name: &str) -> Result<Vec<TaskInfo>> {
        self.send(Method::GET, &connector(name, "/tasks"), None).await?.json()
    }

    /// Where a connector stands.
    pub async fn offsets(&self, name: &str) -> Result<ConnectorOffsets> {
        self.send(Method::GET, &connector(name, "/offsets"), None).await?.json()
    }

    /// Sets where a stopped connector stands; answers the worker's sentence.
    pub async fn alter_offsets(&self, name: &str, offsets: &ConnectorOffsets) -> Result<Message> {
        self.send(Method::PATCH, &connector(name, "/offsets"), Some(body(offsets)?)).await?.json()
    }

    /// Forgets where a stopped connector stands; answers the worker's sentence.
    pub async fn reset_offsets(&self, name: &str) -> Result<Message> {
        self.send(Method::DELETE, &connector(name, "/offsets"), None).await?.json()
    }

    /// Topics that a connector has used.
    pub async fn topics(&self, name: &str) -> Result<Vec<String>> {
        let mut all: ActiveTopics = self.send(Method::GET, &connector(name, "/topics"), None).await?.json()?;
        let mut topics = all.swap_remove(name).unwrap_or_default().topics;
        topics.sort();
        Ok(topics)
    }

    /// Forgets which topics a connector has used.
    pub async fn reset_topics(&self, name: &str) -> Result<()> {
        self.send(Method::PUT, &connector(name, "/topics/reset"), None).await?.done()
    }

    /// Settings of a plugin of any kind.
    pub async fn definition(&self, class: &str) -> Result<Vec<ConfigKeyInfo>> {
        let path = format!("/connector-plugins/{}/config", percent_encode(class));
        self.send(Method::GET, &path, None).await?.json()
    }

    /// Sets the level of a logger and those below it; answers which have changed, if only this worker was asked.
    pub async fn set_level(&self, logger: &str, level: &str, cluster: bool) -> Result<Vec<String>> {
        let scope = if cluster { "cluster" } else { "worker" };
        let path = format!("/admin/loggers/{}?scope={scope}", percent_encode(logger));
        let request = IndexMap::from([("level", level)]);
        let answer = self.send(Method::PUT, &path, Some(body(&request)?)).await?;
        if answer.is_empty() { Ok(Vec::new()) } else { answer.json() }
    }

    /// What the worker counts, as Prometheus reads it; Kafka Connect's own workers answer 404.
    pub async fn metrics(&self) -> Result<String> {
        let answer = self.optional("/metrics").await?;
        answer.accepted(&self.address(), &Method::GET, "/metrics")?.metrics()
    }

    /// Levels of all loggers, by name.
    pub async fn loggers(&self) -> Result<IndexMap<String, LoggerLevel>> {
        self.send(Method::GET, "/admin/loggers", None).await?.json()
    }

    /// Sends a request until the worker answers other than that it cannot because of a rebalance.
    ///
    /// Such a 409 means that nothing was done, so every request may be sent again, whatever its method. The 500
    /// is an answer to reading requests only.
    async fn send(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Result<Answer> {
        let url = self.url(path)?;
        let patience = PATIENCE.min(self.timeout);
        let begin = Instant::now();
        let mut pause = Duration::from_millis(100);
        loop {
            let answer = self.once(&method, &url, body.clone()).await?;
            let answer_status = answer.status();
            if !answer.is_rebalance() || begin.elapsed() + pause > patience {
                let judged = answer.accepted(&self.address(), &method, path);
                if judged.is_err() && answer_may_come(answer_status) {
                    self.started().await?;
                }
                return judged;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    fn url(&self, path: &str) -> Result<Url> {
        let url = format!("{}{path}", self.base.as_str().trim_end_matches('/'));
        url.parse().map_err(|e| Failure::Failed(format!("making the address of {path}: {e}")))
    }

    /// Fails where the worker says that it is still starting: what it knows of so far is not all.
    async fn started(&self) -> Result<()> {
        let url = self.url("/health")?;
        // Workers before Kafka 3.9 have no such endpoint, and other servers answer as they like.
        let Ok(answer) = self.once(&Method::GET, &url, None).await else { return Ok(()) };
        match answer.health() {
            Some(health) if health.status == "starting" => Err(Failure::Unreachable(format!(
                "the worker at {} is not ready yet: {}; try again in a moment",
                self.address(),
                health.message.trim_end_matches('.')
            ))),
            _ => Ok(()),
        }
    }

    async fn once(&self, method: &Method, url: &Url, body: Option<Vec<u8>>) -> Result<Answer> {
        let mut request = self.http.request(method.clone(), url.clone()).header(header::ACCEPT, "application/json");
        match (&self.access.user, &self.access.token) {
            (Some((user, password)), _) => request = request.basic_auth(user, Some(password.reveal())),
            (None, Some(token)) => request = request.bearer_auth(token.reveal()),
            (None, None) => {}
        }
        if let Some(body) = body {
            request = request.header(header::CONTENT_TYPE, "application/json").body(body);
        }
        let answer = async { Answer::read(request.send().await?).await };
        answer.await.map_err(|e| unreachable::failure(&e, &self.address(), self.timeout, *method != Method::GET))
    }
}

/// Whether a worker that is starting could have answered so, and would answer otherwise later.
fn answer_may_come(status: StatusCode) -> bool {
    matches!(status, StatusCode::NOT_FOUND | StatusCode::SERVICE_UNAVAILABLE)
}

fn body<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|e| Failure::Failed(format!("writing the request: {e}")))
}

/// The path of a connector, with what follows the name.
fn connector(name: &str, rest: &str) -> String {
    format!("/connectors/{}{rest}", percent_encode(name))
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    host == "localhost" || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(url: &str) -> Client {
        Client::new(url.parse().expect("url"), Duration::from_secs(1), &Access::default()).expect("client")
    }

    #[test]
    fn shown_addresses_have_no_password() {
        assert_eq!(client("http://me:secret@h:1/connect/").address(), "http://h:1/connect");
        assert_eq!(client("http://127.0.0.1:8083").address(), "http://127.0.0.1:8083");
    }

    #[test]
    fn names_are_one_segment_of_the_path() {
        assert_eq!(connector("a b/ü;%?", "/status"), "/connectors/a%20b%2F%C3%BC%3B%25%3F/status");
    }

    #[test]
    fn loopback_is_recognized() {
        for url in ["http://localhost:1", "http://127.0.0.2", "http://[::1]:8083"] {
            assert!(is_loopback(&url.parse().expect("url")), "{url}");
        }
        assert!(!is_loopback(&"http://worker:8083".parse().expect("url")));
    }
}
