//! The sink's own settings.

use connect_api::{
    Error, Result,
    config::{Key, Problems, Secret},
};
use connector_http::{HttpConfig, Joined, config::server_url};

use crate::{
    endpoint::{Consistency, Credentials, Endpoint, Names, Version},
    moment::{Member, Time, Unit},
    plan::{Front, Plan, Shared},
    statement::{Column, Measurement, Place, Source, Statement, Tag},
};

/// Settings of the sink with those of its requests and its HTTP client.
pub type InfluxConfig = Joined<InfluxSettings, Shared>;

connect_api::config! {
    /// The sink's own settings.
    #[derive(Debug, Clone)]
    pub struct InfluxSettings {
        /// URL of the server, such as http://127.0.0.1:8086; a path in it is kept as a prefix.
        url: String = Key::new("influxdb.url").high().check(|u: &String| server_url(u)),
        /// Which write API to use: 1 (/write, also VictoriaMetrics and others), 2 (/api/v2/write) or 3 (/api/v3/write_lp).
        version: Version = Key::new("influxdb.version").default("1"),
        /// Versions 1 and 3: database to write to. Version 1 does not make it, version 3 does.
        database: Option<String> = Key::new("influxdb.database").high(),
        /// Version 1: retention policy; without it the database's default.
        retention_policy: Option<String> = Key::new("influxdb.retention.policy").low(),
        /// Version 1, clusters only: how many nodes must have stored a point: any, one, quorum or all. Without it the
        /// server decides.
        consistency: Option<Consistency> = Key::new("influxdb.consistency").low(),
        /// Version 1: user name, if the server wants one.
        username: Option<String> = Key::new("influxdb.username"),
        /// Version 1: password.
        password: Option<Secret> = Key::new("influxdb.password"),
        /// Version 2: organisation, name or id.
        org: Option<String> = Key::new("influxdb.org").high(),
        /// Version 2: bucket, name or id. It must exist.
        bucket: Option<String> = Key::new("influxdb.bucket").high(),
        /// Versions 2 and 3: token that may write to the bucket or database.
        token: Option<Secret> = Key::new("influxdb.token").high(),
        /// Version 3: whether the server stores the good lines of a request that has bad ones. If so, its answer tells the
        /// bad ones, and no line is sent twice to find them.
        accept_partial: bool = Key::new("influxdb.accept.partial").default("true").low(),
        /// Version 3: whether the server may answer before points are on its disk. Points are then lost when it dies.
        no_sync: bool = Key::new("influxdb.no.sync").default("false").low(),
        /// Template of the measurement's name, such as {{topic}} or {{value.device}}. A name in it that does not exist
        /// or is null makes the record a bad one (errors.tolerance decides).
        measurement: String = Key::new("influxdb.measurement").default("{{topic}}").non_empty(),
        /// Members of the value to write as tags instead of fields, nested ones as a.b; _key is the record's key,
        /// _key.a a member of it; name=text is a constant. "member as name" gives the tag another name. Tags that are
        /// null or empty are left out.
        tags: Vec<String> = Key::new("influxdb.tags").default(""),
        /// Members to write as fields, with all that is in them; without it all.
        include: Vec<String> = Key::new("influxdb.fields.include").default(""),
        /// Members not to write as fields, nor what is in them.
        exclude: Vec<String> = Key::new("influxdb.fields.exclude").default(""),
        /// Member that holds the point's time: a number in influxdb.time.unit, a timestamp, a date, or RFC 3339 text.
        /// It is then no field. Without it the record's time stamp is used.
        time_field: Option<String> = Key::new("influxdb.time.field"),
        /// Unit of a time that is a number: s, ms, us, ns, m (minutes), h or d.
        time_unit: Unit = Key::new("influxdb.time.unit").default("ms"),
        /// Whether requests are compressed.
        gzip: bool = Key::new("influxdb.gzip").default("true").low(),
    }
}

impl InfluxSettings {
    fn validate(&self, problems: &mut Problems) {
        let (version, name) = match self.version {
            Version::V1 => (0, "1"),
            Version::V2 => (1, "2"),
            Version::V3 => (2, "3"),
        };
        // Whether a setting is given, the versions that have it, and whether those need it.
        let all = [
            ("influxdb.database", self.database.is_some(), [true, false, true], true),
            ("influxdb.retention.policy", self.retention_policy.is_some(), [true, false, false], false),
            ("influxdb.consistency", self.consistency.is_some(), [true, false, false], false),
            ("influxdb.username", self.username.is_some(), [true, false, false], false),
            ("influxdb.password", self.password.is_some(), [true, false, false], false),
            ("influxdb.bucket", self.bucket.is_some(), [false, true, false], true),
            ("influxdb.org", self.org.is_some(), [false, true, false], false),
            ("influxdb.token", self.token.is_some(), [false, true, true], false),
            ("influxdb.no.sync", self.no_sync, [false, false, true], false),
        ];
        for (key, given, versions, required) in all {
            match (given, versions[version]) {
                (true, false) => {
                    problems.add(key, format!("{key} has no meaning with influxdb.version {name}: remove it"));
                }
                (false, true) if required => {
                    problems.add(key, format!("{key} is required with influxdb.version {name}"));
                }
                _ => {}
            }
        }
        if self.password.is_some() && self.username.is_none() {
            problems.add("influxdb.username", "influxdb.password needs influxdb.username");
        }
    }

    /// What of a record becomes tags, fields and time. The error is a reason.
    fn statement(&self, measurement: Measurement) -> Result<Statement, String> {
        let tags = self.tags.iter().map(|text| Tag::parse(text)).collect::<Result<Vec<_>, _>>()?;
        let time = match &self.time_field {
            Some(field) => Time::Member(Member { place: Place::parse(field), unit: self.time_unit, or_clock: false }),
            None => Time::Record,
        };
        let mut no_fields = self.exclude.clone();
        let places = tags.iter().filter_map(|tag| match &tag.source {
            Source::Place(place) => Some(place),
            Source::Constant(_) => None,
        });
        let times = match &time {
            Time::Member(member) => Some(&member.place),
            _ => None,
        };
        no_fields.extend(places.chain(times).filter(|place| !place.of_key).map(|place| place.path.clone()));
        let mut statement = Statement::new(measurement, time).with_tags(tags)?;
        statement.columns = columns(&self.include, &no_fields);
        Ok(statement)
    }

    fn endpoint(&self) -> Endpoint {
        let target = if self.version == Version::V2 { &self.bucket } else { &self.database };
        let credentials = match (&self.token, &self.username) {
            (Some(token), _) => Credentials::Token(token.clone()),
            (None, Some(user)) => Credentials::User(user.clone(), self.password.clone().unwrap_or_default()),
            (None, None) => Credentials::None,
        };
        Endpoint {
            version: self.version,
            url: self.url.clone(),
            target: target.clone().unwrap_or_default(),
            policy: self.retention_policy.clone(),
            consistency: self.consistency,
            org: self.org.clone(),
            accept_partial: self.accept_partial,
            no_sync: self.no_sync,
            credentials,
            names: Names {
                url: "influxdb.url",
                target: if self.version == Version::V2 { "influxdb.bucket" } else { "influxdb.database" },
                policy: "influxdb.retention.policy",
                credentials: match self.version {
                    Version::V1 => "influxdb.username and influxdb.password",
                    _ => "influxdb.token",
                },
            },
        }
    }
}

/// The chosen members of the value, or all, without those left out.
fn columns(include: &[String], exclude: &[String]) -> Vec<Column> {
    if include.is_empty() {
        return vec![Column::new(Place::value(""), "", exclude.iter().cloned())];
    }
    let within = |path: &str, outer: &str| path.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'));
    let mut chosen: Vec<&String> = Vec::new();
    for path in include {
        let known = include.iter().any(|outer| within(path, outer)) || chosen.contains(&path);
        let left_out = exclude.iter().any(|e| e == path || within(path, e));
        if !known && !left_out {
            chosen.push(path);
        }
    }
    let column = |path: &String| {
        let except = exclude.iter().filter(|e| within(e, path)).map(|e| e[path.len() + 1..].to_owned());
        Column::new(Place::value(path), path, except)
    };
    chosen.into_iter().map(column).collect()
}

impl Front for InfluxConfig {
    fn http(&self) -> &HttpConfig {
        &self.with.with.with
    }

    fn plan(&self) -> Result<Plan> {
        let measurement = Measurement::parse(&self.measurement)?;
        let statement = self.statement(measurement);
        let mut statement = statement.map_err(|why| Error::fatal("reading influxdb.tags").caused_by(why))?;
        statement.bytes = self.with.bytes;
        Ok(Plan {
            endpoint: self.endpoint(),
            statements: vec![statement],
            key: "influxdb.tags",
            gzip: self.gzip,
            batch_lines: self.with.lines(),
            lanes: self.with.with.lanes(),
            tombstones: self.with.tombstones,
        })
    }

    fn check(&self, problems: &mut Problems) {
        self.own.validate(problems);
        if let Err(e) = Measurement::parse(&self.measurement) {
            problems.invalid("influxdb.measurement", &self.measurement, e.message());
        }
        match self.statement(Measurement::Topic) {
            Ok(statement) => self.with.check(&[statement], "influxdb.tags", problems),
            Err(why) => {
                problems.invalid("influxdb.tags", &self.tags.join(","), &why);
            }
        }
    }

    fn without_effect(&self) -> Vec<&'static str> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use connect_api::{Settings, config::Config};

    fn read(more: &[(&str, &str)]) -> InfluxConfig {
        let mut settings = Settings::from([("influxdb.url", "http://h:1")]);
        settings.extend(&more.iter().copied().collect());
        InfluxConfig::parse(&settings).expect("single keys are right")
    }

    fn problems(more: &[(&str, &str)]) -> Vec<String> {
        let mut problems = Problems::new();
        read(more).check(&mut problems);
        problems.iter().map(|p| p.key.clone()).collect()
    }

    #[test]
    fn each_version_has_its_settings() {
        let none: [&str; 0] = [];
        let (d, b) = (("influxdb.database", "d"), ("influxdb.bucket", "b"));
        let (v2, v3, token) = (("influxdb.version", "2"), ("influxdb.version", "3"), ("influxdb.token", "t"));
        assert_eq!(problems(&[d, ("influxdb.consistency", "any")]), none);
        assert_eq!(problems(&[v2, b, token]), none);
        assert_eq!(problems(&[v3, d, token, ("influxdb.no.sync", "true")]), none);
        assert_eq!(problems(&[token]), ["influxdb.database", "influxdb.token"]);
        assert_eq!(problems(&[v2, d]), ["influxdb.database", "influxdb.bucket"]);
        assert_eq!(problems(&[v3, b, ("influxdb.org", "o")]), ["influxdb.database", "influxdb.bucket", "influxdb.org"]);
        assert_eq!(problems(&[d, ("influxdb.password", "p")]), ["influxdb.username"]);
    }

    #[test]
    fn tags_templates_and_markers_are_checked() {
        let (d, marker) = (("influxdb.database", "d"), ("influxdb.tombstones", "marker"));
        let none: [&str; 0] = [];
        assert_eq!(problems(&[d, ("influxdb.tags", "a,b as a")]), ["influxdb.tags"]);
        assert_eq!(problems(&[d, ("influxdb.tags", "time")]), ["influxdb.tags"]);
        assert_eq!(problems(&[d, ("influxdb.measurement", "{{x")]), ["influxdb.measurement"]);
        assert_eq!(problems(&[d, marker]), ["influxdb.tombstones"]);
        assert_eq!(problems(&[d, marker, ("influxdb.tags", "_key")]), none);
    }

    #[test]
    fn columns_are_the_chosen_members_once_without_what_is_left_out() {
        let texts = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        let of = |include: &[&str], exclude: &[&str]| {
            let columns = columns(&texts(include), &texts(exclude));
            columns.into_iter().map(|c| format!("{}-{}", c.name, c.except.join("-"))).collect::<Vec<_>>()
        };
        assert_eq!(of(&[], &["b", "a"]), ["-a-b"]);
        assert_eq!(of(&["a", "a.x", "a", "ab"], &["a.y.z", "c"]), ["a-y.z", "ab-"]);
        assert_eq!(of(&["a.x", "b"], &["a"]), ["b-"]);
    }
}
