//! From a record to lines of InfluxDB's line protocol: `measurement[,tag=value] field=value[,…] [time]`.
//!
//! Escapes were tried on a server. Some texts cannot be written as they are: in names a line break or another control
//! character becomes a blank, in values of tags the line break alone. In both a backslash in front of a comma, an equals
//! sign, a blank or the end becomes a slash, in names also in front of a double quote: a server takes it for an escape and
//! then does not find the series. `#` at the start of a measurement (a comment, ignored with success) becomes `_`, and a
//! field or tag called `time` (dropped with success) becomes `time_`.

use std::{borrow::Cow, sync::Arc};

use connect_api::{
    Error, Record, Result, SinkRecord, Topic, Value,
    json::{base64, from_json},
};

use crate::{
    moment::{Clock, Precision, Time},
    statement::{BytesAs, Column, Source, Statement},
};

/// Writes records as lines. Its buffer for names is kept from record to record.
#[derive(Debug)]
pub struct Encoder {
    statements: Vec<Prepared>,
    /// The setting that has the statements, for errors.
    key: &'static str,
    precision: Precision,
    path: String,
    /// The topic of the last record, and which statements are for it.
    topic: Option<(Topic, Arc<[usize]>)>,
}

/// A statement with what of its lines is always the same.
#[derive(Debug)]
struct Prepared {
    statement: Statement,
    /// `,name=` of each tag, with the value if that is always the same, too.
    tags: Vec<String>,
}

impl Encoder {
    /// An encoder of these statements, which are in the setting `key`.
    pub fn new(statements: Vec<Statement>, key: &'static str) -> Self {
        let precision = Precision::of(statements.iter().map(|s| &s.time));
        let statements = statements.into_iter().map(Prepared::new).collect();
        Self { statements, key, precision, path: String::new(), topic: None }
    }

    /// The precision of the times that are written.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Appends the lines of a record and answers how many there are: none if it has no field to write. After an error
    /// nothing is appended. Errors are data errors, but for topics that have no statement.
    pub fn encode(&mut self, out: &mut String, record: &SinkRecord, clock: &mut Clock) -> Result<usize> {
        self.each(out, &record.topic, |encoder, out, at| {
            let prepared = &encoder.statements[at];
            let value = prepared.value(record)?;
            prepared.head(out, record, &value)?;
            out.push(' ');
            encoder.path.clear();
            let mut fields = Fields { bytes: prepared.statement.bytes, path: &mut encoder.path, out, any: false };
            for column in &prepared.statement.columns {
                if let Some(found) = column.place.find(record, &value) {
                    fields.column(column, found);
                }
            }
            if !fields.any {
                return Ok(false);
            }
            let time = match &prepared.statement.time {
                Time::Record => record.timestamp.map(|ms| encoder.precision.of_millis(ms)).transpose()?,
                Time::Clock => Some(clock.of(&record.origin)),
                Time::Member(member) => Some(member.nanos(record, &value)?.unwrap_or_else(|| clock.of(&record.origin))),
            };
            end(out, time);
            Ok(true)
        })
    }

    /// As [`Encoder::encode`] for a tombstone: lines of tags of the key and the field `tombstone=true`.
    pub fn encode_marker(&mut self, out: &mut String, record: &SinkRecord, clock: &mut Clock) -> Result<usize> {
        self.each(out, &record.topic, |encoder, out, at| {
            let prepared = &encoder.statements[at];
            prepared.head(out, record, &Value::Null)?;
            out.push_str(" tombstone=true");
            // Without the value its time is gone, too.
            let time = match prepared.statement.time {
                Time::Clock => Some(clock.of(&record.origin)),
                _ => record.timestamp.map(|ms| encoder.precision.of_millis(ms)).transpose()?,
            };
            end(out, time);
            Ok(true)
        })
    }

    /// Writes a line for each statement of the topic; what a line leaves behind that is not written is taken back.
    fn each(
        &mut self,
        out: &mut String,
        topic: &Topic,
        mut write: impl FnMut(&mut Self, &mut String, usize) -> Result<bool>,
    ) -> Result<usize> {
        let (start, mut lines) = (out.len(), 0);
        for at in self.of_topic(topic)?.iter() {
            let line = out.len();
            match write(self, out, *at) {
                Ok(true) => lines += 1,
                Ok(false) => out.truncate(line),
                Err(e) => {
                    out.truncate(start);
                    return Err(e);
                }
            }
        }
        Ok(lines)
    }

    fn of_topic(&mut self, topic: &Topic) -> Result<Arc<[usize]>> {
        match &self.topic {
            Some((known, statements)) if Arc::ptr_eq(known, topic) || known == topic => return Ok(statements.clone()),
            _ => {}
        }
        let is_for = |p: &Prepared| p.statement.topic.as_ref().is_none_or(|wanted| wanted == topic);
        let found: Arc<[usize]> =
            self.statements.iter().enumerate().filter(|(_, p)| is_for(p)).map(|(at, _)| at).collect();
        if found.is_empty() {
            return Err(Error::fatal(format!(
                "finding the statement for topic {topic}: {} has none; add one, or take the topic out of topics",
                self.key
            )));
        }
        self.topic = Some((topic.clone(), found.clone()));
        Ok(found)
    }
}

impl Prepared {
    fn new(statement: Statement) -> Self {
        let tag = |tag: &crate::statement::Tag| {
            let mut text = String::from(",");
            name(&mut text, &tag.name);
            text.push('=');
            if let Source::Constant(value) = &tag.source {
                escape(&mut text, value, Part::Value);
            }
            text
        };
        Self { tags: statement.tags.iter().map(tag).collect(), statement }
    }

    fn value<'a>(&self, record: &'a Record) -> Result<Cow<'a, Value>> {
        match &record.value {
            Value::String(text) if self.statement.reads_json => {
                let json = serde_json::from_str(text);
                let json = json.map_err(|e| Error::data("reading the text of the value as JSON").caused_by(e))?;
                Ok(Cow::Owned(from_json(&json)))
            }
            value => Ok(Cow::Borrowed(value)),
        }
    }

    fn head(&self, out: &mut String, record: &Record, value: &Value) -> Result<()> {
        let measurement = self.statement.measurement.of(record, value)?;
        match measurement.strip_prefix('#') {
            Some(rest) => {
                out.push('_');
                // Without the rest it is that alone.
                if !rest.is_empty() {
                    escape(out, rest, Part::Measurement);
                }
            }
            None => escape(out, &measurement, Part::Measurement),
        }
        for (tag, start) in self.statement.tags.iter().zip(&self.tags) {
            match &tag.source {
                Source::Constant(_) => out.push_str(start),
                Source::Place(place) => {
                    if let Some(text) = tag_text(&tag.name, place.find(record, value))? {
                        out.push_str(start);
                        escape(out, &text, Part::Value);
                    }
                }
            }
        }
        if let Some(member) = &self.statement.tag_members {
            self.tag_members(out, member, value)?;
        }
        Ok(())
    }

    /// Writes the members of a member as tags, those of the settings excepted.
    fn tag_members(&self, out: &mut String, member: &str, value: &Value) -> Result<()> {
        let mut tags = Vec::new();
        let mut add = |name: Cow<'_, str>, value: &Value| -> Result<()> {
            if let Some(text) = tag_text(&name, Some(value))?
                && self.statement.tags.iter().all(|tag| tag.name != name)
            {
                tags.push((name.into_owned(), text.into_owned()));
            }
            Ok(())
        };
        match value.get(member) {
            None | Some(Value::Null) => {}
            Some(Value::Map(entries)) => entries.iter().try_for_each(|(key, value)| add(text(key), value))?,
            Some(Value::Struct(s)) => {
                s.schema().fields().iter().try_for_each(|f| add(f.name().into(), s.at(f.index())))?;
            }
            Some(other) => {
                let kind = other.java_class();
                return Err(Error::data(format!("writing tags of member {member}: it is a {kind}, not an object")));
            }
        }
        tags.sort();
        for (tag, text) in tags {
            out.push(',');
            name(out, &tag);
            out.push('=');
            escape(out, &text, Part::Value);
        }
        Ok(())
    }
}

/// A tag's text; none for what is missing, null or empty, which no tag can be.
fn tag_text<'a>(name: &str, value: Option<&'a Value>) -> Result<Option<Cow<'a, str>>> {
    let text = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(_) | Value::Map(_) | Value::Struct(_)) => {
            return Err(Error::data(format!("writing tag {name}: a list or an object cannot be a tag")));
        }
        Some(value) => text(value),
    };
    Ok(Some(text).filter(|text| !text.is_empty()))
}

fn text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}

fn end(out: &mut String, time: Option<i64>) {
    if let Some(time) = time {
        out.push(' ');
        out.push_str(itoa::Buffer::new().format(time));
    }
    out.push('\n');
}

/// Walks a value and writes what it finds as fields.
struct Fields<'a> {
    bytes: BytesAs,
    path: &'a mut String,
    out: &'a mut String,
    any: bool,
}

/// A column, and how much of the path in hand is in front of names in it.
#[derive(Clone, Copy)]
struct Within<'a> {
    column: &'a Column,
    start: usize,
}

impl Fields<'_> {
    fn column(&mut self, column: &Column, value: &Value) {
        self.path.clear();
        self.path.push_str(&column.name);
        // The point behind the column's name belongs to neither.
        let start = if column.name.is_empty() { 0 } else { column.name.len() + 1 };
        self.value(value, Within { column, start });
    }

    fn value(&mut self, value: &Value, within: Within<'_>) {
        match value {
            Value::Struct(s) => {
                for field in s.schema().fields() {
                    self.member(field.name(), s.at(field.index()), within);
                }
            }
            Value::Map(entries) => {
                for (key, value) in entries.iter() {
                    self.member(&text(key), value, within);
                }
            }
            Value::Array(items) => {
                self.name_root(within);
                let length = self.path.len();
                // A list in a list: 0 of f1 must not be called as the tenth of f.
                let point = self.path.ends_with(|c: char| c.is_ascii_digit());
                for (i, item) in items.iter().enumerate() {
                    if point {
                        self.path.push('.');
                    }
                    self.path.push_str(itoa::Buffer::new().format(i));
                    self.value(item, within);
                    self.path.truncate(length);
                }
            }
            leaf => {
                self.name_root(within);
                self.leaf(leaf);
            }
        }
    }

    fn member(&mut self, name: &str, value: &Value, within: Within<'_>) {
        if value.is_null() {
            return;
        }
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        self.path.push_str(name);
        if !within.column.leaves_out(self.path.get(within.start..).unwrap_or_default()) {
            self.value(value, within);
        }
        self.path.truncate(length);
    }

    // What is not in an object has no name.
    fn name_root(&mut self, within: Within<'_>) {
        if self.path.is_empty() {
            let last = within.column.place.path.rsplit('.').next().unwrap_or_default();
            self.path.push_str(if last.is_empty() { "value" } else { last });
        }
    }

    fn leaf(&mut self, value: &Value) {
        let start = self.out.len();
        if self.any {
            self.out.push(',');
        }
        name(self.out, self.path);
        self.out.push('=');
        if self.plain(value) {
            self.any = true;
        } else {
            self.out.truncate(start);
        }
    }

    /// Writes a value that has no parts; `false` and nothing where there is nothing to write.
    fn plain(&mut self, value: &Value) -> bool {
        let out = &mut *self.out;
        match value {
            Value::Boolean(v) => out.push_str(if *v { "true" } else { "false" }),
            Value::String(v) => quote(out, v),
            Value::Bytes(v) => match self.bytes {
                BytesAs::Base64 => quote(out, &base64(v)),
                BytesAs::Hex => quote(out, &hex(v)),
                BytesAs::Skip => return false,
            },
            // By the shorter text of 32 bits: 12.2, not 12.199999809265137.
            Value::Float32(v) if v.is_finite() => out.push_str(zmij::Buffer::new().format_finite(*v)),
            Value::Float64(v) if v.is_finite() => out.push_str(zmij::Buffer::new().format_finite(*v)),
            Value::Decimal(_) => match value.as_f64().filter(|v| v.is_finite()) {
                Some(v) => out.push_str(zmij::Buffer::new().format_finite(v)),
                None => return false,
            },
            Value::Date(days) => integer(out, i64::from(*days) * 86_400_000),
            Value::Time(ms) => integer(out, i64::from(*ms)),
            Value::Timestamp(ms) => integer(out, *ms),
            other => match other.as_i64() {
                Some(v) => integer(out, v),
                None => return false,
            },
        }
        true
    }
}

fn integer(out: &mut String, v: i64) {
    out.push_str(itoa::Buffer::new().format(v));
    out.push('i');
}

fn hex(bytes: &[u8]) -> String {
    let digit = |d: u8| char::from_digit(u32::from(d), 16).unwrap_or_default();
    bytes.iter().flat_map(|b| [digit(b >> 4), digit(b & 15)]).collect()
}

/// Writes the name of a tag or field.
fn name(out: &mut String, text: &str) {
    escape(out, if text == "time" { "time_" } else { text }, Part::Name);
}

/// Whether a byte of a name or tag value needs an escape, or may need one.
const SPECIAL: [bool; 256] = {
    let mut table = [false; 256];
    let mut b = 0;
    while b < 256 {
        table[b] = b <= 32 || b == 127 || b == b',' as usize || b == b'=' as usize || b == b'\\' as usize;
        b += 1;
    }
    table
};

/// What is written, of which servers take different characters as they are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// The equals sign needs no escape.
    Measurement,
    /// The name of a tag or field.
    Name,
    /// A tag's value: control characters but the line break stay.
    Value,
}

fn escape(out: &mut String, text: &str, part: Part) {
    if text.is_empty() {
        out.push('_');
        return;
    }
    if !text.bytes().any(|b| SPECIAL[usize::from(b)]) {
        out.push_str(text);
        return;
    }
    let blank = |c: char| if part == Part::Value { c == '\n' } else { c.is_ascii_control() };
    let escaped = |c: char| matches!(c, ',' | '=' | ' ') || blank(c) || part != Part::Value && c == '"';
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if chars.peek().copied().is_none_or(escaped) => out.push('/'),
            '=' if part == Part::Measurement => out.push('='),
            ',' | '=' => out.extend(['\\', c]),
            c if c == ' ' || blank(c) => out.push_str("\\ "),
            c => out.push(c),
        }
    }
}

fn quote(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|b| b == b'"' || b == b'\\') {
        out.push_str(&rest[..at]);
        out.push('\\');
        out.push_str(&rest[at..=at]);
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        InfluxConfig,
        moment::{Member, Unit},
        plan::Front,
        statement::{Measurement, Place, Tag},
    };
    use connect_api::{BigDecimal, Bytes, ErrorClass, Origin, Record, Schema, Struct, TimestampType, config::Config};

    fn record(key: Value, value: Value) -> SinkRecord {
        let mut record = Record::new("t");
        (record.key, record.value, record.timestamp) = (key, value, Some(1000));
        let origin = Origin { topic: "t".into(), partition: 0, offset: 0, timestamp_type: TimestampType::CreateTime };
        SinkRecord { record, origin }
    }

    fn statement(tags: &[&str], include: &[&str], exclude: &[&str]) -> Statement {
        let mut settings = connect_api::Settings::from([("influxdb.url", "http://h"), ("influxdb.measurement", "m")]);
        for (key, list) in [("tags", tags), ("fields.include", include), ("fields.exclude", exclude)] {
            settings.set(format!("influxdb.{key}"), list.join(","));
        }
        let plan = InfluxConfig::parse(&settings).expect("settings").plan().expect("plan");
        plan.statements.into_iter().next().expect("a statement")
    }

    fn plain() -> Statement {
        statement(&[], &[], &[])
    }

    fn encode(statements: Vec<Statement>, record: &SinkRecord) -> Result<String> {
        let mut out = String::from("before\n");
        let lines = Encoder::new(statements, "x.statements").encode(&mut out, record, &mut Clock::default());
        let written = out.strip_prefix("before\n").expect("what was there stays").to_owned();
        match lines {
            Ok(lines) => assert_eq!(lines, written.lines().count()),
            Err(_) => assert_eq!(written, ""),
        }
        lines.map(|_| written)
    }

    fn line_of(statement: Statement, record: &SinkRecord) -> String {
        encode(vec![statement], record).expect("line")
    }

    fn line(value: Value) -> String {
        line_of(plain(), &record(Value::Null, value))
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
            "m b=true,i8=-1i,i64=-9223372036854775808i,f32=12.2,f64=1e+300,s=\"say \\\"hi\\\" \\\\\",by=\"AP8=\",\
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
        let mut odd = statement(&["_key as t=g"], &[], &[]);
        odd.measurement = Measurement::Fixed("#m =\r,\"\\\"\\".into());
        let line = line_of(odd, &record);
        assert_eq!(line, "_m\\ =\\ \\,\"/\"/,t\\=g=k/\\,\\ k\\x\\ / a\\ b\\,c\\=d=1i,e/=2i,value=3i 1000\n");
    }

    #[test]
    fn a_field_called_time_is_renamed_since_servers_drop_it() {
        assert_eq!(line(Value::map([("time", Value::Int8(1))])), "m time_=1i 1000\n");
    }

    #[test]
    fn bytes_are_base64_hex_or_nothing() {
        let value = || Value::map([("b", Value::Bytes(Bytes::from_static(b"\x00\xfe"))), ("v", Value::Int8(1))]);
        for (bytes, fields) in
            [(BytesAs::Base64, "b=\"AP4=\",v=1i"), (BytesAs::Hex, "b=\"00fe\",v=1i"), (BytesAs::Skip, "v=1i")]
        {
            let statement = Statement { bytes, ..plain() };
            assert_eq!(line_of(statement, &record(Value::Null, value())), format!("m {fields} 1000\n"));
        }
    }

    #[test]
    fn tags_are_sorted_and_no_fields() {
        let key = Value::map([("id", Value::Int32(7))]);
        let inner = Value::map([("host", Value::from("h")), ("v", Value::Int8(1))]);
        let value = Value::map([("z", Value::from("")), ("in", inner), ("up", Value::Boolean(true))]);
        let statement = statement(&["z", "up", "in.host as host", "_key.id as id", "gone", "dc=a b"], &[], &[]);
        assert_eq!(line_of(statement, &record(key, value)), "m,dc=a\\ b,host=h,id=7,up=true in.v=1i 1000\n");
    }

    #[test]
    fn members_of_a_member_are_tags_whatever_their_names() {
        let of = |tags: Value| {
            let mut statement = statement(&[], &[], &["tags"]);
            statement.tag_members = Some("tags".into());
            encode(vec![statement], &record(Value::Null, Value::map([("tags", tags), ("v", Value::Int8(1))])))
        };
        let tags =
            Value::map([("b", Value::from("2")), ("a", Value::Int8(1)), ("c", Value::Null), ("time", "x".into())]);
        assert_eq!(of(tags).expect("line"), "m,a=1,b=2,time_=x v=1i 1000\n");
        assert_eq!(of(Value::Null).expect("line"), "m v=1i 1000\n");
        assert!(of("x".into()).expect_err("text").message().contains("member tags"));
    }

    #[test]
    fn a_list_as_tag_is_an_error_and_leaves_nothing_behind() {
        let value = Value::map([("l", Value::array(vec![])), ("v", Value::Int8(1))]);
        let e = encode(vec![plain(), statement(&["l"], &[], &[])], &record(Value::Null, value)).expect_err("list");
        assert_eq!(e.message(), "writing tag l: a list or an object cannot be a tag");
        assert_eq!(e.class(), ErrorClass::Data);
    }

    #[test]
    fn fields_are_chosen_with_all_that_is_in_them() {
        let inner = || Value::map([("x", Value::Int8(1)), ("y", Value::Int8(2))]);
        let value = Value::map([("a", inner()), ("b", inner()), ("c", Value::Int8(3))]);
        let record = record(Value::Null, value);
        assert_eq!(line_of(statement(&[], &["a", "b.y"], &[]), &record), "m a.x=1i,a.y=2i,b.y=2i 1000\n");
        assert_eq!(line_of(statement(&[], &[], &["a", "b.y"]), &record), "m b.x=1i,c=3i 1000\n");
        assert_eq!(line_of(statement(&[], &["a"], &["a.x"]), &record), "m a.y=2i 1000\n");
    }

    #[test]
    fn columns_have_names_of_their_own_and_may_be_of_the_key() {
        let inner = |v: i8| Value::map([("x", Value::Int8(v)), ("y", Value::Int8(v + 1))]);
        let record = record(inner(5), Value::map([("a", inner(1)), ("c", Value::Int8(3))]));
        let mut statement = plain();
        let columns = |paths: &[(&str, &str, &[&str])]| {
            let column = |(path, name, except): &(&str, &str, &[&str])| {
                Column::new(Place::parse(path), *name, except.iter().map(|e| (*e).to_owned()))
            };
            paths.iter().map(column).collect::<Vec<_>>()
        };
        statement.columns =
            columns(&[("a.x", "one", &[]), ("_key", "", &["x"]), ("a", "", &["y"]), ("a", "q", &["y"])]);
        assert_eq!(line_of(statement.clone(), &record), "m one=1i,y=6i,x=1i,q.x=1i 1000\n");
        statement.columns = columns(&[("c", "", &[]), ("gone", "z", &[])]);
        assert_eq!(line_of(statement, &record), "m c=3i 1000\n");
    }

    fn timed(unit: Unit) -> Statement {
        let mut statement = statement(&["_key as k"], &[], &["t"]);
        statement.time = Time::Member(Member { place: Place::value("t"), unit, or_clock: false });
        statement
    }

    #[test]
    fn each_statement_has_its_unit_and_the_request_loses_no_digit() {
        let value = Value::map([("t", Value::Int64(2)), ("v", Value::Int8(1))]);
        let record = record("x".into(), value);
        let of_seconds = line_of(timed(Unit::Seconds), &record);
        assert_eq!(of_seconds, "m,k=x v=1i 2000000000\n");
        let all = encode(vec![timed(Unit::Seconds), timed(Unit::Nanos), plain()], &record).expect("lines");
        assert_eq!(all, format!("{of_seconds}m,k=x v=1i 2\nm t=2i,v=1i 1000000000\n"));
    }

    #[test]
    fn markers_have_tags_of_the_key_and_the_precision_of_the_request() {
        let mut out = String::new();
        let mut encoder = Encoder::new(vec![timed(Unit::Seconds)], "x");
        encoder.encode_marker(&mut out, &record("x".into(), Value::Null), &mut Clock::default()).expect("marker");
        assert_eq!(out, "m,k=x tombstone=true 1000000000\n");
    }

    #[test]
    fn statements_are_for_their_topics_and_a_topic_without_one_is_a_mistake_of_the_settings() {
        let of = |topic: &str, measurement: &str| Statement {
            topic: Some(topic.into()),
            measurement: Measurement::Fixed(measurement.into()),
            tags: vec![Tag { name: "s".into(), source: Source::Constant("=".into()) }],
            ..plain()
        };
        let record = record(Value::Null, Value::Int8(1));
        let lines = encode(vec![of("t", "a"), of("u", "b"), of("t", "c")], &record).expect("lines");
        assert_eq!(lines, "a,s=\\= value=1i 1000\nc,s=\\= value=1i 1000\n");
        let e = encode(vec![of("u", "b")], &record).expect_err("none");
        assert_eq!(e.class(), ErrorClass::Fatal);
        assert!(e.message().starts_with("finding the statement for topic t: x.statements has none"), "{e}");
    }

    #[test]
    fn text_is_json_where_the_statement_says_so() {
        let json = Statement { reads_json: true, ..plain() };
        let of = |text: &str| encode(vec![json.clone()], &record(Value::Null, text.into()));
        assert_eq!(of(r#"{"a":{"b":1},"c":1.50}"#).expect("line"), "m a.b=1i,c=1.5 1000\n");
        let e = of("{").expect_err("no JSON");
        assert_eq!((e.class(), e.message()), (ErrorClass::Data, "reading the text of the value as JSON"));
    }
}
