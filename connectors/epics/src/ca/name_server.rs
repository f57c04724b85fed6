//! Searching over TCP: one connection to a name server, which answers searches as servers do over UDP.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{sync::mpsc, time::sleep};
use tracing::{debug, info, warn};

use super::{
    link::{Link, LinkError},
    protocol::Frame,
    search::{Found, Request},
    settings::Settings,
};

/// The time to the second attempt to connect; it doubles from there.
const FIRST_DELAY: Duration = Duration::from_millis(500);
/// The longest time between two attempts to connect.
const MAX_DELAY: Duration = Duration::from_secs(30);
/// How much may wait to be sent before further searches are left out, in bytes.
const MAX_QUEUED: usize = 64 * 1024;

/// A name server to ask.
#[derive(Debug)]
pub struct NameServer {
    /// Its address.
    pub server: SocketAddr,
    /// The settings of the client.
    pub settings: Arc<Settings>,
    /// Searches to pass on. The connection ends when no more can come.
    pub searches: mpsc::Receiver<Bytes>,
    /// Where answers go to.
    pub found: mpsc::Sender<Found>,
    /// Where to ask for searches after connecting.
    pub requests: mpsc::UnboundedSender<Request>,
}

impl NameServer {
    /// Stays connected until there is nobody to search for or to answer.
    pub async fn run(mut self) {
        let server = self.server;
        let mut delay = FIRST_DELAY;
        let mut failures = 0;
        loop {
            let mut connected = false;
            let Err(error) = self.serve(&mut connected).await else { return };
            if connected {
                (delay, failures) = (FIRST_DELAY, 0);
            }
            if failures == 0 {
                warn!(%server, error = &error as &dyn std::error::Error, "name server lost");
            } else {
                debug!(%server, error = &error as &dyn std::error::Error, "name server still missing");
            }
            failures += 1;
            sleep(delay).await;
            delay = (delay * 2).min(MAX_DELAY);
        }
    }

    async fn serve(&mut self, connected: &mut bool) -> Result<(), LinkError> {
        let mut link = Link::connect(self.server, 0, &self.settings).await?;
        *connected = true;
        info!(server = %self.server, "name server connected");
        // What was due in the meantime is due again soon.
        while self.searches.try_recv().is_ok() {}
        if self.requests.send(Request::Hurry).is_err() {
            return Ok(());
        }
        loop {
            tokio::select! {
                searches = self.searches.recv(), if link.queued() < MAX_QUEUED => match searches {
                    Some(searches) => link.send_encoded(&searches),
                    None => return Ok(()),
                },
                exchanged = link.exchange() => {
                    exchanged?;
                    while let Some(frame) = link.next_frame() {
                        let Frame::Message(message) = frame else { continue };
                        let Some(found) = Found::from_reply(&message.into(), self.server.ip()) else { continue };
                        if self.found.send(found).await.is_err() {
                            return Ok(());
                        }
                    }
                }
            }
        }
    }
}
