//! `connectctl context`

use indexmap::IndexMap;
use serde::Serialize;

use crate::{
    args::assignment,
    consent::{Consent, DryRun},
    error::Failure,
    names::matching,
    output::{Output, View},
    places::contexts::{Contexts, KEYS, Settings, check},
    table::{Column, Table},
};

/// What `context` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List the contexts; the current one has a star.
    List,
    /// Show the settings of a context, the current one without a name. Secrets are shown as what they refer to.
    Show {
        /// Name of the context.
        #[arg(value_name = "NAME", add = crate::complete::contexts())]
        name: Option<String>,
    },
    /// Make a context or change settings of one; comments in the file are lost.
    #[command(after_help = keys())]
    Set {
        /// Name of the context.
        #[arg(value_name = "NAME", add = crate::complete::contexts())]
        name: String,
        /// Settings; KEY= without a value removes one.
        #[arg(value_name = "KEY=VALUE", required = true, value_parser = setting)]
        settings: Vec<(String, String)>,
        /// Make it the current context, too. The first one is at once.
        #[arg(long = "use")]
        make_current: bool,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// Make a context the current one, which is used unless --context names another.
    Use {
        /// Name of the context.
        #[arg(value_name = "NAME", add = crate::complete::contexts())]
        name: String,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// Remove contexts.
    Delete {
        /// Names of contexts, or patterns.
        #[arg(value_name = "NAME", required = true, add = crate::complete::contexts())]
        names: Vec<String>,
        #[command(flatten)]
        consent: Consent,
        #[command(flatten)]
        dry_run: DryRun,
    },
}

fn keys() -> String {
    let lines: String = KEYS.iter().map(|(key, about)| format!("\n  {key:<20} {about}")).collect();
    format!("Keys:{lines}")
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = assignment(text)?;
    Ok((key, value.trim().to_owned()))
}

#[derive(Debug, Serialize)]
struct Entry<'a> {
    name: &'a str,
    current: bool,
    settings: &'a Settings,
}

/// Looks at or changes the file of contexts.
pub fn run(args: &Args, output: &Output) -> Result<(), Failure> {
    let mut contexts = Contexts::read()?;
    match &args.action {
        Action::List => list(&contexts, output),
        Action::Show { name } => show(&contexts, name.as_deref(), output),
        Action::Set { name, settings, make_current, dry_run } => {
            // Not while the command line is read: what is wrong with a word is told there together with the word, which may
            // be a secret. What a wrong file holds may be removed.
            for (key, value) in settings.iter().filter(|(_, value)| !value.is_empty()) {
                check(key, value).map_err(Failure::Usage)?;
            }
            let context = contexts.all.entry(name.clone()).or_default();
            let before = context.clone();
            for (key, value) in settings {
                if value.is_empty() {
                    context.shift_remove(key);
                } else {
                    context.insert(key.clone(), value.clone());
                }
            }
            let changed = *context != before;
            if *make_current || contexts.current.is_none() {
                contexts.current = Some(name.clone());
            }
            let verb = if changed { "set" } else { "unchanged" };
            finish(&contexts, &[(name.clone(), verb)], *dry_run, output)
        }
        Action::Use { name, dry_run } => {
            contexts.get(name)?;
            contexts.current = Some(name.clone());
            finish(&contexts, &[(name.clone(), "current")], *dry_run, output)
        }
        Action::Delete { names, consent, dry_run } => {
            let known: Vec<String> = contexts.all.keys().cloned().collect();
            let hint = "connectctl context list shows those that exist";
            let names = matching(names, &known, "context", hint).map_err(Failure::Failed)?;
            for name in &names {
                contexts.get(name)?;
            }
            if !dry_run.dry_run {
                consent.ask(&format!("delete context {}", crate::consent::listed(&names)))?;
            }
            contexts.all.retain(|name, _| !names.contains(name));
            if contexts.current.as_ref().is_some_and(|current| names.contains(current)) {
                contexts.current = None;
            }
            let done: Vec<(String, &str)> = names.into_iter().map(|name| (name, "deleted")).collect();
            finish(&contexts, &done, *dry_run, output)
        }
    }
}

fn list(contexts: &Contexts, output: &Output) -> Result<(), Failure> {
    if contexts.all.is_empty() {
        output
            .say(&format!("no contexts in {}; connectctl context set NAME url=URL makes one", contexts.path.display()));
    }
    let is_current = |name: &str| contexts.current.as_deref() == Some(name);
    let entries: Vec<Entry<'_>> =
        contexts.all.iter().map(|(name, settings)| Entry { name, current: is_current(name), settings }).collect();
    let table = |view: View| {
        if entries.is_empty() {
            return String::new();
        }
        let mut columns = vec![Column::text("NAME"), Column::text("CURRENT"), Column::text("URL")];
        columns.extend([Column::text("KAFKA").optional(), Column::text("REGISTRY").optional()]);
        let mut table = Table::new(columns);
        for e in &entries {
            let cell = |key: &str| e.settings.get(key).cloned().unwrap_or_else(|| "-".into());
            let star = if e.current { "*" } else { "" };
            let places = ["url", "bootstrap.servers", "schema.registry.url"].map(cell);
            table.row([e.name.to_owned(), star.to_owned()].into_iter().chain(places));
        }
        table.render(view.width)
    };
    output.result(&entries, || contexts.all.keys().cloned().collect(), table)
}

fn show(contexts: &Contexts, name: Option<&str>, output: &Output) -> Result<(), Failure> {
    let Some(name) = name.or(contexts.current.as_deref()) else {
        let text = "there is no current context; name one, or connectctl context use NAME makes one current";
        return Err(Failure::Failed(text.into()));
    };
    let settings = contexts.get(name)?;
    let entry = Entry { name, current: contexts.current.as_deref() == Some(name), settings };
    let table = |view: View| {
        let mut table = Table::new(["KEY", "VALUE"].map(|title| Column::text(title).whole()));
        for (key, value) in settings {
            table.row([key.clone(), value.clone()]);
        }
        table.render(view.width)
    };
    output.result(&entry, || vec![name.to_owned()], table)
}

/// Writes the file, unless it is a dry run, and says what was done to which contexts.
fn finish(contexts: &Contexts, done: &[(String, &str)], dry_run: DryRun, output: &Output) -> Result<(), Failure> {
    if !dry_run.dry_run {
        contexts.write()?;
    }
    let results: Vec<IndexMap<&str, &str>> =
        done.iter().map(|(name, result)| IndexMap::from([("name", name.as_str()), ("result", result)])).collect();
    let would = |result: &str| if dry_run.dry_run && result != "unchanged" { "would be " } else { "" };
    let lines = |_| done.iter().map(|(name, result)| format!("{name} {}{result}\n", would(result))).collect();
    output.result(&results, || done.iter().map(|(name, _)| name.clone()).collect(), lines)
}
