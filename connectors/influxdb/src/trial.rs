//! What test calls ask: whether the server is there and knows database and credentials, and the lines of a record.

use connect_api::{Check, Error, ErrorClass, Rendered, Rendering, Result, SinkRecord, SinkTrial, async_trait};
use connector_http::{Answer, Method, StatusCode, shown_url};
use serde_json::Value as Json;

use crate::{
    endpoint::{Endpoint, Version},
    task::InfluxTask,
};

#[async_trait]
impl SinkTrial for InfluxTask {
    async fn check(&mut self) -> Result<Check> {
        let endpoint = &self.endpoint;
        let (path, query) = match endpoint.version {
            Version::V1 => ("query", vec![("q", "SHOW DATABASES".to_owned())]),
            Version::V2 => {
                let org = endpoint.org.iter().map(|org| ("org", org.clone()));
                ("api/v2/buckets", [("name", endpoint.target.clone())].into_iter().chain(org).collect())
            }
            Version::V3 => ("api/v3/configure/database", vec![("format", "json".to_owned())]),
        };
        let url = endpoint.at(path, &query)?;
        if url.scheme() == "https" {
            // It tells more about a certificate than a request that fails.
            self.client.reach(&url).await?;
        }
        let place = self.client.place(&url);
        let doing = || format!("looking for {} at {place}", endpoint.name());
        let answer = self.client.send(self.client.request(Method::GET, url), doing).await?;
        match endpoint.version {
            Version::V1 => databases(&answer, endpoint, doing),
            Version::V2 => buckets(&answer, endpoint, doing),
            Version::V3 => made_databases(&answer, endpoint, doing),
        }
    }

    fn render(&mut self, record: &SinkRecord) -> Result<Rendering> {
        self.body.clear();
        Ok(match self.encode(record)? {
            None => Rendering::Nothing("influxdb.tombstones is ignore".into()),
            Some(0) => Rendering::Nothing("the record has no field to write".into()),
            Some(_) => {
                let to = format!("POST {} ({})", shown_url(&self.url), self.endpoint.name());
                let body = Some(self.body.trim_end().to_owned());
                Rendering::Sent(Rendered { to, body, ..Rendered::default() })
            }
        })
    }
}

const UNTOLD: &str = "the server answers, but does not tell its databases; whether it takes points was not tried";

fn json(answer: &Answer) -> Json {
    serde_json::from_str(&answer.text).unwrap_or_default()
}

fn found(endpoint: &Endpoint) -> Check {
    Check::Passed(format!("{} is there; points were not written", endpoint.name()))
}

/// What InfluxDB 1 says when it is asked for its databases. It tells those that the user may read or write.
fn databases(answer: &Answer, endpoint: &Endpoint, doing: impl Fn() -> String) -> Result<Check> {
    match answer.status {
        // Others that take the line protocol need not have queries.
        StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
            return Ok(Check::Partly(UNTOLD.into()));
        }
        _ if !answer.is_success() => return Err(answer.error(doing())),
        _ => {}
    }
    let said = json(answer);
    let Some(series) = said.pointer("/results/0/series/0") else { return Ok(Check::Partly(UNTOLD.into())) };
    let names = series["values"].as_array().into_iter().flatten().filter_map(|row| row[0].as_str());
    if names.into_iter().any(|name| name == endpoint.target) {
        return Ok(found(endpoint));
    }
    let text = format!("{}: the server has none of that name that the user may use", doing());
    Err(Error::fatal(format!("{text}; create it, or correct {}", endpoint.names.target)))
}

/// What InfluxDB 2 says when it is asked for a bucket. To a token that may write only it shows none.
fn buckets(answer: &Answer, endpoint: &Endpoint, doing: impl Fn() -> String) -> Result<Check> {
    let bucket = &endpoint.target;
    let unseen = format!(
        "the server knows the token, but shows it no bucket {bucket}: it is missing, or the token may only write"
    );
    if answer.status == StatusCode::NOT_FOUND {
        return Ok(Check::Partly(unseen));
    }
    if !answer.is_success() {
        return Err(answer.error_as(ErrorClass::Fatal, doing()));
    }
    let there = json(answer)["buckets"].as_array().into_iter().flatten().any(|b| b["name"] == **bucket);
    Ok(if there { found(endpoint) } else { Check::Partly(unseen) })
}

/// What InfluxDB 3 says when it is asked for its databases, of which a write makes what is missing. It tells them to
/// tokens that may do everything.
fn made_databases(answer: &Answer, endpoint: &Endpoint, doing: impl Fn() -> String) -> Result<Check> {
    match answer.status {
        StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
            return Ok(Check::Partly(UNTOLD.into()));
        }
        _ if !answer.is_success() => return Err(answer.error(doing())),
        _ => {}
    }
    let said = json(answer);
    let Some(all) = said.as_array() else { return Ok(Check::Partly(UNTOLD.into())) };
    if all.iter().any(|database| database["iox::database"] == *endpoint.target) {
        return Ok(found(endpoint));
    }
    let text = format!("the server has no {} yet: the first points make it, if the token may do that", endpoint.name());
    Ok(Check::Partly(text))
}
