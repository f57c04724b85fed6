//! Reads datagrams.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use connect_api::{CancellationToken, time::now_ms};
use socket2::SockRef;
use tokio::net::UdpSocket;

use crate::{framing::too_long, intake::Intake, listener::Listen, record::Arrival};

/// The largest datagram.
const LARGEST: usize = 65_536;
/// So many are read before others have their turn.
const AT_ONCE: usize = 256;
/// Pause after an error of the socket: trying at once only burns time.
const PAUSE: Duration = Duration::from_millis(100);

/// Asks the kernel for a buffer of this size; says if it gives less.
pub fn set_buffer(socket: &UdpSocket, size: usize) -> io::Result<()> {
    let socket = SockRef::from(socket);
    socket.set_recv_buffer_size(size)?;
    // Linux says twice of what one may use.
    let got = socket.recv_buffer_size()? / 2;
    if got < size {
        tracing::warn!(
            "the kernel gives a buffer of {got} bytes in place of syslog.udp.receive.buffer={size}: net.core.rmem_max can be raised"
        );
    }
    Ok(())
}

/// Reads until it is stopped, and then what the kernel holds.
pub async fn receive(
    socket: UdpSocket,
    listener: Arc<Listen>,
    limit: usize,
    intake: Intake,
    stopping: CancellationToken,
) {
    let mut buffer = vec![0; LARGEST];
    let take = |found: (usize, SocketAddr)| {
        let (length, remote) = found;
        let arrival = Arrival { listener: listener.clone(), remote, received: now_ms() };
        let wrong = (length > limit).then(|| too_long(limit));
        (length.min(limit), wrong, arrival)
    };
    loop {
        let ready = tokio::select! {
            biased;
            () = stopping.cancelled() => break,
            ready = socket.readable() => ready,
        };
        let mut outcome = ready;
        for _ in 0..AT_ONCE {
            match socket.try_recv_from(&mut buffer) {
                Ok(found) => {
                    let (length, wrong, arrival) = take(found);
                    intake.offer(&buffer[..length], wrong, arrival);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) => {
                    outcome = Err(e);
                    break;
                }
            }
        }
        match outcome {
            Ok(()) => tokio::task::yield_now().await,
            Err(e) => {
                tracing::warn!(error = %e, "receiving datagrams on {listener}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    // What has arrived is not lost by stopping.
    for _ in 0..LARGEST {
        let Ok(found) = socket.try_recv_from(&mut buffer) else { break };
        let (length, wrong, arrival) = take(found);
        intake.offer(&buffer[..length], wrong, arrival);
    }
}
