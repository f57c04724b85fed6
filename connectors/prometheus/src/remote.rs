//! Remote write, version 1: all series that the page shows, in protocol buffers and Snappy.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use connect_api::{
    Check, Counter, Error, ErrorClass, Exposition, Family, FamilyKind, Result, Series, SeriesValue, SinkContext,
    time::now_ms,
};
use connector_http::{Client, Keys, Method, Url, shown_url};
use prost::Message;
use tokio::time::Instant;

use crate::{
    board::Board,
    config::{PrometheusConfig, REMOTE_URL},
};

const KEYS: Keys = Keys {
    url: REMOTE_URL,
    credentials: "http.token, http.username and http.password, or http.oauth2.client.id and http.oauth2.client.secret",
};
/// As many as Prometheus itself sends at once.
const SAMPLES: usize = 2000;
/// The value that says that a series has ended.
const STALE: u64 = 0x7ff0_0000_0000_0002;

#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<TimeSeries>,
    #[prost(message, repeated, tag = "3")]
    metadata: Vec<Metadata>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
}

#[derive(Clone, PartialEq, Eq, Hash, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Metadata {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(string, tag = "4")]
    help: String,
}

/// Writes to a server of Prometheus's.
pub struct Remote {
    client: Client,
    url: Url,
    /// Labels of every series beside its own.
    labels: Vec<(String, String)>,
    every: Duration,
    next: Instant,
    /// The series of the last writing.
    written: HashSet<Vec<Label>>,
    refused: Counter,
    context: SinkContext,
}

impl Remote {
    /// As the settings say; `None` where there is nothing to write to. Nothing is sent.
    pub fn new(config: &PrometheusConfig, context: &SinkContext) -> Result<Option<Self>> {
        let Some(url) = &config.remote_url else { return Ok(None) };
        let url = Url::parse(url).map_err(|e| Error::fatal(format!("reading {REMOTE_URL}")).caused_by(e))?;
        let help = "Remote writes that the server refused for good; the next one had the totals.";
        let mut labels = config.remote_labels()?;
        labels.push(("connector".to_owned(), context.connector().to_string()));
        Ok(Some(Self {
            client: Client::new(&config.with, KEYS)?.with_auth(&config.own.own.with)?.with_oauth(&config.own.with)?,
            url,
            labels,
            every: config.remote_interval.0,
            next: Instant::now(),
            written: HashSet::new(),
            refused: context.counter("tocsin_prometheus_refused_writes_total", help, &[]),
            context: context.clone(),
        }))
    }

    /// When to write next.
    pub fn due(&self) -> Instant {
        self.next
    }

    /// Leaves a writing to the task that speaks for all.
    pub fn pass(&mut self) {
        self.next = Instant::now() + self.every;
        self.written.clear();
    }

    /// Writes what is shown. An error that passes leaves it due.
    pub async fn write(&mut self, board: &Board) -> Result<()> {
        let (families, series, now) = (board.families(), board.series(), now_ms());
        let all = samples(families, series, &self.labels);
        let current: HashSet<Vec<Label>> = all.iter().map(|(labels, _)| labels.clone()).collect();
        let ended = self.written.difference(&current).map(|labels| (labels.clone(), f64::from_bits(STALE)));
        let all: Vec<(Vec<Label>, f64)> = all.into_iter().chain(ended).collect();
        for part in all.chunks(SAMPLES) {
            let one = |(labels, value): &(Vec<Label>, f64)| TimeSeries {
                labels: labels.clone(),
                samples: vec![Sample { value: *value, timestamp: now }],
            };
            let request = WriteRequest { timeseries: part.iter().map(one).collect(), metadata: metadata(families) };
            match self.send(&request).await {
                Err(e) if e.class() == ErrorClass::Data => {
                    self.refused.add(1);
                    tracing::warn!("{}; the next write has the totals", e.one_line());
                    self.context.note(Some(e.one_line()));
                    self.next = Instant::now() + self.every;
                    return Ok(());
                }
                sent => sent?,
            }
        }
        self.context.note(None);
        self.written = current;
        self.next = Instant::now() + self.every;
        Ok(())
    }

    /// Asks the server whether it would take series, with a write of none.
    pub async fn check(&self) -> Result<Check> {
        self.send(&WriteRequest::default()).await?;
        let page = "; metrics are on the worker's own page /metrics, too";
        Ok(Check::Passed(format!("{} takes remote writes{page}", shown_url(&self.url))))
    }

    async fn send(&self, request: &WriteRequest) -> Result<()> {
        let doing =
            || format!("writing {} series to {} ({REMOTE_URL})", request.timeseries.len(), shown_url(&self.url));
        let packed = snap::raw::Encoder::new().compress_vec(&request.encode_to_vec());
        let packed = packed.map_err(|e| Error::fatal(doing()).caused_by(e))?;
        let post = self.client.request(Method::POST, self.url.clone());
        let post = post
            .header("content-encoding", "snappy")
            .header("content-type", "application/x-protobuf")
            .header("x-prometheus-remote-write-version", "0.1.0")
            .body(packed);
        let answer = self.client.send(post, doing).await?;
        match answer.status.as_u16() {
            _ if answer.is_success() => answer.page_error(doing()).map_or(Ok(()), Err),
            404 => Err(answer.error_as(
                ErrorClass::Fatal,
                format!("{}: correct the path, /api/v1/write for Prometheus, and start it with --web.enable-remote-write-receiver", doing()),
            )),
            _ => Err(answer.error(doing())),
        }
    }
}

/// Every series as Prometheus stores it, labels in the order of their names.
fn samples(families: &[Family], series: Vec<Vec<Series>>, more: &[(String, String)]) -> Vec<(Vec<Label>, f64)> {
    let mut all = Vec::new();
    for (family, series) in families.iter().zip(series) {
        for one in series {
            let mut add = |end: &str, extra: Option<(&str, String)>, value: f64| {
                let name = ("__name__".to_owned(), format!("{}{end}", family.name));
                let own = one.labels.iter().map(|(name, value)| (name.to_string(), value.to_string()));
                let extra = extra.map(|(name, value)| (name.to_owned(), value));
                // A series' own labels win over those of all, and an empty label is none to Prometheus.
                let sorted: BTreeMap<String, String> =
                    more.iter().cloned().chain(own).chain(extra).chain([name]).collect();
                let labels = sorted.into_iter().filter(|(_, value)| !value.is_empty());
                all.push((labels.map(|(name, value)| Label { name, value }).collect(), value));
            };
            match one.value {
                SeriesValue::Number(value) => add("", None, value),
                SeriesValue::Histogram { ref buckets, sum, count } => {
                    for (bound, below) in buckets {
                        add("_bucket", Some(("le", bound.to_string())), *below as f64);
                    }
                    add("_bucket", Some(("le", "+Inf".to_owned())), count as f64);
                    add("_sum", None, sum);
                    add("_count", None, count as f64);
                }
            }
        }
    }
    all
}

fn metadata(families: &[Family]) -> Vec<Metadata> {
    let kind = |kind| match kind {
        FamilyKind::Counter => 1,
        FamilyKind::Gauge => 2,
        FamilyKind::Histogram => 3,
    };
    let one = |family: &Family| Metadata {
        kind: kind(family.kind),
        name: family.name.to_string(),
        help: family.help.to_string(),
    };
    families.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_sorted_and_histograms_are_series_of_their_buckets() {
        let family = |name: &str, kind| Family { name: name.into(), help: "H.".into(), kind };
        let families = [family("n_total", FamilyKind::Counter), family("h", FamilyKind::Histogram)];
        let one = |labels: &[(&str, &str)], value| Series {
            labels: labels.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            value,
        };
        let histogram = SeriesValue::Histogram { buckets: vec![(0.5, 1)], sum: 7.5, count: 3 };
        let series = vec![
            vec![one(&[("zone", "a"), ("Area", ""), ("job", "own")], SeriesValue::Number(4.0))],
            vec![one(&[], histogram)],
        ];
        let more = [("job".to_owned(), "connectd".to_owned()), ("connector".to_owned(), "calls".to_owned())];
        let line = |(labels, value): (Vec<Label>, f64)| {
            let labels: Vec<String> = labels.into_iter().map(|l| format!("{}={}", l.name, l.value)).collect();
            format!("{} {value}", labels.join(","))
        };
        let lines: Vec<String> = samples(&families, series, &more).into_iter().map(line).collect();
        let expected = [
            "__name__=n_total,connector=calls,job=own,zone=a 4",
            "__name__=h_bucket,connector=calls,job=connectd,le=0.5 1",
            "__name__=h_bucket,connector=calls,job=connectd,le=+Inf 3",
            "__name__=h_sum,connector=calls,job=connectd 7.5",
            "__name__=h_count,connector=calls,job=connectd 3",
        ];
        assert_eq!(lines, expected);
    }
}
