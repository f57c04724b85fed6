//! `connectctl edit`: settings of a connector in an editor.

use std::{
    env,
    io::{ErrorKind, IsTerminal},
    path::Path,
    process::Command,
};

use connect_rest_model::{ConfigMap, ConnectorInfo};
use serde_json::{Map, Value as Json};

use super::{Context, Outcome, Outcomes, set::store};
use crate::{
    changes::{Change, SecretKeys, changes},
    check::check,
    consent::{Consent, DryRun, listed},
    declared::Declared,
    document::document,
    error::Failure,
    names::name,
    page::Page,
    private, shell,
    wait::{Goal, Wait},
    yaml,
};

/// What `edit` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the connector.
    #[arg(value_name = "NAME", value_parser = name, add = crate::complete::connectors())]
    name: String,
    #[command(flatten)]
    wait: Wait,
    #[command(flatten)]
    dry_run: DryRun,
}

/// Opens the settings in $VISUAL or $EDITOR, has the worker validate what comes back, and stores it. What has a problem can
/// be edited again; without a terminal it is left in its file.
pub async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    let editor = editor(&args.name)?;
    let info = match context.client.info(&args.name).await {
        Ok(info) => info,
        Err(e) => return Err(context.explain(&args.name, e).await),
    };
    let failed = |e: std::io::Error| Failure::Failed(format!("writing a file to edit: {e}"));
    let folder = private::folder("connectctl").map_err(failed)?;
    let path = folder.path().join("connector.yaml");
    private::write(&path, &flat(&document(&info, None))).map_err(failed)?;
    let declared = loop {
        open(&editor, &path)?;
        // Editors that write a file anew do not all give it the rights that it had. One that is gone is told when it is read.
        private::close(&path).or_else(|e| if e.kind() == ErrorKind::NotFound { Ok(()) } else { Err(failed(e)) })?;
        match read(&path, args, context).await? {
            Some(declared) => break declared,
            None if std::io::stdin().is_terminal() && (Consent { yes: false }).ask("edit it again").is_ok() => {}
            None => {
                let kept = folder.keep();
                let text = format!("nothing was changed; the text is in {}", kept.join("connector.yaml").display());
                return Err(Failure::Failed(text));
            }
        }
    };
    let found = changes(&info.config, &declared.connector.config);
    let dry_run = args.dry_run.dry_run;
    let mut outcomes = Outcomes::default();
    let result = if found.is_empty() { "unchanged" } else { "changed" };
    if !found.is_empty() && dry_run {
        let secrets = SecretKeys::of(&context.client, declared.setting("connector.class")).await;
        let mut page = Page::new(None);
        page.changes(&found.iter().map(|change| secrets.shown_change(change)).collect::<Vec<_>>());
        context.output.say(page.text.trim_end());
    } else if !found.is_empty()
        && let Err(e) = store_edited(&info, &found, context).await
    {
        let kept = folder.keep().join("connector.yaml");
        context.output.problem(&format!("the text is in {}", kept.display()));
        return Err(e);
    }
    let keys: Vec<String> = found.into_iter().map(|c| c.key).collect();
    let goals = if keys.is_empty() || dry_run { Vec::new() } else { vec![(args.name.clone(), Goal::Settled)] };
    outcomes.add(context, &args.name, Ok(Outcome { keys, dry_run, ..Outcome::new(&args.name, result) }));
    outcomes.print(context)?;
    args.wait.until(&goals, context).await
}

/// Changes what was edited, and nothing that somebody else has changed while the editor was open.
async fn store_edited(opened: &ConnectorInfo, edited: &[Change], context: &Context<'_>) -> Result<(), Failure> {
    let name = &opened.name;
    let mut now = context.client.info(name).await?.config;
    let others = edited.iter().filter(|c| now.get(&c.key) != opened.config.get(&c.key)).map(|c| c.key.clone());
    let others: Vec<String> = others.collect();
    if !others.is_empty() {
        return Err(Failure::Failed(format!(
            "nothing was changed: somebody else has changed {} of {name} while it was edited",
            listed(&others)
        )));
    }
    let patch: ConfigMap = edited.iter().map(|c| (c.key.clone(), c.new.clone())).collect();
    for (key, value) in &patch {
        match value {
            Some(value) => drop(now.insert(key.clone(), value.clone())),
            None => drop(now.shift_remove(key)),
        }
    }
    let whole: ConfigMap = now.into_iter().map(|(key, value)| (key, Some(value))).collect();
    store(name, &patch, &whole, context).await
}

/// What was written, if it is right; what is wrong has been said.
async fn read(path: &Path, args: &Args, context: &Context<'_>) -> Result<Option<Declared>, Failure> {
    let mut checked = check(&context.client, &[path.to_owned()]).await;
    checked.problems.iter().for_each(|p| context.output.say(&p.line()));
    if let Some(failure) = checked.failure {
        return Err(failure);
    }
    let renamed = checked.connectors.iter().find(|d| d.connector.name != args.name).map(|d| d.connector.name.clone());
    if let Some(other) = renamed {
        context.output.problem(&format!("{} cannot become {other}: a connector cannot be renamed", args.name));
        return Ok(None);
    }
    let wrong = checked.problems.iter().any(|p| !p.warning) || checked.connectors.len() != 1;
    Ok(if wrong { None } else { checked.connectors.pop() })
}

/// Name and settings on one level, as people write them.
fn flat(document: &Json) -> String {
    let mut all = Map::new();
    all.insert("name".into(), document["name"].clone());
    all.extend(document["config"].as_object().cloned().unwrap_or_default());
    yaml::to_string(&Json::Object(all))
}

/// What the user edits with. A program that he has not named himself needs a terminal.
fn editor(connector: &str) -> Result<String, Failure> {
    let set = |name: &str| env::var(name).ok().filter(|v| !v.trim().is_empty());
    if let Some(editor) = set("VISUAL").or_else(|| set("EDITOR")) {
        return Ok(editor);
    }
    if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        return Ok("vi".to_owned());
    }
    let word = shell::word(connector);
    Err(Failure::Usage(format!(
        "there is no terminal to edit on; connectctl export {word} > FILE and connectctl apply -f FILE need none, nor does \
         connectctl set {word} KEY=VALUE; or set EDITOR to a program that needs none"
    )))
}

fn open(editor: &str, path: &Path) -> Result<(), Failure> {
    // An editor may come with arguments, quoted as a shell has them.
    let status = Command::new("sh").arg("-c").arg(format!("{editor} \"$1\"")).arg("sh").arg(path).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::Failed(format!("the editor {editor} ended with {status}; nothing was changed"))),
        Err(e) => Err(Failure::Failed(format!("starting the editor {editor}: {e}; set VISUAL or EDITOR"))),
    }
}
