//! Contexts of `connectctl`: a worker behind TLS with certificates and passwords, and a Kafka with SASL and TLS, reached
//! with nothing but the name of a context.

use std::fs;

use tocsin_tests::{Connectd, ctl::Ctl, file, sides::SOON, wait};
use xtask::servers::{Kafka, SecureKafka, without};

const MODULE: &str = "org.apache.kafka.common.security.scram.ScramLoginModule";

#[test]
fn a_context_is_all_that_a_secured_plant_needs() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start_secure().expect("kafka");
    let c = kafka.certificates();
    let dir = tempfile::tempdir().expect("folder");
    let path = |p: std::path::PathBuf| p.to_string_lossy().into_owned();
    let users = file(dir.path(), "users.properties", "alice=s3:cret\n");
    let login = "org.apache.kafka.connect.rest.basic.auth.extension.PropertyFileLoginModule";
    let jaas = file(dir.path(), "jaas.conf", &format!("KafkaConnect {{\n  {login} required file=\"{users}\";\n}};\n"));
    let own = |password: &str| format!("{MODULE} required username=\"{}\" password=\"{password}\";", SecureKafka::USER);
    let mut worker = format!(
        "bootstrap.servers={}\nkey.converter=StringConverter\nvalue.converter=StringConverter\noffset.storage.file.filename={}\n\
         listeners=http://127.0.0.1:0,https://127.0.0.1:0\n\
         rest.extension.classes=org.apache.kafka.connect.rest.basic.auth.extension.BasicAuthSecurityRestExtension\n\
         java.security.auth.login.config={jaas}\n\
         listeners.https.ssl.keystore.type=PEM\nlisteners.https.ssl.keystore.location={}\n\
         listeners.https.ssl.truststore.type=PEM\nlisteners.https.ssl.truststore.location={}\n\
         listeners.https.ssl.client.auth=required\n",
        kafka.sasl_ssl(),
        dir.path().join("offsets").display(),
        path(c.broker_bundle()),
        path(c.ca())
    );
    for prefix in ["", "producer.", "consumer.", "admin."] {
        worker.push_str(&format!(
            "{prefix}security.protocol=SASL_SSL\n{prefix}sasl.mechanism=SCRAM-SHA-512\n{prefix}sasl.jaas.config={}\n\
             {prefix}ssl.truststore.type=PEM\n{prefix}ssl.truststore.location={}\n",
            own(SecureKafka::PASSWORD),
            path(c.ca())
        ));
    }
    let worker = file(dir.path(), "worker.properties", &worker);
    let connectd = Connectd::start(
        &["-c", &worker, "--set", "listeners=http://127.0.0.1:0,https://127.0.0.1:0"],
        &dir.path().join("log"),
    );
    let log = connectd.log_text();
    let https =
        log.lines().find_map(|l| l.split_once("the REST API is on https://")).expect("https").1.trim().to_owned();

    // Paths begin at the folder of the file; secrets are in the environment and in a file.
    for (from, to) in [(c.ca(), "ca.pem"), (c.client_certificate(), "me.pem"), (c.client_key(), "me.key")] {
        fs::copy(from, dir.path().join(to)).expect("certificate");
    }
    fs::write(dir.path().join("kafka.properties"), format!("password={}\n", SecureKafka::PASSWORD)).expect("password");
    let contexts = dir.path().join("config.yaml").display().to_string();
    let ctl = Ctl::new("").env("CONNECTCTL_CONFIG", &contexts).env("ALICE", "s3:cret");
    let jaas = format!("kafka.sasl.jaas.config={}", own("${file:kafka.properties:password}"));
    ctl.out(&[
        "context",
        "set",
        "plant",
        &format!("url=https://{https}"),
        "user=alice",
        "password=env:ALICE",
        "tls.ca=ca.pem",
        "tls.cert=me.pem",
        "tls.key=me.key",
        "kafka.security.protocol=SASL_SSL",
        "kafka.sasl.mechanism=SCRAM-SHA-512",
        "kafka.ssl.truststore.type=PEM",
        "kafka.ssl.truststore.location=ca.pem",
        &jaas,
    ]);
    let info = ctl.json(&["info"]);
    assert_eq!(
        (&info["worker"]["security_protocol"], &info["worker"]["mode"]),
        (&"SASL_SSL".into(), &"standalone".into())
    );
    fs::write(dir.path().join("in.txt"), "one\ntwo\n").expect("input");
    let (from, to) = (dir.path().join("in.txt"), dir.path().join("out.jsonl"));
    let text = format!(
        "name: in\nconnector.class: file-source\nfile: {}\ntopic: t\n---\nname: out\nconnector.class: file-sink\ntopics: t\n\
         file: {}\n",
        from.display(),
        to.display()
    );
    ctl.out(&["apply", "-f", &file(dir.path(), "connectors.yaml", &text), "--wait"]);
    wait("both lines", SOON, || (fs::read_to_string(&to).ok()?.lines().count() == 2).then_some(()));

    // Told by the worker where Kafka is, and then by the context.
    let end = |ctl: &Ctl| {
        ctl.out(&["offsets", "reset", "out", "--to-end", "--stop", "--yes"]);
        let shown = ctl.run(&["offsets", "show", "out", "-o", "json"]).expect(0);
        assert_eq!(shown.err, "", "{shown:?}");
        (shown.json()[0]["offsets"][0]["end"].as_i64(), shown.json()[0]["offsets"][0]["lag"].as_i64())
    };
    assert_eq!(end(&ctl), (Some(2), Some(0)));
    ctl.out(&["context", "set", "plant", &format!("bootstrap.servers={}", kafka.sasl_ssl())]);
    assert_eq!(end(&ctl), (Some(2), Some(0)));

    // What is wrong is named without the secret.
    fs::write(dir.path().join("kafka.properties"), "password=hush\n").expect("password");
    let refused = ctl.run(&["offsets", "reset", "out", "--to-end", "--stop", "--yes", "--timeout", "5"]);
    assert!(refused.code == 3 && refused.err.contains("(from context plant)"), "{refused:?}");
    assert!(!refused.err.contains("hush"), "{refused:?}");
    let other = Ctl::new("").env("CONNECTCTL_CONFIG", &contexts).env("ALICE", "wrong");
    let refused = other.run(&["list"]).expect(1);
    assert!(refused.err.contains("wants other credentials"), "{refused:?}");
    ctl.out(&["context", "set", "plant", "tls.ca="]);
    let refused = ctl.run(&["list"]).expect(3);
    assert!(refused.err.contains("its certificate is not trusted") && refused.err.contains("tls.ca"), "{refused:?}");
}
