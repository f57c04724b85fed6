//! `connectctl registry` and `connectctl schemas` with the embedded registry and a real one, also behind TLS.

use std::{fs, io::Write as _, net::TcpListener, sync::Arc, thread};

use openssl::ssl::{SslAcceptor, SslFiletype, SslMethod};
use serde_json::json;
use tocsin_tests::{Connectd, ctl::Ctl, file};
use xtask::servers::{Certificates, Registry, without};

const FIRST: &str =
    r#"{"type":"record","name":"Wind","namespace":"plant","fields":[{"name":"speed","type":"double"}]}"#;
const SECOND: &str = r#"{"type":"record","name":"Wind","namespace":"plant","fields":[{"name":"speed","type":"double"},
    {"name":"gust","type":"double","default":0.0}]}"#;
/// The field has no default: what was written before cannot be read.
const WRONG: &str = r#"{"type":"record","name":"Wind","namespace":"plant","fields":[{"name":"speed","type":"double"},
    {"name":"gust","type":"double"}]}"#;

/// All that a registry is asked, whoever made it.
fn administered(ctl: &Ctl, confluent: bool) {
    let dir = tempfile::tempdir().expect("folder");
    let [first, second, wrong] = [("first.avsc", FIRST), ("second.avsc", SECOND), ("wrong.avsc", WRONG)]
        .map(|(name, text)| file(dir.path(), name, text));

    let none = ctl.run(&["registry", "list"]).expect(0);
    assert!(none.out.is_empty() && none.err.contains("connectctl registry upload SUBJECT FILE makes one"), "{none:?}");
    ctl.out(&["registry", "compat", "--set", "backward"]);
    assert_eq!(ctl.out(&["registry", "compat"]), "default BACKWARD\n");

    assert_eq!(ctl.out(&["registry", "upload", "wind-value", &first, "--dry-run"]), "wind-value would be uploaded\n");
    assert_eq!(ctl.json(&["registry", "list"]), json!([]), "a dry run uploads nothing");
    let bad = file(dir.path(), "bad.avsc", r#"{"type":"record","name":"X"}"#);
    assert_eq!(ctl.run(&["registry", "upload", "bad", &bad, "--dry-run"]).code, 1);
    assert_eq!(ctl.run(&["registry", "upload", "bad", &bad]).code, 1);
    let done = ctl.json(&["registry", "upload", "wind-value", &first]);
    assert_eq!((&done["result"], &done["version"]), (&json!("uploaded"), &json!(1)));
    let again = ctl.json(&["registry", "upload", "wind-value", &first]);
    assert_eq!((&again["result"], &again["id"]), (&json!("unchanged"), &done["id"]));

    assert_eq!(
        ctl.out(&["registry", "test", "wind-value", &second]),
        "wind-value: compatible with the latest version\n"
    );
    let refused = ctl.run(&["registry", "test", "wind-value", &wrong, "--version", "all"]).expect(1);
    assert!(
        refused.out.starts_with("wind-value: not compatible with all versions that count\n  ")
            && refused.out.len() > 60,
        "{refused:?}"
    );
    let refused = ctl.run(&["registry", "upload", "wind-value", &wrong, "--dry-run"]).expect(1);
    assert!(refused.err.contains("wind-value: the schema would be refused as incompatible"), "{refused:?}");
    let refused = ctl.run(&["registry", "upload", "wind-value", &wrong]).expect(1);
    assert!(refused.err.contains("registering a schema under subject wind-value: "), "{refused:?}");
    let near = ctl.run(&["registry", "test", "wind-valeu", &second]).expect(0);
    assert!(near.out.contains("wind-valeu: there is no such subject yet; it could be registered"), "{near:?}");
    assert!(near.err.contains("subject wind-valeu not found; did you mean wind-value?"), "{near:?}");
    let fed = ctl.fed(&["registry", "upload", "wind-value", "-"], SECOND).expect(0);
    assert!(fed.out.ends_with("version 2\n"), "{fed:?}");

    let shown = ctl.json(&["registry", "show", "wind-value"]);
    assert_eq!((&shown["version"], &shown["schemaType"]), (&json!(2), &json!("AVRO")));
    assert_eq!(shown["schema"]["fields"][1]["name"], "gust");
    let text = ctl.out(&["registry", "show", "wind-value", "--version", "1"]);
    assert!(text.starts_with("wind-value version 1, id ") && text.contains("\n      \"name\": \"speed\",\n"), "{text}");
    let id = done["id"].to_string();
    let by_id = ctl.out(&["registry", "show", "--id", &id, "--raw"]);
    let same: serde_json::Value = serde_json::from_str(&by_id).expect("JSON");
    assert_eq!(same["fields"].as_array().map(Vec::len), Some(1), "{by_id}");
    let missing = ctl.run(&["registry", "show", "wind-value", "--version", "7"]).expect(1);
    assert!(missing.err.contains("subject wind-value has no version 7; it has 1, 2"), "{missing:?}");
    let missing = ctl.run(&["registry", "show", "--id", "424242"]).expect(1);
    assert!(missing.err.contains("there is no schema with id 424242 at http"), "{missing:?}");
    assert_eq!(ctl.run(&["registry", "show", "wnid-value"]).code, 1);

    levels(ctl, confluent);
    deleted(ctl, &first);
}

/// A dry run and the upload come to the same, also for schemas that Kafka Connect has no place for, and where everything
/// may follow everything.
fn tried_as_done(ctl: &Ctl) {
    let dir = tempfile::tempdir().expect("folder");
    ctl.out(&["registry", "upload", "loose", &file(dir.path(), "int.avsc", r#""int""#)]);
    ctl.out(&["registry", "compat", "loose", "--set", "NONE"]);
    for (name, text, is_right) in [
        ("null.avsc", r#""null""#, true),
        (
            "tree.avsc",
            r#"{"type":"record","name":"Tree","fields":[{"name":"left","type":["null","Tree"],"default":null}]}"#,
            true,
        ),
        ("other.avsc", FIRST, true),
        ("none.avsc", r#"{"type":"record","name":"X"}"#, false),
    ] {
        let path = file(dir.path(), name, text);
        for subject in ["loose", name] {
            let tried = ctl.run(&["registry", "upload", subject, &path, "--dry-run"]);
            let done = ctl.run(&["registry", "upload", subject, &path]);
            assert_eq!(tried.code, done.code, "{tried:?} {done:?}");
            // Apicurio's registry takes NONE for the level of all.
            assert!(subject == "loose" || (done.code == 0) == is_right, "{done:?}");
            if done.code == 0 {
                let again = ctl.out(&["registry", "upload", subject, &path, "--dry-run"]);
                assert!(again.starts_with(&format!("{subject} unchanged: id ")), "{again}");
                ctl.out(&["registry", "test", subject, &path]);
            }
        }
    }
    let none = ctl.run(&["registry", "delete", "loose", "--version", "9"]).expect(1);
    assert!(none.err.contains("subject loose has no version 9"), "{none:?}");
}

/// Apicurio's registry says NONE of a subject that has no level of its own, where Confluent's says that there is none.
fn levels(ctl: &Ctl, confluent: bool) {
    let (default, level) = if confluent { ("BACKWARD (default)", "BACKWARD") } else { ("NONE", "NONE") };
    assert_eq!(ctl.out(&["registry", "compat", "wind-value"]), format!("wind-value {default}\n"));
    let tried = ctl.out(&["registry", "compat", "wind-value", "--set", "FULL_TRANSITIVE", "--dry-run"]);
    assert_eq!(tried, format!("wind-value would be set to FULL_TRANSITIVE, and is {level}\n"));
    let done = ctl.out(&["registry", "compat", "wind-value", "--set", "FULL"]);
    assert_eq!(done, format!("wind-value set to FULL, and was {level}\n"));
    assert_eq!(ctl.json(&["registry", "compat", "wind-value"])["own"], true);
    let wide = ctl.json(&["registry", "list", "-v", "-c"]);
    assert_eq!(wide, json!([{ "subject": "wind-value", "versions": [1, 2], "compatibility": "FULL" }]));
    let table = ctl.out(&["registry", "list", "wind-*", "-o", "wide"]);
    assert_eq!(table, "SUBJECT     VERSIONS  COMPATIBILITY\nwind-value  1, 2      FULL\n");
    let done = ctl.out(&["registry", "compat", "wind-value", "--unset"]);
    assert_eq!(done, "wind-value set to BACKWARD (default), and was FULL\n");
    assert_eq!(ctl.run(&["registry", "compat", "wind-value", "--set", "SIDEWARD"]).code, 2);
    assert_eq!(ctl.run(&["registry", "compat", "no-such"]).code, 1);
    assert_eq!(ctl.run(&["registry", "list", "nothing*"]).code, 1);
}

fn deleted(ctl: &Ctl, first: &str) {
    assert!(ctl.run(&["registry", "delete", "wind-value"]).expect(2).err.contains("say --yes"));
    let tried = ctl.out(&["registry", "delete", "wind-value", "--version", "latest", "--dry-run"]);
    assert_eq!(tried, "wind-value would be deleted: version 2\n");
    ctl.out(&["registry", "upload", "other", first]);
    assert_eq!(
        ctl.out(&["registry", "delete", "wind-value", "--version", "latest", "--yes"]),
        "wind-value deleted: version 2\n"
    );
    assert_eq!(ctl.json(&["registry", "show", "wind-value"])["version"], 1);
    assert_eq!(ctl.out(&["registry", "delete", "w*", "--yes"]), "wind-value deleted: version 1\n");
    assert_eq!(ctl.out(&["registry", "list", "-o", "name"]), "other\n");
    assert!(ctl.run(&["registry", "delete", "ohter", "--yes"]).expect(1).err.contains("did you mean other?"));
}

/// Deletes for good, what was deleted before and what was not.
fn purged(ctl: &Ctl) {
    let deleted = ctl.json(&["registry", "list", "--deleted"]);
    assert_eq!(deleted, json!([{ "subject": "other" }, { "subject": "wind-value", "deleted": true }]));
    let done = ctl.run(&["registry", "delete", "*", "--permanent", "--yes"]).expect(0);
    assert!(
        done.out.starts_with("other deleted for good: version 1\nwind-value deleted for good: version"),
        "{done:?}"
    );
    assert_eq!(ctl.json(&["registry", "list", "--deleted"]), json!([]));
}

#[test]
fn the_embedded_registry_is_administered() {
    let dir = tempfile::tempdir().expect("folder");
    let connectd = Connectd::start(&[], &dir.path().join("log"));
    // The worker says where its registry is.
    let ctl = Ctl::new(connectd.url());
    administered(&ctl, true);
    purged(&ctl);
    tried_as_done(&ctl);
    converted(&ctl);
    let away = Ctl::new(connectd.url()).env("SCHEMA_REGISTRY", "http://127.0.0.1:1");
    let failed = away.run(&["registry", "list"]).expect(3);
    assert!(failed.err.contains("asked was the schema registry at http://127.0.0.1:1 (from --registry"), "{failed:?}");
    // The worker's own address is no registry.
    let other = Ctl::new("").env("SCHEMA_REGISTRY", connectd.url()).run(&["registry", "list"]).expect(3);
    let told = format!("there is no schema registry at {} (from --registry or SCHEMA_REGISTRY)", connectd.url());
    assert!(other.err.contains(&told), "{other:?}");
}

#[test]
fn a_real_registry_is_administered_also_behind_tls() {
    if without("registry") {
        return;
    }
    let registry = Registry::start().expect("registry");
    administered(&Ctl::new("").env("SCHEMA_REGISTRY", &registry.url()), false);

    let dir = tempfile::tempdir().expect("folder");
    let certificates = Certificates::make(dir.path()).expect("certificates");
    let port = in_front_of(&registry.address(), &certificates);
    fs::copy(certificates.ca(), dir.path().join("plant-ca.pem")).expect("certificate");
    let contexts = dir.path().join("config.yaml").display().to_string();
    let ctl = Ctl::new("").env("CONNECTCTL_CONFIG", &contexts);
    let path = registry.url().split_once("/apis").map(|(_, rest)| format!("/apis{rest}")).expect("path");
    let url = format!("schema.registry.url=https://localhost:{port}{path}");
    ctl.out(&["context", "set", "plant", &url]);
    ctl.out(&["context", "use", "plant"]);
    let distrusted = ctl.run(&["registry", "list"]).expect(3);
    assert!(distrusted.err.contains("certificate"), "{distrusted:?}");
    ctl.out(&["context", "set", "plant", "registry.tls.ca=plant-ca.pem"]);
    assert_eq!(ctl.out(&["registry", "list", "-o", "name"]), "other\n");
    assert_eq!(ctl.json(&["registry", "show", "other"])["schema"]["name"], "Wind");
    tried_as_done(&Ctl::new("").env("SCHEMA_REGISTRY", &registry.url()));
}

/// Speaks TLS with a certificate of that authority, and hands on what it hears to a server that does not.
fn in_front_of(server: &str, certificates: &Certificates) -> u16 {
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).expect("TLS");
    let bundle = certificates.broker_bundle();
    acceptor.set_private_key_file(&bundle, SslFiletype::PEM).expect("key");
    acceptor.set_certificate_chain_file(&bundle).expect("certificate");
    let (acceptor, server) = (Arc::new(acceptor.build()), server.to_owned());
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let port = listener.local_addr().expect("address").port();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (acceptor, server) = (acceptor.clone(), server.clone());
            thread::spawn(move || {
                // A client that does not trust it hangs up.
                let Ok(mut client) = acceptor.accept(stream) else { return };
                // A request at a time: both sides are told to close behind it.
                let Some(request) = request(&mut client) else { return };
                let mut behind = std::net::TcpStream::connect(&server).expect("server");
                behind.write_all(&request).expect("request");
                std::io::copy(&mut behind, &mut client).expect("answer");
                let _ = client.shutdown();
            });
        }
    });
    port
}

/// The head of a request without body, with which the connection ends.
fn request(client: &mut impl std::io::Read) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if client.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    head.truncate(head.len() - 2);
    head.extend_from_slice(b"connection: close\r\n\r\n");
    Some(head)
}

/// Interfaces in XML become schemas in files and in the registry.
fn converted(ctl: &Ctl) {
    let dir = tempfile::tempdir().expect("folder");
    let topic = |name: &str, idl: &str| {
        let item = format!("<item><EFDB_Name>x</EFDB_Name><IDL_Type>{idl}</IDL_Type></item>");
        format!("<SALEvent><Subsystem>Dome</Subsystem><EFDB_Topic>{name}</EFDB_Topic>{item}</SALEvent>")
    };
    let set = |topics: &[String]| format!("<SALEventSet>{}</SALEventSet>", topics.concat());
    let xml = file(dir.path(), "Dome_Events.xml", &set(&[topic("Dome_open", "boolean"), topic("Dome_wind", "float")]));
    assert_eq!(ctl.out(&["schemas", "convert-sal", &xml, "-o", "name"]), "Dome_open\nDome_wind\n");
    let out = dir.path().join("out");
    let folder = out.display().to_string();
    ctl.out(&["schemas", "convert-sal", &xml, "--write", &folder, "--dry-run"]);
    assert!(!out.exists(), "a dry run writes nothing");
    let tried = ctl.out(&["schemas", "convert-sal", &xml, "--upload", "--dry-run"]);
    assert!(tried.contains("would be uploaded") && tried.contains("lsst.sal.Dome_wind"), "{tried}");
    let done = ctl.json(&["schemas", "convert-sal", &xml, "--write", &folder, "--upload"]);
    assert_eq!((&done[1]["subject"], &done[1]["upload"]), (&json!("lsst.sal.Dome_wind"), &json!("uploaded")));
    let written = fs::read_to_string(out.join("Dome_wind.json")).expect("schema");
    assert_eq!(ctl.out(&["schemas", "convert-sal", &xml, "--print"]).lines().count(), 2 * written.lines().count());
    assert_eq!(ctl.json(&["registry", "show", "lsst.sal.Dome_wind"])["schema"]["name"], "Dome_wind");
    let again = ctl.json(&["schemas", "convert-sal", &xml, "--upload"]);
    assert_eq!(again[0]["upload"], "unchanged", "{again}");

    // One that cannot be converted does not keep the others from their turn.
    let bad = file(dir.path(), "bad.xml", &set(&[topic("Dome_bad", "quaternion"), topic("Dome_good", "int")]));
    let told = ctl.run(&["schemas", "convert-sal", &bad, "-o", "name"]).expect(1);
    assert_eq!(told.out, "Dome_good\n");
    assert!(told.err.contains("bad.xml: topic Dome_bad, item x: IDL_Type \"quaternion\""), "{told:?}");
    assert_eq!(ctl.run(&["schemas", "convert-sal", &bad, "--strict"]).expect(1).out, "");
    let gone = ctl.run(&["schemas", "convert-sal", "/nonexistent.xml"]).expect(1);
    assert!(gone.err.contains("reading /nonexistent.xml: No such file"), "{gone:?}");
    // What was registered otherwise is refused with the reason.
    let other = file(dir.path(), "other.xml", &set(&[topic("Dome_open", "string")]));
    let refused = ctl.run(&["schemas", "convert-sal", &other, "--upload"]).expect(1);
    assert!(refused.err.contains("lsst.sal.Dome_open") && refused.out.contains("failed"), "{refused:?}");
}
