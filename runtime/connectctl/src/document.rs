//! A connector as a document that `apply` reads.

use connect_rest_model::ConnectorInfo;
use indexmap::IndexMap;
use serde_json::{Value as Json, json};

/// The connector, its name first and its class next, the rest by key. A state that is not `RUNNING` becomes the one to
/// begin in.
pub fn document(info: &ConnectorInfo, state: Option<&str>) -> Json {
    const CLASS: &str = "connector.class";
    let mut config: IndexMap<&str, &str> = IndexMap::new();
    config.extend(info.config.get(CLASS).map(|class| (CLASS, class.as_str())));
    let mut keys: Vec<&String> = info.config.keys().filter(|key| !matches!(key.as_str(), CLASS | "name")).collect();
    keys.sort();
    config.extend(keys.into_iter().map(|key| (key.as_str(), info.config[key].as_str())));
    match state.filter(|s| matches!(*s, "PAUSED" | "STOPPED")) {
        Some(state) => json!({ "name": info.name, "initial_state": state.to_lowercase(), "config": config }),
        None => json!({ "name": info.name, "config": config }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    #[test]
    fn what_is_written_is_read_as_it_was() {
        let text = r#"{"name":"a b","type":"sink","tasks":[],"config":{"topics":"x,y","name":"a b","tasks.max":"1",
            "connector.class":"file-sink","transforms.t.type":"a.B$C","note":"no: \"1.50\" #x","empty":""}}"#;
        let info: ConnectorInfo = serde_json::from_str(text).expect("info");
        let yaml = yaml::to_string(&document(&info, Some("PAUSED")));
        assert!(
            yaml.starts_with("name: a b\ninitial_state: paused\nconfig:\n  connector.class: file-sink\n"),
            "{yaml}"
        );
        let trees = connect_files::read_text("t.yaml", &yaml).expect("YAML");
        let read = connect_files::connector::from_documents("t.yaml", &trees).expect("connector").remove(0);
        assert_eq!(read.initial_state.map(|s| s.name()), Some("PAUSED"));
        let config: IndexMap<String, String> = read.config.into_iter().collect();
        let same = info.config.iter().all(|(key, value)| config.get(key) == Some(value));
        assert!(same && config.len() == info.config.len(), "{config:?}");
    }
}
