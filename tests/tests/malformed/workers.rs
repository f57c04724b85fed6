//! Wrong worker files.

use crate::harness::Case;

pub(crate) const WORKERS: &[Case] = cases![
    (
        "group.yaml",
        worker!("group.id: g\n"),
        [
            "Missing required configuration \"config.storage.topic\"",
            "\"offset.storage.topic\"",
            "\"status.storage.topic\""
        ]
    ),
    (
        "distributed.properties",
        "bootstrap.servers=h:1\ngroup.id=connect\nkey.converter=JsonConverter\nvalue.converter=JsonConverter\n\
         offset.storage.topic=o\nconfig.storage.topic=c\nstatus.storage.topic=s\nstatus.storage.replication.factor=0\n",
        ["status.storage.replication.factor", "Replication factor must be positive"]
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
    ("protocol.yaml", worker!("security.protocol: TLS\n"), ["security.protocol: TLS is none of PLAINTEXT, SSL"]),
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
        ["Missing required configuration \"config.providers.file.class\""]
    ),
    (
        "vault.yaml",
        worker!("config.providers: [vault]\nconfig.providers.vault.class: com.x.VaultConfigProvider\n"),
        ["config.providers.vault.class: com.x.VaultConfigProvider cannot be loaded without a JVM; FileConfigProvider"]
    ),
    (
        "allowed.yaml",
        worker!(
            "config.providers: [file]\nconfig.providers.file: {class: FileConfigProvider, param.allowed.paths: secrets}\n"
        ),
        ["config.providers.file.param.allowed.paths: Path secrets is not absolute"]
    ),
    (
        "gone.yaml",
        worker!(
            "config.providers: [file]\nconfig.providers.file.class: FileConfigProvider\n\
             offset.flush.interval.ms: '${file:{dir}/gone:ms}'\n"
        ),
        ["resolving ${file:…} in offset.flush.interval.ms: Could not read properties from file ", "No such file"]
    ),
    (
        "resolved.yaml",
        worker!(
            "config.providers: [file]\nconfig.providers.file.class: FileConfigProvider\n\
             offset.flush.interval.ms: '${file:{dir}/secrets:ms}'\n"
        ),
        ["Invalid value ${file:", "for configuration offset.flush.interval.ms: Not a number of type LONG"]
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
