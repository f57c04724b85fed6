//! An EPICS IOC that serves records over Channel Access.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::process::{self, Launch, Process, Server};
use super::{Cache, Error, Port, Result, command, python};

/// What it is called in the cache, and its version.
pub(crate) const ITEM: (&str, &str) = ("softioc", "4.7.2");
const PACKAGES: [&str; 3] = ["softioc==4.7.2", "pvxslibs==1.5.3", "caproto==1.3.0"];
const CLIENT: &str = include_str!("channel_access.py");
const CAPROTO: &str = include_str!("caproto_ioc.py");
/// `python -m pvxslibs.ioc` with an access security file, which must be set before the database is loaded.
const SECURED: &str = "import runpy; from epicscorelibs import ioc; \
    assert ioc.dbCore.asSetFilename(b'access.acf') == 0; runpy.run_module('pvxslibs.ioc', run_name='__main__')";

/// An IOC with the records of a database file.
#[derive(Debug)]
pub struct Ioc {
    process: Process,
    python: PathBuf,
    server: Port,
    repeater: Port,
    /// It serves PV Access too, and must not do so on ports of other servers.
    _pv_access: [Port; 2],
}

/// What a channel answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// A number (enumerations too), a string, or an array.
    pub value: Value,
    /// 0 none, 1 minor, 2 major, 3 invalid.
    pub severity: u16,
    /// Why: 0 none, 3 HIHI, 4 HIGH, 5 LOLO, 6 LOW …
    pub status: u16,
}

impl Ioc {
    /// Fetches it unless it is in the cache; returns its virtual environment.
    pub(crate) fn fetch(cache: &Cache) -> Result<PathBuf> {
        cache.ensure(ITEM.0, ITEM.1, |into| python::fetch(&PACKAGES, into))
    }

    /// Starts one with these records, such as `record(ao,"T:ai0"){field(VAL,"50") field(PINI,"YES")}`.
    pub fn start(db_text: &str) -> Result<Self> {
        Self::launch("epics ioc", |dir, command| {
            command.args(["-m", "pvxslibs.ioc", "-d"]).arg(process::write(dir, "records.db", db_text)?);
            Ok(())
        })
    }

    /// As [`Ioc::start`], with an access security file, to whose groups records belong by their field ASG.
    pub fn start_secured(db_text: &str, acf_text: &str) -> Result<Self> {
        Self::launch("epics ioc", |dir, command| {
            process::write(dir, "access.acf", acf_text)?;
            command.args(["-c", SECURED, "-d"]).arg(process::write(dir, "records.db", db_text)?);
            Ok(())
        })
    }

    /// Starts caproto's server, which shares no code with EPICS Base, with these channels of floating-point numbers.
    /// Over 80 they have a minor alarm, over 90 a major one.
    pub fn start_caproto(channels: &[(&str, f64)]) -> Result<Self> {
        Self::launch("caproto ioc", |_, command| {
            command.args(["-c", CAPROTO]);
            command.args(channels.iter().flat_map(|(name, value)| [(*name).to_owned(), value.to_string()]));
            Ok(())
        })
    }

    fn launch(name: &'static str, arguments: impl FnOnce(&Path, &mut Command) -> Result<()>) -> Result<Self> {
        let python = python::interpreter(&Self::fetch(&Cache::open()?)?);
        let [server, repeater, pv_access, pv_broadcast] = Port::claim_many()?;
        let dir = process::folder("ioc")?;
        let mut command = Command::new(&python);
        arguments(dir.path(), &mut command)?;
        set_environment(&mut command, &server, &repeater);
        for (name, port) in [("SERVER", &pv_access), ("BROADCAST", &pv_broadcast)] {
            command.env(format!("EPICS_PVA_{name}_PORT"), port.number().to_string());
            command.env(format!("EPICS_PVAS_{name}_PORT"), port.number().to_string());
        }
        let socket = std::net::SocketAddr::from(([127, 0, 0, 1], server.number()));
        let launch = Launch {
            name,
            command,
            holds_stdin: true,
            probe: Box::new(move || std::net::TcpStream::connect_timeout(&socket, Duration::from_secs(1)).is_ok()),
            ready_within: Duration::from_secs(30),
        };
        let process = Process::launch(launch, dir)?;
        Ok(Self { process, python, server, repeater, _pv_access: [pv_access, pv_broadcast] })
    }

    /// The Channel Access port, TCP and UDP (`EPICS_CA_SERVER_PORT`).
    pub fn server_port(&self) -> u16 {
        self.server.number()
    }

    /// A port for a repeater (`EPICS_CA_REPEATER_PORT`); none is started.
    pub fn repeater_port(&self) -> u16 {
        self.repeater.number()
    }

    /// Where clients search (`EPICS_CA_ADDR_LIST`), with the port.
    pub fn addr_list(&self) -> String {
        self.server.address()
    }

    /// Writes a channel and waits until its record is processed. A word that is no number is an enumeration's or a string.
    pub fn put(&self, pv: &str, value: impl ToString) -> Result<()> {
        self.put_all(&[(pv, &value.to_string())])
    }

    /// Writes several channels, one after the other.
    pub fn put_all(&self, values: &[(&str, &str)]) -> Result<()> {
        let words = values.iter().flat_map(|(pv, value)| [*pv, *value]);
        self.client("put", words, &format!("writing {} epics channels", values.len())).map(drop)
    }

    /// Reads a channel with its alarm state.
    pub fn get(&self, pv: &str) -> Result<Reading> {
        let doing = format!("reading epics channel {pv}");
        let printed = self.client("get", [pv], &doing)?;
        let bad = || Error::Answer { doing: doing.clone(), answer: printed.clone() };
        let mut answer: Value = serde_json::from_str(&printed).map_err(|_| bad())?;
        let number = |name: &str| answer[name].as_u64().and_then(|n| u16::try_from(n).ok()).ok_or_else(bad);
        let (severity, status) = (number("severity")?, number("status")?);
        Ok(Reading { value: answer["value"].take(), severity, status })
    }

    fn client<'a>(&self, action: &str, words: impl IntoIterator<Item = &'a str>, doing: &str) -> Result<String> {
        let mut client = Command::new(&self.python);
        client.args(["-c", CLIENT, action]).args(words);
        set_environment(&mut client, &self.server, &self.repeater);
        command::run(&mut client, doing, Duration::from_secs(20))
    }
}

/// Client and server, Channel Access and PV Access, all on loopback and on ports of their own.
fn set_environment(command: &mut Command, server: &Port, repeater: &Port) {
    for protocol in ["CA", "PVA"] {
        for (name, value) in [
            ("_AUTO_ADDR_LIST", "NO"),
            ("_ADDR_LIST", "127.0.0.1"),
            ("S_INTF_ADDR_LIST", "127.0.0.1"),
            ("S_BEACON_ADDR_LIST", "127.0.0.1"),
            ("S_AUTO_BEACON_ADDR_LIST", "NO"),
        ] {
            command.env(format!("EPICS_{protocol}{name}"), value);
        }
    }
    for name in ["EPICS_CA_SERVER_PORT", "EPICS_CAS_SERVER_PORT"] {
        command.env(name, server.number().to_string());
    }
    for name in ["EPICS_CA_REPEATER_PORT", "EPICS_CAS_BEACON_PORT"] {
        command.env(name, repeater.number().to_string());
    }
}

impl Server for Ioc {
    fn process(&self) -> &Process {
        &self.process
    }

    fn process_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}
