//! `connectctl registry show`

use connect_converters::AnySchema;
use serde_json::{Value as Json, json};

use super::super::Context;
use crate::{
    error::Failure,
    page::Page,
    paint::{Tone, paint},
    places::registry::Registry,
};

/// What `registry show` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The subject.
    #[arg(value_name = "SUBJECT", required_unless_present = "id", add = crate::complete::subjects())]
    subject: Option<String>,

    /// Version of the subject.
    #[arg(short, long, value_name = "N|latest", default_value = "latest", value_parser = version)]
    version: String,

    /// The schema with this id instead, which is in front of each record.
    #[arg(long, value_name = "N", conflicts_with_all = ["subject", "version"])]
    id: Option<i32>,

    /// Only the text of the schema as the registry has it, such as for a file.
    #[arg(long)]
    raw: bool,
}

/// A version as registries take it.
pub(super) fn version(text: &str) -> Result<String, String> {
    match text.parse::<i32>() {
        Ok(n) if n > 0 => Ok(n.to_string()),
        _ if text == "latest" => Ok(text.to_owned()),
        _ => Err("expected a number from 1 or latest".into()),
    }
}

impl Args {
    pub(super) async fn run(&self, registry: &Registry, context: &Context<'_>) -> Result<(), Failure> {
        let found = match (&self.subject, self.id) {
            (_, Some(id)) => {
                let found = registry.answer(registry.client.any_schema(id).await)?;
                let none = || Failure::Failed(format!("there is no schema with id {id} at {}", registry.url));
                AnySchema { id: Some(id), ..found.ok_or_else(none)? }
            }
            (Some(subject), None) => {
                match registry.answer(registry.client.any_version(subject, &self.version).await)? {
                    Some(found) => found,
                    None => return Err(self.without_version(subject, registry).await),
                }
            }
            (None, None) => return Err(Failure::Usage("name a subject, or an id with --id".into())),
        };
        if self.raw {
            let end = if found.schema.ends_with('\n') { "" } else { "\n" };
            return context.output.script(&format!("{}{end}", found.schema)).map(drop);
        }
        let name = || vec![found.subject.clone().unwrap_or_else(|| found.id.unwrap_or_default().to_string())];
        context.output.result(&shown(&found), name, |view| text(&found, view.width))
    }

    async fn without_version(&self, subject: &str, registry: &Registry) -> Failure {
        match registry.client.versions(subject).await {
            Ok(all) => {
                let all: Vec<String> = all.iter().map(i32::to_string).collect();
                Failure::Failed(format!("subject {subject} has no version {}; it has {}", self.version, all.join(", ")))
            }
            Err(_) => registry.missing(subject).await,
        }
    }
}

/// The schema as what it is: an object where it is JSON.
fn tree(found: &AnySchema) -> Json {
    serde_json::from_str(&found.schema).unwrap_or_else(|_| Json::from(found.schema.as_str()))
}

fn shown(found: &AnySchema) -> Json {
    let mut shown = json!({ "subject": found.subject, "version": found.version, "id": found.id,
        "schemaType": found.kind, "schema": tree(found) });
    if !found.references.is_empty() {
        shown["references"] = json!(found.references);
    }
    shown
}

fn text(found: &AnySchema, width: Option<usize>) -> String {
    let mut page = Page::new(width);
    let version = found.version.map(|v| format!(" version {v}")).unwrap_or_default();
    let id = found.id.map(|id| format!("id {id}")).unwrap_or_default();
    let subject = found.subject.as_ref().map(|s| format!("{s}{version}, ")).unwrap_or_default();
    page.line(0, &paint(Tone::Strong, &format!("{subject}{id}, {}", found.kind)));
    // A schema that is broken into other lines could not be copied.
    page.text.push_str(&match tree(found) {
        Json::String(text) if serde_json::from_str::<Json>(&found.schema).is_err() => text,
        tree => format!("{tree:#}"),
    });
    page.text.push('\n');
    page.text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paint::resolve;

    #[test]
    fn schemas_are_shown_in_lines_and_given_as_trees() {
        let found = AnySchema {
            subject: Some("a-value".into()),
            version: Some(2),
            id: Some(7),
            kind: "AVRO".into(),
            schema: r#"{"type":"enum","name":"E","symbols":["A"]}"#.into(),
            references: Vec::new(),
        };
        let expected = "\
a-value version 2, id 7, AVRO
{
  \"type\": \"enum\",
  \"name\": \"E\",
  \"symbols\": [
    \"A\"
  ]
}
";
        assert_eq!(resolve(&text(&found, Some(60)), false), expected);
        assert_eq!(shown(&found)["schema"]["name"], "E");
        let proto = AnySchema { kind: "PROTOBUF".into(), schema: "message A {}".into(), subject: None, ..found };
        assert_eq!(resolve(&text(&proto, None), false), "id 7, PROTOBUF\nmessage A {}\n");
    }

    #[test]
    fn versions_are_numbers_or_the_latest() {
        assert_eq!(version("3").as_deref(), Ok("3"));
        for wrong in ["0", "-1", "newest", "1 2"] {
            assert!(version(wrong).is_err(), "{wrong}");
        }
    }
}
