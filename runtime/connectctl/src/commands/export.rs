//! `connectctl export`: connectors as files that `apply` reads.

use std::{fs, path::PathBuf};

use serde_json::Value as Json;

use super::Context;
use crate::{
    document::document,
    error::Failure,
    names::{SomeNames, expand},
    private, yaml,
};

/// What `export` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    names: SomeNames,

    /// Write a file per connector into this folder, which is made if it is not there; files of that name are replaced. Only
    /// their owner may read them.
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

/// Writes settings and states of connectors, of whatever worker, as YAML; with `--output json` as a list.
pub async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    let known = context.client.names().await?;
    let wanted = if args.names.names.is_empty() { known } else { expand(&args.names.names, &context.client).await? };
    if wanted.is_empty() {
        super::status::say_empty(context);
    }
    let mut all = Vec::new();
    for name in wanted {
        let info = match context.client.info(&name).await {
            Ok(info) => info,
            Err(e) => return Err(context.explain(&name, e).await),
        };
        // One that was just made has none.
        let state = context.client.status(&name).await.ok().map(|s| s.connector.state);
        all.push((name, document(&info, state.as_deref())));
    }
    let names = || all.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let documents: Vec<&Json> = all.iter().map(|(_, document)| document).collect();
    let Some(folder) = &args.folder else {
        return match context.output.format {
            crate::output::Format::Yaml => context.output.script(&joined(&documents)).map(drop),
            _ => context.output.result(&documents, names, |_| joined(&documents)),
        };
    };
    let failed = |what: String, e: std::io::Error| Failure::Failed(format!("writing {what}: {e}"));
    fs::create_dir_all(folder).map_err(|e| failed(folder.display().to_string(), e))?;
    let mut files = Vec::new();
    for (name, document) in &all {
        let path = folder.join(format!("{}.yaml", file_name(name)));
        private::write(&path, &yaml::to_string(document)).map_err(|e| failed(path.display().to_string(), e))?;
        files.push(path.display().to_string());
    }
    context.output.result(&files, names, |_| files.iter().map(|file| format!("{file}\n")).collect())
}

fn joined(documents: &[&Json]) -> String {
    documents.iter().map(|d| yaml::to_string(d)).collect::<Vec<_>>().join("---\n")
}

/// The name without what cannot be in that of a file.
fn file_name(name: &str) -> String {
    let text: String = name.chars().map(|c| if c == '/' || c.is_control() { '_' } else { c }).collect();
    // Folders are read without hidden files.
    text.strip_prefix('.').map_or(text.clone(), |rest| format!("_{rest}"))
}
