//! What becomes of records: the one description that all kinds of settings are turned into.

use std::borrow::Cow;

use connect_api::{Error, Record, Result, Topic, Value, template::Template};

use crate::moment::Time;

connect_api::config_enum! {
    /// What becomes of bytes.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub enum BytesAs {
        /// Text in base64.
        #[default]
        Base64 = "base64",
        /// Text in hexadecimal digits.
        Hex = "hex",
        /// No field.
        Skip = "skip",
    }
}

/// How records of a topic, or of all, become points.
#[derive(Debug, Clone)]
pub struct Statement {
    /// The topic; none for all.
    pub topic: Option<Topic>,
    /// The measurement.
    pub measurement: Measurement,
    /// The tags, sorted by name, which servers index faster.
    pub tags: Vec<Tag>,
    /// A member of the value whose members are tags, too, whatever their names.
    pub tag_members: Option<String>,
    /// What is written as fields.
    pub columns: Vec<Column>,
    /// The point's time.
    pub time: Time,
    /// What becomes of bytes.
    pub bytes: BytesAs,
    /// Whether a value that is text is JSON.
    pub reads_json: bool,
}

/// Key or value of a record, or something in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Of the key instead of the value.
    pub of_key: bool,
    /// Names joined by dots; empty for the whole.
    pub path: String,
}

/// A name that is written, and where its value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// The tag's name.
    pub name: String,
    /// Its value.
    pub source: Source,
}

/// Where a tag's value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The settings.
    Constant(String),
    /// The record.
    Place(Place),
}

/// A part of the record that is written as fields: one for a plain value, several for what has parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The part.
    pub place: Place,
    /// The field's name, or what the names of several begin with; empty if their own names do.
    pub name: String,
    /// What is left out of the part, by names in it joined by dots, sorted.
    pub except: Vec<String>,
}

/// The measurement of a point.
#[derive(Debug, Clone)]
pub enum Measurement {
    /// The record's topic.
    Topic,
    /// Always the same.
    Fixed(String),
    /// A text in which `${topic}` stands for the topic.
    Format(String),
    /// A template.
    Template(Template),
    /// What a member says; where it is missing or null, the other.
    Member(Place, Box<Measurement>),
}

impl Statement {
    /// A statement for all topics: everything that is in the value is a field.
    pub fn new(measurement: Measurement, time: Time) -> Self {
        Self {
            topic: None,
            measurement,
            tags: Vec::new(),
            tag_members: None,
            columns: vec![Column::new(Place::value(""), "", [])],
            time,
            bytes: BytesAs::default(),
            reads_json: false,
        }
    }

    /// Sets the tags. The error is a reason: two tags of one name, or one that servers do not take.
    pub fn with_tags(mut self, mut tags: Vec<Tag>) -> Result<Self, String> {
        tags.sort_by(|a, b| a.name.cmp(&b.name));
        if let Some(two) = tags.windows(2).find(|two| two[0].name == two[1].name) {
            return Err(format!("two tags are called {}", two[0].name));
        }
        if tags.iter().any(|tag| tag.name == "time") {
            return Err("a tag cannot be called time: write time as another name".into());
        }
        self.tags = tags;
        Ok(self)
    }

    /// Whether a tag is of the key, so that tombstones of different keys are different points.
    pub fn has_key_tag(&self) -> bool {
        self.tags.iter().any(|tag| matches!(&tag.source, Source::Place(place) if place.of_key))
    }
}

impl Place {
    /// A part of the value; an empty path is the whole.
    pub fn value(path: impl Into<String>) -> Self {
        Self { of_key: false, path: path.into() }
    }

    /// Reads a path in the value, `_key` for the key or `_key.path` for what is in it.
    pub fn parse(text: &str) -> Self {
        match text.strip_prefix("_key") {
            Some("") => Self { of_key: true, path: String::new() },
            Some(rest) if rest.starts_with('.') => Self { of_key: true, path: rest[1..].into() },
            _ => Self::value(text),
        }
    }

    /// What is there of a record with this value; `None` if it is missing.
    pub fn find<'a>(&self, record: &'a Record, value: &'a Value) -> Option<&'a Value> {
        find(if self.of_key { &record.key } else { value }, &self.path)
    }
}

impl Tag {
    /// Reads `member`, `_key`, `_key.member`, each followed by ` as name` or not, or `name=text`. The error is a reason.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (source, name) = match (text.split_once(" as "), text.split_once('=')) {
            (Some((source, name)), _) => (Source::Place(Place::parse(source.trim())), name),
            (None, Some((name, constant))) => (Source::Constant(constant.trim().into()), name),
            (None, None) => (Source::Place(Place::parse(text.trim())), text),
        };
        let nothing = match &source {
            Source::Constant(text) => text.is_empty(),
            Source::Place(place) => !place.of_key && place.path.is_empty(),
        };
        if nothing || name.trim().is_empty() {
            return Err("a tag is empty".into());
        }
        Ok(Self { name: name.trim().into(), source })
    }
}

impl Column {
    /// A column.
    pub fn new(place: Place, name: impl Into<String>, except: impl IntoIterator<Item = String>) -> Self {
        let mut except: Vec<String> = except.into_iter().collect();
        except.sort();
        except.dedup();
        Self { place, name: name.into(), except }
    }

    /// Whether a part is left out, by its path in the column.
    pub fn leaves_out(&self, path: &str) -> bool {
        !self.except.is_empty() && self.except.binary_search_by(|e| e.as_str().cmp(path)).is_ok()
    }
}

impl Measurement {
    /// Reads a template, whose simplest forms need none.
    pub fn parse(source: &str) -> Result<Self> {
        let inside = source.strip_prefix("{{").and_then(|s| s.strip_suffix("}}"));
        Ok(match inside.map(str::trim) {
            Some("topic") => Self::Topic,
            _ if !source.contains('{') => Self::Fixed(source.to_owned()),
            _ => Self::Template(Template::parse(source, connect_api::template::Escape::None)?),
        })
    }

    /// The measurement's name for a record with this value. Errors are data errors.
    pub fn of<'a>(&'a self, record: &'a Record, value: &'a Value) -> Result<Cow<'a, str>> {
        let name = match self {
            Self::Topic => Cow::Borrowed(&*record.topic),
            Self::Fixed(name) => Cow::Borrowed(name.as_str()),
            Self::Format(format) => Cow::Owned(format.replace("${topic}", &record.topic)),
            Self::Template(template) => Cow::Owned(template.render(record, Default::default())?),
            Self::Member(place, otherwise) => match place.find(record, value) {
                None | Some(Value::Null) => return otherwise.of(record, value),
                Some(Value::String(text)) => Cow::Borrowed(&**text),
                Some(found @ (Value::Array(_) | Value::Map(_) | Value::Struct(_))) => {
                    let kind = found.java_class();
                    return Err(Error::data(format!("naming the measurement: member {} is a {kind}", place.path)));
                }
                Some(other) => Cow::Owned(other.to_string()),
            },
        };
        if name.is_empty() {
            return Err(Error::data("naming the measurement: the name is empty"));
        }
        Ok(name)
    }
}

/// A member by its name, nested ones as `a.b`; a name that itself has a dot is found, too. The empty path is the value.
fn find<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    if path.is_empty() {
        return Some(value);
    }
    if let Some(found) = value.get(path) {
        return Some(found);
    }
    path.match_indices('.').find_map(|(at, _)| find(value.get(&path[..at])?, &path[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use connect_api::ErrorClass;

    #[test]
    fn tags_are_members_parts_of_the_key_or_constants() {
        let tag = |text| Tag::parse(text).expect("tag");
        let of = |name: &str, of_key, path: &str| Tag {
            name: name.into(),
            source: Source::Place(Place { of_key, path: path.into() }),
        };
        assert_eq!(tag("a.b"), of("a.b", false, "a.b"));
        assert_eq!(tag("_key"), of("_key", true, ""));
        assert_eq!(tag("_key.id as id"), of("id", true, "id"));
        assert_eq!(tag("_keys"), of("_keys", false, "_keys"));
        assert_eq!(tag("a as b=c"), of("b=c", false, "a"));
        assert_eq!(tag("site = north"), Tag { name: "site".into(), source: Source::Constant("north".into()) });
        for wrong in ["", "a as ", " as a", "=a", "a="] {
            assert!(Tag::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn plain_measurements_need_no_template() {
        let record = Record::new("alarms");
        let of = |m: &Measurement| m.of(&record, &Value::Null).map(Cow::into_owned);
        let parsed = |source: &str| Measurement::parse(source).expect("right");
        assert!(matches!(parsed("{{ topic }}"), Measurement::Topic));
        assert!(matches!(parsed("fixed"), Measurement::Fixed(_)));
        assert_eq!(of(&parsed("x-{{topic}}")).expect("name"), "x-alarms");
        assert_eq!(of(&Measurement::Format("kafka_${topic}".into())).expect("name"), "kafka_alarms");
        let e = of(&parsed("x-{{key}}")).expect_err("no key");
        assert!(e.class() == ErrorClass::Data && e.message().contains("key is null"), "{e}");
    }

    #[test]
    fn a_member_names_the_measurement_where_it_is_there() {
        let record = Record::new("t");
        let measurement = Measurement::Member(Place::value("m.n"), Measurement::Topic.into());
        let named = |value: Value| {
            let value = Value::map([("m", Value::map([("n", value)]))]);
            measurement.of(&record, &value).map(Cow::into_owned)
        };
        assert_eq!(named("x".into()).expect("text"), "x");
        assert_eq!(named(Value::Int32(7)).expect("number"), "7");
        assert_eq!(named(Value::Null).expect("other"), "t");
        assert_eq!(named("".into()).expect_err("empty").message(), "naming the measurement: the name is empty");
        assert!(named(Value::array(vec![])).expect_err("list").message().contains("m.n is a java.util.ArrayList"));
    }
}
