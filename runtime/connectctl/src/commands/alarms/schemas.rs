//! `connectctl alarms schemas`: the Avro schemas of the topics.

use std::path::PathBuf;

use connector_alarm::{
    Generation, Kind,
    generations::{schema_text, topic},
};
use serde::Serialize;
use serde_json::Value as Json;

use super::{super::Context, topics::Topics};
use crate::{
    error::Failure,
    table::{Column, Table},
};

/// What `alarms schemas` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List the subjects of the registry that are of the alarm topics, with their versions.
    List(ListArgs),
    /// Print schemas, or write them into a folder: those that this program knows, by generation and topic, or those that
    /// the registry has.
    Dump(DumpArgs),
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    #[command(flatten)]
    topics: Topics,
}

#[derive(Debug, clap::Args)]
struct DumpArgs {
    /// Only of this generation: generic is ours, jlab-1 to jlab-3 are those of JLab's console; may be given several times.
    #[arg(long, value_name = "GENERATION", value_delimiter = ',', value_parser = generation, conflicts_with = "registered")]
    generation: Vec<Generation>,

    /// The latest ones that the registry has for the topics, as SUBJECT.avsc.
    #[arg(long)]
    registered: bool,

    /// Write files into this folder, which is made if need be, in place of printing.
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,

    #[command(flatten)]
    topics: Topics,
}

fn generation(text: &str) -> Result<Generation, String> {
    let found = Generation::ALL.into_iter().find(|generation| generation.name() == text);
    found.ok_or_else(|| format!("{text} is none of {}", Generation::ALL.map(Generation::name).join(", ")))
}

/// A schema, and the file that it goes to.
#[derive(Debug, Clone, Serialize)]
struct Found {
    /// Subject.
    subject: String,
    /// Whose it is; none of those in the registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<&'static str>,
    /// The schema.
    schema: Json,
    #[serde(skip)]
    file: PathBuf,
    #[serde(skip)]
    text: String,
}

/// A subject of the registry.
#[derive(Debug, Serialize)]
struct Subject {
    subject: String,
    versions: Vec<i32>,
}

pub(super) async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    match &args.action {
        Action::List(args) => list(args, context).await,
        Action::Dump(args) => dump(args, context).await,
    }
}

/// Subjects of the registry that are of these topics.
async fn subjects(topics: &Topics, context: &Context<'_>) -> Result<Vec<String>, Failure> {
    let registry = context.registry().await?;
    let all = registry.client.subjects().await.map_err(|e| registry.failure(e))?;
    let mut names: Vec<String> = vec![topics.active_topic.clone(), topics.shelved_topic.clone()];
    match &topics.registered_topic {
        Some(topic) => names.push(topic.clone()),
        None => names.extend([Generation::Generic, Generation::Second].map(|g| topic(Kind::Registered, g).to_owned())),
    }
    let ours = |subject: &String| {
        ["-key", "-value"]
            .iter()
            .any(|end| subject.strip_suffix(end).is_some_and(|topic| names.iter().any(|n| n == topic)))
    };
    let mut found: Vec<String> = all.into_iter().filter(ours).collect();
    found.sort();
    Ok(found)
}

async fn list(args: &ListArgs, context: &Context<'_>) -> Result<(), Failure> {
    let registry = context.registry().await?;
    let mut found = Vec::new();
    for subject in subjects(&args.topics, context).await? {
        let versions = registry.client.versions(&subject).await.map_err(|e| registry.failure(e))?;
        found.push(Subject { subject, versions });
    }
    if found.is_empty() {
        context.output.say(&format!("the registry at {} has no schemas of the alarm topics", registry.url));
    }
    let names = || found.iter().map(|s| s.subject.clone()).collect();
    context.output.result(&found, names, |view| {
        let mut table = Table::new([Column::text("SUBJECT"), Column::text("VERSIONS")]);
        for Subject { subject, versions } in &found {
            table.row([subject.clone(), versions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")]);
        }
        table.render(view.width)
    })
}

async fn dump(args: &DumpArgs, context: &Context<'_>) -> Result<(), Failure> {
    let found = if args.registered { registered(args, context).await? } else { known(args)? };
    let failed = |file: &PathBuf, e: std::io::Error| Failure::Failed(format!("writing {}: {e}", file.display()));
    if let Some(folder) = &args.folder {
        for one in &found {
            let file = folder.join(&one.file);
            let within = file.parent().unwrap_or(folder);
            std::fs::create_dir_all(within).map_err(|e| failed(&file, e))?;
            std::fs::write(&file, &one.text).map_err(|e| failed(&file, e))?;
        }
    }
    let names = || found.iter().map(|one| one.file.display().to_string()).collect();
    context.output.result(&found, names, |_| match &args.folder {
        Some(folder) => found.iter().map(|one| format!("{}\n", folder.join(&one.file).display())).collect(),
        None => found.iter().map(|one| format!("// {}\n{}\n", one.file.display(), one.text.trim_end())).collect(),
    })
}

fn known(args: &DumpArgs) -> Result<Vec<Found>, Failure> {
    let mut found = Vec::new();
    for generation in Generation::ALL.into_iter().filter(|g| args.generation.is_empty() || args.generation.contains(g))
    {
        for kind in Kind::ALL {
            let Some(text) = schema_text(kind, generation) else { continue };
            let subject = format!("{}-value", topic(kind, generation));
            let file = PathBuf::from(generation.name()).join(format!("{subject}.avsc"));
            found.push(made(subject, Some(generation.name()), file, text)?);
        }
    }
    Ok(found)
}

async fn registered(args: &DumpArgs, context: &Context<'_>) -> Result<Vec<Found>, Failure> {
    let registry = context.registry().await?;
    let mut found = Vec::new();
    for subject in subjects(&args.topics, context).await? {
        let latest = registry.client.latest(&subject).await.map_err(|e| registry.failure(e))?;
        let file = PathBuf::from(format!("{subject}.avsc"));
        found.push(made(subject, None, file, &latest.schema)?);
    }
    if found.is_empty() {
        context.output.say(&format!("the registry at {} has no schemas of the alarm topics", registry.url));
    }
    Ok(found)
}

fn made(subject: String, generation: Option<&'static str>, file: PathBuf, text: &str) -> Result<Found, Failure> {
    let schema = serde_json::from_str(text);
    let schema = schema.map_err(|e| Failure::Failed(format!("the schema of subject {subject} is no JSON: {e}")))?;
    let text = format!("{}\n", text.trim_end());
    Ok(Found { subject, generation, schema, file, text })
}
