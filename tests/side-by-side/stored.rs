//! What both workers have written down: the records of their internal topics, and offsets of groups as Kafka has them.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use tocsin_tests::sides::{Side, Sides};

use crate::{differences::Report, talk::timeless};

/// Compares all of it.
pub fn compare(sides: &Sides, report: &mut Report) {
    // Each change of a key counts in the configuration, the latest elsewhere: when offsets are written and how often
    // states come is up to the clock.
    for (topic, every) in [("configs", true), ("offsets", false), ("status", false)] {
        let [theirs, ours] = sides.both.each_ref().map(|side| by_key(sides, side, &format!("$SIDE-{topic}"), every));
        report.values(&format!("stored in {topic}"), &theirs, &ours);
    }
    let groups = groups(sides);
    let [theirs, ours] = sides.both.each_ref().map(|side| of_side(&groups, side));
    report.values("committed offsets of groups", &theirs, &ours);
}

/// The values of each key: all, or the latest.
fn by_key(sides: &Sides, side: &Side, topic: &str, every: bool) -> Json {
    let mut all: BTreeMap<String, Vec<Json>> = BTreeMap::new();
    let text = |bytes: &[u8]| timeless(&side.common(&String::from_utf8_lossy(bytes)));
    for record in sides.reader.all(&side.own(topic)) {
        let key = record.key.as_deref().map_or_else(|| "(no key)".to_owned(), text);
        let value = record.value.as_deref().map_or(Json::Null, |value| {
            let text = text(value);
            serde_json::from_str(&text).unwrap_or(Json::String(text))
        });
        let value =
            if key == "session-key" { json!(value.as_object().map(|o| o.keys().collect::<Vec<_>>())) } else { value };
        let values = all.entry(key).or_default();
        if !every {
            values.clear();
        }
        values.push(value);
    }
    json!(all)
}

/// Group, topic, partition and offset of all groups, as Kafka's own tool tells them.
fn groups(sides: &Sides) -> Vec<[String; 4]> {
    let bootstrap = sides.kafka.bootstrap();
    let arguments = ["--bootstrap-server", &bootstrap, "--describe", "--all-groups", "--offsets"];
    let text = sides
        .kafka
        .tool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", &arguments)
        .expect("listing groups");
    let words = |line: &str| line.split_whitespace().take(4).map(str::to_owned).collect::<Vec<_>>();
    let rows = text.lines().map(words).filter_map(|row| <[String; 4]>::try_from(row).ok());
    rows.filter(|[_, _, partition, offset]| [partition, offset].iter().all(|n| n.parse::<i64>().is_ok())).collect()
}

fn of_side(groups: &[[String; 4]], side: &Side) -> Json {
    let mut all = BTreeMap::new();
    for [group, topic, partition, offset] in groups.iter().filter(|[group, ..]| group.contains(side.name())) {
        all.insert(side.common(&format!("{group} {topic} {partition}")), offset);
    }
    json!(all)
}
