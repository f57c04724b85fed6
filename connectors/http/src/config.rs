//! Settings of the client, and how a connector joins them with its own.

use std::{ops::Deref, time::Duration};

use connect_api::config::{Config, ConfigDef, Key, Millis, Problems, Reader, Secret};
use reqwest::Url;

connect_api::config! {
    /// How requests are sent: time limits, TLS, proxy.
    #[derive(Debug, Clone)]
    pub struct HttpConfig {
        /// Longest time for connecting to the server, in milliseconds.
        connect_timeout: Millis = Key::new("http.connect.timeout.ms").default("10000").check(positive),
        /// Longest time for a whole request with its answer, in milliseconds. One that fails in a way that passes is sent
        /// again after a back-off, or when the answer's Retry-After says so, at the latest after an hour.
        request_timeout: Millis = Key::new("http.request.timeout.ms").default("30000").check(positive),
        /// PEM file with certificates of authorities to trust besides those of the system.
        ca_file: Option<String> = Key::new("http.tls.ca.file").low(),
        /// PEM file with the client's certificate and, if needed, its chain.
        certificate_file: Option<String> = Key::new("http.tls.certificate.file").low(),
        /// PEM file (PKCS#8) with the key of the client's certificate.
        key_file: Option<String> = Key::new("http.tls.key.file").low(),
        /// URL of the proxy, or "none"; without it the environment decides (HTTP_PROXY, HTTPS_PROXY, NO_PROXY).
        proxy: Option<String> = Key::new("http.proxy").low().check(proxy),
        /// User name for the proxy.
        proxy_username: Option<String> = Key::new("http.proxy.username").low(),
        /// Password for the proxy.
        proxy_password: Option<Secret> = Key::new("http.proxy.password").low(),
    }
}

connect_api::config! {
    /// How the server knows us.
    #[derive(Debug, Clone)]
    pub struct AuthConfig {
        /// User name for basic authentication.
        username: Option<String> = Key::new("http.username"),
        /// Password for basic authentication.
        password: Option<Secret> = Key::new("http.password"),
        /// Token for bearer authentication.
        token: Option<Secret> = Key::new("http.token"),
    }
}

impl HttpConfig {
    /// Rules that span several keys.
    pub fn validate(&self, problems: &mut Problems) {
        if self.certificate_file.is_some() != self.key_file.is_some() {
            let key = if self.key_file.is_some() { "http.tls.certificate.file" } else { "http.tls.key.file" };
            problems.add(key, "http.tls.certificate.file and http.tls.key.file must be set together");
        }
        if self.proxy_username.is_some() && self.proxy.is_none() {
            problems.add("http.proxy", "http.proxy.username needs http.proxy");
        }
        if self.proxy_password.is_some() && self.proxy_username.is_none() {
            problems.add("http.proxy.username", "http.proxy.password needs http.proxy.username");
        }
    }
}

impl AuthConfig {
    /// Rules that span several keys.
    pub fn validate(&self, problems: &mut Problems) {
        if self.token.is_some() && self.username.is_some() {
            problems.add("http.token", "http.token and http.username exclude each other: set one of them");
        }
        if self.password.is_some() && self.username.is_none() {
            problems.add("http.username", "http.password needs http.username");
        }
    }
}

/// Two structs of settings as one: a connector's own and those it shares with others.
///
/// The own ones are reached by dereferencing.
#[derive(Debug, Clone)]
pub struct Joined<A, B> {
    /// The connector's own settings.
    pub own: A,
    /// The shared ones.
    pub with: B,
}

impl<A: Config, B: Config> Config for Joined<A, B> {
    fn definition() -> ConfigDef {
        let mut definition = A::definition();
        definition.embed("", &B::definition());
        definition
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        // Both are read before either is judged, so that every problem is found.
        let (own, with) = (A::read(reader), B::read(reader));
        Some(Self { own: own?, with: with? })
    }
}

impl<A, B> Deref for Joined<A, B> {
    type Target = A;

    fn deref(&self) -> &A {
        &self.own
    }
}

/// Checks that a text is a URL of a server: `http` or `https`, with a host, without user and password.
pub fn server_url(text: &str) -> Result<(), String> {
    let url = Url::parse(text).map_err(|e| format!("Not a URL: {e}"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("URL must start with http:// or https://".into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("URL must not hold user name and password: there are settings for them".into());
    }
    Ok(())
}

/// The URL of a path below a server's URL, whose own path is kept as a prefix, with a query.
pub fn url_with(base: &str, path: &str, query: &[(&str, String)]) -> Result<Url, String> {
    let mut url = Url::parse(base).map_err(|e| format!("Not a URL: {e}"))?;
    let joined = format!("{}/{path}", url.path().trim_end_matches('/'));
    url.set_path(&joined);
    url.query_pairs_mut().extend_pairs(query);
    Ok(url)
}

/// Refuses a duration of zero.
pub fn positive(value: &Millis) -> Result<(), String> {
    if value.0 > Duration::ZERO { Ok(()) } else { Err("Value must be at least 1".into()) }
}

fn proxy(value: &Option<String>) -> Result<(), String> {
    match value.as_deref() {
        None | Some("none") => Ok(()),
        Some(url) => server_url(url),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use connect_api::Settings;

    #[test]
    fn joined_settings_are_read_in_order_and_all_problems_found() {
        let given = Settings::from([("http.username", "u"), ("http.connect.timeout.ms", "5")]);
        let config = Joined::<AuthConfig, HttpConfig>::parse(&given).expect("right");
        assert_eq!(config.username.as_deref(), Some("u"));
        assert_eq!(config.with.connect_timeout.0, Duration::from_millis(5));
        let given = Settings::from([("http.connect.timeout.ms", "0"), ("http.proxy", "ftp://x")]);
        assert_eq!(Joined::<AuthConfig, HttpConfig>::parse(&given).expect_err("two problems").len(), 2);
    }

    #[test]
    fn urls_with_credentials_or_other_schemes_are_refused() {
        assert!(server_url("http://h:8086/prefix").is_ok());
        for wrong in ["h:8086", "ftp://h", "http://u:p@h", "http://u@h", "nonsense"] {
            assert!(server_url(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn halves_of_pairs_are_problems() {
        let given = Settings::from([("http.tls.key.file", "k"), ("http.proxy.password", "p")]);
        let mut problems = Problems::new();
        HttpConfig::parse(&given).expect("single keys are right").validate(&mut problems);
        let keys: Vec<&str> = problems.iter().map(|p| p.key.as_str()).collect();
        assert_eq!(keys, ["http.tls.certificate.file", "http.proxy.username"]);
    }
}
