//! The client against a TLS server that has its own authority and asks for a certificate, and the listener as such a
//! server.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
    time::Duration,
};

use connect_api::{ErrorClass, Result, Settings, config::Config};
use connector_http::{Answer, Client, HttpConfig, Keys, ListenConfig, Listener, Method, Reply, StatusCode, Url};
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
    post_to(&format!("https://{address}/"), files).await
}

async fn post_to(url: &str, files: &[(&str, &Path)]) -> Result<Answer> {
    let mut settings = Settings::from([("http.proxy", "none"), ("http.request.timeout.ms", "5000")]);
    for (key, file) in files {
        settings.set(*key, file.to_str().unwrap());
    }
    let client = Client::new(&HttpConfig::parse(&settings).unwrap(), KEYS).unwrap();
    let request = client.request(Method::POST, Url::parse(url).unwrap());
    client.deliver(request, || "posting".into()).await
}

/// Files with an authority, a client and a server.
struct Files {
    dir: tempfile::TempDir,
    ca: Pair,
}

impl Files {
    fn new() -> Self {
        let files = Self { dir: tempfile::tempdir().unwrap(), ca: certificate("authority", None) };
        fs::write(files.path("ca.pem"), files.ca.0.to_pem().unwrap()).unwrap();
        for name in ["client", "server"] {
            let (certificate, key) = certificate(name, Some(&files.ca));
            fs::write(files.path(&format!("{name}.pem")), certificate.to_pem().unwrap()).unwrap();
            fs::write(files.path(&format!("{name}.key")), key.private_key_to_pem_pkcs8().unwrap()).unwrap();
        }
        files
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    async fn post(&self, address: SocketAddr, files: &[(&str, &str)]) -> Result<Answer> {
        let paths: Vec<_> = files.iter().map(|(key, name)| (*key, self.path(name))).collect();
        post(address, &paths.iter().map(|(key, path)| (*key, path.as_path())).collect::<Vec<_>>()).await
    }

    async fn listen(&self, files: &[(&str, &str)]) -> Result<Listener> {
        let mut settings = Settings::from([("webhook.listen", "127.0.0.1:0"), ("webhook.client.timeout.ms", "500")]);
        settings.set("webhook.connections", "1");
        for (key, name) in files {
            settings.set(format!("webhook.tls.{key}"), self.path(name).to_str().unwrap());
        }
        Listener::open(&ListenConfig::parse(&settings).unwrap()).await
    }
}

const TRUST: (&str, &str) = ("http.tls.ca.file", "ca.pem");
const IDENTITY: [(&str, &str); 2] = [("http.tls.certificate.file", "client.pem"), ("http.tls.key.file", "client.key")];
const SERVER: [(&str, &str); 2] = [("certificate.file", "server.pem"), ("key.file", "server.key")];

#[tokio::test]
async fn the_listener_speaks_tls_and_asks_for_certificates() {
    let files = Files::new();
    let handler: connector_http::listener::Handler =
        Arc::new(|_| Box::pin(async { Reply::new(StatusCode::OK, "stored") }));
    let listener = files.listen(&SERVER).await.unwrap();
    let _route = listener.route("/", "first", 10, handler.clone()).unwrap();
    // Neither who says nothing nor who speaks plainly keeps the only place.
    let _silent = std::net::TcpStream::connect(listener.address()).unwrap();
    let mut plain = std::net::TcpStream::connect(listener.address()).unwrap();
    plain.write_all(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n").unwrap();
    assert_eq!(files.post(listener.address(), &[TRUST]).await.unwrap().status, 200);
    plain.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut answer = Vec::new();
    // It may be reset: its request was never read.
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "nothing is answered without TLS");

    let strict = files.listen(&[SERVER[0], SERVER[1], ("client.ca.file", "ca.pem")]).await.unwrap();
    let _route = strict.route("/", "first", 10, handler).unwrap();
    files.post(strict.address(), &[TRUST]).await.expect_err("without a certificate");
    let answer = files.post(strict.address(), &[TRUST, IDENTITY[0], IDENTITY[1]]).await.unwrap();
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn files_of_the_listener_that_are_wrong_are_named() {
    let files = Files::new();
    for (given, expected) in [
        (("key.file", "none.key"), "none.key (webhook.tls.key.file)"),
        (("key.file", "server.pem"), "server.pem (webhook.tls.key.file): expected an unencrypted private key"),
        (("key.file", "client.key"), "client.key (webhook.tls.key.file): expected the key of the certificate"),
        (("certificate.file", "server.key"), "(webhook.tls.certificate.file): "),
        (("client.ca.file", "server.key"), "(webhook.tls.client.ca.file): "),
    ] {
        let mut all = SERVER.to_vec();
        all.retain(|(key, _)| *key != given.0);
        all.push(given);
        let e = files.listen(&all).await.unwrap_err();
        assert_eq!(e.class(), ErrorClass::Fatal);
        assert!(e.message().contains(expected), "{e}");
    }
}

#[tokio::test]
async fn the_authority_and_the_certificate_of_the_settings_are_used() {
    let files = Files::new();
    let address = serve(&files.ca);

    let e = files.post(address, &[]).await.unwrap_err();
    assert_eq!(e.class(), ErrorClass::Fatal, "an unknown authority needs a person: {e:?}");
    assert!(e.message().contains("set http.tls.ca.file"), "{e}");
    assert!(e.report().contains("certificate verify failed"), "{}", e.report());
    files.post(address, &[TRUST]).await.expect_err("without a certificate");
    let answer = files.post(address, &[TRUST, IDENTITY[0], IDENTITY[1]]).await.unwrap();
    assert_eq!(answer.status, 204);
}

#[tokio::test]
async fn a_test_call_says_what_is_wrong_with_a_certificate() {
    let files = Files::new();
    let handler: connector_http::listener::Handler =
        Arc::new(|_| Box::pin(async { Reply::new(StatusCode::OK, "stored") }));
    let listener = files.listen(&SERVER).await.unwrap();
    let _route = listener.route("/", "first", 10, handler).unwrap();
    let plain = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain_port = plain.local_addr().unwrap().port();
    tokio::spawn(async move {
        use tokio::io::AsyncWriteExt;
        let (mut stream, _) = plain.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        std::future::pending::<()>().await;
    });
    let ca = files.path("ca.pem");
    let reach = async |host: &str, port: u16, trusted: bool| {
        let mut settings = Settings::from([("http.proxy", "none")]);
        if trusted {
            settings.set("http.tls.ca.file", ca.to_str().unwrap());
        }
        let client = Client::new(&HttpConfig::parse(&settings).unwrap(), KEYS).unwrap();
        client.reach(&Url::parse(&format!("https://{host}:{port}/")).unwrap()).await
    };
    let port = listener.address().port();
    reach("127.0.0.1", port, true).await.unwrap();
    for (host, port, trusted, expected) in [
        ("localhost", port, true, "the server's certificate is for 127.0.0.1, not for localhost"),
        (
            "127.0.0.1",
            port,
            false,
            "certificate for 127.0.0.1 is of no authority that is trusted; set http.tls.ca.file",
        ),
        ("127.0.0.1", plain_port, true, "the server does not speak TLS there; correct the port, or write http://"),
    ] {
        let e = reach(host, port, trusted).await.unwrap_err();
        assert!(e.message().contains(expected), "{}", e.report());
    }
    // What a request says of the same.
    let e = post_to(&format!("https://localhost:{port}/"), &[("http.tls.ca.file", &ca)]).await.unwrap_err();
    assert_eq!(e.class(), ErrorClass::Fatal);
    assert!(e.message().contains("a name that the server's certificate has"), "{}", e.report());
}
