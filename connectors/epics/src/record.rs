//! From what channels report to records and to conditions of alarms.

use std::sync::LazyLock;

use connect_api::{Result, Schema, SourceRecord, Struct, Value as Connect, time};
use connector_alarm::{AlarmConfig, Condition, Mapping, State};
use serde_json::{Map, Value as Json, json};

use crate::{
    alarm::{Severity, Status},
    board::What,
    channel::{Failure, Mask, Sample, Timestamp, Value},
    channel_list::ChannelSpec,
};

/// A record that was never processed has this time, the beginning of EPICS time.
const NEVER: Timestamp = Timestamp { seconds: 631_152_000, nanos: 0 };

static DBR: LazyLock<Schema> = LazyLock::new(|| {
    let array = |element| Schema::array(element).optional().build().expect("constant schema");
    Schema::structure()
        .name("org.jlab.kafka.connect.EPICS_CA_DBR")
        .version(1)
        .field("error", Schema::optional_string())
        .field("status", Schema::optional_int8())
        .field("severity", Schema::optional_int8())
        .field("doubleValues", array(Schema::optional_float64()))
        .field("floatValues", array(Schema::optional_float32()))
        .field("stringValues", array(Schema::optional_string()))
        .field("intValues", array(Schema::optional_int32()))
        .field("shortValues", array(Schema::optional_int16()))
        .field("byteValues", array(Schema::optional_int8()))
        .build()
        .expect("constant schema")
});

/// The schema of changes: `EPICS_CA_DBR` of epics2kafka, of whose arrays one is filled.
pub fn dbr_schema() -> &'static Schema {
    &DBR
}

/// The record of a change; `None` if the change is of interest to alarms only.
pub(crate) fn change(channel: &ChannelSpec, what: &What, now_ms: i64) -> Result<Option<SourceRecord>> {
    let mut dbr = Struct::new(dbr_schema())?;
    let timestamp = match what {
        What::Sample(sample) => {
            // All of EPICS' own numbers fit; what a server makes up is cut off.
            let small = |code: u16| Connect::Int8(i8::try_from(code).unwrap_or(i8::MAX));
            dbr.put("status", small(sample.status.code()))?.put("severity", small(sample.severity.code()))?;
            let (field, values) = elements(&sample.value);
            dbr.put(field, Connect::array(values))?;
            milliseconds(sample.time, now_ms)
        }
        What::Failed(why) => {
            dbr.put("error", why.to_string())?;
            now_ms
        }
        What::Lost => {
            dbr.put("error", "Disconnected")?;
            now_ms
        }
        What::Absent { never: true } => {
            dbr.put("error", "Never Connected")?;
            now_ms
        }
        // The loss was reported when it happened.
        What::Absent { never: false } => return Ok(None),
    };
    let record = SourceRecord::new(channel.topic.clone())
        .key(Some(Schema::string()), channel.key.clone())
        .value(Some(dbr_schema().clone()), dbr)
        .timestamp(timestamp);
    Ok(Some(record))
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
    channel: &ChannelSpec,
    what: &What,
    disconnected_alarm: bool,
    mapping: &Mapping,
    now_ms: i64,
) -> Result<Option<(State, i64)>> {
    let (severity, status, value, error, at) = match what {
        What::Sample(Sample { status, severity, time, value }) => {
            (*severity, *status, plain(value), None, milliseconds(*time, now_ms))
        }
        // A channel that comes back soon enough has not been away.
        What::Lost => return Ok(None),
        What::Failed(_) | What::Absent { .. } if !disconnected_alarm => return Ok(None),
        What::Failed(why) => {
            let status = if *why == Failure::NoReadAccess { Status::ReadAccess } else { Status::Read };
            (Severity::Invalid, status, Json::Null, Some(why.to_string()), now_ms)
        }
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
    let names: [(&str, Json); 4] = [
        ("channel", json!(channel.name)),
        ("value", value),
        ("error", json!(error.unwrap_or_default())),
        ("time", json!(time::rfc3339(at))),
    ];
    let names: Map<String, Json> = names.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Ok(Some((mapping.by_severity(condition, names)?, at)))
}

/// Makes an alarm of each severity and one without a value, to find mistakes in templates and tables before there is
/// anything to tell.
pub(crate) fn try_alarms(config: &AlarmConfig, disconnected_alarm: bool) -> Result<()> {
    let mapping = Mapping::new(config.clone(), "connector".into());
    mapping.source()?;
    let channel = ChannelSpec {
        name: "channel".into(),
        topic: "topic".into(),
        mask: Mask::ALARM,
        key: "channel".into(),
        simulated: None,
    };
    let severities = [Severity::NoAlarm, Severity::Minor, Severity::Major, Severity::Invalid];
    let samples = severities.map(|severity| {
        What::Sample(Sample { status: Status::HiHi, severity, time: NEVER, value: Value::Double(vec![1.0]) })
    });
    for what in samples.iter().chain(&[What::Absent { never: true }]) {
        alarm_state(&channel, what, disconnected_alarm, &mapping, 0)?;
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

    fn channel() -> ChannelSpec {
        let (topic, key) = ("values".into(), "oven".into());
        ChannelSpec { name: "T:ai0".into(), topic, mask: Mask::VALUE, key, simulated: None }
    }

    fn sample(value: Value) -> What {
        let time = Timestamp { seconds: 1_700_000_000, nanos: 5_000_000 };
        What::Sample(Sample { status: Status::HiHi, severity: Severity::Major, time, value })
    }

    fn text(what: &What) -> String {
        let record = change(&channel(), what, 7).expect("made").expect("a record");
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
        assert_eq!(change(&channel(), &What::Absent { never: false }, 7).expect("made"), None);
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
        alarm_state(&channel(), what, true, &Mapping::new(config, "ca".into()), 7).expect("mapped")
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
        let ignored = alarm_state(&channel(), &What::Absent { never: true }, false, &mapping, 7);
        assert_eq!(ignored.expect("mapped"), None);
    }
}
