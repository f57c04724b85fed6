//! Settings of the file sinks.

use connect_api::{
    Error, Result,
    config::{ConfigType, Key, KeyType, Millis, Problems, Width},
    template::Template,
};

use super::{
    format::{Column, CsvStyle, Lines, Member},
    paths::Paths,
};

connect_api::config_enum! {
    /// How a record becomes a line.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Format {
        /// A JSON object of the record.
        Json = "json",
        /// The value as JSON.
        Value = "value",
        /// Comma-separated values.
        Csv = "csv",
        /// What a template makes.
        Template = "template",
        /// The value as text.
        Text = "text",
    }
}

connect_api::config_enum! {
    /// Which cells of CSV are in quotation marks.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Quote {
        /// Those that could not be read otherwise.
        Needed = "needed",
        /// All.
        Always = "always",
    }
}

connect_api::config_enum! {
    /// When a file's contents are made to reach the disk.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Sync {
        /// Before offsets are committed.
        Commit = "commit",
        /// With each batch.
        Put = "put",
        /// When the system does so.
        Never = "never",
    }
}

connect_api::config_enum! {
    /// What a file is called while it is written.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Names {
        /// `NAME.part` until it is complete.
        Atomic = "atomic",
        /// Its name from the beginning.
        InPlace = "in-place",
    }
}

connect_api::config_enum! {
    /// How a record becomes a line under Kafka's class name.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum StreamFormat {
        /// A JSON object with topic, partition, offset, timestamp, key, value and headers.
        Json = "json",
        /// The value as text.
        Text = "text",
    }
}

connect_api::config! {
    /// Settings under Kafka's class name.
    #[derive(Debug, Clone)]
    pub struct FileStreamSinkConfig {
        /// Path of the file to append to. Tasks may share it: each line is written whole.
        file: String = Key::new("file").high().non_empty().form("File", Width::Long, "File"),
        /// How a record becomes a line: json writes an object with topic, partition, offset, timestamp, key, value and
        /// headers; text writes the value alone.
        format: StreamFormat = Key::new("file.format").default("text").form("File", Width::Short, "Format"),
    }
}

impl FileStreamSinkConfig {
    /// How records become lines.
    pub fn lines(&self) -> Lines {
        match self.format {
            StreamFormat::Json => Lines::Record(Member::ALL.to_vec()),
            StreamFormat::Text => Lines::Text,
        }
    }
}

connect_api::config! {
    /// Settings of the file sink.
    #[derive(Debug, Clone)]
    pub struct FileSinkConfig {
        /// Path of the file to append to, which tasks may share: each line is written whole, at least once. Or a template such
        /// as /data/{{topic}}/{{date}}-{{partition}}.jsonl, which has to give each partition a path of its own: each record
        /// is then in its file exactly once. Names: topic, partition, date and hour of the record's time stamp (UTC), timestamp,
        /// key, value, headers; what they insert is percent-encoded. The folder before the first of them must be there.
        file: String = Key::new("file").high().non_empty().form("File", Width::Long, "File"),
        /// How a record becomes a line: json writes an object of file.json.members; value the value as JSON; csv
        /// file.csv.columns; template file.template; text the value as text.
        format: Format = Key::new("file.format").default("json").form("File", Width::Short, "Format"),
        /// Members of the object that json writes, in this order: topic, partition, offset, timestamp, key, value and
        /// headers, which are left out where there are none.
        json_members: Vec<String> = Key::new("file.json.members")
            .default("topic,partition,offset,timestamp,key,value,headers").at_least_one()
            .check(|names: &Vec<String>| Member::list(names).map(drop)).form("File", Width::Long, "Members"),
        /// Columns of csv: paths such as key, offset or value.device.name, each with another name for the first line as
        /// in device=value.device.name. A cell of what is missing or null is empty; objects and lists are written as JSON.
        csv_columns: Vec<String> = Key::new("file.csv.columns").default("")
            .check(|columns: &Vec<String>| Column::list(columns).map(drop)).form("File", Width::Long, "Columns"),
        /// Whether a file of csv begins with a line of the columns' names.
        csv_header: bool = Key::new("file.csv.header").default("true").form("File", Width::Short, "Header line"),
        /// What separates the cells of csv: one character such as ; or |, or tab.
        csv_separator: Separator = Key::new("file.csv.separator").default(",").form("File", Width::Short, "Separator"),
        /// Which cells of csv are in quotation marks: needed for those with a separator, a quotation mark or a line break;
        /// always for all.
        csv_quote: Quote = Key::new("file.csv.quote").default("needed").form("File", Width::Short, "Quotation marks"),
        /// Template of a line, over the names topic, partition, offset, timestamp, key, value and headers, such as
        /// {{timestamp}} {{value.message}}. Null leaves a blank.
        template: Option<String> = Key::new("file.template").form("File", Width::Long, "Template"),
        /// Whether files are compressed with gzip. Their names end in .gz then.
        gzip: bool = Key::new("file.gzip").default("false").form("File", Width::Short, "Gzip"),
        /// Most bytes of a file, before compression. The next one begins before a record that would make it longer.
        /// Needs a path by template.
        rotate_bytes: Option<i64> = Key::new("file.rotate.bytes").check(positive).form("Rotation", Width::Short, "Bytes"),
        /// Most records of a file. Needs a path by template.
        rotate_records: Option<i64> =
            Key::new("file.rotate.records").check(positive).form("Rotation", Width::Short, "Records"),
        /// How long, in milliseconds, a file is written to after its first record. Needs a path by template, and is needed
        /// where that has more names than topic and partition.
        rotate_after: Option<Millis> = Key::new("file.rotate.ms")
            .check(|ms: &Option<Millis>| positive(&ms.map(|ms| i64::try_from(ms.0.as_millis()).unwrap_or(i64::MAX))))
            .form("Rotation", Width::Short, "Time"),
        /// What files are called: atomic adds .part to the name until the file is complete; in-place does not, for programs
        /// that read files while they grow. The default is atomic where there is rotation, in-place where there is none.
        names: Option<Names> = Key::new("file.names").form("Rotation", Width::Short, "Names"),
        /// When what was written is made to reach the disk: commit does so before offsets are committed, put with each
        /// batch, never leaves it to the system, so that a loss of power may lose records; a crash of the worker does not.
        sync: Sync = Key::new("file.sync").default("commit").form("File", Width::Short, "Sync"),
        /// Most files of a task that are open at a time. Beyond that those are closed that have not been written to for the
        /// longest time, and opened again when they are.
        open_limit: i32 = Key::new("file.open.limit").default("200").low().at_least(1).form("File", Width::Short, "Open files"),
    }
}

/// The default of `file.open.limit`.
const OPEN_LIMIT: i32 = 200;
/// What is wrong with a name that promises what is not there.
const GZ: &str = "a name that ends in .gz needs file.gzip, and that a path of its own for each partition";

/// What separates cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Separator(pub char);

impl ConfigType for Separator {
    const KIND: KeyType = KeyType::String;

    fn parse(text: &str) -> Result<Self, String> {
        let mut characters = text.chars();
        match (text, characters.next(), characters.next()) {
            ("tab" | "\\t", ..) => Ok(Self('\t')),
            (_, Some('"' | '\n' | '\r'), None) => Err("Quotation marks and line breaks separate no cells".into()),
            (_, Some(character), None) => Ok(Self(character)),
            _ => Err("Expected one character, or tab".into()),
        }
    }
}

fn positive(number: &Option<i64>) -> Result<(), String> {
    if number.is_some_and(|n| n < 1) { Err("Value must be at least 1".into()) } else { Ok(()) }
}

impl FileSinkConfig {
    /// Whether a rule ends files.
    pub fn rotates(&self) -> bool {
        self.rotate_bytes.is_some() || self.rotate_records.is_some() || self.rotate_after.is_some()
    }

    /// Whether files have a name of their own while they are written.
    pub fn atomic(&self) -> bool {
        self.names.map_or(self.rotates(), |names| names == Names::Atomic)
    }

    /// How records become lines.
    pub fn lines(&self) -> Result<Lines> {
        let wrong = |key: &str, why: String| Error::fatal(format!("reading {key}: {why}"));
        Ok(match self.format {
            Format::Json => {
                Lines::Record(Member::list(&self.json_members).map_err(|why| wrong("file.json.members", why))?)
            }
            Format::Value => Lines::Value,
            Format::Text => Lines::Text,
            Format::Csv => {
                let columns = Column::list(&self.csv_columns).map_err(|why| wrong("file.csv.columns", why))?;
                let style =
                    CsvStyle { separator: self.csv_separator.0, always_quoted: self.csv_quote == Quote::Always };
                Lines::Csv { columns, header: self.csv_header, style }
            }
            Format::Template => {
                let source = self.template.as_deref().unwrap_or_default();
                Lines::Template(Template::parse(source, connect_api::template::Escape::Prose)?)
            }
        })
    }

    /// Rules that span several keys.
    pub fn validate(&self, problems: &mut Problems) {
        match self.format {
            Format::Csv if self.csv_columns.is_empty() => {
                problems.add("file.csv.columns", "file.format csv needs file.csv.columns, such as key,value.name");
            }
            Format::Template if self.template.is_none() => {
                problems.add("file.template", "file.format template needs file.template, the template of a line");
            }
            Format::Template => {
                if let Err(e) = self.lines() {
                    problems.add("file.template", e.one_line());
                }
            }
            _ => {}
        }
        let of_csv = [
            ("file.csv.columns", !self.csv_columns.is_empty()),
            ("file.csv.separator", self.csv_separator.0 != ','),
            ("file.csv.quote", self.csv_quote != Quote::Needed),
        ];
        for (key, _) in of_csv.into_iter().filter(|(_, given)| *given && self.format != Format::Csv) {
            problems.add(key, format!("{key} needs file.format csv"));
        }
        if self.format != Format::Template && self.template.is_some() {
            problems.add("file.template", "file.template needs file.format template");
        }
        if self.format != Format::Csv && !self.csv_header {
            problems.add("file.csv.header", "file.csv.header needs file.format csv");
        }
        if self.format != Format::Json
            && !Member::ALL.iter().map(|m| m.name()).eq(self.json_members.iter().map(String::as_str))
        {
            problems.add("file.json.members", "file.json.members needs file.format json");
        }
        if Paths::is_template(&self.file) {
            self.validate_files(problems);
        } else {
            self.validate_one_file(problems);
        }
    }

    fn validate_files(&self, problems: &mut Problems) {
        match Paths::new(self) {
            Err(e) => {
                problems.invalid("file", &self.file, &e.one_line());
            }
            Ok(paths) if !paths.of_partition() && self.rotate_after.is_none() => {
                problems.add(
                    "file.rotate.ms",
                    "a path with more names than topic and partition needs file.rotate.ms, or its files would never be \
                     complete",
                );
            }
            Ok(_) => {}
        }
        if self.names == Some(Names::Atomic) && !self.rotates() {
            problems.add(
                "file.names",
                "file.names atomic needs file.rotate.ms, file.rotate.bytes or file.rotate.records, or the file would \
                 never be complete",
            );
        }
        if !self.gzip && self.file.ends_with(".gz") {
            problems.invalid("file", &self.file, GZ);
        }
    }

    fn validate_one_file(&self, problems: &mut Problems) {
        let given = [
            ("file.gzip", self.gzip),
            ("file.rotate.bytes", self.rotate_bytes.is_some()),
            ("file.rotate.records", self.rotate_records.is_some()),
            ("file.rotate.ms", self.rotate_after.is_some()),
            ("file.names", self.names.is_some()),
            ("file.open.limit", self.open_limit != OPEN_LIMIT),
        ];
        for (key, _) in given.into_iter().filter(|(_, given)| *given) {
            problems.add(
                key,
                format!("{key} needs a path of its own for each partition, such as /data/{{{{topic}}}}-{{{{partition}}}}.jsonl"),
            );
        }
        if !self.gzip && self.file.ends_with(".gz") {
            problems.invalid("file", &self.file, GZ);
        }
    }
}

#[cfg(test)]
mod tests {
    use connect_api::{Settings, config::Config};

    use super::*;

    fn problems(more: &[(&str, &str)]) -> Vec<String> {
        let settings: Settings = more.iter().copied().collect();
        let config = match FileSinkConfig::parse(&settings) {
            Ok(config) => config,
            Err(problems) => return problems.iter().map(|p| p.text.clone()).collect(),
        };
        let mut problems = Problems::new();
        config.validate(&mut problems);
        problems.iter().map(|p| p.text.clone()).collect()
    }

    #[test]
    fn what_does_not_go_together_is_told() {
        let path = ("file", "/d/{{topic}}-{{partition}}.x");
        for (settings, expected) in [
            (&[("file", "/d/x"), ("file.gzip", "true")][..], "file.gzip needs a path of its own for each partition"),
            (&[("file", "/d/x"), ("file.rotate.ms", "5")], "file.rotate.ms needs a path of its own"),
            (&[("file", "/d/{{topic}}")], "a path of its own: use {{partition}}"),
            (&[("file", "/d/{{partition}}")], "a path of its own: use {{topic}}"),
            (&[("file", "/d/{{topic}}-{{partition}}{{offset}}")], "There is no name \"offset\" here"),
            (&[("file", "/d/{{topic}}-{{partition}}{{key}}")], "needs file.rotate.ms"),
            (&[path, ("file.names", "atomic")], "file.names atomic needs file.rotate.ms"),
            (&[path, ("file.rotate.records", "0")], "Value must be at least 1"),
            (&[path, ("file.rotate.ms", "0")], "Value must be at least 1"),
            (&[path, ("file.format", "csv")], "needs file.csv.columns"),
            (&[path, ("file.csv.columns", "key")], "file.csv.columns needs file.format csv"),
            (&[path, ("file.csv.separator", ";")], "file.csv.separator needs file.format csv"),
            (&[path, ("file.csv.quote", "always")], "file.csv.quote needs file.format csv"),
            (&[path, ("file.csv.separator", ";;")], "Expected one character, or tab"),
            (&[path, ("file.csv.separator", "\"")], "separate no cells"),
            (&[path, ("file.format", "csv"), ("file.csv.columns", "key,nope.x")], "nope is none of topic"),
            (&[path, ("file.format", "template")], "needs file.template"),
            (&[path, ("file.template", "x")], "file.template needs file.format template"),
            (&[path, ("file.format", "template"), ("file.template", "{{x")], "parsing the template"),
            (&[path, ("file.json.members", "topic,x")], "x is none of topic"),
            (&[("file", "/d/{{topic}}-{{partition}}.gz")], "needs file.gzip"),
            (&[("file", "/d/x.jsonl.gz")], "needs file.gzip"),
            (&[("file", "/d/x"), ("file.open.limit", "9")], "file.open.limit needs a path of its own"),
            (&[("file", "/d/x"), ("file.names", "in-place")], "file.names needs a path of its own"),
            (&[path, ("file.csv.header", "false")], "file.csv.header needs file.format csv"),
            (
                &[path, ("file.format", "value"), ("file.json.members", "key")],
                "file.json.members needs file.format json",
            ),
        ] {
            let found = problems(settings);
            assert!(found.len() == 1 && found[0].contains(expected), "{settings:?}: {found:?}");
        }
        assert!(problems(&[path, ("file.rotate.bytes", "1"), ("file.gzip", "true")]).is_empty());
        assert!(problems(&[("file", "/d/x"), ("file.format", "csv"), ("file.csv.columns", "key")]).is_empty());
    }
}
