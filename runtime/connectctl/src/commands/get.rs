//! `connectctl get`: settings of connectors.

use indexmap::IndexMap;
use serde::Serialize;

use super::Context;
use crate::{
    changes::SecretKeys,
    check::nearest,
    error::Failure,
    names::{expand, name},
    output::View,
    table::{Column, Table},
};

/// What `get` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the connector; a pattern or /expression/ for several.
    #[arg(value_name = "NAME", value_parser = name, add = crate::complete::connectors())]
    name: String,

    /// Keys of settings; all without any. One of one connector is printed as its value alone.
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
    for name in expand(std::slice::from_ref(&args.name), &context.client).await? {
        let info = match context.client.info(&name).await {
            Ok(info) => info,
            Err(e) => return Err(context.explain(&name, e).await),
        };
        let class = info.config.get("connector.class").map(String::as_str);
        let hidden = context.output.is_table() && !args.show_secrets;
        secrets.push(if hidden { Some(SecretKeys::of(&context.client, class).await) } else { None });
        let mut config = info.config.clone();
        if !args.keys.is_empty() {
            if let Some(missing) = args.keys.iter().find(|key| !config.contains_key(*key)) {
                let hint = match nearest(missing, config.keys().map(String::as_str)) {
                    Some(near) => format!("did you mean {near}?"),
                    None => format!("connectctl get {name} shows those that are set"),
                };
                return Err(Failure::Failed(format!("{name} has no setting {missing}; {hint}")));
            }
            config.retain(|key, _| args.keys.contains(key));
        }
        config.sort_keys();
        entries.push(Entry { name, config });
    }
    let shown = |place: usize, key: &str, value: &str| match &secrets[place] {
        Some(keys) => keys.shown(key, value),
        None => value.to_owned(),
    };
    let table = |view: View| {
        if let ([one], [key]) = (entries.as_slice(), args.keys.as_slice()) {
            return shown(0, key, &one.config[key]);
        }
        let several = entries.len() > 1;
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
    let keys = || entries.iter().flat_map(|e| e.config.keys().cloned()).collect::<indexmap::IndexSet<_>>();
    context.output.result(&entries, || keys().into_iter().collect(), table)
}
