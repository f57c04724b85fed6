//! What holds for every plugin: settings are documented, and the reference pages are current.

use std::{fs, path::Path};

use connect_api::config::ConfigDef;

#[test]
fn the_reference_pages_are_current() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference");
    for (name, text) in connectd::reference::pages(&connectd::plugins()) {
        let found = fs::read_to_string(folder.join(&name)).unwrap_or_default();
        assert!(found == text, "docs/reference/{name} is not current: run `cargo xtask docs`");
    }
}

#[test]
fn every_setting_of_every_plugin_is_documented() {
    let plugins = connectd::plugins();
    let documented = |plugin: &str, definition: &ConfigDef| {
        for key in definition.keys() {
            let doc = key.documentation.trim();
            assert!(doc.len() > 5, "{plugin}: {} is documented as {doc:?}", key.name);
        }
    };
    plugins.connectors.all().iter().for_each(|p| documented(p.info.name, &p.definition));
    plugins.converters.all().iter().for_each(|p| documented(p.info.name, &p.definition));
    plugins.transforms.all().iter().for_each(|p| documented(p.info.name, &p.definition));
    plugins.predicates.all().iter().for_each(|p| documented(p.info.name, &p.definition));
}

#[test]
fn every_default_is_a_valid_value() {
    let plugins = connectd::plugins();
    for plugin in plugins.connectors.all() {
        for value in plugin.definition.validate(&connect_api::Settings::new()) {
            let wrong = value.errors.iter().find(|e| !e.starts_with("Missing required configuration"));
            assert_eq!(wrong, None, "{}: the default of {}", plugin.info.name, value.name);
        }
    }
}
