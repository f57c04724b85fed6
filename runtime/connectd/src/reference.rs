//! The reference pages: one per connector, one for converters, transforms and predicates, one for the worker
//! and what all connectors share. Made of the same definitions that settings are parsed and validated by.

use std::fmt::Write;

use connect_api::{
    PluginInfo,
    config::{Config, ConfigDef, ConfigKey, Default},
};
use connect_worker::{
    Plugins, distributed::DistributedConfig, framework, metrics, registry::Direction, rest::openapi,
    worker_config::WorkerConfig,
};

/// File names and texts of all pages, sorted by name.
pub fn pages(plugins: &Plugins) -> Vec<(String, String)> {
    let mut pages = Vec::new();
    for plugin in plugins.connectors.all() {
        let kind = if plugin.direction() == Direction::Source { "source connector" } else { "sink connector" };
        let mut page = heading(1, &plugin.info, kind);
        table(&mut page, &plugin.definition);
        line(&mut page, "\nSettings of every connector are on the page [worker and connectors](worker.md).");
        pages.push((format!("{}.md", plugin.info.name), page));
    }
    let mut page = "# Converters, transforms and predicates\n".to_owned();
    let converters = plugins
        .converters
        .all()
        .iter()
        .map(|p| (p.info, &p.definition, if p.headers_only { "header converter" } else { "converter" }));
    let transforms = plugins.transforms.all().iter().map(|p| (p.info, &p.definition, "transform"));
    let predicates = plugins.predicates.all().iter().map(|p| (p.info, &p.definition, "predicate"));
    for (info, definition, kind) in converters.chain(transforms).chain(predicates) {
        page.push('\n');
        page.push_str(&heading(2, &info, kind));
        table(&mut page, definition);
    }
    pages.push(("converters-and-transforms.md".into(), page));
    let mut page = "# Worker and connectors\n\n## Settings of the worker\n".to_owned();
    table(&mut page, &WorkerConfig::definition());
    line(
        &mut page,
        "\n## Settings of a distributed worker\n\nWith `group.id` a worker is a distributed one. Further settings below",
    );
    line(
        &mut page,
        "`config.storage.`, `offset.storage.` and `status.storage.` are those of the topics where they are created.",
    );
    table(&mut page, &DistributedConfig::definition());
    for (direction, title) in [(Direction::Source, "source"), (Direction::Sink, "sink")] {
        line(&mut page, &format!("\n## Settings of every {title} connector\n"));
        table(&mut page, &framework::definition(direction));
    }
    pages.push(("worker.md".into(), page));
    let mut index =
        "# Reference\n\nMade from the definitions in the code; `cargo xtask docs` makes it anew.\n\n".to_owned();
    for (name, text) in &pages {
        let title = text.lines().next().unwrap_or_default().trim_start_matches("# ");
        line(&mut index, &format!("- [{title}]({name})"));
    }
    line(&mut index, "- [connectctl](connectctl/README.md), a page per command");
    line(&mut index, "- [Metrics](metrics.md), which a worker serves at `/metrics`");
    line(&mut index, "- [REST API as an OpenAPI document](openapi.json), which a worker serves at `/openapi.json`");
    pages.push(("README.md".into(), index));
    pages.push(("metrics.md".into(), metrics::reference::page()));
    pages.push(("openapi.json".into(), format!("{:#}\n", openapi::document())));
    pages.sort();
    pages
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

fn heading(level: usize, info: &PluginInfo, kind: &str) -> String {
    let mut out = format!("{} {} ({kind})\n\n{}\n", "#".repeat(level), info.name, info.about);
    if !info.aliases.is_empty() {
        let names: Vec<String> = info.aliases.iter().map(|a| format!("`{a}`")).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(out, "\nAlso known as {}.", names.join(", "));
    }
    out
}

fn table(out: &mut String, definition: &ConfigDef) {
    if definition.keys().is_empty() {
        return line(out, "\nThere are no settings.");
    }
    line(out, "\n| Setting | Type | Default | Importance | Meaning |\n|---|---|---|---|---|");
    for key in definition.keys() {
        let cell = |text: &str| text.replace('|', "\\|").replace('\n', " ").replace('<', "&lt;");
        let row = [
            format!("`{}`", key.name),
            key.kind.name().to_lowercase(),
            default(key),
            key.importance.name().to_lowercase(),
            cell(&key.documentation),
        ];
        line(out, &format!("| {} |", row.join(" | ")));
    }
    for family in definition.families() {
        line(out, &format!("| `{}*` | | | | {} |", family.prefix, family.documentation));
    }
}

fn default(key: &ConfigKey) -> String {
    match &key.default {
        Default::Required => "required".into(),
        Default::Null => String::new(),
        Default::Text(text) if text.is_empty() => "empty".into(),
        Default::Text(text) => format!("`{}`", text.replace('|', "\\|").replace('\n', " ")),
    }
}
