//! `connectctl registry test` and `upload`: schemas from files.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::super::Context;
use crate::{consent::DryRun, error::Failure, places::registry::Registry, table::wrap};

/// The subject, and the file with the schema.
#[derive(Debug, clap::Args)]
struct Source {
    /// The subject, such as TOPIC-value.
    #[arg(value_name = "SUBJECT", add = crate::complete::subjects())]
    subject: String,

    /// File with the schema, or - for standard input.
    #[arg(value_name = "FILE|-")]
    file: PathBuf,

    /// Kind of schema; by itself a file that ends in .proto is Protobuf, and every other one Avro.
    #[arg(long = "type", value_enum, value_name = "TYPE")]
    kind: Option<Kind>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// Apache Avro.
    Avro,
    /// JSON Schema.
    Json,
    /// Protocol buffers.
    Protobuf,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Avro => "AVRO",
            Self::Json => "JSON",
            Self::Protobuf => "PROTOBUF",
        }
    }

    fn of(file: &Path) -> Self {
        if file.extension().is_some_and(|e| e.eq_ignore_ascii_case("proto")) { Self::Protobuf } else { Self::Avro }
    }
}

/// A schema that was read.
#[derive(Debug)]
struct Schema {
    text: String,
    kind: &'static str,
}

impl Source {
    fn read(&self) -> Result<Schema, Failure> {
        let failed = |e: io::Error| Failure::Failed(format!("reading {}: {e}", self.file.display()));
        let mut text = String::new();
        if self.file == Path::new("-") {
            io::stdin().lock().read_to_string(&mut text).map_err(failed)?;
        } else {
            text = fs::read_to_string(&self.file).map_err(failed)?;
        }
        if text.trim().is_empty() {
            return Err(Failure::Failed(format!("{} is empty; it has to hold a schema", self.file.display())));
        }
        let kind = self.kind.unwrap_or_else(|| Kind::of(&self.file));
        if kind != Kind::Protobuf
            && let Err(e) = serde_json::from_str::<serde::de::IgnoredAny>(&text)
        {
            // The name of a primitive type is a schema, too.
            if text.trim().contains(|c: char| !c.is_ascii_alphanumeric()) {
                let file = self.file.display();
                return Err(Failure::Failed(format!("{file}:{}: the schema is not JSON: {e}", e.line())));
            }
        }
        Ok(Schema { text, kind: kind.name() })
    }
}

/// What `registry test` takes.
#[derive(Debug, clap::Args)]
pub(super) struct TestArgs {
    #[command(flatten)]
    source: Source,

    /// Version to test against; all is what the level of the subject asks for.
    #[arg(short, long, value_name = "N|latest|all", default_value = "latest", value_parser = version)]
    version: String,
}

fn version(text: &str) -> Result<String, String> {
    if text == "all" { Ok(text.to_owned()) } else { super::show::version(text).map_err(|e| format!("{e} or all")) }
}

/// What a test came to.
#[derive(Debug, Serialize)]
struct Tested {
    subject: String,
    version: String,
    compatible: bool,
    /// Whether there is no such subject yet, so that there is nothing to be compatible with.
    first: bool,
    messages: Vec<String>,
}

impl TestArgs {
    pub(super) async fn run(&self, registry: &Registry, context: &Context<'_>) -> Result<(), Failure> {
        let read = self.source.read()?;
        let subject = &self.source.subject;
        let against = (self.version != "all").then_some(self.version.as_str());
        let answer = registry.answer(registry.client.compatible(subject, against, &read.text, read.kind).await)?;
        let subjects = registry.answer(registry.client.subjects().await)?;
        let known = subjects.contains(subject);
        if !known && matches!(self.version.as_str(), "all" | "latest") {
            is_schema(subject, &read.text, read.kind)?;
            if let Some(near) = crate::check::nearest(subject, subjects.iter().map(String::as_str)) {
                context.output.say(&format!("subject {subject} not found; did you mean {near}?"));
            }
            let (subject, version) = (subject.clone(), self.version.clone());
            let first = Tested { subject, version, compatible: true, first: true, messages: Vec::new() };
            return context.output.result(&first, || vec![first.subject.clone()], |view| first.text(view.width));
        }
        let Some(found) = answer.filter(|_| known) else {
            return Err(if known {
                Failure::Failed(format!("subject {subject} has no version {}", self.version))
            } else {
                registry.missing(subject).await
            });
        };
        let tested = Tested {
            subject: subject.clone(),
            version: self.version.clone(),
            compatible: found.is_compatible,
            first: false,
            messages: found.messages,
        };
        let names = || if tested.compatible { vec![subject.clone()] } else { Vec::new() };
        context.output.result(&tested, names, |view| tested.text(view.width))?;
        if tested.compatible { Ok(()) } else { Err(Failure::Reported) }
    }
}

impl Tested {
    fn text(&self, width: Option<usize>) -> String {
        if self.first {
            return format!(
                "{}: there is no such subject yet; it could be registered as the first version\n",
                self.subject
            );
        }
        let version = match self.version.as_str() {
            "all" => "all versions that count".to_owned(),
            "latest" => "the latest version".to_owned(),
            n => format!("version {n}"),
        };
        let not = if self.compatible { "" } else { "not " };
        let mut text = format!("{}: {not}compatible with {version}\n", self.subject);
        if !self.compatible {
            // Apicurio's registry gives no reasons.
            let none = ["the registry does not say why".to_owned()];
            let messages = if self.messages.is_empty() { &none[..] } else { &self.messages };
            for line in messages.iter().flat_map(|m| wrap(m, 2, width)) {
                text.push_str(&line);
                text.push('\n');
            }
        }
        text
    }
}

/// What `registry upload` takes.
#[derive(Debug, clap::Args)]
pub(super) struct UploadArgs {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    dry_run: DryRun,
}

/// What became of a schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(in super::super) struct Uploaded {
    pub(in super::super) subject: String,
    /// `uploaded`, or `unchanged` where it was there.
    pub(in super::super) result: &'static str,
    /// None of a dry run.
    pub(in super::super) id: Option<i32>,
    /// None of a dry run.
    pub(in super::super) version: Option<i32>,
    pub(in super::super) dry_run: bool,
}

impl UploadArgs {
    pub(super) async fn run(&self, registry: &Registry, context: &Context<'_>) -> Result<(), Failure> {
        let read = self.source.read()?;
        let done = upload(registry, &self.source.subject, &read.text, read.kind, self.dry_run.dry_run).await?;
        context.output.result(&done, || vec![done.subject.clone()], |_| done.line())
    }
}

impl Uploaded {
    pub(in super::super) fn line(&self) -> String {
        let would = if self.dry_run && self.result == "uploaded" { "would be " } else { "" };
        let version = self.version.map(|v| format!(", version {v}")).unwrap_or_default();
        let id = self.id.map(|id| format!(": id {id}{version}")).unwrap_or_default();
        format!("{} {would}{}{id}\n", self.subject, self.result)
    }
}

/// Registers a schema, unless it is there; of a dry run fails where the registry would refuse it.
pub(in super::super) async fn upload(
    registry: &Registry,
    subject: &str,
    schema: &str,
    kind: &str,
    dry_run: bool,
) -> Result<Uploaded, Failure> {
    let client = &registry.client;
    let found = registry.answer(client.find(subject, schema, kind).await)?;
    let done = |result, id, version| Uploaded { subject: subject.to_owned(), result, id, version, dry_run };
    if let Some(found) = found {
        return Ok(done("unchanged", found.id, found.version));
    }
    if dry_run {
        match registry.answer(client.compatible(subject, None, schema, kind).await)? {
            Some(answer) if !answer.is_compatible => {
                let why = match answer.messages.as_slice() {
                    [] => String::new(),
                    some => format!(": {}", some.join("; ")),
                };
                return Err(Failure::Failed(format!("{subject}: the schema would be refused as incompatible{why}")));
            }
            // It has read the schema, and would take it.
            Some(_) => {}
            None => is_schema(subject, schema, kind)?,
        }
        return Ok(done("uploaded", None, None));
    }
    let id = registry.answer(client.register_any(subject, schema, kind).await)?;
    let version = registry.answer(client.find(subject, schema, kind).await)?.and_then(|found| found.version);
    Ok(done("uploaded", Some(id), version))
}

/// Registries do not look at a schema whose subject they do not know, unless it is to be registered. What is an Avro schema
/// is known here, too; more is not asked of it than there.
fn is_schema(subject: &str, schema: &str, kind: &str) -> Result<(), Failure> {
    if kind != "AVRO" {
        return Ok(());
    }
    connect_converters::check_avro_schema(schema).map_err(|e| Failure::Failed(format!("{subject}: {}", e.one_line())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(file: &Path, kind: Option<Kind>) -> Source {
        Source { subject: "s".into(), file: file.to_owned(), kind }
    }

    #[test]
    fn files_are_told_by_their_endings_and_their_faults_by_line() {
        let folder = tempfile::tempdir().expect("folder");
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).expect("file");
            path
        };
        let read = source(&file("a.avsc", "{\"type\":\"int\"}"), None).read().expect("read");
        assert_eq!(read.kind, "AVRO");
        assert_eq!(source(&file("b.proto", "message A {}"), None).read().expect("read").kind, "PROTOBUF");
        assert_eq!(source(&file("c", "string"), None).read().expect("read").kind, "AVRO");
        let of_json = source(&file("d.json", "{}"), Some(Kind::Json)).read().expect("read");
        assert_eq!(of_json.kind, "JSON");
        for (name, text, part) in
            [("e.avsc", "{\n\"type\": }", "e.avsc:2: the schema is not JSON"), ("f", " \n", "f is empty")]
        {
            let e = source(&file(name, text), None).read().expect_err(name);
            assert!(e.to_string().contains(part), "{e}");
        }
        assert!(source(&folder.path().join("gone"), None).read().is_err_and(|e| e.to_string().contains("reading ")));
    }

    #[test]
    fn what_became_of_a_schema_is_one_line() {
        let done = Uploaded { subject: "s".into(), result: "uploaded", id: Some(3), version: Some(2), dry_run: false };
        assert_eq!(done.line(), "s uploaded: id 3, version 2\n");
        let tried = Uploaded { id: None, version: None, dry_run: true, ..done };
        assert_eq!(tried.line(), "s would be uploaded\n");
        let tested = |compatible| Tested {
            subject: "s".into(),
            version: "latest".into(),
            compatible,
            first: false,
            messages: vec!["field x has no default".into()],
        };
        assert_eq!(tested(true).text(None), "s: compatible with the latest version\n");
        assert_eq!(tested(false).text(None), "s: not compatible with the latest version\n  field x has no default\n");
    }
}
