//! Apache Kafka: one broker that is its own controller.

use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::java::Java;
use super::prerequisites::Prerequisite;
use super::process::{self, Launch, Process, Server};
use super::{Cache, Certificates, Port, Result, command, maven};

const VERSION: &str = "4.1.0";
/// What it is called in the cache, and its version.
pub(crate) const ITEM: (&str, &str) = ("kafka", VERSION);
/// Kafka Connect itself is among them.
const ARTIFACTS: [&str; 7] = [
    "org.apache.kafka:kafka_2.13:4.1.0",
    "org.apache.kafka:kafka-tools:4.1.0",
    "org.apache.kafka:connect-runtime:4.1.0",
    "org.apache.kafka:connect-file:4.1.0",
    "org.apache.kafka:connect-json:4.1.0",
    "org.apache.kafka:connect-transforms:4.1.0",
    "org.slf4j:slf4j-simple:1.7.36",
];
const TOOL_WITHIN: Duration = Duration::from_secs(60);
/// A program is compiled first.
const ANSWER_WITHIN: Duration = Duration::from_secs(300);

/// A broker without security.
#[derive(Debug)]
pub struct Kafka {
    process: Process,
    install: Install,
    plain: Port,
    _controller: Port,
}

/// A broker with a plain listener and three secured ones; user `alice` has the password `alice-secret`.
#[derive(Debug)]
pub struct SecureKafka {
    kafka: Kafka,
    ports: SecurePorts,
    certificates: Certificates,
}

#[derive(Debug)]
struct SecurePorts {
    sasl_plaintext: Port,
    ssl: Port,
    sasl_ssl: Port,
}

impl Kafka {
    /// Fetches it unless it is in the cache.
    pub(crate) fn fetch(cache: &Cache) -> Result<()> {
        Install::find(cache).map(drop)
    }

    /// Starts a broker.
    pub fn start() -> Result<Self> {
        Self::start_with(&[])
    }

    /// Starts a broker with further settings, such as `("auto.create.topics.enable", "false")`.
    pub fn start_with(settings: &[(&str, &str)]) -> Result<Self> {
        Self::start_from(Install::find(&Cache::open()?)?, settings)
    }

    fn start_from(install: Install, settings: &[(&str, &str)]) -> Result<Self> {
        let dir = process::folder("kafka")?;
        let [plain, controller] = Port::claim_many()?;
        let mut properties = common(dir.path(), &controller);
        let address = plain.address();
        let _ = write!(
            properties,
            "listeners=PLAINTEXT://{address},CONTROLLER://{}\nadvertised.listeners=PLAINTEXT://{address}\n",
            controller.address()
        );
        for (key, value) in settings {
            let _ = writeln!(properties, "{key}={value}");
        }
        Self::run(install, dir, &properties, &[], plain, controller)
    }

    /// Starts a broker that also has secured listeners.
    pub fn start_secure() -> Result<SecureKafka> {
        SecureKafka::start()
    }

    /// Host and port of the listener without security.
    pub fn bootstrap(&self) -> String {
        self.plain.address()
    }

    /// Runs one of Kafka's own tools, such as `org.apache.kafka.tools.TopicCommand`, and returns what it prints.
    pub fn tool(&self, class: &str, args: &[&str]) -> Result<String> {
        let mut tool = self.install.class(class, self.process.dir());
        command::run(tool.args(args), &format!("running {class} {}", args.join(" ")), TOOL_WITHIN)
    }

    /// Runs a Java program of a single file, with the classes of Kafka and Kafka Connect, and returns what it prints.
    ///
    /// Time is UTC and names are English. There need not be a broker.
    pub fn ask(program: &Path, argument: &Path) -> Result<String> {
        Prerequisite::Jdk.check()?;
        let (java, jars) = programs(&Cache::open()?)?;
        let dir = process::folder("java")?;
        let mut command = java.command(dir.path());
        command.args(["-Duser.timezone=UTC", "-Duser.language=en", "-Duser.country=US", "-Dfile.encoding=UTF-8"]);
        command.arg("-cp").arg(jars.join("*")).arg(program).arg(argument);
        command::run(&mut command, &format!("running {}", program.display()), ANSWER_WITHIN)
    }

    fn run(
        install: Install,
        dir: TempDir,
        properties: &str,
        format_args: &[&str],
        plain: Port,
        controller: Port,
    ) -> Result<Self> {
        let file = process::write(dir.path(), "server.properties", properties)?;
        let cluster = random_cluster_id();
        let mut format = install.class("kafka.tools.StorageTool", dir.path());
        format.args(["format", "-t", &cluster, "-c"]).arg(&file).args(format_args);
        command::run(&mut format, "formatting the storage of kafka", TOOL_WITHIN)?;
        let mut command = install.class("kafka.Kafka", dir.path());
        command.arg(&file);
        let address = SocketAddr::from(([127, 0, 0, 1], plain.number()));
        let launch = Launch {
            name: "kafka",
            command,
            holds_stdin: false,
            probe: Box::new(move || serves(address, &cluster).is_some_and(|serves| serves)),
            ready_within: Duration::from_secs(60),
        };
        Ok(Self { process: Process::launch(launch, dir)?, install, plain, _controller: controller })
    }
}

impl SecureKafka {
    /// The user of the SASL listeners.
    pub const USER: &'static str = "alice";
    /// The user's password.
    pub const PASSWORD: &'static str = "alice-secret";

    /// Starts one.
    pub fn start() -> Result<Self> {
        Self::start_with(&[])
    }

    /// Starts one with further settings, such as those of an authorizer.
    pub fn start_with(settings: &[(&str, &str)]) -> Result<Self> {
        let install = Install::find(&Cache::open()?)?;
        let dir = process::folder("kafka")?;
        let certificates = Certificates::make(dir.path())?;
        let [plain, controller, sasl_plaintext, ssl, sasl_ssl] = Port::claim_many()?;
        let ports = SecurePorts { sasl_plaintext, ssl, sasl_ssl };
        let mut properties = common(dir.path(), &controller) + &secured(&plain, &controller, &ports, &certificates);
        for (key, value) in settings {
            let _ = writeln!(properties, "{key}={value}");
        }
        let scram = format!("SCRAM-SHA-512=[name={},password={}]", Self::USER, Self::PASSWORD);
        let kafka = Kafka::run(install, dir, &properties, &["--add-scram", &scram], plain, controller)?;
        Ok(Self { kafka, ports, certificates })
    }

    /// The broker itself.
    pub fn kafka(&self) -> &Kafka {
        &self.kafka
    }

    /// Host and port of the listener without security.
    pub fn bootstrap(&self) -> String {
        self.kafka.bootstrap()
    }

    /// `SASL_PLAINTEXT`: host and port of the listener that takes SCRAM-SHA-512, PLAIN, and OAUTHBEARER with unsigned tokens.
    pub fn sasl_plaintext(&self) -> String {
        self.ports.sasl_plaintext.address()
    }

    /// `SSL`: host and port of the listener that wants a client's certificate.
    pub fn ssl(&self) -> String {
        self.ports.ssl.address()
    }

    /// `SASL_SSL`: host and port of the listener that takes SCRAM-SHA-512 over TLS.
    pub fn sasl_ssl(&self) -> String {
        self.ports.sasl_ssl.address()
    }

    /// The authority that clients trust, and the client's certificate and key.
    pub fn certificates(&self) -> &Certificates {
        &self.certificates
    }
}

/// The programs, apart from any broker.
#[derive(Debug, Clone)]
pub(crate) struct Install {
    jars: PathBuf,
    java: Java,
    /// An option about the archive of classes.
    classes: Option<String>,
}

/// Java, and the folder of all jars.
fn programs(cache: &Cache) -> Result<(Java, PathBuf)> {
    let java = Java::find()?;
    Ok((java, cache.ensure(ITEM.0, ITEM.1, |into| maven::fetch_jars(&ARTIFACTS, into))?))
}

impl Install {
    pub(crate) fn find(cache: &Cache) -> Result<Self> {
        let (java, jars) = programs(cache)?;
        let install = Self { java, jars, classes: None };
        let classes = install.java.shared_classes(cache, ITEM, |option| {
            Kafka::start_from(Self { classes: Some(option), ..install.clone() }, &[])?.stop()
        })?;
        Ok(Self { classes, ..install })
    }

    /// A command that runs a class.
    pub(crate) fn class(&self, class: &str, dir: &Path) -> Command {
        let mut command = self.java.command(dir);
        command.arg("-Xmx384m").args(&self.classes).arg("-cp").arg(self.jars.join("*")).arg(class);
        command
    }
}

/// A short session, because a killed broker is not let back in before its last one has timed out.
fn common(dir: &Path, controller: &Port) -> String {
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{controller}
controller.listener.names=CONTROLLER
log.dirs={dir}/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=5
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=5
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
",
        controller = controller.address(),
        dir = dir.display()
    )
}

fn secured(plain: &Port, controller: &Port, ports: &SecurePorts, certificates: &Certificates) -> String {
    let clients = format!(
        "PLAIN://{},SASL://{},SSL://{},SASLSSL://{}",
        plain.address(),
        ports.sasl_plaintext.address(),
        ports.ssl.address(),
        ports.sasl_ssl.address()
    );
    format!(
        "listeners={clients},CONTROLLER://{controller}
advertised.listeners={clients}
listener.security.protocol.map=PLAIN:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_PLAINTEXT,SSL:SSL,SASLSSL:SASL_SSL
inter.broker.listener.name=PLAIN
sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN,OAUTHBEARER
listener.name.sasl.scram-sha-512.sasl.jaas.config={scram} required;
listener.name.sasl.plain.sasl.jaas.config=\
         org.apache.kafka.common.security.plain.PlainLoginModule required user_{user}=\"{password}\";
listener.name.sasl.oauthbearer.sasl.jaas.config=\
         org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=\"broker\";
listener.name.saslssl.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.saslssl.scram-sha-512.sasl.jaas.config={scram} required;
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
ssl.truststore.type=PEM
ssl.truststore.location={truststore}
listener.name.ssl.ssl.client.auth=required
",
        controller = controller.address(),
        scram = "org.apache.kafka.common.security.scram.ScramLoginModule",
        user = SecureKafka::USER,
        password = SecureKafka::PASSWORD,
        keystore = certificates.broker_bundle().display(),
        truststore = certificates.ca().display()
    )
}

/// A name for a cluster that Kafka takes as a UUID: 16 bytes in base 64.
fn random_cluster_id() -> String {
    let random = RandomState::new().hash_one(std::process::id());
    // 22 characters; the last carries two bits only.
    format!("tocsin{:015x}A", random >> 4)
}

/// Whether the broker of this cluster has itself among its live brokers: asks for metadata without topics' names.
///
/// Naming the cluster tells our broker from any other on the port.
fn serves(address: SocketAddr, cluster: &str) -> Option<bool> {
    const METADATA: i16 = 3;
    const API_VERSION: i16 = 7;
    const WITHIN: Duration = Duration::from_secs(1);
    let mut request = Vec::new();
    request.extend(METADATA.to_be_bytes());
    request.extend(API_VERSION.to_be_bytes());
    request.extend(1_i32.to_be_bytes()); // correlation id
    request.extend((-1_i16).to_be_bytes()); // no client id
    request.extend((-1_i32).to_be_bytes()); // all topics
    request.push(0); // create none
    let mut stream = TcpStream::connect_timeout(&address, WITHIN).ok()?;
    stream.set_read_timeout(Some(WITHIN)).ok()?;
    let length = i32::try_from(request.len()).ok()?;
    stream.write_all(&length.to_be_bytes()).and_then(|()| stream.write_all(&request)).ok()?;
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let length = u64::try_from(i32::from_be_bytes(length)).ok()?;
    let mut answer = Vec::new();
    stream.take(length).read_to_end(&mut answer).ok()?;
    // After the correlation id and the throttle time comes the number of brokers.
    let brokers = i32::from_be_bytes(answer.get(8..12)?.try_into().ok()?);
    let names_cluster = answer.windows(cluster.len()).any(|window| window == cluster.as_bytes());
    Some(brokers > 0 && names_cluster)
}

impl Server for Kafka {
    fn process(&self) -> &Process {
        &self.process
    }

    fn process_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

impl Server for SecureKafka {
    fn process(&self) -> &Process {
        &self.kafka.process
    }

    fn process_mut(&mut self) -> &mut Process {
        &mut self.kafka.process
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cluster_ids_have_the_length_of_a_uuid_and_differ() {
        let (one, other) = (random_cluster_id(), random_cluster_id());
        assert_eq!(one.len(), 22);
        assert_ne!(one, other);
    }
}
