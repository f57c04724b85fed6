//! Settings of the file source.

use crate::pattern::Pattern;
use connect_api::config::{Key, Millis, Problems, Width};

connect_api::config_enum! {
    /// What the bytes of a line are.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Encoding {
        /// UTF-8, and nothing else.
        Utf8 = "utf-8",
        /// UTF-8, in which what is invalid is replaced.
        Utf8Lossy = "utf-8-lossy",
        /// Every byte is a character.
        Latin1 = "iso-8859-1",
        /// Bytes.
        Bytes = "bytes",
    }
}

connect_api::config! {
    /// Settings of the file source.
    #[derive(Debug, Clone)]
    pub struct FileSourceConfig {
        /// Path of the file to follow. It may be missing at first, and may be rotated or truncated. Where its name has `*`,
        /// `?` or `[`, and is not that of a file, all files are followed that it matches, with `**` for any folders.
        file: String = Key::new("file").high().non_empty().form("File", Width::Long, "File"),
        /// Topic to write to.
        topic: String = Key::new("topic").high().non_empty().topic().form("File", Width::Medium, "Topic"),
        /// Most lines of one batch.
        batch_size: i32 = Key::new("batch.size").default("2000").low().at_least(1).form("File", Width::Short, "Batch size"),
        /// What the bytes of a line are: utf-8, where a line with anything else is a bad record (errors.tolerance decides);
        /// utf-8-lossy, where U+FFFD replaces what is invalid, as Kafka's class does; iso-8859-1; or bytes, for values of
        /// type bytes.
        encoding: Encoding = Key::new("file.encoding").default("utf-8").form("File", Width::Short, "Encoding"),
        /// What a pattern leaves out: a pattern of paths or, without a `/`, of file names, such as `*.gz`. Files that are
        /// compressed after their rotation are new files, so their lines come again unless they are left out.
        exclude: Option<String> = Key::new("file.exclude").check(|text: &Option<String>| {
            text.as_ref().map_or(Ok(()), |text| Pattern::check(text).map(drop))
        }).form("File", Width::Medium, "Exclude"),
        /// How often, in milliseconds, files are looked for that a pattern matches.
        scan_interval: Millis = Key::new("file.scan.interval.ms").default("1000").low().form("File", Width::Short, "Scan interval"),
        /// Whether files whose names end in `.gz`, and which begin as such files do, are unpacked.
        gunzip: bool = Key::new("file.gunzip").default("true").form("File", Width::Short, "Unpack"),
        /// Name of a header with the path of the file that a line comes from. Default: there is none.
        header: Option<String> = Key::new("file.header").form("File", Width::Short, "Header"),
        /// Longest line in bytes. A longer one is a bad record, of which a dead letter has the beginning (errors.tolerance
        /// decides).
        line_limit: i32 = Key::new("file.line.limit").default("1048576").low().at_least(1).form("File", Width::Short, "Line limit"),
        /// How long, in milliseconds, a file is read on when another one has taken its name, for writers that still have
        /// it open.
        rotation_wait: Millis = Key::new("file.rotation.wait.ms").default("5000").low().form("File", Width::Short, "Rotation wait"),
    }
}

impl FileSourceConfig {
    /// Whether `file` is a pattern; what has the name as it is written is a file.
    pub(crate) fn is_pattern(&self) -> bool {
        Pattern::is_one(&self.file) && !std::path::Path::new(&self.file).exists()
    }

    pub(crate) fn line_limit(&self) -> usize {
        usize::try_from(self.line_limit).unwrap_or(1)
    }

    pub(crate) fn batch_size(&self) -> usize {
        usize::try_from(self.batch_size).unwrap_or(1)
    }

    /// Rules that the settings follow together.
    pub(crate) fn validate(&self, problems: &mut Problems) {
        if !self.is_pattern() {
            if let Some(exclude) = &self.exclude {
                problems.invalid("file.exclude", exclude, "file is no pattern, so there is nothing to leave out");
            }
        } else if let Err(why) = Pattern::check(&self.file) {
            problems.invalid("file", &self.file, &why);
        }
    }
}
