//! The client against a TLS server that has its own authority and asks for a certificate.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    path::Path,
};

use connect_api::{ErrorClass, Result, Settings, config::Config};
use connector_http::{Answer, Client, HttpConfig, Keys, Method, Url};
use openssl::{
    asn1::Asn1Time,
    hash::MessageDigest,
    pkey::{PKey, Private},
    rsa::Rsa,
    ssl::{SslAcceptor, SslMethod, SslVerifyMode},
    x509::{
        X509, X509Builder, X509NameBuilder,
        extension::{BasicConstraints, SubjectAlternativeName},
    },
};

const KEYS: Keys = Keys { url: "x.url", credentials: "x.token" };

type Pair = (X509, PKey<Private>);

fn certificate(name: &str, issuer: Option<&Pair>) -> Pair {
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let mut subject = X509NameBuilder::new().unwrap();
    subject.append_entry_by_text("CN", name).unwrap();
    let subject = subject.build();
    let mut builder = X509Builder::new().unwrap();
    builder.set_version(2).unwrap();
    builder.set_subject_name(&subject).unwrap();
    builder.set_issuer_name(issuer.map_or(&*subject, |(ca, _)| ca.subject_name())).unwrap();
    builder.set_pubkey(&key).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(2).unwrap()).unwrap();
    if issuer.is_none() {
        builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
    } else {
        let names = SubjectAlternativeName::new().ip("127.0.0.1").build(&builder.x509v3_context(None, None)).unwrap();
        builder.append_extension(names).unwrap();
    }
    builder.sign(issuer.map_or(&key, |(_, key)| key), MessageDigest::sha256()).unwrap();
    (builder.build(), key)
}

/// Answers every request with 204 once the client has shown a certificate of the authority.
fn serve(ca: &Pair) -> SocketAddr {
    let (certificate, key) = certificate("server", Some(ca));
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).unwrap();
    acceptor.set_certificate(&certificate).unwrap();
    acceptor.set_private_key(&key).unwrap();
    acceptor.cert_store_mut().add_cert(ca.0.clone()).unwrap();
    acceptor.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
    let (acceptor, socket) = (acceptor.build(), TcpListener::bind("127.0.0.1:0").unwrap());
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((stream, _)) = socket.accept() {
            // Handshakes are meant to fail here, too.
            if let Ok(mut stream) = acceptor.accept(stream)
                && stream.read(&mut [0; 4096]).is_ok_and(|n| n > 0)
            {
                let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
                let _ = stream.shutdown();
            }
        }
    });
    address
}

async fn post(address: SocketAddr, files: &[(&str, &Path)]) -> Result<Answer> {
    let mut settings = Settings::from([("http.proxy", "none"), ("http.request.timeout.ms", "5000")]);
    for (key, file) in files {
        settings.set(*key, file.to_str().unwrap());
    }
    let client = Client::new(&HttpConfig::parse(&settings).unwrap(), KEYS).unwrap();
    let request = client.request(Method::POST, Url::parse(&format!("https://{address}/")).unwrap());
    client.deliver(request, || "posting".into()).await
}

#[tokio::test]
async fn the_authority_and_the_certificate_of_the_settings_are_used() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, pem: Vec<u8>| {
        let path = dir.path().join(name);
        fs::write(&path, pem).unwrap();
        path
    };
    let ca = certificate("authority", None);
    let (certificate, key) = certificate("client", Some(&ca));
    let ca_file = file("ca.pem", ca.0.to_pem().unwrap());
    let certificate_file = file("client.pem", certificate.to_pem().unwrap());
    let key_file = file("client.key", key.private_key_to_pem_pkcs8().unwrap());
    let address = serve(&ca);

    let e = post(address, &[]).await.unwrap_err();
    assert_eq!(e.class(), ErrorClass::Fatal, "an unknown authority needs a person: {e:?}");
    assert!(e.message().contains("set http.tls.ca.file"), "{e}");
    assert!(e.report().contains("certificate verify failed"), "{}", e.report());
    let trust = ("http.tls.ca.file", ca_file.as_path());
    post(address, &[trust]).await.expect_err("without a certificate");
    let identity = [("http.tls.certificate.file", &*certificate_file), ("http.tls.key.file", &*key_file)];
    let answer = post(address, &[trust, identity[0], identity[1]]).await.unwrap();
    assert_eq!(answer.status, 204);
}
