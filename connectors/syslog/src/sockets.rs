//! Opens sockets, and knows which connector of this worker has which address.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use connect_api::{Error, Result};
use connector_http::listener::{bind_only, way_out};
use tokio::net::{TcpListener, TcpSocket, UdpSocket, lookup_host};

use crate::{
    listener::{Listen, Transport},
    stream,
};

/// A socket that listens.
#[derive(Debug)]
pub enum Socket {
    /// Of datagrams.
    Datagrams(UdpSocket),
    /// Of connections.
    Connections(TcpListener),
}

/// An address that a connector has; dropping it gives it back.
#[derive(Debug)]
pub struct Claim(String);

impl Drop for Claim {
    fn drop(&mut self) {
        taken().remove(&self.0);
    }
}

/// The connectors of this worker by what they listen on.
static TAKEN: Mutex<BTreeMap<String, Arc<str>>> = Mutex::new(BTreeMap::new());

fn taken() -> MutexGuard<'static, BTreeMap<String, Arc<str>>> {
    TAKEN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn key(transport: Transport, address: SocketAddr) -> String {
    let kind = if transport == Transport::Udp { "udp" } else { "tcp" };
    format!("{kind} {address}")
}

/// Opens a listener for this connector. A port that is not free is a fatal error that says whose it is.
pub async fn open(listen: &Listen, owner: &Arc<str>) -> Result<(Socket, Listen, Claim)> {
    let opened = bind(listen).await.and_then(|socket| {
        let address = match &socket {
            Socket::Datagrams(socket) => socket.local_addr()?,
            Socket::Connections(socket) => socket.local_addr()?,
        };
        Ok((socket, address))
    });
    let (socket, address) = match opened {
        Ok(opened) => opened,
        Err(e) => return Err(bind_error(listen, e).await),
    };
    let key = key(listen.transport, address);
    taken().insert(key.clone(), owner.clone());
    Ok((socket, listen.bound(address), Claim(key)))
}

async fn bind(listen: &Listen) -> io::Result<Socket> {
    if listen.transport == Transport::Udp {
        return UdpSocket::bind(&listen.address).await.map(Socket::Datagrams);
    }
    let mut failure = None;
    for address in lookup_host(&listen.address).await? {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        stream::prepare(&socket)?;
        match socket.bind(address).and_then(|()| socket.listen(BACKLOG)) {
            Ok(listener) => return Ok(Socket::Connections(listener)),
            Err(e) => failure = Some(e),
        }
    }
    Err(failure.unwrap_or_else(|| io::Error::other("the name has no address")))
}

/// Connections that wait to be accepted; a fleet may come back at once.
const BACKLOG: u32 = 1024;

/// Looks whether this connector could listen there, and says how. Nothing is received meanwhile.
pub async fn look(listen: &Listen, owner: &str) -> Result<String> {
    if let Some(who) = whose(listen).await {
        return match &*who == owner {
            true => Ok(format!("the running connector listens on {listen}")),
            false => Err(bind_error(listen, io::ErrorKind::AddrInUse.into()).await),
        };
    }
    let tried = match listen.transport {
        Transport::Udp => UdpSocket::bind(&listen.address).await.map(drop),
        Transport::Tcp | Transport::Tls => bind_only(&listen.address).await.map(drop),
    };
    match tried {
        Ok(()) => Ok(format!("{listen} is free")),
        Err(e) => Err(bind_error(listen, e).await),
    }
}

/// The connector of this worker that has the address.
async fn whose(listen: &Listen) -> Option<Arc<str>> {
    let addresses: Vec<SocketAddr> = lookup_host(&listen.address).await.ok()?.collect();
    let taken = taken();
    addresses.into_iter().find_map(|address| taken.get(&key(listen.transport, address)).cloned())
}

async fn bind_error(listen: &Listen, e: io::Error) -> Error {
    const SETTING: &str = "syslog.listeners";
    let way_out = match whose(listen).await {
        Some(who) if e.kind() == io::ErrorKind::AddrInUse => {
            format!("the connector {who} of this worker has it; set {SETTING} to another one")
        }
        _ => way_out(e.kind(), SETTING),
    };
    Error::fatal(format!("listening on {listen} for syslog messages: {way_out}")).caused_by(e)
}
