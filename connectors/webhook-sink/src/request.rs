//! From a record to the URL and the body of a request.

use connect_api::{
    Error, ErrorClass, Result, SinkRecord,
    template::{Escape, Template, record_names},
};
use connector_http::Url;
use serde_json::{Map, Value as Json};

/// The templates of a request.
#[derive(Debug, Clone)]
pub struct Plan {
    url: Template,
    body: Option<Template>,
}

impl Plan {
    /// Parses the templates.
    pub fn new(url: &str, body: Option<&str>) -> Result<Self> {
        let url = Template::parse(url, Escape::Url).map_err(|e| without_source(&e, url))?;
        let body = body.map(|source| Template::parse(source, Escape::Json)).transpose()?;
        Ok(Self { url, body })
    }

    /// The URL for a record.
    pub fn url(&self, record: &SinkRecord) -> Result<Url> {
        let rendered = self.url.render(record, extra(record));
        let text = rendered.map_err(|e| without_source(&e, self.url.source()))?;
        let wrong = |why: String| Error::data("making the URL of a request").caused_by(why);
        let path = text.split(['?', '#']).next().unwrap_or_default();
        // URLs resolve dots, so that a key of two of them would reach another path.
        if path.split('/').any(|segment| segment == "." || segment == "..") {
            return Err(wrong("a segment of its path consists of dots".into()));
        }
        let url = Url::parse(&text).map_err(|e| wrong(e.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("it starts neither with http:// nor with https://".into()));
        }
        Ok(url)
    }

    /// Scheme, host and port of the URL; `None` where they depend on the record.
    pub fn server(&self) -> Option<Url> {
        let source = self.url.source();
        let (scheme, rest) = source.split_once("://")?;
        let host = rest.split(['/', '?', '#']).next().filter(|host| !host.contains('{'))?;
        Url::parse(&format!("{scheme}://{host}")).ok()
    }

    /// The body for a record.
    pub fn body(&self, record: &SinkRecord) -> Result<String> {
        match &self.body {
            Some(template) => template.render(record, extra(record)),
            None => {
                let mut names = record_names(record);
                names.extend(extra(record));
                Ok(Json::Object(names).to_string())
            }
        }
    }
}

fn extra(record: &SinkRecord) -> Map<String, Json> {
    Map::from_iter([("offset".to_owned(), Json::from(record.origin.offset))])
}

// A template's errors quote it, but URLs may hold secrets.
fn without_source(e: &Error, source: &str) -> Error {
    let message = e.message().replace(&format!("{source:?}"), "webhook.url");
    if e.class() == ErrorClass::Data { Error::data(message) } else { Error::fatal(message) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use connect_api::{Origin, Record, TimestampType, Value};

    fn record(key: &str, value: Value) -> SinkRecord {
        let mut record = Record::new("t");
        (record.key, record.value) = (key.into(), value);
        let origin = Origin { topic: "t".into(), partition: 0, offset: 7, timestamp_type: TimestampType::CreateTime };
        SinkRecord { record, origin }
    }

    fn url(template: &str, key: &str) -> Result<Url> {
        Plan::new(template, None).expect("template").url(&record(key, Value::Null))
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
    }

    #[test]
    fn the_server_is_known_where_no_record_decides_it() {
        let server = |url: &str| Plan::new(url, None).expect("template").server().map(|u| u.to_string());
        assert_eq!(server("http://h:1/{{key}}?x=y").as_deref(), Some("http://h:1/"));
        assert_eq!(server("https://h").as_deref(), Some("https://h/"));
        assert_eq!(server("http://{{key}}/x"), None);
        assert_eq!(server("{{value}}"), None);
    }

    #[test]
    fn what_is_null_is_no_word_of_a_url_or_body() {
        let mut keyless = record("", Value::Null);
        keyless.record.key = Value::Null;
        let plan =
            Plan::new("http://h/{{key}}?token=secret", Some(r#"{"key": {{key}}, "m": {{value.m}}}"#)).expect("plan");
        let e = plan.url(&keyless).expect_err("null");
        assert_eq!(e.class(), ErrorClass::Data);
        assert!(e.message().starts_with("rendering the template webhook.url: key is null;"), "{e:?}");
        let e = plan.body(&keyless).expect_err("unknown");
        assert!(
            e.message().contains(r#"{\"key\": {{key}}"#) && e.message().contains("value.m does not exist"),
            "{e:?}"
        );
        keyless.record.value = Value::map([("m", Value::Null)]);
        assert_eq!(plan.body(&keyless).expect("body"), r#"{"key": null, "m": null}"#);
    }

    #[test]
    fn errors_do_not_show_the_url() {
        let e = url("http://h/{{value.x}}?token=secret", "k").expect_err("unknown");
        assert_eq!(e.class(), ErrorClass::Data);
        assert!(!e.report().contains("secret"), "{e:?}");
        let e = Plan::new("http://h/{{?token=secret", None).expect_err("syntax");
        assert!(!e.report().contains("secret"), "{e:?}");
    }

    #[test]
    fn bodies_are_the_record_or_a_template_of_json() {
        let value = Value::map([("m", Value::from("say \"hi\""))]);
        let plan = Plan::new("http://h", None).expect("plan");
        assert_eq!(
            plan.body(&record("k", value.clone())).expect("body"),
            r#"{"topic":"t","partition":null,"timestamp":null,"key":"k","value":{"m":"say \"hi\""},"headers":{},"offset":7}"#
        );
        let plan = Plan::new("http://h", Some(r#"{"text": {{value.m}}}"#)).expect("plan");
        assert_eq!(plan.body(&record("k", value)).expect("body"), r#"{"text": "say \"hi\""}"#);
    }
}
