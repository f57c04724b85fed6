//! What people and their tools do with a registry: compatibility, trials, deletion, schemas of any kind. Nothing of it is
//! remembered.

use connect_api::{Result, template::percent_encode};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::registry::{NotARegistry, Refused, SchemaRegistry};

/// No such subject, version, setting of a subject; the last is of registries without codes of their own.
const NOT_THERE: [i64; 4] = [40401, 40402, 40408, 404];
/// No such subject or version; or it is deleted already, but not for good.
const NOT_TO_DELETE: [i64; 4] = [40401, 40402, 40404, 40406];

/// A schema of whatever kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnySchema {
    /// Subject; none of a schema that was asked for by its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Version within the subject, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i32>,
    /// Id within the registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<i32>,
    /// `AVRO`, `JSON` or `PROTOBUF`; registries leave the first out.
    #[serde(rename = "schemaType", default = "avro")]
    pub kind: String,
    /// Text of the schema.
    pub schema: String,
    /// Other schemas that it refers to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<Json>,
}

fn avro() -> String {
    "AVRO".into()
}

/// Whether a schema could be registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compatible {
    /// Whether it could.
    pub is_compatible: bool,
    /// Why not, in the registry's words.
    #[serde(default)]
    pub messages: Vec<String>,
}

#[derive(Deserialize)]
struct Level {
    // Of an answer to reading; the answer to writing has the other name.
    #[serde(alias = "compatibility")]
    #[serde(rename = "compatibilityLevel")]
    level: String,
}

#[derive(Deserialize)]
struct Mode {
    mode: String,
}

#[derive(Deserialize)]
struct Id {
    id: i32,
}

impl SchemaRegistry {
    /// All subjects, those that were deleted but not for good among them.
    pub async fn subjects_with_deleted(&self) -> Result<Vec<String>> {
        plain(self.ask_coded(Method::GET, "subjects?deleted=true", None, "listing the subjects".into()).await)
    }

    /// The compatibility level of all subjects, or the own one of a subject; `None` of a subject without one, and of registries
    /// without levels.
    pub async fn compatibility(&self, subject: Option<&str>) -> Result<Option<String>> {
        let doing = format!("asking for the compatibility level{}", of(subject));
        let answer = self.ask_coded(Method::GET, &config(subject), None, doing).await;
        let found: Option<Level> = unless_unknown(answer)?;
        Ok(found.map(|level| level.level))
    }

    /// Sets the compatibility level of all subjects, or of one.
    pub async fn set_compatibility(&self, subject: Option<&str>, level: &str) -> Result<()> {
        let doing = format!("setting the compatibility level{} to {level}", of(subject));
        let body = json!({ "compatibility": level });
        plain::<Level>(self.ask_coded(Method::PUT, &config(subject), Some(body), doing).await).map(drop)
    }

    /// Has a subject follow the level of all again. Tells whether it had one of its own.
    pub async fn reset_compatibility(&self, subject: &str) -> Result<bool> {
        let doing = format!("removing the compatibility level of subject {subject}");
        let done: Option<Json> = optional(self.ask_coded(Method::DELETE, &config(Some(subject)), None, doing).await)?;
        Ok(done.is_some())
    }

    /// Whether the registry takes schemas: `READWRITE`, `READONLY` or `IMPORT`; `None` of registries without modes.
    pub async fn mode(&self) -> Result<Option<String>> {
        let answer = self.ask_coded(Method::GET, "mode", None, "asking for the mode".into()).await;
        let found: Option<Mode> = unless_unknown(answer)?;
        Ok(found.map(|mode| mode.mode))
    }

    /// Whether a schema of that kind could be registered as far as one version (a number or `latest`), or all that count,
    /// are concerned; `None` where there is no such subject or version.
    pub async fn compatible(
        &self,
        subject: &str,
        version: Option<&str>,
        schema: &str,
        kind: &str,
    ) -> Result<Option<Compatible>> {
        let doing = format!("testing a schema against subject {subject}");
        let version = version.map(|v| format!("/{}", percent_encode(v))).unwrap_or_default();
        let path = format!("compatibility/subjects/{}/versions{version}?verbose=true", percent_encode(subject));
        optional(self.ask_coded(Method::POST, &path, Some(body(schema, kind)), doing).await)
    }

    /// Registers a schema of that kind and answers its id.
    pub async fn register_any(&self, subject: &str, schema: &str, kind: &str) -> Result<i32> {
        let doing = format!("registering a schema under subject {subject}");
        let path = format!("subjects/{}/versions", percent_encode(subject));
        Ok(plain::<Id>(self.ask_coded(Method::POST, &path, Some(body(schema, kind)), doing).await)?.id)
    }

    /// Where a schema of that kind stands in a subject; `None` where it does not.
    pub async fn find(&self, subject: &str, schema: &str, kind: &str) -> Result<Option<AnySchema>> {
        let doing = format!("looking up a schema under subject {subject}");
        let path = format!("subjects/{}", percent_encode(subject));
        optional_with(self.ask_coded(Method::POST, &path, Some(body(schema, kind)), doing).await, &[40401, 40403])
    }

    /// A version of a subject, a number or `latest`; `None` where there is none.
    pub async fn any_version(&self, subject: &str, version: &str) -> Result<Option<AnySchema>> {
        let doing = format!("fetching version {version} of subject {subject}");
        let path = format!("subjects/{}/versions/{}", percent_encode(subject), percent_encode(version));
        optional(self.ask_coded(Method::GET, &path, None, doing).await)
    }

    /// The schema with that id; `None` where there is none.
    pub async fn any_schema(&self, id: i32) -> Result<Option<AnySchema>> {
        let doing = format!("fetching the schema with id {id}");
        let path = format!("schemas/ids/{id}");
        optional_with(self.ask_coded(Method::GET, &path, None, doing).await, &[40403])
    }

    /// Deletes a subject and answers its versions. Only one that was deleted can be deleted for good. `None` where there is
    /// none to delete.
    pub async fn delete_subject(&self, subject: &str, permanent: bool) -> Result<Option<Vec<i32>>> {
        let doing = format!("deleting subject {subject}");
        let path = format!("subjects/{}{}", percent_encode(subject), permanently(permanent));
        optional_with(self.ask_coded(Method::DELETE, &path, None, doing).await, &NOT_TO_DELETE)
    }

    /// As [`SchemaRegistry::delete_subject`], of a version, a number or `latest`; answers its number.
    pub async fn delete_version(&self, subject: &str, version: &str, permanent: bool) -> Result<Option<i32>> {
        let doing = format!("deleting version {version} of subject {subject}");
        let (subject, version) = (percent_encode(subject), percent_encode(version));
        let path = format!("subjects/{subject}/versions/{version}{}", permanently(permanent));
        optional_with(self.ask_coded(Method::DELETE, &path, None, doing).await, &NOT_TO_DELETE)
    }
}

fn of(subject: Option<&str>) -> String {
    subject.map(|s| format!(" of subject {s}")).unwrap_or_default()
}

fn config(subject: Option<&str>) -> String {
    subject.map_or_else(|| "config".into(), |s| format!("config/{}", percent_encode(s)))
}

fn permanently(permanent: bool) -> &'static str {
    if permanent { "?permanent=true" } else { "" }
}

/// Registries before 5.5 know no kinds, and need none told for Avro.
fn body(schema: &str, kind: &str) -> Json {
    if kind == "AVRO" { json!({ "schema": schema }) } else { json!({ "schema": schema, "schemaType": kind }) }
}

fn plain<T>(answer: std::result::Result<T, Refused>) -> Result<T> {
    answer.map_err(|refused| refused.error)
}

fn optional<T>(answer: std::result::Result<T, Refused>) -> Result<Option<T>> {
    optional_with(answer, &NOT_THERE)
}

/// As [`optional`], of what not every registry has: one that does not know the path has none of it. Neither has what is no
/// registry; to find that out, something else has to be asked for.
fn unless_unknown<T>(answer: std::result::Result<T, Refused>) -> Result<Option<T>> {
    match answer {
        Err(refused) if NotARegistry::behind(&refused.error).is_some() => Ok(None),
        answer => optional(answer),
    }
}

fn optional_with<T>(answer: std::result::Result<T, Refused>, missing: &[i64]) -> Result<Option<T>> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(refused) if refused.code.is_some_and(|code| missing.contains(&code)) => Ok(None),
        Err(refused) => Err(refused.error),
    }
}
