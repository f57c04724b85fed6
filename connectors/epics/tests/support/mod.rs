//! A client under test with bounded waits for its events.

#![allow(dead_code, reason = "each test program uses some of it")]

pub mod ioc;
pub mod worker;

use std::{net::SocketAddr, time::Duration};

use connector_epics::{
    ca::{Client, Overrides, Settings},
    channel::{ChannelId, Event, Mask, Sample},
};
use tokio::{sync::mpsc, time::timeout};

/// Everything that is waited for happens within this, also on a busy machine.
pub const LONG: Duration = Duration::from_secs(20);

/// Value and alarm changes.
pub const VALUE_AND_ALARM: Mask = Mask::VALUE.with(Mask::ALARM);

pub struct Monitor {
    pub client: Client,
    pub events: mpsc::Receiver<Event>,
}

impl Monitor {
    /// Searches at `server` by UDP.
    pub async fn of(server: SocketAddr) -> Monitor {
        Monitor::with(settings(Overrides { addr_list: Some(server.to_string()), ..Overrides::default() })).await
    }

    pub async fn with(settings: Settings) -> Monitor {
        let (client, events) = Client::start(settings).await.expect("the client starts");
        Monitor { client, events }
    }

    pub fn add(&self, name: &str) -> ChannelId {
        self.client.add(name, VALUE_AND_ALARM)
    }

    pub async fn next(&mut self) -> Event {
        timeout(LONG, self.events.recv()).await.expect("an event in time").expect("the client runs")
    }

    /// Passes over events until `pick` takes one.
    pub async fn wait<T>(&mut self, what: &str, mut pick: impl FnMut(&Event) -> Option<T>) -> T {
        let found = timeout(LONG, async {
            loop {
                let event = self.events.recv().await.expect("the client runs");
                if let Some(found) = pick(&event) {
                    return found;
                }
            }
        });
        found.await.unwrap_or_else(|_| panic!("waiting for {what}"))
    }

    /// The next update of a channel.
    pub async fn update(&mut self, id: ChannelId) -> Sample {
        self.wait("an update", |event| match event {
            Event::Update { id: found, sample } if *found == id => Some(sample.clone()),
            _ => None,
        })
        .await
    }

    /// An update of each of these channels, in whatever order. Nothing fails or disconnects meanwhile.
    pub async fn updates<const N: usize>(&mut self, ids: [ChannelId; N]) {
        let mut missing = ids.to_vec();
        while !missing.is_empty() {
            match self.next().await {
                Event::Update { id, .. } => missing.retain(|known| *known != id),
                Event::Connected { .. } => {}
                other => panic!("{other:?} while waiting for updates"),
            }
        }
    }
}

/// Settings without the automatic address list and beacons, that search often, unless told otherwise, and know no variable
/// of the environment.
pub fn settings(overrides: Overrides) -> Settings {
    let repeater_port = overrides.repeater_port.or(Some(0));
    let max_search_period = overrides.max_search_period.or(Some(0.5));
    let defaults = Overrides { auto_addr_list: Some(false), max_search_period, repeater_port, ..overrides };
    Settings::read(&defaults, |_| None).expect("valid settings")
}

/// Settings of a connector that searches at `server` only and often, and listens to no beacons; and `more`.
pub fn connector_at(server: SocketAddr, more: &[(&str, &str)]) -> connect_api::Settings {
    let server = server.to_string();
    let base = [
        ("monitor.addr.list", server.as_str()),
        ("monitor.auto.addr.list", "false"),
        ("monitor.max.search.period", "0.5"),
        ("monitor.repeater.port", "0"),
    ];
    base.iter().chain(more).copied().collect()
}
