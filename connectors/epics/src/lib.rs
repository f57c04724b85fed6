//! EPICS source: watches channels of EPICS control systems over Channel Access, or simulated ones, and turns what they
//! report into records.
//!
//! Both providers of channels speak the same small vocabulary ([`channel`]): a channel is added by name, after which
//! [`Event`](channel::Event)s tell when it connects, changes, fails and disconnects.
//!
//! ```text
//! ca | simulation ─events→ board ─poll→ record → changes, and alarms that differ from the topic's
//! ```
//!
//! | Module | What it holds |
//! |---|---|
//! | [`config`], [`channel_list`] | settings, and the channels that they name |
//! | [`task`] | one group of channels: from provider to records |
//! | `board` | what was reported and not yet taken: newest values, every change of alarm |
//! | [`record`] | from what channels report to records and conditions of alarms |
//! | [`channel`] | events, samples and values: what every provider of channels reports |
//! | [`alarm`] | severities and alarm statuses of EPICS records |
//! | [`ca`] | a Channel Access 4.13 client: protocol, search, circuits, settings |
//! | [`simulation`] | a provider that makes up its channels: ramps, sines and random walks with alarm limits |

pub mod alarm;
mod board;
pub mod ca;
pub mod channel;
pub mod channel_list;
pub mod config;
pub mod record;
pub mod simulation;
pub mod task;

use connect_api::{
    Check, Connector, ConnectorContext, PluginInfo, Reading, Result, Settings, SourceConnector, SourceContext,
    SourceTask, SourceTrial, async_trait, config::Problems,
};

pub use config::EpicsConfig;
use config::ProviderKind;
use task::EpicsTask;

/// The plugin behind `connector.class: epics-source`.
#[derive(Debug)]
pub struct EpicsSource {
    settings: Settings,
    channels: usize,
}

#[async_trait]
impl Connector for EpicsSource {
    type Config = EpicsConfig;

    const INFO: PluginInfo = PluginInfo {
        name: "epics-source",
        aliases: &["org.jlab.kafka.connect.CASourceConnector"],
        version: env!("CARGO_PKG_VERSION"),
        about: "Monitors EPICS channels over Channel Access, or simulated ones. Writes their changes to topics, or only \
                their alarms to the topic of active alarms, cleared by a tombstone. Each task watches a group of the \
                channels.",
    };

    fn validate(config: &EpicsConfig, problems: &mut Problems) {
        config.validate(problems);
    }

    async fn start(config: EpicsConfig, context: ConnectorContext) -> Result<Self> {
        Ok(Self { settings: context.settings, channels: config.monitor.channels()?.len() })
    }

    fn task_configs(&self, max_tasks: usize) -> Result<Vec<Settings>> {
        let groups = max_tasks.clamp(1, self.channels.max(1));
        let bound = |group: usize| group * self.channels / groups;
        let of_group = |g| self.settings.clone().with(task::GROUP, format!("{}-{}", bound(g), bound(g + 1)));
        Ok((0..groups).map(of_group).collect())
    }
}

#[async_trait]
impl SourceConnector for EpicsSource {
    async fn start_task(config: EpicsConfig, context: SourceContext) -> Result<Box<dyn SourceTask>> {
        Ok(Box::new(EpicsTask::start(config, context).await?))
    }

    // The task has channels of its own, which it only monitors.
    async fn start_trial(config: EpicsConfig, context: SourceContext) -> Result<Option<SourceTrial>> {
        let count = config.monitor.channels()?.len();
        let check = match config.monitor.provider {
            ProviderKind::Simulation => Check::Passed(format!("{count} simulated channels")),
            ProviderKind::Ca => Check::NotChecked(format!(
                "{count} channels are searched for while records are read; the note says which are not connected"
            )),
        };
        let task = EpicsTask::start(config, context).await?;
        Ok(Some(SourceTrial { check, reading: Reading::Task(Box::new(task)) }))
    }
}
