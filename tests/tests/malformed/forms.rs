//! Documents that declare no connector.

use crate::harness::Case;

pub(crate) const FORMS: &[Case] = cases![
    ("list.yaml", "- name: c\n", ["list.yaml:1:1: a connector is a mapping with a name, not a list"]),
    ("list.json", r#"[{"name": "c"}]"#, ["list.json:1:1: a connector is a mapping with a name, not a list"]),
    ("text.yaml", "hello\n", ["text.yaml:1:1: a connector is a mapping with a name, not a single value"]),
    ("nothing.yaml", "# nothing\n", ["declares no connector; write one with name and connector.class"]),
    ("nothing.json", "null", ["declares no connector; write one with name and connector.class"]),
    ("nothing.properties", "", ["the connector has no name; add the key name"]),
    (
        "nameless.yaml",
        "connector.class: file-sink\n",
        ["nameless.yaml:1:1: the connector has no name; add the key name"]
    ),
    ("blank-name.yaml", "file: x\nname: ' '\n", ["blank-name.yaml:2:1: the connector's name is empty; give it one"]),
    ("list-name.yaml", "file: x\nname: [c]\n", ["list-name.yaml:2:1: name must be a single value, not a list"]),
    (
        "control.yaml",
        "name: \"a\\tb\"\nconnector.class: file-sink\ntopics: [t]\nfile: x\n",
        ["control.yaml:1: ", "may not contain control sequences"]
    ),
    (
        "item.yaml",
        "name: c\nconnector.class: file-sink\ntopics: ['a,b', c]\n",
        ["item.yaml:3:10: an item of the list topics contains a comma"]
    ),
    (
        "lists.yaml",
        "name: c\ntopics: [[a], b]\n",
        ["lists.yaml:2:10: the list topics holds a list; it can hold single values or mappings"]
    ),
    (
        "mixed-list.yaml",
        "name: c\ntopics: [{a: b}, b]\n",
        ["mixed-list.yaml:2:18: the list topics mixes mappings with other values; write either"]
    ),
    (
        "empty.yaml",
        sink!("errors.tolerance:\n"),
        ["empty.yaml:5:1: errors.tolerance has no value; write \"\" for an empty text, or remove the line"]
    ),
    ("null.json", r#"{"name": "c", "config": {"topics": null}}"#, ["null.json:1:26: topics has no value"]),
    (
        "names.yaml",
        "name: c\nconfig: {name: d}\n",
        ["names.yaml:2:1: the settings name the connector d but the file names it c"]
    ),
    (
        "beside.yaml",
        "name: c\ntopics: [t]\nconfig: {file: x}\n",
        ["beside.yaml:2:1: unknown key topics beside name and config; settings belong below config"]
    ),
    (
        "config.yaml",
        "name: c\nconfig: file-sink\n",
        ["config.yaml:2:1: config must be a mapping of settings, not a single value"]
    ),
    (
        "state.yaml",
        sink!("initial_state: up\n"),
        ["state.yaml:5:1: initial_state is up; it must be running, paused or stopped"]
    ),
    (
        "kind.yaml",
        "kind: KafkaTopic\nmetadata: {name: c}\nspec: {}\n",
        ["kind.yaml:1:1: kind is KafkaTopic; only KafkaConnector resources are read"]
    ),
    (
        "specless.yaml",
        "kind: KafkaConnector\nmetadata: {name: c}\n",
        ["specless.yaml:1:1: the resource has no spec; add one with class and config"]
    ),
    (
        "resource-name.yaml",
        "kind: KafkaConnector\nmetadata: {}\nspec: {class: file-sink}\n",
        ["the connector has no name; add the key metadata.name"]
    ),
    (
        "spec-key.yaml",
        "kind: KafkaConnector\nmetadata: {name: c}\nspec:\n  class: file-sink\n  tasks: 2\n",
        ["spec-key.yaml:5:3: unknown key tasks in spec; known are class, tasksMax, state, pause and config"]
    ),
    (
        "spec-twice.yaml",
        "kind: KafkaConnector\nmetadata: {name: c}\nspec: {class: file-sink, tasksMax: 2, config: {tasks.max: 3}}\n",
        ["spec-twice.yaml:3:1: spec.config sets tasks.max to 3 but the resource sets it to 2; remove one"]
    ),
    (
        "mixed.yaml",
        "kind: KafkaConnector\nname: c\nmetadata: {name: c}\nspec: {class: x}\n",
        ["mixed.yaml:2:1: unknown key name in a KafkaConnector resource"]
    ),
    (
        "pause.yaml",
        "kind: KafkaConnector\nmetadata: {name: c}\nspec: {pause: maybe}\n",
        ["pause.yaml:3:8: pause is maybe; it must be true or false"]
    ),
    (
        "spec.yaml",
        "kind: KafkaConnector\nmetadata: {name: c}\nspec: 5\n",
        ["spec.yaml:3:1: spec must be a mapping with class and config"]
    ),
    (
        "again.yaml",
        concat!(sink!("---\n"), sink!("")),
        ["again.yaml:6: the connector c is declared twice, first at", "again.yaml:1; rename one of them"]
    ),
    ("ending.toml", "name = 'c'\n", ["the ending must be .yaml, .yml, .json or .properties"]),
    ("ending", sink!(""), ["the ending must be .yaml, .yml, .json or .properties"]),
];
