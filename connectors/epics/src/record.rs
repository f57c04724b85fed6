//! From what channels report to records and to conditions of alarms.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use connect_api::{Result, Schema, SchemaBuilder, SourceRecord, Struct, Value as Connect, time};
use connector_alarm::{AlarmConfig, Condition, Mapping, State};
use serde_json::{Map, Value as Json, json};

use crate::{
    alarm::{Severity, Status},
    board::{Seen, What},
    ca::dbr::{self, Control, Limits},
    channel::{ChannelId, Failure, Mask, Sample, Timestamp, Value},
    channel_list::ChannelSpec,
};

/// A record that was never processed has this time, the beginning of EPICS time.
const NEVER: Timestamp = Timestamp { seconds: 631_152_000, nanos: 0 };

/// The fields of `EPICS_CA_DBR`, of whose arrays one is filled.
fn dbr(version: i32) -> SchemaBuilder {
    let array = |element| Schema::array(element).optional().build().expect("constant schema");
    Schema::structure()
        .name("org.jlab.kafka.connect.EPICS_CA_DBR")
        .version(version)
        .field("error", Schema::optional_string())
        .field("status", Schema::optional_int8())
        .field("severity", Schema::optional_int8())
        .field("doubleValues", array(Schema::optional_float64()))
        .field("floatValues", array(Schema::optional_float32()))
        .field("stringValues", array(Schema::optional_string()))
        .field("intValues", array(Schema::optional_int32()))
        .field("shortValues", array(Schema::optional_int16()))
        .field("byteValues", array(Schema::optional_int8()))
}

static DBR: LazyLock<Schema> = LazyLock::new(|| dbr(1).build().expect("constant schema"));

static DESCRIBED: LazyLock<Schema> = LazyLock::new(|| {
    let labels = Schema::array(Schema::optional_string()).optional().build().expect("constant schema");
    let fields = dbr(2)
        .field("units", Schema::optional_string())
        .field("precision", Schema::optional_int16())
        .field("labels", labels);
    let limits = LIMITS.into_iter().fold(fields, |all, name| all.field(name, Schema::optional_float64()));
    limits.build().expect("constant schema")
});

const LIMITS: [&str; 8] =
    ["displayLow", "displayHigh", "alarmLow", "warningLow", "warningHigh", "alarmHigh", "controlLow", "controlHigh"];

/// The schema of changes: `EPICS_CA_DBR` of epics2kafka, of whose arrays one is filled.
pub fn dbr_schema() -> &'static Schema {
    &DBR
}

/// The schema of changes with units, precision, names of states and limits: version 2 of [`dbr_schema`].
pub fn described_schema() -> &'static Schema {
    &DESCRIBED
}

/// The record of a change; `None` if the change is of interest to alarms only. With `error_status` errors have severity
/// and status, too.
pub(crate) fn change(seen: &Seen, error_status: bool, now_ms: i64) -> Result<Option<SourceRecord>> {
    let channel = &seen.channel;
    let schema = if channel.subscription.metadata { described_schema() } else { dbr_schema() };
    let mut dbr = Struct::new(schema)?;
    // All of EPICS' own numbers fit; what a server makes up is cut off.
    let small = |code: u16| Connect::Int8(i8::try_from(code).unwrap_or(i8::MAX));
    let error = match &seen.what {
        What::Sample(_) => None,
        What::Failed(why) => Some((why.to_string(), failed_status(why))),
        What::Lost => Some(("Disconnected".into(), Status::Comm)),
        What::Absent { never: true } => Some(("Never Connected".into(), Status::Comm)),
        // The loss was reported when it happened.
        What::Absent { never: false } => return Ok(None),
    };
    let mut timestamp = now_ms;
    if let What::Sample(sample) = &seen.what {
        dbr.put("status", small(sample.status.code()))?.put("severity", small(sample.severity.code()))?;
        let text = long_text(channel, &sample.value);
        let (field, values) = elements(text.as_ref().unwrap_or(&sample.value));
        dbr.put(field, Connect::array(values))?;
        timestamp = milliseconds(sample.time, now_ms);
    }
    if let Some((error, status)) = error {
        dbr.put("error", error)?;
        if error_status {
            dbr.put("status", small(status.code()))?.put("severity", small(Severity::Invalid.code()))?;
        }
    }
    if channel.subscription.metadata
        && let Some(control) = &seen.about
    {
        describe(&mut dbr, control)?;
    }
    let record = SourceRecord::new(channel.topic.clone())
        .key(Some(Schema::string()), channel.key.clone())
        .value(Some(schema.clone()), dbr)
        .timestamp(timestamp);
    Ok(Some(record))
}

fn describe(dbr: &mut Struct, control: &Control) -> Result<()> {
    if !control.units.is_empty() {
        dbr.put("units", control.units.as_str())?;
    }
    if let Some(precision) = control.precision {
        dbr.put("precision", Connect::Int16(precision))?;
    }
    if !control.labels.is_empty() {
        dbr.put("labels", Connect::array(control.labels.iter().map(|label| label.as_str().into()).collect()))?;
    }
    if let Some(Limits { display, alarm, warning, control }) = control.limits {
        let limits = [
            display.lower,
            display.upper,
            alarm.lower,
            warning.lower,
            warning.upper,
            alarm.upper,
            control.lower,
            control.upper,
        ];
        // A limit that is not set is no number.
        for (name, limit) in LIMITS.into_iter().zip(limits).filter(|(_, limit)| limit.is_finite()) {
            dbr.put(name, Connect::Float64(limit))?;
        }
    }
    Ok(())
}

/// The bytes of a text longer than 40 bytes, which servers send where the channel's name ends with `$`, as text.
fn long_text(channel: &ChannelSpec, value: &Value) -> Option<Value> {
    match value {
        Value::Char(bytes) if channel.name.ends_with('$') => Some(Value::String(vec![dbr::text(bytes)])),
        _ => None,
    }
}

fn failed_status(why: &Failure) -> Status {
    if *why == Failure::NoReadAccess { Status::ReadAccess } else { Status::Read }
}

fn elements(value: &Value) -> (&'static str, Vec<Connect>) {
    fn all<T: Clone>(values: &[T], element: impl Fn(T) -> Connect) -> Vec<Connect> {
        values.iter().cloned().map(element).collect()
    }
    match value {
        Value::Double(v) => ("doubleValues", all(v, Connect::Float64)),
        Value::Float(v) => ("floatValues", all(v, Connect::Float32)),
        Value::String(v) => ("stringValues", all(v, Connect::from)),
        Value::Long(v) => ("intValues", all(v, Connect::Int32)),
        Value::Short(v) => ("shortValues", all(v, Connect::Int16)),
        Value::Enum(v) => ("shortValues", all(v, |index| Connect::Int16(index.cast_signed()))),
        Value::Char(v) => ("byteValues", all(v, |byte| Connect::Int8(byte.cast_signed()))),
    }
}

/// What a change means for the channel's alarm, and when it happened; `None` if nothing.
pub(crate) fn alarm_state(
    seen: &Seen,
    disconnected_alarm: bool,
    mapping: &Mapping,
    now_ms: i64,
) -> Result<Option<(State, i64)>> {
    let channel = &seen.channel;
    let (severity, status, value, error, at) = match &seen.what {
        What::Sample(Sample { status, severity, time, value }) => {
            let text = long_text(channel, value);
            (*severity, *status, plain(text.as_ref().unwrap_or(value)), None, milliseconds(*time, now_ms))
        }
        // A channel that comes back soon enough has not been away.
        What::Lost => return Ok(None),
        What::Failed(_) | What::Absent { .. } if !disconnected_alarm => return Ok(None),
        What::Failed(why) => (Severity::Invalid, failed_status(why), Json::Null, Some(why.to_string()), now_ms),
        What::Absent { never } => {
            let error = if *never { "never connected" } else { "disconnected" };
            (Severity::Invalid, Status::Comm, Json::Null, Some(error.to_owned()), now_ms)
        }
    };
    let condition = Condition {
        name: channel.key.clone(),
        severity: severity.name().to_owned(),
        status: status.to_string(),
        value: match &value {
            Json::Null => None,
            Json::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        },
        since: Some(at),
    };
    let about = seen.about.as_deref();
    let names: [(&str, Json); 6] = [
        ("channel", json!(&*channel.name)),
        ("units", json!(about.map(|about| about.units.as_str()).unwrap_or_default())),
        ("label", json!(label(&seen.what, about))),
        ("value", value),
        ("error", json!(error.unwrap_or_default())),
        ("time", json!(time::rfc3339(at))),
    ];
    let names: Map<String, Json> = names.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Ok(Some((mapping.by_severity(condition, names)?, at)))
}

/// The name of an enumeration's state.
fn label<'a>(what: &What, about: Option<&'a Control>) -> &'a str {
    match (what, about) {
        (What::Sample(Sample { value: Value::Enum(states), .. }), Some(about)) if states.len() == 1 => {
            about.labels.get(usize::from(states[0])).map(String::as_str).unwrap_or_default()
        }
        _ => "",
    }
}

/// Makes an alarm of each severity and one without a value, to find mistakes in templates and tables before there is
/// anything to tell.
pub(crate) fn try_alarms(config: &AlarmConfig, disconnected_alarm: bool) -> Result<()> {
    let mapping = Mapping::new(config.clone(), "connector".into());
    mapping.source()?;
    let channel = Arc::new(ChannelSpec {
        name: "channel".into(),
        topic: "topic".into(),
        key: "channel".into(),
        subscription: Mask::ALARM.into(),
        deadband: None,
        min_period: Duration::ZERO,
        on_delay: Duration::ZERO,
        simulated: None,
    });
    let severities = [Severity::NoAlarm, Severity::Minor, Severity::Major, Severity::Invalid];
    let samples = severities.map(|severity| {
        What::Sample(Sample { status: Status::HiHi, severity, time: NEVER, value: Value::Double(vec![1.0]) })
    });
    for what in samples.into_iter().chain([What::Absent { never: true }]) {
        let seen = Seen { id: ChannelId(0), channel: channel.clone(), about: None, what, is_transition: true };
        alarm_state(&seen, disconnected_alarm, &mapping, 0)?;
    }
    Ok(())
}

/// The value as JSON: a scalar by itself, an array as such.
fn plain(value: &Value) -> Json {
    let (_, values) = elements(value);
    let mut values: Vec<Json> = values.iter().map(connect_api::json::to_json).collect();
    if values.len() == 1 { values.remove(0) } else { Json::Array(values) }
}

fn milliseconds(time: Timestamp, now_ms: i64) -> i64 {
    if time == NEVER { now_ms } else { time.unix_millis() }
}

#[cfg(test)]
mod tests {
    use connect_api::{Settings, config::Config};

    use super::*;
    use crate::{ca::dbr::Range, channel::Subscription};

    fn seen(name: &str, metadata: bool, what: &What) -> Seen {
        let channel = ChannelSpec {
            name: name.into(),
            topic: "values".into(),
            key: "oven".into(),
            subscription: Subscription { metadata, ..Mask::VALUE.into() },
            deadband: None,
            min_period: Duration::ZERO,
            on_delay: Duration::ZERO,
            simulated: None,
        };
        let (id, channel) = (ChannelId(0), Arc::new(channel));
        Seen { id, channel, about: None, what: what.clone(), is_transition: true }
    }

    fn sample(value: Value) -> What {
        let time = Timestamp { seconds: 1_700_000_000, nanos: 5_000_000 };
        What::Sample(Sample { status: Status::HiHi, severity: Severity::Major, time, value })
    }

    fn text(what: &What) -> String {
        text_of(&seen("T:ai0", false, what), false)
    }

    fn text_of(seen: &Seen, error_status: bool) -> String {
        let record = change(seen, error_status, 7).expect("made").expect("a record");
        format!("{} {} {:?} {}", record.topic, record.key, record.timestamp, record.value)
    }

    #[test]
    fn each_type_fills_its_array() {
        let expected = |fields: &str| format!("values oven Some(1700000000005) Struct{{status=3,severity=2,{fields}}}");
        for (value, fields) in [
            (Value::Double(vec![95.5, -1.0]), "doubleValues=[95.5, -1.0]"),
            (Value::Float(vec![1.5]), "floatValues=[1.5]"),
            (Value::String(vec!["on".into()]), "stringValues=[on]"),
            (Value::Long(vec![-70_000]), "intValues=[-70000]"),
            (Value::Short(vec![-2]), "shortValues=[-2]"),
            (Value::Enum(vec![1]), "shortValues=[1]"),
            (Value::Char(vec![104, 200]), "byteValues=[104, -56]"),
            (Value::Double(vec![]), "doubleValues=[]"),
        ] {
            assert_eq!(text(&sample(value)), expected(fields));
        }
    }

    #[test]
    fn errors_carry_no_values_and_the_present_time() {
        assert_eq!(text(&What::Lost), "values oven Some(7) Struct{error=Disconnected}");
        assert_eq!(text(&What::Absent { never: true }), "values oven Some(7) Struct{error=Never Connected}");
        assert_eq!(
            text(&What::Failed(Failure::NoReadAccess)),
            "values oven Some(7) Struct{error=the server denies read access}"
        );
        let absent = seen("T:ai0", false, &What::Absent { never: false });
        assert_eq!(change(&absent, false, 7).expect("made"), None);
        assert_eq!(
            text_of(&seen("T:ai0", false, &What::Lost), true),
            "values oven Some(7) Struct{error=Disconnected,status=9,severity=3}"
        );
    }

    #[test]
    fn a_record_that_was_never_processed_has_the_present_time() {
        let (status, severity) = (Status::Undefined, Severity::Invalid);
        let never = What::Sample(Sample { status, severity, time: NEVER, value: Value::Double(vec![0.0]) });
        assert!(text(&never).starts_with("values oven Some(7) "));
    }

    fn alarm(what: &What) -> Option<(State, i64)> {
        let message = Settings::from([("message", "{{name}} of {{channel}} is {{status}} ({{value}}) {{error}}")]);
        let config = AlarmConfig::parse(&message).expect("valid settings");
        let seen = seen("T:ai0", false, what);
        alarm_state(&seen, true, &Mapping::new(config, "ca".into()), 7).expect("mapped")
    }

    #[test]
    fn samples_are_alarms_by_their_severity() {
        let Some((State::Raised(raised), at)) = alarm(&sample(Value::Double(vec![95.5]))) else { panic!("no alarm") };
        assert_eq!((&*raised.severity, &*raised.status, raised.value.as_deref()), ("MAJOR", "HIHI", Some("95.5")));
        assert_eq!((&*raised.message, raised.raised), ("oven of T:ai0 is HIHI (95.5)", Some(at)));
        assert_eq!(at, 1_700_000_000_005);
    }

    #[test]
    fn what_cannot_be_read_is_an_alarm_but_a_short_loss_is_not() {
        assert_eq!(alarm(&What::Lost), None);
        for (what, status) in [
            (What::Absent { never: false }, "COMM"),
            (What::Failed(Failure::NoReadAccess), "READ_ACCESS"),
            (What::Failed(Failure::UnsupportedType(9)), "READ"),
        ] {
            let Some((State::Raised(raised), _)) = alarm(&what) else { panic!("no alarm for {what:?}") };
            assert_eq!((&*raised.severity, &*raised.status, raised.value), ("INVALID", status, None));
        }
        let mapping = Mapping::new(AlarmConfig::parse(&Settings::new()).expect("defaults"), "ca".into());
        let ignored = alarm_state(&seen("T:ai0", false, &What::Absent { never: true }), false, &mapping, 7);
        assert_eq!(ignored.expect("mapped"), None);
    }

    fn about(control: Control) -> Option<Arc<Control>> {
        Some(Arc::new(control))
    }

    fn control() -> Control {
        let (status, severity) = (Status::NoAlarm, Severity::NoAlarm);
        let value = Value::Double(vec![1.0]);
        Control { status, severity, units: String::new(), precision: None, limits: None, labels: vec![], value }
    }

    #[test]
    fn what_servers_say_besides_has_fields_of_its_own() {
        let range = |lower, upper| Range { lower, upper };
        let limits = Limits {
            display: range(0.0, 100.0),
            alarm: range(f64::NAN, 90.0),
            warning: range(20.0, 80.0),
            control: range(1.0, 99.0),
        };
        let mut double = seen("T:ai0", true, &sample(Value::Double(vec![95.5])));
        double.about = about(Control { units: "degC".into(), precision: Some(2), limits: Some(limits), ..control() });
        assert_eq!(
            text_of(&double, false),
            "values oven Some(1700000000005) Struct{status=3,severity=2,doubleValues=[95.5],units=degC,precision=2,\
             displayLow=0.0,displayHigh=100.0,warningLow=20.0,warningHigh=80.0,alarmHigh=90.0,controlLow=1.0,\
             controlHigh=99.0}"
        );
        let mut state = seen("T:bi0", true, &sample(Value::Enum(vec![1])));
        state.about = about(Control { labels: vec!["OPEN".into(), "CLOSED".into()], ..control() });
        assert!(text_of(&state, false).ends_with("shortValues=[1],labels=[OPEN, CLOSED]}"));
        assert_eq!((described_schema().version(), described_schema().name()), (Some(2), dbr_schema().name()));

        let message = Settings::from([("message", "{{channel}} is {{label}}{{value}} {{units}}")]);
        let mapping = Mapping::new(AlarmConfig::parse(&message).expect("valid settings"), "ca".into());
        for (seen, text) in [(&double, "T:ai0 is 95.5 degC"), (&state, "T:bi0 is CLOSED1 ")] {
            let Some((State::Raised(raised), _)) = alarm_state(seen, true, &mapping, 7).expect("mapped") else {
                panic!("no alarm")
            };
            assert_eq!(raised.message.trim(), text.trim());
        }
    }

    #[test]
    fn long_texts_are_texts() {
        let long = "a text of more than the forty bytes that others have room for";
        let bytes = sample(Value::Char([long.as_bytes(), b"\0\0"].concat()));
        assert!(text_of(&seen("T:text.VAL$", false, &bytes), false).ends_with(&format!("stringValues=[{long}]}}")));
        assert!(text_of(&seen("T:bytes", false, &bytes), false).contains("byteValues=[97, "));
    }
}
