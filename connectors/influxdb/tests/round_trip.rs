//! Whatever bytes names and values have: what a real server answers is what was put, but for what the line protocol cannot
//! say, which is as documented.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use connect_api::{Settings, SinkConnector, SinkRecord, Value, config::Config};
use connect_testkit::{
    Host,
    sink::{deliver, record},
};
use connector_influxdb::{ConfluentConfig, ConfluentInfluxSink, InfluxConfig, InfluxSink};
use serde_json::Value as Json;
use xtask::servers::{InfluxDb, without};

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap()
    }

    /// A text of any characters, those that need care most of all.
    fn text(&mut self, least: usize) -> String {
        const CARE: [char; 12] = [' ', ',', '=', '\\', '"', '\n', '#', '\r', '\t', '\0', '\'', '\u{7f}'];
        let mut one = || match self.below(5) {
            0 | 1 => CARE[self.below(CARE.len())],
            2 => char::from(u8::try_from(self.below(128)).unwrap()),
            3 => char::from_u32(u32::try_from(self.below(0x11_0000)).unwrap()).unwrap_or('é'),
            _ => 'a',
        };
        let mut text: String = (0..least).map(|_| one()).collect();
        let more = self.below(6);
        text.extend((0..more).map(|_| self.below(12)).map(|n| CARE[n]));
        text
    }

    fn number(&mut self) -> f64 {
        loop {
            let number = f64::from_bits(self.next());
            if number.is_finite() {
                return number;
            }
        }
    }
}

/// What is read back of a text that was a name or the value of a tag.
fn stored(text: &str, is_name: bool) -> String {
    let lost = |c: char| c == '\n' || is_name && c.is_ascii_control();
    let all: Vec<char> = text.chars().collect();
    let mut made = String::new();
    for (at, c) in all.iter().enumerate() {
        let before_special = all.get(at + 1).is_none_or(|c| ",= ".contains(*c) || lost(*c) || is_name && *c == '"');
        made.push(match c {
            '\\' if before_special => '/',
            c if lost(*c) => ' ',
            c => *c,
        });
    }
    if is_name && made == "time" { "time_".into() } else { made }
}

/// A point that is put, and what of it is read back.
#[derive(Debug, Clone, PartialEq)]
struct Point {
    measurement: String,
    tags: BTreeMap<String, String>,
    fields: BTreeMap<String, Json>,
}

fn point(dice: &mut Dice, n: i64) -> (SinkRecord, Point) {
    let measurement = format!("{}{n}", dice.text(1));
    let read_as = stored(&measurement, true);
    let read_as = read_as.strip_prefix('#').map_or(read_as.clone(), |rest| format!("_{rest}"));
    // One name for each, whatever becomes of it.
    let names: Vec<String> =
        ["t", "s", "x"].iter().map(|end| format!("{}{end}{}", dice.text(0), dice.text(0))).collect();
    let (tag, text, number) = (dice.text(1), dice.text(0), dice.number());
    let value = Value::map([
        ("measurement", Value::from(measurement)),
        ("tags", Value::map([(names[0].as_str(), Value::from(tag.clone()))])),
        (names[1].as_str(), Value::from(text.clone())),
        (names[2].as_str(), Value::Float64(number)),
        ("int", Value::Int64(dice.next().cast_signed())),
    ]);
    let int = value.get("int").unwrap().as_i64().unwrap();
    let fields =
        [(stored(&names[1], true), text.into()), (stored(&names[2], true), number.into()), ("int".into(), int.into())];
    let tags = BTreeMap::from([(stored(&names[0], true), stored(&tag, false))]);
    (record("t", n, Value::Null, value), Point { measurement: read_as, tags, fields: fields.into() })
}

/// Writes the records with Confluent's settings, which take measurement and tags from the record.
fn write(url: &str, database: &str, records: &[SinkRecord]) {
    let settings = Settings::from([("influxdb.url", url), ("influxdb.db", database), ("http.proxy", "none")]);
    let host = Host::new();
    let (context, _) = host.sink(&settings);
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let config = ConfluentConfig::parse(&settings).unwrap();
        let mut task = ConfluentInfluxSink::start_task(config, context).await.unwrap();
        assert_eq!(deliver(&mut *task, records, &host).await.unwrap(), 0);
    });
    assert!(host.reported().is_empty(), "{:?}", host.reported());
}

/// The points of a database by their times in seconds.
fn read(influx: &InfluxDb, database: &str) -> BTreeMap<i64, Point> {
    let mut found = BTreeMap::new();
    let answer = influx.query_json(database, "SELECT * FROM /.*/ GROUP BY *").unwrap();
    for series in answer["results"][0]["series"].as_array().unwrap() {
        // Of tags of other measurements there are empty ones.
        let tags = series["tags"].as_object().unwrap().iter().filter(|(_, v)| *v != "");
        let tags = tags.map(|(k, v)| (k.clone(), v.as_str().unwrap().to_owned())).collect::<BTreeMap<_, _>>();
        for row in series["values"].as_array().unwrap() {
            let cells = series["columns"].as_array().unwrap().iter().zip(row.as_array().unwrap()).skip(1);
            let fields = cells.filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.as_str().unwrap().to_owned(), v.clone()));
            let measurement = series["name"].as_str().unwrap().to_owned();
            let point = Point { measurement, tags: tags.clone(), fields: fields.collect() };
            found.insert(row[0].as_i64().unwrap() / 1_000_000_000, point);
        }
    }
    found
}

#[test]
fn random_names_and_values_are_read_back_equal() {
    if without("influxdb") {
        return;
    }
    let influx = InfluxDb::start().unwrap();
    let seed = 0x9e37_79b9_7f4a_7c15;
    let mut dice = Dice(seed);
    // What is read back has, with each series, the tags of all others, so that many databases are read faster than one.
    for round in 0..15 {
        let database = format!("d{round}");
        influx.create_database(&database).unwrap();
        let (records, points): (Vec<_>, Vec<_>) = (0..100).map(|n| point(&mut dice, n)).unzip();
        write(&influx.url(), &database, &records);
        let found = read(&influx, &database);
        assert_eq!(found.len(), points.len());
        for (n, point) in (0..).zip(&points) {
            let got = &found[&n];
            let place = format!("point {n} of round {round} of seed {seed}");
            assert_eq!((&got.measurement, &got.tags), (&point.measurement, &point.tags), "{place}");
            assert_eq!(got.fields.len(), point.fields.len(), "{place}: {got:?}");
            for (name, expected) in &point.fields {
                // A number that is whole comes back as an integer.
                let equal = match expected.is_f64() {
                    true => got.fields[name].as_f64() == expected.as_f64(),
                    false => got.fields[name] == *expected,
                };
                assert!(equal, "field {name:?} of {place}: {} instead of {expected}", got.fields[name]);
            }
        }
    }
}

#[test]
fn every_byte_of_a_text_is_kept_in_each_place_that_can_have_it() {
    if without("influxdb") {
        return;
    }
    let influx = InfluxDb::start().unwrap();
    influx.create_database("d").unwrap();
    let url = influx.url();
    let settings = Settings::from([
        ("influxdb.url", url.as_str()),
        ("influxdb.database", "d"),
        ("influxdb.tags", "tag"),
        ("http.proxy", "none"),
    ]);
    let host = Host::new();
    let (context, _) = host.sink(&settings);
    let texts: Vec<String> = (0..128u8)
        .flat_map(|b| {
            let c = char::from(b);
            [format!("{c}"), format!("a{c}b"), format!("{c}{c}a")]
        })
        .collect();
    let records: Vec<SinkRecord> = (0..)
        .zip(&texts)
        .map(|(n, text)| {
            let text = Value::from(text.as_str());
            record("t", n, Value::Null, Value::map([("tag", text.clone()), ("text", text)]))
        })
        .collect();
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let config = InfluxConfig::parse(&settings).unwrap();
        let mut task = InfluxSink::start_task(config, context).await.unwrap();
        assert_eq!(deliver(&mut *task, &records, &host).await.unwrap(), 0);
    });
    let rows = influx.rows("d", "SELECT \"tag\", \"text\" FROM t").unwrap();
    assert_eq!(rows.len(), texts.len());
    for row in rows {
        let text = &texts[usize::try_from(row[0].as_i64().unwrap() / 1_000_000_000).unwrap()];
        assert_eq!(row[2].as_str(), Some(text.as_str()));
        assert_eq!(row[1].as_str(), Some(stored(text, false).as_str()), "{text:?}");
    }
}
