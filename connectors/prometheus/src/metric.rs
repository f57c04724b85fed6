//! Metrics as the settings define them, and what a record does to them.

use std::sync::Arc;

use connect_api::{
    Error, Family, FamilyKind, Result, SinkRecord,
    config::{ConfigType, KeyType},
    refuse_clash,
    template::{Escape, Expression, Template, record_names},
};
use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::Value as Json;

use crate::series::{Change, Labels};

/// The setting that holds the metrics.
pub const METRICS: &str = "prometheus.metrics";
/// What templates and expressions know.
const NAMES: [&str; 7] = ["topic", "partition", "offset", "timestamp", "key", "value", "headers"];
/// Prometheus's own default, for times of answers in seconds.
const BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Each bucket is a series of its own to Prometheus.
const MOST_BUCKETS: usize = 200;
/// Labels that the worker or Prometheus set.
const TAKEN: [&str; 3] = ["connector", "le", "quantile"];
/// Ends of names that mean something to Prometheus.
const ENDS: [&str; 4] = ["_total", "_bucket", "_sum", "_count"];

/// What tombstones do to a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tombstones {
    /// Nothing.
    #[default]
    Ignore,
    /// They remove the series that records of their key have set.
    Drop,
    /// What other records do.
    Count,
}

/// A metric.
#[derive(Debug, Clone)]
pub struct Metric {
    /// Name, meaning and kind.
    pub family: Family,
    /// Labels with the templates of their values.
    pub labels: Vec<(Arc<str>, Template)>,
    /// Upper bounds of a histogram's buckets, without the infinite one.
    pub buckets: Vec<f64>,
    /// What tombstones do.
    pub tombstones: Tombstones,
    value: Option<Expression>,
    when: Option<Expression>,
}

/// What a record does to a metric.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// It changes the series of these labels.
    Change(Labels, Change),
    /// It removes the series that records of this key have set.
    Drop(Arc<str>),
}

/// All metrics of a connector.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// The metrics; never none.
    pub all: Vec<Metric>,
    /// As they were written.
    pub text: String,
}

impl ConfigType for Metrics {
    const KIND: KeyType = KeyType::String;

    fn parse(text: &str) -> std::result::Result<Self, String> {
        let items: Vec<Json> = serde_json::from_str(text)
            .map_err(|e| format!("Expected a list of mappings, each with name, type and help: {e}"))?;
        if items.is_empty() {
            return Err("Expected at least one metric".into());
        }
        let (mut all, mut wrong): (Vec<Metric>, Vec<String>) = (Vec::with_capacity(items.len()), Vec::new());
        for (i, item) in items.into_iter().enumerate() {
            let name =
                item["name"].as_str().map_or_else(|| format!("metric {}", i + 1), |name| format!("metric {name}"));
            match Metric::read(item).and_then(|metric| metric.beside(&all).map(|()| metric)) {
                Ok(metric) => all.push(metric),
                Err(why) => wrong.push(format!("{name}: {why}")),
            }
        }
        if !wrong.is_empty() {
            return Err(wrong.join("; "));
        }
        Ok(Self { all, text: text.to_owned() })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    name: String,
    r#type: Kind,
    help: String,
    value: Option<Json>,
    when: Option<String>,
    #[serde(default)]
    labels: IndexMap<String, Json>,
    #[serde(default)]
    buckets: Option<Vec<Json>>,
    #[serde(default)]
    tombstones: Tombstones,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl From<Kind> for FamilyKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Counter => Self::Counter,
            Kind::Gauge => Self::Gauge,
            Kind::Histogram => Self::Histogram,
        }
    }
}

impl Metric {
    fn read(item: Json) -> std::result::Result<Self, String> {
        let given: Given = serde_json::from_value(item).map_err(|e| e.to_string())?;
        let kind = FamilyKind::from(given.r#type);
        check_name(&given.name, kind)?;
        if given.help.trim().is_empty() {
            return Err("help is empty; say what it means".into());
        }
        if given.value.is_none() && kind != FamilyKind::Counter {
            return Err(format!("a {} needs a value, an expression such as value.duration", kind.name()));
        }
        if given.buckets.is_some() && kind != FamilyKind::Histogram {
            return Err("only histograms have buckets".into());
        }
        if given.tombstones == Tombstones::Drop && kind != FamilyKind::Gauge {
            return Err("only a gauge can have tombstones: drop; totals are never taken back".into());
        }
        let expression = |text: &str| Expression::parse_strict(text).map_err(|e| e.to_string());
        let label = |(name, value): (String, Json)| {
            check_label(&name)?;
            let value = Template::parse(&text(&value), Escape::None).map_err(|e| format!("label {name}: {e}"))?;
            value.check_names(&NAMES).map_err(|why| format!("label {name}: {why}"))?;
            Ok((name.into(), value))
        };
        Ok(Self {
            labels: given.labels.into_iter().map(label).collect::<std::result::Result<_, String>>()?,
            buckets: match kind {
                FamilyKind::Histogram => given.buckets.map_or_else(|| Ok(BUCKETS.to_vec()), buckets)?,
                FamilyKind::Counter | FamilyKind::Gauge => Vec::new(),
            },
            tombstones: given.tombstones,
            value: given.value.map(|value| expression(&text(&value))).transpose()?,
            when: given.when.as_deref().map(expression).transpose()?,
            family: Family { name: given.name.into(), help: given.help.trim().into(), kind },
        })
    }

    /// Whether it can be shown with these.
    fn beside(&self, others: &[Self]) -> std::result::Result<(), String> {
        for other in others {
            if other.family.name == self.family.name {
                return Err("there is another one of this name".into());
            }
            refuse_clash(&self.family, &other.family, METRICS).map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    /// What a record with these names does; `None` is nothing.
    fn effect(&self, names: &Json, is_tombstone: bool) -> Result<Option<Effect>> {
        match (is_tombstone, self.tombstones) {
            (true, Tombstones::Ignore) => return Ok(None),
            (true, Tombstones::Drop) => return Ok(Some(Effect::Drop(key_text(&names["key"])))),
            _ => {}
        }
        if let Some(when) = &self.when
            && !when.holds(names)?
        {
            return Ok(None);
        }
        let value = self.value.as_ref().map_or(Ok(1.0), |value| number(value, names))?;
        if self.family.kind == FamilyKind::Counter && value < 0.0 {
            let what = self.value.as_ref().map_or("", Expression::source);
            return Err(Error::data(format!("a counter only grows, and {what} is {value}; use a gauge for it")));
        }
        let labels = self.labels.iter().map(|(_, template)| Ok(template.render_names(names)?.into()));
        let change = match self.family.kind {
            FamilyKind::Counter => Change::Add(value),
            FamilyKind::Gauge => {
                let key = (self.tombstones == Tombstones::Drop).then(|| key_text(&names["key"]));
                Change::Set { value, at: names["timestamp"].as_i64().unwrap_or(i64::MIN), key }
            }
            FamilyKind::Histogram => Change::Observe { value, bucket: self.buckets.partition_point(|le| *le < value) },
        };
        Ok(Some(Effect::Change(labels.collect::<Result<_>>()?, change)))
    }
}

impl Metrics {
    /// What a record does, with the numbers of the metrics. An error says that it does nothing at all.
    pub fn effects(&self, record: &SinkRecord) -> Result<Vec<(usize, Effect)>> {
        let mut names = record_names(record);
        names.insert("offset".to_owned(), record.origin.offset.into());
        let names = Json::Object(names);
        let mut effects = Vec::with_capacity(self.all.len());
        for (i, metric) in self.all.iter().enumerate() {
            let effect = metric.effect(&names, record.value.is_null());
            let effect =
                effect.map_err(|e| e.context(format!("making metric {} of the record", metric.family.name)))?;
            effects.extend(effect.map(|effect| (i, effect)));
        }
        Ok(effects)
    }

    /// The families, in order.
    pub fn families(&self) -> Vec<Family> {
        self.all.iter().map(|metric| metric.family.clone()).collect()
    }
}

fn number(expression: &Expression, names: &Json) -> Result<f64> {
    let value = expression.evaluate(names)?;
    let number = match &value {
        Json::Number(number) => number.as_f64().filter(|n| n.is_finite()),
        _ => None,
    };
    let source = expression.source();
    number.ok_or_else(|| {
        let hint = match value {
            Json::String(_) => "; \"|float\" makes a number of a text",
            Json::Bool(_) => "; \"1 if … else 0\" makes one of it",
            _ => "",
        };
        Error::data(format!("{source} is {}, which is no number{hint}", shortened(&value.to_string())))
    })
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn key_text(key: &Json) -> Arc<str> {
    text(key).into()
}

fn text(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn is_word(name: &str) -> bool {
    let begins = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(begins) && name.chars().all(|c| begins(c) || c.is_ascii_digit())
}

fn check_name(name: &str, kind: FamilyKind) -> std::result::Result<(), String> {
    if !is_word(name) {
        let other: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let digit = if other.starts_with(|c: char| c.is_ascii_digit()) { "_" } else { "" };
        return Err(format!(
            "{name:?} cannot be a metric's name, which is of letters, digits and _, a digit not first: {digit}{other}"
        ));
    }
    if kind == FamilyKind::Counter && !name.ends_with("_total") {
        return Err(format!("a counter's name ends in _total: {name}_total"));
    }
    match ENDS.iter().find(|end| kind != FamilyKind::Counter && name.ends_with(**end)) {
        Some(end) => Err(format!("a {}'s name must not end in {end}, by which Prometheus knows others", kind.name())),
        None => Ok(()),
    }
}

/// Whether a label of a series may have this name.
pub fn check_label(name: &str) -> std::result::Result<(), String> {
    if !is_word(name) || name.starts_with("__") {
        return Err(format!("{name:?} cannot be a label, which is of letters, digits and _, without __ in front"));
    }
    match TAKEN.contains(&name) {
        true => Err(format!("the label {name} is set by the worker or by Prometheus; choose another name")),
        false => Ok(()),
    }
}

fn buckets(given: Vec<Json>) -> std::result::Result<Vec<f64>, String> {
    let bounds: Option<Vec<f64>> =
        given.iter().map(|bound| text(bound).parse().ok().filter(|b: &f64| b.is_finite())).collect();
    let bounds = bounds.ok_or("buckets are numbers; the infinite one is added by itself")?;
    if bounds.is_empty() || bounds.len() > MOST_BUCKETS {
        return Err(format!("a histogram has 1 to {MOST_BUCKETS} buckets"));
    }
    match bounds.windows(2).find(|pair| pair[0] >= pair[1]) {
        Some(pair) => Err(format!("buckets ascend, and {} comes before {}", pair[0], pair[1])),
        None => Ok(bounds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use connect_api::{ErrorClass, Value};
    use connect_testkit::sink::record;

    fn parse(text: &str) -> std::result::Result<Metrics, String> {
        Metrics::parse(text)
    }

    fn of(value: impl Into<Value>, text: &str) -> Result<Vec<(usize, Effect)>> {
        parse(text).expect("metrics").effects(&record("calls", 3, "ann", value))
    }

    fn call(seconds: impl Into<Value>) -> Value {
        Value::map([("seconds", seconds.into()), ("to", Value::from("bob"))])
    }

    #[test]
    fn every_wrong_metric_is_told() {
        let text = r#"[
            {"name": "calls", "type": "counter", "help": "C."}, {"name": "fine", "type": "gauge", "help": "F.", "value": "value"},
            {"name": "fine", "type": "gauge", "help": "F.", "value": "value"}, {"type": "gauge", "help": "F."}]"#;
        let why = parse(text).expect_err("wrong");
        for part in
            ["metric calls: a counter's name ends in _total", "metric fine: there is another", "metric 4: missing"]
        {
            assert!(why.contains(part), "{part} is not in {why}");
        }
    }

    const CALLS: &str = r#"[
        {"name": "calls_total", "type": "counter", "help": "Calls.", "labels": {"to": "{{value.to}}"}},
        {"name": "calls_seconds_total", "type": "counter", "help": "Time.", "value": "value.seconds"},
        {"name": "longest_seconds", "type": "gauge", "help": "Long.", "value": "value.seconds", "when": "value.seconds > 60"},
        {"name": "call_seconds", "type": "histogram", "help": "Times.", "value": "value.seconds", "buckets": [1, "60"]}]"#;

    #[test]
    fn a_record_changes_the_metrics_for_which_it_holds() {
        let effects = of(call(60i64), CALLS).expect("effects");
        let change = |i: usize, labels: &[&str], change| {
            (i, Effect::Change(labels.iter().map(|l| Arc::from(*l)).collect(), change))
        };
        assert_eq!(
            effects,
            [
                change(0, &["bob"], Change::Add(1.0)),
                change(1, &[], Change::Add(60.0)),
                change(3, &[], Change::Observe { value: 60.0, bucket: 1 }),
            ]
        );
        let long = of(call(60.5), CALLS).expect("effects");
        assert_eq!(long[2], change(2, &[], Change::Set { value: 60.5, at: 3000, key: None }));
        assert_eq!(long[3], change(3, &[], Change::Observe { value: 60.5, bucket: 2 }));
    }

    #[test]
    fn a_record_without_a_number_is_a_bad_one_and_the_reason_says_where() {
        for (value, said) in [
            (call("12"), "value.seconds is \"12\", which is no number; \"|float\" makes a number of a text"),
            (call(-1i64), "a counter only grows, and value.seconds is -1; use a gauge for it"),
            (call(true), "value.seconds is true, which is no number; \"1 if … else 0\" makes one of it"),
            (Value::map([("to", Value::from("bob"))]), "\"value.seconds\": its result is missing or null"),
        ] {
            let e = of(value, CALLS).expect_err("bad");
            assert_eq!(e.class(), ErrorClass::Data);
            let line = e.one_line();
            assert!(
                line.starts_with("making metric calls_seconds_total of the record: ") && line.contains(said),
                "{line}"
            );
        }
    }

    #[test]
    fn tombstones_are_ignored_unless_they_are_to_drop_or_to_count() {
        assert_eq!(of(Value::Null, CALLS).expect("effects"), []);
        let asked = r#"[
            {"name": "up", "type": "gauge", "help": "Up.", "value": "value.up", "tombstones": "drop"},
            {"name": "deleted_total", "type": "counter", "help": "D.", "when": "value is none", "tombstones": "count"}]"#;
        let effects = of(Value::Null, asked).expect("effects");
        assert_eq!(effects, [(0, Effect::Drop("ann".into())), (1, Effect::Change([].into(), Change::Add(1.0)))]);
    }

    #[test]
    fn definitions_that_prometheus_would_not_take_are_refused_with_the_way_out() {
        let one = |name: &str, kind: &str, more: &str| {
            parse(&format!(r#"[{{"name": "{name}", "type": "{kind}", "help": "H."{more}}}]"#)).expect_err("refused")
        };
        let value = r#", "value": "value""#;
        for (problem, said) in [
            (one("calls", "counter", ""), "metric calls: a counter's name ends in _total: calls_total"),
            (one("calls-n_total", "counter", ""), "calls_n_total"),
            (one("n_total", "gauge", value), "must not end in _total"),
            (one("n_count", "histogram", value), "must not end in _count"),
            (one("n", "gauge", ""), "needs a value"),
            (one("n", "gauge", r#", "value": "value >""#), "parsing the expression"),
            (one("n", "gauge", r#", "value": "value", "buckets": [1]"#), "only histograms have buckets"),
            (one("n", "histogram", r#", "value": "value", "buckets": [2, 1]"#), "2 comes before 1"),
            (one("n_total", "counter", r#", "tombstones": "drop""#), "only a gauge"),
            (one("n_total", "counter", r#", "labels": {"le": "x"}"#), "the label le is set by"),
            (one("n_total", "counter", r#", "labels": {"a-b": "x"}"#), "cannot be a label"),
            (one("n_total", "counter", r#", "labels": {"a": "{{valu.x}}"}"#), "There is no name \"valu\" here"),
            (one("n_total", "counter", r#", "unit": "s""#), "unknown field `unit`"),
            (parse("[]").expect_err("refused"), "at least one"),
            (parse("{}").expect_err("refused"), "Expected a list"),
        ] {
            assert!(problem.contains(said), "{problem:?} should say {said:?}");
        }
        let twice = CALLS.replace("calls_seconds_total", "calls_total");
        assert!(parse(&twice).expect_err("refused").contains("another one of this name"));
        let clash = CALLS.replace("longest_seconds", "call_seconds_x").replace("\"call_seconds\"", "\"calls\"");
        assert!(parse(&clash).is_ok(), "{clash}");
    }
}
