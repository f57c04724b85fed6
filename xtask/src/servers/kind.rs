//! The test servers by name.

use std::fmt;
use std::str::FromStr;

use super::prerequisites::Prerequisite;
use super::{
    Aiosmtpd, Alertmanager, Cache, InfluxDb, Ioc, Kafka, Mosquitto, Prometheus, Registry, Result, Rsyslog,
    VictoriaMetrics, debian, ioc, kafka, registry,
};

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
    /// Prometheus.
    Prometheus,
    /// Prometheus's Alertmanager.
    Alertmanager,
    /// rsyslog.
    Rsyslog,
    /// Eclipse Mosquitto, an MQTT broker.
    Mosquitto,
    /// aiosmtpd, an SMTP server.
    Aiosmtpd,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::Kafka,
        Self::Registry,
        Self::Ioc,
        Self::InfluxDb,
        Self::VictoriaMetrics,
        Self::Prometheus,
        Self::Alertmanager,
        Self::Rsyslog,
        Self::Mosquitto,
        Self::Aiosmtpd,
    ];

    /// The name used on command lines, in `TOCSIN_WITHOUT` and by [`without`](super::without).
    pub fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Registry => "registry",
            Self::Ioc => "ioc",
            Self::InfluxDb => "influxdb",
            Self::VictoriaMetrics => "victoria-metrics",
            Self::Prometheus => "prometheus",
            Self::Alertmanager => "alertmanager",
            Self::Rsyslog => "rsyslog",
            Self::Mosquitto => "mosquitto",
            Self::Aiosmtpd => "aiosmtpd",
        }
    }

    /// Fetches what it needs into the cache, unless it is there.
    pub fn fetch(self, cache: &Cache) -> Result<()> {
        match self {
            Self::Kafka => Kafka::fetch(cache),
            Self::Registry => Registry::fetch(cache),
            Self::Ioc => Ioc::fetch(cache).map(drop),
            Self::InfluxDb => InfluxDb::fetch(cache).map(drop),
            Self::VictoriaMetrics => VictoriaMetrics::fetch(cache).map(drop),
            Self::Prometheus => Prometheus::fetch(cache).map(drop),
            Self::Alertmanager => Alertmanager::fetch(cache).map(drop),
            Self::Rsyslog => Rsyslog::fetch(cache).map(drop),
            Self::Mosquitto => Mosquitto::fetch(cache),
            Self::Aiosmtpd => Aiosmtpd::fetch(cache).map(drop),
        }
    }

    /// Whether it is in the cache.
    pub fn is_fetched(self, cache: &Cache) -> bool {
        let (item, version) = match self {
            Self::Kafka => kafka::ITEM,
            Self::Registry => registry::ITEM,
            Self::Ioc => ioc::ITEM,
            Self::InfluxDb => ("influxdb", debian::VERSION),
            Self::VictoriaMetrics => ("victoria-metrics", debian::VERSION),
            Self::Prometheus => ("prometheus", debian::VERSION),
            Self::Alertmanager => Alertmanager::ITEM,
            Self::Rsyslog => Rsyslog::ITEM,
            Self::Mosquitto => Mosquitto::ITEM,
            Self::Aiosmtpd => Aiosmtpd::ITEM,
        };
        cache.find(item, version).is_some()
    }

    /// What must be installed to run it and, unless it is in the cache, to fetch it.
    pub fn prerequisites(self, cache: &Cache) -> Vec<Prerequisite> {
        let (to_run, to_fetch): (&[_], &[_]) = match self {
            Self::Kafka => (&[Prerequisite::Java, Prerequisite::Openssl], &[Prerequisite::Maven]),
            Self::Registry => (&[Prerequisite::Java], &[Prerequisite::Maven]),
            Self::Ioc => (&[Prerequisite::Python], &[]),
            Self::InfluxDb | Self::VictoriaMetrics | Self::Prometheus | Self::Alertmanager | Self::Rsyslog => {
                (&[], &[Prerequisite::Apt])
            }
            // Its secured listeners have certificates.
            Self::Mosquitto => (&[Prerequisite::Openssl], &[Prerequisite::Apt]),
            Self::Aiosmtpd => (&[Prerequisite::Python, Prerequisite::Openssl], &[]),
        };
        let to_fetch = if self.is_fetched(cache) { &[] } else { to_fetch };
        [to_run, to_fetch].concat()
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
