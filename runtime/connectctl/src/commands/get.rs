//! `connectctl get`: settings of connectors.

use indexmap::{IndexMap, IndexSet};
use serde::Serialize;

use super::Context;
use crate::{
    changes::SecretKeys,
    check::nearest,
    consent::listed,
    error::Failure,
    names::{expand, name},
    output::View,
    shell,
    table::{Column, Table},
};

/// What `get` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the connector; a pattern or /expression/ for several.
    #[arg(value_name = "NAME", value_parser = name, add = crate::complete::connectors())]
    name: String,

    /// Keys of settings; all without any. One of one connector is printed as its value alone. Of several connectors those
    /// are shown that have it, and the others named; the exit code is 1 then.
    #[arg(value_name = "KEY")]
    keys: Vec<String>,

    /// Show secrets in tables, too. JSON and YAML always have settings as the worker has them.
    #[arg(long)]
    show_secrets: bool,
}

#[derive(Debug, Serialize)]
struct Entry {
    name: String,
    config: IndexMap<String, String>,
}

/// Shows settings as the worker has them, references unresolved.
pub async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    let mut entries = Vec::new();
    let mut secrets = Vec::new();
    let names = expand(std::slice::from_ref(&args.name), &context.client).await?;
    let several = names.len() > 1;
    let mut missing = Missing::default();
    for name in names {
        let info = match context.client.info(&name).await {
            Ok(info) => info,
            Err(e) => return Err(context.explain(&name, e).await),
        };
        let mut config = info.config.clone();
        if !args.keys.is_empty() {
            missing.look(&name, &args.keys, &config);
            config.retain(|key, _| args.keys.contains(key));
            if config.is_empty() {
                continue;
            }
        }
        let class = info.config.get("connector.class").map(String::as_str);
        let hidden = context.output.is_table() && !args.show_secrets;
        secrets.push(if hidden { Some(SecretKeys::of(&context.client, class).await) } else { None });
        config.sort_keys();
        entries.push(Entry { name, config });
    }
    let problems = missing.problems();
    if let (false, Some(first)) = (several, problems.first()) {
        return Err(Failure::Failed(first.clone()));
    }
    problems.iter().for_each(|text| context.output.problem(text));
    if entries.is_empty() && !problems.is_empty() {
        return Err(Failure::Reported);
    }
    let shown = |place: usize, key: &str, value: &str| match &secrets[place] {
        Some(keys) => keys.shown(key, value),
        None => value.to_owned(),
    };
    let table = |view: View| {
        if let ([one], [key], false) = (entries.as_slice(), args.keys.as_slice(), several) {
            return shown(0, key, one.config.get(key).map_or("", String::as_str));
        }
        let mut columns = vec![Column::text("KEY").whole(), Column::text("VALUE").whole()];
        if several {
            columns.insert(0, Column::text("NAME").whole());
        }
        let mut table = Table::new(columns);
        for (place, entry) in entries.iter().enumerate() {
            for (key, value) in &entry.config {
                let own = several.then(|| entry.name.clone());
                table.row(own.into_iter().chain([key.clone(), shown(place, key, value)]));
            }
        }
        table.render(view.width)
    };
    let keys = || entries.iter().flat_map(|e| e.config.keys().cloned()).collect::<IndexSet<_>>();
    context.output.result(&entries, || keys().into_iter().collect(), table)?;
    if problems.is_empty() { Ok(()) } else { Err(Failure::Reported) }
}

/// Keys that are not set, and for which connectors.
#[derive(Debug, Default)]
struct Missing {
    of: IndexMap<String, Vec<String>>,
    /// Keys that are set for one or the other.
    known: IndexSet<String>,
}

impl Missing {
    fn look(&mut self, name: &str, keys: &[String], config: &IndexMap<String, String>) {
        self.known.extend(config.keys().cloned());
        for key in keys.iter().filter(|key| !config.contains_key(*key)) {
            let names = self.of.entry(key.clone()).or_default();
            if names.last().is_none_or(|last| last != name) {
                names.push(name.to_owned());
            }
        }
    }

    /// A line for each key. What others have is no typing error.
    fn problems(&self) -> Vec<String> {
        let problem = |(key, names): (&String, &Vec<String>)| {
            let have = if names.len() == 1 { "has" } else { "have" };
            let hint = match nearest(key, self.known.iter().map(String::as_str)) {
                _ if self.known.contains(key) => String::new(),
                Some(near) => format!("; did you mean {near}?"),
                None => format!("; connectctl get {} shows those that are set", shell::word(&names[0])),
            };
            format!("{} {have} no setting {key}{hint}", listed(names))
        };
        self.of.iter().map(problem).collect()
    }
}
