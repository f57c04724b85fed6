//! Real servers for tests: fetched into a cache, started on free loopback ports, ended with the test.
//!
//! ```no_run
//! # fn main() -> Result<(), xtask::servers::Error> {
//! use xtask::servers::{Kafka, Server};
//!
//! if xtask::servers::without("kafka") {
//!     return Ok(());
//! }
//! let mut kafka = Kafka::start()?;
//! println!("{}", kafka.bootstrap());
//! kafka.restart()?; // the same port and data
//! # Ok(())
//! # }
//! ```
//!
//! Everything is blocking; from async code call it in `spawn_blocking`. A server ends when its value is dropped. When the
//! test process goes without dropping (a static, a kill), the `reaper` ends the server and removes its files.
//!
//! - `kafka`, `connect`, `registry`, `ioc`, `influxdb`, `victoria_metrics`, `prometheus`, `alertmanager`,
//!   `mosquitto`, `rsyslog`, `aiosmtpd`: one server each
//! - `clients`: tools of others, which tests have work against this project; `wrk`: one that makes load
//! - `kind`: their names, what each one needs, fetching
//! - `process`: a running child, its readiness, log and signals; `reaper`: what ends it after us; `ports`: free ports
//! - `cache`, `maven`, `python`, `debian`: where programs come from; `prerequisites`: what must be installed
//! - `http`, `command`: requests to a server, and runs of other programs, both bounded

mod aiosmtpd;
mod alertmanager;
mod cache;
mod certificates;
mod clients;
mod command;
mod connect;
mod debian;
mod error;
pub mod http;
mod influxdb;
mod ioc;
mod java;
mod kafka;
mod kind;
mod maven;
mod mosquitto;
mod ports;
pub mod prerequisites;
mod process;
mod prometheus;
mod python;
mod reaper;
mod registry;
mod rsyslog;
mod victoria_metrics;
mod wrk;

use std::io::Write;

pub use aiosmtpd::{Aiosmtpd, MailSecurity, Received};
pub use alertmanager::Alertmanager;
pub use cache::Cache;
pub use certificates::Certificates;
pub use clients::Clients;
pub use connect::KafkaConnect;
pub use error::{Error, Result};
pub use influxdb::InfluxDb;
pub use ioc::{Ioc, Reading};
pub use kafka::{Kafka, SecureKafka};
pub use kind::Kind;
pub use mosquitto::Mosquitto;
pub use ports::Port;
pub use process::{Process, Server};
pub use prometheus::Prometheus;
pub use registry::Registry;
pub use rsyslog::{Forward, Rsyslog, Style, logger};
pub use victoria_metrics::VictoriaMetrics;
pub use wrk::{Load, Wrk};

/// The environment variable that names servers to do without, separated by commas.
pub const WITHOUT: &str = "TOCSIN_WITHOUT";

/// Whether the person who runs the tests asked to do without this server; if so, says that aloud.
///
/// `name` is one of [`Kind::name`].
pub fn without(name: &str) -> bool {
    let listed = std::env::var(WITHOUT).unwrap_or_default();
    let asked = listed.split(',').any(|word| word.trim() == name);
    if asked {
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        // Straight to the stream: the test harness hides what `eprintln!` writes in tests that pass.
        let _ = writeln!(std::io::stderr(), "NOT TESTED: {test} needs {name}, and {WITHOUT} says to do without it");
    }
    asked
}
