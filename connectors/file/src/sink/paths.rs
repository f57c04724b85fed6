//! Which file a record belongs to.

use std::path::{Path, PathBuf};

use connect_api::{
    Error, Result, SinkRecord,
    template::{Escape, Template},
    time,
};
use serde_json::{Map, json};

use super::config::FileSinkConfig;

/// Every name that a path can have.
const NAMES: [&str; 8] = ["topic", "partition", "date", "hour", "timestamp", "key", "value", "headers"];
/// Partitions whose paths templates most easily make the same.
const ALIKE: [[(&str, i32); 2]; 5] = [
    [("alarms", 11), ("alarms1", 1)],
    [("1alarms", 1), ("alarms", 11)],
    [("alarms", 1), ("alarms", 11)],
    [("alarms", 1), ("alarms-of-another-kind", 1)],
    [("alarms", 1), ("ALARMS", 1)],
];
/// What a name of a file may have in length: systems take 255 bytes, of which some are for what is added.
const LONGEST: usize = 200;
/// What is added to the names of files that are not complete.
const PART: &str = ".part";

/// The template of paths.
#[derive(Debug, Clone)]
pub struct Paths {
    base: PathBuf,
    rest: Template,
    of_partition: bool,
    numbered: bool,
    gzip: bool,
}

impl Paths {
    /// Whether a path is a template.
    pub fn is_template(file: &str) -> bool {
        file.contains("{{") || file.contains("{%")
    }

    /// Reads the template and checks its names.
    pub fn new(config: &FileSinkConfig) -> Result<Self> {
        let file = &config.file;
        let first = ["{{", "{%"].into_iter().filter_map(|mark| file.find(mark)).min().unwrap_or(file.len());
        let (base, rest) = match file[..first].rfind('/') {
            Some(at) => (&file[..=at], &file[at + 1..]),
            None => (".", file.as_str()),
        };
        let rest = Template::parse(rest, Escape::Url)?;
        rest.check_names(&NAMES).map_err(Error::fatal)?;
        for needed in ["topic", "partition"] {
            let others: Vec<&str> = NAMES.into_iter().filter(|name| *name != needed).collect();
            if rest.check_names(&others).is_ok() {
                return Err(Error::fatal(format!("each partition needs a path of its own: use {{{{{needed}}}}}")));
            }
        }
        let of_partition = rest.check_names(&["topic", "partition"]).is_ok();
        let paths = Self { base: base.into(), of_partition, rest, numbered: config.rotates(), gzip: config.gzip };
        for [one, other] in ALIKE {
            if paths.example(one).is_some_and(|path| paths.example(other) == Some(path)) {
                let ((topic, partition), (other, of_other)) = (one, other);
                return Err(Error::fatal(format!(
                    "each partition needs a path of its own: partition {partition} of topic {topic} and partition {of_other} of \
                     topic {other} have the same; put / or - between {{{{topic}}}} and {{{{partition}}}}, and both in whole"
                )));
            }
        }
        Ok(paths)
    }

    /// The path of a partition, with something for the other names; none where that does not do.
    fn example(&self, (topic, partition): (&str, i32)) -> Option<String> {
        let names = json!({
            "topic": topic, "partition": partition, "date": "2000-01-01", "hour": "00", "timestamp": 0, "key": "k", "value": "v",
            "headers": {},
        });
        self.rest.render_names(&names).ok()
    }

    /// The folder that has to be there, below which everything is.
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// Whether all records of a partition have one path.
    pub fn of_partition(&self) -> bool {
        self.of_partition
    }

    /// The path, below the base, that a record's files have in common.
    pub fn series(&self, record: &SinkRecord) -> Result<String> {
        let mut names = Map::new();
        names.insert("topic".into(), json!(&*record.origin.topic));
        names.insert("partition".into(), json!(record.origin.partition));
        let time = record.timestamp.map(time::rfc3339);
        let cut = |from: usize, to: usize| time.as_deref().and_then(|text| text.get(from..to));
        names.insert("date".into(), json!(cut(0, 10)));
        names.insert("hour".into(), json!(cut(11, 13)));
        let mut path =
            if self.of_partition { self.rest.render_names(&names.into())? } else { self.rest.render(record, names)? };
        for name in path.split('/') {
            let wrong = |why: &str| Error::data(format!("making the path of a record's file: {name:?} {why}"));
            if name.is_empty() || name.starts_with('.') {
                return Err(wrong("cannot be the name of a file or folder, as it is empty or begins with a dot"));
            }
            if name.len() > LONGEST {
                return Err(wrong("is longer than 200 bytes"));
            }
        }
        if self.gzip && !path.ends_with(".gz") {
            path.push_str(".gz");
        }
        Ok(path)
    }

    /// The path, below the base, of the file that begins with this offset.
    pub fn complete(&self, series: &str, first: i64) -> String {
        if !self.numbered {
            return series.to_owned();
        }
        let name = series.rfind('/').map_or(0, |at| at + 1);
        let stem = if series.ends_with(".gz") { series.len() - 3 } else { series.len() };
        // A number behind a dot is a part of the name, such as a version or an address.
        let ending = series[name..stem].rfind('.').map(|at| name + at).filter(|at| {
            let ending = &series[at + 1..stem];
            !ending.is_empty() && ending.bytes().any(|b| b.is_ascii_alphabetic())
        });
        let (before, after) = series.split_at(ending.unwrap_or(stem));
        format!("{before}-{first:020}{after}")
    }

    /// The path of a file that is not complete.
    pub fn incomplete(complete: &Path) -> PathBuf {
        let mut path = complete.as_os_str().to_owned();
        path.push(PART);
        path.into()
    }
}

#[cfg(test)]
mod tests {
    use connect_api::{ErrorClass, Origin, Record, Settings, TimestampType, Value, config::Config};

    use super::*;

    fn paths(file: &str, more: &[(&str, &str)]) -> Paths {
        let mut settings: Settings = more.iter().copied().collect();
        settings.set("file", file);
        Paths::new(&FileSinkConfig::parse(&settings).expect("settings")).expect("paths")
    }

    fn record(topic: &str, key: Value) -> SinkRecord {
        let mut record = Record::new("renamed");
        (record.key, record.timestamp) = (key, Some(1_700_000_000_000));
        let origin = Origin { topic: topic.into(), partition: 3, offset: 7, timestamp_type: TimestampType::CreateTime };
        SinkRecord { record, origin }
    }

    #[test]
    fn paths_are_those_of_topic_and_partition_as_kafka_has_them() {
        let p = paths("/data/x/{{topic}}/{{date}}T{{hour}}-{{partition}}.jsonl", &[]);
        assert_eq!((p.base(), p.of_partition()), (Path::new("/data/x/"), false));
        assert_eq!(p.series(&record("t", Value::Null)).expect("path"), "t/2023-11-14T22-3.jsonl");
        let p = paths("t-{{topic}}-{{partition}}", &[("file.gzip", "true")]);
        assert_eq!((p.base(), p.of_partition()), (Path::new("."), true));
        assert_eq!(p.series(&record("t", Value::Null)).expect("path"), "t-t-3.gz");
        assert_eq!(paths("/{{topic}}-{{partition}}", &[]).base(), Path::new("/"));
    }

    #[test]
    fn templates_that_mix_partitions_up_are_refused() {
        for (file, same) in [
            ("{{topic}}{{partition}}.jsonl", "partition 11 of topic alarms and partition 1 of topic alarms1"),
            ("{{date}}/{{partition}}{{topic}}", "partition 1 of topic 1alarms"),
            ("{{topic}}-{{partition % 10}}", "partition 1 of topic alarms and partition 11 of topic alarms"),
            ("{{topic | first}}-{{partition}}", "topic alarms-of-another-kind"),
            ("{{topic | upper}}-{{partition}}", "topic ALARMS"),
        ] {
            let settings: Settings = [("file", format!("/d/{file}"))].into_iter().collect();
            let e = Paths::new(&FileSinkConfig::parse(&settings).expect("settings")).expect_err(file);
            assert!(e.message().contains(same), "{file}: {e:?}");
        }
        for file in ["{{topic}}/{{partition}}", "{{partition}}-{{topic}}", "{{topic}}-{{value.x}}-{{partition}}"] {
            paths(&format!("/d/{file}"), &[]);
        }
    }

    #[test]
    fn keys_cannot_leave_the_folder_nor_hide() {
        let p = paths("/d/{{topic}}/{{key}}/{{partition}}", &[]);
        let series = |key: &str| p.series(&record("t", key.into()));
        assert_eq!(series("a/../b c\n").expect("path"), "t/a%2F..%2Fb%20c%0A/3");
        for bad in ["..", ".", "", ".file-sink", "../x", &"x".repeat(201)] {
            assert_eq!(series(bad).expect_err(bad).class(), ErrorClass::Data);
        }
        assert_eq!(p.series(&record("t", Value::Null)).expect_err("null").class(), ErrorClass::Data);
        let mut timeless = record("t", "k".into());
        timeless.timestamp = None;
        let dated = paths("/d/{{topic}}{{date}}{{partition}}", &[]);
        assert_eq!(dated.series(&timeless).expect_err("no time").class(), ErrorClass::Data);
    }

    #[test]
    fn rotated_files_have_their_first_offset_before_the_ending() {
        let p = paths("/d/{{topic}}-{{partition}}", &[("file.rotate.records", "1"), ("file.gzip", "true")]);
        for (series, expected) in [
            ("a.b/x.jsonl.gz", "a.b/x-00000000000000000042.jsonl.gz"),
            ("a.b/x", "a.b/x-00000000000000000042"),
            ("v1.5", "v1.5-00000000000000000042"),
            ("x.csv", "x-00000000000000000042.csv"),
        ] {
            assert_eq!(p.complete(series, 42), expected);
        }
        assert_eq!(paths("/d/{{topic}}-{{partition}}", &[]).complete("x.csv", 42), "x.csv");
        assert_eq!(Paths::incomplete(Path::new("/d/x.csv")), Path::new("/d/x.csv.part"));
    }
}
