//! What a test call says about a server that cannot be written to, asked of real servers.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{fs, net::TcpListener};

use connect_api::{Check, Error, ErrorClass, Rendering, Settings, SinkConnector, Value, config::Config};
use connect_testkit::{Host, sink::record};
use connector_influxdb::{
    ConfluentConfig, ConfluentInfluxSink, InfluxConfig, InfluxSink, LensesConfig, LensesInfluxSink,
};
use openssl::{
    asn1::Asn1Time,
    hash::MessageDigest,
    pkey::PKey,
    rsa::Rsa,
    ssl::{SslAcceptor, SslMethod},
    x509::{
        X509, X509NameBuilder,
        extension::{BasicConstraints, SubjectAlternativeName},
    },
};
use xtask::servers::{InfluxDb, without};

fn settings(url: &str, more: &[(&str, &str)]) -> Settings {
    let mut settings =
        Settings::from([("http.proxy", "none"), ("http.connect.timeout.ms", "2000"), ("influxdb.url", url)]);
    settings.extend(&more.iter().copied().collect());
    settings
}

fn check(url: &str, more: &[(&str, &str)]) -> Result<Check, Error> {
    let settings = settings(url, more);
    let (context, _) = Host::new().sink(&settings);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let config = InfluxConfig::parse(&settings).unwrap();
        InfluxSink::start_trial(config, context).await.unwrap().unwrap().check().await
    })
}

#[test]
fn wrong_databases_users_and_ports_are_each_told_with_the_setting_to_correct() {
    if without("influxdb") {
        return;
    }
    let influx = InfluxDb::start_with_users().unwrap();
    influx.query_json("", "CREATE USER boss WITH PASSWORD 'b0ss' WITH ALL PRIVILEGES").unwrap();
    let url = influx.url();
    let who = [("influxdb.username", "boss"), ("influxdb.password", "b0ss")];
    let of = |more: &[(&str, &str)]| check(&url, &[&[("influxdb.database", "d")], more].concat());

    let e = of(&who).unwrap_err();
    assert_eq!(e.class(), ErrorClass::Fatal);
    let wanted = format!(
        "looking for database d at {url} (influxdb.url): the server has none of that name: create it, or correct \
         influxdb.database"
    );
    assert_eq!(e.message(), wanted);
    for wrong in [&[][..], &[who[0], ("influxdb.password", "b055")]] {
        let e = of(wrong).unwrap_err();
        assert_eq!(e.class(), ErrorClass::Fatal);
        assert!(e.message().contains("correct influxdb.username and influxdb.password"), "{e}");
        assert!(!e.report().contains("b055"), "{}", e.report());
    }
    influx.query_as("boss", "b0ss", "CREATE DATABASE d").unwrap();
    influx.query_as("boss", "b0ss", "CREATE USER reader WITH PASSWORD 'r'").unwrap();
    influx.query_as("boss", "b0ss", "GRANT READ ON d TO reader").unwrap();
    assert!(matches!(of(&who).unwrap(), Check::Passed(text) if text.contains("database d takes points")));
    let e = of(&[("influxdb.username", "reader"), ("influxdb.password", "r")]).unwrap_err();
    assert!(e.class() == ErrorClass::Fatal && e.report().contains("not authorized to write"), "{}", e.report());
    let policy = |name| of(&[&who[..], &[("influxdb.retention.policy", name)]].concat());
    assert!(matches!(policy("autogen").unwrap(), Check::Passed(_)));
    let e = policy("nope").unwrap_err();
    assert!(e.class() == ErrorClass::Fatal && e.message().ends_with("or correct influxdb.retention.policy"), "{e:?}");
    // Another API.
    for version in ["2", "3"] {
        let more = [("influxdb.version", version), ("influxdb.token", "x"), ("influxdb.org", "o")];
        let target = if version == "2" { ("influxdb.bucket", "d") } else { ("influxdb.database", "d") };
        let more = &more[..if version == "2" { 3 } else { 2 }];
        let e = check(&url, &[more, &[target]].concat()).unwrap_err();
        let wanted = format!("there is no write API of InfluxDB {version}, the server says that it is InfluxDB 1.");
        assert!(e.class() == ErrorClass::Fatal && e.message().contains(&wanted), "{e}");
    }
    // Nobody listens at a port that was free a moment ago.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let e = check(&format!("http://{free}"), &[("influxdb.database", "d")]).unwrap_err();
    assert!(e.message().contains(&format!("at http://{free} (influxdb.url)")), "{e}");
    assert!(e.report().contains("refused"), "{}", e.report());
}

#[test]
fn a_certificate_for_another_name_is_told_with_the_names_that_it_has() {
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "influx").unwrap();
    let name = name.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    builder.set_pubkey(&key).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(2).unwrap()).unwrap();
    builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
    let names = SubjectAlternativeName::new().dns("influx.plant.example").build(&builder.x509v3_context(None, None));
    builder.append_extension(names.unwrap()).unwrap();
    builder.sign(&key, MessageDigest::sha256()).unwrap();
    let certificate = builder.build();
    let dir = tempfile::tempdir().unwrap();
    let authority = dir.path().join("ca.pem");
    fs::write(&authority, certificate.to_pem().unwrap()).unwrap();

    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).unwrap();
    acceptor.set_certificate(&certificate).unwrap();
    acceptor.set_private_key(&key).unwrap();
    let (acceptor, socket) = (acceptor.build(), TcpListener::bind("127.0.0.1:0").unwrap());
    let url = format!("https://{}", socket.local_addr().unwrap());
    std::thread::spawn(move || {
        while let Ok((stream, _)) = socket.accept() {
            // The handshake is meant to fail.
            let _ = acceptor.accept(stream);
        }
    });
    let e = check(&url, &[("influxdb.database", "d"), ("http.tls.ca.file", authority.to_str().unwrap())]).unwrap_err();
    assert_eq!(e.class(), ErrorClass::Fatal);
    assert!(e.message().contains("influxdb.url") && e.report().contains("influx.plant.example"), "{}", e.report());
}

#[tokio::test]
async fn settings_of_lenses_and_confluent_show_their_lines() {
    let value =
        Value::map([("measurement", Value::from("m")), ("tags", Value::map([("a", "b".into())])), ("v", 1.5.into())]);
    let record = record("t", 2, "k", value);
    let lenses = Settings::from([
        ("connect.influx.url", "http://h:1"),
        ("connect.influx.db", "d"),
        ("connect.influx.username", "-"),
        ("connect.influx.kcql", "INSERT INTO x SELECT v FROM t WITHTIMESTAMP v TIMESTAMPUNIT=SECONDS WITHTAG(tags.a)"),
    ]);
    let (context, _) = Host::new().sink(&lenses);
    let lenses = LensesInfluxSink::start_trial(LensesConfig::parse(&lenses).unwrap(), context).await.unwrap();
    let confluent = Settings::from([("influxdb.url", "http://h:1"), ("influxdb.db", "d")]);
    let (context, _) = Host::new().sink(&confluent);
    let confluent =
        ConfluentInfluxSink::start_trial(ConfluentConfig::parse(&confluent).unwrap(), context).await.unwrap();
    for (trial, line) in [(lenses, "x,tags.a=b v=1.5 1500000000"), (confluent, "m,a=b v=1.5 2000")] {
        match trial.unwrap().render(&record).unwrap() {
            Rendering::Sent(sent) => {
                assert_eq!((sent.body.as_deref(), &*sent.to), (Some(line), "POST http://h:1/write (database d)"))
            }
            other => panic!("{other:?}"),
        }
    }
}
