//! Mails through a real SMTP server that fails with one in ten, while the worker is killed again and again: none is missing,
//! and those that come twice are known by their Message-ID.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use serde_json::{Value as Json, json};
use tocsin_tests::{Connectd, file, kafka::Reader, wait};
use xtask::servers::{Aiosmtpd, Kafka, MailSecurity, Received, without};

const KILLS: usize = 5;
const CHUNK: usize = 200;
const LIMIT: Duration = Duration::from_secs(180);

fn subject(mail: &Received) -> String {
    mail.header("Subject").expect("subject")
}

fn worker(kafka: &Kafka, dir: &std::path::Path) -> String {
    let settings = format!(
        "bootstrap.servers: {}\nkey.converter: StringConverter\nvalue.converter: StringConverter\n\
         offset: {{ storage.file.filename: {}, flush.interval.ms: 300 }}\n",
        kafka.bootstrap(),
        dir.join("offsets").display()
    );
    file(dir, "worker.yaml", &settings)
}

#[test]
fn no_mail_is_missing_across_kills_and_failures() {
    if without("kafka") || without("aiosmtpd") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let server = Aiosmtpd::start_failing(10).expect("mail server");
    let reader = Reader::new(&kafka.bootstrap());
    reader.create("events", 2, &[]);
    let dir = tempfile::tempdir().expect("folder");
    let connectors = format!(
        "name: mails\nconnector.class: email-sink\ntopics: events\ntasks.max: 2\n\
         consumer.override.session.timeout.ms: 6000\nconsumer.override.heartbeat.interval.ms: 1000\n\
         email.smtp.host: 127.0.0.1\nemail.smtp.port: {}\nemail.smtp.security: none\n\
         email.from: alarms@example.org\nemail.to: ops@example.org\n\
         email.subject: \"{{{{key}}}}: {{{{value}}}}\"\nemail.text: \"{{{{value}}}}\"\n\
         errors: {{ tolerance: all, retry.delay.max.ms: 1000, deadletterqueue: {{ topic.name: dead, \
         topic.replication.factor: 1, context.headers.enable: true }} }}\n",
        server.port()
    );
    let connectors = file(dir.path(), "connectors.yaml", &connectors);
    let mut connectd = Connectd::start(&["-c", &worker(&kafka, dir.path()), &connectors], &dir.path().join("log"));
    let count = || server.mails().expect("mails").len();
    // Every 100th is one that the server will never take.
    let value = |n: usize| if n % 100 == 50 { format!("[reject] {n}") } else { n.to_string() };
    let key = |n: usize| format!("alarm-{}", n % 37);
    for round in 0..KILLS {
        let before = count();
        let numbers = round * CHUNK..(round + 1) * CHUNK;
        reader.write_all("events", numbers.map(|n| (key(n), Some(value(n).into_bytes()))));
        let moment = before + 20 + 15 * round;
        wait("mails to be sent", LIMIT, || (count() >= moment).then_some(()));
        connectd.kill9();
        connectd.start_again();
    }
    let records = KILLS * CHUNK;
    let rejected: BTreeSet<String> = (0..records).filter(|n| n % 100 == 50).map(&value).collect();
    let expected: BTreeSet<String> =
        (0..records).filter(|n| n % 100 != 50).map(|n| format!("{}: {}", key(n), value(n))).collect();
    let arrived = || -> BTreeSet<String> { server.mails().expect("mails").iter().map(subject).collect() };
    wait("every mail", LIMIT, || (arrived().len() >= expected.len()).then_some(()));
    assert_eq!(arrived(), expected);
    let dead = reader.until("dead", LIMIT, |all| {
        let values = all.iter().filter_map(|r| String::from_utf8(r.value.as_deref()?.to_vec()).ok());
        values.collect::<BTreeSet<String>>().len() >= rejected.len()
    });
    let reason = |r: &connect_kafka::RawRecord| {
        let of = r.headers.iter().find(|(key, _)| &**key == "__connect.errors.exception.message");
        of.and_then(|(_, value)| String::from_utf8(value.as_deref()?.to_vec()).ok()).unwrap_or_default()
    };
    assert!(
        dead.iter().all(|r| reason(r).contains("sending a mail through 127.0.0.1")),
        "{:?}",
        dead.first().map(reason)
    );
    connectd.await_state("mails", "RUNNING");
    assert!(connectd.terminate().1, "stopped well");

    let mails = server.mails().expect("mails");
    let mut by_id: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut last: BTreeMap<String, usize> = BTreeMap::new();
    for mail in &mails {
        let subject = subject(mail);
        let (key, n) = subject.split_once(": ").expect("key");
        let n: usize = n.parse().expect("number");
        // What is new comes in the order of its key.
        if by_id.entry(mail.header("Message-ID").expect("id")).or_default().insert(subject.clone()) {
            let before = last.insert(key.to_owned(), n);
            assert!(before.is_none_or(|before| before < n), "{key}: {n} after {before:?}");
        }
    }
    assert!(by_id.len() == expected.len() && by_id.values().all(|subjects| subjects.len() == 1), "{}", by_id.len());
    // A mail comes twice if nobody heard that it was taken (one in twenty), or if it was not noted before a kill: one for
    // each task.
    let twice = mails.len() - by_id.len();
    let most = mails.len() / 20 + 2 * KILLS + 1;
    assert!(twice > 0 && twice <= most, "{twice} of {} came twice, at most {most} may", mails.len());
    // All but the first mail about a key answer the one before.
    let answers = mails.iter().filter(|mail| mail.header("In-Reply-To").is_some()).count();
    assert!(answers >= by_id.len() - 37, "{answers}");
}

#[test]
fn shelved_alarms_are_silent_and_a_test_call_says_what_is_wrong() {
    if without("kafka") || without("aiosmtpd") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let server = Aiosmtpd::start_secure(MailSecurity::Starttls).expect("mail server");
    let reader = Reader::new(&kafka.bootstrap());
    reader.create("active", 1, &[]);
    reader.create("shelved", 1, &[("cleanup.policy", "compact")]);
    let dir = tempfile::tempdir().expect("folder");
    let secrets = file(dir.path(), "secrets.properties", &format!("smtp={}\n", Aiosmtpd::PASSWORD));
    let settings = format!(
        "bootstrap.servers: {}\nkey.converter: StringConverter\nvalue.converter: JsonConverter\n\
         value.converter.schemas.enable: false\n\
         config.providers: file\nconfig.providers.file.class: FileConfigProvider\n\
         offset: {{ storage.file.filename: {}, flush.interval.ms: 300 }}\n",
        kafka.bootstrap(),
        dir.path().join("offsets").display()
    );
    let settings = file(dir.path(), "worker.yaml", &settings);
    let mut connectd = Connectd::start(&["-c", &settings], &dir.path().join("log"));
    let config = json!({
        "name": "mails", "connector.class": "email-sink", "topics": "active", "shelved.alarms.topic": "shelved",
        "email.smtp.host": "localhost", "email.smtp.port": server.port(),
        "email.tls.ca.file": server.ca().expect("ca"), "email.smtp.username": Aiosmtpd::USER,
        "email.smtp.password": format!("${{file:{secrets}:smtp}}"),
        "email.from": "alarms@example.org", "email.to": "ops@example.org",
        "email.subject": "{{value.priority}} {{key}}",
    });
    let test = |config: &Json| {
        let (status, report) =
            connectd.send("PUT", "/connector-plugins/email-sink/config/test?timeout=10", Some(config));
        assert_eq!(status, 200, "{report}");
        let stages = report["stages"].as_array().expect("stages");
        let stage = stages.iter().find(|s| s["stage"] == "connect" && s["of"] == "email-sink").expect("stage");
        (stage["result"].as_str().unwrap_or_default().to_owned(), report.to_string())
    };
    reader.write("active", "pump", Some(br#"{"priority": "P2"}"#));
    let (result, report) = test(&config);
    assert!(result == "passed" && report.contains("P2 pump"), "{report}");
    for (key, value, expected) in [
        ("email.smtp.password", "wrong", "email.smtp.password"),
        ("email.smtp.port", "1", "email.smtp.port"),
        ("email.tls.server.name", "elsewhere.example.org", "email.tls.server.name"),
        ("email.smtp.security", "none", "would show the password"),
        ("email.from", "stranger@example.org", "email.from"),
    ] {
        let mut wrong = config.clone();
        wrong[key] = value.into();
        let (status, report) =
            connectd.send("PUT", "/connector-plugins/email-sink/config/test?timeout=10", Some(&wrong));
        assert!(
            status == 200 && report["passed"] == false && report.to_string().contains(expected),
            "{key}: {report:#}"
        );
        assert!(!report.to_string().contains(Aiosmtpd::PASSWORD), "{report}");
    }
    assert_eq!(server.mails().expect("mails").len(), 0);

    reader.write("shelved", "pump", Some(br#"{"expiration": null, "reason": "OTHER"}"#));
    let (status, body) = connectd.send("POST", "/connectors", Some(&json!({ "name": "mails", "config": config })));
    assert_eq!(status, 201, "{body}");
    reader.write("active", "door", Some(br#"{"priority": "P1"}"#));
    let subjects = || -> Vec<String> { server.mails().expect("mails").iter().map(subject).collect() };
    wait("a mail", LIMIT, || (!subjects().is_empty()).then_some(()));
    assert_eq!(subjects(), ["P1 door"], "the other one is on the shelf");
    reader.write("shelved", "pump", None);
    wait("the alarm that is off the shelf", LIMIT, || (subjects().len() >= 2).then_some(()));
    reader.write("active", "door", None);
    wait("the end of an alarm", LIMIT, || (subjects().len() >= 3).then_some(()));
    assert_eq!(subjects(), ["P1 door", "P2 pump", "Re: P1 door - cleared"]);

    // The server's answer to a password that is no more.
    let began = Instant::now();
    file(dir.path(), "secrets.properties", "smtp=old\n");
    assert_eq!(connectd.send("POST", "/connectors/mails/restart?includeTasks=true", None).0, 202);
    reader.write("active", "lamp", Some(br#"{"priority": "P3"}"#));
    let failed = wait("the task to fail", LIMIT, || {
        let status = connectd.get("/connectors/mails/status").1;
        (status["tasks"][0]["state"] == "FAILED").then_some(status)
    });
    assert!(failed.to_string().contains("email.smtp.username"), "{failed}");
    file(dir.path(), "secrets.properties", &format!("smtp={}\n", Aiosmtpd::PASSWORD));
    wait("the mail with the right password", LIMIT, || (subjects().len() >= 4).then_some(()));
    assert_eq!(subjects()[3], "P3 lamp", "{:?}", began.elapsed());
    assert!(!connectd.log_text().contains(Aiosmtpd::PASSWORD));
    assert!(connectd.terminate().1, "stopped well");
}
