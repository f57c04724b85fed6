//! From a record to a line of InfluxDB's line protocol: `measurement[,tag=value] field=value[,…] [time]`.
//!
//! Escapes were tried on a server. Some names cannot be written as they are: in names and tag values a
//! line break or another control character becomes a blank, and a backslash in front of a comma, an equals
//! sign, a blank or the end becomes a slash. `#` at the start of a measurement (a comment, ignored with
//! success) becomes `_`, and a field called `time` (dropped with success) becomes `time_`.

use std::{borrow::Cow, collections::HashSet, fmt::Write};

use connect_api::{Error, Record, Result, Value, json::base64, time};

use crate::config::Unit;

/// A member that is written as a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    name: String,
    source: Source,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Key,
    KeyMember(String),
    Member(String),
}

impl Tag {
    /// Reads `member`, `_key`, `_key.member`, each followed by ` as name` or not. The error is a reason.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (source, name) = text.split_once(" as ").unwrap_or((text, text));
        let (source, name) = (source.trim(), name.trim());
        if source.is_empty() || name.is_empty() {
            return Err("a tag is empty".into());
        }
        if name == "time" {
            return Err("a tag cannot be called time: write time as another name".into());
        }
        let source = match source.strip_prefix("_key.") {
            Some(member) => Source::KeyMember(member.into()),
            None if source == "_key" => Source::Key,
            None => Source::Member(source.into()),
        };
        Ok(Self { name: name.into(), source })
    }
}

/// A member that is the time.
#[derive(Debug, Clone)]
pub struct Time {
    /// Its name.
    pub field: String,
    /// What it counts.
    pub unit: Unit,
}

/// What of a record becomes tags, fields and time.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    tags: Vec<Tag>,
    include: HashSet<String>,
    exclude: HashSet<String>,
    time: Option<Time>,
}

impl Layout {
    /// A layout. The error is a reason: two tags of one name.
    pub fn new(mut tags: Vec<Tag>, include: &[String], exclude: &[String], time: Option<Time>) -> Result<Self, String> {
        // Servers index sorted tags faster.
        tags.sort_by(|a, b| a.name.cmp(&b.name));
        if let Some(two) = tags.windows(2).find(|two| two[0].name == two[1].name) {
            return Err(format!("two tags are called {}", two[0].name));
        }
        let members = tags.iter().filter_map(|tag| match &tag.source {
            Source::Member(member) => Some(member.clone()),
            _ => None,
        });
        let exclude = exclude.iter().cloned().chain(members).chain(time.iter().map(|t| t.field.clone())).collect();
        Ok(Self { tags, include: include.iter().cloned().collect(), exclude, time })
    }

    /// The precision of the times written, as the write APIs call it.
    pub fn precision(&self) -> &'static str {
        if self.time.is_some() { "ns" } else { "ms" }
    }
}

/// Writes records as lines. Its buffer for names is kept from record to record.
#[derive(Debug, Default)]
pub struct Encoder {
    layout: Layout,
    path: String,
}

impl Encoder {
    /// An encoder.
    pub fn new(layout: Layout) -> Self {
        Self { layout, path: String::new() }
    }

    /// Appends the record's line; `false` and nothing if it has no field to write. Errors are data errors.
    pub fn encode(&mut self, out: &mut String, measurement: &str, record: &Record) -> Result<bool> {
        let start = out.len();
        let done = self.line(out, measurement, record);
        if !matches!(done, Ok(true)) {
            out.truncate(start);
        }
        done
    }

    fn line(&mut self, out: &mut String, measurement: &str, record: &Record) -> Result<bool> {
        self.head(out, measurement, record)?;
        out.push(' ');
        self.path.clear();
        let mut fields = Fields { layout: &self.layout, path: &mut self.path, out, any: false };
        fields.value(&record.value, self.layout.include.is_empty());
        if !fields.any {
            return Ok(false);
        }
        let time = match &self.layout.time {
            Some(time) => Some(time.nanos(&record.value)?),
            None => record.timestamp,
        };
        end(out, time);
        Ok(true)
    }

    /// Appends a line that marks a tombstone: tags of the key and the field `tombstone=true`.
    pub fn encode_marker(&self, out: &mut String, measurement: &str, record: &Record) -> Result<()> {
        let start = out.len();
        if let Err(e) = self.head(out, measurement, record) {
            out.truncate(start);
            return Err(e);
        }
        out.push_str(" tombstone=true");
        // Without the value its time is gone, too.
        let factor = if self.layout.time.is_some() { Unit::Millis.nanos() } else { 1 };
        end(out, record.timestamp.map(|ms| ms.saturating_mul(factor)));
        Ok(())
    }

    fn head(&self, out: &mut String, measurement: &str, record: &Record) -> Result<()> {
        if measurement.is_empty() {
            return Err(Error::data("naming the measurement: the name is empty"));
        }
        match measurement.strip_prefix('#') {
            Some(rest) => {
                out.push('_');
                escape(out, rest, false);
            }
            None => escape(out, measurement, false),
        }
        for tag in &self.layout.tags {
            let value = match &tag.source {
                Source::Key => Some(&record.key),
                Source::KeyMember(member) => find(&record.key, member),
                Source::Member(member) => find(&record.value, member),
            };
            let text = match value {
                None | Some(Value::Null) => continue,
                Some(Value::String(text)) => Cow::Borrowed(&**text),
                Some(Value::Array(_) | Value::Map(_) | Value::Struct(_)) => {
                    return Err(Error::data(format!("writing tag {}: a list or an object cannot be a tag", tag.name)));
                }
                Some(other) => Cow::Owned(other.to_string()),
            };
            if !text.is_empty() {
                out.push(',');
                escape(out, &tag.name, true);
                out.push('=');
                escape(out, &text, true);
            }
        }
        Ok(())
    }
}

fn end(out: &mut String, time: Option<i64>) {
    if let Some(time) = time {
        // Writing to a string cannot fail.
        let _ = write!(out, " {time}");
    }
    out.push('\n');
}

/// Walks a value and writes what it finds as fields.
struct Fields<'a> {
    layout: &'a Layout,
    path: &'a mut String,
    out: &'a mut String,
    any: bool,
}

impl Fields<'_> {
    fn value(&mut self, value: &Value, included: bool) {
        match value {
            Value::Struct(s) => {
                for field in s.schema().fields() {
                    self.member(field.name(), s.at(field.index()), included);
                }
            }
            Value::Map(entries) => {
                for (key, value) in entries.iter() {
                    match key {
                        Value::String(name) => self.member(name, value, included),
                        other => self.member(&other.to_string(), value, included),
                    }
                }
            }
            Value::Array(items) => {
                self.name_root();
                let length = self.path.len();
                // A list in a list: 0 of f1 must not be called as the tenth of f.
                let point = if self.path.ends_with(|c: char| c.is_ascii_digit()) { "." } else { "" };
                for (i, item) in items.iter().enumerate() {
                    let _ = write!(self.path, "{point}{i}");
                    self.value(item, included);
                    self.path.truncate(length);
                }
            }
            leaf if included => {
                self.name_root();
                self.leaf(leaf);
            }
            _ => {}
        }
    }

    fn member(&mut self, name: &str, value: &Value, included: bool) {
        if value.is_null() {
            return;
        }
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        self.path.push_str(name);
        if self.layout.exclude.is_empty() || !self.layout.exclude.contains(self.path.as_str()) {
            let included = included || self.layout.include.contains(self.path.as_str());
            self.value(value, included);
        }
        self.path.truncate(length);
    }

    // What is not in an object has no name.
    fn name_root(&mut self) {
        if self.path.is_empty() {
            self.path.push_str("value");
        }
    }

    fn leaf(&mut self, value: &Value) {
        let start = self.out.len();
        if self.any {
            self.out.push(',');
        }
        escape(self.out, if *self.path == "time" { "time_" } else { self.path }, true);
        self.out.push('=');
        let out = &mut *self.out;
        // Writing to a string cannot fail.
        let written = match value {
            Value::Boolean(v) => write!(out, "{v}").is_ok(),
            Value::String(v) => {
                quote(out, v);
                true
            }
            Value::Bytes(v) => {
                quote(out, &base64(v));
                true
            }
            Value::Float32(v) => v.is_finite() && write!(out, "{v:?}").is_ok(),
            Value::Float64(v) => v.is_finite() && write!(out, "{v:?}").is_ok(),
            Value::Decimal(_) => value.as_f64().is_some_and(|v| v.is_finite() && write!(out, "{v:?}").is_ok()),
            Value::Date(days) => write!(out, "{}i", i64::from(*days) * 86_400_000).is_ok(),
            Value::Time(ms) => write!(out, "{ms}i").is_ok(),
            Value::Timestamp(ms) => write!(out, "{ms}i").is_ok(),
            other => other.as_i64().is_some_and(|v| write!(out, "{v}i").is_ok()),
        };
        if written {
            self.any = true;
        } else {
            self.out.truncate(start);
        }
    }
}

impl Time {
    /// The time in nanoseconds since 1970.
    fn nanos(&self, value: &Value) -> Result<i64> {
        let unit = self.unit.nanos();
        let millis = Unit::Millis.nanos();
        let found = find(value, &self.field);
        let nanos = match found {
            Some(Value::Timestamp(ms)) => ms.checked_mul(millis),
            Some(Value::Date(days)) => (i64::from(*days) * 86_400_000).checked_mul(millis),
            Some(Value::String(text)) => text_nanos(text, self.unit),
            Some(value) => match (value.as_i64(), value.as_f64()) {
                (Some(n), _) => n.checked_mul(unit),
                (None, Some(n)) => float_nanos(n, unit),
                (None, None) => None,
            },
            None => None,
        };
        nanos.ok_or_else(|| {
            let shown = found.map_or_else(|| "missing".to_owned(), |v| format!("{v:.100}"));
            Error::data(format!("reading the time from member {}: {shown} is not a time", self.field))
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

/// A member by its name, nested ones as `a.b`; a name that itself has a dot is found, too.
fn find<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    if let Some(found) = value.get(path) {
        return Some(found);
    }
    path.match_indices('.').find_map(|(at, _)| find(value.get(&path[..at])?, &path[at + 1..]))
}

/// Writes a name or a tag value; the equals sign needs its escape everywhere but in measurements.
fn escape(out: &mut String, text: &str, equals: bool) {
    if text.is_empty() {
        out.push('_');
        return;
    }
    let special = |c: char| matches!(c, ',' | '=' | ' ') || c.is_ascii_control();
    if !text.contains(|c| c == '\\' || special(c)) {
        out.push_str(text);
        return;
    }
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if chars.peek().copied().is_none_or(special) => out.push('/'),
            '=' if !equals => out.push('='),
            ',' | '=' => out.extend(['\\', c]),
            c if special(c) => out.push_str("\\ "),
            c => out.push(c),
        }
    }
}

fn quote(out: &mut String, text: &str) {
    out.push('"');
    for part in text.split_inclusive(['"', '\\']) {
        match part.strip_suffix(['"', '\\']) {
            Some(plain) => {
                out.push_str(plain);
                out.push('\\');
                out.push_str(&part[plain.len()..]);
            }
            None => out.push_str(part),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use connect_api::{BigDecimal, Bytes, Schema, Struct};

    fn record(key: Value, value: Value) -> Record {
        let mut record = Record::new("t");
        (record.key, record.value, record.timestamp) = (key, value, Some(1000));
        record
    }

    fn layout(tags: &[&str], include: &[&str], exclude: &[&str], time: Option<(&str, Unit)>) -> Layout {
        let texts = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        let tags = tags.iter().map(|t| Tag::parse(t).expect("tag")).collect();
        let time = time.map(|(field, unit)| Time { field: field.into(), unit });
        Layout::new(tags, &texts(include), &texts(exclude), time).expect("layout")
    }

    fn line_of(layout: Layout, measurement: &str, record: &Record) -> String {
        let mut out = String::new();
        Encoder::new(layout).encode(&mut out, measurement, record).expect("line");
        out
    }

    fn line(value: Value) -> String {
        line_of(Layout::default(), "m", &record(Value::Null, value))
    }

    #[test]
    fn every_type_has_its_form() {
        let schema = Schema::structure()
            .field("b", Schema::boolean())
            .field("i8", Schema::int8())
            .field("i64", Schema::int64())
            .field("f32", Schema::float32())
            .field("f64", Schema::float64())
            .field("s", Schema::string())
            .field("by", Schema::bytes())
            .field("none", Schema::optional_string())
            .field("d", connect_api::logical::decimal(2).build().expect("decimal"))
            .field("date", connect_api::logical::date())
            .field("clock", connect_api::logical::time())
            .field("ts", connect_api::logical::timestamp())
            .build()
            .expect("schema");
        let values = vec![
            Value::Boolean(true),
            Value::Int8(-1),
            Value::Int64(i64::MIN),
            Value::Float32(12.2),
            Value::Float64(1e300),
            Value::from("say \"hi\" \\"),
            Value::Bytes(Bytes::from_static(b"\x00\xff")),
            Value::Null,
            Value::Decimal(Arc::new(BigDecimal::new(156.into(), 2))),
            Value::Date(2),
            Value::Time(5),
            Value::Timestamp(7),
        ];
        let value = Struct::from_values(&schema, values).expect("struct").into_value();
        assert_eq!(
            line(value),
            "m b=true,i8=-1i,i64=-9223372036854775808i,f32=12.2,f64=1e300,s=\"say \\\"hi\\\" \\\\\",by=\"AP8=\",\
             d=1.56,date=172800000i,clock=5i,ts=7i 1000\n"
        );
    }

    #[test]
    fn lists_and_objects_are_spread() {
        let list = |items: &[i64]| Value::array(items.iter().map(|i| Value::Int64(*i)).collect());
        let value = Value::map([
            ("l", list(&[1, 2])),
            ("n", Value::array(vec![list(&[1]), Value::map([("x", Value::Int64(3))])])),
            ("o", Value::map([("a", Value::map([("b", Value::Int64(4))]))])),
            ("e", list(&[])),
        ]);
        assert_eq!(line(value), "m l0=1i,l1=2i,n0.0=1i,n1.x=3i,o.a.b=4i 1000\n");
        assert_eq!(line(Value::from("x")), "m value=\"x\" 1000\n");
        assert_eq!(line(list(&[5])), "m value0=5i 1000\n");
    }

    #[test]
    fn what_has_no_field_is_no_line() {
        assert_eq!(line(Value::map([("a", Value::Null), ("b", Value::Float64(f64::NAN))])), "");
        assert_eq!(line(Value::map([("b", Value::Float64(f64::INFINITY)), ("c", Value::Int8(1))])), "m c=1i 1000\n");
        assert_eq!(line(Value::Map(Arc::default())), "");
        assert_eq!(line(Value::Null), "");
    }

    #[test]
    fn names_are_escaped_and_never_break_the_line() {
        let value = Value::map([("a b,c=d", Value::Int8(1)), ("e\\", Value::Int8(2)), ("", Value::Int8(3))]);
        let record = record(Value::from("k\\,\nk\\x \\"), value);
        let line = line_of(layout(&["_key as t=g"], &[], &[], None), "#m =\r,\\", &record);
        assert_eq!(line, "_m\\ =\\ \\,/,t\\=g=k/\\,\\ k\\x\\ / a\\ b\\,c\\=d=1i,e/=2i,value=3i 1000\n");
    }

    #[test]
    fn a_field_called_time_is_renamed_since_servers_drop_it() {
        assert_eq!(line(Value::map([("time", Value::Int8(1))])), "m time_=1i 1000\n");
    }

    #[test]
    fn tags_are_sorted_and_no_fields() {
        let key = Value::map([("id", Value::Int32(7))]);
        let inner = Value::map([("host", Value::from("h")), ("v", Value::Int8(1))]);
        let value = Value::map([("z", Value::from("")), ("in", inner), ("up", Value::Boolean(true))]);
        let layout = layout(&["z", "up", "in.host as host", "_key.id as id", "gone"], &[], &[], None);
        assert_eq!(line_of(layout, "m", &record(key, value)), "m,host=h,id=7,up=true in.v=1i 1000\n");
    }

    #[test]
    fn a_list_as_tag_is_an_error_and_leaves_nothing_behind() {
        let mut out = String::from("before\n");
        let value = Value::map([("l", Value::array(vec![])), ("v", Value::Int8(1))]);
        let mut encoder = Encoder::new(layout(&["l"], &[], &[], None));
        let e = encoder.encode(&mut out, "m", &record(Value::Null, value)).expect_err("list");
        assert_eq!(e.message(), "writing tag l: a list or an object cannot be a tag");
        assert_eq!(out, "before\n");
    }

    #[test]
    fn fields_are_chosen_with_all_that_is_in_them() {
        let inner = || Value::map([("x", Value::Int8(1)), ("y", Value::Int8(2))]);
        let value = Value::map([("a", inner()), ("b", inner()), ("c", Value::Int8(3))]);
        let record = record(Value::Null, value);
        assert_eq!(line_of(layout(&[], &["a", "b.y"], &[], None), "m", &record), "m a.x=1i,a.y=2i,b.y=2i 1000\n");
        assert_eq!(line_of(layout(&[], &[], &["a", "b.y"], None), "m", &record), "m b.x=1i,c=3i 1000\n");
        assert_eq!(line_of(layout(&[], &["a"], &["a.x"], None), "m", &record), "m a.y=2i 1000\n");
    }

    fn time_of(value: Value, unit: Unit) -> Result<i64> {
        Time { field: "t".into(), unit }.nanos(&Value::map([("t", value)]))
    }

    #[test]
    fn times_are_converted_without_losing_digits() {
        let ok = |value, unit| time_of(value, unit).expect("time");
        assert_eq!(ok(Value::Int64(5), Unit::Micros), 5_000);
        assert_eq!(ok(Value::Float64(1_547_758_756.33), Unit::Seconds) / 1_000, 1_547_758_756_329_999);
        assert_eq!(ok(Value::Timestamp(5), Unit::Seconds), 5_000_000);
        assert_eq!(ok(Value::Date(1), Unit::Seconds), 86_400_000_000_000);
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
    }

    #[test]
    fn the_time_member_is_no_field_and_markers_keep_the_precision() {
        let with_time = layout(&["_key as k"], &[], &[], Some(("t", Unit::Seconds)));
        let value = Value::map([("t", Value::Int64(2)), ("v", Value::Int8(1))]);
        assert_eq!(line_of(with_time.clone(), "m", &record("x".into(), value)), "m,k=x v=1i 2000000000\n");
        let mut out = String::new();
        Encoder::new(with_time).encode_marker(&mut out, "m", &record("x".into(), Value::Null)).expect("marker");
        assert_eq!(out, "m,k=x tombstone=true 1000000000\n");
    }
}
