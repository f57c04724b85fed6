//! Where channels come from.

use connect_api::{Error, Result};
use tokio::sync::mpsc;

use crate::{
    ca::{self, Client},
    catalogue::Share,
    channel::{ChannelId, Event},
    channel_list::ChannelSpec,
    config::{MonitorConfig, ProviderKind, environment},
    simulation::Simulation,
};

/// A running provider.
pub(crate) enum Provider {
    /// Channel Access.
    Ca(Client),
    /// Made-up channels, all known from the start.
    Simulation(Simulation),
}

impl Provider {
    pub(crate) async fn start<'a>(
        config: &MonitorConfig,
        channels: impl Iterator<Item = &'a ChannelSpec>,
        share: Share,
    ) -> Result<(Provider, mpsc::Receiver<Event>)> {
        match config.provider {
            ProviderKind::Ca => {
                let settings = ca::Settings::read(&config.overrides(), environment).map_err(|all| {
                    let texts: Vec<String> = all.iter().map(ToString::to_string).collect();
                    Error::fatal(texts.join("; "))
                })?;
                let started = Client::start(settings).await;
                let (client, events) =
                    started.map_err(|e| Error::retriable("starting the channel access client").caused_by(e))?;
                Ok((Provider::Ca(client), events))
            }
            ProviderKind::Simulation => {
                let simulated = channels.filter_map(|channel| channel.simulated.as_deref().cloned()).collect();
                // Tasks are to walk different ways; each adds its channels' numbers to the seed.
                let seed = config.seed.cast_unsigned().wrapping_add(share.index() << 32);
                let started = Simulation::start(simulated, seed);
                let (simulation, events) = started.map_err(|e| Error::fatal("starting the simulation").caused_by(e))?;
                Ok((Provider::Simulation(simulation), events))
            }
        }
    }

    pub(crate) fn add(&self, channel: &ChannelSpec) -> ChannelId {
        match self {
            Provider::Ca(client) => client.add(channel.name.clone(), channel.subscription),
            Provider::Simulation(simulation) => simulation.add(&channel.name, channel.subscription.mask),
        }
    }

    pub(crate) fn remove(&self, id: ChannelId) {
        match self {
            Provider::Ca(client) => client.remove(id),
            Provider::Simulation(simulation) => simulation.remove(id),
        }
    }

    pub(crate) async fn stop(self) {
        match self {
            Provider::Ca(client) => client.stop().await,
            Provider::Simulation(simulation) => simulation.stop().await,
        }
    }
}
