//! Settings of the source.

use connect_api::{
    config::{Config, ConfigDef, Key, Millis, Problems, Reader},
    config_enum,
};
use connector_alarm::AlarmConfig;

use crate::{
    ca::{self, Overrides, SettingsError},
    channel::Mask,
    channel_list::{self, ChannelSpec},
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

connect_api::config! {
    /// Settings of channels and of the client.
    #[derive(Debug, Clone)]
    pub struct MonitorConfig {
        /// The channels to monitor: names separated by commas, blanks or lines; or a list of mappings with `name` and any of
        /// `topic`, `mask` and `outkey` (the key of its records and the name of its alarm, by default the channel's
        /// name). Simulated channels are separated by semicolons or lines and written as
        /// `T:ai0=sine,low=0,high=100,period=20s,interval=1s,lolo=5,low_alarm=10,high_alarm=90,hihi=95`, with `sine`,
        /// `ramp` or `walk`; in a mapping what is behind the name's equals sign goes into `simulate`.
        channels: String = Key::new("epics.channels").high().non_empty(),
        /// Where channels come from: `ca` for Channel Access, `simulation` to make them up.
        provider: ProviderKind = Key::new("epics.provider").default("ca").high(),
        /// What is written: `changes` of channels to their topics as EPICS_CA_DBR structs, `alarms` to the topic of
        /// active alarms when status or severity change, or `both`. Templates and expressions of alarms know `channel`,
        /// `value` (empty if it cannot be read), `error` (empty if it can) and `time`.
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
        /// Makes the random walks of simulated channels repeat.
        seed: i64 = Key::new("epics.simulation.seed").default("1").low(),
        /// Least time between two batches of records, in milliseconds. Meanwhile the newest value of each channel waits;
        /// changes of status or severity all do.
        poll_interval: Millis = Key::new("monitor.poll.millis").default("0"),
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
    }
}

/// All settings: those of [`MonitorConfig`], and those of alarms behind `alarm.`.
#[derive(Debug, Clone)]
pub struct EpicsConfig {
    /// Channels and client.
    pub monitor: MonitorConfig,
    /// Alarms.
    pub alarm: AlarmConfig,
}

impl Config for EpicsConfig {
    fn definition() -> ConfigDef {
        let mut definition = MonitorConfig::definition();
        definition.embed("alarm.", &AlarmConfig::definition());
        definition
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let (monitor, alarm) = (MonitorConfig::read(reader), AlarmConfig::read(reader));
        Some(Self { monitor: monitor?, alarm: alarm? })
    }
}

impl EpicsConfig {
    /// Rules that span several keys.
    pub fn validate(&self, problems: &mut Problems) {
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

impl MonitorConfig {
    /// All channels.
    ///
    /// # Errors
    ///
    /// If validation would have refused the settings.
    pub fn channels(&self) -> connect_api::Result<Vec<ChannelSpec>> {
        Ok(channel_list::read(self)?)
    }

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
        }
    }
}

/// A variable of the environment.
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use connect_api::Settings;

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
    fn keys_are_checked_by_themselves() {
        let settings = Settings::from([CHANNELS, ("monitor.server.port", "65536"), ("monitor.max.array.bytes", "-1")]);
        assert_eq!(EpicsConfig::parse(&settings).expect_err("two problems").len(), 2);
    }
}
