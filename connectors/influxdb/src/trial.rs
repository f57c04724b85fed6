//! What test calls ask: whether the server is there and knows database and credentials, and the line of a record.

use connect_api::{Check, Error, ErrorClass, Rendered, Rendering, Result, SinkRecord, SinkTrial, async_trait};
use connector_http::{Answer, Method, StatusCode, Url, config::url_with, shown_url};
use serde_json::Value as Json;

use crate::{config::Version, task::InfluxTask};

#[async_trait]
impl SinkTrial for InfluxTask {
    async fn check(&mut self) -> Result<Check> {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let settings = &self.settings;
        let (path, query) = match settings.version {
            Version::V1 => ("query", vec![("q", "SHOW DATABASES".to_owned())]),
            Version::V2 => {
                let org = settings.org.iter().map(|org| ("org", org.clone()));
                ("api/v2/buckets", [("name", text(&settings.bucket))].into_iter().chain(org).collect())
            }
        };
        let url = url_with(&settings.url, path, &query);
        let url: Url = url.map_err(|why| Error::fatal("reading influxdb.url").caused_by(why))?;
        let place = self.client.place(&url);
        let doing = || format!("looking for {} at {place}", self.name);
        let answer = self.client.send(self.client.request(Method::GET, url), doing).await?;
        match settings.version {
            Version::V1 => databases(&answer, &text(&settings.database), doing),
            Version::V2 => buckets(&answer, &text(&settings.bucket), doing),
        }
    }

    fn render(&mut self, record: &SinkRecord) -> Result<Rendering> {
        self.body.clear();
        if !self.encode(record)? {
            return Ok(Rendering::Nothing("the record has no field to write".into()));
        }
        if self.body.is_empty() {
            return Ok(Rendering::Nothing("influxdb.tombstones is ignore".into()));
        }
        let to = format!("POST {} ({})", shown_url(&self.url), self.name);
        let body = Some(self.body.trim_end().to_owned());
        Ok(Rendering::Sent(Rendered { to, body, ..Rendered::default() }))
    }
}

/// What InfluxDB 1 says when it is asked for its databases. It tells those that the user may read or write.
fn databases(answer: &Answer, database: &str, doing: impl Fn() -> String) -> Result<Check> {
    let untold = "the server answers, but does not tell its databases; whether it takes points was not tried";
    match answer.status {
        // Others that take the line protocol need not have queries.
        StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
            return Ok(Check::Partly(untold.into()));
        }
        _ if !answer.is_success() => return Err(answer.error(doing())),
        _ => {}
    }
    let said: Json = serde_json::from_str(&answer.text).unwrap_or_default();
    let Some(series) = said.pointer("/results/0/series/0") else { return Ok(Check::Partly(untold.into())) };
    let names = series["values"].as_array().into_iter().flatten().filter_map(|row| row[0].as_str());
    if names.into_iter().any(|name| name == database) {
        return Ok(Check::Passed(format!("database {database} is there; points were not written")));
    }
    let text = format!("{}: the server has none of that name that the user may use", doing());
    Err(Error::fatal(format!("{text}; create it, or correct influxdb.database")))
}

/// What InfluxDB 2 says when it is asked for a bucket. To a token that may write only it shows none.
fn buckets(answer: &Answer, bucket: &str, doing: impl Fn() -> String) -> Result<Check> {
    let unseen = format!(
        "the server knows the token, but shows it no bucket {bucket}: it is missing, or the token may only write"
    );
    if answer.status == StatusCode::NOT_FOUND {
        return Ok(Check::Partly(unseen));
    }
    if !answer.is_success() {
        return Err(answer.error_as(ErrorClass::Fatal, doing()));
    }
    let said: Json = serde_json::from_str(&answer.text).unwrap_or_default();
    let found = said["buckets"].as_array().into_iter().flatten().any(|b| b["name"] == bucket);
    Ok(match found {
        true => Check::Passed(format!("bucket {bucket} is there; points were not written")),
        false => Check::Partly(unseen),
    })
}
