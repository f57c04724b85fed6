//! The one mapping to alarms: from a record, or from what a source has seen, to the state of an alarm.

use std::{collections::BTreeMap, sync::Arc};

use connect_api::{Error, Record, Result, json::to_json, template::record_names, time};
use serde_json::{Map, Value as Json};

use crate::{
    Alarm, AlarmConfig, Priority, RecordAlarmConfig, State,
    config::{ExpressionText, RecordConfig},
    priority::Entry,
    routing,
};

/// What was seen of an alarm.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// Name of the alarm, the key of its records.
    pub name: Arc<str>,
    /// Its state.
    pub state: State,
}

/// What a source knows of something that can alarm, before priority and message.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Condition {
    /// Name of the alarm.
    pub name: Arc<str>,
    /// Severity; empty if there is no such thing.
    pub severity: String,
    /// Reason for the severity; may be empty.
    pub status: String,
    /// The value that is out of bounds.
    pub value: Option<String>,
    /// When this began, milliseconds since 1970.
    pub since: Option<i64>,
}

/// Gives conditions their priority, message, source and labels.
#[derive(Debug, Clone)]
pub struct Mapping {
    config: AlarmConfig,
    connector: Arc<str>,
}

impl Mapping {
    /// The mapping of a connector.
    pub fn new(config: AlarmConfig, connector: Arc<str>) -> Self {
        Self { config, connector }
    }

    /// The source field where it does not depend on a record; an error if its template does.
    pub fn source(&self) -> Result<String> {
        let names = serde_json::json!({"connector": &*self.connector});
        let rendered = self.config.source.render_names(&names);
        rendered.map_err(|e| Error::fatal("the alarms' source must not depend on a record here").caused_by(e))
    }

    /// The state of an alarm by its severity. `names` are what templates and expressions know besides.
    pub fn by_severity(&self, condition: Condition, names: Map<String, Json>) -> Result<State> {
        match self.entry(&condition.severity)? {
            Entry::Clear => Ok(State::Normal),
            Entry::Raise(priority) => self.raise(condition, priority, names),
        }
    }

    fn entry(&self, severity: &str) -> Result<Entry> {
        let found = self.config.priority.get(severity);
        found.ok_or_else(|| Error::data(format!("the setting priority has no severity {severity:?} and no *")))
    }

    fn raise(&self, condition: Condition, priority: Priority, mut names: Map<String, Json>) -> Result<State> {
        let Condition { name, severity, status, value, since } = condition;
        for (key, text) in [
            ("name", &*name),
            ("severity", &severity),
            ("status", &status),
            ("priority", priority.name()),
            ("connector", &self.connector),
        ] {
            names.insert(key.to_owned(), text.into());
        }
        let names = Json::Object(names);
        let labels = match &self.config.labels {
            Some(expression) => labels(expression, &names)?,
            None => BTreeMap::new(),
        };
        let alarm = Alarm {
            source: self.config.source.render_names(&names)?,
            message: self.config.message.render_names(&names)?.trim().to_owned(),
            severity,
            status,
            value,
            raised: since,
            labels,
            ..Alarm::new(priority)
        };
        // Now, while it is known what of: nothing can be refused any more when the change is written.
        if let Some(template) = &self.config.copy_topic {
            let doing = |e: Error| e.context("naming the topic of the alarm's copy");
            routing::topic_of(template, &name, &alarm, &self.connector).map_err(doing)?;
        }
        Ok(State::Raised(alarm))
    }
}

/// Makes observations of alarms from records.
#[derive(Debug, Clone)]
pub struct RecordMapping {
    record: RecordConfig,
    mapping: Mapping,
}

impl RecordMapping {
    /// The mapping of a connector.
    pub fn new(config: RecordAlarmConfig, connector: Arc<str>) -> Self {
        Self { record: config.record, mapping: Mapping::new(config.alarm, connector) }
    }

    /// What the record says about an alarm; `None` if nothing. Errors are of the data.
    pub fn observe(&self, record: &Record) -> Result<Option<Observation>> {
        let names = record_names(record);
        let key = text(&to_json(&record.key));
        if record.value.is_null() {
            let name = self.name(key, &Json::Object(names))?;
            return Ok(Some(Observation { name, state: State::Normal }));
        }
        self.observe_names(names, key, record.timestamp)
    }

    /// As [`RecordMapping::observe`], of what is no record yet: the names that templates and expressions know, the key,
    /// which is the alarm's name where the settings say nothing else, and the time.
    pub fn observe_names(
        &self,
        names: Map<String, Json>,
        key: Option<String>,
        timestamp: Option<i64>,
    ) -> Result<Option<Observation>> {
        let all = Json::Object(names.clone());
        let name = self.name(key, &all)?;
        let state = self.state(timestamp, &name, names, &all)?;
        Ok(state.map(|state| Observation { name, state }))
    }

    fn name(&self, key: Option<String>, names: &Json) -> Result<Arc<str>> {
        let name = match &self.record.name {
            Some(template) => template.render_names(names)?,
            None => key.unwrap_or_default(),
        };
        if name.is_empty() {
            let hint = if self.record.name.is_some() { "" } else { ": the record has no key that is a text or number" };
            return Err(Error::data(format!("the alarm has no name{hint}")));
        }
        Ok(name.into())
    }

    fn state(
        &self,
        timestamp: Option<i64>,
        name: &Arc<str>,
        names: Map<String, Json>,
        all: &Json,
    ) -> Result<Option<State>> {
        let RecordConfig { raise, clear, severity, status, value, priority_expression, raised, .. } = &self.record;
        let holds = |expression: &Option<ExpressionText>| expression.as_ref().map(|e| e.holds(all)).transpose();
        let raises = match (holds(raise)?, holds(clear)?) {
            (None, None) => None,
            (Some(true), _) | (None, Some(false)) => Some(true),
            (_, Some(true)) | (Some(false), None) => Some(false),
            (Some(false), Some(false)) => return Ok(None),
        };
        if raises == Some(false) {
            return Ok(Some(State::Normal));
        }
        let evaluate = |expression: &Option<ExpressionText>| -> Result<Option<String>> {
            expression.as_ref().map_or(Ok(None), |e| Ok(text_or_json(&e.evaluate(all)?)))
        };
        // What only adorns an alarm must not keep it from being raised.
        let look = |expression: &Option<ExpressionText>| -> Result<Option<String>> {
            expression.as_ref().map_or(Ok(None), |e| Ok(text_or_json(&e.evaluate_or_null(all)?)))
        };
        let condition = Condition {
            name: name.clone(),
            severity: evaluate(severity)?.unwrap_or_default(),
            status: look(status)?.unwrap_or_default(),
            value: look(value)?,
            since: match raised {
                Some(expression) => Some(moment(expression, all)?),
                None => timestamp.or_else(|| Some(time::now_ms())),
            },
        };
        let entry = self.mapping.config.priority.get(&condition.severity);
        let priority = match evaluate(priority_expression)? {
            Some(priority) if raises.is_some() || entry != Some(Entry::Clear) => {
                priority.parse().map_err(Error::data)?
            }
            Some(_) => return Ok(Some(State::Normal)),
            None => match self.mapping.entry(&condition.severity)? {
                Entry::Raise(priority) => priority,
                Entry::Clear => return Ok(Some(State::Normal)),
            },
        };
        self.mapping.raise(condition, priority, names).map(Some)
    }
}

fn labels(expression: &ExpressionText, names: &Json) -> Result<BTreeMap<String, String>> {
    match expression.evaluate_or_null(names)? {
        Json::Null => Ok(BTreeMap::new()),
        Json::Object(members) => {
            let texts = members.iter().filter_map(|(name, value)| Some((name.clone(), text_or_json(value)?)));
            Ok(texts.collect())
        }
        _ => Err(Error::data(format!("the expression {:?} for labels does not give a map", expression.source()))),
    }
}

fn moment(expression: &ExpressionText, names: &Json) -> Result<i64> {
    let found = expression.evaluate(names)?;
    // Milliseconds may come as a float, for example from a division.
    let ms = found.as_i64().or_else(|| found.as_f64().map(|ms| ms as i64));
    ms.or_else(|| time::parse_rfc3339(found.as_str()?)).ok_or_else(|| {
        Error::data(format!("the expression {:?} for the time gives {found}, which is no time", expression.source()))
    })
}

fn text(json: &Json) -> Option<String> {
    match json {
        Json::String(text) => Some(text.clone()),
        Json::Number(_) | Json::Bool(_) => Some(json.to_string()),
        _ => None,
    }
}

fn text_or_json(json: &Json) -> Option<String> {
    if json.is_null() { None } else { text(json).or_else(|| Some(json.to_string())) }
}

#[cfg(test)]
mod tests {
    use connect_api::{ErrorClass, Settings, Value, config::Config, json::from_json};
    use serde_json::json;

    use super::*;

    fn mapping(settings: &[(&str, &str)]) -> RecordMapping {
        let settings: Settings = settings.iter().copied().collect();
        RecordMapping::new(RecordAlarmConfig::parse(&settings).expect("valid settings"), "hooks".into())
    }

    fn record(value: Json) -> Record {
        let mut record = Record::new("in");
        (record.key, record.value, record.timestamp) = ("device".into(), from_json(&value), Some(5000));
        record
    }

    fn state(settings: &[(&str, &str)], value: Json) -> Result<Option<State>> {
        Ok(mapping(settings).observe(&record(value))?.map(|seen| seen.state))
    }

    fn raised(settings: &[(&str, &str)], value: Json) -> Alarm {
        match state(settings, value) {
            Ok(Some(State::Raised(alarm))) => alarm,
            other => panic!("{other:?} is no raised alarm"),
        }
    }

    #[test]
    fn every_part_of_an_alarm_comes_from_the_record() {
        let settings = [
            ("name", "{{value.group}}.{{value['device-id']}}"),
            ("severity", "value.severity"),
            ("status", "value.trigger"),
            ("value", "value.reading"),
            ("message", "{{value.message}} ({{priority}} from {{connector}})"),
            ("labels", "{'rule': value.rule, 'absent': value.absent, 'level': 3}"),
            ("raised", "value.at"),
        ];
        let value = json!({"group": "core", "device-id": "r1", "severity": "major", "trigger": "link", "rule": "optics",
            "message": "link down", "reading": 1.5, "at": "1970-01-01T00:00:02Z"});
        let seen = mapping(&settings).observe(&record(value)).expect("mapped").expect("an alarm");
        assert_eq!(&*seen.name, "core.r1");
        let expected = Alarm {
            source: "hooks".into(),
            severity: "major".into(),
            status: "link".into(),
            message: "link down (P2_PROPERTY from hooks)".into(),
            value: Some("1.5".into()),
            raised: Some(2000),
            labels: [("level".to_owned(), "3".to_owned()), ("rule".to_owned(), "optics".to_owned())].into(),
            ..Alarm::new(Priority::Property)
        };
        assert_eq!(seen.state, State::Raised(expected));
    }

    #[test]
    fn severity_alone_raises_and_clears() {
        let settings = [("severity", "value.s")];
        let alarm = raised(&settings, json!({"s": "minor"}));
        assert_eq!(
            (alarm.priority, &*alarm.message, alarm.raised),
            (Priority::Productivity, "device minor", Some(5000))
        );
        assert_eq!(state(&settings, json!({"s": "normal"})).expect("known"), Some(State::Normal));
        for unknown in [json!({"s": "critical"}), json!({}), json!({"s": null})] {
            assert_eq!(state(&settings, unknown).expect_err("unknown").class(), ErrorClass::Data);
        }
    }

    #[test]
    fn expressions_raise_and_clear() {
        let over = ("raise", "value.n > 9");
        let under = ("clear", "value.n < 5");
        let all = ("priority", "P4_DIAGNOSTIC");
        let check = |settings: &[(&str, &str)], n: i64, expected: Option<bool>| {
            let found = state(settings, json!({"n": n})).expect("mapped");
            assert_eq!(found.map(|s| matches!(s, State::Raised(_))), expected, "{settings:?} at {n}");
        };
        check(&[over, all], 10, Some(true));
        check(&[over, all], 9, Some(false));
        check(&[under, all], 5, Some(true));
        check(&[under, all], 4, Some(false));
        check(&[over, under, all], 10, Some(true));
        check(&[over, under, all], 7, None);
        check(&[over, under, all], 4, Some(false));
        let mut gone = record(json!({}));
        gone.value = Value::Null;
        let seen = mapping(&[over, under]).observe(&gone).expect("mapped").expect("an alarm");
        assert_eq!(seen.state, State::Normal, "a record without value clears");
    }

    #[test]
    fn malformed_records_say_nothing_about_an_alarm() {
        let (over, under) = (("raise", "value.n > 90"), ("clear", "value.n < 85"));
        let all = ("priority", "P4_DIAGNOSTIC");
        let by_level = ("priority.expression", "'P1_LIFE' if value.n > 9 else 'P3_PRODUCTIVITY'");
        let (missing, of_kinds) = ("value.n is missing or null", "which cannot be compared");
        for (value, why) in [
            (json!({}), missing),
            (json!({"n": null}), missing),
            (json!({"v": 1}), missing),
            (json!([1]), missing),
            (json!({"n": "10"}), "value.n is a text and 90 is a number, which cannot be compared"),
            (json!({"n": [91]}), of_kinds),
            (json!({"n": {"v": 91}}), of_kinds),
            (json!({"n": true}), of_kinds),
        ] {
            for settings in [&[over, under, all][..], &[over, all], &[over, by_level]] {
                let e = state(settings, value.clone()).expect_err("malformed");
                assert_eq!(e.class(), ErrorClass::Data, "{value}");
                assert!(e.message().contains("\"value.n > 90\"") && e.message().contains(why), "{value}: {e}");
            }
            let e = state(&[under, all], value.clone()).expect_err("malformed");
            assert!(e.message().contains("\"value.n < 85\""), "{value}: {e}");
            let e = state(&[("raise", "true"), by_level], value.clone()).expect_err("no priority");
            assert_eq!(e.class(), ErrorClass::Data, "{value}");
        }
        let any = ("priority", "major:P2_PROPERTY,*:P3_PRODUCTIVITY");
        assert!(state(&[("severity", "value.s"), any], json!({})).is_err(), "* is for other severities, not for none");
        assert_eq!(raised(&[("severity", "value.s | default('')"), any], json!({})).priority, Priority::Productivity);
        let allowing = [("raise", "value.n is defined and value.n > 90"), ("clear", "(value.n or 90) < 85"), all];
        assert_eq!(state(&allowing, json!({})).expect("mapped"), None);
        let status = [over, all, ("status", "value.why"), ("value", "value.unit"), ("message", "hot")];
        let alarm = raised(&status, json!({"n": 91, "unit": null}));
        assert_eq!((&*alarm.status, alarm.value), ("", None), "an alarm without its reason is one");
    }

    #[test]
    fn priority_can_be_an_expression() {
        let by_level = ("priority.expression", "'P1_LIFE' if value.n > 9 else 'P3_PRODUCTIVITY'");
        assert_eq!(raised(&[("raise", "true"), by_level], json!({"n": 10})).priority, Priority::Life);
        assert_eq!(raised(&[("raise", "true"), by_level], json!({"n": 1})).priority, Priority::Productivity);
        let e = state(&[("raise", "true"), ("priority.expression", "'high'")], json!({})).expect_err("no priority");
        assert_eq!(e.message(), "high is none of the priorities P1_LIFE, P2_PROPERTY, P3_PRODUCTIVITY, P4_DIAGNOSTIC");
        let severity = ("severity", "value.s");
        assert_eq!(state(&[severity, by_level], json!({"s": "normal", "n": 10})).expect("clear"), Some(State::Normal));
    }

    #[test]
    fn an_alarm_needs_a_name() {
        let mut nameless = record(json!({}));
        nameless.key = Value::Null;
        let e = mapping(&[("raise", "true")]).observe(&nameless).expect_err("no key");
        assert_eq!(e.message(), "the alarm has no name: the record has no key that is a text or number");
        nameless.key = Value::Int64(7);
        let seen = mapping(&[("clear", "true")]).observe(&nameless).expect("mapped").expect("an alarm");
        assert_eq!(&*seen.name, "7");
    }

    #[test]
    fn a_source_maps_conditions_without_records() {
        let config = AlarmConfig::parse(&Settings::from([("message", "{{name}} is {{status}} ({{value}})")]));
        let mapping = Mapping::new(config.expect("valid settings"), "ca".into());
        let condition =
            Condition { name: "T:ai0".into(), severity: "MAJOR".into(), status: "HIHI".into(), ..Default::default() };
        let names: Map<String, Json> = [("value".to_owned(), json!(95.5))].into_iter().collect();
        let Ok(State::Raised(alarm)) = mapping.by_severity(condition.clone(), names) else { panic!("no alarm") };
        assert_eq!((&*alarm.message, &*alarm.source), ("T:ai0 is HIHI (95.5)", "ca"));
        let normal = Condition { severity: "NO_ALARM".into(), ..condition };
        assert_eq!(mapping.by_severity(normal, Map::new()).expect("known"), State::Normal);
        assert_eq!(mapping.source().expect("constant"), "ca");
    }
}
