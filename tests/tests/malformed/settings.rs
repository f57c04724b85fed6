//! Wrong settings of the framework.

use crate::harness::Case;

pub(crate) const SETTINGS: &[Case] = cases![
    (
        "classless.yaml",
        "name: c\ntopics: [t]\n",
        ["classless.yaml:1: connector c: connector.class is missing; set it to a plugin such as file-source"]
    ),
    (
        "misspelt.yaml",
        "name: c\nconnector.class: file-snik\n",
        ["misspelt.yaml:2: connector c: connector.class: ", "file-snik could not be found. Did you mean file-sink?"]
    ),
    (
        "unknown.properties",
        "name=c\nconnector.class=io.confluent.connect.jdbc.JdbcSinkConnector\n",
        ["unknown.properties:2: connector c: connector.class: ", "JdbcSinkConnector is none of", "influxdb-sink"]
    ),
    (
        "topic.yaml",
        "name: c\nconnector.class: file-sink\nfile: f\ntopics: [alarms of mine]\n",
        ["topic.yaml:4: ", "topics", "alarms of mine holds ' '; names of topics consist of"]
    ),
    (
        "letters.yaml",
        sink!("errors.deadletterqueue.topic.name: dead/letters\n"),
        ["letters.yaml:5: ", "errors.deadletterqueue.topic.name", "dead/letters holds '/'"]
    ),
    (
        "converter.yaml",
        sink!("value.converter: JsonConvertor\n"),
        ["converter.yaml:5: ", "value.converter", "Did you mean JsonConverter?"]
    ),
    (
        "own-converter.yaml",
        "name: c\nconnector.class: kafka-source\ntopics: [a]\ntarget.topic: b\nsource.value.converter: JsonConvertor\n",
        ["own-converter.yaml:5: ", "source.value.converter", "Did you mean JsonConverter?"]
    ),
    (
        "foreign.yaml",
        sink!("value.converter: io.confluent.connect.protobuf.ProtobufConverter\n"),
        ["foreign.yaml:5: ", "value.converter", "could not be found"]
    ),
    (
        "converter-setting.yaml",
        sink!("value.converter: JsonConverter\nvalue.converter.schemas.enable: maybe\n"),
        ["converter-setting.yaml:6: ", "value.converter.schemas.enable: Invalid value maybe", "either true or false"]
    ),
    (
        "headers.yaml",
        sink!("value.converter: SimpleHeaderConverter\n"),
        ["headers.yaml:5: ", "value.converter: ", "does not implement the Converter interface"]
    ),
    (
        "serializer.yaml",
        source!("producer.override.key.serializer: org.apache.kafka.common.serialization.StringSerializer\n"),
        [
            "serializer.yaml:5: ",
            "producer.override.key.serializer",
            "remove it, and set key.converter or value.converter instead"
        ]
    ),
    ("acks.yaml", source!("producer.override:\n  acks: maybe\n"), ["acks.yaml:6: ", "producer.override.acks"]),
    (
        "poll.yaml",
        sink!("consumer.override.max.poll.records: many\n"),
        ["poll.yaml:5: ", "consumer.override.max.poll.records: many is not a number from 1 up"]
    ),
    (
        "store.yaml",
        sink!("consumer.override.ssl.truststore.location: '{dir}/store'\n"),
        ["store.yaml:5: ", "is a JKS store; convert it: keytool -importkeystore"]
    ),
    (
        "regex.yaml",
        "name: c\nconnector.class: file-sink\nfile: x\ntopics.regex: 'a('\n",
        ["regex.yaml:4: ", "topics.regex: Invalid regex", "Unclosed group near index 2"]
    ),
    ("both.yaml", sink!("topics.regex: 'a.*'\n"), ["both.yaml:3: ", "topics and topics.regex are mutually exclusive"]),
    (
        "neither.yaml",
        "name: c\nconnector.class: file-sink\nfile: x\n",
        ["neither.yaml:1: ", "Must configure one of topics or topics.regex"]
    ),
    (
        "letters.yaml",
        sink!("errors.deadletterqueue.topic.name: t\n"),
        ["letters.yaml:3: ", "The DLQ topic 't' may not be included in the list of topics"]
    ),
    (
        "letters-regex.yaml",
        "name: c\nconnector.class: file-sink\nfile: x\ntopics.regex: 'a.*'\nerrors.deadletterqueue.topic.name: abc\n",
        ["letters-regex.yaml:4: ", "The DLQ topic 'abc' may not be matched by the regex"]
    ),
    ("type.yaml", sink!("transforms: [t]\n"), ["type.yaml:1: ", "\"transforms.t.type\""]),
    (
        "transform.yaml",
        sink!("transforms: [t]\ntransforms.t.type: Alram\n"),
        ["transform.yaml:6: ", "transforms.t.type: Class Alram could not be found. Did you mean Alarm?"]
    ),
    (
        "aliases.yaml",
        sink!("transforms: [t, t]\ntransforms.t: {type: Alarm, raise: 'true', priority: P1_LIFE}\n"),
        ["aliases.yaml:5: ", "transforms: Duplicate alias"]
    ),
    (
        "predicate.yaml",
        sink!(
            "transforms: [t]\ntransforms.t:\n  type: Alarm\n  raise: 'true'\n  predicate: isX\n  priority: P1_LIFE\n"
        ),
        ["predicate.yaml:7: ", "the transform t names the predicate isX, which predicates does not list"]
    ),
    (
        "negate.yaml",
        sink!("transforms: [t]\ntransforms.t: {type: Alarm, raise: 'true', priority: P1_LIFE, negate: true}\n"),
        ["negate.yaml:6: ", "there is no config 'transforms.t.predicate'"]
    ),
    (
        "predicate-type.yaml",
        sink!("predicates: [p]\npredicates.p.type: Nope\n"),
        ["predicate-type.yaml:6: ", "predicates.p.type: Class Nope could not be found"]
    ),
    (
        "expression.yaml",
        sink!("transforms: [t]\ntransforms.t: {type: Alarm, raise: 'value >'}\n"),
        ["expression.yaml:6: ", "transforms.t.raise", "unexpected end of input"]
    ),
    (
        "no-priority.yaml",
        sink!("transforms: [t]\ntransforms.t: {type: Alarm, raise: 'true'}\n"),
        ["no-priority.yaml:", "transforms.t.priority: priority has nothing for alarms without a severity"]
    ),
    ("no-tasks.yaml", sink!("tasks: {max: 0}\n"), ["no-tasks.yaml:5: ", "tasks.max: Value must be at least 1"]),
    (
        "tasks.json",
        r#"{"name": "c", "config": {"connector.class": "file-sink", "topics": "t", "file": "x", "tasks.max": "two"}}"#,
        ["tasks.json:1: ", "Invalid value two for configuration tasks.max: Not a number"]
    ),
    (
        "tolerance.yaml",
        sink!("errors.tolerance: some\n"),
        ["tolerance.yaml:5: ", "errors.tolerance: String must be one of: none, all"]
    ),
    (
        "yes.yaml",
        sink!("errors.log.enable: yes\n"),
        ["yes.yaml:5: ", "errors.log.enable: Expected value to be either true or false"]
    ),
    (
        "once.yaml",
        source!("exactly.once.support: required\n"),
        ["once.yaml:5: ", "exactly.once.support: This worker does not have exactly-once source support enabled."]
    ),
    (
        "creation.yaml",
        source!("topic.creation.default.partitions: 0\n"),
        [
            "creation.yaml:5: ",
            "Invalid value 0 for configuration topic.creation.default.partitions: Number of partitions must be positive",
            "Missing required configuration \"topic.creation.default.replication.factor\" which has no default value."
        ]
    ),
    (
        "all.yaml",
        sink!("tasks.max: 0\nerrors.tolerance: some\nfile.format: xml\n"),
        [
            "all.yaml:5: ",
            "tasks.max",
            "all.yaml:6: ",
            "errors.tolerance",
            "all.yaml:7: ",
            "file.format: String must be one of: json, value, csv, template, text"
        ]
    ),
];
