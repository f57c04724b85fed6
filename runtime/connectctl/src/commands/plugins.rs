//! `connectctl plugins`

use connect_rest_model::{ConfigKeyInfo, PluginInfo};

use super::Context;
use crate::{
    check::unknown_plugin,
    error::Failure,
    names::{is_pattern, matching},
    output::View,
    page::Page,
    paint::{Tone, paint},
    table::{Column, Table},
};

/// What `plugins` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A plugin whose settings are shown, or a pattern or /expression/ for which plugins to list.
    #[arg(value_name = "PLUGIN", add = crate::complete::plugins())]
    plugin: Option<String>,

    /// List converters, transformations and predicates, too.
    #[arg(long)]
    all: bool,
}

/// Lists what the worker can run, or shows the settings of one.
pub async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    match &args.plugin {
        Some(plugin) if !is_pattern(plugin) => settings(plugin, context).await,
        pattern => list(pattern.as_ref(), args.all, context).await,
    }
}

async fn list(pattern: Option<&String>, all: bool, context: &Context<'_>) -> Result<(), Failure> {
    let mut plugins = context.client.plugins(all).await?;
    if let Some(pattern) = pattern {
        let known: Vec<String> = plugins.iter().map(|p| p.class.clone()).collect();
        let hint = "connectctl plugins --all lists them";
        let wanted = matching(std::slice::from_ref(pattern), &known, "plugin", hint).map_err(Failure::Failed)?;
        plugins.retain(|p: &PluginInfo| wanted.contains(&p.class));
    }
    let names = || plugins.iter().map(|p| p.class.clone()).collect();
    context.output.result(&plugins, names, |view| {
        let mut table =
            Table::new([Column::text("CLASS").whole(), Column::text("TYPE"), Column::text("VERSION").optional()]);
        for p in &plugins {
            table.row([p.class.clone(), p.kind.clone(), p.version.clone().unwrap_or_else(|| "-".into())]);
        }
        table.render(view.width)
    })
}

async fn settings(plugin: &str, context: &Context<'_>) -> Result<(), Failure> {
    let keys = definition(plugin, context).await?;
    let names = || keys.iter().map(|key| key.name.clone()).collect();
    context.output.result(&keys, names, |view| text(&keys, view))
}

/// Settings of a plugin; one that there is not is told with the nearest.
pub(super) async fn definition(plugin: &str, context: &Context<'_>) -> Result<Vec<ConfigKeyInfo>, Failure> {
    match context.client.definition(plugin).await {
        Err(Failure::Refused { status: 404, message }) if message.starts_with("Unknown plugin") => {
            Err(Failure::Failed(unknown_plugin(plugin, &context.client.plugins(true).await?)))
        }
        answer => answer,
    }
}

fn text(keys: &[ConfigKeyInfo], view: View) -> String {
    let mut page = Page::new(view.width);
    let mut group = None;
    for key in keys {
        if key.group != group && key.group.is_some() {
            group.clone_from(&key.group);
            page.line(0, &paint(Tone::Strong, group.as_deref().unwrap_or_default()));
        }
        let default = match (&key.default_value, key.required) {
            (_, true) => "required".to_owned(),
            (Some(default), _) if !default.is_empty() => format!("default {default}"),
            _ => "no default".to_owned(),
        };
        let about = format!("{}, {default}, {} importance", key.kind.to_lowercase(), key.importance.to_lowercase());
        page.line(2, &format!("{} ({about})", paint(Tone::Strong, &key.name)));
        if !key.documentation.is_empty() {
            page.line(6, &key.documentation.replace('\n', " "));
        }
    }
    page.text
}
