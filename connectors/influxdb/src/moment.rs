//! When a point was: from records, members and the clock to nanoseconds since 1970.

use std::{
    collections::HashMap,
    time::{SystemTime, UNIX_EPOCH},
};

use connect_api::{Error, Origin, PartitionOffset, Record, Result, Topic, Value, time};

use crate::statement::Place;

connect_api::config_enum! {
    /// Unit of a number that is a time.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Unit {
        /// Seconds.
        Seconds = "s",
        /// Milliseconds.
        Millis = "ms",
        /// Microseconds.
        Micros = "us",
        /// Nanoseconds.
        Nanos = "ns",
        /// Minutes.
        Minutes = "m",
        /// Hours.
        Hours = "h",
        /// Days.
        Days = "d",
    }
}

impl Unit {
    /// Nanoseconds of one.
    pub fn nanos(self) -> i64 {
        match self {
            Self::Nanos => 1,
            Self::Micros => 1_000,
            Self::Millis => 1_000_000,
            Self::Seconds => 1_000_000_000,
            Self::Minutes => 60 * Self::Seconds.nanos(),
            Self::Hours => 60 * Self::Minutes.nanos(),
            Self::Days => 24 * Self::Hours.nanos(),
        }
    }

    /// Reads the name of a constant of Java's `TimeUnit`, in any case.
    pub fn of_java(name: &str) -> Option<Self> {
        Some(match name.to_ascii_uppercase().as_str() {
            "NANOSECONDS" => Self::Nanos,
            "MICROSECONDS" => Self::Micros,
            "MILLISECONDS" => Self::Millis,
            "SECONDS" => Self::Seconds,
            "MINUTES" => Self::Minutes,
            "HOURS" => Self::Hours,
            "DAYS" => Self::Days,
            _ => return None,
        })
    }
}

/// Where a point's time comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Time {
    /// The record's time stamp; without one the server's clock.
    Record,
    /// The clock here.
    Clock,
    /// A member.
    Member(Member),
}

/// A member that holds a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The member.
    pub place: Place,
    /// What it counts if it is a number.
    pub unit: Unit,
    /// Whether the clock here stands in where it is missing or null, which else is an error.
    pub or_clock: bool,
}

/// The precision of the times in a request, of which no statement may lose anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// Milliseconds: enough for time stamps of records.
    Millis,
    /// Nanoseconds.
    Nanos,
}

impl Precision {
    /// What times of these kinds need.
    pub fn of<'a>(times: impl IntoIterator<Item = &'a Time>) -> Self {
        if times.into_iter().all(|time| *time == Time::Record) { Self::Millis } else { Self::Nanos }
    }

    /// A record's time stamp in it.
    pub fn of_millis(self, ms: i64) -> Result<i64> {
        match self {
            Self::Millis => Ok(ms),
            Self::Nanos => ms.checked_mul(Unit::Millis.nanos()).ok_or_else(|| {
                Error::data(format!("reading the record's time stamp: {ms} ms are not in the years 1678 to 2262"))
            }),
        }
    }
}

impl Member {
    /// The time in nanoseconds since 1970; `None` where the clock is to stand in. Errors are data errors.
    pub fn nanos(&self, record: &Record, value: &Value) -> Result<Option<i64>> {
        let found = self.place.find(record, value);
        let (unit, millis) = (self.unit.nanos(), Unit::Millis.nanos());
        let nanos = match found {
            None | Some(Value::Null) if self.or_clock => return Ok(None),
            Some(Value::Timestamp(ms)) => ms.checked_mul(millis),
            Some(Value::Date(days)) => i64::from(*days).checked_mul(Unit::Days.nanos()),
            Some(Value::String(text)) => text_nanos(text, self.unit),
            Some(value) => match (value.as_i64(), value.as_f64()) {
                (Some(n), _) => n.checked_mul(unit),
                (None, Some(n)) => float_nanos(n, unit),
                (None, None) => None,
            },
            None => None,
        };
        nanos.map(Some).ok_or_else(|| {
            let shown = found.map_or_else(|| "missing".to_owned(), |v| format!("{v:.100}"));
            let name = if self.place.of_key { "_key." } else { "" };
            Error::data(format!("reading the time from member {name}{}: {shown} is not a time", self.place.path))
        })
    }
}

fn text_nanos(text: &str, unit: Unit) -> Option<i64> {
    if let Some(ms) = time::parse_rfc3339(text) {
        // The digits behind milliseconds.
        let digits = text.split_once('.').map_or("", |(_, rest)| rest).bytes().take_while(u8::is_ascii_digit);
        let rest = digits.chain(std::iter::repeat(b'0')).skip(3).take(6).fold(0, |n, d| n * 10 + i64::from(d - b'0'));
        return ms.checked_mul(1_000_000)?.checked_add(rest);
    }
    match text.parse::<i64>() {
        Ok(n) => n.checked_mul(unit.nanos()),
        Err(_) => float_nanos(text.parse().ok()?, unit.nanos()),
    }
}

// Whole and fraction apart: together they have more digits than a float holds.
fn float_nanos(n: f64, unit: i64) -> Option<i64> {
    if !n.is_finite() || n.abs() > i64::MAX as f64 {
        return None;
    }
    let fraction = (n.fract() * unit as f64).round() as i64;
    (n.trunc() as i64).checked_mul(unit)?.checked_add(fraction)
}

type Id = (Topic, i32, i64);

/// The clock that gives each record a time of its own: two never get the same, or their points would be one, and a
/// record that comes again because its slice failed gets the one that it had, or it would be two points.
#[derive(Debug, Default)]
pub struct Clock {
    last: i64,
    /// Of the slice in hand.
    given: Vec<(Id, i64)>,
    /// Of slices that failed.
    kept: HashMap<Id, i64>,
}

impl Clock {
    /// The time of a record, nanoseconds since 1970.
    pub fn of(&mut self, origin: &Origin) -> i64 {
        let id = (origin.topic.clone(), origin.partition, origin.offset);
        let time = match self.kept.get(&id).or_else(|| Some(&self.given.last().filter(|(last, _)| *last == id)?.1)) {
            Some(time) => *time,
            None => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                self.last = i64::try_from(now.as_nanos()).unwrap_or(i64::MAX).max(self.last + 1);
                self.last
            }
        };
        self.given.push((id, time));
        time
    }

    /// A slice begins: what is left of the one before failed.
    pub fn begin(&mut self) {
        self.kept.extend(self.given.drain(..));
    }

    /// The slice in hand was stored.
    pub fn stored(&mut self) {
        for (id, _) in self.given.drain(..) {
            self.kept.remove(&id);
        }
    }

    /// Everything before these offsets has been decided about.
    pub fn settled(&mut self, offsets: &[PartitionOffset]) {
        if !self.kept.is_empty() {
            let before = |(topic, partition, offset): &Id, o: &PartitionOffset| {
                o.partition.partition == *partition && o.partition.topic == *topic && *offset < o.offset
            };
            self.kept.retain(|id, _| !offsets.iter().any(|o| before(id, o)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use connect_api::{TimestampType, TopicPartition};

    fn time_of(value: Value, unit: Unit) -> Result<Option<i64>> {
        let member = Member { place: Place::value("t"), unit, or_clock: false };
        member.nanos(&Record::new("x"), &Value::map([("t", value)]))
    }

    #[test]
    fn times_are_converted_without_losing_digits() {
        let ok = |value, unit| time_of(value, unit).expect("time").expect("a time");
        assert_eq!(ok(Value::Int64(5), Unit::Micros), 5_000);
        assert_eq!(ok(Value::Int64(1_700_000_000_123_456_789), Unit::Nanos), 1_700_000_000_123_456_789);
        assert_eq!(ok(Value::Float64(1_547_758_756.33), Unit::Seconds) / 1_000, 1_547_758_756_329_999);
        assert_eq!(ok(Value::Timestamp(5), Unit::Seconds), 5_000_000);
        assert_eq!(ok(Value::Date(1), Unit::Seconds), 86_400_000_000_000);
        assert_eq!(ok(Value::Int32(2), Unit::Days), 2 * 86_400_000_000_000);
        assert_eq!(ok(Value::from("1970-01-01T00:00:01.123456789Z"), Unit::Seconds), 1_123_456_789);
        assert_eq!(ok(Value::from("1970-01-01T01:00:00.5+01:00"), Unit::Seconds), 500_000_000);
        assert_eq!(ok(Value::from("12"), Unit::Millis), 12_000_000);
    }

    #[test]
    fn what_is_no_time_is_an_error_that_names_the_member() {
        for value in
            [Value::Null, Value::Boolean(true), Value::from("soon"), Value::Int64(i64::MAX), Value::Float64(f64::NAN)]
        {
            let e = time_of(value, Unit::Seconds).expect_err("no time");
            assert!(e.message().starts_with("reading the time from member t: "), "{e}");
        }
        let or_clock = Member { place: Place::value("t"), unit: Unit::Millis, or_clock: true };
        let of = |value: &Value| or_clock.nanos(&Record::new("x"), value);
        assert_eq!(of(&Value::map([("t", Value::Null)])).expect("the clock"), None);
        assert!(of(&Value::map([("t", Value::from("soon"))])).is_err());
    }

    #[test]
    fn the_request_has_the_precision_of_its_finest_time() {
        let seconds = Time::Member(Member { place: Place::value("t"), unit: Unit::Seconds, or_clock: false });
        assert_eq!(Precision::of([&Time::Record, &Time::Record]), Precision::Millis);
        // A number of seconds may have a fraction.
        assert_eq!(Precision::of([&Time::Record, &seconds]), Precision::Nanos);
        assert_eq!(Precision::of([&Time::Clock]), Precision::Nanos);
        assert_eq!(Precision::Nanos.of_millis(5).expect("time"), 5_000_000);
        assert!(Precision::Nanos.of_millis(i64::MAX).is_err());
    }

    #[test]
    fn no_two_records_get_one_time_and_one_record_no_two_until_it_is_decided_about() {
        let origin =
            |offset| Origin { topic: "t".into(), partition: 0, offset, timestamp_type: TimestampType::CreateTime };
        let mut clock = Clock::default();
        clock.begin();
        let first: Vec<i64> = (0..1000).map(|o| clock.of(&origin(o))).collect();
        assert!(first.windows(2).all(|two| two[0] < two[1]));
        assert_eq!(clock.of(&origin(999)), first[999], "two statements for one record");
        // It failed; halves of it come again.
        clock.begin();
        assert_eq!((0..500).map(|o| clock.of(&origin(o))).collect::<Vec<_>>(), first[..500]);
        clock.stored();
        clock.begin();
        assert_eq!(clock.of(&origin(700)), first[700]);
        assert!(clock.of(&origin(3)) > first[999], "what was stored is another record if it comes again");
        clock.begin();
        let partition = TopicPartition { topic: "t".into(), partition: 0 };
        clock.settled(&[PartitionOffset { partition, offset: 1000 }]);
        assert!(clock.kept.is_empty());
    }
}
