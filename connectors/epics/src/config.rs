//! Settings of the source.

use std::time::Duration;

use connect_api::{
    Settings,
    config::{Config, ConfigDef, Key, Millis, Problems, Reader},
    config_enum,
};
use connector_alarm::AlarmConfig;

use crate::{
    ca::{self, Overrides, SettingsError},
    channel::Mask,
    channel_list::{self, CHANNELS, MAX_PRIORITY},
    record,
};

config_enum! {
    /// Where channels come from.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum ProviderKind {
        /// Channel Access.
        Ca = "ca",
        /// Made-up channels.
        Simulation = "simulation",
    }
}

config_enum! {
    /// What becomes of what channels report.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Mode {
        /// Each change is a record of the channel's topic.
        Changes = "changes",
        /// Each change of status or severity is a record of the topic of active alarms.
        Alarms = "alarms",
        /// Both.
        Both = "both",
    }
}

impl Mode {
    /// Whether changes are written.
    pub fn has_changes(self) -> bool {
        self != Mode::Alarms
    }

    /// Whether alarms are written.
    pub fn has_alarms(self) -> bool {
        self != Mode::Changes
    }
}

const PORT: &str = "monitor.server.port";
const ARRAY_BYTES: &str = "monitor.max.array.bytes";
const REPEATER: &str = "monitor.repeater.port";
/// The class that this source stands in for.
pub(crate) const JVM_CLASS: &str = "org.jlab.kafka.connect.CASourceConnector";

connect_api::config! {
    /// Settings of channels and of the client.
    #[derive(Debug, Clone)]
    pub struct MonitorConfig {
        /// The channels to monitor: names separated by commas, blanks or lines; or a list of mappings with `name` and any
        /// of `topic`, `mask`, `outkey` (the key of its records and the name of its alarm, by default the channel's
        /// name), `poll.ms`, `deadband`, `min.period.ms`, `on.delay.ms` and `priority`. `SR{01..24}:T{1..3}` stands for 72
        /// names, and with `oven{1..72}` as `outkey` for as many keys. `NAME|TOPIC|MASK|OUTKEY` is short for a
        /// mapping. Simulated channels are separated by semicolons or lines and written as
        /// `T:ai0=sine,low=0,high=100,period=20s,interval=1s,lolo=5,low_alarm=10,high_alarm=90,hihi=95`, with `sine`,
        /// `ramp` or `walk`; in a mapping what is behind the name's equals sign goes into `simulate`.
        channels: Option<String> = Key::new(CHANNELS).high(),
        /// A file with further channels, one in each line in the short form, ranges too; what begins with `#` is a comment.
        /// Lines `KEY=VALUE` as in the command topic will do. The file is followed: a change leaves all other channels
        /// alone.
        file: Option<String> = Key::new("epics.channels.file").check(|path: &Option<String>| match path.as_deref() {
            Some("") => Err("String must be non-empty".into()),
            _ => Ok(()),
        }),
        /// Where channels come from: `ca` for Channel Access, `simulation` to make them up.
        provider: ProviderKind = Key::new("epics.provider").default("ca").high(),
        /// What is written: `changes` of channels to their topics as EPICS_CA_DBR structs, `alarms` to the topic of
        /// active alarms when status or severity change, or `both`. Templates and expressions of alarms know `channel`,
        /// `value` (empty if it cannot be read), `error` (empty if it can) and `time`, and with `epics.metadata` `units`
        /// and `label`, the name of an enumeration's state.
        mode: Mode = Key::new("epics.mode").default("changes").high(),
        /// Topic of the changes of channels that name none.
        topic: String = Key::new("epics.topic").default("epics").non_empty().topic(),
        /// What servers report of channels that say nothing else, in letters: `v` value, `l` archived value, `a` alarm,
        /// `p` property. Default: `a` where only alarms are written, else `va`.
        mask: Option<String> = Key::new("epics.mask"),
        /// How long a channel may be searched for, at the start or after its loss, until it counts as disconnected.
        connect_timeout: Millis = Key::new("epics.connect.timeout.ms").default("5000"),
        /// Whether a channel that counts as disconnected, or that cannot be read, is in alarm: with severity INVALID
        /// and status COMM, READ or READ_ACCESS.
        disconnected_alarm: bool = Key::new("epics.disconnected.alarm").default("true"),
        /// Whether records of changes that tell an error have severity INVALID and a status, too: COMM for a channel that is
        /// not connected. Those of epics2kafka have neither.
        error_status: bool = Key::new("epics.error.status").default("false"),
        /// Whether to ask servers for units, precision, limits and the names of states. Records of changes then are
        /// EPICS_CA_DBR of version 2, which has fields for them.
        metadata: bool = Key::new("epics.metadata").default("false"),
        /// Reads channels that say nothing else again and again, with so many milliseconds from one reading to the next,
        /// instead of monitoring them. For single channels that a server cannot monitor there is `poll.ms`.
        poll: Option<Millis> = Key::new("epics.poll.ms").check(|poll| match poll {
            Some(Millis(Duration::ZERO)) => Err("Value must be at least 1".into()),
            _ => Ok(()),
        }),
        /// How far a number has to move from the one that was last written to be written again. Changes of the alarm are
        /// always written. A single channel has `deadband`.
        deadband: Option<f64> = Key::new("epics.deadband").check(|band: &Option<f64>| match band {
            Some(band) if !band.is_finite() || *band < 0.0 => Err("Value must be at least 0".into()),
            _ => Ok(()),
        }),
        /// Least time between two records of a channel, in milliseconds; the newest value is written when it has passed.
        /// Changes of the alarm do not wait. A single channel has `min.period.ms`.
        min_period: Millis = Key::new("epics.min.period.ms").default("0"),
        /// How long a channel has to be in alarm until the alarm is raised, in milliseconds; one that is back to normal
        /// before raises none. A single channel has `on.delay.ms`.
        on_delay: Millis = Key::new("epics.on.delay.ms").default("0"),
        /// Makes the random walks of simulated channels repeat.
        seed: i64 = Key::new("epics.simulation.seed").default("1").low(),
        /// Least time between two batches of records, in milliseconds. Meanwhile the newest value of each channel waits;
        /// changes of status or severity all do. Default: 0; 1000 under epics2kafka's class name.
        poll_interval: Option<Millis> = Key::new("monitor.poll.millis"),
        /// Where to search for channels: `host[:port]`, separated by blanks. Default: EPICS_CA_ADDR_LIST.
        addr_list: Option<String> = Key::new("monitor.addr.list").high(),
        /// Whether to search by broadcasts on all network interfaces, too. Default: EPICS_CA_AUTO_ADDR_LIST, else true.
        auto_addr_list: Option<bool> = Key::new("monitor.auto.addr.list"),
        /// Name servers to ask over TCP: `host[:port]`, separated by blanks. Default: EPICS_CA_NAME_SERVERS.
        name_servers: Option<String> = Key::new("monitor.name.servers"),
        /// Port of servers where none is given. Default: EPICS_CA_SERVER_PORT, else 5064.
        server_port: Option<i32> = Key::new(PORT).check(|port| match port {
            Some(port) if !(1..=65535).contains(port) => Err("Value must be from 1 to 65535".into()),
            _ => Ok(()),
        }),
        /// Seconds of silence after which a server is asked whether it is still there. Default: EPICS_CA_CONN_TMO,
        /// else 30.
        connection_timeout: Option<f64> = Key::new("monitor.connection.timeout"),
        /// Longest time in seconds between two searches for a channel. Default: EPICS_CA_MAX_SEARCH_PERIOD, else 300.
        max_search_period: Option<f64> = Key::new("monitor.max.search.period").low(),
        /// Largest array in bytes, at least 16384. Default: EPICS_CA_MAX_ARRAY_BYTES, else 16384.
        max_array_bytes: Option<i64> = Key::new(ARRAY_BYTES).check(|bytes| match bytes {
            Some(bytes) if u32::try_from(*bytes).is_err() => Err("Value must be from 0 to 4294967295".into()),
            _ => Ok(()),
        }),
        /// UDP port of this host's repeater, which passes on the beacons of servers that come up, so that missing channels
        /// are searched at once; where there is none yet, the task is it. 0: no beacons. Default: EPICS_CA_REPEATER_PORT,
        /// else 5065.
        repeater_port: Option<i32> = Key::new(REPEATER).low().check(|port| match port {
            Some(port) if !(0..=65535).contains(port) => Err("Value must be from 0 to 65535".into()),
            _ => Ok(()),
        }),
        /// Priority of the connections to servers, from 0 to 99. A single channel has `priority`; channels of different
        /// priorities do not share connections.
        priority: i32 = Key::new("monitor.priority").default("0").at_least(0).at_most(i32::from(MAX_PRIORITY)).low(),
        /// Taken from configurations of epics2kafka, without effect: a task needs no pool of threads.
        thread_pool_size: Option<i32> = Key::new("monitor.thread.pool.size").low(),
    }
}

connect_api::config! {
    /// Settings of the topic that says which channels are monitored.
    #[derive(Debug, Clone)]
    pub struct CommandConfig {
        /// Compacted topic of one partition whose records say which channels are monitored, as with epics2kafka: keys
        /// `{"topic":"T","channel":"C"}`, values `{"mask":"va","outkey":"K"}`, in which `outkey` and what a channel can have
        /// besides may be left out; a tombstone ends it. It is followed: a command leaves all other channels alone.
        /// Default: none; under epics2kafka's class name `epics-channels`, unless channels are set.
        topic: Option<String> = Key::new("command.topic").check(|topic: &Option<String>| match topic.as_deref() {
            Some(topic) => connect_api::config::topic_name(topic),
            None => Ok(()),
        }),
        /// Cluster of that topic, as `host:port` separated by commas, also with `kafka://` before each. What is set
        /// for the task's consumers applies besides. Default: the worker's cluster.
        bootstrap_servers: Option<String> = Key::new("command.bootstrap.servers"),
        /// Group under which the topic is read, which matters for access control lists only: no offsets are committed, the
        /// topic is always read from its beginning.
        group: String = Key::new("command.group").default("ca-source").non_empty().low(),
        /// How long reading the topic for the first time may take, in seconds, until the task fails.
        load_timeout: i64 = Key::new("command.load.timeout.seconds").default("30").at_least(1),
        /// How many seconds without a command have to pass until commands take effect, at most ten times as many in all.
        /// Default: 0; 15 under epics2kafka's class name.
        settle: Option<i64> = Key::new("command.settle.seconds").check(|seconds| match seconds {
            Some(seconds) if !(0..=86_400).contains(seconds) => Err("Value must be from 0 to 86400".into()),
            _ => Ok(()),
        }),
        /// Taken from configurations of epics2kafka, without effect: commands are taken as they come.
        poll_millis: Option<i64> = Key::new("command.poll.millis").low(),
        /// Taken from configurations of epics2kafka, without effect: commands are taken as they come.
        max_poll_records: Option<i32> = Key::new("command.max.poll.records").low(),
    }
}

/// All settings: those of [`MonitorConfig`] and [`CommandConfig`], and those of alarms behind `alarm.`.
#[derive(Debug, Clone)]
pub struct EpicsConfig {
    /// Channels and client.
    pub monitor: MonitorConfig,
    /// The topic of commands.
    pub command: CommandConfig,
    /// Alarms.
    pub alarm: AlarmConfig,
    /// Whether it is used under the name of epics2kafka's class, which has other defaults.
    pub stands_in: bool,
}

impl Config for EpicsConfig {
    fn definition() -> ConfigDef {
        let mut definition = MonitorConfig::definition();
        definition.embed("", &CommandConfig::definition());
        definition.embed("alarm.", &AlarmConfig::definition());
        definition
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let class = reader.given("connector.class").map(str::trim).unwrap_or_default();
        let simple = JVM_CLASS.rsplit('.').next().unwrap_or_default();
        let stands_in = [JVM_CLASS, simple, simple.strip_suffix("Connector").unwrap_or_default()].contains(&class);
        // All are read before any is judged, so that every problem is found.
        let (monitor, command, alarm) =
            (MonitorConfig::read(reader), CommandConfig::read(reader), AlarmConfig::read(reader));
        Some(Self { monitor: monitor?, command: command?, alarm: alarm?, stands_in })
    }
}

impl EpicsConfig {
    /// Rules that span several keys.
    pub fn validate(&self, problems: &mut Problems) {
        if self.monitor.channels.is_none() && !self.is_followed() {
            problems.add(
                CHANNELS,
                "one of epics.channels, epics.channels.file and command.topic has to say which channels to monitor",
            );
        }
        if self.monitor.provider == ProviderKind::Simulation && self.command_topic().is_some() {
            problems
                .add("command.topic", "commands are for channels of IOCs: name simulated channels in epics.channels");
        }
        if self.monitor.on_delay.0 > Duration::ZERO && !self.monitor.mode.has_alarms() {
            problems.add("epics.on.delay.ms", "epics.on.delay.ms delays alarms, and epics.mode=changes writes none");
        }
        if let Err(found) = channel_list::read(&self.monitor) {
            for problem in found.iter() {
                problems.add(&problem.key, &problem.text);
            }
        }
        if self.monitor.provider == ProviderKind::Ca {
            // Without the automatic list nothing is asked of this host; the search targets are complete only at the start.
            let overrides = Overrides { auto_addr_list: Some(false), ..self.monitor.overrides() };
            for error in ca::Settings::read(&overrides, environment).err().into_iter().flatten() {
                match &error {
                    SettingsError::Invalid { name, .. } => problems.add(*name, error.to_string()),
                    SettingsError::NoSearchTarget if self.monitor.auto_addr_list == Some(false) => {
                        problems.add("monitor.addr.list", error.to_string())
                    }
                    SettingsError::NoSearchTarget => continue,
                };
            }
        }
        if self.monitor.mode.has_alarms()
            && let Err(error) = record::try_alarms(&self.alarm, self.monitor.disconnected_alarm)
        {
            problems.add("alarm.message", format!("alarms cannot be made with these settings: {}", error.one_line()));
        }
    }
}

impl EpicsConfig {
    /// Whether channels may come and go while the tasks run.
    pub fn is_followed(&self) -> bool {
        self.monitor.file.is_some() || self.command_topic().is_some()
    }

    /// The topic of commands, if there is one.
    pub fn command_topic(&self) -> Option<&str> {
        let by_default = self.stands_in && self.monitor.channels.is_none() && self.monitor.file.is_none();
        self.command.topic.as_deref().or(by_default.then_some("epics-channels"))
    }

    /// What the reader of commands does otherwise than the task's consumers.
    pub fn command_client(&self) -> Settings {
        let mut client = Settings::from([("group.id", self.command.group.as_str())]);
        if let Some(servers) = &self.command.bootstrap_servers {
            let plain =
                servers.split(',').map(|server| server.split_once("://").map_or(server, |(_, rest)| rest).trim());
            client.set("bootstrap.servers", plain.collect::<Vec<_>>().join(","));
        }
        client
    }

    /// The time without a command after which commands take effect.
    pub fn settle(&self) -> Duration {
        let seconds = self.command.settle.unwrap_or(if self.stands_in { 15 } else { 0 });
        Duration::from_secs(seconds.unsigned_abs())
    }

    /// The least time between two batches of records.
    pub fn poll_interval(&self) -> Duration {
        let default = if self.stands_in { Duration::from_secs(1) } else { Duration::ZERO };
        self.monitor.poll_interval.map_or(default, |millis| millis.0)
    }

    /// The settings that are given and have no effect.
    pub fn without_effect(&self) -> Vec<&'static str> {
        let given = [
            ("monitor.thread.pool.size", self.monitor.thread_pool_size.is_some()),
            ("command.poll.millis", self.command.poll_millis.is_some()),
            ("command.max.poll.records", self.command.max_poll_records.is_some()),
        ];
        given.into_iter().filter(|(_, given)| *given).map(|(key, _)| key).collect()
    }
}

impl MonitorConfig {
    /// The mask of channels that have none of their own, still as text.
    pub fn default_mask(&self) -> &str {
        self.mask.as_deref().unwrap_or(if self.mode.has_changes() { "va" } else { "a" })
    }

    /// Whether that mask does for the mode.
    pub fn suits(&self, mask: Mask) -> bool {
        !self.mode.has_alarms() || mask.intersects(Mask::ALARM)
    }

    /// What is set for the client.
    pub fn overrides(&self) -> Overrides {
        Overrides {
            addr_list: self.addr_list.clone(),
            auto_addr_list: self.auto_addr_list,
            name_servers: self.name_servers.clone(),
            server_port: self.server_port.and_then(|port| u16::try_from(port).ok()),
            connection_timeout: self.connection_timeout,
            max_search_period: self.max_search_period,
            max_array_bytes: self.max_array_bytes.and_then(|bytes| u32::try_from(bytes).ok()),
            repeater_port: self.repeater_port.and_then(|port| u16::try_from(port).ok()),
        }
    }
}

/// A variable of the environment.
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(settings: &[(&str, &str)]) -> Vec<String> {
        let config = EpicsConfig::parse(&settings.iter().copied().collect::<Settings>()).expect("each key is valid");
        let mut problems = Problems::new();
        config.validate(&mut problems);
        problems.iter().map(|p| format!("{} <- {}", p.key, p.text)).collect()
    }

    const CHANNELS: (&str, &str) = ("epics.channels", "T:ai0");

    #[test]
    fn good_settings_have_no_problems() {
        let at = ("monitor.addr.list", "ioc1 ioc2:6064");
        assert_eq!(problems(&[CHANNELS, at]), [""; 0]);
        let message = ("alarm.message", "{{name}} of {{channel}} is {{status}} ({{value}}) at {{time}} {{error}}");
        assert_eq!(problems(&[CHANNELS, at, ("epics.mode", "both"), message]), [""; 0]);
    }

    #[test]
    fn problems_name_their_keys() {
        assert_eq!(
            problems(&[CHANNELS, ("monitor.addr.list", "a,b"), ("monitor.connection.timeout", "-1")]),
            [
                "monitor.addr.list <- monitor.addr.list is `a,b`: not of the form host[:port], with blanks between several",
                "monitor.connection.timeout <- monitor.connection.timeout is `-1`: not over 0 and at most 86400 seconds",
            ]
        );
        let nowhere =
            [CHANNELS, ("monitor.addr.list", ""), ("monitor.name.servers", ""), ("monitor.auto.addr.list", "false")];
        assert_eq!(problems(&nowhere).len(), 1);
        let at = ("monitor.addr.list", "ioc1");
        let unknown = problems(&[CHANNELS, at, ("epics.mode", "alarms"), ("alarm.message", "{{vaule}}")]);
        assert!(unknown[0].starts_with("alarm.message <- alarms cannot be made"), "{unknown:?}");
        let no_value = problems(&[CHANNELS, at, ("epics.mode", "alarms"), ("alarm.message", "{{value|round}}")]);
        assert_eq!(no_value.len(), 1, "a disconnected channel has none");
        let severities = problems(&[CHANNELS, at, ("epics.mode", "alarms"), ("alarm.priority", "MAJOR:P1_LIFE")]);
        assert_eq!(severities.len(), 1, "{severities:?}");
    }

    #[test]
    fn settings_of_epics2kafka_mean_what_they_mean_there() {
        let class = ("connector.class", JVM_CLASS);
        let read = |settings: &[(&str, &str)]| {
            EpicsConfig::parse(&settings.iter().copied().collect::<Settings>()).expect("valid settings")
        };
        let defaults = read(&[class]);
        assert_eq!((defaults.command_topic(), defaults.is_followed()), (Some("epics-channels"), true));
        assert_eq!((defaults.poll_interval().as_secs(), defaults.settle().as_secs()), (1, 15));
        assert_eq!(read(&[class, CHANNELS]).command_topic(), None);
        for name in ["CASourceConnector", "CASource"] {
            assert!(read(&[("connector.class", name)]).stands_in, "{name}");
        }
        let own = read(&[("command.topic", "commands")]);
        assert_eq!((own.poll_interval(), own.settle()), (Duration::ZERO, Duration::ZERO));
        let servers =
            read(&[("command.bootstrap.servers", "kafka://a:1, b:2"), ("command.group", "g")]).command_client();
        assert_eq!((servers.get("bootstrap.servers"), servers.get("group.id")), (Some("a:1,b:2"), Some("g")));
        let all =
            [("monitor.thread.pool.size", "5"), ("command.poll.millis", "5000"), ("command.max.poll.records", "5000")];
        assert_eq!(read(&all).without_effect().len(), 3);
    }

    #[test]
    fn somebody_has_to_say_what_to_monitor() {
        let at = ("monitor.addr.list", "ioc1");
        let nothing = problems(&[at]);
        assert!(nothing[0].starts_with("epics.channels <- one of epics.channels, "), "{nothing:?}");
        assert_eq!(problems(&[at, ("command.topic", "commands")]), [""; 0]);
        assert_eq!(problems(&[at, ("epics.channels.file", "channels.txt")]), [""; 0]);
        let simulated = problems(&[("epics.provider", "simulation"), ("command.topic", "commands")]);
        assert!(simulated[0].starts_with("command.topic <- "), "{simulated:?}");
        assert_eq!(problems(&[at, CHANNELS, ("epics.on.delay.ms", "5")]).len(), 2);
    }

    #[test]
    fn keys_are_checked_by_themselves() {
        let settings = Settings::from([CHANNELS, ("monitor.server.port", "65536"), ("monitor.max.array.bytes", "-1")]);
        assert_eq!(EpicsConfig::parse(&settings).expect_err("two problems").len(), 2);
    }
}
