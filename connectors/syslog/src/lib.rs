//! Syslog source: receives messages of RFC 5424 and RFC 3164 over UDP, TCP and TLS.
//!
//! Neither transport has acknowledgements. Datagrams that find no room are dropped, which is counted and said;
//! connections are not read while Kafka takes nothing, so that senders wait.
//!
//! - [`config`]: the settings; [`listener`]: where to listen
//! - [`sockets`]: opens sockets. [`udp`]: reads datagrams; [`stream`]: reads connections; [`framing`]: messages out of
//!   streams of bytes, pure
//! - [`intake`]: what was read and waits, bounded; [`kernel_drops`], [`meters`]: what is counted
//! - [`task`]: makes records of it
//! - [`message`]: a message and how its format is found; [`rfc5424`], [`rfc3164`], [`clock`], [`text`]: how it is read;
//!   pure
//! - [`record`]: from a message to its record; [`confluent`]: as Confluent's connector writes it; pure

pub mod clock;
pub mod config;
pub mod confluent;
pub mod framing;
pub mod intake;
pub mod kernel_drops;
pub mod listener;
pub mod message;
pub mod meters;
pub mod record;
pub mod rfc3164;
pub mod rfc5424;
pub mod sockets;
pub mod stream;
pub mod task;
pub mod text;
pub mod udp;

use connect_api::{
    Check, Connector, ConnectorContext, PluginInfo, Reading, Result, Settings, SourceConnector, SourceContext,
    SourceTask, SourceTrial, async_trait, config::Problems,
};

use config::Chosen;
pub use config::SyslogSourceConfig;

/// The connector.
#[derive(Debug)]
pub struct SyslogSource(Settings);

#[async_trait]
impl Connector for SyslogSource {
    type Config = SyslogSourceConfig;

    const INFO: PluginInfo = PluginInfo {
        name: "syslog-source",
        aliases: &["io.confluent.connect.syslog.SyslogSourceConnector"],
        version: env!("CARGO_PKG_VERSION"),
        about: "Receives syslog messages of RFC 5424 and RFC 3164, with what devices make of the latter, over UDP, TCP \
                (RFC 6587) and TLS (RFC 5425), on any number of ports. Nothing of that is acknowledged to senders. \
                Over UDP, messages that come while too many wait for Kafka are dropped, which the status and the \
                metrics tell, also of those that the kernel drops. Over TCP and TLS nothing more is read then, and \
                senders wait or keep what they have. What was read is stored before the connector stops, as far as \
                Kafka takes it in time, and lost when the worker is killed. There is one task, whatever tasks.max \
                says.",
    };

    fn validate(config: &SyslogSourceConfig, problems: &mut Problems) {
        config.check(problems);
    }

    async fn start(_config: SyslogSourceConfig, context: ConnectorContext) -> Result<Self> {
        Ok(Self(context.settings))
    }

    fn task_configs(&self, _max_tasks: usize) -> Result<Vec<Settings>> {
        Ok(vec![self.0.clone()])
    }
}

#[async_trait]
impl SourceConnector for SyslogSource {
    async fn start_task(config: SyslogSourceConfig, context: SourceContext) -> Result<Box<dyn SourceTask>> {
        Ok(Box::new(task::SyslogTask::start(config, context).await?))
    }

    // What is received cannot be received again, so only who stores it may take it.
    async fn start_trial(config: SyslogSourceConfig, context: SourceContext) -> Result<Option<SourceTrial>> {
        config.acceptor()?;
        let mut found = Vec::new();
        for listen in config.listens() {
            found.push(sockets::look(&listen, context.connector()).await?);
        }
        let why = "messages are received by the running connector alone, as nobody sends them again: send one to it, \
                   such as by logger --server, and look at its topic";
        Ok(Some(SourceTrial { check: Check::Passed(found.join("; ")), reading: Reading::Impossible(why.into()) }))
    }
}
