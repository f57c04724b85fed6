//! What test calls ask: whether the server is there and knows database and credentials, and the lines of a record.

use connect_api::{Check, Error, ErrorClass, Rendered, Rendering, Result, SinkRecord, SinkTrial, async_trait};
use connector_http::{Answer, Method, StatusCode, shown_url};
use serde_json::Value as Json;

use crate::{endpoint::Version, task::InfluxTask};

#[async_trait]
impl SinkTrial for InfluxTask {
    async fn check(&mut self) -> Result<Check> {
        if self.url.scheme() == "https" {
            // It tells more about a certificate than a request that fails.
            self.client.reach(&self.url).await?;
        }
        match self.endpoint.version {
            Version::V1 | Version::V2 => self.write_nothing().await,
            // Writing makes the database.
            Version::V3 => self.look_for_database().await,
        }
    }

    fn render(&mut self, record: &SinkRecord) -> Result<Rendering> {
        Ok(match self.lines_of(record)? {
            None => Rendering::Nothing("influxdb.tombstones is ignore".into()),
            Some(lines) if lines.is_empty() => Rendering::Nothing("the record has no field to write".into()),
            Some(lines) => {
                let to = format!("POST {} ({})", shown_url(&self.url), self.endpoint.name());
                let body = Some(lines.trim_end().to_owned());
                Rendering::Sent(Rendered { to, body, ..Rendered::default() })
            }
        })
    }
}

impl InfluxTask {
    fn looking(&self) -> String {
        format!("looking for {} at {}", self.endpoint.name(), self.client.place(&self.url))
    }

    /// Writes no points, which servers answer as they would points: whoever may not write them learns it.
    async fn write_nothing(&self) -> Result<Check> {
        let (endpoint, doing) = (&self.endpoint, || self.looking());
        let answer = self.client.send(self.client.request(Method::POST, self.url.clone()), doing).await?;
        let passed = || Check::Passed(format!("{} takes points; none were written", endpoint.name()));
        let said = json(&answer);
        let text = said["error"].as_str().or(said["message"].as_str()).unwrap_or(&answer.text);
        match answer.status {
            _ if endpoint.stored(&answer) => Ok(passed()),
            // InfluxDB 2, when it has found the bucket and seen that the token may write to it.
            StatusCode::BAD_REQUEST if text.contains("writing requires points") => Ok(passed()),
            StatusCode::NOT_FOUND if text.contains("not found") && !said.is_null() => {
                let names = endpoint.names;
                let text =
                    format!("{}: the server has none of that name: create it, or correct {}", doing(), names.target);
                Err(answer.error_as(ErrorClass::Fatal, text))
            }
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => Err(self.another(&answer)),
            status if status.is_success() => Err(self.another(&answer)),
            _ => Err(match endpoint.refusal(&answer, doing()) {
                // It would be one of the data if there were points.
                e if e.class() == ErrorClass::Data => answer.error_as(ErrorClass::Fatal, doing()),
                e => e,
            }),
        }
    }

    /// The error for a server that does not have the write API.
    fn another(&self, answer: &Answer) -> Error {
        let (url, version) = (self.endpoint.names.url, self.endpoint.version.number());
        let text = format!("{}: there is no write API of InfluxDB {version}", self.looking());
        let text = match answer.header("x-influxdb-version") {
            Some(other) => format!("{text}, the server says that it is InfluxDB {other}: correct {url} or the version"),
            None => format!("{text}: correct {url}"),
        };
        answer.error_as(ErrorClass::Fatal, text)
    }

    /// Asks InfluxDB 3 for its databases, of which a write makes what is missing. It tells them to tokens that may do
    /// everything.
    async fn look_for_database(&self) -> Result<Check> {
        let (endpoint, doing) = (&self.endpoint, || self.looking());
        let url = endpoint.at("api/v3/configure/database", &[("format", "json".to_owned())])?;
        let answer = self.client.send(self.client.request(Method::GET, url), doing).await?;
        match answer.status {
            StatusCode::FORBIDDEN => {
                let text = "the server does not tell its databases to this token; whether it may write was not tried";
                return Ok(Check::Partly(text.into()));
            }
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => return Err(self.another(&answer)),
            _ if !answer.is_success() => return Err(answer.error(doing())),
            _ => {}
        }
        let said = json(&answer);
        let Some(all) = said.as_array() else { return Err(self.another(&answer)) };
        if all.iter().any(|database| database["iox::database"] == *endpoint.target) {
            return Ok(Check::Passed(format!("{} is there; points were not written", endpoint.name())));
        }
        let text =
            format!("the server has no {} yet: the first points make it, if the token may do that", endpoint.name());
        Ok(Check::Partly(text))
    }
}

fn json(answer: &Answer) -> Json {
    serde_json::from_str(&answer.text).unwrap_or_default()
}
