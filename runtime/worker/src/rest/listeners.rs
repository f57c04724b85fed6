//! Where the REST API listens (config.md §1): `listeners`, `admin.listeners`, and the address that others are told.

use std::net::SocketAddr;

use connect_api::{
    Error, Result,
    config::{Problems, split_list},
};

use super::{
    basic_auth::BasicAuth,
    browsers::{Cors, HeaderRule, header_rules},
    server::Bound,
    tls,
};
use crate::worker_config::{Worker, listener};

/// One address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Whether it speaks TLS.
    pub https: bool,
    /// Empty means all interfaces.
    pub host: String,
    /// 0 means any that is free.
    pub port: u16,
}

/// Where log levels are set.
enum AdminOn {
    Main,
    Nowhere,
    Own(Vec<Listener>),
}

/// All that the worker's settings say about how the REST API is reached.
pub struct Surface {
    main: Vec<Listener>,
    admin: AdminOn,
    tls: Option<tls::Acceptor>,
    admin_tls: Option<tls::Acceptor>,
    pub(super) cors: Option<Cors>,
    pub(super) headers: Vec<HeaderRule>,
    pub(super) auth: Option<BasicAuth>,
    host: Option<String>,
    port: Option<u16>,
    scheme: Option<String>,
}

impl Surface {
    /// Reads the settings and the files that they name. The error lists every problem.
    pub fn read(worker: &Worker) -> Result<Self, Problems> {
        let (config, settings) = (&worker.config, &worker.settings);
        let mut problems = Problems::new();
        let mut parsed = |key: &str, texts: &[String]| -> Vec<Listener> {
            let read = |text: &String| listener(text).map_err(|e| problems.add(key, format!("{key}: {e}"))).ok();
            texts.iter().filter_map(read).collect()
        };
        let main = parsed("listeners", &config.listeners);
        let admin = match settings.get("admin.listeners").map(|text| split_list(text.trim())) {
            None => AdminOn::Main,
            Some(none) if none.is_empty() => AdminOn::Nowhere,
            Some(own) => AdminOn::Own(parsed("admin.listeners", &own)),
        };
        let mut acceptor = |prefix: &str, listeners: &[Listener]| {
            let made = listeners.iter().any(|l| l.https).then(|| tls::acceptor(settings, prefix))?;
            made.map_err(|(key, text)| problems.add(key, text)).ok()
        };
        let tls = acceptor("listeners.https.", &main);
        let admin_tls = match &admin {
            AdminOn::Own(own) => acceptor("admin.listeners.https.", own),
            _ => None,
        };
        let auth = if config.rest_extensions.is_empty() {
            None
        } else {
            BasicAuth::read(config.jaas_file.as_deref()).map_err(|(key, text)| problems.add(key, text)).ok()
        };
        let headers = header_rules(&config.response_headers).unwrap_or_else(|e| {
            problems.invalid("response.http.headers.config", &config.response_headers, &e);
            Vec::new()
        });
        let port = config.advertised_port.map(u16::try_from).transpose().unwrap_or_else(|_| {
            problems.add("rest.advertised.port", "rest.advertised.port is no port from 0 to 65535");
            None
        });
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self {
            main,
            admin,
            tls,
            admin_tls,
            cors: Cors::new(&config.cors_origin, &config.cors_methods),
            headers,
            auth,
            host: config.advertised_host.clone(),
            port,
            scheme: config.advertised_listener.as_ref().map(|s| s.to_ascii_lowercase()),
        })
    }

    /// Whether log levels are set on the main listeners.
    pub(super) fn admin_on_main(&self) -> bool {
        matches!(self.admin, AdminOn::Main)
    }

    /// Binds all listeners: the main ones, and those for log levels alone.
    pub async fn bind(&self) -> Result<(Vec<Bound>, Vec<Bound>)> {
        let main = bind(&self.main, self.tls.as_ref(), "listeners").await?;
        let admin = match &self.admin {
            AdminOn::Own(own) => bind(own, self.admin_tls.as_ref(), "admin.listeners").await?,
            _ => Vec::new(),
        };
        Ok((main, admin))
    }

    /// Host and port that others are told; part of the worker's id in every status.
    pub fn advertised(&self, bound: &[Bound]) -> Result<String> {
        let scheme = match &self.scheme {
            Some(scheme) => scheme.clone(),
            None if self.main.iter().any(|l| !l.https) => "http".into(),
            None => "https".into(),
        };
        let of = self.main.iter().zip(bound).find(|(l, _)| l.https == (scheme == "https"));
        let Some((listener, bound)) = of else {
            return Err(Error::fatal(format!(
                "rest.advertised.listener is {scheme}, but listeners names no {scheme} address"
            )));
        };
        let host = self.host.clone().unwrap_or_else(|| match bound.address().ip() {
            ip if ip.is_unspecified() && listener.host.is_empty() => "127.0.0.1".to_owned(),
            ip if listener.host.is_empty() => ip.to_string(),
            _ => shown_host(&listener.host, bound.address()),
        });
        Ok(format!("{host}:{}", self.port.unwrap_or(bound.address().port())))
    }
}

/// A name as it was configured, an address as it was bound.
fn shown_host(host: &str, address: SocketAddr) -> String {
    if host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_unspecified()) {
        return "127.0.0.1".into();
    }
    if address.is_ipv6() && host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

async fn bind(listeners: &[Listener], tls: Option<&tls::Acceptor>, key: &str) -> Result<Vec<Bound>> {
    let mut all = Vec::new();
    for l in listeners {
        all.push(Bound::bind(&l.host, l.port, tls.filter(|_| l.https).cloned(), key).await?);
    }
    Ok(all)
}
