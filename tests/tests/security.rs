//! The table of client settings against a broker with PLAIN, SCRAM, TLS and mutual TLS listeners: Java's
//! names in, records through.

use std::{fs, time::Duration};

use base64::Engine as _;

use tocsin_tests::{Connectd, file, wait};
use xtask::servers::{Kafka, SecureKafka, without};

fn jaas(module: &str, password: &str) -> String {
    format!(
        "org.apache.kafka.common.security.{module} required username=\"{}\" password=\"{password}\";",
        SecureKafka::USER
    )
}

/// Passes a line through the listener with these settings for every client.
fn passes(what: &str, bootstrap: &str, settings: &[(&str, String)]) {
    let dir = tempfile::tempdir().expect("folder");
    let path = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    fs::write(path("in.txt"), "hello\n").expect("input");
    let topic = what.replace(' ', "-");
    let mut worker = format!(
        "bootstrap.servers={bootstrap}\nkey.converter=StringConverter\nvalue.converter=StringConverter\n\
         offset.storage.file.filename={}\n",
        path("offsets")
    );
    for (key, value) in settings {
        for prefix in ["", "producer.", "consumer."] {
            worker.push_str(&format!("{prefix}{key}={}\n", value.replace('\\', "\\\\").replace('\n', "\\n")));
        }
    }
    let worker = file(dir.path(), "worker.properties", &worker);
    let connectors = file(
        dir.path(),
        "c.yaml",
        &format!(
            "name: in\nconnector.class: file-source\nfile: {}\ntopic: {topic}\n---\n\
             name: out-{topic}\nconnector.class: file-sink\ntopics: [{topic}]\nfile: {}\n",
            path("in.txt"),
            path("out.jsonl")
        ),
    );
    let connectd = Connectd::start(&["-c", &worker, &connectors], &dir.path().join("log"));
    let text = wait(&format!("a record by {what}"), Duration::from_secs(40), || {
        fs::read_to_string(path("out.jsonl")).ok().filter(|t| t.ends_with('\n'))
    });
    assert!(text.contains("hello"), "{text}");
    drop(connectd);
}

#[test]
fn every_listener_is_reached_with_javas_settings() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start_secure().expect("kafka");
    let c = kafka.certificates();
    let text = |p: std::path::PathBuf| p.to_string_lossy().into_owned();
    let pem = |p: std::path::PathBuf| fs::read_to_string(p).expect("PEM");
    let scram = || jaas("scram.ScramLoginModule", SecureKafka::PASSWORD);
    passes("plaintext", &kafka.bootstrap(), &[]);
    passes(
        "sasl plain",
        &kafka.sasl_plaintext(),
        &[
            ("security.protocol", "SASL_PLAINTEXT".into()),
            ("sasl.mechanism", "PLAIN".into()),
            ("sasl.jaas.config", jaas("plain.PlainLoginModule", SecureKafka::PASSWORD)),
        ],
    );
    passes(
        "sasl scram",
        &kafka.sasl_plaintext(),
        &[
            ("security.protocol", "SASL_PLAINTEXT".into()),
            ("sasl.mechanism", "SCRAM-SHA-512".into()),
            ("sasl.jaas.config", scram()),
        ],
    );
    passes(
        "scram over tls",
        &kafka.sasl_ssl(),
        &[
            ("security.protocol", "SASL_SSL".into()),
            ("sasl.mechanism", "SCRAM-SHA-512".into()),
            ("sasl.jaas.config", scram()),
            ("ssl.truststore.type", "PEM".into()),
            ("ssl.truststore.location", text(c.ca())),
        ],
    );
    passes(
        "mutual tls by pkcs12",
        &kafka.ssl(),
        &[
            ("security.protocol", "SSL".into()),
            ("ssl.truststore.location", text(c.ca())),
            ("ssl.truststore.type", "PEM".into()),
            ("ssl.keystore.location", text(c.client_keystore())),
            ("ssl.keystore.type", "PKCS12".into()),
            ("ssl.keystore.password", xtask::servers::Certificates::PASSWORD.into()),
        ],
    );
    passes(
        "mutual tls by pem texts",
        &kafka.ssl(),
        &[
            ("security.protocol", "SSL".into()),
            ("ssl.truststore.certificates", pem(c.ca())),
            ("ssl.truststore.type", "PEM".into()),
            ("ssl.keystore.type", "PEM".into()),
            ("ssl.keystore.certificate.chain", pem(c.client_certificate())),
            ("ssl.keystore.key", pem(c.encrypted_client_key())),
            ("ssl.key.password", xtask::servers::Certificates::PASSWORD.into()),
        ],
    );
}

/// An unsigned JSON web token, which Kafka's default validator takes.
fn unsigned_token(subject: &str) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("clock").as_secs();
    let part = |json: serde_json::Value| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(json.to_string());
    let claims = serde_json::json!({"sub": subject, "iat": now, "exp": now + 3600});
    format!("{}.{}.", part(serde_json::json!({"alg": "none"})), part(claims))
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_made_or_asked_of_their_endpoint() {
    use wiremock::{Mock, MockServer, ResponseTemplate, matchers};
    if without("kafka") {
        return;
    }
    let issuer = MockServer::start().await;
    let answer =
        serde_json::json!({"access_token": unsigned_token("alice"), "token_type": "Bearer", "expires_in": 3600});
    Mock::given(matchers::method("POST"))
        .and(matchers::path("/token"))
        // The base64 of connect:hush, as HTTP's basic authentication has it.
        .and(matchers::header("authorization", "Basic Y29ubmVjdDpodXNo"))
        .and(matchers::body_string_contains("grant_type=client_credentials"))
        .respond_with(ResponseTemplate::new(200).set_body_json(answer))
        .expect(1..)
        .mount(&issuer)
        .await;
    let endpoint = format!("{}/token", issuer.uri());
    let tested = tokio::task::spawn_blocking(move || {
        let kafka = Kafka::start_secure().expect("kafka");
        let module = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule";
        let common = |jaas: String| {
            [
                ("security.protocol", "SASL_PLAINTEXT".to_owned()),
                ("sasl.mechanism", "OAUTHBEARER".to_owned()),
                ("sasl.jaas.config", jaas),
            ]
        };
        let made = common(format!("{module} required unsecuredLoginStringClaim_sub=\"alice\";"));
        passes("token of its own", &kafka.sasl_plaintext(), &made);
        let asked = common(format!("{module} required clientId=\"connect\" clientSecret=\"hush\";"));
        let endpoint = [("sasl.oauthbearer.token.endpoint.url", endpoint)];
        passes("token of an endpoint", &kafka.sasl_plaintext(), &[&asked[..], &endpoint[..]].concat());
    });
    tested.await.expect("both ways");
}

#[test]
fn a_wrong_password_fails_the_task_with_a_sentence_that_helps() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start_secure().expect("kafka");
    let dir = tempfile::tempdir().expect("folder");
    let path = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    let worker = file(
        dir.path(),
        "worker.properties",
        &format!(
            "bootstrap.servers={}\nkey.converter=StringConverter\nvalue.converter=StringConverter\noffset.storage.file.filename={}\n",
            kafka.bootstrap(),
            path("offsets")
        ),
    );
    let connector = file(
        dir.path(),
        "c.yaml",
        &format!(
            "name: out\nconnector.class: file-sink\ntopics: [t]\nfile: {}\nconsumer.override:\n  bootstrap.servers: {}\n  \
             security.protocol: SASL_PLAINTEXT\n  sasl: {{ mechanism: SCRAM-SHA-512, jaas.config: '{}' }}\n",
            path("out"),
            kafka.sasl_plaintext(),
            jaas("scram.ScramLoginModule", "wrong")
        ),
    );
    let connectd = Connectd::start(&["-c", &worker, &connector], &dir.path().join("log"));
    let trace = wait("the task to fail", Duration::from_secs(30), || {
        connectd.get("/connectors/out/status").1["tasks"][0]["trace"].as_str().map(str::to_owned)
    });
    assert!(trace.contains("check sasl.mechanism and sasl.jaas.config"), "{trace}");
    assert!(trace.lines().count() > 1, "the cause stands below: {trace}");
    assert!(!trace.contains("wrong\""), "no secret: {trace}");
}
