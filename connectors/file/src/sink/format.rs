//! From a record to a line; pure.

use connect_api::{Result, SinkRecord, json::to_json, template::Template};
use serde_json::{Map, Value as Json, json};

/// How records become lines.
#[derive(Debug, Clone)]
pub enum Lines {
    /// A JSON object with these members.
    Record(Vec<Member>),
    /// The value as JSON.
    Value,
    /// The value as text.
    Text,
    /// Comma-separated values as RFC 4180 quotes them, with a line feed at the end.
    Csv {
        /// What the cells are.
        columns: Vec<Column>,
        /// Whether a file begins with their names.
        header: bool,
        /// How rows are written.
        style: CsvStyle,
    },
    /// What a template makes.
    Template(Template),
}

/// How the rows of comma-separated values are written.
#[derive(Debug, Clone, Copy)]
pub struct CsvStyle {
    /// What stands between two cells.
    pub separator: char,
    /// Whether all cells are in quotation marks.
    pub always_quoted: bool,
}

/// A part of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Member {
    /// Topic.
    Topic,
    /// Partition.
    Partition,
    /// Offset.
    Offset,
    /// Time stamp.
    Timestamp,
    /// Key.
    Key,
    /// Value.
    Value,
    /// Headers.
    Headers,
}

impl Member {
    /// Every member.
    pub const ALL: [Self; 7] =
        [Self::Topic, Self::Partition, Self::Offset, Self::Timestamp, Self::Key, Self::Value, Self::Headers];

    /// The members of these names. The error is a reason as configurations have it.
    pub fn list(names: &[String]) -> Result<Vec<Self>, String> {
        names.iter().map(|name| Self::named(name)).collect()
    }

    fn named(name: &str) -> Result<Self, String> {
        let all = || Self::ALL.map(Self::name).join(", ");
        Self::ALL.into_iter().find(|m| m.name() == name).ok_or_else(|| format!("{name} is none of {}", all()))
    }

    /// Its name in settings and lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::Partition => "partition",
            Self::Offset => "offset",
            Self::Timestamp => "timestamp",
            Self::Key => "key",
            Self::Value => "value",
            Self::Headers => "headers",
        }
    }

    fn of(self, record: &SinkRecord) -> Json {
        match self {
            Self::Topic => json!(&*record.topic),
            Self::Partition => json!(record.origin.partition),
            Self::Offset => json!(record.origin.offset),
            Self::Timestamp => json!(record.timestamp),
            Self::Key => to_json(&record.key),
            Self::Value => to_json(&record.value),
            Self::Headers => {
                record.headers.iter().map(|h| json!({ "key": &*h.key, "value": to_json(&h.value) })).collect()
            }
        }
    }
}

/// A column of comma-separated values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    name: String,
    root: Member,
    /// What is taken of it, from the outside in.
    path: Vec<String>,
}

impl Column {
    /// Reads `PATH` or `NAME=PATH` of each. The error is a reason as configurations have it.
    pub fn list(texts: &[String]) -> Result<Vec<Self>, String> {
        texts.iter().map(|text| Self::parse(text)).collect()
    }

    fn parse(text: &str) -> Result<Self, String> {
        let (name, path) = text.split_once('=').unwrap_or((text, text));
        let mut parts = path.trim().split('.').map(str::to_owned);
        let root = Member::named(&parts.next().unwrap_or_default())?;
        let path: Vec<String> = parts.collect();
        if path.iter().any(String::is_empty) {
            return Err(format!("a part of the path {text} is empty"));
        }
        if !path.is_empty() && !matches!(root, Member::Key | Member::Value | Member::Headers) {
            return Err(format!("{} has no parts", root.name()));
        }
        Ok(Self { name: name.trim().to_owned(), root, path })
    }
}

impl Lines {
    /// Appends the line of a record, with its end.
    pub fn write(&self, record: &SinkRecord, out: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Record(members) => out.extend(object(members, record).into_bytes()),
            Self::Value => out.extend(to_json(&record.value).to_string().into_bytes()),
            Self::Text => out.extend(record.value.to_string().into_bytes()),
            Self::Csv { columns, style, .. } => cells(columns, *style, record, out),
            Self::Template(template) => {
                let offset = Map::from_iter([("offset".to_owned(), Json::from(record.origin.offset))]);
                out.extend(template.render(record, offset)?.into_bytes());
            }
        }
        out.push(b'\n');
        Ok(())
    }

    /// The line of a record, without its end.
    pub fn text(&self, record: &SinkRecord) -> Result<String> {
        let mut line = Vec::new();
        self.write(record, &mut line)?;
        line.pop();
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    /// Appends what a file begins with.
    pub fn begin(&self, out: &mut Vec<u8>) {
        if let Self::Csv { columns, header: true, style } = self {
            row(columns.iter().map(|c| c.name.clone()), *style, out);
            out.push(b'\n');
        }
    }
}

fn object(members: &[Member], record: &SinkRecord) -> String {
    let mut line = Map::new();
    for member in members {
        if *member != Member::Headers || !record.headers.is_empty() {
            line.insert(member.name().to_owned(), member.of(record));
        }
    }
    Json::Object(line).to_string()
}

fn cells(columns: &[Column], style: CsvStyle, record: &SinkRecord, out: &mut Vec<u8>) {
    // Several columns are mostly of one value.
    let (key, value) = (to_json(&record.key), to_json(&record.value));
    row(
        columns.iter().map(|column| {
            let own;
            let mut found = match column.root {
                Member::Key => Some(&key),
                Member::Value => Some(&value),
                Member::Headers if !column.path.is_empty() => {
                    own = record.headers.last(&column.path[0]).map(|h| to_json(&h.value));
                    own.as_ref()
                }
                other => {
                    own = Some(other.of(record));
                    own.as_ref()
                }
            };
            let inner = usize::from(column.root == Member::Headers).min(column.path.len());
            for part in &column.path[inner..] {
                found = match found {
                    Some(Json::Array(items)) => part.parse::<usize>().ok().and_then(|at| items.get(at)),
                    Some(other) => other.get(part),
                    None => None,
                };
            }
            match found {
                None | Some(Json::Null) => String::new(),
                Some(Json::String(text)) => text.clone(),
                Some(other) => other.to_string(),
            }
        }),
        style,
        out,
    );
}

fn row(cells: impl ExactSizeIterator<Item = String>, style: CsvStyle, out: &mut Vec<u8>) {
    let CsvStyle { separator, always_quoted } = style;
    // A line without anything would be no row.
    let alone = cells.len() == 1;
    for (at, cell) in cells.enumerate() {
        if at > 0 {
            out.extend(separator.encode_utf8(&mut [0; 4]).as_bytes());
        }
        if always_quoted || cell.contains(['"', separator, '\n', '\r']) || (alone && cell.is_empty()) {
            out.push(b'"');
            out.extend(cell.replace('"', "\"\"").into_bytes());
            out.push(b'"');
        } else {
            out.extend(cell.into_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use connect_api::{Origin, Record, TimestampType, Value};

    use super::*;

    fn record(value: Value) -> SinkRecord {
        let mut record = Record::new("t");
        (record.key, record.value, record.timestamp) = ("k".into(), value, Some(5));
        let origin = Origin { topic: "t".into(), partition: 2, offset: 7, timestamp_type: TimestampType::CreateTime };
        SinkRecord { record, origin }
    }

    const COMMAS: CsvStyle = CsvStyle { separator: ',', always_quoted: false };

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|s| (*s).to_owned()).collect()
    }

    #[test]
    fn objects_have_the_chosen_members_in_their_order() {
        let mut with_header = record(Value::map([("a", Value::Int64(1))]));
        let line = |members: &[&str], record: &SinkRecord| {
            Lines::Record(Member::list(&names(members)).expect("names")).text(record).expect("line")
        };
        assert_eq!(line(&["value", "offset", "headers"], &with_header), r#"{"value":{"a":1},"offset":7}"#);
        with_header.headers.add_string("h", "x");
        assert_eq!(line(&["headers"], &with_header), r#"{"headers":[{"key":"h","value":"x"}]}"#);
        assert_eq!(Lines::Value.text(&with_header).expect("line"), r#"{"a":1}"#);
    }

    #[test]
    fn cells_are_quoted_where_they_have_to_be() {
        let mut record = record(Value::map([
            ("text", Value::from("say \"hi\",\r\nyou")),
            ("null", Value::Null),
            ("list", Value::array(vec![Value::Int64(1), Value::map([("x", Value::Boolean(true))])])),
        ]));
        record.headers.add_string("h", "one").add_string("h", "two");
        let columns = names(&[
            "key",
            "text=value.text",
            "value.null",
            "value.gone.deeper",
            "value.list",
            "value.list.1.x",
            "headers.h",
            "offset",
            "topic",
        ]);
        let lines = Lines::Csv { columns: Column::list(&columns).expect("columns"), header: true, style: COMMAS };
        let expected = "k,\"say \"\"hi\"\",\r\nyou\",,,\"[1,{\"\"x\"\":true}]\",true,two,7,t";
        assert_eq!(lines.text(&record).expect("line"), expected);
        let mut first = Vec::new();
        lines.begin(&mut first);
        assert_eq!(first, b"key,text,value.null,value.gone.deeper,value.list,value.list.1.x,headers.h,offset,topic\n");
        let alone = Lines::Csv {
            columns: Column::list(&names(&["value.null"])).expect("column"),
            header: false,
            style: COMMAS,
        };
        assert_eq!(alone.text(&record).expect("line"), "\"\"");
        let style = CsvStyle { separator: ';', always_quoted: false };
        let other = Column::list(&names(&["text=value.text", "a,b=value.list.0", "a;b=key"])).expect("columns");
        let lines = Lines::Csv { columns: other.clone(), header: true, style };
        assert_eq!(lines.text(&record).expect("line"), "\"say \"\"hi\"\",\r\nyou\";1;k");
        let mut first = Vec::new();
        lines.begin(&mut first);
        assert_eq!(first, b"text;a,b;\"a;b\"\n");
        let style = CsvStyle { separator: '\t', always_quoted: true };
        let lines = Lines::Csv { columns: other, header: true, style };
        assert_eq!(lines.text(&record).expect("line"), "\"say \"\"hi\"\",\r\nyou\"\t\"1\"\t\"k\"");
        for wrong in ["", "nope", "value..x", "topic.x"] {
            assert!(Column::list(&names(&[wrong])).is_err(), "{wrong}");
        }
    }

    #[test]
    fn templates_know_the_offset_and_leave_blanks_for_null() {
        let template = Template::parse("{{offset}} {{key}}:{{value.x}}", connect_api::template::Escape::Prose);
        let lines = Lines::Template(template.expect("template"));
        assert_eq!(lines.text(&record(Value::map([("x", Value::Null)]))).expect("line"), "7 k:");
        assert_eq!(lines.text(&record(Value::Null)).expect_err("no x").class(), connect_api::ErrorClass::Data);
    }
}
