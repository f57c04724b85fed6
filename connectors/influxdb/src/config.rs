//! The settings.

use connect_api::{
    Error, Result,
    config::{Key, Problems, Secret},
    template::{Escape, Template},
};
use connector_http::{
    HttpConfig, Joined, Url,
    config::{server_url, url_with},
};

use crate::line_protocol::{Layout, Tag, Time};

/// Settings of the sink with those of its HTTP client.
pub type InfluxConfig = Joined<InfluxSettings, HttpConfig>;

connect_api::config_enum! {
    /// Which write API the server has.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Version {
        /// `/write` of InfluxDB 1.
        V1 = "1",
        /// `/api/v2/write` of InfluxDB 2.
        V2 = "2",
    }
}

connect_api::config_enum! {
    /// What to do with tombstones.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Tombstones {
        /// Nothing.
        Ignore = "ignore",
        /// Write a point with the field `tombstone`.
        Marker = "marker",
    }
}

connect_api::config_enum! {
    /// Unit of a number that is a time.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Unit {
        /// Seconds.
        Seconds = "s",
        /// Milliseconds.
        Millis = "ms",
        /// Microseconds.
        Micros = "us",
        /// Nanoseconds.
        Nanos = "ns",
    }
}

impl Unit {
    /// Nanoseconds of one.
    pub fn nanos(self) -> i64 {
        match self {
            Self::Seconds => 1_000_000_000,
            Self::Millis => 1_000_000,
            Self::Micros => 1_000,
            Self::Nanos => 1,
        }
    }
}

connect_api::config! {
    /// The sink's own settings.
    #[derive(Debug, Clone)]
    pub struct InfluxSettings {
        /// URL of the server, such as http://127.0.0.1:8086; a path in it is kept as a prefix.
        url: String = Key::new("influxdb.url").high().check(|u: &String| server_url(u)),
        /// Which write API to use: 1 (/write, also VictoriaMetrics and others) or 2 (/api/v2/write).
        version: Version = Key::new("influxdb.version").default("1"),
        /// Version 1: database to write to. It must exist.
        database: Option<String> = Key::new("influxdb.database").high(),
        /// Version 1: retention policy; without it the database's default.
        retention_policy: Option<String> = Key::new("influxdb.retention.policy").low(),
        /// Version 1: user name, if the server wants one.
        username: Option<String> = Key::new("influxdb.username"),
        /// Version 1: password.
        password: Option<Secret> = Key::new("influxdb.password"),
        /// Version 2: organisation, name or id.
        org: Option<String> = Key::new("influxdb.org").high(),
        /// Version 2: bucket, name or id. It must exist.
        bucket: Option<String> = Key::new("influxdb.bucket").high(),
        /// Version 2: token that may write to the bucket.
        token: Option<Secret> = Key::new("influxdb.token").high(),
        /// Template of the measurement's name, such as {{topic}} or {{value.device}}. A name in it that does not exist
        /// or is null makes the record a bad one (errors.tolerance decides).
        measurement: String = Key::new("influxdb.measurement").default("{{topic}}").non_empty(),
        /// Members of the value to write as tags instead of fields, nested ones as a.b; _key is the record's key,
        /// _key.a a member of it. "member as name" gives the tag another name. Tags that are null or empty are left out.
        tags: Vec<String> = Key::new("influxdb.tags").default(""),
        /// Members to write as fields, with all that is in them; without it all.
        include: Vec<String> = Key::new("influxdb.fields.include").default(""),
        /// Members not to write as fields, nor what is in them.
        exclude: Vec<String> = Key::new("influxdb.fields.exclude").default(""),
        /// Member that holds the point's time: a number in influxdb.time.unit, a timestamp, a date, or RFC 3339 text.
        /// It is then no field. Without it the record's time stamp is used.
        time_field: Option<String> = Key::new("influxdb.time.field"),
        /// Unit of a time that is a number: s, ms, us or ns.
        time_unit: Unit = Key::new("influxdb.time.unit").default("ms"),
        /// Whether requests are compressed.
        gzip: bool = Key::new("influxdb.gzip").default("true").low(),
        /// Most points of one request.
        batch_lines: i32 = Key::new("influxdb.batch.lines").default("5000").low().at_least(1),
        /// What to do with tombstones: ignore them, or write a marker, a point whose only field is tombstone=true.
        /// A marker has tags of the key only.
        tombstones: Tombstones = Key::new("influxdb.tombstones").default("ignore"),
    }
}

impl InfluxSettings {
    /// Rules that span several keys.
    pub fn validate(&self, problems: &mut Problems) {
        let v1 = [
            ("influxdb.database", self.database.is_some(), true),
            ("influxdb.retention.policy", self.retention_policy.is_some(), false),
            ("influxdb.username", self.username.is_some(), false),
            ("influxdb.password", self.password.is_some(), false),
        ];
        let v2 = [
            ("influxdb.bucket", self.bucket.is_some(), true),
            ("influxdb.org", self.org.is_some(), false),
            ("influxdb.token", self.token.is_some(), false),
        ];
        let (used, unused): (&[_], &[_]) = match self.version {
            Version::V1 => (&v1, &v2),
            Version::V2 => (&v2, &v1),
        };
        for (key, _, _) in used.iter().filter(|(_, given, required)| *required && !given) {
            problems.add(*key, format!("{key} is required with influxdb.version {}", self.version_text()));
        }
        for (key, _, _) in unused.iter().filter(|(_, given, _)| *given) {
            let text = format!("{key} has no meaning with influxdb.version {}: remove it", self.version_text());
            problems.add(*key, text);
        }
        if self.password.is_some() && self.username.is_none() {
            problems.add("influxdb.username", "influxdb.password needs influxdb.username");
        }
        if let Err(e) = Template::parse(&self.measurement, Escape::None) {
            problems.invalid("influxdb.measurement", &self.measurement, e.message());
        }
        if let Err(why) = self.layout() {
            problems.invalid("influxdb.tags", &self.tags.join(","), &why);
        }
        if self.tombstones == Tombstones::Marker && !self.tags.iter().any(|t| t.starts_with("_key")) {
            problems.add(
                "influxdb.tombstones",
                "influxdb.tombstones=marker needs _key in influxdb.tags, or markers of all keys are one point",
            );
        }
    }

    fn version_text(&self) -> &'static str {
        match self.version {
            Version::V1 => "1",
            Version::V2 => "2",
        }
    }

    /// What of a record becomes tags, fields and time. The error is a reason.
    pub fn layout(&self) -> Result<Layout, String> {
        let tags = self.tags.iter().map(|text| Tag::parse(text)).collect::<Result<Vec<_>, _>>()?;
        let time = self.time_field.clone().map(|field| Time { field, unit: self.time_unit });
        Layout::new(tags, &self.include, &self.exclude, time)
    }

    /// Where to write, and what that is called in messages.
    pub fn target(&self, precision: &str) -> Result<(Url, String)> {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let (path, mut query, name) = match self.version {
            Version::V1 => {
                let database = text(&self.database);
                let name = format!("database {database}");
                ("write", vec![("db", database)], name)
            }
            Version::V2 => {
                let bucket = text(&self.bucket);
                let name = format!("bucket {bucket}");
                ("api/v2/write", vec![("bucket", bucket)], name)
            }
        };
        query.extend(self.retention_policy.clone().map(|policy| ("rp", policy)));
        query.extend(self.org.clone().map(|org| ("org", org)));
        query.push(("precision", precision.to_owned()));
        let url = url_with(&self.url, path, &query);
        let url = url.map_err(|why| Error::fatal(format!("reading influxdb.url {}", self.url)).caused_by(why))?;
        Ok((url, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use connect_api::{Settings, config::Config};

    fn problems(more: &[(&str, &str)]) -> Vec<String> {
        let mut settings = Settings::from([("influxdb.url", "http://h:1")]);
        settings.extend(&more.iter().copied().collect());
        let mut problems = Problems::new();
        InfluxSettings::parse(&settings).expect("single keys are right").validate(&mut problems);
        problems.iter().map(|p| p.key.clone()).collect()
    }

    #[test]
    fn each_version_has_its_settings() {
        assert_eq!(problems(&[("influxdb.database", "d")]), Vec::<String>::new());
        assert_eq!(problems(&[("influxdb.version", "2"), ("influxdb.bucket", "b")]), Vec::<String>::new());
        assert_eq!(problems(&[("influxdb.token", "t")]), ["influxdb.database", "influxdb.token"]);
        assert_eq!(
            problems(&[("influxdb.version", "2"), ("influxdb.database", "d")]),
            ["influxdb.bucket", "influxdb.database"]
        );
    }

    #[test]
    fn tags_templates_and_markers_are_checked() {
        let d = ("influxdb.database", "d");
        assert_eq!(problems(&[d, ("influxdb.tags", "a,b as a")]), ["influxdb.tags"]);
        assert_eq!(problems(&[d, ("influxdb.tags", "time")]), ["influxdb.tags"]);
        assert_eq!(problems(&[d, ("influxdb.measurement", "{{x")]), ["influxdb.measurement"]);
        assert_eq!(problems(&[d, ("influxdb.tombstones", "marker")]), ["influxdb.tombstones"]);
        assert_eq!(problems(&[d, ("influxdb.tombstones", "marker"), ("influxdb.tags", "_key")]), Vec::<String>::new());
    }

    #[test]
    fn names_are_encoded_in_the_url() {
        let settings = Settings::from([("influxdb.url", "http://h:1/prefix/"), ("influxdb.database", "a b&c")]);
        let (url, name) = InfluxSettings::parse(&settings).expect("settings").target("ms").expect("url");
        assert_eq!(url.as_str(), "http://h:1/prefix/write?db=a+b%26c&precision=ms");
        assert_eq!(name, "database a b&c");
    }
}
