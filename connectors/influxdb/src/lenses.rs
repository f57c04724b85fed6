//! The settings of Lenses' `InfluxSinkConnector`: statements in its query language.

use connect_api::{
    Error, Result,
    config::{Config, ConfigDef, Key, Problems, Reader, Secret, split_list},
};
use connector_http::{HttpConfig, Joined, config::server_url};

use crate::{
    endpoint::{Credentials, Endpoint, Names, Version},
    kcql::{self, Query, Tagged, Timestamp},
    moment::{Member, Time, Unit},
    plan::{Front, Plan, Shared},
    statement::{Column, Measurement, Place, Source, Statement, Tag},
};

const KCQL: &str = "connect.influx.kcql";

connect_api::config! {
    /// The settings, without those of requests and of the HTTP client.
    #[derive(Debug, Clone)]
    pub struct LensesSettings {
        /// URL of the server, of InfluxDB 1 or what has its write API; a path in it is kept as a prefix.
        url: String = Key::new("connect.influx.url").high().check(|u: &String| server_url(u)),
        /// Database to write to. It must exist.
        database: String = Key::new("connect.influx.db").high().non_empty(),
        /// User name; a server without authentication ignores it.
        username: String = Key::new("connect.influx.username").high().non_empty(),
        /// Password.
        password: Option<Secret> = Key::new("connect.influx.password").high(),
        /// Statements, with semicolons between them: INSERT INTO measurement SELECT * | column [AS name], … FROM topic,
        /// then in any order IGNORE name, …; WITHTARGET member; WITHTIMESTAMP member | sys_time(); TIMESTAMPUNIT=unit;
        /// WITHTAG(member | member AS name | name=text, …); BATCH=n. Every topic needs one; several make several points.
        kcql: String = Key::new(KCQL).high().check(|text: &String| {
            kcql::parse(text).map(drop).map_err(|e| e.to_string())
        }),
        /// Retention policy; it must exist.
        retention_policy: String = Key::new("connect.influx.retention.policy").default("autogen"),
        /// THROW or RETRY, which are the same here: what fails in a way that passes is tried again until it succeeds, and
        /// errors.tolerance decides about bad records. NOOP, which would drop records without a word, is refused.
        error_policy: String = Key::new("connect.influx.error.policy").default("THROW").rule(error_policy),
        /// No effect: the worker retries with pauses of its own, and as long as the server asks for.
        retry_interval: Option<i64> = Key::new("connect.influx.retry.interval").low(),
        /// No effect: the worker tries until it succeeds.
        max_retries: Option<i32> = Key::new("connect.influx.max.retries").low(),
        /// No effect, as with Lenses.
        consistency: Option<String> = Key::new("connect.influx.consistency.level").low(),
        /// No effect: the status and /metrics tell the progress.
        progress: Option<bool> = Key::new("connect.progress.enabled").low(),
        /// Whether requests are compressed.
        gzip: bool = Key::new("influxdb.gzip").default("true").low(),
    }
}

fn error_policy(policy: &String) -> Result<(), String> {
    let key = "connect.influx.error.policy";
    match policy.to_ascii_uppercase().as_str() {
        "THROW" | "RETRY" => Ok(()),
        "NOOP" => Err(format!(
            "{key}=NOOP would drop records without a word: set THROW, and errors.tolerance=all with \
             errors.deadletterqueue.topic.name for records that InfluxDB refuses"
        )),
        _ => Err(format!("Invalid value {policy} for configuration {key}: String must be one of: THROW, RETRY")),
    }
}

/// The settings with those of requests and of the HTTP client, and the topics that they are for.
#[derive(Debug, Clone)]
pub struct LensesConfig {
    given: Joined<LensesSettings, Shared>,
    /// The topics of records as statements see them, as far as that is known.
    topics: Vec<String>,
}

impl Config for LensesConfig {
    fn definition() -> ConfigDef {
        Joined::<LensesSettings, Shared>::definition()
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        // Transforms may give records other topics.
        let topics = match reader.given("transforms") {
            None => split_list(reader.given("topics").unwrap_or_default().trim()),
            Some(_) => Vec::new(),
        };
        Some(Self { given: Joined::read(reader)?, topics })
    }
}

impl LensesConfig {
    fn statements(&self) -> Result<Vec<Statement>, String> {
        let queries = kcql::parse(&self.given.kcql).map_err(|e| e.to_string())?;
        let statement = |query: &Query| {
            let statement = statement(query).map_err(|why| format!("in the statement of topic {}: {why}", query.topic));
            statement.map(|s| Statement { bytes: self.given.with.bytes, ..s })
        };
        queries.iter().map(statement).collect()
    }

    fn batch_lines(&self) -> usize {
        let asked = kcql::parse(&self.given.kcql).unwrap_or_default().iter().filter_map(|q| q.batch).min();
        asked.map_or(self.given.with.lines(), |n| usize::try_from(n).unwrap_or(usize::MAX))
    }
}

fn statement(query: &Query) -> Result<Statement, String> {
    let fixed = Measurement::Fixed(query.target.clone());
    let measurement = match &query.dynamic_target {
        Some(path) => Measurement::Member(Place::parse(path), Box::new(fixed)),
        None => fixed,
    };
    let unit = query.unit.as_deref().and_then(Unit::of_java).unwrap_or(Unit::Millis);
    let time = match &query.timestamp {
        None | Some(Timestamp::Clock) => Time::Clock,
        Some(Timestamp::Path(path)) => Time::Member(Member { place: Place::parse(path), unit, or_clock: true }),
    };
    let tag = |tagged: &Tagged| match tagged {
        Tagged::Path(path, alias) => {
            Tag { name: alias.as_ref().unwrap_or(path).clone(), source: Source::Place(Place::parse(path)) }
        }
        Tagged::Constant(name, text) => Tag { name: name.clone(), source: Source::Constant(text.clone()) },
    };
    let mut statement = Statement::new(measurement, time).with_tags(query.tags.iter().map(tag).collect())?;
    statement.topic = Some(query.topic.as_str().into());
    statement.columns = columns(query);
    statement.reads_json = true;
    Ok(statement)
}

/// Columns are called as the last name of their path; what has a name of its own is left out of `*`.
fn columns(query: &Query) -> Vec<Column> {
    let renamed = query.columns.iter().filter(|c| c.alias.is_some()).map(|c| &c.path);
    let of_whole: Vec<Place> = query.ignored.iter().chain(renamed).map(|path| Place::parse(path)).collect();
    let ignored: Vec<Place> = query.ignored.iter().map(|path| Place::parse(path)).collect();
    let mut columns = Vec::new();
    for column in &query.columns {
        let place = Place::parse(&column.path);
        let left_out = if column.all { &of_whole } else { &ignored };
        if !column.all && left_out.contains(&place) {
            continue;
        }
        let within = |other: &Place| match (other.of_key == place.of_key, place.path.as_str()) {
            (true, "") => Some(other.path.clone()).filter(|path| !path.is_empty()),
            (true, outer) => other.path.strip_prefix(outer)?.strip_prefix('.').map(str::to_owned),
            (false, _) => None,
        };
        let name = match (&column.alias, column.all) {
            (Some(alias), _) => alias,
            (None, true) => "",
            (None, false) => &column.last,
        };
        columns.push(Column::new(place.clone(), name, left_out.iter().filter_map(within)));
    }
    columns
}

impl Front for LensesConfig {
    fn http(&self) -> &HttpConfig {
        &self.given.with.with.with
    }

    fn plan(&self) -> Result<Plan> {
        let own = &self.given.own;
        let statements = self.statements();
        Ok(Plan {
            endpoint: Endpoint {
                version: Version::V1,
                url: own.url.clone(),
                target: own.database.clone(),
                policy: Some(own.retention_policy.clone()).filter(|policy| !policy.is_empty()),
                consistency: None,
                org: None,
                accept_partial: true,
                no_sync: false,
                credentials: Credentials::User(own.username.clone(), own.password.clone().unwrap_or_default()),
                names: Names {
                    url: "connect.influx.url",
                    target: "connect.influx.db",
                    policy: "connect.influx.retention.policy",
                    credentials: "connect.influx.username and connect.influx.password",
                },
            },
            statements: statements.map_err(|why| Error::fatal(format!("reading {KCQL}")).caused_by(why))?,
            key: KCQL,
            gzip: own.gzip,
            batch_lines: self.batch_lines(),
            lanes: self.given.with.with.lanes(),
            tombstones: self.given.with.tombstones,
        })
    }

    fn check(&self, problems: &mut Problems) {
        let statements = match self.statements() {
            Ok(statements) => statements,
            Err(why) => {
                problems.invalid(KCQL, &self.given.kcql, &why);
                return;
            }
        };
        let has = |topic: &&String| statements.iter().any(|s| s.topic.as_deref() == Some(topic.as_str()));
        for topic in self.topics.iter().filter(|topic| !topic.is_empty() && !has(topic)) {
            problems.add(KCQL, format!("{KCQL} has no statement for topic {topic}: add one, or take it out of topics"));
        }
        self.given.with.check(&statements, KCQL, problems);
    }

    fn without_effect(&self) -> Vec<&'static str> {
        let own = &self.given.own;
        let given = [
            ("connect.influx.retry.interval", own.retry_interval.is_some()),
            ("connect.influx.max.retries", own.max_retries.is_some()),
            ("connect.influx.consistency.level", own.consistency.is_some()),
            ("connect.progress.enabled", own.progress.is_some()),
        ];
        given.into_iter().filter(|(_, given)| *given).map(|(key, _)| key).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{line_protocol::Encoder, moment::Clock, plan::Tombstones};
    use connect_api::{Origin, Record, Settings, SinkRecord, TimestampType, Value};

    fn read(more: &[(&str, &str)]) -> LensesConfig {
        let mut settings = Settings::from([
            ("connect.influx.url", "http://h:1"),
            ("connect.influx.db", "d"),
            ("connect.influx.username", "-"),
        ]);
        settings.extend(&more.iter().copied().collect());
        LensesConfig::parse(&settings).expect("single keys are right")
    }

    fn problems(more: &[(&str, &str)]) -> Vec<String> {
        let mut problems = Problems::new();
        read(more).check(&mut problems);
        problems.iter().map(|p| p.text.clone()).collect()
    }

    fn lines(kcql: &str) -> String {
        let inner = |v: i64| Value::map([("x", Value::Int64(v)), ("y", Value::Int64(v + 1))]);
        let mut record = Record::new("t");
        record.key = inner(5);
        let members = [("a", inner(1)), ("b", Value::Int64(3)), ("at", Value::Int64(7)), ("m", "named".into())];
        record.value = Value::map(members);
        let origin = Origin { topic: "t".into(), partition: 0, offset: 0, timestamp_type: TimestampType::CreateTime };
        let mut out = String::new();
        let statements = read(&[(KCQL, kcql)]).plan().expect("plan").statements;
        let record = SinkRecord { record, origin };
        Encoder::new(statements, KCQL).encode(&mut out, &record, &mut Clock::default()).expect("lines");
        out
    }

    #[test]
    fn statements_say_what_becomes_of_records() {
        let all = "a.x=1i,a.y=2i,b=3i,at=7i,m=\"named\"";
        let timed = "WITHTIMESTAMP at TIMESTAMPUNIT=SECONDS";
        for (kcql, line) in [
            (format!("INSERT INTO z SELECT * FROM t {timed}"), format!("z {all} 7000000000")),
            (format!("INSERT INTO z SELECT * FROM t IGNORE a.x, b, m {timed}"), "z a.y=2i,at=7i 7000000000".into()),
            ("insert into z select a.x, b as c from t withtimestamp at".into(), "z x=1i,c=3i 7000000".into()),
            (
                format!("INSERT INTO z SELECT b AS c, *, _key.* FROM t IGNORE a, at, _key.x, m {timed}"),
                "z c=3i,y=6i 7000000000".into(),
            ),
            (
                format!("INSERT INTO z SELECT _key.x AS k, a.* FROM t WITHTARGET m {timed}"),
                "named k=5i,x=1i,y=2i 7000000000".into(),
            ),
            (
                format!("INSERT INTO z SELECT b FROM t {timed} WITHTARGET=gone WITHTAG(a.x, _key.y AS k, `s`='n w')"),
                "z,a.x=1,k=6,s=n\\ w b=3i 7000000000".into(),
            ),
        ] {
            assert_eq!(lines(&kcql), format!("{line}\n"), "{kcql}");
        }
        let two =
            lines("INSERT INTO a SELECT b FROM t WITHTIMESTAMP at; INSERT INTO c SELECT at FROM t WITHTIMESTAMP at");
        assert_eq!(two, "a b=3i 7000000\nc at=7i 7000000\n");
        for clock in ["", "WITHTIMESTAMP sys_time()", "WITHTIMESTAMP gone"] {
            let line = lines(&format!("INSERT INTO z SELECT b FROM t {clock}"));
            let time: i64 = line.trim().rsplit(' ').next().and_then(|t| t.parse().ok()).expect("a time");
            assert!(time > 1_700_000_000_000_000_000, "nanoseconds of the clock: {line}");
        }
    }

    #[test]
    fn what_cannot_be_honoured_is_refused_by_name_with_the_way_out() {
        let none: [&str; 0] = [];
        let ok = (KCQL, "INSERT INTO m SELECT * FROM t");
        assert_eq!(problems(&[ok, ("topics", "t")]), none);
        let missing = problems(&[ok, ("topics", "t, u")]);
        assert_eq!(missing, ["connect.influx.kcql has no statement for topic u: add one, or take it out of topics"]);
        assert_eq!(problems(&[ok, ("topics", "u"), ("transforms", "route")]), none);
        let twice = problems(&[(KCQL, "INSERT INTO m SELECT * FROM t WITHTAG(a, b AS a)")]);
        assert!(twice[0].ends_with("in the statement of topic t: two tags are called a"), "{twice:?}");
        assert_eq!(problems(&[ok, ("influxdb.tombstones", "marker")]).len(), 1);
        let given = [
            ("connect.influx.url", "http://h"),
            ("connect.influx.db", "d"),
            ("connect.influx.username", "u"),
            ("connect.influx.error.policy", "noop"),
            (KCQL, "INSERT INTO m SELECT *, FROM t"),
        ];
        let wrong = LensesConfig::parse(&Settings::from(given)).expect_err("two problems");
        let texts: Vec<&str> = wrong.iter().map(|p| p.text.as_str()).collect();
        assert!(
            texts[0].ends_with("connect.influx.kcql: line 1, column 30: expected FROM, but there is t"),
            "{texts:?}"
        );
        assert!(
            texts[1].contains("would drop records without a word: set THROW, and errors.tolerance=all"),
            "{texts:?}"
        );
    }

    #[test]
    fn requests_are_as_small_as_the_smallest_batch_and_the_policy_is_given() {
        let plan = |kcql: &str| read(&[(KCQL, kcql), ("influxdb.tombstones", "ignore")]).plan().expect("plan");
        let one = plan("INSERT INTO m SELECT * FROM t BATCH = 7; INSERT INTO m SELECT * FROM u BATCH=3");
        assert_eq!((one.batch_lines, one.tombstones), (3, Tombstones::Ignore));
        assert_eq!(plan("INSERT INTO m SELECT * FROM t").batch_lines, 5000);
        assert_eq!(one.endpoint.policy.as_deref(), Some("autogen"));
    }
}
