//! The settings of Confluent's `InfluxDBSinkConnector`: the record itself may name its measurement and has its tags.

use connect_api::{
    Result,
    config::{Key, Problems, Secret},
};
use connector_http::{HttpConfig, Joined, config::server_url};

use crate::{
    endpoint::{Consistency, Credentials, Endpoint, Names, Version},
    moment::{Member, Time, Unit},
    plan::{Front, Plan, Shared, Tombstones},
    statement::{Column, Measurement, Place, Statement},
};

/// Settings of Confluent's connector with those of requests and of the HTTP client.
pub type ConfluentConfig = Joined<ConfluentSettings, Shared>;

connect_api::config_enum! {
    /// A consistency level as Java's client has it.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Level {
        /// See [`Consistency::All`].
        All = "ALL",
        /// See [`Consistency::Any`].
        Any = "ANY",
        /// See [`Consistency::One`].
        One = "ONE",
        /// See [`Consistency::Quorum`].
        Quorum = "QUORUM",
    }
}

connect_api::config! {
    /// The settings, without those of requests and of the HTTP client.
    #[derive(Debug, Clone)]
    pub struct ConfluentSettings {
        /// URL of the server, of InfluxDB 1 or what has its write API; a path in it is kept as a prefix.
        url: String = Key::new("influxdb.url").high().check(|u: &String| server_url(u)),
        /// Database to write to. It must exist.
        database: String = Key::new("influxdb.db").high().non_empty(),
        /// User name, if the server wants one.
        username: Option<String> = Key::new("influxdb.username").high(),
        /// Password.
        password: Option<Secret> = Key::new("influxdb.password").high(),
        /// The measurement of records whose value has no member measurement; ${topic} in it is the topic.
        measurement: String = Key::new("measurement.name.format").default("${topic}").non_empty(),
        /// Member that holds the point's time: a number in influxdb.timeunit, a timestamp, a date, or RFC 3339 text. Without
        /// it the record's time stamp is used.
        time_field: Option<String> = Key::new("event.time.fieldname"),
        /// Unit of a time that is a number: NANOSECONDS, MICROSECONDS, MILLISECONDS, SECONDS, MINUTES, HOURS or DAYS. Time
        /// stamps of records are milliseconds whatever it says.
        time_unit: String = Key::new("influxdb.timeunit").default("MILLISECONDS").check(|unit: &String| {
            let units = "NANOSECONDS, MICROSECONDS, MILLISECONDS, SECONDS, MINUTES, HOURS, DAYS";
            Unit::of_java(unit).map(drop).ok_or_else(|| format!("String must be one of: {units}"))
        }),
        /// How many nodes of a cluster must have stored a point: ALL, ANY, ONE or QUORUM.
        consistency: Level = Key::new("influxdb.consistency.level").default("ONE").low(),
        /// Whether requests are compressed.
        gzip: bool = Key::new("influxdb.gzip.enable").default("true").low(),
        /// No effect: requests are not logged, as they would show data.
        log_level: Option<String> = Key::new("influxdb.log.level").low(),
    }
}

impl Front for ConfluentConfig {
    fn http(&self) -> &HttpConfig {
        &self.with.with.with
    }

    fn plan(&self) -> Result<Plan> {
        let format = Measurement::Format(self.measurement.clone());
        let measurement = Measurement::Member(Place::value("measurement"), Box::new(format));
        let unit = Unit::of_java(&self.time_unit).unwrap_or(Unit::Millis);
        let member = |field: &String| Member { place: Place::value(field), unit, or_clock: false };
        let time = self.time_field.as_ref().map_or(Time::Record, |field| Time::Member(member(field)));
        let mut statement = Statement::new(measurement, time);
        // Servers drop a field of this name, so that writing it under another would be new.
        let time_itself = self.time_field.iter().filter(|field| *field == "time").cloned();
        let except = ["measurement".to_owned(), "tags".to_owned()].into_iter().chain(time_itself);
        statement.columns = vec![Column::new(Place::value(""), "", except)];
        statement.tag_members = Some("tags".into());
        statement.bytes = self.with.bytes;
        let credentials = match &self.username {
            Some(user) if !user.is_empty() => {
                Credentials::User(user.clone(), self.password.clone().unwrap_or_default())
            }
            _ => Credentials::None,
        };
        let consistency = match self.consistency {
            Level::All => Consistency::All,
            Level::Any => Consistency::Any,
            Level::One => Consistency::One,
            Level::Quorum => Consistency::Quorum,
        };
        Ok(Plan {
            endpoint: Endpoint {
                version: Version::V1,
                url: self.url.clone(),
                target: self.database.clone(),
                policy: None,
                consistency: Some(consistency),
                org: None,
                accept_partial: true,
                no_sync: false,
                credentials,
                names: Names {
                    url: "influxdb.url",
                    target: "influxdb.db",
                    policy: "influxdb.db",
                    credentials: "influxdb.username and influxdb.password",
                },
            },
            statements: vec![statement],
            key: "measurement.name.format",
            gzip: self.gzip,
            batch_lines: self.with.lines(),
            lanes: self.with.with.lanes(),
            tombstones: self.with.tombstones,
        })
    }

    fn check(&self, problems: &mut Problems) {
        if self.with.tombstones == Tombstones::Marker {
            let text = "influxdb.tombstones=marker needs a tag of the key, which these settings cannot say: \
                        use connector.class influxdb-sink with influxdb.tags=_key";
            problems.add("influxdb.tombstones", text);
        }
        if self.password.as_ref().is_some_and(|p| !p.reveal().is_empty()) && self.username.is_none() {
            problems.add("influxdb.username", "influxdb.password needs influxdb.username");
        }
    }

    fn without_effect(&self) -> Vec<&'static str> {
        self.log_level.iter().map(|_| "influxdb.log.level").collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{line_protocol::Encoder, moment::Clock};
    use connect_api::{Origin, Record, Settings, SinkRecord, TimestampType, Value, config::Config};

    fn read(more: &[(&str, &str)]) -> ConfluentConfig {
        let mut settings = Settings::from([("influxdb.url", "http://h:1"), ("influxdb.db", "d")]);
        settings.extend(&more.iter().copied().collect());
        ConfluentConfig::parse(&settings).expect("single keys are right")
    }

    fn line(more: &[(&str, &str)], members: &[(&str, Value)]) -> String {
        let mut record = Record::new("t");
        record.value = Value::map(members.iter().cloned());
        record.timestamp = Some(9);
        let origin = Origin { topic: "t".into(), partition: 0, offset: 0, timestamp_type: TimestampType::CreateTime };
        let mut out = String::new();
        let mut encoder = Encoder::new(read(more).plan().expect("plan").statements, "x");
        encoder.encode(&mut out, &SinkRecord { record, origin }, &mut Clock::default()).expect("line");
        out
    }

    #[test]
    fn the_record_has_its_measurement_and_its_tags() {
        let tags = Value::map([("b", Value::from("2")), ("a", "1".into())]);
        let members = [("measurement", "m".into()), ("tags", tags), ("v", Value::Int64(1)), ("at", Value::Int64(3))];
        assert_eq!(line(&[], &members), "m,a=1,b=2 v=1i,at=3i 9\n");
        let timed = [("event.time.fieldname", "at"), ("influxdb.timeunit", "HOURS")];
        assert_eq!(line(&timed, &members), "m,a=1,b=2 v=1i,at=3i 10800000000000\n");
        assert_eq!(line(&[("measurement.name.format", "kafka_${topic}")], &members[2..3]), "kafka_t v=1i 9\n");
    }

    #[test]
    fn a_time_called_time_is_no_field() {
        let members = [("time", Value::Int64(3)), ("v", Value::Int64(1))];
        assert_eq!(line(&[("event.time.fieldname", "time")], &members), "t v=1i 3000000\n");
    }

    #[test]
    fn the_request_names_the_consistency_level() {
        let plan = read(&[("influxdb.consistency.level", "QUORUM")]).plan().expect("plan");
        let url = plan.endpoint.write_url(crate::moment::Precision::Millis).expect("url");
        assert_eq!(url.as_str(), "http://h:1/write?db=d&consistency=quorum&precision=ms");
    }

    #[test]
    fn units_and_markers_are_checked() {
        let given = [("influxdb.url", "http://h:1"), ("influxdb.db", "d"), ("influxdb.timeunit", "WEEKS")];
        assert_eq!(ConfluentConfig::parse(&Settings::from(given)).expect_err("unit").len(), 1);
        let mut problems = Problems::new();
        read(&[("influxdb.tombstones", "marker"), ("influxdb.password", "p")]).check(&mut problems);
        assert_eq!(problems.len(), 2);
    }
}
