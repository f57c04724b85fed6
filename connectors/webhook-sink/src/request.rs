//! From a record to the parts of a request; pure.

use connect_api::{
    Error, ErrorClass, Result, SinkRecord, Value,
    json::to_json,
    template::{Escape, Template, record_names},
};
use connector_http::{
    Method, Url,
    header::{HeaderName, HeaderValue},
};
use regex::Regex;
use serde_json::{Map, Value as Json};

/// Where a request goes, and what it carries beside its body.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// Method.
    pub method: Method,
    /// URL.
    pub url: Url,
    /// Headers that are settings of the connector.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What keeps records apart that could share a request.
    pub group: String,
}

/// What a record gives to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Where it goes.
    pub place: Place,
    /// The body; none where the request has none.
    pub body: Option<Vec<u8>>,
}

/// What to do with tombstones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnTombstone {
    /// Send them as other records.
    Send,
    /// Skip them.
    Ignore,
    /// Send a DELETE without body.
    Delete,
    /// They are bad records.
    Refuse,
}

/// What the body is made of.
#[derive(Debug, Clone)]
pub enum Body {
    /// Topic, partition, offset, time stamp, key, value and headers as JSON.
    Record,
    /// The value: texts and bytes as they are, all else as JSON.
    Value,
    /// The value as JSON.
    Json,
    /// What a template says.
    Template(Template),
    /// There is none.
    None,
}

/// The URL of requests.
#[derive(Debug, Clone)]
pub struct UrlTemplate {
    template: Template,
    /// Where no record decides it.
    fixed: Option<Url>,
    /// The setting.
    key: &'static str,
}

/// A header and where its value comes from.
#[derive(Debug, Clone)]
pub enum HeaderPlan {
    /// The same for every request.
    Fixed(HeaderName, HeaderValue),
    /// A template over the record. The value is never shown if it is secret.
    Template {
        /// Name.
        name: HeaderName,
        /// Value.
        value: Template,
        /// Whether the value is hidden.
        secret: bool,
    },
}

/// Adds names to those that templates know of a record.
pub type MoreNames = fn(&SinkRecord) -> Result<Map<String, Json>>;

/// All templates and choices that make a request of a record.
#[derive(Debug, Clone)]
pub struct RequestPlan {
    /// URL.
    pub url: UrlTemplate,
    /// Method.
    pub method: Method,
    /// Headers, but for the content type.
    pub headers: Vec<HeaderPlan>,
    /// Content type of bodies.
    pub content_type: HeaderValue,
    /// Body.
    pub body: Body,
    /// Replaced in bodies, one behind the other.
    pub edits: Vec<(Regex, String)>,
    /// Template of what keeps records apart that could share a request.
    pub group: Option<Template>,
    /// Tombstones.
    pub tombstones: OnTombstone,
    /// Names beside those of the record.
    pub more_names: Option<MoreNames>,
    /// Names that are the same for every record, such as secrets.
    pub fixed_names: Map<String, Json>,
}

impl UrlTemplate {
    /// Parses the template, which is the value of this setting.
    pub fn new(source: &str, key: &'static str) -> Result<Self> {
        let template = Template::parse(source, Escape::Url).map_err(|e| without_source(&e, source, key))?;
        let constant = !source.contains("{{") && !source.contains("{%") && !source.contains("{#");
        let fixed = constant.then(|| checked(source, key)).transpose()?;
        Ok(Self { template, fixed, key })
    }

    /// Takes the text as it is, whatever a template would make of it.
    pub fn fixed_as(text: &str, key: &'static str) -> Result<Self> {
        let url = checked(text, key)?;
        let template = Template::parse(&literal(text), Escape::Url).map_err(|e| without_source(&e, text, key))?;
        Ok(Self { template, fixed: Some(url), key })
    }

    /// The URL of all requests, if no record decides it.
    pub fn fixed(&self) -> Option<&Url> {
        self.fixed.as_ref()
    }

    /// Scheme, host and port of the URL; `None` where they depend on the record.
    pub fn server(&self) -> Option<Url> {
        if let Some(url) = &self.fixed {
            return Some(url.clone());
        }
        let source = self.template.source();
        let (scheme, rest) = source.split_once("://")?;
        let host = rest.split(['/', '?', '#']).next().filter(|host| !host.contains('{'))?;
        Url::parse(&format!("{scheme}://{host}")).ok()
    }

    fn render(&self, names: &Json) -> Result<Url> {
        if let Some(url) = &self.fixed {
            return Ok(url.clone());
        }
        let rendered = self.template.render_names(names);
        let text = rendered.map_err(|e| without_source(&e, self.template.source(), self.key))?;
        checked(&text, self.key).map_err(|e| {
            let error = Error::data("making the URL of a request");
            match std::error::Error::source(&e) {
                Some(why) => error.caused_by(why.to_string()),
                None => error,
            }
        })
    }
}

impl RequestPlan {
    /// What a record gives to a request; none where nothing is sent.
    pub fn part(&self, record: &SinkRecord) -> Result<Option<Part>> {
        let tombstone = record.value.is_null();
        match self.tombstones {
            OnTombstone::Ignore if tombstone => return Ok(None),
            OnTombstone::Refuse if tombstone => {
                return Err(Error::data("making a request of a record without a value, which the settings refuse"));
            }
            _ => {}
        }
        let names = self.names(record)?;
        let delete = tombstone && self.tombstones == OnTombstone::Delete;
        let (method, body) = match delete {
            true => (Method::DELETE, None),
            false => (self.method.clone(), self.body(record, &names)?),
        };
        let group = self.group.as_ref().map(|template| template.render_names(&names)).transpose()?;
        let mut headers = Vec::with_capacity(self.headers.len() + 1);
        for header in &self.headers {
            let (name, value) = header.render(&names)?;
            headers.push((name, value));
        }
        let has_type = headers.iter().any(|(name, _)| name == "content-type");
        if body.is_some() && !has_type {
            headers.push((connector_http::header::CONTENT_TYPE, self.content_type.clone()));
        }
        let place = Place { method, url: self.url.render(&names)?, headers, group: group.unwrap_or_default() };
        Ok(Some(Part { place, body }))
    }

    /// The names that templates know.
    pub fn names(&self, record: &SinkRecord) -> Result<Json> {
        let mut names = record_names(record);
        names.insert("offset".to_owned(), Json::from(record.origin.offset));
        if let Some(more) = self.more_names {
            names.extend(more(record)?);
        }
        names.extend(self.fixed_names.clone());
        Ok(Json::Object(names))
    }

    fn body(&self, record: &SinkRecord, names: &Json) -> Result<Option<Vec<u8>>> {
        let body = match &self.body {
            Body::None => return Ok(None),
            Body::Record => names.to_string().into_bytes(),
            Body::Value => match &record.value {
                Value::String(text) => text.as_bytes().to_vec(),
                Value::Bytes(bytes) => bytes.to_vec(),
                other => to_json(other).to_string().into_bytes(),
            },
            Body::Json => to_json(&record.value).to_string().into_bytes(),
            Body::Template(template) => template.render_names(names)?.into_bytes(),
        };
        if self.edits.is_empty() {
            return Ok(Some(body));
        }
        let text = String::from_utf8(body)
            .map_err(|e| Error::data("replacing in the body of a request: it is no text").caused_by(e.utf8_error()))?;
        let edited =
            self.edits.iter().fold(text, |text, (found, by)| found.replace_all(&text, by.as_str()).into_owned());
        Ok(Some(edited.into_bytes()))
    }
}

impl HeaderPlan {
    /// Parses a header's value. A value without templates is refused now if it cannot be sent. Reasons hold no values:
    /// some are secrets.
    pub fn new(name: &str, value: &str, secret: bool) -> Result<Self, String> {
        if !value.contains("{{") && !value.contains("{%") {
            return Self::fixed(name, value, secret);
        }
        let parsed = HeaderName::from_bytes(name.as_bytes());
        let name = parsed.map_err(|_| format!("{name:?} cannot be the name of a header"))?;
        let template = Template::parse(value, Escape::None);
        let value = template.map_err(|e| match secret {
            true => format!("The template of header {name} cannot be read"),
            false => e.one_line(),
        })?;
        Ok(Self::Template { name, value, secret })
    }

    /// A header whose value is the same for every request.
    pub fn fixed(name: &str, value: &str, secret: bool) -> Result<Self, String> {
        let parsed = HeaderName::from_bytes(name.as_bytes());
        let name = parsed.map_err(|_| format!("{name:?} cannot be the name of a header"))?;
        self::value(&name, value, secret).map(|value| Self::Fixed(name.clone(), value))
    }

    /// Whether the value depends on the record.
    pub fn is_template(&self) -> bool {
        matches!(self, Self::Template { .. })
    }

    fn render(&self, names: &Json) -> Result<(HeaderName, HeaderValue)> {
        match self {
            Self::Fixed(name, value) => Ok((name.clone(), value.clone())),
            Self::Template { name, value, secret } => {
                let doing = || Error::data(format!("making the header {name} of a request"));
                let text = value.render_names(names).map_err(|e| match secret {
                    true => without_source(&e, value.source(), "the header's template"),
                    false => e,
                })?;
                let made = self::value(name, &text, *secret).map_err(|why| doing().caused_by(why))?;
                Ok((name.clone(), made))
            }
        }
    }
}

/// A template that says this text.
pub fn literal(text: &str) -> String {
    if !text.contains('{') && !text.contains('}') {
        return text.to_owned();
    }
    let quoted = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{{{{ \"{quoted}\"|safe }}}}")
}

fn value(name: &HeaderName, text: &str, secret: bool) -> Result<HeaderValue, String> {
    let printable = |text: &&str| text.chars().all(|c| matches!(c, ' '..='~' | '\t'));
    let value = Some(text.trim()).filter(printable).and_then(|text| HeaderValue::from_str(text).ok());
    let mut value = value.ok_or_else(|| format!("The value of header {name} is not printable ASCII"))?;
    value.set_sensitive(secret && name != "content-type");
    Ok(value)
}

fn checked(text: &str, key: &str) -> Result<Url> {
    let wrong = |why: String| Error::fatal(format!("reading {key}")).caused_by(why);
    let path = text.split(['?', '#']).next().unwrap_or_default();
    // URLs resolve dots, so that a key of two of them would reach another path.
    if path.split('/').any(|segment| segment == "." || segment == "..") {
        return Err(wrong("a segment of its path consists of dots".into()));
    }
    let url = Url::parse(text).map_err(|e| wrong(e.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("it starts neither with http:// nor with https://".into()));
    }
    Ok(url)
}

// A template's errors quote it, but some hold secrets.
fn without_source(e: &Error, source: &str, key: &str) -> Error {
    let message = e.message().replace(&format!("{source:?}"), key);
    if e.class() == ErrorClass::Data { Error::data(message) } else { Error::fatal(message) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use connect_api::{Origin, Record, TimestampType};

    pub(crate) fn record(key: &str, value: Value) -> SinkRecord {
        let mut record = Record::new("t");
        (record.key, record.value) = (key.into(), value);
        let origin = Origin { topic: "t".into(), partition: 0, offset: 7, timestamp_type: TimestampType::CreateTime };
        SinkRecord { record, origin }
    }

    fn plan(url: &str, body: Body) -> Result<RequestPlan> {
        Ok(RequestPlan {
            url: UrlTemplate::new(url, "webhook.url")?,
            method: Method::POST,
            headers: Vec::new(),
            content_type: HeaderValue::from_static("application/json"),
            body,
            edits: Vec::new(),
            group: None,
            tombstones: OnTombstone::Send,
            more_names: None,
            fixed_names: Map::new(),
        })
    }

    fn part(plan: &RequestPlan, record: &SinkRecord) -> Result<Part> {
        plan.part(record).map(|part| part.expect("something is sent"))
    }

    fn url(template: &str, key: &str) -> Result<Url> {
        plan(template, Body::None).and_then(|plan| part(&plan, &record(key, Value::Null))).map(|part| part.place.url)
    }

    fn body(plan: &RequestPlan, record: &SinkRecord) -> Result<String> {
        part(plan, record).map(|part| String::from_utf8(part.body.expect("a body")).expect("text"))
    }

    fn template(source: &str) -> Body {
        Body::Template(Template::parse(source, Escape::Json).expect("template"))
    }

    #[test]
    fn urls_encode_what_they_insert() {
        let made = url("https://h/a/{{key}}?o={{offset}}&token=x", "b/c d?#%").expect("url");
        assert_eq!(made.as_str(), "https://h/a/b%2Fc%20d%3F%23%25?o=7&token=x");
    }

    #[test]
    fn keys_cannot_leave_their_place_in_the_path() {
        for key in ["..", "."] {
            let e = url("http://h/a/{{key}}/x", key).expect_err("dots");
            assert_eq!(e.class(), ErrorClass::Data);
        }
        assert_eq!(url("http://h/a/{{key}}", "../b").expect("url").path(), "/a/..%2Fb");
        assert_eq!(url("{{key}}://h", "ftp").expect_err("scheme").class(), ErrorClass::Data);
        assert_eq!(url("ftp://h", "k").expect_err("scheme").class(), ErrorClass::Fatal);
    }

    #[test]
    fn the_server_is_known_where_no_record_decides_it() {
        let server =
            |url: &str| UrlTemplate::new(url, "webhook.url").expect("template").server().map(|u| u.to_string());
        assert_eq!(server("http://h:1/{{key}}?x=y").as_deref(), Some("http://h:1/"));
        assert_eq!(server("https://h").as_deref(), Some("https://h/"));
        assert_eq!(server("http://{{key}}/x"), None);
        assert_eq!(server("{{value}}"), None);
    }

    #[test]
    fn what_is_null_is_no_word_of_a_url_or_body() {
        let mut keyless = record("", Value::Null);
        keyless.record.key = Value::Null;
        let with_key = plan("http://h/{{key}}?token=secret", Body::None).expect("plan");
        let e = part(&with_key, &keyless).expect_err("null");
        assert_eq!(e.class(), ErrorClass::Data);
        assert!(e.message().starts_with("rendering the template webhook.url: key is null;"), "{e:?}");
        let plan = plan("http://h", template(r#"{"key": {{key}}, "m": {{value.m}}}"#)).expect("plan");
        let e = body(&plan, &keyless).expect_err("unknown");
        assert!(
            e.message().contains(r#"{\"key\": {{key}}"#) && e.message().contains("value.m does not exist"),
            "{e:?}"
        );
        keyless.record.value = Value::map([("m", Value::Null)]);
        assert_eq!(body(&plan, &keyless).expect("body"), r#"{"key": null, "m": null}"#);
    }

    #[test]
    fn errors_do_not_show_the_url() {
        let e = url("http://h/{{value.x}}?token=secret", "k").expect_err("unknown");
        assert_eq!(e.class(), ErrorClass::Data);
        assert!(!e.report().contains("secret"), "{e:?}");
        let e = UrlTemplate::new("http://h/{{?token=secret", "webhook.url").expect_err("syntax");
        assert!(!e.report().contains("secret"), "{e:?}");
    }

    #[test]
    fn bodies_are_the_record_its_value_or_a_template_of_json() {
        let made =
            |kind: Body, value: Value| body(&plan("http://h", kind).expect("plan"), &record("k", value)).expect("body");
        let value = Value::map([("m", Value::from("say \"hi\""))]);
        assert_eq!(
            made(Body::Record, value.clone()),
            r#"{"topic":"t","partition":null,"timestamp":null,"key":"k","value":{"m":"say \"hi\""},"headers":{},"offset":7}"#
        );
        assert_eq!(made(template(r#"{"text": {{value.m}}}"#), value.clone()), r#"{"text": "say \"hi\""}"#);
        assert_eq!(made(Body::Value, value), r#"{"m":"say \"hi\""}"#);
        assert_eq!(made(Body::Value, "a \"b\"".into()), "a \"b\"");
        assert_eq!(made(Body::Json, "a \"b\"".into()), r#""a \"b\"""#);
        assert_eq!(made(Body::Value, Value::Bytes(b"raw"[..].into())), "raw");
    }

    #[test]
    fn headers_are_templates_whose_secrets_stay_hidden() {
        let mut plan = plan("http://h", Body::Value).expect("plan");
        plan.headers = vec![
            HeaderPlan::new("X-Id", "{{topic}}-{{offset}}", false).expect("header"),
            HeaderPlan::new("X-Key", "s3cret-{{key}}", true).expect("header"),
        ];
        let made = part(&plan, &record("k", "v".into())).expect("part").place.headers;
        assert_eq!(
            made.iter().map(|(n, v)| (n.as_str(), v.as_bytes())).collect::<Vec<_>>(),
            [("x-id", b"t-7".as_slice()), ("x-key", b"s3cret-k"), ("content-type", b"application/json")]
        );
        assert!(made[1].1.is_sensitive() && !made[0].1.is_sensitive());
        for key in ["é\n", ""] {
            let mut bad = record(key, "v".into());
            if key.is_empty() {
                bad.record.key = Value::Null;
            }
            let e = part(&plan, &bad).expect_err("no header");
            assert!(e.class() == ErrorClass::Data && !e.report().contains("s3cret"), "{}", e.report());
        }
        assert!(!HeaderPlan::new("X", "s3cret {{", true).expect_err("syntax").contains("s3cret"));
    }

    #[test]
    fn bodies_are_edited_in_order() {
        let mut plan = plan("http://h", Body::Value).expect("plan");
        let edit = |found: &str, by: &str| (Regex::new(found).expect("regex"), by.to_owned());
        plan.edits = vec![edit("a(.)", "<$1>"), edit("^|$", "~")];
        assert_eq!(body(&plan, &record("k", "abac".into())).expect("body"), "~<b><c>~");
        assert!(body(&plan, &record("k", Value::Bytes(vec![0xFF].into()))).is_err());
    }
}
