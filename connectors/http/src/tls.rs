//! TLS of listeners, through the OpenSSL that is linked anyway.

use std::{fs, pin::Pin, sync::Arc};

use connect_api::{Error, Result};
use openssl::{
    error::ErrorStack,
    pkey::PKey,
    ssl::{self, Ssl, SslAcceptor, SslMethod, SslVerifyMode, SslVersion},
    x509::{X509, store::X509StoreBuilder},
};
use tokio::net::TcpStream;
pub use tokio_openssl::SslStream;

/// Accepts connections.
pub type Acceptor = Arc<SslAcceptor>;

/// A PEM file and the setting that names it.
#[derive(Debug, Clone, Copy)]
pub struct PemFile<'a> {
    /// The setting, for errors.
    pub setting: &'static str,
    /// Where the file is.
    pub path: &'a str,
}

/// What a listener shows to its clients and asks of them.
#[derive(Debug, Clone, Copy)]
pub struct ServerFiles<'a> {
    /// The listener, as errors call it.
    pub listener: &'static str,
    /// Its certificate and, behind that, its chain.
    pub certificate: PemFile<'a>,
    /// The key of the certificate.
    pub key: PemFile<'a>,
    /// What the key is encrypted with.
    pub password: Option<&'a str>,
    /// Authorities of clients: only those with a certificate of theirs are let in.
    pub client_ca: Option<PemFile<'a>>,
}

/// The acceptor of these files. Errors are fatal and name the file.
pub fn acceptor(files: &ServerFiles<'_>) -> Result<Acceptor> {
    let doing = format!("preparing TLS of {}", files.listener);
    let prepare = |e: ErrorStack| Error::fatal(doing.clone()).caused_by(e);
    // No protocols to choose from: a listener speaks one.
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).map_err(prepare)?;
    builder.set_min_proto_version(Some(SslVersion::TLS1_2)).map_err(prepare)?;
    let pem = files.key.read()?;
    // Without a password, an encrypted key would ask whoever sits at the terminal.
    let key = PKey::private_key_from_pem_callback(&pem, |room| {
        let password = files.password.unwrap_or_default().as_bytes();
        Ok(room.get_mut(..password.len()).map_or(0, |room| {
            room.copy_from_slice(password);
            password.len()
        }))
    });
    let expected =
        if files.password.is_some() { "a private key with that password" } else { "an unencrypted private key" };
    let key = key.map_err(files.key.wrong(expected))?;
    let mut chain = files.certificate.certificates()?.into_iter();
    for (n, one) in chain.by_ref().enumerate() {
        let set = if n == 0 { builder.set_certificate(&one) } else { builder.add_extra_chain_cert(one) };
        set.map_err(files.certificate.wrong("a certificate that can be used"))?;
    }
    let used = builder.set_private_key(&key).and_then(|()| builder.check_private_key());
    used.map_err(files.key.wrong("the key of the certificate"))?;
    if let Some(file) = &files.client_ca {
        let mut store = X509StoreBuilder::new().map_err(prepare)?;
        for one in file.certificates()? {
            builder.add_client_ca(&one).map_err(prepare)?;
            store.add_cert(one).map_err(prepare)?;
        }
        builder.set_cert_store(store.build());
        builder.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
        // Without it, clients with certificates that resume a session are turned away.
        builder.set_session_id_context(b"tocsin").map_err(prepare)?;
    }
    Ok(Arc::new(builder.build()))
}

/// Shakes hands with a client; the caller bounds the time.
pub async fn accept(acceptor: &Acceptor, stream: TcpStream) -> std::result::Result<SslStream<TcpStream>, ssl::Error> {
    let mut stream = SslStream::new(Ssl::new(acceptor.context())?, stream)?;
    Pin::new(&mut stream).accept().await?;
    Ok(stream)
}

impl PemFile<'_> {
    pub(crate) fn read(&self) -> Result<Vec<u8>> {
        fs::read(self.path).map_err(|e| Error::fatal(format!("reading {} ({})", self.path, self.setting)).caused_by(e))
    }

    pub(crate) fn certificates(&self) -> Result<Vec<X509>> {
        let found = X509::stack_from_pem(&self.read()?).map_err(self.wrong("certificates"))?;
        if found.is_empty() {
            let text = format!("reading {} ({}): there is no certificate in it", self.path, self.setting);
            return Err(Error::fatal(text));
        }
        Ok(found)
    }

    pub(crate) fn wrong(&self, expected: &str) -> impl FnOnce(ErrorStack) -> Error + use<> {
        let message = format!("reading {} ({}): expected {expected}", self.path, self.setting);
        move |e| Error::fatal(message).caused_by(e)
    }
}
