//! Chains of transforms with predicates, right way round and negated, in the real server.

use std::{fs, time::Duration};

use serde_json::{Value as Json, json};
use tocsin_tests::{Connectd, wait};

const CALLS: &str = r#"{"id":"a","duration":30,"caller":{"name":"x","zone":"n"},"secret":"s1"}
{"id":"b","duration":61,"caller":{"name":"y"},"secret":"s2"}
{"id":"c","duration":60}
{"id":"d","duration":90.5,"caller":{"name":"z"},"secret":null}
"#;

const SOURCE: &str = "
name: calls
connector.class: FileStreamSourceConnector
file: FOLDER/calls.txt
topic: calls
value.converter: StringConverter
transforms: [stamp, other]
transforms.stamp: { type: InsertHeader, header: origin, value.literal: '7', predicate: calls }
transforms.other: { type: InsertHeader, header: other, value.literal: never, predicate: calls, negate: true }
predicates: [calls]
predicates.calls: { type: TopicNameMatches, pattern: 'call.' }
";

// One plugin by each kind of its names.
const SINK: &str = "
name: long-calls
connector.class: file-sink
file: FOLDER/long.jsonl
topics: [calls]
value.converter: JsonConverter
value.converter.schemas.enable: false
transforms: [short, stray, label, from, flat, mask, key, id, drop, route]
transforms.short: { type: Filter, predicate: long, negate: true }
transforms.stray: { type: org.apache.kafka.connect.transforms.Filter, predicate: stamped, negate: true }
transforms.label:
  type: io.tocsin.transforms.Template$Value
  field: label
  template: '{{value.id}} by {{value.caller.name}} at {{offset}}'
transforms.from: { type: HeaderFrom$Value, fields: duration, headers: duration, operation: copy }
transforms.flat: { type: flatten-value, delimiter: _ }
transforms.mask: { type: MaskField$Value, fields: secret, replacement: '***' }
transforms.key: { type: ValueToKey, fields: id }
transforms.id: { type: org.apache.kafka.connect.transforms.ExtractField$Key, field: id }
transforms.drop: { type: drop-headers, headers: origin }
transforms.route: { type: RegexRouter, regex: '(.*)s', replacement: 'long-$1', predicate: tombstone, negate: true }
predicates: [long, stamped, tombstone]
predicates.long: { type: Expression, expression: value.duration > 60 }
predicates.stamped: { type: HasHeaderKey, name: origin }
predicates.tombstone: { type: RecordIsTombstone }
";

#[test]
fn records_go_through_chains_with_predicates() {
    let dir = tempfile::tempdir().expect("folder");
    let folder = dir.path().to_string_lossy().into_owned();
    fs::write(dir.path().join("calls.txt"), CALLS).expect("calls");
    let connectors = dir.path().join("connectors");
    fs::create_dir(&connectors).expect("folder");
    for (name, text) in [("calls.yaml", SOURCE), ("long.yaml", SINK)] {
        fs::write(connectors.join(name), text.replace("FOLDER", &folder)).expect("connector");
    }
    let connectd = Connectd::start(&[&connectors.to_string_lossy()], &dir.path().join("log"));
    connectd.await_state("long-calls", "RUNNING");
    let lines = wait("both long calls", Duration::from_secs(60), || {
        let text = fs::read_to_string(dir.path().join("long.jsonl")).unwrap_or_default();
        let lines: Vec<Json> = text.lines().filter_map(|l| serde_json::from_str(l).ok()).collect();
        (lines.len() >= 2).then_some(lines)
    });
    let seen: Vec<Json> = lines.iter().map(|l| json!([l["topic"], l["key"], l["value"], l["headers"]])).collect();
    let expected = [
        json!([
            "long-call",
            "b",
            { "id": "b", "duration": 61, "caller_name": "y", "secret": "***", "label": "b by y at 1" },
            [{ "key": "duration", "value": 61 }],
        ]),
        json!([
            "long-call",
            "d",
            { "id": "d", "duration": 90.5, "caller_name": "z", "secret": null, "label": "d by z at 3" },
            [{ "key": "duration", "value": 90.5 }],
        ]),
    ];
    assert_eq!(seen, expected, "{}", connectd.log_text());
}
