//! Where to listen: `udp://127.0.0.1:5514`.

use std::{fmt, net::SocketAddr};

use connect_api::config::{ConfigType, KeyType, split_list};

/// How messages come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// A message each datagram.
    Udp,
    /// A stream of messages.
    Tcp,
    /// The same through TLS.
    Tls,
}

impl Transport {
    const ALL: [Self; 3] = [Self::Udp, Self::Tcp, Self::Tls];

    /// Its name in records, and the scheme of its addresses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }
}

/// An address and what is spoken there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// How messages come.
    pub transport: Transport,
    /// `host:port`.
    pub address: String,
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.transport.name(), self.address)
    }
}

impl Listen {
    /// Whether it takes any free port.
    pub fn is_any_port(&self) -> bool {
        self.address.ends_with(":0")
    }

    /// With the address that was taken.
    pub fn bound(&self, address: SocketAddr) -> Self {
        Self { transport: self.transport, address: address.to_string() }
    }

    fn parse(text: &str) -> Option<Self> {
        let (scheme, address) = text.split_once("://")?;
        let transport = Transport::ALL.into_iter().find(|t| t.name() == scheme)?;
        let (host, port) = address.rsplit_once(':')?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        // An IPv6 address without brackets would lose its end to the port.
        let right = !host.is_empty() && (bare.is_some() || !host.contains(':')) && !host.contains(['/', '@', ' ']);
        (right && port.parse::<u16>().is_ok()).then(|| Self { transport, address: address.to_owned() })
    }
}

/// A list of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listens(pub Vec<Listen>);

impl ConfigType for Listens {
    const KIND: KeyType = KeyType::List;

    fn parse(text: &str) -> Result<Self, String> {
        let (mut all, mut wrong): (Vec<Listen>, Vec<String>) = (Vec::new(), Vec::new());
        for one in split_list(text) {
            let Some(listen) = Listen::parse(&one) else {
                wrong.push(format!("{one:?} is no listener such as udp://127.0.0.1:5514; there are udp, tcp and tls"));
                continue;
            };
            // What TLS and TCP share is the port.
            let port = |l: &Listen| (l.transport == Transport::Udp, l.address.clone());
            if !listen.is_any_port() && all.iter().any(|other| port(other) == port(&listen)) {
                wrong.push(format!("{one} is taken twice"));
            }
            all.push(listen);
        }
        if !wrong.is_empty() {
            return Err(wrong.join("; "));
        }
        if all.is_empty() {
            return Err("Empty list".into());
        }
        Ok(Self(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_urls() {
        let text = "udp://127.0.0.1:5514, tcp://127.0.0.1:5514,tls://[::1]:6514,tcp://[::]:0,tcp://[::]:0";
        let parsed = Listens::parse(text).expect("listeners");
        assert_eq!(parsed.0.len(), 5);
        assert_eq!(parsed.0[2].to_string(), "tls://[::1]:6514");
        for wrong in [
            "",
            "127.0.0.1:514",
            "udp://127.0.0.1",
            "relp://h:1",
            "udp://:514",
            "udp://::1:514",
            "udp://h:65536",
            "tcp://h:1/x",
            "tcp://h:1,tls://h:1",
            "udp://h:1,udp://h:1",
        ] {
            assert!(Listens::parse(wrong).is_err(), "{wrong}");
        }
        let all = Listens::parse("relp://h:1,udp://h:1,h:2,udp://h:1").expect_err("three");
        let named = ["\"relp://h:1\" is no", "\"h:2\" is no", "udp://h:1 is taken twice"];
        assert!(named.iter().all(|text| all.contains(text)), "{all}");
    }
}
