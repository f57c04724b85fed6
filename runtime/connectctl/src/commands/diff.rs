//! `connectctl diff`

use serde::Serialize;

use super::{Context, apply::Prune};
use crate::{
    args::Files,
    changes::{Change, SecretKeys, changes},
    declared::{Declared, read_all},
    error::Failure,
    output::View,
    page::Page,
    paint::{Tone, paint},
    placeholder::left_in,
};

/// What `diff` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    prune: Prune,
}

#[derive(Debug, Serialize)]
struct Difference {
    name: String,
    /// What `apply` would make of it: `created`, `changed`, `unchanged`, `deleted`.
    result: &'static str,
    changes: Vec<Change>,
}

/// Shows what `apply` would change. Secrets are hidden; that they differ is shown.
pub async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    let (declared, mut problems) = read_all(&args.files.files);
    // Apply would refuse them.
    problems.extend(left_in(&declared));
    if !problems.is_empty() {
        problems.iter().for_each(|p| context.output.say(&p.line()));
        return Err(Failure::Reported);
    }
    let mut found = Vec::new();
    for one in &declared {
        found.push(differs(one, context).await.map_err(|e| e.of(&one.connector.name))?);
    }
    for name in args.prune.undeclared(&declared, context).await? {
        found.push(Difference { name, result: "deleted", changes: Vec::new() });
    }
    let differ = || found.iter().filter(|d| d.result != "unchanged");
    context.output.result(&found, || differ().map(|d| d.name.clone()).collect(), |view| text(&found, view))?;
    if differ().next().is_some() { Err(Failure::Differs) } else { Ok(()) }
}

async fn differs(declared: &Declared, context: &Context<'_>) -> Result<Difference, Failure> {
    let name = declared.connector.name.clone();
    let (result, old) = match context.client.info(&name).await {
        Ok(info) => ("changed", info.config),
        Err(Failure::Refused { status: 404, .. }) => ("created", indexmap::IndexMap::new()),
        Err(e) => return Err(e),
    };
    let found = changes(&old, &declared.connector.config);
    if found.is_empty() {
        return Ok(Difference { name, result: "unchanged", changes: Vec::new() });
    }
    let secrets = SecretKeys::of(&context.client, declared.setting("connector.class")).await;
    let changes = found.iter().map(|change| secrets.shown_change(change)).collect();
    Ok(Difference { name, result, changes })
}

fn text(all: &[Difference], view: View) -> String {
    let mut page = Page::new(view.width);
    for one in all {
        page.line(0, &format!("{} {}", paint(Tone::Strong, &one.name), one.result));
        page.changes(&one.changes);
    }
    page.text
}

impl Page {
    /// A line for each old and each new value.
    pub(super) fn changes(&mut self, changes: &[Change]) {
        for change in changes {
            if let Some(old) = &change.old {
                self.line(2, &paint(Tone::Bad, &format!("- {}: {old}", change.key)));
            }
            if let Some(new) = &change.new {
                self.line(2, &paint(Tone::Good, &format!("+ {}: {new}", change.key)));
            }
        }
    }
}
