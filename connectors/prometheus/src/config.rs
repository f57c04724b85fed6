//! The settings.

use std::time::Duration;

use connect_api::{
    Error, Result,
    config::{Key, Millis},
};
use connector_http::{
    AuthConfig, HttpConfig, Joined, OAuthConfig,
    config::{positive, server_url},
};

use crate::metric::{Metrics, check_label};

/// Where series are written to.
pub const REMOTE_URL: &str = "prometheus.remote.write.url";

/// Settings of the sink with those of remote write's HTTP client.
pub type PrometheusConfig = Joined<Joined<Joined<PrometheusSettings, AuthConfig>, OAuthConfig>, HttpConfig>;

connect_api::config! {
    /// The sink's own settings.
    #[derive(Debug, Clone)]
    pub struct PrometheusSettings {
        /// The metrics: a list of mappings with `name`, which of a counter ends in _total; `type` (counter, gauge or histogram); `help`; `value`, a strict
        /// expression such as value.duration over the names topic, partition, offset, timestamp, key, value and headers,
        /// without which a counter counts records; `when`, an expression for which records it is made; `labels`, a
        /// mapping of names to templates over the same names; `buckets` of a histogram, its upper bounds (by default
        /// those of Prometheus, from 0.005 to 10); `tombstones`, which are ignored, drop the series that records of
        /// their key have set (of gauges), or count as records (ignore, drop, count). A counter adds the values, a gauge
        /// is the last one. A record of which a value is no number, or lacks what a label needs, is a bad one and
        /// changes no metric.
        metrics: Metrics = Key::new("prometheus.metrics").high(),
        /// Most series of each metric on a worker. What records of further ones come to is in a series whose labels are
        /// `__overflow__`; gauges have none. tocsin_prometheus_overflowed_records_total counts such records.
        series_max: i32 = Key::new("prometheus.series.max").default("1000").at_least(1).at_most(1_000_000),
        /// After how many milliseconds without a record a series is forgotten, with its total; 0 for never.
        series_idle: Millis = Key::new("prometheus.series.idle.ms").default("0"),
        /// How often totals are stored, in milliseconds, while there are records. The page shows what is stored, so that
        /// totals never go back. At most the interval at which Prometheus reads the page.
        interval: Millis = Key::new("prometheus.totals.interval.ms").default("5000").check(positive),
        /// Name under which totals are kept, with the offsets up to which they count. With another name they begin anew,
        /// where the consumer group's offsets stand.
        state: String = Key::new("prometheus.state").default("totals").low().non_empty(),
        /// URL to which all series are written, too, by Prometheus's remote write (version 1), such as
        /// http://127.0.0.1:9090/api/v1/write; the settings behind http are for that. While it cannot be reached nothing
        /// more is counted. Default: none.
        remote_url: Option<String> = Key::new(REMOTE_URL).check(|url: &Option<String>| match url.as_deref() {
            Some(url) => server_url(url),
            None => Ok(()),
        }),
        /// How often series are written there, in milliseconds.
        remote_interval: Millis = Key::new("prometheus.remote.write.interval.ms").default("15000").check(positive),
        /// Labels of all series that are written there, as `name=value`, besides connector. Where several workers write
        /// to one server each needs an instance of its own.
        remote_labels: Vec<String> = Key::new("prometheus.remote.write.labels").default("job=connectd")
            .check(|labels: &Vec<String>| labels.iter().try_for_each(|label| remote_label(label).map(drop))),
    }
}

impl PrometheusSettings {
    /// After how long a series goes; `None` for never.
    pub fn idle(&self) -> Option<Duration> {
        Some(self.series_idle.0).filter(|idle| !idle.is_zero())
    }

    /// The labels of all series that are written, names and values.
    pub fn remote_labels(&self) -> Result<Vec<(String, String)>> {
        let labels = self.remote_labels.iter().map(|label| remote_label(label)).collect::<Result<_, String>>();
        labels.map_err(|why| Error::fatal("reading prometheus.remote.write.labels").caused_by(why))
    }
}

fn remote_label(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("Expected name=value instead of {text:?}"))?;
    check_label(name.trim())?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}
