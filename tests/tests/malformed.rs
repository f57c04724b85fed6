//! Malformed files: what an admin reads must say what is wrong, where, and what to do, and never a secret.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};

use tocsin_tests::{program, wait};

const WORKER: i32 = 2;
const CONNECTOR: i32 = 3;

/// Must never be seen in what is printed.
const SECRET: &str = "s3cret";

/// `{dir}` in the text is the folder of the file.
struct Case {
    file: &'static str,
    text: &'static [u8],
    /// What stderr must hold, besides the file's name: where it is wrong, what is wrong, the way out.
    says: &'static [&'static str],
}

macro_rules! cases {
    ($(($file:expr, $text:expr, $says:expr)),* $(,)?) => {
        &[$(Case { file: $file, text: $text.as_bytes(), says: &$says }),*]
    };
}

/// Settings of a file sink that are right, but for what follows them.
macro_rules! sink {
    ($more:expr) => {
        concat!("name: c\nconnector.class: file-sink\ntopics: [t]\nfile: /tmp/x\n", $more)
    };
}

/// The same for a file source.
macro_rules! source {
    ($more:expr) => {
        concat!("name: c\nconnector.class: file-source\ntopic: t\nfile: /tmp/x\n", $more)
    };
}

/// Settings of a worker that are right, but for what follows them.
macro_rules! worker {
    ($more:expr) => {
        concat!(
            "key.converter: StringConverter\nvalue.converter: StringConverter\noffset.storage.file.filename: /tmp/o\n",
            $more
        )
    };
}

const SYNTAX: &[Case] = cases![
    ("tab.yaml", "name: c\n\ttopics: t\n", ["tab.yaml:1:7: not valid YAML", "found a tab", "indent with blanks"]),
    (
        "bracket.yaml",
        "name: c\ntopics: [a, b\nfile: x\n",
        ["bracket.yaml:3:5: not valid YAML", "is a closing bracket missing"]
    ),
    ("quote.yaml", "name: \"c\nfile: x\n", ["quote.yaml:1:7: not valid YAML", "is a closing quote missing?"]),
    ("indent.yaml", "name: c\n  file: x\n", ["indent.yaml:2:7: not valid YAML", "indent the keys of a mapping alike"]),
    ("colon.yaml", "name: c\nfile: a: b\n", ["colon.yaml:2:8: not valid YAML", "quote a value that holds ': '"]),
    (
        "alias.yaml",
        "name: *x\n",
        ["alias.yaml:1:7: not valid YAML", "unknown anchor; quote a value that begins with *"]
    ),
    ("at.yaml", "name: @c\n", ["at.yaml:1:7: not valid YAML", "quote the value"]),
    (
        "merge.yaml",
        "<<: {a: b}\nname: c\n",
        ["merge.yaml:1:1: merge keys (<<) are not supported; write the settings out"]
    ),
    ("binary.yaml", "\u{0}\u{1}\u{1b}[31m", ["binary.yaml:1:1: not valid YAML", "is it a text file?"]),
    (
        "twice.yaml",
        sink!("file: /tmp/y\n"),
        ["twice.yaml:5:1: the key file stands twice, first in line 4; remove one of them"]
    ),
    (
        "dots.yaml",
        sink!("errors: {tolerance: all}\nerrors.tolerance: none\n"),
        [
            "dots.yaml:6:1: the key errors.tolerance stands twice, once nested and once with dots, first in line 5; remove one"
        ]
    ),
    (
        "comma.json",
        r#"{"name": "c", "config": {"a": "b",}}"#,
        ["comma.json:1:35: not valid JSON: key must be a string; is there a comma too many before this?"]
    ),
    (
        "comment.json",
        "{\"name\": \"c\",\n // x\n \"config\": {}}",
        ["comment.json:2:2: not valid JSON", "there are no comments"]
    ),
    (
        "cut.json",
        "{\"name\": \"c\",\n \"config\": {\"a\": \"b\"\n",
        ["cut.json:3:1: not valid JSON", "is a closing quote, brace or bracket missing?"]
    ),
    (
        "two.json",
        "{\"name\": \"c\"}\n{\"name\": \"d\"}\n",
        ["two.json:2:1: not valid JSON", "a JSON file holds one document"]
    ),
    (
        "twice.json",
        "{\"name\": \"c\",\n \"config\": {\"topics\": \"t\",\n \"topics\": \"u\"}}",
        ["twice.json:3:2: the key topics stands twice, first in line 2; remove one of them"]
    ),
    (
        "twice.properties",
        "name=c\n\nname=d\n",
        ["twice.properties:3:1: the key name stands twice, first in line 1; remove one of them"]
    ),
    ("escape.properties", "name=c\nfile=\\u00zz\n", ["escape.properties:2:1: not a valid properties file"]),
    ("nokey.properties", "name=c\n=x\n", ["nokey.properties:2:1: the line has a value but no key"]),
];

const FORMS: &[Case] = cases![
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

const SETTINGS: &[Case] = cases![
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
        "converter.yaml",
        sink!("value.converter: JsonConvertor\n"),
        ["converter.yaml:5: ", "value.converter", "Did you mean JsonConverter?"]
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
        ["regex.yaml:4: ", "topics.regex: Invalid regex", "unclosed group"]
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
        sink!("transforms: [t, t]\ntransforms.t: {type: Alarm, raise: 'true'}\n"),
        ["aliases.yaml:5: ", "transforms: Duplicate alias"]
    ),
    (
        "predicate.yaml",
        sink!("transforms: [t]\ntransforms.t:\n  type: Alarm\n  raise: 'true'\n  predicate: isX\n"),
        ["predicate.yaml:7: ", "the transform t names the predicate isX, which predicates does not list"]
    ),
    (
        "negate.yaml",
        sink!("transforms: [t]\ntransforms.t: {type: Alarm, raise: 'true', negate: true}\n"),
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
        source!("topic.creation.default.partitions: 3\n"),
        ["creation.yaml:5: ", "topic.creation.default.partitions is not supported: create the topics before"]
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
            "file.format: String must be one of: json, text"
        ]
    ),
];

const CONNECTORS: &[Case] = cases![
    (
        "file-source.yaml",
        "name: c\nconnector.class: file-source\n",
        ["Missing required configuration \"file\"", "Missing required configuration \"topic\""]
    ),
    (
        "file-sink.properties",
        "name=c\nconnector.class=file-sink\ntopics=t\nfile=\n",
        ["file-sink.properties:4: ", "file: String must be non-empty"]
    ),
    ("batch.yaml", source!("batch.size: 0\n"), ["batch.yaml:5: ", "batch.size: Value must be at least 1"]),
    ("epics.yaml", "name: c\nconnector.class: epics-source\n", ["Missing required configuration \"epics.channels\""]),
    (
        "epics-mode.yaml",
        "name: c\nconnector.class: epics-source\nepics:\n  channels: 'T:ai0'\n  mode: all\n",
        ["epics-mode.yaml:5: ", "epics.mode: String must be one of: changes, alarms, both"]
    ),
    (
        "epics-address.yaml",
        "name: c\nconnector.class: epics-source\nepics.channels: 'T:ai0'\nmonitor.addr.list: 'a,b'\n",
        [
            "epics-address.yaml:4: ",
            "monitor.addr.list is `a,b`: not of the form host[:port], with blanks between several"
        ]
    ),
    (
        "webhook-source.yaml",
        "name: c\nconnector.class: webhook-source\n",
        ["Missing required configuration \"webhook.format\""]
    ),
    (
        "webhook-path.yaml",
        "name: c\nconnector.class: webhook-source\nwebhook: {format: healthbot, paths: [alarms], password: s3cret}\n",
        ["webhook-path.yaml:3: ", "\"alarms\" is not a path such as /healthbot"]
    ),
    (
        "webhook-user.yaml",
        "name: c\nconnector.class: webhook-source\nwebhook: {format: healthbot, password: s3cret}\n",
        ["webhook-user.yaml:", "webhook.username and webhook.password must be set together"]
    ),
    (
        "alert-stream.yaml",
        "name: c\nconnector.class: alert-stream-source\n",
        ["Missing required configuration \"topic\"", "Missing required configuration \"alert.stream.files\""]
    ),
    (
        "influxdb.yaml",
        "name: c\nconnector.class: influxdb-sink\ntopics: [t]\n",
        ["Missing required configuration \"influxdb.url\""]
    ),
    (
        "influxdb-2.yaml",
        "name: c\nconnector.class: influxdb-sink\ntopics: [t]\ninfluxdb: {url: 'http://h:8086', version: 2, token: s3cret}\n",
        ["influxdb.bucket is required with influxdb.version 2"]
    ),
    (
        "influxdb-mixed.yaml",
        "name: c\nconnector.class: influxdb-sink\ntopics: [t]\ninfluxdb:\n  url: http://h:8086\n  database: d\n  token: s3cret\n",
        ["influxdb-mixed.yaml:7: ", "influxdb.token has no meaning with influxdb.version 1: remove it"]
    ),
    (
        "slack.yaml",
        "name: c\nconnector.class: slack-sink\ntopics: [t]\n",
        ["Missing required configuration \"slack.webhook.url\""]
    ),
    (
        "slack-url.yaml",
        "name: c\nconnector.class: slack-sink\ntopics: [t]\nslack.webhook.url: 'hooks.slack.com/services/s3cret'\n",
        ["slack-url.yaml:4: ", "Invalid value [hidden] for configuration slack.webhook.url: Not a URL"]
    ),
    (
        "slack-template.yaml",
        "name: c\nconnector.class: slack-sink\ntopics: [t]\nslack: {webhook.url: 'https://h/s3cret', raised.template: '{{key'}\n",
        ["slack-template.yaml:4: ", "slack.raised.template", "syntax error"]
    ),
    (
        "webhook-sink.yaml",
        "name: c\nconnector.class: webhook-sink\ntopics: [t]\n",
        ["Missing required configuration \"webhook.url\""]
    ),
    (
        "webhook-method.yaml",
        "name: c\nconnector.class: webhook-sink\ntopics: [t]\nwebhook: {url: 'http://h/', method: GET}\nhttp.token: s3cret\n",
        ["webhook-method.yaml:4: ", "webhook.method: String must be one of: POST, PUT, PATCH"]
    ),
    (
        "webhook-header.yaml",
        "name: c\nconnector.class: webhook-sink\ntopics: [t]\nwebhook: {url: 'http://h/', headers: [none]}\n",
        ["webhook-header.yaml:4: ", "Expected \"Name: value\" for each header"]
    ),
];

const WORKERS: &[Case] = cases![
    (
        "group.yaml",
        worker!("group.id: g\n"),
        ["group.id asks for a distributed worker", "set offset.storage.file.filename"]
    ),
    (
        "distributed.properties",
        "bootstrap.servers=h:1\ngroup.id=connect\nkey.converter=JsonConverter\nvalue.converter=JsonConverter\n\
         offset.storage.topic=o\nconfig.storage.topic=c\nstatus.storage.topic=s\n",
        ["group.id asks for a distributed worker", "remove group.id and the *.storage.topic keys"]
    ),
    (
        "https.yaml",
        worker!("listeners: ['https://:8443']\n"),
        ["ssl.keystore.location: https listeners need it: a PEM or PKCS#12 file"]
    ),
    ("listener.yaml", worker!("listeners: localhost:8083\n"), ["localhost:8083 is not of the form http://host:port"]),
    (
        "port.yaml",
        worker!("listeners: ['http://localhost:99999']\n"),
        ["http://localhost:99999 has no port from 0 to 65535"]
    ),
    (
        "listeners.yaml",
        worker!("listeners: ['http://:0', 'ftp://127.0.0.1:0']\n"),
        ["ftp://127.0.0.1:0 is not of the form http://host:port or https://host:port"]
    ),
    ("silent.yaml", worker!("listeners: []\n"), ["at least one listener is needed, such as http://127.0.0.1:8083"]),
    (
        "jks.yaml",
        worker!("security.protocol: SSL\nssl.truststore: {location: '{dir}/store', password: s3cret}\n"),
        ["ssl.truststore.location: ", "is a JKS store; convert it: keytool"]
    ),
    (
        "consumer-jks.yaml",
        worker!("consumer.ssl.truststore.location: '{dir}/store'\n"),
        ["consumer.ssl.truststore.location: ", "is a JKS store; convert it: keytool"]
    ),
    (
        "absent.yaml",
        worker!("ssl.truststore.location: /nowhere/ca.pem\n"),
        ["ssl.truststore.location: reading /nowhere/ca.pem: No such file"]
    ),
    (
        "jaas.yaml",
        worker!(
            "security.protocol: SASL_SSL\nsasl: {mechanism: PLAIN, jaas.config: 'a.PlainLoginModule required username=\"a\" password=\"s3cret\"'}\n"
        ),
        ["sasl.jaas.config: it does not end with a semicolon"]
    ),
    ("protocol.yaml", worker!("security.protocol: TLS\n"), ["security.protocol: Invalid value \"tls\""]),
    (
        "converters.yaml",
        "offset.storage.file.filename: o\n",
        ["Missing required configuration \"key.converter\"", "Missing required configuration \"value.converter\""]
    ),
    (
        "misspelt.yaml",
        "key.converter: StringConverter\nvalue.converter: JsonConvertor\noffset.storage.file.filename: o\n",
        ["value.converter: ", "Did you mean JsonConverter?"]
    ),
    (
        "avro.yaml",
        "key.converter: StringConverter\nvalue.converter: AvroConverter\noffset.storage.file.filename: o\n",
        ["value.converter.schema.registry.url: ", "Missing required configuration"]
    ),
    (
        "offsets.yaml",
        "key.converter: StringConverter\nvalue.converter: StringConverter\n",
        ["Missing required configuration \"offset.storage.file.filename\""]
    ),
    (
        "interval.yaml",
        worker!("offset.flush.interval.ms: 5s\n"),
        ["offset.flush.interval.ms: Not a number of type LONG"]
    ),
    ("never.yaml", worker!("offset.flush.interval.ms: 0\n"), ["offset.flush.interval.ms: Value must be at least 1"]),
    (
        "once.yaml",
        worker!("exactly.once.source.support: enabled\n"),
        ["exactly.once.source.support is not supported: delivery is at least once; remove it"]
    ),
    (
        "extension.yaml",
        worker!("rest.extension.classes: a.B\n"),
        ["rest.extension.classes", "a.B cannot be loaded without a JVM", "put a proxy in front"]
    ),
    (
        "providers.yaml",
        worker!("config.providers: file\n"),
        ["config.providers is not supported: write the values themselves"]
    ),
    (
        "admin.yaml",
        worker!("admin.listeners: ['http:9']\n"),
        ["configuration admin.listeners: http:9 is not of the form http://host:port"]
    ),
    (
        "jaas.yaml",
        worker!("rest.extension.classes: BasicAuthSecurityRestExtension\n"),
        ["java.security.auth.login.config: basic authentication needs it"]
    ),
    (
        "headers.yaml",
        worker!("response.http.headers.config: 'put X: y'\n"),
        ["response.http.headers.config", "the action put is none of set, add, setDate, addDate"]
    ),
    (
        "policy.yaml",
        worker!("connector.client.config.override.policy: Some\n"),
        ["connector.client.config.override.policy", "it is none of All, None, Principal"]
    ),
    ("brokers.yaml", worker!("bootstrap.servers: ''\n"), ["bootstrap.servers is empty; name a broker as host:port"]),
    (
        "broker.yaml",
        worker!("bootstrap.servers: 'http://kafka:9092'\n"),
        ["bootstrap.servers: \"http://kafka:9092\" is not of the form host:port"]
    ),
    (
        "serializer.yaml",
        worker!("producer.key.serializer: x\n"),
        ["producer.key.serializer: ", "remove it, and set key.converter or value.converter instead"]
    ),
    (
        "twice.yaml",
        worker!("key.converter: x\n"),
        ["twice.yaml:4:1: the key key.converter stands twice, first in line 1; remove one of them"]
    ),
    (
        "twice.properties",
        "key.converter=a\nkey.converter=b\n",
        ["twice.properties:2:1: the key key.converter stands twice, first in line 1"]
    ),
    ("two.yaml", concat!(worker!("---\n"), worker!("")), ["a worker file holds one document with its settings, not 2"]),
    ("list.yaml", "- a\n", ["list.yaml:1:1: settings must be a mapping of keys to values, not a list"]),
    (
        "comma.json",
        r#"{"key.converter": "StringConverter",}"#,
        ["comma.json:1:37: not valid JSON: key must be a string; is there a comma too many before this?"]
    ),
    ("ending.conf", worker!(""), ["the ending must be .yaml, .yml, .json or .properties"]),
];

fn connectd(arguments: &[&str]) -> Output {
    let mut child = Command::new(program("connectd"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starting connectd");
    // What is printed here fits into a pipe.
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        wait(&format!("connectd {arguments:?} to refuse"), Duration::from_secs(20), || child.try_wait().expect("wait"))
    }));
    if done.is_err() {
        child.kill().expect("kill");
    }
    let output = child.wait_with_output().expect("output");
    assert!(done.is_ok(), "connectd {arguments:?} goes on: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn write(dir: &Path, case: &Case) -> String {
    fs::write(dir.join("store"), b"\xFE\xED\xFE\xED\x00\x00\x00\x02").expect("store");
    let path = dir.join(case.file);
    let text = match std::str::from_utf8(case.text) {
        Ok(text) => text.replace("{dir}", &dir.to_string_lossy()).into_bytes(),
        Err(_) => case.text.to_vec(),
    };
    fs::write(&path, text).expect("file");
    path.to_string_lossy().into_owned()
}

/// Everything that is wrong with the refusal of one file.
fn complaints(case: &Case, code: i32, arguments: &[&str]) -> Vec<String> {
    let output = connectd(arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let mut wrong = Vec::new();
    if output.status.code() != Some(code) {
        wrong.push(format!("exit code {:?} and not {code}", output.status.code()));
    }
    for part in case.says.iter().chain([&case.file]).filter(|part| !said.contains(**part)) {
        wrong.push(format!("does not say {part:?}"));
    }
    if said.contains(SECRET) || said.contains("panicked") || said.contains('\u{1b}') {
        wrong.push("says what it must not".into());
    }
    let mut lines: Vec<&str> = said.lines().filter(|l| l.starts_with("connectd: ")).collect();
    if lines.is_empty() || lines.iter().any(|l| l.len() < 30) {
        wrong.push("says too little".into());
    }
    lines.sort_unstable();
    if lines.windows(2).any(|pair| pair[0] == pair[1]) {
        wrong.push("says something twice".into());
    }
    wrong.iter().map(|w| format!("{}: {w}:\n{said}", case.file)).collect()
}

fn check(cases: &[Case], code: i32) {
    let mut wrong = Vec::new();
    for case in cases {
        let dir = tempfile::tempdir().expect("folder");
        let path = write(dir.path(), case);
        let arguments = if code == WORKER { vec!["--check", "-c", &path] } else { vec!["--check", &path] };
        wrong.extend(complaints(case, code, &arguments));
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn syntax_errors_are_named_with_line_and_column() {
    check(SYNTAX, CONNECTOR);
}

#[test]
fn documents_that_declare_no_connector_are_named_with_the_way_out() {
    check(FORMS, CONNECTOR);
}

#[test]
fn wrong_settings_of_the_framework_are_named_with_their_lines() {
    check(SETTINGS, CONNECTOR);
}

#[test]
fn missing_and_wrong_settings_of_each_connector_are_named_without_secrets() {
    check(CONNECTORS, CONNECTOR);
}

#[test]
fn wrong_worker_files_are_named_with_key_and_way_out() {
    check(WORKERS, WORKER);
}

#[test]
fn text_in_other_encodings_is_refused_with_its_line() {
    const ENCODED: &[Case] = &[
        Case {
            file: "latin.yaml",
            text: b"file: x\nname: caf\xe9\n",
            says: &["latin.yaml:2:1: the file is not UTF-8 text; save it as UTF-8"],
        },
        Case {
            file: "latin.json",
            text: b"{\"name\": \"c\xff\"}",
            says: &["latin.json:1:1: the file is not UTF-8 text; save it as UTF-8"],
        },
        Case {
            file: "wide.yaml",
            text: b"\xff\xfen\x00a\x00",
            says: &["wide.yaml:1:1: the file is not UTF-8 text; save it as UTF-8"],
        },
    ];
    check(ENCODED, CONNECTOR);
}

#[test]
fn missing_files_and_folders_without_connectors_are_named() {
    let dir = tempfile::tempdir().expect("folder");
    let path = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    fs::create_dir(path("empty")).expect("folder");
    fs::create_dir(path("other")).expect("folder");
    fs::write(path("other/notes.txt"), "x").expect("file");
    let cases: [(&[&str], i32, &str); 4] = [
        (&[&path("absent.yaml")], CONNECTOR, "absent.yaml: there is no such file or folder"),
        (&[&path("empty")], CONNECTOR, "empty: the folder holds no .yaml, .yml, .json or .properties file"),
        (&[&path("other")], CONNECTOR, "other: the folder holds no .yaml, .yml, .json or .properties file"),
        (&["-c", &path("absent.properties")], WORKER, "absent.properties: there is no such file or folder"),
    ];
    for (arguments, code, part) in cases {
        let output = connectd(&[&["--check"], arguments].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn the_same_connector_in_two_files_is_refused_with_both_places() {
    let dir = tempfile::tempdir().expect("folder");
    for name in ["a.yaml", "b.yaml"] {
        fs::write(dir.path().join(name), sink!("")).expect("file");
    }
    let output = connectd(&["--check", &dir.path().to_string_lossy()]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(CONNECTOR), "{said}");
    assert!(said.contains("b.yaml:1: the connector c is declared twice, first at"), "{said}");
    assert!(said.contains("a.yaml:1; rename one of them"), "{said}");
}

#[test]
fn every_wrong_file_of_a_folder_is_named_at_once() {
    let dir = tempfile::tempdir().expect("folder");
    fs::write(dir.path().join("a.yaml"), sink!("tasks.max: 0\n")).expect("file");
    fs::write(dir.path().join("b.json"), "{").expect("file");
    fs::write(dir.path().join("c.properties"), "name=d\n").expect("file");
    fs::write(dir.path().join("right.yaml"), source!("").replace("name: c", "name: right")).expect("file");
    fs::write(dir.path().join("worker.conf"), "").expect("file");
    let output = connectd(&["--check", &dir.path().to_string_lossy()]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(CONNECTOR), "{said}");
    for part in ["a.yaml:5: ", "b.json:1:1: ", "c.properties:1: connector d: connector.class is missing"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("right"), "{said}");
}

#[test]
fn startup_refuses_what_the_check_refuses() {
    let some = |cases: &'static [Case], names: &[&str]| -> Vec<&'static Case> {
        let found: Vec<_> = cases.iter().filter(|c| names.contains(&c.file)).collect();
        assert_eq!(found.len(), names.len(), "{names:?}");
        found
    };
    let connectors = [
        some(SYNTAX, &["quote.yaml", "comma.json"]),
        some(FORMS, &["nameless.yaml", "again.yaml"]),
        some(SETTINGS, &["misspelt.yaml", "all.yaml"]),
        some(CONNECTORS, &["slack-url.yaml"]),
    ];
    let workers =
        some(WORKERS, &["group.yaml", "jks.yaml", "misspelt.yaml", "listeners.yaml", "brokers.yaml", "comma.json"]);
    let mut wrong = Vec::new();
    for (cases, code) in [(connectors.concat(), CONNECTOR), (workers, WORKER)] {
        for case in cases {
            let dir = tempfile::tempdir().expect("folder");
            let path = write(dir.path(), case);
            let set = ["--set", "listeners=http://127.0.0.1:0"];
            let arguments = if code == WORKER { vec!["-c", &path] } else { vec![set[0], set[1], &path] };
            wrong.extend(complaints(case, code, &arguments));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn settings_without_effect_are_warned_of_with_the_nearest_name() {
    let dir = tempfile::tempdir().expect("folder");
    let path = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    fs::write(path("w.yaml"), worker!("ofset.flush.interval.ms: 1000\n")).expect("file");
    fs::write(path("c.yaml"), source!("bach.size: 5\nproducer.override.aks: all\n")).expect("file");
    let output = connectd(&["--check", "-c", &path("w.yaml"), &path("c.yaml")]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    for part in [
        "the worker setting ofset.flush.interval.ms is unknown and has no effect; did you mean offset.flush.interval.ms?",
        "c.yaml:5: connector c: the setting bach.size is unknown to file-source and has no effect; did you mean batch.size?",
        "c.yaml:6: connector c: producer.override.aks is not a setting of Kafka's Producer client",
        "all files are right (1 connectors)",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn wrong_usage_has_an_exit_code_of_its_own() {
    for arguments in [&["--set", "nothing"][..], &["--no-such-flag"]] {
        let output = connectd(arguments);
        assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
