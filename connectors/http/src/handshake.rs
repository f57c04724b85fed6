//! The TLS handshake of a test call, which says what is wrong with the server's certificate.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use connect_api::{Error, Result};
use openssl::{
    error::ErrorStack,
    pkey::PKey,
    ssl::{SslConnector, SslMethod, SslVerifyMode},
    x509::X509Ref,
};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

use crate::{HttpConfig, tls::PemFile};

/// Paths of what the client shows and trusts.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClientFiles {
    authorities: Option<String>,
    certificate: Option<String>,
    key: Option<String>,
}

impl ClientFiles {
    pub(crate) fn of(config: &HttpConfig) -> Self {
        Self {
            authorities: config.ca_file.clone(),
            certificate: config.certificate_file.clone(),
            key: config.key_file.clone(),
        }
    }

    /// A connector that trusts the system's authorities, and those of the settings.
    fn connector(&self, seen: Seen) -> Result<SslConnector> {
        let prepare = |e: ErrorStack| Error::fatal("preparing TLS").caused_by(e);
        let mut builder = SslConnector::builder(SslMethod::tls_client()).map_err(prepare)?;
        let system = openssl_probe::probe();
        for dir in &system.cert_dir {
            builder.load_verify_locations(None, Some(dir)).map_err(prepare)?;
        }
        if let Some(file) = &system.cert_file {
            builder.load_verify_locations(Some(file), None).map_err(prepare)?;
        }
        if let Some(path) = &self.authorities {
            for one in (PemFile { setting: "http.tls.ca.file", path }).certificates()? {
                builder.cert_store_mut().add_cert(one).map_err(prepare)?;
            }
        }
        if let (Some(path), Some(key)) = (&self.certificate, &self.key) {
            let file = PemFile { setting: "http.tls.certificate.file", path };
            for (n, one) in file.certificates()?.into_iter().enumerate() {
                let set = if n == 0 { builder.set_certificate(&one) } else { builder.add_extra_chain_cert(one) };
                set.map_err(file.wrong("a certificate that can be used"))?;
            }
            let file = PemFile { setting: "http.tls.key.file", path: key };
            // Without a password of the right length nobody at a terminal is asked.
            let key = PKey::private_key_from_pem_passphrase(&file.read()?, b"");
            let key = key.map_err(file.wrong("an unencrypted private key"))?;
            let used = builder.set_private_key(&key).and_then(|()| builder.check_private_key());
            used.map_err(file.wrong("the key of the certificate"))?;
        }
        builder.set_verify_callback(SslVerifyMode::PEER, move |right, chain| {
            if chain.error_depth() == 0
                && let Some(certificate) = chain.current_cert()
            {
                *seen.lock().unwrap_or_else(PoisonError::into_inner) = names(certificate);
            }
            right
        });
        Ok(builder.build())
    }
}

/// The names of the server's own certificate.
type Seen = Arc<Mutex<Vec<String>>>;

/// Shakes hands with a server that is to be this host. The caller bounds the time.
pub(crate) async fn shake(stream: TcpStream, host: &str, place: &str, files: &ClientFiles) -> Result<()> {
    let seen = Seen::default();
    let prepare = |e: ErrorStack| Error::fatal("preparing TLS").caused_by(e);
    let ssl = files.connector(seen.clone())?.configure().and_then(|c| c.into_ssl(host)).map_err(prepare)?;
    let mut stream = SslStream::new(ssl, stream).map_err(prepare)?;
    let Err(e) = Pin::new(&mut stream).connect().await else { return Ok(()) };
    let doing = format!("connecting to {place} with TLS");
    let names = seen.lock().unwrap_or_else(PoisonError::into_inner).join(", ");
    Err(match stream.ssl().verify_result().as_raw() {
        RIGHT if e.to_string().contains("wrong version number") => {
            Error::fatal(format!("{doing}: the server does not speak TLS there; correct the port, or write http://"))
        }
        RIGHT => Error::retriable(doing),
        HOST_MISMATCH | ADDRESS_MISMATCH => Error::fatal(format!(
            "{doing}: the server's certificate is for {names}, not for {host}; write one of its names into the URL"
        )),
        EXPIRED => Error::fatal(format!("{doing}: the server's certificate for {names} has expired; renew it")),
        _ => Error::fatal(format!(
            "{doing}: the server's certificate for {names} is of no authority that is trusted; set http.tls.ca.file to the \
             certificate of its authority"
        )),
    }
    .caused_by(e))
}

// OpenSSL's numbers (x509_vfy.h), of which the crate names few.
const RIGHT: i32 = 0;
const EXPIRED: i32 = 10;
const HOST_MISMATCH: i32 = 62;
const ADDRESS_MISMATCH: i32 = 64;

fn names(certificate: &X509Ref) -> Vec<String> {
    let alternative = certificate.subject_alt_names().into_iter().flatten();
    let names: Vec<String> = alternative
        .filter_map(|name| {
            let address = || match name.ipaddress()? {
                [a, b, c, d] => Some(std::net::Ipv4Addr::new(*a, *b, *c, *d).to_string()),
                bytes => <[u8; 16]>::try_from(bytes).ok().map(|b| std::net::Ipv6Addr::from(b).to_string()),
            };
            name.dnsname().map(str::to_owned).or_else(address)
        })
        .collect();
    if !names.is_empty() {
        return names;
    }
    // Names of a subject count where there are no others.
    let common = certificate.subject_name().entries_by_nid(openssl::nid::Nid::COMMONNAME);
    let common = common.filter_map(|entry| entry.data().to_string().ok());
    let names: Vec<String> = common.collect();
    if names.is_empty() { vec!["no name".into()] } else { names }
}
