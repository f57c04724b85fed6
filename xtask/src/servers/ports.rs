//! Free ports on loopback.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};

use super::{Cache, Error, Result};

// Below what systems give to outgoing connections: a client that keeps trying a stopped server could otherwise be given
// the server's own port and connect to itself, and the server could not come back.
const FIRST: u16 = 20_000;
const COUNT: u16 = 10_000;

/// A port on 127.0.0.1, TCP and UDP, that no other test server is given while this value lives.
///
/// The claim outlasts the server, so that the port is still free when the server comes back.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _claim: File,
}

impl Port {
    /// Finds a free port.
    pub fn claim() -> Result<Self> {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let claims = Cache::open()?.root().join("ports");
        fs::create_dir_all(&claims).map_err(Error::io(format!("creating {}", claims.display())))?;
        // Processes begin at different places, so that they rarely meet.
        let start = (std::process::id() % 500) as u16 * 20;
        for _ in 0..COUNT {
            let number = FIRST + (start + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT) % COUNT;
            let path = claims.join(number.to_string());
            let claim = File::create(&path).map_err(Error::io(format!("creating {}", path.display())))?;
            if claim.try_lock().is_ok() && is_free(number) {
                return Ok(Self { number, _claim: claim });
            }
        }
        Err(Error::Answer { doing: "looking for a free port".into(), answer: "all are taken".into() })
    }

    /// Finds several free ports.
    pub fn claim_many<const N: usize>() -> Result<[Self; N]> {
        let mut ports = Vec::with_capacity(N);
        for _ in 0..N {
            ports.push(Self::claim()?);
        }
        ports
            .try_into()
            .map_err(|_| Error::Answer { doing: "looking for free ports".into(), answer: "there are too few".into() })
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// `127.0.0.1:` and its number.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.number)
    }
}

fn is_free(number: u16) -> bool {
    let address = (Ipv4Addr::LOCALHOST, number);
    TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn claimed_ports_are_free_and_differ() {
        let ports = Port::claim_many::<20>().unwrap();
        let mut numbers: Vec<_> = ports.iter().map(Port::number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 20);
        for port in &ports {
            assert!(is_free(port.number()), "{}", port.address());
        }
    }
}
