//! The test servers by name.

use std::fmt;
use std::str::FromStr;

use super::prerequisites::Prerequisite;
use super::{Cache, InfluxDb, Ioc, Kafka, Registry, Result, VictoriaMetrics};

/// A kind of test server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Apache Kafka, plain and secure.
    Kafka,
    /// Apicurio, a schema registry.
    Registry,
    /// An EPICS IOC.
    Ioc,
    /// InfluxDB 1.
    InfluxDb,
    /// VictoriaMetrics.
    VictoriaMetrics,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Kafka, Self::Registry, Self::Ioc, Self::InfluxDb, Self::VictoriaMetrics];

    /// The name used on command lines, in `TOCSIN_WITHOUT` and by [`without`](super::without).
    pub fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Registry => "registry",
            Self::Ioc => "ioc",
            Self::InfluxDb => "influxdb",
            Self::VictoriaMetrics => "victoria-metrics",
        }
    }

    /// Fetches what it needs into the cache, unless it is there.
    pub fn fetch(self, cache: &Cache) -> Result<()> {
        match self {
            Self::Kafka => Kafka::fetch(cache).map(drop),
            Self::Registry => Registry::fetch(cache).map(drop),
            Self::Ioc => Ioc::fetch(cache).map(drop),
            Self::InfluxDb => InfluxDb::fetch(cache).map(drop),
            Self::VictoriaMetrics => VictoriaMetrics::fetch(cache).map(drop),
        }
    }

    /// What must be installed to fetch (unless fetched) and run it.
    pub fn prerequisites(self) -> &'static [Prerequisite] {
        match self {
            Self::Kafka => &[Prerequisite::Java, Prerequisite::Maven, Prerequisite::Openssl],
            Self::Registry => &[Prerequisite::Java, Prerequisite::Maven],
            Self::Ioc => &[Prerequisite::Python],
            Self::InfluxDb | Self::VictoriaMetrics => &[Prerequisite::Apt],
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|kind| kind.name()).collect();
            format!("no test server is called {name}; there are {}", names.join(", "))
        })
    }
}
