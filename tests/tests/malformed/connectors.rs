//! Missing and wrong settings of each connector.

use crate::harness::Case;

pub(crate) const CONNECTORS: &[Case] = cases![
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
    (
        "epics.yaml",
        "name: c\nconnector.class: epics-source\n",
        ["one of epics.channels, epics.channels.file and command.topic has to say which channels to monitor"]
    ),
    (
        "epics-range.yaml",
        "name: c\nconnector.class: epics-source\nepics.channels: 'T:ai{9..1}'\n",
        ["epics-range.yaml:3: ", "the range {9..1} runs backwards"]
    ),
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
        ["slack.yaml:1: ", "slack.webhook.url or slack.token is required"]
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
        "name: c\nconnector.class: webhook-sink\ntopics: [t]\nwebhook: {url: 'http://h/', method: GET it}\nhttp.token: s3cret\n",
        ["webhook-method.yaml:4: ", "webhook.method: Expected a method of HTTP, such as POST"]
    ),
    (
        "webhook-header.yaml",
        "name: c\nconnector.class: webhook-sink\ntopics: [t]\nwebhook: {url: 'http://h/', headers: [none]}\n",
        ["webhook-header.yaml:4: ", "Expected \"Name: value\" for each header"]
    ),
];
