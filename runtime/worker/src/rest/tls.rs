//! TLS of the REST API from Java's `ssl.*` settings: PEM and PKCS#12 stores, through the OpenSSL that Kafka clients use.

use std::{fs, sync::Arc};

use connect_api::Settings;
use openssl::{
    pkcs12::{ParsedPkcs12_2, Pkcs12},
    pkey::PKey,
    ssl::{SslAcceptor, SslMethod, SslVerifyMode, SslVersion},
    x509::{X509, store::X509StoreBuilder},
};

/// Accepts connections.
pub(super) type Acceptor = Arc<SslAcceptor>;

/// A key, and what is wrong with its value.
type Wrong = (String, String);

/// What is read. Others would be ignored, so they are refused.
pub(crate) const KNOWN: &[&str] = &[
    "ssl.keystore.type",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.keystore.key",
    "ssl.keystore.certificate.chain",
    "ssl.key.password",
    "ssl.truststore.type",
    "ssl.truststore.location",
    "ssl.truststore.password",
    "ssl.truststore.certificates",
    "ssl.client.auth",
    "ssl.enabled.protocols",
    "ssl.protocol",
];

/// The acceptor of these settings: those with the prefix, and only if there is none those without.
pub(super) fn acceptor(settings: &Settings, prefix: &str) -> Result<Acceptor, Wrong> {
    let own = settings.prefixed(prefix);
    let (prefix, settings) = if own.has_prefix("ssl.") {
        (prefix, own)
    } else {
        ("", settings.iter().filter(|(k, _)| k.starts_with("ssl.")).collect())
    };
    let read = Reader { prefix, settings };
    read.acceptor().map_err(|(key, text)| (format!("{prefix}{key}"), format!("{prefix}{key}: {text}")))
}

struct Reader<'a> {
    prefix: &'a str,
    settings: Settings,
}

fn at<E: std::fmt::Display>(key: &str, doing: &str) -> impl FnOnce(E) -> Wrong + use<E> {
    let (key, doing) = (key.to_owned(), doing.to_owned());
    move |e| (key, format!("{doing}: {e}"))
}

impl Reader<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.settings.get(key).map(str::trim).filter(|v| !v.is_empty())
    }

    fn acceptor(&self) -> Result<Acceptor, Wrong> {
        // Without prefix the keys serve Kafka clients, too, which know more of them.
        if !self.prefix.is_empty()
            && let Some(unknown) = self.settings.keys().find(|k| k.starts_with("ssl.") && !KNOWN.contains(k))
        {
            return Err((unknown.to_owned(), format!("it is not supported here; known are {}", KNOWN.join(", "))));
        }
        let failed = |what: &'static str| at::<openssl::error::ErrorStack>("ssl.keystore.location", what);
        let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).map_err(failed("preparing TLS"))?;
        let (key, chain) = self.identity()?;
        let mut chain = chain.into_iter();
        let Some(own) = chain.next() else {
            return Err(("ssl.keystore.location".into(), "the store holds no certificate".into()));
        };
        builder.set_private_key(&key).map_err(failed("using the private key"))?;
        builder.set_certificate(&own).map_err(failed("using the certificate"))?;
        for certificate in chain {
            builder.add_extra_chain_cert(certificate).map_err(failed("using the certificate chain"))?;
        }
        builder.check_private_key().map_err(failed("the private key is not that of the certificate"))?;
        let trusted = self.trusted()?;
        let mode = match self.get("ssl.client.auth").unwrap_or("none") {
            "none" => SslVerifyMode::NONE,
            "requested" => SslVerifyMode::PEER,
            "required" => SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT,
            other => {
                return Err(("ssl.client.auth".into(), format!("it is none of required, requested, none: {other}")));
            }
        };
        if mode != SslVerifyMode::NONE && trusted.is_empty() {
            let text = "it is needed where ssl.client.auth asks for certificates: they are checked by it";
            return Err(("ssl.truststore.location".into(), text.into()));
        }
        let failed = |what: &'static str| at::<openssl::error::ErrorStack>("ssl.truststore.location", what);
        let mut store = X509StoreBuilder::new().map_err(failed("preparing TLS"))?;
        for certificate in &trusted {
            builder.add_client_ca(certificate).map_err(failed("using a trusted certificate"))?;
            store.add_cert(certificate.clone()).map_err(failed("using a trusted certificate"))?;
        }
        builder.set_cert_store(store.build());
        builder.set_verify(mode);
        self.protocols(&mut builder)?;
        Ok(Arc::new(builder.build()))
    }

    fn protocols(&self, builder: &mut openssl::ssl::SslAcceptorBuilder) -> Result<(), Wrong> {
        let key = if self.get("ssl.enabled.protocols").is_some() { "ssl.enabled.protocols" } else { "ssl.protocol" };
        let Some(text) = self.get(key) else { return Ok(()) };
        let mut versions = Vec::new();
        for name in text.split(',').map(str::trim) {
            versions.push(match name {
                "TLSv1.2" => 2,
                "TLSv1.3" => 3,
                // The highest of ssl.protocol, which is what peers agree on anyway.
                "TLS" => continue,
                other => return Err((key.into(), format!("it is none of TLSv1.2, TLSv1.3: {other}"))),
            });
        }
        let version = |n: &i32| if *n == 2 { SslVersion::TLS1_2 } else { SslVersion::TLS1_3 };
        let lowest = if key == "ssl.protocol" { None } else { versions.iter().min().map(version) };
        let set = builder.set_min_proto_version(lowest.or(Some(SslVersion::TLS1_2)));
        set.and_then(|()| builder.set_max_proto_version(versions.iter().max().map(version)))
            .map_err(at(key, "setting the versions"))
    }

    /// The worker's key and its certificates, its own one first.
    fn identity(&self) -> Result<(PKey<openssl::pkey::Private>, Vec<X509>), Wrong> {
        let password = self.get("ssl.key.password").or(self.get("ssl.keystore.password")).unwrap_or_default();
        if let Some(key) = self.get("ssl.keystore.key") {
            let chain = self.get("ssl.keystore.certificate.chain").ok_or_else(|| {
                let text = "it is needed with ssl.keystore.key: the certificate of that key";
                ("ssl.keystore.certificate.chain".to_owned(), text.to_owned())
            })?;
            return Ok((
                private_key("ssl.keystore.key", key.as_bytes(), password)?,
                pem("ssl.keystore.certificate.chain", chain.as_bytes())?,
            ));
        }
        let Some(path) = self.get("ssl.keystore.location") else {
            let text = "https listeners need it: a PEM or PKCS#12 file with the key and the certificate of this worker";
            return Err(("ssl.keystore.location".into(), text.into()));
        };
        match self.store("keystore", path)? {
            Store::Pem(bytes) => {
                Ok((private_key("ssl.keystore.location", &bytes, password)?, pem("ssl.keystore.location", &bytes)?))
            }
            Store::Pkcs12(store) => {
                let missing = |what: &str| ("ssl.keystore.location".to_owned(), format!("{path} holds no {what}"));
                let key = store.pkey.ok_or_else(|| missing("private key"))?;
                let own = store.cert.ok_or_else(|| missing("certificate of its key"))?;
                Ok((key, std::iter::once(own).chain(store.ca.into_iter().flatten()).collect()))
            }
        }
    }

    /// The certificates by which those of clients are checked.
    fn trusted(&self) -> Result<Vec<X509>, Wrong> {
        if let Some(text) = self.get("ssl.truststore.certificates") {
            return pem("ssl.truststore.certificates", text.as_bytes());
        }
        let Some(path) = self.get("ssl.truststore.location") else { return Ok(Vec::new()) };
        match self.store("truststore", path)? {
            Store::Pem(bytes) => pem("ssl.truststore.location", &bytes),
            Store::Pkcs12(store) => Ok(store.cert.into_iter().chain(store.ca.into_iter().flatten()).collect()),
        }
    }

    /// Opens a store by what it holds; what its type says is checked against it.
    fn store(&self, which: &str, path: &str) -> Result<Store, Wrong> {
        let location = format!("ssl.{which}.location");
        let bytes = fs::read(path).map_err(at(&location, &format!("reading {path}")))?;
        let held = match bytes.as_slice() {
            [0xFE, 0xED, 0xFE, 0xED, ..] => {
                let convert = format!(
                    "keytool -importkeystore -srckeystore {path} -destkeystore {path}.p12 -deststoretype pkcs12"
                );
                return Err((location, format!("{path} is a JKS store; convert it: {convert}")));
            }
            [0x30, ..] => "PKCS12",
            _ => "PEM",
        };
        let key = format!("ssl.{which}.type");
        // Java's default is JKS, which opens PKCS#12 stores, too.
        match self.get(&key).map(str::to_ascii_uppercase).as_deref() {
            None | Some("JKS") => {}
            Some(declared) if declared == held => {}
            Some(declared) => return Err((key, format!("{path} is not a {declared} file but {held}"))),
        }
        if held == "PEM" {
            return Ok(Store::Pem(bytes));
        }
        let password = format!("ssl.{which}.password");
        let opened = Pkcs12::from_der(&bytes).and_then(|p| p.parse2(self.get(&password).unwrap_or_default()));
        let wrong = format!("opening {path}: the password is wrong, or it is no PKCS#12 store");
        opened.map(|store| Store::Pkcs12(Box::new(store))).map_err(at(&password, &wrong))
    }
}

enum Store {
    Pem(Vec<u8>),
    Pkcs12(Box<ParsedPkcs12_2>),
}

fn private_key(key: &str, bytes: &[u8], password: &str) -> Result<PKey<openssl::pkey::Private>, Wrong> {
    PKey::private_key_from_pem_passphrase(bytes, password.as_bytes()).map_err(at(key, "reading the private key"))
}

fn pem(key: &str, bytes: &[u8]) -> Result<Vec<X509>, Wrong> {
    let found = X509::stack_from_pem(bytes).map_err(at(key, "reading certificates"))?;
    if found.is_empty() {
        return Err((key.to_owned(), "it holds no certificate in PEM".into()));
    }
    Ok(found)
}
