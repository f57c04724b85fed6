//! What the connectors of both sides read: files of lines, and topics that both share.

use std::{collections::BTreeMap, fs, sync::LazyLock};

use connect_kafka::Outgoing;
use serde_json::Value as Json;
use tocsin_tests::{kafka::Reader, sides::Side};

/// The time of the first record of a topic, long past.
const BEGAN: i64 = 1_700_000_000_000;

const LINES: &str =
    "1\n-7\n300\nabc\n\n2024-02-29T12:34:56Z\n1700000000123\n{\"a\":1}\n blanks\ttab \ntrue\n1.5\nend\n";
const NUMBERS: &str = "1\n-7\n300\n70000\n5000000000\n1\n0\n";
// Of these Kafka Connect counts the characters, and calls that a position.
const UNICODE: &str = "käse € 🧀\nend\n";
const TIMES: &str = "1700000000123\n0\n1709210096000\n86399999\n";

type Headers = &'static [(&'static str, Option<&'static [u8]>)];
type Record = (Option<&'static [u8]>, Option<&'static [u8]>, Headers);

/// The topics by name.
static TOPICS: LazyLock<BTreeMap<&'static str, Vec<Record>>> = LazyLock::new(|| {
    let own: Headers = &[("h", Some(b"1")), ("text", Some(b"abc")), ("none", None), ("h", Some(b"[1,2]"))];
    let text: Vec<Record> = vec![
        (None, Some(b"plain"), &[]),
        (Some(b"k"), Some(b"12"), own),
        (Some(b"k2"), None, own),
        (Some(b""), Some(b""), &[]),
        (None, Some(b"caf\xc3\xa9 \xff"), &[("h", Some(b"\xff"))]),
        (Some(b"3"), Some(b"2024-02-29"), &[("date", Some(b"2024-02-29"))]),
    ];
    let json: Vec<Record> = vec![
        (None, Some(br#"{"a":1,"b":"x","c":{"d":[1,2.5,null],"e":true},"n":null}"#), own),
        (Some(br#"{"id":7}"#), Some(br#"{"a":-5,"b":"12","c":{"d":[],"e":false},"t":1700000000123}"#), &[]),
        (Some(br#""k""#), None, own),
        (None, Some(br#"{"a":9007199254740993,"b":"","c":{"d":["x"],"e":null}}"#), &[]),
    ];
    let mut broken = json.clone();
    broken.insert(1, (Some(b"{bad"), Some(br#"{"a":1}"#), own));
    broken.insert(2, (None, Some(b"{bad \xff"), own));
    broken.insert(3, (Some(br#""again""#), Some(b"nonsense"), &[("__connect.errors.topic", Some(b"before"))]));
    broken.push((None, Some(br#"{"a":"abc","b":"12","c":{}}"#), &[]));
    broken.push((None, Some(br#"{"a":2,"b":"13","c":{"d":[],"e":false}}"#), &[]));
    let schema: Vec<Record> = [
        br#"{"schema":{"type":"struct","name":"N","version":2,"optional":false,"fields":[{"field":"i","type":"int32","optional":false},{"field":"s","type":"string","optional":true,"default":"dflt"},{"field":"l","type":"array","items":{"type":"int64"},"optional":true},{"field":"m","type":"map","keys":{"type":"string"},"values":{"type":"double"},"optional":true},{"field":"d","type":"int32","name":"org.apache.kafka.connect.data.Date","version":1,"optional":true},{"field":"ts","type":"int64","name":"org.apache.kafka.connect.data.Timestamp","version":1,"optional":true},{"field":"dec","type":"bytes","name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"2"},"optional":true},{"field":"by","type":"bytes","optional":true},{"field":"in","type":"struct","optional":true,"fields":[{"field":"x","type":"boolean","optional":true}]}]},"payload":{"i":5,"s":"x","l":[1,2],"m":{"k":1.5},"d":19000,"ts":1700000000123,"dec":"AJw=","by":"AQID","in":{"x":true}}}"#.as_slice(),
        br#"{"schema":{"type":"struct","name":"N","version":2,"optional":false,"fields":[{"field":"i","type":"int32","optional":false},{"field":"s","type":"string","optional":true,"default":"dflt"}]},"payload":{"i":-1,"s":null}}"#,
        br#"{"schema":{"type":"string","optional":true},"payload":"only text"}"#,
        br#"{"schema":null,"payload":{"free":1}}"#,
    ]
    .map(|value: &[u8]| (None, Some(value), own))
    .to_vec();
    let numbers: Vec<Record> = vec![
        (Some(&[0, 0, 0, 1]), Some(&[0, 0, 0, 7]), &[]),
        (Some(&[0xff, 0xff, 0xff, 0xff]), Some(&[0x7f, 0xff, 0xff, 0xff]), &[]),
        (None, None, &[]),
        (None, Some(&[1, 2, 3]), &[]),
        (None, Some(&[0, 0, 0, 8]), &[]),
    ];
    BTreeMap::from([("text", text), ("json", json), ("broken", broken), ("schema", schema), ("numbers", numbers)])
});

/// Writes all of it.
pub fn write(both: &[Side; 2], reader: &Reader) {
    for side in both {
        for (name, text) in
            [("lines.txt", LINES), ("numbers.txt", NUMBERS), ("times.txt", TIMES), ("unicode.txt", UNICODE)]
        {
            fs::write(side.dir().join(name), text).expect("input");
        }
    }
    for (topic, records) in &*TOPICS {
        reader.create(topic, 1, &[]);
        for ((key, value, headers), timestamp) in records.iter().zip(BEGAN..) {
            let timestamp = Some(timestamp);
            reader.send(Outgoing { topic, partition: Some(0), timestamp, key: *key, value: *value, headers });
        }
    }
}

/// Where a connector stands when it has read its input: the length of its file, or all records of the topics that it
/// names.
pub fn end(side: &Side, config: &Json) -> i64 {
    let text = |key: &str| config[key].as_str().unwrap_or_default();
    if config.get("topic").is_some() {
        let length = fs::metadata(side.own(text("file"))).map_or(u64::MAX, |file| file.len());
        return i64::try_from(length).unwrap_or(i64::MAX);
    }
    if config.get("topics").is_none() {
        return i64::MAX;
    }
    let topics = text("topics").split(',').map(|topic| TOPICS.get(topic.trim()).map_or(0, Vec::len));
    i64::try_from(topics.sum::<usize>()).unwrap_or(i64::MAX)
}
