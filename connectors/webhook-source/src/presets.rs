//! The settings of alarms behind `alarm.`, and what each format says where they say nothing.

use connect_api::config::{Config, ConfigDef, Default, Problems, Reader};
use connector_alarm::{
    RecordAlarmConfig,
    config::{ExpressionText, RecordConfig},
};

use crate::{config::Format, healthbot::Severity};

/// Severities of all formats. What a label says that is none of them is an alarm all the same.
const PRIORITIES: &str = "CRITICAL:P2_PROPERTY,MAJOR:P2_PROPERTY,ERROR:P2_PROPERTY,WARNING:P3_PRODUCTIVITY,\
     MINOR:P3_PRODUCTIVITY,INFO:P4_DIAGNOSTIC,NORMAL:CLEAR,OK:CLEAR,NO_ALARM:CLEAR,*:P3_PRODUCTIVITY";

/// How notifications become alarms.
#[derive(Debug, Clone)]
pub struct AlarmSettings(RecordAlarmConfig);

/// What a format says in place of a setting.
struct Preset {
    name: &'static str,
    healthbot: Option<&'static str>,
    alerts: Option<&'static str>,
    grafana: Option<&'static str>,
    of: fn(&mut RecordAlarmConfig) -> &mut Option<ExpressionText>,
}

const fn preset(
    name: &'static str,
    healthbot: Option<&'static str>,
    alerts: Option<&'static str>,
    of: fn(&mut RecordAlarmConfig) -> &mut Option<ExpressionText>,
) -> Preset {
    Preset { name, healthbot, alerts, grafana: alerts, of }
}

const PRESETS: [Preset; 6] = [
    preset("clear", None, Some("value.status == 'resolved'"), |c| &mut c.record.clear),
    preset("severity", Some("severity"), Some("(value.labels or {}).severity | default('')"), |c| {
        &mut c.record.severity
    }),
    preset("status", Some("trigger"), Some("(value.labels or {}).alertname"), |c| &mut c.record.status),
    Preset { grafana: Some("value.valueString"), ..preset("value", None, None, |c| &mut c.record.value) },
    preset("raised", None, Some("value.startsAt"), |c| &mut c.record.raised),
    preset(
        "labels",
        Some("{'group': group, 'device': device_id, 'topic': topic, 'rule': rule, 'trigger': trigger}"),
        Some("value.labels"),
        |c| &mut c.alarm.labels,
    ),
];

impl Preset {
    fn text(&self, format: Format) -> Option<&'static str> {
        match format {
            Format::Healthbot => self.healthbot,
            Format::Alertmanager => self.alerts,
            Format::Grafana => self.grafana,
            Format::Json => None,
        }
    }

    /// What the reference says of it.
    fn documentation(&self) -> String {
        let of = |format: &str, text: Option<&str>| text.map(|text| format!("{format}: {text}"));
        let all = [
            of("healthbot", self.healthbot),
            of(if self.grafana == self.alerts { "alertmanager and grafana" } else { "alertmanager" }, self.alerts),
            of("grafana", self.grafana.filter(|_| self.grafana != self.alerts)),
        ];
        let all: Vec<String> = all.into_iter().flatten().collect();
        format!(" Default by webhook.format, {}.", all.join("; "))
    }
}

impl Config for AlarmSettings {
    fn definition() -> ConfigDef {
        let mut definition = ConfigDef::new();
        definition.embed("alarm.", &RecordAlarmConfig::definition());
        let mut edit = |name: &str, default: Option<&str>, documentation: &str| {
            if let Some(mut key) = definition.key(&format!("alarm.{name}")).cloned() {
                if let Some(text) = default {
                    key.default = Default::Text(text.to_owned());
                }
                key.documentation += documentation;
                definition.push(key);
            }
        };
        let message = " Here message is that of HealthBot; the summary of an alert, else its description, else its \
                       name; and the member message of any JSON object.";
        edit("message", Some("{{message}}"), message);
        edit("priority", Some(PRIORITIES), "");
        edit(
            "name",
            None,
            " Here that is HealthBot's identity, an alert's fingerprint, and of JSON what webhook.key says.",
        );
        for preset in &PRESETS {
            edit(preset.name, None, &preset.documentation());
        }
        definition
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        RecordAlarmConfig::read(reader).map(Self)
    }
}

impl AlarmSettings {
    /// The settings, and where they say nothing, what the format says.
    pub fn of(&self, format: Format) -> RecordAlarmConfig {
        let mut config = self.0.clone();
        for preset in &PRESETS {
            if let Some(text) = preset.text(format) {
                let setting = (preset.of)(&mut config);
                if setting.is_none() {
                    *setting = connect_api::config::ConfigType::parse(text).ok();
                }
            }
        }
        config
    }

    /// Rules that span several keys. `has_key` says whether records of JSON have keys.
    pub fn validate(&self, format: Format, has_key: bool, problems: &mut Problems) {
        let config = self.of(format);
        config.validate("alarm.", problems);
        if format == Format::Json && config.record.name.is_none() && !has_key {
            let text = "alarms need a name: set alarm.name, or webhook.key.pointer or webhook.key.template";
            problems.add("alarm.name", text);
        }
        let RecordConfig { raise: None, clear: None, .. } = &config.record else { return };
        for severity in Severity::ALL.map(Severity::name) {
            if format == Format::Healthbot && config.alarm.priority.get(severity).is_none() {
                problems.add("alarm.priority", format!("alarm.priority has nothing for {severity} and no *"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use connect_api::Settings;
    use connector_alarm::{Alarm, Priority, RecordMapping, State};
    use serde_json::json;

    use super::*;
    use crate::{
        alert::Dialect,
        event::{Bodies, Reading},
    };

    fn seen(format: Format, bodies: Bodies, settings: &[(&str, &str)], body: &str) -> Vec<(String, Option<Alarm>)> {
        let settings: Settings = settings.iter().copied().collect();
        let config = AlarmSettings::parse(&settings).expect("valid settings").of(format);
        let mapping = RecordMapping::new(config, "hooks".into());
        let reading = Reading { bodies, alarms: Some(mapping), topic: None };
        let events = reading.read(body.as_bytes(), 5).expect("events");
        let alarm = |state| if let State::Raised(alarm) = state { Some(alarm) } else { None };
        events.alarms.into_iter().map(|seen| (seen.name.to_string(), alarm(seen.state))).collect()
    }

    #[test]
    fn every_preset_is_an_expression() {
        for format in [Format::Healthbot, Format::Alertmanager, Format::Grafana] {
            let mut config = AlarmSettings::parse(&Settings::new()).expect("defaults").of(format);
            for preset in PRESETS.iter().filter(|preset| preset.text(format).is_some()) {
                let parsed = (preset.of)(&mut config).as_ref().map(|e| e.source().to_owned());
                assert_eq!(parsed.as_deref(), preset.text(format));
            }
        }
    }

    #[test]
    fn alertmanagers_alerts_are_alarms() {
        let body = include_str!("../tests/data/alertmanager-firing.json");
        let of = |settings: &[(&str, &str)], body: &str| {
            seen(Format::Alertmanager, Bodies::Alerts(Dialect::Alertmanager), settings, body)
        };
        let firing = of(&[], body);
        let (name, Some(alarm)) = &firing[0] else { panic!("no alarm") };
        assert_eq!(
            (&**name, alarm.priority, &*alarm.message),
            ("a4085f70c181adb3", Priority::Property, "Pump 7 tripped")
        );
        assert_eq!(
            (&*alarm.severity, &*alarm.status, alarm.raised),
            ("critical", "PumpTripped", Some(1_795_222_770_250))
        );
        assert_eq!(alarm.labels.get("instance").map(String::as_str), Some("pump-7"));
        assert_eq!(firing[1].1.as_ref().map(|a| a.priority), Some(Priority::Productivity));
        let resolved = of(&[], include_str!("../tests/data/alertmanager-resolved.json"));
        assert_eq!(
            resolved.iter().map(|(name, alarm)| (&**name, alarm.is_some())).collect::<Vec<_>>(),
            [("a4085f70c181adb3", false), ("a11d05025af428db", false)]
        );
        let named = [
            ("alarm.name", "{{value.labels.alertname}}/{{value.labels.instance}}"),
            ("alarm.message", "{{message}} ({{body.receiver}})"),
            ("alarm.raise", "value.labels.severity == 'critical'"),
        ];
        let chosen = of(&named, body);
        assert_eq!(chosen.len(), 1, "of the other one the settings say nothing");
        assert_eq!(chosen[0].0, "PumpTripped/pump-7");
        assert_eq!(chosen[0].1.as_ref().map(|a| &*a.message), Some("Pump 7 tripped (hook)"));
    }

    #[test]
    fn grafanas_alerts_are_alarms_one_by_one() {
        let body = include_str!("../tests/data/grafana.json");
        let seen = seen(Format::Grafana, Bodies::Alerts(Dialect::Grafana), &[], body);
        let (name, Some(alarm)) = &seen[0] else { panic!("no alarm") };
        assert_eq!((&**name, alarm.priority), ("c6eadffa33fcdf37", Priority::Property));
        assert_eq!(alarm.value.as_deref(), Some("[ var='B' labels={} value=44.2 ]"));
        assert_eq!(alarm.message, "This alert was triggered for zone us-1");
        assert_eq!(seen[1], ("bc97ff14869b13e3".into(), None), "resolved though its group fires");
    }

    #[test]
    fn any_json_is_an_alarm_by_settings() {
        let settings = [
            ("alarm.name", "{{value.where}}"),
            ("alarm.raise", "value.t > 90"),
            ("alarm.clear", "value.t < 80"),
            ("alarm.priority.expression", "'P1_LIFE' if value.t > 99 else 'P2_PROPERTY'"),
            ("alarm.labels", "{'site': body.site}"),
        ];
        let reading = crate::event::JsonReading { items: Some("/list".into()), ..crate::event::JsonReading::default() };
        let list = json!([{"where": "a", "t": 100, "message": "hot"}, {"where": "b", "t": 85}, {"where": "c", "t": 1}]);
        let body = json!({"site": "north", "list": list}).to_string();
        let seen = seen(Format::Json, Bodies::Json(reading), &settings, &body);
        assert_eq!(seen.iter().map(|(n, a)| (&**n, a.is_some())).collect::<Vec<_>>(), [("a", true), ("c", false)]);
        let Some(alarm) = &seen[0].1 else { panic!("no alarm") };
        assert_eq!((alarm.priority, &*alarm.message), (Priority::Life, "hot"));
        assert_eq!(alarm.labels.get("site").map(String::as_str), Some("north"));
    }
}
