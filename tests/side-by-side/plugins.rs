//! Plugins: listed, described, and configurations validated.

use serde_json::{Value as Json, json};

use crate::talk::Talk;

const SOURCE: &str = "org.apache.kafka.connect.file.FileStreamSourceConnector";
const SINK: &str = "org.apache.kafka.connect.file.FileStreamSinkConnector";

/// The root, health, plugins and their definitions.
pub fn listed(talk: &mut Talk<'_>) {
    talk.part = "plugins";
    for path in ["/", "/health", "/connectors", "/connector-plugins", "/connector-plugins?connectorsOnly=false"] {
        talk.say("GET", path, None);
    }
    let (_, all) = talk.say("GET", "/connector-plugins?connectorsOnly=FALSE", None);
    let classes = all.as_array().into_iter().flatten().filter_map(|p| p["class"].as_str());
    // Converters are listed twice, as those of headers, too.
    let mut asked = Vec::new();
    for class in classes {
        if !asked.contains(&class) {
            asked.push(class);
            talk.say("GET", &format!("/connector-plugins/{class}/config"), None);
        }
    }
    for name in [
        "FileStreamSource",
        "FileStreamSourceConnector",
        "FileStreamSink",
        "filestreamsink",
        "JsonConverter",
        "Json",
        "SimpleHeaderConverter",
        "RegexRouter",
        "HoistField",
        "HoistField$Value",
        "org.apache.kafka.connect.transforms.Cast",
        "HasHeaderKey",
        "None",
        "java.lang.String",
    ] {
        talk.say("GET", &format!("/connector-plugins/{name}/config"), None);
    }
    for version in ["0.0.1", "latest", "", "[0,9)"] {
        talk.say("GET", &format!("/connector-plugins/FileStreamSource/config?version={version}"), None);
    }
}

/// Configurations of all kinds of rightness.
pub fn validated(talk: &mut Talk<'_>) {
    talk.part = "validation";
    for (plugin, config) in configs() {
        talk.say("PUT", &format!("/connector-plugins/{plugin}/config/validate"), Some(&config.to_string()));
    }
    let source = json!({ "connector.class": SOURCE, "name": "v", "file": "f", "topic": "t" });
    for plugin in ["FileStreamSource", "FileStreamSourceConnector", "Source", "FileStreamSink", "nothing"] {
        talk.say("PUT", &format!("/connector-plugins/{plugin}/config/validate"), Some(&source.to_string()));
    }
    let simple = json!({ "connector.class": "FileStreamSource", "name": "v", "file": "f", "topic": "t" });
    for body in
        [simple, json!({}), json!({ "connector.class": null }), json!({ "connector.class": SOURCE, "file": {} })]
    {
        talk.say("PUT", &format!("/connector-plugins/{SOURCE}/config/validate"), Some(&body.to_string()));
    }
    for class in ["none.Such", ""] {
        talk.say(
            "PUT",
            &format!("/connector-plugins/{}/config/validate", if class.is_empty() { "x" } else { class }),
            Some(&json!({ "connector.class": class }).to_string()),
        );
    }
}

/// A right configuration with some settings added; null takes one away.
pub fn with(base: &Json, changes: &[(&str, Json)]) -> Json {
    let mut config = base.clone();
    for (key, value) in changes {
        if let Some(members) = config.as_object_mut() {
            members.insert((*key).to_owned(), value.clone());
        }
    }
    config
}

fn configs() -> Vec<(&'static str, Json)> {
    let source = json!({ "connector.class": SOURCE, "name": "v", "file": "f", "topic": "t" });
    let sink = json!({ "connector.class": SINK, "name": "v", "file": "f", "topics": "t" });
    let mut all = vec![(SOURCE, source.clone()), (SINK, sink.clone()), ("FileStreamSource", source.clone())];
    let transforms = "org.apache.kafka.connect.transforms.";
    for (key, values) in [
        ("tasks.max", vec!["x", "0", "", " 3 ", "+3", "1.5", "99999999999"]),
        ("tasks.max.enforce", vec!["yes", "FALSE"]),
        ("name", vec!["", " ", "a\u{7}b\nc", "ü / %"]),
        ("batch.size", vec!["x", "0", "5"]),
        ("config.action.reload", vec!["none", "RESTART", "no"]),
        ("errors.tolerance", vec!["none", "ALL", "some"]),
        ("errors.retry.timeout", vec!["x", "-1", "-2"]),
        ("errors.retry.delay.max.ms", vec!["0", "-5"]),
        ("errors.log.enable", vec!["true", "1"]),
        ("topic.creation.groups", vec!["a,a", "a"]),
        ("exactly.once.support", vec!["requested", "sometimes"]),
        ("transaction.boundary", vec!["interval", "never"]),
        ("transaction.boundary.interval.ms", vec!["0", "x"]),
        ("offsets.storage.topic", vec!["", "own"]),
        ("key.converter", vec!["StringConverter", "none.Such", "java.lang.String", ""]),
        ("value.converter", vec!["org.apache.kafka.connect.json.JsonConverter", SOURCE]),
        ("header.converter", vec!["SimpleHeaderConverter", "none.Such"]),
        ("connector.plugin.version", vec!["0.0.1", "latest", "["]),
        ("producer.override.acks", vec!["1"]),
        ("producer.override.batch.size", vec!["x"]),
        ("producer.override.none", vec!["1"]),
        ("consumer.override.max.poll.records", vec!["5"]),
        ("unknown.key", vec!["1"]),
    ] {
        all.extend(values.iter().map(|value| (SOURCE, with(&source, &[(key, json!(value))]))));
    }
    for (key, values) in [
        ("topics", vec!["", "a, b ,,c", " "]),
        ("topics.regex", vec!["t.*", "("]),
        ("errors.deadletterqueue.topic.name", vec!["dead", "t"]),
        ("errors.deadletterqueue.topic.replication.factor", vec!["x", "1"]),
        ("errors.deadletterqueue.context.headers.enable", vec!["x"]),
        ("consumer.override.group.id", vec!["$SIDE", "own"]),
        ("consumer.override.max.poll.records", vec!["x", "5"]),
        ("consumer.override.none", vec!["1"]),
        ("producer.override.acks", vec!["1"]),
    ] {
        all.extend(values.iter().map(|value| (SINK, with(&sink, &[(key, json!(value))]))));
    }
    let regex = [("topics", Json::Null), ("topics.regex", json!("a.*"))];
    all.push((SINK, with(&sink, &regex)));
    let dead = [("topics.regex", json!("d.*")), ("errors.deadletterqueue.topic.name", json!("dead"))];
    let no_topics = json!({ "connector.class": SINK, "name": "v", "file": "f" });
    all.extend([(SINK, no_topics.clone()), (SINK, with(&no_topics, &dead))]);
    all.extend(
        [
            json!({ "connector.class": SOURCE }),
            json!({ "connector.class": SOURCE, "name": "v", "file": " f ", "topic": null }),
        ]
        .map(|c| (SOURCE, c)),
    );
    for chain in [
        json!({ "transforms": "a" }),
        json!({ "transforms": "a,a", "transforms.a.type": format!("{transforms}RegexRouter") }),
        json!({ "transforms": "a,", "transforms.a.type": "none.Such" }),
        json!({ "transforms": "a", "transforms.a.type": format!("{transforms}Cast") }),
        json!({ "transforms": "a", "transforms.a.type": "org.apache.kafka.connect.json.JsonConverter" }),
        json!({ "transforms": "a", "transforms.a.type": "RegexRouter", "transforms.a.regex": "(" }),
        json!({ "transforms": "a", "transforms.a.type": format!("{transforms}Cast$Value"), "transforms.a.spec": "nope" }),
        json!({ "transforms": "a", "transforms.a.type": format!("{transforms}Cast$Value"), "transforms.a.spec": "" }),
        json!({ "transforms": "a", "transforms.a.type": format!("{transforms}ReplaceField$Key"),
            "transforms.a.renames": "a:b:c" }),
        json!({ "transforms": "a", "transforms.a.type": format!("{transforms}DropHeaders") }),
        json!({ "transforms": "a", "transforms.a.type": format!("{transforms}HoistField$Value"), "transforms.a.field": "x",
            "transforms.a.negate": "true" }),
        json!({ "transforms": "a", "transforms.a.type": format!("{transforms}Filter"), "transforms.a.predicate": "p" }),
        json!({ "transforms": "a", "transforms.a.type": format!("{transforms}Filter"), "transforms.a.predicate": "p",
            "predicates": "p", "predicates.p.type": "TopicNameMatches", "predicates.p.pattern": "(" }),
        json!({ "predicates": "p,q", "predicates.p.type": "org.apache.kafka.connect.transforms.predicates.HasHeaderKey" }),
        json!({ "value.converter": "JsonConverter", "value.converter.schemas.enable": "x",
            "value.converter.decimal.format": "NONE", "value.converter.schemas.cache.size": "-1" }),
        json!({ "key.converter": "StringConverter", "key.converter.converter.encoding": "none" }),
    ] {
        let changes: Vec<(&str, Json)> =
            chain.as_object().into_iter().flatten().map(|(k, v)| (k.as_str(), v.clone())).collect();
        all.push((SOURCE, with(&source, &changes)));
    }
    for transform in [
        "Cast$Key",
        "DropHeaders",
        "ExtractField$Value",
        "Filter",
        "Flatten$Value",
        "HeaderFrom$Key",
        "HoistField$Key",
        "InsertField$Value",
        "InsertHeader",
        "MaskField$Value",
        "RegexRouter",
        "ReplaceField$Value",
        "SetSchemaMetadata$Key",
        "TimestampConverter$Value",
        "TimestampRouter",
        "ValueToKey",
    ] {
        let kind = json!(format!("{transforms}{transform}"));
        all.push((SOURCE, with(&source, &[("transforms", json!("a")), ("transforms.a.type", kind)])));
    }
    all
}
