//! Eclipse Mosquitto, an MQTT broker, with its command-line publisher.

use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::process::{self, Launch, Process, Server};
use super::{Cache, Certificates, Error, Port, Result, command, debian};

const ITEM: &str = "mosquitto";
/// The broker, its tools, and the libraries that no system has by itself.
const PACKAGES: [&str; 6] = ["mosquitto", "mosquitto-clients", "libmosquitto1", "libcjson1", "libdlt2", "libwrap0"];
const PUBLISH_WITHIN: Duration = Duration::from_secs(120);

/// A broker that keeps sessions and messages on disk: when it ends, and each second, unless `autosave_on_changes true` is
/// among its settings, which makes it slow.
#[derive(Debug)]
pub struct Mosquitto {
    process: Process,
    programs: Programs,
    port: Port,
    secure: Option<(Port, Certificates)>,
}

#[derive(Debug, Clone)]
struct Programs {
    unpacked: PathBuf,
    libraries: PathBuf,
}

impl Programs {
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.unpacked.join(program));
        command.env("LD_LIBRARY_PATH", &self.libraries);
        command
    }
}

impl Mosquitto {
    /// What is fetched, and its version.
    pub(crate) const ITEM: (&str, &str) = (ITEM, debian::VERSION);
    /// The one user of a broker that [`start_secure`](Self::start_secure) starts.
    pub const USER: &str = "reader";
    /// The user's password.
    pub const PASSWORD: &str = "reader-secret";

    /// Fetches it unless it is in the cache.
    pub(crate) fn fetch(cache: &Cache) -> Result<()> {
        debian::unpacked(cache, ITEM, &PACKAGES).map(drop)
    }

    /// Starts one that anybody may use.
    pub fn start() -> Result<Self> {
        Self::start_with("")
    }

    /// Starts one that anybody may use, with further lines of `mosquitto.conf`.
    pub fn start_with(further: &str) -> Result<Self> {
        let port = Port::claim()?;
        let dir = process::folder(ITEM)?;
        let settings = format!("listener {} 127.0.0.1\nallow_anonymous true\n{further}", port.number());
        Self::launch(&settings, port, None, dir)
    }

    /// Starts one with two listeners: [`address`](Self::address) for [`USER`](Self::USER), who may read `open/#` only (the
    /// publisher of [`publish`](Self::publish) may write everything), and [`tls_address`](Self::tls_address) for whoever
    /// has a client certificate.
    pub fn start_secure() -> Result<Self> {
        let [port, tls] = Port::claim_many()?;
        let dir = process::folder(ITEM)?;
        let certificates = Certificates::make(dir.path())?;
        let programs = programs()?;
        let passwords = process::write(dir.path(), "passwords", "")?;
        for (user, password) in [(Self::USER, Self::PASSWORD), (PUBLISHER, PUBLISHER)] {
            let mut add = programs.command("usr/bin/mosquitto_passwd");
            add.arg("-b").arg(&passwords).args([user, password]);
            command::run(&mut add, &format!("adding the user {user} to mosquitto"), Duration::from_secs(30))?;
        }
        let rights = format!("user {}\ntopic read open/#\nuser {PUBLISHER}\ntopic readwrite #\n", Self::USER);
        let rights = process::write(dir.path(), "rights", &rights)?;
        let files = dir.path().display();
        let settings = format!(
            "per_listener_settings true\nlistener {} 127.0.0.1\nallow_anonymous false\npassword_file {}\nacl_file {}\n\
             listener {} 127.0.0.1\nallow_anonymous true\ncafile {files}/ca.pem\ncertfile {files}/broker.pem\n\
             keyfile {files}/broker.key\nrequire_certificate true\n",
            port.number(),
            passwords.display(),
            rights.display(),
            tls.number(),
        );
        Self::launch(&settings, port, Some((tls, certificates)), dir)
    }

    /// Starts one that lets nobody subscribe.
    pub fn start_refusing_subscriptions() -> Result<Self> {
        let port = Port::claim()?;
        let dir = process::folder(ITEM)?;
        let access = serde_json::json!({"defaultACLAccess": {
            "publishClientSend": true, "publishClientReceive": true, "subscribe": false, "unsubscribe": true,
        }});
        let rights = process::write(dir.path(), "rights.json", &access.to_string())?;
        let plugin = programs()?.libraries.join("mosquitto_dynamic_security.so");
        let settings = format!(
            "listener {} 127.0.0.1\nallow_anonymous true\nplugin {}\nplugin_opt_config_file {}\n",
            port.number(),
            plugin.display(),
            rights.display()
        );
        Self::launch(&settings, port, None, dir)
    }

    fn launch(
        settings: &str,
        port: Port,
        secure: Option<(Port, Certificates)>,
        dir: tempfile::TempDir,
    ) -> Result<Self> {
        let programs = programs()?;
        // As root it would switch to a user who is not there.
        let settings = format!(
            "user root\npersistence true\npersistence_location {}/\nautosave_interval 1\n\
             max_queued_messages 0\nlog_dest stderr\n{settings}",
            dir.path().display()
        );
        let settings = process::write(dir.path(), "mosquitto.conf", &settings)?;
        let mut command = programs.command("usr/sbin/mosquitto");
        command.arg("-c").arg(settings);
        let address = port.address();
        let launch = Launch {
            name: ITEM,
            command,
            holds_stdin: false,
            probe: Box::new(move || TcpStream::connect(&address).is_ok()),
            ready_within: Duration::from_secs(30),
        };
        Ok(Self { process: Process::launch(launch, dir)?, programs, port, secure })
    }

    /// Host and port without TLS.
    pub fn address(&self) -> String {
        self.port.address()
    }

    /// Host and port with TLS, of a secure one.
    pub fn tls_address(&self) -> Option<String> {
        self.secure.as_ref().map(|(port, _)| port.address())
    }

    /// The certificates of a secure one.
    pub fn certificates(&self) -> Option<&Certificates> {
        self.secure.as_ref().map(|(_, certificates)| certificates)
    }

    /// Publishes each line as a message; returns when the broker has them all. `options` are those of `mosquitto_pub`.
    pub fn publish(&self, topic: &str, qos: u8, lines: &str, options: &[&str]) -> Result<()> {
        let doing = format!("publishing to {topic} of mosquitto");
        let file = tempfile::tempfile().map_err(Error::io(doing.clone()))?;
        let mut input = file.try_clone().map_err(Error::io(doing.clone()))?;
        let written = input.write_all(lines.as_bytes()).and_then(|()| std::io::Seek::rewind(&mut input));
        written.map_err(Error::io(doing.clone()))?;
        let mut publisher = self.publisher(topic, qos);
        publisher.arg("-l").args(options);
        command::run_from(&mut publisher, Stdio::from(file), &doing, PUBLISH_WITHIN).map(drop)
    }

    /// Publishes a file as one message.
    pub fn publish_file(&self, topic: &str, qos: u8, file: &Path, options: &[&str]) -> Result<()> {
        let mut publisher = self.publisher(topic, qos);
        publisher.arg("-f").arg(file).args(options);
        command::run(&mut publisher, &format!("publishing to {topic} of mosquitto"), PUBLISH_WITHIN).map(drop)
    }

    fn publisher(&self, topic: &str, qos: u8) -> Command {
        let mut publisher = self.programs.command("usr/bin/mosquitto_pub");
        publisher.args(["-h", "127.0.0.1", "-p", &self.port.number().to_string(), "-t", topic, "-q", &qos.to_string()]);
        if self.secure.is_some() {
            publisher.args(["-u", PUBLISHER, "-P", PUBLISHER]);
        }
        publisher
    }
}

/// User and password of the publisher where there are passwords.
const PUBLISHER: &str = "publisher";

fn programs() -> Result<Programs> {
    let unpacked = debian::unpacked(&Cache::open()?, ITEM, &PACKAGES)?;
    Ok(Programs { libraries: debian::libraries(&unpacked)?, unpacked })
}

impl Server for Mosquitto {
    fn process(&self) -> &Process {
        &self.process
    }

    fn process_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}
