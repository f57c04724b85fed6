//! TLS to brokers, through the OpenSSL that is linked anyway.

use std::fs;

use connect_api::{Error, Result, config::Secret};
use openssl::{
    error::ErrorStack,
    pkcs12::Pkcs12,
    pkey::{PKey, Private},
    ssl::{SslConnector, SslMethod, SslVersion},
    x509::{X509, store::X509StoreBuilder},
};

use crate::{MqttConfig, config};

const TRUST_STORE: &str = "mqtt.ssl.trust.store.path";
const KEY_STORE: &str = "mqtt.ssl.key.store.path";
const KEY_FILE: &str = "mqtt.ssl.key.path";

/// What makes TLS of a connection. Errors are fatal and name the file.
pub(crate) fn connector(config: &MqttConfig) -> Result<SslConnector> {
    let prepare = |e: ErrorStack| Error::fatal("preparing TLS to the broker").caused_by(e);
    let mut builder = SslConnector::builder(SslMethod::tls_client()).map_err(prepare)?;
    builder.set_min_proto_version(Some(SslVersion::TLS1_2)).map_err(prepare)?;
    if let Some(path) = config::given(&config.trust_store) {
        let mut store = X509StoreBuilder::new().map_err(prepare)?;
        for one in authorities(path, config::secret(&config.trust_store_password))? {
            store.add_cert(one).map_err(prepare)?;
        }
        builder.set_cert_store(store.build());
    }
    if let Some(path) = config::given(&config.key_store) {
        let identity = identity(config, path)?;
        let wrong = wrong(KEY_STORE, path, "a certificate and its private key");
        let mut chain = identity.chain.into_iter();
        let used = (|| {
            if let Some(own) = chain.next() {
                builder.set_certificate(&own)?;
            }
            chain.try_for_each(|one| builder.add_extra_chain_cert(one))?;
            builder.set_private_key(&identity.key)?;
            builder.check_private_key()
        })();
        used.map_err(wrong)?;
    }
    Ok(builder.build())
}

struct Identity {
    /// The own certificate first.
    chain: Vec<X509>,
    key: PKey<Private>,
}

fn identity(config: &MqttConfig, path: &str) -> Result<Identity> {
    let store_password = config::secret(&config.key_store_password);
    let bytes = read(KEY_STORE, path)?;
    if is_pkcs12(KEY_STORE, path, &bytes)? {
        let opened = open(KEY_STORE, path, &bytes, store_password)?;
        let (Some(own), Some(key)) = (opened.cert, opened.pkey) else {
            return Err(Error::fatal(format!(
                "reading {path} ({KEY_STORE}): there is no certificate with a key in it"
            )));
        };
        let rest = opened.ca.into_iter().flatten();
        return Ok(Identity { chain: std::iter::once(own).chain(rest).collect(), key });
    }
    let chain = X509::stack_from_pem(&bytes).map_err(wrong(KEY_STORE, path, "certificates"))?;
    if chain.is_empty() {
        return Err(Error::fatal(format!("reading {path} ({KEY_STORE}): there is no certificate in it")));
    }
    let (setting, path, bytes) = match config::given(&config.key_file) {
        Some(file) => (KEY_FILE, file, read(KEY_FILE, file)?),
        None => (KEY_STORE, path, bytes),
    };
    let password = config::secret(&config.key_password).or(store_password).map_or("", Secret::reveal);
    let expected = "a private key, with its password in mqtt.ssl.key.password if it is encrypted";
    // Without a password of the right length nobody at a terminal is asked.
    let key = PKey::private_key_from_pem_passphrase(&bytes, password.as_bytes());
    Ok(Identity { chain, key: key.map_err(wrong(setting, path, expected))? })
}

fn authorities(path: &str, password: Option<&Secret>) -> Result<Vec<X509>> {
    let bytes = read(TRUST_STORE, path)?;
    let found = if is_pkcs12(TRUST_STORE, path, &bytes)? {
        let opened = open(TRUST_STORE, path, &bytes, password)?;
        opened.ca.into_iter().flatten().chain(opened.cert).collect()
    } else {
        X509::stack_from_pem(&bytes).map_err(wrong(TRUST_STORE, path, "certificates"))?
    };
    if found.is_empty() {
        return Err(Error::fatal(format!("reading {path} ({TRUST_STORE}): there is no certificate in it")));
    }
    Ok(found)
}

fn open(setting: &str, path: &str, bytes: &[u8], password: Option<&Secret>) -> Result<openssl::pkcs12::ParsedPkcs12_2> {
    let opened = Pkcs12::from_der(bytes).and_then(|store| store.parse2(password.map_or("", Secret::reveal)));
    opened.map_err(wrong(setting, path, "a PKCS#12 store that the password in the setting beside it opens"))
}

/// Whether it is that or PEM.
fn is_pkcs12(setting: &str, path: &str, bytes: &[u8]) -> Result<bool> {
    match bytes {
        [0xFE, 0xED, 0xFE, 0xED, ..] => Err(Error::fatal(format!(
            "reading {path} ({setting}): it is a JKS store; convert it: keytool -importkeystore -srckeystore {path} \
             -destkeystore {path}.p12 -deststoretype pkcs12"
        ))),
        [0x30, ..] => Ok(true),
        _ => Ok(false),
    }
}

fn read(setting: &str, path: &str) -> Result<Vec<u8>> {
    fs::read(path).map_err(|e| Error::fatal(format!("reading {path} ({setting})")).caused_by(e))
}

fn wrong(setting: &str, path: &str, expected: &str) -> impl FnOnce(ErrorStack) -> Error + use<> {
    let message = format!("reading {path} ({setting}): expected {expected}");
    move |e| Error::fatal(message).caused_by(e)
}
