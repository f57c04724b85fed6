//! TLS of the listener, through the OpenSSL that is linked anyway.

use std::{fs, sync::Arc};

use connect_api::{Error, Result};
use openssl::{
    error::ErrorStack,
    pkey::PKey,
    ssl::{SslAcceptor, SslMethod, SslVerifyMode, SslVersion},
    x509::{X509, store::X509StoreBuilder},
};

use crate::ListenConfig;

/// Accepts connections.
pub(crate) type Acceptor = Arc<SslAcceptor>;

/// The acceptor of these settings; none if they do not ask for TLS. Errors are fatal and name the file.
pub(crate) fn acceptor(config: &ListenConfig) -> Result<Option<Acceptor>> {
    let (Some(certificate), Some(key)) = (&config.certificate_file, &config.key_file) else { return Ok(None) };
    let prepare = |e: ErrorStack| Error::fatal("preparing TLS of the webhook listener").caused_by(e);
    // No protocols to choose from: only HTTP/1.1 is spoken.
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).map_err(prepare)?;
    builder.set_min_proto_version(Some(SslVersion::TLS1_2)).map_err(prepare)?;
    let pem = read("webhook.tls.key.file", key)?;
    // An encrypted key would ask whoever sits at the terminal.
    let key = PKey::private_key_from_pem_callback(&pem, |_| Ok(0));
    let key = key.map_err(wrong("webhook.tls.key.file", key_file(config), "an unencrypted private key"))?;
    let mut chain = certificates("webhook.tls.certificate.file", certificate)?.into_iter();
    for (n, one) in chain.by_ref().enumerate() {
        let set = if n == 0 { builder.set_certificate(&one) } else { builder.add_extra_chain_cert(one) };
        set.map_err(wrong("webhook.tls.certificate.file", certificate, "a certificate that can be used"))?;
    }
    let used = builder.set_private_key(&key).and_then(|()| builder.check_private_key());
    used.map_err(wrong("webhook.tls.key.file", key_file(config), "the key of the certificate"))?;
    if let Some(file) = &config.client_ca_file {
        let mut store = X509StoreBuilder::new().map_err(prepare)?;
        for one in certificates("webhook.tls.client.ca.file", file)? {
            builder.add_client_ca(&one).map_err(prepare)?;
            store.add_cert(one).map_err(prepare)?;
        }
        builder.set_cert_store(store.build());
        builder.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
    }
    Ok(Some(Arc::new(builder.build())))
}

fn key_file(config: &ListenConfig) -> &str {
    config.key_file.as_deref().unwrap_or_default()
}

fn read(setting: &str, file: &str) -> Result<Vec<u8>> {
    fs::read(file).map_err(|e| Error::fatal(format!("reading {file} ({setting})")).caused_by(e))
}

fn certificates(setting: &'static str, file: &str) -> Result<Vec<X509>> {
    let found = X509::stack_from_pem(&read(setting, file)?).map_err(wrong(setting, file, "certificates"))?;
    if found.is_empty() {
        return Err(Error::fatal(format!("reading {file} ({setting}): there is no certificate in it")));
    }
    Ok(found)
}

fn wrong(setting: &str, file: &str, expected: &str) -> impl FnOnce(ErrorStack) -> Error + use<> {
    let message = format!("reading {file} ({setting}): expected {expected}");
    move |e| Error::fatal(message).caused_by(e)
}
