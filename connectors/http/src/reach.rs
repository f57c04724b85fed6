//! Whether a server takes connections, and what is wrong with its certificate, which a failed request does not tell.

use std::{env, time::Duration};

use connect_api::{Error, Result};
use reqwest::Url;

use crate::handshake::{self, ClientFiles};
use tokio::{net::TcpStream, time::timeout};

const LIMIT: Duration = Duration::from_secs(5);

/// Whether requests may go through a proxy, which then is who connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProxyUse {
    Never,
    Always,
    /// As the environment says.
    Environment,
}

impl ProxyUse {
    pub(crate) fn of(setting: Option<&str>) -> Self {
        match setting {
            None => Self::Environment,
            Some("none") => Self::Never,
            Some(_) => Self::Always,
        }
    }

    fn may_be(self) -> bool {
        let names = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
        match self {
            Self::Never => false,
            Self::Always => true,
            Self::Environment => names.iter().any(|name| env::var_os(name).is_some_and(|value| !value.is_empty())),
        }
    }
}

/// Makes a connection to the URL's server, with TLS where the URL says so, and closes it. `place` is how the server is
/// called.
pub(crate) async fn reach(url: &Url, place: String, proxy: ProxyUse, files: &ClientFiles) -> Result<()> {
    if proxy.may_be() {
        // Only a request would try it.
        return Ok(());
    }
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let port = url.port_or_known_default().unwrap_or_default();
    let doing = || Error::retriable(format!("connecting to {place}"));
    let late = || doing().caused_by(format!("no answer within {} s", LIMIT.as_secs()));
    let stream = match timeout(LIMIT, TcpStream::connect((host.as_str(), port))).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(e)) => return Err(doing().caused_by(e)),
        Err(_) => return Err(late()),
    };
    if url.scheme() == "https" {
        timeout(LIMIT, handshake::shake(stream, &host, &place, files)).await.map_err(|_| late())??;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_is_reached_without_a_request_and_one_that_is_not_there_is_named() {
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("port");
        let none = ClientFiles::default();
        let url: Url = format!("http://{}/x", server.local_addr().expect("address")).parse().expect("url");
        reach(&url, "here".into(), ProxyUse::Never, &none).await.expect("there");
        let (mut stream, _) = server.accept().await.expect("a connection");
        let mut read = Vec::new();
        let ended = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut read).await;
        assert_eq!((ended.expect("closed"), read), (0, Vec::new()), "nothing was sent");
        drop(server);
        let e = reach(&url, "here".into(), ProxyUse::Never, &none).await.expect_err("gone");
        assert_eq!(e.message(), "connecting to here");
        reach(&url, "here".into(), ProxyUse::of(Some("http://proxy")), &none).await.expect("not tried");
    }
}
