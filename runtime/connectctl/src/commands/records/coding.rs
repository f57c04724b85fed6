//! Texts as the bytes of keys and values.

use std::{fs, path::PathBuf};

use connect_api::Bytes;
use connect_converters::AvroFromJson;
use serde_json::{Value as Json, value::RawValue};

use super::super::Context;
use crate::{error::Failure, exact::Exact};

/// What a key or a value is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Form {
    /// The text as it is.
    String,
    /// The text, which has to be JSON.
    Json,
    /// JSON written as Avro, with the schema's id in front.
    Avro,
}

/// Where the schema is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SchemaPlace {
    /// The registry, under this id.
    Id(i32),
    /// The registry, as this subject's version; the latest if none is said.
    Subject(String, Option<i32>),
    /// A file.
    File(PathBuf),
    /// Here.
    Text(String),
}

impl SchemaPlace {
    /// An id, `subject:NAME` or `subject:NAME@VERSION`, a schema in JSON, else a file.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Err("expected an id, subject:NAME, a file or a schema".into());
        }
        if text.bytes().all(|b| b.is_ascii_digit()) {
            return text.parse().map(Self::Id).map_err(|e| format!("the id of a schema is no such number: {e}"));
        }
        if let Some(subject) = text.strip_prefix("subject:") {
            return match subject.rsplit_once('@') {
                Some((name, version)) if !name.is_empty() && version.parse::<i32>().is_ok_and(|v| v > 0) => {
                    Ok(Self::Subject(name.to_owned(), version.parse().ok()))
                }
                _ if subject.is_empty() => Err("the subject is empty; expected subject:NAME".into()),
                _ => Ok(Self::Subject(subject.to_owned(), None)),
            };
        }
        Ok(if text.starts_with(['{', '[', '"']) { Self::Text(text.to_owned()) } else { Self::File(text.into()) })
    }

    /// The schema's text where it is not the registry that has it.
    pub(crate) fn text(&self) -> Result<Option<String>, Failure> {
        match self {
            Self::Text(text) => Ok(Some(text.clone())),
            Self::File(path) => fs::read_to_string(path)
                .map(Some)
                .map_err(|e| Failure::Failed(format!("reading the schema {}: {e}", path.display()))),
            Self::Id(_) | Self::Subject(..) => Ok(None),
        }
    }
}

impl SchemaPlace {
    /// Id and text where it is the registry that has it.
    pub(crate) async fn found(&self, context: &Context<'_>) -> Result<(i32, String), Failure> {
        let registry = context.registry().await?;
        let failed = |e: connect_api::Error, what: String| registry.failure(e.context(what));
        match self {
            Self::Id(id) => {
                let found = registry.client.schema(*id).await;
                Ok((*id, found.map_err(|e| failed(e, format!("looking for schema {id}")))?.to_string()))
            }
            Self::Subject(name, version) => {
                let found = match version {
                    Some(version) => registry.client.version(name, *version).await,
                    None => registry.client.latest(name).await,
                };
                let found = found.map_err(|e| failed(e, format!("looking for a schema of subject {name}")))?;
                Ok((found.id, found.schema))
            }
            Self::File(_) | Self::Text(_) => Err(Failure::Usage("the registry is not asked for this schema".into())),
        }
    }
}

/// Writes texts as bytes.
#[derive(Debug)]
pub(crate) enum Coding {
    String,
    Json,
    Avro(AvroFromJson),
}

impl Coding {
    /// As keys (`-key`) or values (`-value`) of the topic are to be written. A schema that is given here is registered under
    /// the topic's subject, in a dry run only looked for.
    pub(crate) async fn new(
        form: Option<Form>,
        place: Option<&SchemaPlace>,
        topic: &str,
        suffix: &str,
        dry_run: bool,
        context: &Context<'_>,
    ) -> Result<Self, Failure> {
        let what = &suffix[1..];
        match (form, place) {
            (None | Some(Form::String), None) => return Ok(Self::String),
            (Some(Form::Json), None) => return Ok(Self::Json),
            (Some(Form::String | Form::Json), Some(_)) => {
                return Err(Failure::Usage(format!("--{what}-schema goes with --{what}-format avro")));
            }
            (None | Some(Form::Avro), _) => {}
        }
        let subject = format!("{topic}{suffix}");
        let registry = context.registry().await?;
        let latest = SchemaPlace::Subject(subject.clone(), None);
        let is_latest = place.is_none();
        let place = place.unwrap_or(&latest);
        let failed = |e| registry.failure(e);
        let (id, text) = match place {
            SchemaPlace::Id(_) | SchemaPlace::Subject(..) => place.found(context).await.map_err(|e| match e {
                Failure::Failed(text) if is_latest => Failure::Failed(format!(
                    "{text}; --{what}-schema says which one it is: a file, which is registered, or another one of the registry"
                )),
                other => other,
            })?,
            SchemaPlace::File(_) | SchemaPlace::Text(_) => {
                let text = place.text()?.unwrap_or_default();
                // What is no schema is told before anybody is asked.
                AvroFromJson::new(0, &text)
                    .map_err(|e| Failure::Failed(format!("--{what}-schema: {}", e.one_line())))?;
                let id = if dry_run {
                    match registry.client.lookup(&subject, &text).await {
                        Ok(found) => found.id,
                        Err(e) if e.class() == connect_api::ErrorClass::Data => {
                            context
                                .output
                                .say(&format!("the schema would be registered as a version of subject {subject}"));
                            0
                        }
                        Err(e) => return Err(failed(e)),
                    }
                } else {
                    registry.client.register(&subject, &text).await.map_err(failed)?
                };
                (id, text)
            }
        };
        AvroFromJson::new(id, &text)
            .map(Self::Avro)
            .map_err(|e| Failure::Failed(format!("schema {id}: {}", e.one_line())))
    }

    /// The text as bytes; an error says what is wrong with it.
    pub(crate) fn bytes(&self, text: &str) -> Result<Bytes, String> {
        match self {
            Self::String => Ok(Bytes::copy_from_slice(text.as_bytes())),
            Self::Json => {
                let raw: &RawValue = serde_json::from_str(text).map_err(|e| format!("it is no JSON: {e}"))?;
                Ok(Bytes::copy_from_slice(raw.get().as_bytes()))
            }
            Self::Avro(avro) => {
                let json = match serde_json::from_str::<Json>(text) {
                    Ok(json) if !avro.is_text() || json.is_string() => json,
                    _ if avro.is_text() => Json::String(text.to_owned()),
                    Ok(json) => json,
                    Err(e) => return Err(format!("it is no JSON, of which Avro could be made: {e}")),
                };
                // A decimal is exact also where JSON's numbers are not.
                let exact = Some(text).filter(|_| avro.has_decimals()).and_then(|text| Exact::parse(text).ok());
                let json = exact.filter(|_| !avro.is_text()).map_or(json, |exact| exact.with_texts());
                avro.write(&json).map_err(|e| e.one_line())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_are_where_they_are_said_to_be() {
        let subject = |name: &str, version| SchemaPlace::Subject(name.into(), version);
        for (text, place) in [
            ("17", SchemaPlace::Id(17)),
            ("subject:alarms-value", subject("alarms-value", None)),
            ("subject:alarms-value@3", subject("alarms-value", Some(3))),
            ("subject:a@b", subject("a@b", None)),
            ("schemas/alarm.avsc", SchemaPlace::File("schemas/alarm.avsc".into())),
            ("\"string\"", SchemaPlace::Text("\"string\"".into())),
        ] {
            assert_eq!(SchemaPlace::parse(text), Ok(place));
        }
        for wrong in ["", " ", "subject:", "99999999999"] {
            assert!(SchemaPlace::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn texts_become_bytes() {
        assert_eq!(&Coding::String.bytes(" a ").expect("bytes")[..], b" a ");
        assert_eq!(&Coding::Json.bytes(" {\"a\": 1} ").expect("bytes")[..], b"{\"a\": 1}");
        assert!(Coding::Json.bytes("{").is_err_and(|e| e.starts_with("it is no JSON: ")));
        let avro = |schema| Coding::Avro(AvroFromJson::new(1, schema).expect("schema"));
        for text in ["ab", "\"ab\""] {
            assert_eq!(&avro("\"string\"").bytes(text).expect("bytes")[..], b"\0\0\0\0\x01\x04ab");
        }
        // A text that looks like a number is a text all the same.
        assert_eq!(&avro("\"string\"").bytes("12").expect("bytes")[..], b"\0\0\0\0\x01\x0412");
        let decimal = avro(r#"{"type":"bytes","logicalType":"decimal","precision":22,"scale":2}"#);
        for text in ["12345678901234567890.12", "\"12345678901234567890.12\""] {
            let bytes = decimal.bytes(text).expect("bytes");
            assert_eq!(
                &bytes[6..],
                &1_234_567_890_123_456_789_012_i128.to_be_bytes()[16 - bytes[6..].len()..],
                "{text}"
            );
        }
        assert!(decimal.bytes("123456789012345678901.12").is_err_and(|e| e.contains("more than the precision of 22")));
        assert!(avro("\"int\"").bytes("x").is_err_and(|e| e.contains("of which Avro could be made")));
    }
}
