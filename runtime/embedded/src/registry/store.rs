//! Subjects, their versions, and the schemas behind the ids.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value as Json, json};

use super::{canonical::canonical, compatibility::Level};

/// Why a request is not served: HTTP status, Confluent's error code and text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) code: u32,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(status: u16, code: u32, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }
}

type Result<T> = std::result::Result<T, Refusal>;

/// Everything that the registry knows.
#[derive(Debug, Default)]
pub(crate) struct Store {
    // Texts as first registered; the id is the position from 1.
    schemas: Vec<String>,
    ids: HashMap<String, i32>,
    subjects: BTreeMap<String, Vec<Version>>,
    global: Level,
    levels: HashMap<String, Level>,
}

#[derive(Debug, Clone, Copy)]
struct Version {
    number: i32,
    id: i32,
    deleted: bool,
}

// A schema that was read, in both forms.
struct Parsed {
    text: String,
    canonical: String,
}

fn parse(text: &str) -> Result<Parsed> {
    let invalid = |why: String| Refusal::new(422, 42201, format!("Invalid schema {text}, details: {why}"));
    // Avro accepts a bare name as a schema, and so does Confluent.
    let json = match serde_json::from_str(text) {
        Ok(json) => json,
        Err(_) if text.bytes().all(|b| b.is_ascii_alphanumeric()) => Json::from(text),
        Err(e) => return Err(invalid(e.to_string())),
    };
    apache_avro::Schema::parse(&json).map_err(|e| invalid(e.to_string()))?;
    Ok(Parsed { text: json.to_string(), canonical: canonical(&json) })
}

fn no_subject(subject: &str) -> Refusal {
    Refusal::new(404, 40401, format!("Subject '{subject}' not found."))
}

impl Store {
    /// Adds a version unless the schema is one already; its id.
    pub(crate) fn register(&mut self, subject: &str, text: &str) -> Result<i32> {
        let schema = parse(text)?;
        let known = self.ids.get(&schema.canonical).copied();
        let versions = self.subjects.get(subject).map(Vec::as_slice).unwrap_or_default();
        if let Some(id) = known
            && versions.iter().any(|v| v.id == id && !v.deleted)
        {
            return Ok(id);
        }
        let level = self.levels.get(subject).copied().unwrap_or(self.global);
        let live = versions.iter().rev().filter(|v| !v.deleted);
        let against = live.take(if level.transitive { usize::MAX } else { 1 });
        let objections: Vec<String> = against
            .filter_map(|v| {
                let why = level.objection(&schema.text, self.text(v.id))?;
                Some(format!("version {}: {why}", v.number))
            })
            .collect();
        if !objections.is_empty() {
            let text = format!(
                "Schema being registered is incompatible with an earlier schema for subject \"{subject}\", details: [{}], compatibility: '{}'",
                objections.join(", "),
                level.name
            );
            return Err(Refusal::new(409, 409, text));
        }
        let number = versions.iter().map(|v| v.number).max().unwrap_or(0) + 1;
        let id = known.unwrap_or_else(|| {
            self.schemas.push(schema.text);
            let id = i32::try_from(self.schemas.len()).unwrap_or(i32::MAX);
            self.ids.insert(schema.canonical, id);
            id
        });
        self.subjects.entry(subject.to_owned()).or_default().push(Version { number, id, deleted: false });
        Ok(id)
    }

    /// The version of a schema within a subject.
    pub(crate) fn lookup(&self, subject: &str, text: &str, deleted: bool) -> Result<Json> {
        let schema = parse(text)?;
        let versions = self.live(subject, deleted)?;
        let id = self.ids.get(&schema.canonical);
        let found = versions.into_iter().rev().find(|v| Some(&v.id) == id);
        found.map(|v| self.answer(subject, v)).ok_or_else(|| Refusal::new(404, 40403, "Schema not found"))
    }

    /// Names of all subjects that have a version.
    pub(crate) fn subjects(&self, deleted: bool) -> impl Iterator<Item = &str> {
        let any = move |versions: &[Version]| versions.iter().any(|v| deleted || !v.deleted);
        self.subjects.iter().filter(move |(_, versions)| any(versions)).map(|(name, _)| name.as_str())
    }

    /// Numbers of a subject's versions.
    pub(crate) fn versions(&self, subject: &str, deleted: bool) -> Result<Vec<i32>> {
        Ok(self.live(subject, deleted)?.iter().map(|v| v.number).collect())
    }

    /// A version of a subject.
    pub(crate) fn version(&self, subject: &str, version: &str, deleted: bool) -> Result<Json> {
        let found = self.find(subject, version, deleted)?;
        Ok(self.answer(subject, found))
    }

    /// Text of a schema.
    pub(crate) fn schema(&self, id: &str) -> Result<&str> {
        Ok(self.text(self.id(id)?))
    }

    /// Subjects and versions that a schema is.
    pub(crate) fn uses(&self, id: &str, deleted: bool) -> Result<Vec<(&str, i32)>> {
        let id = self.id(id)?;
        let all = self.subjects.iter().flat_map(|(s, versions)| versions.iter().map(move |v| (s.as_str(), v)));
        Ok(all.filter(|(_, v)| v.id == id && (deleted || !v.deleted)).map(|(s, v)| (s, v.number)).collect())
    }

    /// Deletes all versions of a subject: first softly, then for good.
    pub(crate) fn delete_subject(&mut self, subject: &str, permanent: bool) -> Result<Vec<i32>> {
        let versions = self.subjects.get_mut(subject).filter(|v| !v.is_empty()).ok_or_else(|| no_subject(subject))?;
        let alive = versions.iter().any(|v| !v.deleted);
        match (permanent, alive) {
            (true, true) => {
                let text = format!("Subject '{subject}' was not deleted first before being permanently deleted");
                Err(Refusal::new(404, 40405, text))
            }
            (true, false) => {
                let numbers = versions.iter().map(|v| v.number).collect();
                self.subjects.remove(subject);
                self.levels.remove(subject);
                Ok(numbers)
            }
            (false, false) => {
                let text = format!("Subject '{subject}' was soft deleted.Set permanent=true to delete permanently");
                Err(Refusal::new(404, 40404, text))
            }
            (false, true) => {
                let live = versions.iter_mut().filter(|v| !v.deleted);
                Ok(live
                    .map(|v| {
                        v.deleted = true;
                        v.number
                    })
                    .collect())
            }
        }
    }

    /// Deletes a version of a subject: first softly, then for good.
    pub(crate) fn delete_version(&mut self, subject: &str, version: &str, permanent: bool) -> Result<i32> {
        let found = self.find(subject, version, true)?;
        let name = format!("Subject '{subject}' Version {}", found.number);
        match (permanent, found.deleted) {
            (true, false) => {
                let text = format!("{name} was not deleted first before being permanently deleted");
                return Err(Refusal::new(404, 40407, text));
            }
            (false, true) => {
                let text = format!("{name} was soft deleted.Set permanent=true to delete permanently");
                return Err(Refusal::new(404, 40406, text));
            }
            _ => {}
        }
        if let Some(versions) = self.subjects.get_mut(subject) {
            if permanent {
                versions.retain(|v| v.number != found.number);
            } else {
                versions.iter_mut().filter(|v| v.number == found.number).for_each(|v| v.deleted = true);
            }
        }
        Ok(found.number)
    }

    /// Why a schema may not become the next version, compared with one version or all that count.
    pub(crate) fn check(&self, subject: &str, version: Option<&str>, text: &str) -> Result<Vec<String>> {
        let schema = parse(text)?;
        let level = self.levels.get(subject).copied().unwrap_or(self.global);
        let against = match version {
            Some(version) => vec![self.find(subject, version, false)?],
            None => {
                let live = self.live(subject, false)?;
                let count = if level.transitive { live.len() } else { 1 };
                live.into_iter().rev().take(count).collect()
            }
        };
        Ok(against.iter().filter_map(|v| level.objection(&schema.text, self.text(v.id))).collect())
    }

    /// Name of the compatibility level.
    pub(crate) fn level(&self, subject: Option<&str>, or_global: bool) -> Result<&'static str> {
        let own = subject.and_then(|s| self.levels.get(s));
        match (own, subject) {
            (Some(level), _) => Ok(level.name),
            (None, Some(subject)) if !or_global => {
                let text = format!("Subject '{subject}' does not have subject-level compatibility configured");
                Err(Refusal::new(404, 40408, text))
            }
            _ => Ok(self.global.name),
        }
    }

    /// Sets the compatibility level of a subject or of all others.
    pub(crate) fn set_level(&mut self, subject: Option<&str>, level: &str) -> Result<&'static str> {
        let level = Level::parse(level).ok_or_else(|| {
            Refusal::new(
                422,
                42203,
                "Invalid compatibility level. Valid values are none, backward, forward, full, backward_transitive, forward_transitive, and full_transitive",
            )
        })?;
        match subject {
            Some(subject) => drop(self.levels.insert(subject.to_owned(), level)),
            None => self.global = level,
        }
        Ok(level.name)
    }

    /// Removes the compatibility level of a subject; the level that it had.
    pub(crate) fn remove_level(&mut self, subject: &str) -> Result<Json> {
        let level = self.levels.remove(subject).ok_or_else(|| no_subject(subject))?;
        Ok(json!({"compatibilityLevel": level.name}))
    }

    fn live(&self, subject: &str, deleted: bool) -> Result<Vec<Version>> {
        let versions = self.subjects.get(subject).into_iter().flatten();
        let versions: Vec<Version> = versions.filter(|v| deleted || !v.deleted).copied().collect();
        if versions.is_empty() { Err(no_subject(subject)) } else { Ok(versions) }
    }

    fn find(&self, subject: &str, version: &str, deleted: bool) -> Result<Version> {
        let latest = version == "latest" || version == "-1";
        let number = version.parse::<i32>().ok().filter(|n| *n > 0);
        if !latest && number.is_none() {
            let text = format!(
                "The specified version '{version}' is not a valid version id. Allowed values are between [1, 2^31-1] and the string \"latest\""
            );
            return Err(Refusal::new(422, 42202, text));
        }
        let versions = self.live(subject, deleted)?;
        let found = versions.into_iter().rev().find(|v| latest || Some(v.number) == number);
        found.ok_or_else(|| Refusal::new(404, 40402, format!("Version {version} not found.")))
    }

    fn id(&self, id: &str) -> Result<i32> {
        let known =
            id.parse::<i32>().ok().filter(|n| (1..=self.schemas.len()).contains(&usize::try_from(*n).unwrap_or(0)));
        known.ok_or_else(|| Refusal::new(404, 40403, format!("Schema {id} not found")))
    }

    // Ids come from this store, so each has its text.
    fn text(&self, id: i32) -> &str {
        let index = usize::try_from(id).ok().and_then(|i| i.checked_sub(1));
        index.and_then(|i| self.schemas.get(i)).map(String::as_str).unwrap_or_default()
    }

    fn answer(&self, subject: &str, version: Version) -> Json {
        json!({"subject": subject, "version": version.number, "id": version.id, "schema": self.text(version.id)})
    }
}
