//! Addresses of brokers and filters of topics; pure.

use std::fmt;

/// Where a broker is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Whether TLS is spoken.
    pub tls: bool,
    /// Host, of an IPv6 address without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl Address {
    /// Reads `tcp://host:1883` or `ssl://host:8883`; the ports may be left out.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(format!("{text:?} is no address such as tcp://broker:1883 or ssl://broker:8883"));
        };
        let tls = match scheme {
            "tcp" | "mqtt" => false,
            "ssl" | "tls" | "mqtts" => true,
            "ws" | "wss" => {
                return Err(format!(
                    "{text}: MQTT over websockets is not spoken; use the broker's tcp or ssl listener"
                ));
            }
            "local" | "unix" => return Err(format!("{text}: sockets of files are not supported; use tcp or ssl")),
            _ => return Err(format!("{text}: {scheme} is none of tcp, ssl")),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '@', '?', '#', ' ']) {
            return Err(format!("{text}: expected nothing but host and port; credentials are settings of their own"));
        }
        let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, port)) => (host, Some(port.strip_prefix(':').unwrap_or(port))),
            None => match rest.rsplit_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            },
        };
        let port = match port {
            Some(port) => port.parse().ok().filter(|port| *port > 0),
            None => Some(if tls { 8883 } else { 1883 }),
        };
        match port {
            Some(port) if !host.is_empty() => Ok(Self { tls, host: host.to_owned(), port }),
            _ => Err(format!("{text}: expected a host and a port from 1 to 65535")),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "ssl" } else { "tcp" };
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

/// What begins a shared subscription.
const SHARE: &str = "$share/";

/// Whether several sessions may share a subscription to this filter.
pub fn is_shared(filter: &str) -> bool {
    filter.starts_with(SHARE)
}

/// The filter without its group, for whoever must not take messages from the group.
pub fn alone(filter: &str) -> &str {
    filter.strip_prefix(SHARE).and_then(|rest| rest.split_once('/')).map_or(filter, |(_, filter)| filter)
}

/// Whether a broker takes it for a filter.
pub fn check_filter(filter: &str) -> Result<(), String> {
    if let Some(rest) = filter.strip_prefix(SHARE) {
        match rest.split_once('/') {
            Some((group, _)) if !group.is_empty() && !group.contains(['+', '#']) => {}
            _ => return Err(format!("{filter:?} is no shared subscription such as $share/group/site/#")),
        }
    }
    let levels = alone(filter);
    let last = levels.split('/').count() - 1;
    let wrong = levels.split('/').enumerate().any(|(i, level)| match level {
        "#" => i != last,
        "+" => false,
        level => level.contains(['+', '#', '\0']),
    });
    if levels.is_empty() || levels.len() > 65_535 || wrong {
        return Err(format!("{filter:?} is no filter of topics such as site/+/alarm or site/#"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_pahos_and_mqtts() {
        let of = |text: &str| Address::parse(text).map(|a| a.to_string());
        assert_eq!(of("tcp://a").as_deref(), Ok("tcp://a:1883"));
        assert_eq!(of("mqtts://a.b/").as_deref(), Ok("ssl://a.b:8883"));
        assert_eq!(of("ssl://[::1]:8884").as_deref(), Ok("ssl://[::1]:8884"));
        for wrong in ["a:1883", "ws://a", "tcp://", "tcp://a:0", "tcp://a:x", "tcp://u:p@a", "tcp://a/b", "http://a"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn filters_are_known() {
        for good in ["a", "/", "a/+/b", "#", "+", "a/#", "$SYS/#", "$share/g/a/#", "$share/g/#"] {
            assert_eq!(check_filter(good), Ok(()), "{good}");
        }
        for wrong in ["", "a/#/b", "a+", "a/b#", "$share/g", "$share//a", "$share/+/a", "$share/g/"] {
            assert!(check_filter(wrong).is_err(), "{wrong}");
        }
        assert_eq!((alone("$share/g/a/#"), alone("a/b")), ("a/#", "a/b"));
    }
}
