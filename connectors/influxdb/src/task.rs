//! Requests, and what the server's answers mean.

use std::{
    borrow::Cow,
    io::{self, Write},
};

use connect_api::{
    Error, ErrorClass, Record, Result, SinkContext, SinkRecord, SinkTask, async_trait,
    config::Secret,
    template::{Escape, Template},
};
use connector_http::{
    Answer, Client, Keys, Method, StatusCode, Url,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};
use flate2::{Compression, write::GzEncoder};

use crate::{
    config::{InfluxConfig, InfluxSettings, Tombstones, Version},
    line_protocol::Encoder,
};

/// A request is sent when it is that long, however few its lines. Servers' limits start at 10 MB.
const BODY_LIMIT: usize = 4 * 1024 * 1024;

/// A running task.
#[derive(Debug)]
pub struct InfluxTask {
    pub(crate) settings: InfluxSettings,
    context: SinkContext,
    pub(crate) client: Client,
    pub(crate) url: Url,
    /// What is written to: database or bucket.
    pub(crate) name: String,
    target: String,
    measurement: Measurement,
    encoder: Encoder,
    pub(crate) body: String,
    lines: usize,
}

impl InfluxTask {
    /// Makes the task ready. Nothing is sent.
    pub fn new(config: InfluxConfig, context: SinkContext) -> Result<Self> {
        let settings = config.own;
        let credentials = match settings.version {
            Version::V1 => "influxdb.username and influxdb.password",
            Version::V2 => "influxdb.token",
        };
        let client = Client::new(&config.with, Keys { url: "influxdb.url", credentials })?;
        let client = match (&settings.token, &settings.username) {
            (Some(token), _) => client.hiding(token).with_authorization(&format!("Token {}", token.reveal()))?,
            (None, Some(user)) => client.with_basic(user, settings.password.as_ref().map_or("", Secret::reveal))?,
            (None, None) => client,
        };
        let layout = settings.layout().map_err(|why| Error::fatal("reading influxdb.tags").caused_by(why))?;
        let (url, name) = settings.target(layout.precision())?;
        let target = format!("{name} at {}", client.place(&url));
        let measurement = Measurement::new(&settings.measurement)?;
        let encoder = Encoder::new(layout);
        Ok(Self { settings, context, client, url, name, target, measurement, encoder, body: String::new(), lines: 0 })
    }

    /// Appends the record's line to the body; `false` if it has no field to write.
    pub(crate) fn encode(&mut self, record: &SinkRecord) -> Result<bool> {
        let tombstone = record.value.is_null();
        if tombstone && self.settings.tombstones == Tombstones::Ignore {
            return Ok(true);
        }
        let measurement = self.measurement.of(record)?;
        if tombstone {
            self.encoder.encode_marker(&mut self.body, &measurement, record)?;
        } else if !self.encoder.encode(&mut self.body, &measurement, record)? {
            return Ok(false);
        }
        self.lines += 1;
        Ok(true)
    }

    fn is_full(&self) -> bool {
        self.lines >= usize::try_from(self.settings.batch_lines).unwrap_or(1) || self.body.len() >= BODY_LIMIT
    }

    async fn write(&mut self) -> Result<()> {
        if self.lines == 0 {
            return Ok(());
        }
        let doing = || format!("writing {} points to {}", self.lines, self.target);
        let request = self.client.request(Method::POST, self.url.clone());
        let request = request.header(CONTENT_TYPE, "text/plain; charset=utf-8");
        let request = if self.settings.gzip {
            let body = gzip(&self.body).map_err(|e| Error::fatal(doing()).caused_by(e))?;
            request.header(CONTENT_ENCODING, "gzip").body(body)
        } else {
            request.body(self.body.clone())
        };
        let answer = self.client.send(request, doing).await?;
        if !answer.is_success() {
            return Err(self.refusal(&answer, doing()));
        }
        self.body.clear();
        self.lines = 0;
        Ok(())
    }

    // The shared mapping is right but for two answers that no retry changes. A partial write (400) is an
    // error of the data: the worker halves the slice, and the good lines are overwritten by themselves.
    fn refusal(&self, answer: &Answer, doing: String) -> Error {
        if answer.status == StatusCode::NOT_FOUND {
            let key = if self.settings.version == Version::V1 { "influxdb.database" } else { "influxdb.bucket" };
            let text = format!("{doing}: create it, or correct influxdb.url or {key}");
            return answer.error_as(ErrorClass::Fatal, text);
        }
        // InfluxDB 1 answers 500.
        if answer.text.contains("retention policy not found") {
            let text = format!("{doing}: create the retention policy, or correct influxdb.retention.policy");
            return answer.error_as(ErrorClass::Fatal, text);
        }
        answer.error(doing)
    }
}

#[async_trait]
impl SinkTask for InfluxTask {
    async fn put(&mut self, records: &[SinkRecord]) -> Result<()> {
        // What an earlier try has left: its records come again.
        self.body.clear();
        self.lines = 0;
        let mut bad = Vec::new();
        let mut empty = 0;
        for record in records {
            match self.encode(record) {
                Ok(true) => {}
                Ok(false) => empty += 1,
                Err(e) => bad.push((record, e)),
            }
            if self.is_full() {
                self.write().await?;
            }
        }
        self.write().await?;
        // Reported at the end only: what fails before comes again, and nothing must be reported twice.
        for (record, e) in bad {
            self.context.report(record, e).await?;
        }
        if empty > 0 {
            tracing::warn!(records = empty, "skipped records that have no field to write");
        }
        Ok(())
    }
}

/// The measurement's name: a template, but for the forms that need none.
#[derive(Debug)]
enum Measurement {
    Topic,
    Fixed(String),
    Template(Template),
}

impl Measurement {
    fn new(source: &str) -> Result<Self> {
        let inside = source.strip_prefix("{{").and_then(|s| s.strip_suffix("}}"));
        Ok(match inside.map(str::trim) {
            Some("topic") => Self::Topic,
            _ if !source.contains('{') => Self::Fixed(source.to_owned()),
            _ => Self::Template(Template::parse(source, Escape::None)?),
        })
    }

    fn of<'a>(&'a self, record: &'a Record) -> Result<Cow<'a, str>> {
        Ok(match self {
            Self::Topic => Cow::Borrowed(&*record.topic),
            Self::Fixed(name) => Cow::Borrowed(name),
            Self::Template(template) => Cow::Owned(template.render(record, Default::default())?),
        })
    }
}

fn gzip(text: &str) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(text.len() / 4), Compression::fast());
    encoder.write_all(text.as_bytes())?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_measurements_need_no_template() {
        let record = Record::new("alarms");
        assert!(matches!(Measurement::new("{{ topic }}").expect("topic"), Measurement::Topic));
        assert!(matches!(Measurement::new("fixed").expect("fixed"), Measurement::Fixed(_)));
        assert_eq!(Measurement::new("x-{{topic}}").expect("template").of(&record).expect("name"), "x-alarms");
        let e = Measurement::new("x-{{key}}").expect("template").of(&record).expect_err("no key");
        assert_eq!(e.class(), ErrorClass::Data);
        assert!(e.message().contains("key is null"), "{e}");
    }
}
