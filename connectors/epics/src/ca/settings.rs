//! Settings of the client: the `EPICS_CA_*` variables that every Channel Access client knows (`CONFIG_ENV` of EPICS
//! base), each with a setting of the connector that wins over it.

use std::{collections::HashSet, fmt, net::Ipv4Addr, path::Path, str::FromStr, time::Duration};

/// Servers answer searches here unless told otherwise, in UDP and TCP.
pub const DEFAULT_SERVER_PORT: u16 = 5064;
/// The repeater of a host listens here.
const DEFAULT_REPEATER_PORT: u16 = 5065;
const DEFAULT_CONNECTION_TIMEOUT: Duration = Duration::from_secs(30);
const DEFAULT_MAX_SEARCH_PERIOD: Duration = Duration::from_secs(300);
/// The default, and as in EPICS also the least that the limit can be set to.
const MIN_ARRAY_BYTES: u32 = 16_384;
/// The longest that a period in seconds can be: a day.
const MAX_SECONDS: f64 = 86_400.0;
/// How many events wait for their receiver before circuits stop reading.
const EVENT_QUEUE: usize = 4096;

/// Settings of a client, complete and checked, with host names still to be resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Where searches are sent to by UDP.
    pub search_targets: Vec<Endpoint>,
    /// Where searches are sent to by TCP.
    pub name_servers: Vec<Endpoint>,
    /// The silence of a server after which it is asked to answer; also the longest that connecting may take.
    pub connection_timeout: Duration,
    /// The longest time between two searches for a channel. Shorter periods than the 60 s that EPICS insists on are
    /// obeyed: beacons do not pass every router.
    pub max_search_period: Duration,
    /// The largest array in bytes; at least 16384.
    pub max_array_bytes: u32,
    /// Where the repeater of this host listens, which passes on beacons; none if they are of no interest.
    pub repeater_port: Option<u16>,
    /// The user name for the access rules of servers.
    pub client_name: String,
    /// The host name for the access rules of servers.
    pub host_name: String,
    /// How many events wait for their receiver before circuits stop reading.
    pub event_queue: usize,
}

/// What a connector sets for itself. Each wins over its variable.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides {
    /// `monitor.addr.list`, over `EPICS_CA_ADDR_LIST`: blank-separated `host[:port]`.
    pub addr_list: Option<String>,
    /// `monitor.auto.addr.list`, over `EPICS_CA_AUTO_ADDR_LIST`.
    pub auto_addr_list: Option<bool>,
    /// `monitor.name.servers`, over `EPICS_CA_NAME_SERVERS`: blank-separated `host[:port]`.
    pub name_servers: Option<String>,
    /// `monitor.server.port`, over `EPICS_CA_SERVER_PORT`.
    pub server_port: Option<u16>,
    /// `monitor.connection.timeout`, over `EPICS_CA_CONN_TMO`, in seconds.
    pub connection_timeout: Option<f64>,
    /// `monitor.max.search.period`, over `EPICS_CA_MAX_SEARCH_PERIOD`, in seconds.
    pub max_search_period: Option<f64>,
    /// `monitor.max.array.bytes`, over `EPICS_CA_MAX_ARRAY_BYTES`.
    pub max_array_bytes: Option<u32>,
    /// `monitor.repeater.port`, over `EPICS_CA_REPEATER_PORT`; 0 where nobody is to listen to beacons.
    pub repeater_port: Option<u16>,
}

/// A value that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A setting or variable is malformed.
    #[error("{name} is `{value}`: {problem}")]
    Invalid {
        /// The setting or the variable.
        name: &'static str,
        /// Its value, or the part of it that is wrong.
        value: String,
        /// What is wrong with it.
        problem: String,
    },
    /// There is nowhere to search.
    #[error(
        "there is no address to search for channels: monitor.addr.list (or EPICS_CA_ADDR_LIST) and \
         monitor.name.servers (or EPICS_CA_NAME_SERVERS) are empty and the automatic address list is off"
    )]
    NoSearchTarget,
}

impl Settings {
    /// Reads the settings from `overrides`, then from the variables that `variable` looks up, then from the defaults.
    /// A blank variable counts as unset.
    ///
    /// With the automatic address list (the default) searches also go to the broadcast address of each interface. These
    /// are read from `/proc/net/fib_trie`; where that does not exist, 255.255.255.255 stands for them, and where there is
    /// no such interface, as in EPICS, 127.0.0.1.
    ///
    /// # Errors
    ///
    /// Every value that is malformed, with its name.
    pub fn read(
        overrides: &Overrides,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Settings, Vec<SettingsError>> {
        let variable = |name: &str| variable(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let mut problems = Vec::new();
        let mut reader = Reader { variable: &variable, problems: &mut problems };

        let port = reader.read("EPICS_CA_SERVER_PORT", number_from_1);
        let port = overrides.server_port.or(port).unwrap_or(DEFAULT_SERVER_PORT);
        let auto = reader.read("EPICS_CA_AUTO_ADDR_LIST", yes_or_no);
        let auto = overrides.auto_addr_list.or(auto).unwrap_or(true);
        let mut search_targets =
            reader.endpoints("monitor.addr.list", overrides.addr_list.as_deref(), "EPICS_CA_ADDR_LIST", port);
        let name_servers =
            reader.endpoints("monitor.name.servers", overrides.name_servers.as_deref(), "EPICS_CA_NAME_SERVERS", port);
        let connection_timeout = reader.seconds(
            "monitor.connection.timeout",
            overrides.connection_timeout,
            "EPICS_CA_CONN_TMO",
            DEFAULT_CONNECTION_TIMEOUT,
        );
        let max_search_period = reader.seconds(
            "monitor.max.search.period",
            overrides.max_search_period,
            "EPICS_CA_MAX_SEARCH_PERIOD",
            DEFAULT_MAX_SEARCH_PERIOD,
        );
        let repeater_port = reader.read("EPICS_CA_REPEATER_PORT", number_from_1);
        let repeater_port = overrides.repeater_port.or(repeater_port).unwrap_or(DEFAULT_REPEATER_PORT);
        let array_bytes = reader.read("EPICS_CA_MAX_ARRAY_BYTES", number_from_1);
        let max_array_bytes = overrides.max_array_bytes.or(array_bytes).unwrap_or(MIN_ARRAY_BYTES).max(MIN_ARRAY_BYTES);

        if !problems.is_empty() {
            return Err(problems);
        }
        if auto {
            let host = |address: Ipv4Addr| Endpoint { host: address.to_string(), port };
            search_targets.extend(interface_broadcasts(Path::new("/proc/net/fib_trie")).into_iter().map(host));
        }
        let mut seen = HashSet::new();
        search_targets.retain(|target| seen.insert(target.clone()));
        if search_targets.is_empty() && name_servers.is_empty() {
            return Err(vec![SettingsError::NoSearchTarget]);
        }
        Ok(Settings {
            search_targets,
            name_servers,
            connection_timeout,
            max_search_period,
            max_array_bytes,
            repeater_port: Some(repeater_port).filter(|port| *port != 0),
            client_name: ["USER", "LOGNAME"].into_iter().find_map(variable).unwrap_or_else(|| "connectd".to_owned()),
            host_name: host_name(&variable),
            event_queue: EVENT_QUEUE,
        })
    }
}

/// Reads values and collects what is wrong with them.
struct Reader<'a> {
    variable: &'a dyn Fn(&str) -> Option<String>,
    problems: &'a mut Vec<SettingsError>,
}

impl Reader<'_> {
    fn read<T>(&mut self, name: &'static str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let value = (self.variable)(name)?;
        parse(&value).map_err(|problem| self.problems.push(SettingsError::Invalid { name, value, problem })).ok()
    }

    fn seconds(
        &mut self,
        setting: &'static str,
        overriding: Option<f64>,
        variable: &'static str,
        default: Duration,
    ) -> Duration {
        let Some(seconds) = overriding else {
            let parse = |text: &str| text.parse().map_err(|_| "not a number".to_owned()).and_then(duration);
            return self.read(variable, parse).unwrap_or(default);
        };
        duration(seconds).unwrap_or_else(|problem| {
            self.problems.push(SettingsError::Invalid { name: setting, value: seconds.to_string(), problem });
            default
        })
    }

    fn endpoints(
        &mut self,
        setting: &'static str,
        overriding: Option<&str>,
        variable: &'static str,
        port: u16,
    ) -> Vec<Endpoint> {
        let (name, text) = match overriding {
            Some(text) => (setting, text.to_owned()),
            None => (variable, (self.variable)(variable).unwrap_or_default()),
        };
        let (found, problems) = parse_endpoints(&text, port);
        self.problems.extend(problems.into_iter().map(|(value, problem)| SettingsError::Invalid {
            name,
            value,
            problem,
        }));
        found
    }
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// An IPv4 address or a host name.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Splits blank-separated `host[:port]` into endpoints, and into those that are malformed with what is wrong.
fn parse_endpoints(text: &str, default_port: u16) -> (Vec<Endpoint>, Vec<(String, String)>) {
    let mut good = Vec::new();
    let mut bad = Vec::new();
    for item in text.split_whitespace() {
        match parse_endpoint(item, default_port) {
            Ok(endpoint) => good.push(endpoint),
            Err(problem) => bad.push((item.to_owned(), problem)),
        }
    }
    (good, bad)
}

fn parse_endpoint(item: &str, default_port: u16) -> Result<Endpoint, String> {
    let (host, port) = match item.split_once(':') {
        Some((host, port)) => (host, number_from_1(port).map_err(|problem| format!("the port is {problem}"))?),
        None => (item, default_port),
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if host.is_empty() || !host.chars().all(is_name) {
        return Err("not of the form host[:port], with blanks between several".to_owned());
    }
    // What has only digits and dots was meant to be an address, and some resolvers take half of one.
    if host.chars().all(|c| c.is_ascii_digit() || c == '.') && host.parse::<Ipv4Addr>().is_err() {
        return Err("not an IPv4 address".to_owned());
    }
    Ok(Endpoint { host: host.to_owned(), port })
}

fn number_from_1<T: FromStr + PartialEq + From<u8>>(text: &str) -> Result<T, String> {
    match text.parse::<T>() {
        Ok(number) if number != T::from(0) => Ok(number),
        _ => Err("not a whole number from 1 on that fits".to_owned()),
    }
}

fn yes_or_no(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "true" => Ok(true),
        "no" | "false" => Ok(false),
        _ => Err("neither YES nor NO".to_owned()),
    }
}

fn duration(seconds: f64) -> Result<Duration, String> {
    // The comparison is false for NaN too.
    if seconds > 0.0 && seconds <= MAX_SECONDS {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err(format!("not over 0 and at most {MAX_SECONDS} seconds"))
    }
}

/// The broadcast addresses of this host's interfaces other than loopback.
fn interface_broadcasts(fib_trie: &Path) -> Vec<Ipv4Addr> {
    let Ok(table) = std::fs::read_to_string(fib_trie) else {
        return vec![Ipv4Addr::BROADCAST];
    };
    let found = broadcasts_in(&table);
    if found.is_empty() { vec![Ipv4Addr::LOCALHOST] } else { found }
}

/// The addresses in the kernel's routing table that are routed as broadcasts. An address stands on its own line, followed
/// by the routes to it.
fn broadcasts_in(fib_trie: &str) -> Vec<Ipv4Addr> {
    let mut found = Vec::new();
    let mut address = None;
    for line in fib_trie.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("|-- ") {
            address = text.parse::<Ipv4Addr>().ok();
        } else if line.starts_with("/32 ") && line.ends_with(" BROADCAST") {
            found.extend(address.filter(|address| !address.is_loopback() && !found.contains(address)));
        }
    }
    found
}

fn host_name(variable: &dyn Fn(&str) -> Option<String>) -> String {
    let kernel = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = kernel().or_else(|| variable("HOSTNAME")).unwrap_or_default();
    if name.trim().is_empty() { "localhost".to_owned() } else { name.trim().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(overrides: &Overrides, variables: &[(&str, &str)]) -> Result<Settings, Vec<SettingsError>> {
        Settings::read(overrides, |name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn endpoints(settings: &[Endpoint]) -> Vec<String> {
        settings.iter().map(Endpoint::to_string).collect()
    }

    #[test]
    fn defaults_are_those_of_epics() {
        let settings = read(&Overrides::default(), &[]).expect("defaults are valid");
        assert!(!settings.search_targets.is_empty(), "the automatic address list is on");
        assert!(settings.search_targets.iter().all(|target| target.port == 5064));
        assert_eq!(settings.connection_timeout, Duration::from_secs(30));
        assert_eq!(settings.max_search_period, Duration::from_secs(300));
        assert_eq!(settings.max_array_bytes, 16_384);
        assert_eq!(settings.repeater_port, Some(5065));
        assert_eq!(settings.client_name, "connectd");
        assert!(settings.name_servers.is_empty());
    }

    #[test]
    fn variables_are_read_and_overrides_win() {
        let variables = [
            ("EPICS_CA_ADDR_LIST", "ioc1  192.0.2.7:6064 ioc1"),
            ("EPICS_CA_AUTO_ADDR_LIST", "NO"),
            ("EPICS_CA_NAME_SERVERS", "names:7064"),
            ("EPICS_CA_SERVER_PORT", "6000"),
            ("EPICS_CA_CONN_TMO", "2.5"),
            ("EPICS_CA_MAX_SEARCH_PERIOD", "60"),
            ("EPICS_CA_MAX_ARRAY_BYTES", "1000000"),
            ("EPICS_CA_REPEATER_PORT", "6065"),
            ("USER", "operator"),
        ];
        let settings = read(&Overrides::default(), &variables).expect("valid variables");
        assert_eq!(endpoints(&settings.search_targets), ["ioc1:6000", "192.0.2.7:6064"]);
        assert_eq!(endpoints(&settings.name_servers), ["names:7064"]);
        assert_eq!(settings.connection_timeout, Duration::from_millis(2500));
        assert_eq!(settings.max_search_period, Duration::from_secs(60));
        assert_eq!((settings.max_array_bytes, settings.client_name.as_str()), (1_000_000, "operator"));
        assert_eq!(settings.repeater_port, Some(6065));

        let overrides = Overrides {
            addr_list: Some("ioc2".into()),
            auto_addr_list: Some(false),
            name_servers: Some(String::new()),
            server_port: Some(6001),
            connection_timeout: Some(1.0),
            max_search_period: Some(5.0),
            max_array_bytes: Some(20_000),
            repeater_port: Some(0),
        };
        let settings = read(&overrides, &variables).expect("valid overrides");
        assert_eq!(endpoints(&settings.search_targets), ["ioc2:6001"]);
        assert!(settings.name_servers.is_empty());
        assert_eq!(settings.connection_timeout, Duration::from_secs(1));
        assert_eq!(settings.max_search_period, Duration::from_secs(5));
        assert_eq!((settings.max_array_bytes, settings.repeater_port), (20_000, None));
    }

    #[test]
    fn every_malformed_value_is_an_error_that_names_it() {
        let problems = read(
            &Overrides { connection_timeout: Some(f64::NAN), ..Overrides::default() },
            &[
                ("EPICS_CA_ADDR_LIST", "good 300.1.1.1 a,b host:0 ::1"),
                ("EPICS_CA_AUTO_ADDR_LIST", "MAYBE"),
                ("EPICS_CA_SERVER_PORT", "65536"),
                ("EPICS_CA_MAX_SEARCH_PERIOD", "-1"),
                ("EPICS_CA_MAX_ARRAY_BYTES", "16k"),
            ],
        )
        .expect_err("malformed values");
        let texts: Vec<String> = problems.iter().map(SettingsError::to_string).collect();
        assert_eq!(
            texts,
            [
                "EPICS_CA_SERVER_PORT is `65536`: not a whole number from 1 on that fits",
                "EPICS_CA_AUTO_ADDR_LIST is `MAYBE`: neither YES nor NO",
                "EPICS_CA_ADDR_LIST is `300.1.1.1`: not an IPv4 address",
                "EPICS_CA_ADDR_LIST is `a,b`: not of the form host[:port], with blanks between several",
                "EPICS_CA_ADDR_LIST is `host:0`: the port is not a whole number from 1 on that fits",
                "EPICS_CA_ADDR_LIST is `::1`: the port is not a whole number from 1 on that fits",
                "monitor.connection.timeout is `NaN`: not over 0 and at most 86400 seconds",
                "EPICS_CA_MAX_SEARCH_PERIOD is `-1`: not over 0 and at most 86400 seconds",
                "EPICS_CA_MAX_ARRAY_BYTES is `16k`: not a whole number from 1 on that fits",
            ]
        );
    }

    #[test]
    fn nowhere_to_search_is_an_error() {
        let overrides = Overrides { auto_addr_list: Some(false), ..Overrides::default() };
        assert_eq!(read(&overrides, &[("EPICS_CA_ADDR_LIST", " ")]), Err(vec![SettingsError::NoSearchTarget]));
    }

    #[test]
    fn broadcast_addresses_come_from_the_routing_table() {
        let table = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     +-- 127.0.0.0/8 2 0 2\n        |-- 127.255.255.255\n           /32 link BROADCAST\n     +-- 192.0.2.0/24 2 0 2\n           |-- 192.0.2.2\n              /32 host LOCAL\n        |-- 192.0.2.255\n           /32 link BROADCAST\nLocal:\n        |-- 192.0.2.255\n           /32 link BROADCAST\n";
        assert_eq!(broadcasts_in(table), [Ipv4Addr::new(192, 0, 2, 255)]);
        assert!(broadcasts_in("").is_empty());
        assert_eq!(interface_broadcasts(Path::new("/nonexistent/table")), [Ipv4Addr::BROADCAST]);
    }
}
