//! EPICS source: watches channels of EPICS control systems over Channel Access, or simulated ones, and turns what they
//! report into records.
//!
//! Both providers of channels speak the same small vocabulary ([`channel`]): a channel is added by name, after which
//! [`Event`](channel::Event)s tell when it connects, changes, fails and disconnects.
//!
//! ```text
//! ca | simulation ─events→ board ─poll→ record → changes, and alarms that differ from the topic's
//! settings, file, command topic → catalogue ─add, remove→ ca
//! ```
//!
//! | Module | What it holds |
//! |---|---|
//! | [`config`] | settings |
//! | [`channel_list`], `ranges`, `commands`, `channel_file` | channels as settings, commands and files name them |
//! | `catalogue` | the channels that are wanted now, and each task's share of them |
//! | [`task`] | one share of the channels: from provider to records |
//! | `provider`, `pump` | events from where channels come from, brought to the board |
//! | `board`, `gate` | what was reported and not yet taken: newest values beyond the deadband, every change of alarm |
//! | [`record`] | from what channels report to records and conditions of alarms |
//! | `alarms` | from conditions to changes of the topic of alarms |
//! | `notes` | what the task says of itself in its status |
//! | [`channel`] | events, samples and values: what every provider of channels reports |
//! | [`alarm`] | severities and alarm statuses of EPICS records |
//! | [`ca`] | a Channel Access 4.13 client: protocol, search, circuits, beacons, settings |
//! | [`simulation`] | a provider that makes up its channels: ramps, sines and random walks with alarm limits |

pub mod alarm;
mod alarms;
mod board;
pub mod ca;
mod catalogue;
pub mod channel;
mod channel_file;
pub mod channel_list;
mod commands;
pub mod config;
mod gate;
mod notes;
mod provider;
mod pump;
mod ranges;
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
    /// How many tasks have something to do; none where channels come and go.
    most_tasks: Option<usize>,
}

#[async_trait]
impl Connector for EpicsSource {
    type Config = EpicsConfig;

    const INFO: PluginInfo = PluginInfo {
        name: "epics-source",
        aliases: &[config::JVM_CLASS],
        version: env!("CARGO_PKG_VERSION"),
        about: "Monitors EPICS channels over Channel Access, or simulated ones. Writes their changes to topics, or only \
                their alarms to the topic of active alarms, cleared by a tombstone. Channels come from the settings, a \
                file and a command topic, which are followed; each task watches a share of them.",
    };

    fn validate(config: &EpicsConfig, problems: &mut Problems) {
        config.validate(problems);
    }

    async fn start(config: EpicsConfig, context: ConnectorContext) -> Result<Self> {
        for key in config.without_effect() {
            tracing::info!("{key} has no effect here");
        }
        let channels = channel_list::read(&config.monitor)?.len();
        Ok(Self { settings: context.settings, most_tasks: (!config.is_followed()).then_some(channels) })
    }

    fn task_configs(&self, max_tasks: usize) -> Result<Vec<Settings>> {
        let tasks = max_tasks.min(self.most_tasks.unwrap_or(max_tasks)).max(1);
        Ok((0..tasks).map(|n| self.settings.clone().with(task::SHARE, format!("{n}/{tasks}"))).collect())
    }
}

#[async_trait]
impl SourceConnector for EpicsSource {
    async fn start_task(config: EpicsConfig, context: SourceContext) -> Result<Box<dyn SourceTask>> {
        Ok(Box::new(EpicsTask::start(config, context).await?))
    }

    // The task has channels of its own, which it only monitors.
    async fn start_trial(config: EpicsConfig, context: SourceContext) -> Result<Option<SourceTrial>> {
        let provider = config.monitor.provider;
        let task = EpicsTask::start(config, context).await?;
        let count = task.watched();
        let check = match provider {
            ProviderKind::Simulation => Check::Passed(format!("{count} simulated channels")),
            ProviderKind::Ca => Check::NotChecked(format!(
                "{count} channels are searched for while records are read; the note says which are not connected"
            )),
        };
        Ok(Some(SourceTrial { check, reading: Reading::Task(Box::new(task)) }))
    }
}
