//! The settings of alarms. The transform has them as they are, connectors embed them behind `alarm.`.

use std::ops::Deref;

use connect_api::{
    config::{Config, ConfigDef, ConfigType, Key, KeyType, Problems, Reader},
    template::{Escape, Expression, Template},
};

use crate::{PriorityTable, routing};

connect_api::config_enum! {
    /// What is written of an alarm that is over.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum ClearWith {
        /// A null value, which removes the alarm from the compacted topic, and itself expires.
        Tombstone = "tombstone",
        /// The last record of the alarm with its field `cleared` set; it stays.
        Marker = "marker",
        /// The marker, then the tombstone.
        Both = "both",
    }
}

connect_api::config! {
    /// What every source of alarms can set.
    #[derive(Debug, Clone)]
    pub struct AlarmConfig {
        /// Topic of the active alarms. It is also followed, so that acknowledgements are kept and only changes
        /// are written.
        topic: String = Key::new("topic").default("active-alarms").non_empty().topic(),
        /// Topic that every change goes to besides, as a template over the alarm: `name`, `source`, `severity`, `status`,
        /// `priority`, `connector` and `labels`, such as `alarms-{{labels.zone}}`. Characters that a topic cannot have
        /// become underscores. An alarm whose topic changes is cleared in the old one.
        copy_topic: Option<Template> = Key::new("copy.topic")
            .check(|topic: &Option<Template>| topic.as_ref().map_or(Ok(()), |topic| topic.check_names(&routing::NAMES))),
        /// What is written when an alarm is over. `tombstone`: a null value, which compaction removes after
        /// `delete.retention.ms`, so that who was away for longer never hears of it. `marker`: the last record with its
        /// field `cleared` true, which stays; for readers that know the field. `both`: the marker for who reads
        /// every record, then the tombstone for who keeps a table.
        clear_with: ClearWith = Key::new("clear.with").default("tombstone"),
        /// Topic of the registered alarms, which says which of them are latching: those clear only when all is well and
        /// somebody has acknowledged them. Empty: none is.
        registered_topic: String = Key::new("registered.topic").default("alarms").topic(),
        /// What the alarms' source field says, as a template. At its start a source clears the alarms of its own
        /// that are no longer among what it watches, so two sources must not have the same.
        source: Template = Key::new("source").default("{{connector}}"),
        /// Priority of each severity, as `SEVERITY:PRIORITY` separated by commas, with priorities P1_LIFE, P2_PROPERTY,
        /// P3_PRODUCTIVITY, P4_DIAGNOSTIC, and CLEAR for severities that clear the alarm. The severity `*` stands
        /// for all others; one that is not found is an error of the record. A priority alone is for all severities.
        priority: PriorityTable = Key::new("priority")
            .default("INVALID:P2_PROPERTY,MAJOR:P2_PROPERTY,MINOR:P3_PRODUCTIVITY,NO_ALARM:CLEAR,NORMAL:CLEAR")
            .high(),
        /// What a person should read, as a template. It knows `name`, `severity`, `status`, `priority` and `connector`
        /// besides the names of the record or the source.
        message: ProseText = Key::new("message").default("{{name}} {{severity}} {{status}}"),
        /// Labels of the alarm, as an expression whose result is a map, such as `value.labels` or
        /// `{'zone': value.zone, 'system': 'vacuum'}`.
        labels: Option<ExpressionText> = Key::new("labels"),
        /// Whether an active alarm is also written anew when only its message or value has changed.
        message_updates: bool = Key::new("message.updates").default("false"),
        /// Who the header `user` names as the writer. Default: the account that the worker runs as.
        user: Option<String> = Key::new("user").low(),
    }
}

connect_api::config! {
    /// How a record becomes an alarm.
    #[derive(Debug, Clone)]
    pub struct RecordConfig {
        /// Name of the alarm, as a template over the record, such as `{{value.group}}.{{value.device}}`. Default: the
        /// record's key.
        name: Option<Template> = Key::new("name").high(),
        /// Expression that holds when the record raises the alarm, such as `value.temperature > 90`. Where only
        /// this one is given, every other record clears the alarm. A record without value always does.
        raise: Option<ExpressionText> = Key::new("raise").high(),
        /// Expression that holds when the record clears the alarm, such as `value.status == 'resolved'`. Where
        /// only this one is given, every other record raises the alarm; where neither is given, the severity decides;
        /// where both are, a record for which neither holds says nothing about the alarm and is dropped.
        clear: Option<ExpressionText> = Key::new("clear").high(),
        /// Expression of the alarm's severity, such as `value.severity`.
        severity: Option<ExpressionText> = Key::new("severity").high(),
        /// Expression of the reason, such as `value.trigger`.
        status: Option<ExpressionText> = Key::new("status"),
        /// Expression of the value that is out of bounds, such as `value.temperature`.
        value: Option<ExpressionText> = Key::new("value"),
        /// Expression of the priority, whose result is one of P1_LIFE, P2_PROPERTY, P3_PRODUCTIVITY and P4_DIAGNOSTIC; in
        /// place of the table by severity, of which only CLEAR still counts, and only without raise and clear.
        priority_expression: Option<ExpressionText> = Key::new("priority.expression"),
        /// Expression of the time when the alarm was raised, in milliseconds since 1970 or as an RFC 3339 text. Default:
        /// the record's time stamp.
        raised: Option<ExpressionText> = Key::new("raised"),
    }
}

/// All settings for making alarms of records: those of [`RecordConfig`], then those of [`AlarmConfig`].
#[derive(Debug, Clone)]
pub struct RecordAlarmConfig {
    /// How a record becomes an alarm.
    pub record: RecordConfig,
    /// What every source of alarms can set.
    pub alarm: AlarmConfig,
    /// Whether the table of priorities is other than by default.
    pub priority_given: bool,
}

impl Config for RecordAlarmConfig {
    fn definition() -> ConfigDef {
        let mut definition = RecordConfig::definition();
        definition.embed("", &AlarmConfig::definition());
        definition
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        // Both are read before any is judged, so that every problem is found.
        let (record, alarm) = (RecordConfig::read(reader), AlarmConfig::read(reader));
        // As the transform and as connectors name it.
        let priority_given = ["priority", "alarm.priority"].iter().any(|key| reader.given(key).is_some());
        Some(Self { record: record?, alarm: alarm?, priority_given })
    }
}

impl RecordAlarmConfig {
    /// Rules that span several keys; `prefix` is what stands before the keys where they are embedded.
    pub fn validate(&self, prefix: &str, problems: &mut Problems) {
        let RecordConfig { raise, clear, severity, priority_expression, .. } = &self.record;
        if raise.is_none() && clear.is_none() && severity.is_none() {
            let text =
                format!("one of {prefix}raise, {prefix}clear and {prefix}severity is needed to know when to alarm");
            problems.add(format!("{prefix}raise"), text);
            return;
        }
        if severity.is_none() && priority_expression.is_none() && self.alarm.priority.get("").is_none() {
            let text = format!(
                "{prefix}priority has nothing for alarms without a severity: set it to a priority for all, such as \
                 P3_PRODUCTIVITY, or set {prefix}severity or {prefix}priority.expression"
            );
            problems.add(format!("{prefix}priority"), text);
        }
        // By severity alone the table still says which severities clear.
        if priority_expression.is_some() && self.priority_given && (raise.is_some() || clear.is_some()) {
            let text = format!(
                "{prefix}priority and {prefix}priority.expression exclude each other where {prefix}raise or \
                 {prefix}clear is set: remove one of them"
            );
            problems.add(format!("{prefix}priority.expression"), text);
        }
    }
}

/// A template of what a person should read: it inserts nothing for null.
#[derive(Debug, Clone)]
pub struct ProseText(Template);

impl Deref for ProseText {
    type Target = Template;

    fn deref(&self) -> &Template {
        &self.0
    }
}

impl ConfigType for ProseText {
    const KIND: KeyType = KeyType::String;

    fn parse(text: &str) -> Result<Self, String> {
        Template::parse(text, Escape::Prose).map(Self).map_err(|e| e.to_string())
    }
}

/// A strict expression as a setting.
#[derive(Debug, Clone)]
pub struct ExpressionText(Expression);

impl Deref for ExpressionText {
    type Target = Expression;

    fn deref(&self) -> &Expression {
        &self.0
    }
}

impl ConfigType for ExpressionText {
    const KIND: KeyType = KeyType::String;

    fn parse(text: &str) -> Result<Self, String> {
        Expression::parse_strict(text).map(Self).map_err(|e| e.to_string())
    }
}

#[cfg(test)]
mod tests {
    use connect_api::Settings;

    use super::*;

    #[test]
    fn every_mistake_is_found_with_its_key() {
        let settings = Settings::from([("raise", "value >"), ("message", "{{name"), ("priority", "a:b")]);
        let problems = RecordAlarmConfig::parse(&settings).expect_err("three mistakes");
        assert_eq!(problems.iter().map(|p| &*p.key).collect::<Vec<_>>(), ["raise", "priority", "message"]);
    }

    #[test]
    fn when_to_alarm_must_be_said() {
        let mut problems = Problems::new();
        RecordAlarmConfig::parse(&Settings::new()).expect("defaults").validate("alarm.", &mut problems);
        let texts: Vec<&str> = problems.iter().map(|p| &*p.text).collect();
        assert_eq!(texts, ["one of alarm.raise, alarm.clear and alarm.severity is needed to know when to alarm"]);
    }

    #[test]
    fn where_priorities_come_from_must_be_clear() {
        let keys = |given: &[(&str, &str)]| {
            let settings: Settings = given.iter().copied().collect();
            let mut problems = Problems::new();
            RecordAlarmConfig::parse(&settings).expect("each is valid").validate("", &mut problems);
            problems.iter().map(|p| p.key.clone()).collect::<Vec<_>>()
        };
        let (raise, severity) = (("raise", "value.hot"), ("severity", "value.s"));
        let (one, by_expression) = (("priority", "P1_LIFE"), ("priority.expression", "'P1_LIFE'"));
        let named = ("priority", "major:P1_LIFE,ok:CLEAR");
        assert_eq!(keys(&[raise]), ["priority"], "every alarm would fail");
        assert_eq!(keys(&[("clear", "value.cold"), named]), ["priority"]);
        assert_eq!(keys(&[raise, one]), [""; 0]);
        assert_eq!(keys(&[raise, ("priority", "major:P1_LIFE,*:P4_DIAGNOSTIC")]), [""; 0]);
        assert_eq!(keys(&[raise, severity]), [""; 0]);
        assert_eq!(keys(&[raise, by_expression]), [""; 0]);
        assert_eq!(keys(&[raise, one, by_expression]), ["priority.expression"]);
        assert_eq!(keys(&[severity, named, by_expression]), [""; 0], "the table says what clears");
    }
}
