//! What a record would do, without anything being counted.

use std::fmt::Write as _;

use connect_api::{Check, Rendered, Rendering, Result, SinkContext, SinkRecord, SinkTrial, async_trait};

use crate::{
    config::PrometheusConfig,
    metric::{Effect, Metric, Metrics},
    remote::Remote,
    series::Change,
};

/// A test call.
pub struct PrometheusTrial {
    metrics: Metrics,
    remote: Option<Remote>,
}

impl PrometheusTrial {
    /// By these settings.
    pub fn new(config: &PrometheusConfig, context: &SinkContext) -> Result<Self> {
        Ok(Self { metrics: config.metrics.clone(), remote: Remote::new(config, context)? })
    }
}

#[async_trait]
impl SinkTrial for PrometheusTrial {
    async fn check(&mut self) -> Result<Check> {
        match &self.remote {
            Some(remote) => remote.check().await,
            None => Ok(Check::Passed("metrics are shown on the worker's own page /metrics".into())),
        }
    }

    fn render(&mut self, record: &SinkRecord) -> Result<Rendering> {
        let effects = self.metrics.effects(record)?;
        let lines: String = effects.iter().map(|(i, effect)| line(&self.metrics.all[*i], effect)).collect();
        if lines.is_empty() {
            return Ok(Rendering::Nothing("no metric is made of it (when, tombstones)".into()));
        }
        Ok(Rendering::Sent(Rendered { to: "count for /metrics".into(), headers: Vec::new(), body: Some(lines) }))
    }
}

fn line(metric: &Metric, effect: &Effect) -> String {
    let mut line = metric.family.name.to_string();
    match effect {
        Effect::Drop(key) => line.push_str(&format!(": the series of key {key:?} goes")),
        Effect::Change(labels, change) => {
            let shown = metric.labels.iter().zip(labels.iter()).map(|((name, _), value)| format!("{name}={value:?}"));
            let shown: Vec<String> = shown.collect();
            if !shown.is_empty() {
                line.push_str(&format!("{{{}}}", shown.join(",")));
            }
            // Writing to a string cannot fail.
            let _ = match change {
                Change::Add(n) => write!(line, " + {n}"),
                Change::Set { value, .. } => write!(line, " = {value}"),
                Change::Observe { value, .. } => write!(line, " observes {value}"),
            };
        }
    }
    line.push('\n');
    line
}
