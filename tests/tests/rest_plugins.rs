//! Plugins over Kafka Connect's REST API: listed, described, and validating.

use serde_json::{Value as Json, json};
use tocsin_tests::rest::Rest;

#[test]
fn plugins_are_listed_described_and_validate() {
    let rest = Rest::start(&[]);
    let kinds = |path: &str| -> Vec<(String, String)> {
        let all = rest.get(path).json();
        let text = |p: &Json, key: &str| p[key].as_str().unwrap_or_else(|| panic!("{p}")).to_owned();
        all.as_array().expect("list").iter().map(|p| (text(p, "type"), text(p, "class"))).collect()
    };
    let connectors = kinds("/connector-plugins");
    assert!(connectors.iter().all(|(kind, _)| kind == "sink" || kind == "source"), "{connectors:?}");
    let file = ("source".to_owned(), "org.apache.kafka.connect.file.FileStreamSourceConnector".to_owned());
    assert!(connectors.contains(&file), "{connectors:?}");
    assert!(connectors.is_sorted(), "sinks first, then by class: {connectors:?}");
    assert_eq!(kinds("/connector-plugins?connectorsOnly="), connectors);
    let all = kinds("/connector-plugins?connectorsOnly=false");
    for kind in ["sink", "source", "transformation", "converter", "header_converter"] {
        assert!(all.iter().any(|(k, _)| k == kind), "{kind}: {all:?}");
    }

    for name in ["file-source", "FileStreamSource", "FileStreamSourceConnector", &file.1] {
        let keys = rest.get(&format!("/connector-plugins/{name}/config")).json();
        let names: Vec<&str> = keys.as_array().expect("list").iter().filter_map(|k| k["name"].as_str()).collect();
        assert_eq!(&names[..3], ["file", "topic", "batch.size"], "the plugin's own keys first");
        assert!(names.contains(&"tasks.max") && names.contains(&"errors.tolerance"), "{names:?}");
    }
    let key = &rest.get("/connector-plugins/file-source/config").json()[2];
    let members = [
        "name",
        "type",
        "required",
        "default_value",
        "importance",
        "documentation",
        "group",
        "width",
        "display_name",
        "dependents",
        "order",
    ];
    assert!(members.iter().all(|m| key.get(m).is_some()), "{key}");
    assert_eq!((&key["type"], &key["required"], &key["default_value"]), (&json!("INT"), &json!(false), &json!("2000")));
    assert!(rest.get("/connector-plugins/JsonConverter/config").text.contains("schemas.enable"));
    let unknown = rest.get("/connector-plugins/Nope/config");
    assert_eq!((unknown.status, unknown.message().as_str()), (404, "Unknown plugin Nope."));

    let validate = |plugin: &str, config: Json| {
        rest.send("PUT", &format!("/connector-plugins/{plugin}/config/validate"), &config.to_string())
    };
    let wrong = validate("FileStreamSource", json!({ "connector.class": file.1, "name": "v", "tasks.max": "x" }));
    let body = wrong.json();
    assert_eq!((wrong.status, &body["name"]), (200, &json!(file.1)));
    let errors = |key: &str| -> Vec<String> {
        let of = body["configs"].as_array().expect("list").iter().filter(|c| c["value"]["name"] == key);
        of.flat_map(|c| c["value"]["errors"].as_array().expect("list"))
            .filter_map(|e| Some(e.as_str()?.to_owned()))
            .collect()
    };
    assert_eq!(errors("file"), ["Missing required configuration \"file\" which has no default value."]);
    assert!(errors("tasks.max")[0].ends_with("Not a number of type INT"));
    let count: usize = body["configs"]
        .as_array()
        .expect("list")
        .iter()
        .map(|c| c["value"]["errors"].as_array().map_or(0, Vec::len))
        .sum();
    assert_eq!(body["error_count"], count);
    assert!(body["groups"].as_array().is_some_and(|g| g.contains(&json!("Common"))), "{body}");
    // Any two names of one plugin match.
    for plugin in ["file-source", "FileStreamSource", &file.1] {
        for class in ["file-source", "FileStreamSourceConnector", &file.1] {
            let right = validate(plugin, json!({ "connector.class": class, "name": "v", "file": "f", "topic": "t" }));
            assert_eq!(
                (right.status, &right.json()["error_count"]),
                (200, &json!(0)),
                "{plugin} {class}: {}",
                right.text
            );
        }
    }
    let other = validate("FileStreamSink", json!({ "connector.class": file.1 }));
    let text = format!("Included connector type {} does not match request type FileStreamSink", file.1);
    assert_eq!((other.status, other.message()), (400, text));
    let classless = validate("FileStreamSource", json!({ "topic": "t" }));
    assert!(
        classless.status == 500 && classless.message().contains("contains no connector type"),
        "{}",
        classless.text
    );
    let secret = validate(
        "slack-sink",
        json!({ "connector.class": "slack-sink", "name": "v", "topics": "t",
        "slack.webhook.url": "https://hooks/s3cret" }),
    );
    assert!(
        secret.status == 200 && secret.text.contains("[hidden]") && !secret.text.contains("s3cret"),
        "{}",
        secret.text
    );
    assert_eq!(rest.get("/connectors").json(), json!([]), "validation creates nothing");
}

#[test]
fn a_version_of_a_plugin_can_be_asked_for() {
    let rest = Rest::start(&[]);
    let listed = rest.get("/connector-plugins").json();
    let class = "org.apache.kafka.connect.file.FileStreamSourceConnector";
    let of = |p: &Json| (p["class"] == class).then(|| p["version"].as_str().expect("version").to_owned());
    let version = listed.as_array().expect("list").iter().find_map(of).expect("the file source");
    for query in
        [format!("?version={version}"), "?version=latest".into(), "?version=%5B0,99)".into(), "?VERSION=9".into()]
    {
        assert_eq!(rest.get(&format!("/connector-plugins/FileStreamSource/config{query}")).status, 200, "{query}");
    }
    for (query, range) in [("?version=99", "[99,99]"), ("?version=", "[,]"), ("?version=(99,)", "(99,)")] {
        let answer = rest.get(&format!("/connector-plugins/FileStreamSource/config{query}"));
        let text =
            format!("Plugin {class} not found that matches the version range {range}, available versions: [{version}]");
        assert_eq!((answer.status, answer.message()), (400, text), "{query}");
    }
    let body = json!({ "connector.class": class, "name": "v", "file": "f", "topic": "t",
        "connector.plugin.version": version, "key.converter": "JsonConverter", "key.converter.schemas.enable": "x",
        "transforms": "r", "transforms.r.type": "RegexRouter", "transforms.r.regex": "a" });
    let path = format!("/connector-plugins/{class}/config/validate");
    let found = rest.send("PUT", &path, &body.to_string()).json();
    let entry = |name: &str| -> Json {
        let all = found["configs"].as_array().expect("list");
        all.iter().find(|c| c["value"]["name"] == name).unwrap_or_else(|| panic!("{name}: {found}")).clone()
    };
    let json_converter = "org.apache.kafka.connect.json.JsonConverter";
    assert_eq!(entry("key.converter")["value"]["value"], json_converter, "the class, whatever name was given");
    assert_eq!(
        entry("key.converter.schemas.enable")["value"]["errors"],
        json!(["Invalid value x for configuration schemas.enable: Expected value to be either true or false"])
    );
    assert_eq!(entry("value.converter")["definition"]["default_value"], "io.confluent.connect.avro.AvroConverter");
    let kind = entry("transforms.r.type");
    assert_eq!(
        (&kind["definition"]["group"], &kind["definition"]["order"], &kind["definition"]["display_name"]),
        (&json!("Transforms: r"), &json!(0), &json!("Transformation type for r"))
    );
    assert_eq!(
        entry("transforms.r.replacement")["value"]["errors"],
        json!(["Missing required configuration \"transforms.r.replacement\" which has no default value."])
    );
    assert_eq!(entry("transforms.r.negate")["value"]["value"], "false");
    assert_eq!(found["error_count"], 2);
}
