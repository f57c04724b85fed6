//! `cargo xtask servers …`.

use std::path::Path;
use std::time::Duration;

use xtask::servers::{
    Aiosmtpd, Alertmanager, Cache, Certificates, Forward, InfluxDb, Ioc, Kafka, Kind, MailSecurity, Mosquitto,
    Prometheus, Registry, Rsyslog, SecureKafka, Server, Style, VictoriaMetrics,
};

use crate::Outcome;
use crate::interrupt::Interrupt;

/// Where a worker is unless it is told otherwise.
const WORKER: &str = "127.0.0.1:8083";
/// Where the example of Alertmanager's webhooks is received.
const RECEIVER: (&str, &str) = ("http://127.0.0.1:8090/alertmanager", "change-me");
/// Where the example of the syslog source listens.
const SYSLOG: ([u8; 4], u16) = ([127, 0, 0, 1], 5514);
const SAMPLE_RECORDS: &str = include_str!("sample.db");

/// Fetches servers; tells every problem, not only the first.
pub(crate) fn fetch(kinds: &[Kind]) -> Outcome {
    let cache = Cache::open().map_err(|error| format!("{error:?}"))?;
    let mut needed: Vec<_> = kinds.iter().flat_map(|kind| kind.prerequisites(&cache)).collect();
    needed.sort_unstable();
    needed.dedup();
    let missing: Vec<_> = needed.into_iter().filter_map(|one| one.check().err()).collect();
    let mut problems: Vec<_> = missing.iter().map(|error| format!("{error:?}")).collect();
    if problems.is_empty() {
        for kind in kinds {
            problems.extend(kind.fetch(&cache).err().map(|error| format!("{error:?}")));
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    let names = kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ");
    Err(format!(
        "cannot get the test servers {names} (`--without NAME` does without one):\n- {}",
        problems.join("\n- ")
    ))
}

/// Runs servers until interrupted.
pub(crate) fn up(kinds: Vec<Kind>, secure: bool, db: Option<&Path>) -> Outcome {
    let interrupt = Interrupt::listen()?;
    let mut kinds = if kinds.is_empty() { Kind::ALL.to_vec() } else { kinds };
    kinds.sort_unstable();
    kinds.dedup();
    let records = match db {
        Some(path) => std::fs::read_to_string(path).map_err(|error| format!("reading {}: {error}", path.display()))?,
        None => SAMPLE_RECORDS.to_owned(),
    };
    fetch(&kinds)?;
    let mut running: Vec<Box<dyn Server>> = Vec::new();
    for kind in kinds {
        if interrupt.came() {
            return Ok(());
        }
        running.push(start(kind, secure, &records).map_err(|error| format!("{error:?}"))?);
    }
    println!("ready; ctrl-c ends them");
    while !interrupt.came() {
        for server in &mut running {
            let process = server.process_mut();
            if !process.is_alive().map_err(|error| format!("{error:?}"))? {
                return Err(format!("{process:?} has ended by itself; its log:\n{}", process.log()));
            }
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn start(kind: Kind, secure: bool, records: &str) -> xtask::servers::Result<Box<dyn Server>> {
    let line = |what: &str, value: &str| println!("{:<17} {what:<25} {value}", kind.name());
    let server: Box<dyn Server> = match kind {
        Kind::Kafka if secure => {
            let kafka = Kafka::start_secure()?;
            line("PLAINTEXT", &kafka.bootstrap());
            line("SASL_PLAINTEXT", &kafka.sasl_plaintext());
            line("SSL, client certificate", &kafka.ssl());
            line("SASL_SSL", &kafka.sasl_ssl());
            line("user", &format!("{} / {}", SecureKafka::USER, SecureKafka::PASSWORD));
            let files = kafka.certificates();
            line("ca", &files.ca().display().to_string());
            line("client certificate", &files.client_certificate().display().to_string());
            line("client key", &files.client_key().display().to_string());
            line("client key, encrypted", &files.encrypted_client_key().display().to_string());
            line("client keystore, PKCS#12", &files.client_keystore().display().to_string());
            line("password of these two", Certificates::PASSWORD);
            Box::new(kafka)
        }
        Kind::Kafka => {
            let kafka = Kafka::start()?;
            line("bootstrap.servers", &kafka.bootstrap());
            Box::new(kafka)
        }
        Kind::Registry => {
            let registry = Registry::start()?;
            line("schema.registry.url", &registry.url());
            Box::new(registry)
        }
        Kind::Ioc => {
            let ioc = Ioc::start(records)?;
            line("EPICS_CA_ADDR_LIST", &ioc.addr_list());
            line("EPICS_CA_SERVER_PORT", &ioc.server_port().to_string());
            line("EPICS_CA_REPEATER_PORT", &ioc.repeater_port().to_string());
            Box::new(ioc)
        }
        Kind::InfluxDb => {
            let influxdb = InfluxDb::start()?;
            line("url", &influxdb.url());
            Box::new(influxdb)
        }
        Kind::VictoriaMetrics => {
            let server = VictoriaMetrics::start()?;
            line("url", &server.url());
            Box::new(server)
        }
        Kind::Prometheus => {
            let server = Prometheus::start(WORKER)?;
            line("url", &server.url());
            line("reads", &format!("http://{WORKER}/metrics"));
            Box::new(server)
        }
        Kind::Alertmanager => {
            let (url, token) = RECEIVER;
            let server = Alertmanager::start(url, token, None)?;
            line("url", &server.url());
            line("posts to", url);
            Box::new(server)
        }
        Kind::Rsyslog => {
            let server = Rsyslog::start(SYSLOG.into(), &Forward::TcpCounted, Style::Rfc5424)?;
            line("takes messages over tcp", &server.input());
            line("forwards to", &std::net::SocketAddr::from(SYSLOG).to_string());
            Box::new(server)
        }
        Kind::Mosquitto if secure => {
            let server = Mosquitto::start_secure()?;
            line("mqtt, user and password", &server.address());
            line("user", &format!("{} / {}", Mosquitto::USER, Mosquitto::PASSWORD));
            line("mqtt, client certificate", &server.tls_address().unwrap_or_default());
            line("its certificates", &server.process().dir().display().to_string());
            Box::new(server)
        }
        Kind::Mosquitto => {
            let server = Mosquitto::start()?;
            line("mqtt", &server.address());
            Box::new(server)
        }
        Kind::Aiosmtpd => {
            let server = if secure { Aiosmtpd::start_secure(MailSecurity::Starttls)? } else { Aiosmtpd::start()? };
            line("smtp", &format!("127.0.0.1:{}", server.port()));
            if let Some(ca) = server.ca() {
                line("user, through STARTTLS", &format!("{} / {}", Aiosmtpd::USER, Aiosmtpd::PASSWORD));
                line("its authority", &ca.display().to_string());
            }
            line("mails", &server.process().dir().join("mails.jsonl").display().to_string());
            Box::new(server)
        }
    };
    line("process id", &server.process().id().unwrap_or_default().to_string());
    Ok(server)
}
