//! The email sink with a real SMTP server.

use std::{sync::Arc, time::Duration};

use connect_api::{
    Check, Connector, ErrorClass, Rendering, Settings, SinkConnector, SinkRecord, SinkTask, SinkTrial, TopicPartition,
    Value, config::Config,
};
use connect_testkit::{Host, sink};
use connector_email::EmailSink;
use xtask::servers::{Aiosmtpd, MailSecurity, Server, without};

fn settings(port: u16, more: &[(&str, &str)]) -> Settings {
    let mut settings = Settings::from([
        ("email.smtp.host", "127.0.0.1"),
        ("email.smtp.port", port.to_string().as_str()),
        ("email.smtp.security", "none"),
        ("email.from", "Alarms <alarms@example.org>"),
        ("email.to", "ops@example.org"),
        ("email.subject", "{{key}}: {{value}}"),
        ("email.text", "{{value}}"),
    ]);
    settings.extend(&more.iter().copied().collect());
    settings
}

async fn start(settings: &Settings, host: &Arc<Host>) -> Box<dyn SinkTask> {
    let config = <EmailSink as Connector>::Config::parse(settings).expect("settings");
    EmailSink::start_task(config, host.sink(settings).0).await.expect("task")
}

async fn trial(settings: &Settings, host: &Arc<Host>) -> Box<dyn SinkTrial> {
    let config = <EmailSink as Connector>::Config::parse(settings).expect("settings");
    EmailSink::start_trial(config, host.sink(settings).0).await.expect("trial").expect("there is one")
}

fn record(offset: i64, key: &str, value: &str) -> SinkRecord {
    sink::record("t", offset, key, value)
}

fn cleared(offset: i64, key: &str) -> SinkRecord {
    sink::record("t", offset, key, Value::Null)
}

/// Subjects of the mails that the server has, in order.
fn subjects(server: &Aiosmtpd) -> Vec<String> {
    server.mails().expect("mails").iter().map(|mail| mail.header("Subject").expect("subject")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn mails_about_a_key_are_a_thread_across_restarts_until_it_is_cleared() {
    if without("aiosmtpd") {
        return;
    }
    let server = Aiosmtpd::start().expect("server");
    let host = Host::new();
    let settings = settings(server.port(), &[]);
    let mut task = start(&settings, &host).await;
    sink::deliver(&mut *task, &[record(0, "pump", "hot"), cleared(1, "never")], &host).await.expect("put");
    sink::stop(task).await;
    let mut task = start(&settings, &host).await;
    let again = [record(0, "pump", "hot"), record(2, "pump", "hotter"), record(3, "door", "open"), cleared(4, "pump")];
    sink::deliver(&mut *task, &again, &host).await.expect("put");
    sink::deliver(&mut *task, &[cleared(4, "pump"), record(5, "pump", "hot again")], &host).await.expect("put");
    assert_eq!(sink::flush(&mut *task, &again).await.expect("flush")[0].offset, 5);
    sink::stop(task).await;
    let expected = ["pump: hot", "pump: hotter", "door: open", "Re: pump: hot - cleared", "pump: hot again"];
    assert_eq!(subjects(&server), expected);
    let mails = server.mails().expect("mails");
    let header = |n: usize, name: &str| mails[n].header(name);
    let id = |n: usize| header(n, "Message-ID").expect("id");
    assert_eq!(id(0), "<t.0.0.0.test@example.org>");
    assert_eq!((header(1, "In-Reply-To"), header(1, "References")), (Some(id(0)), Some(id(0))));
    assert_eq!((header(2, "In-Reply-To"), header(4, "References")), (None, None));
    assert_eq!(header(3, "In-Reply-To"), Some(id(1)));
    assert_eq!(header(3, "References"), Some(format!("{} {}", id(0), id(1))));
    assert_eq!((mails[0].from.as_str(), &mails[0].to[..]), ("alarms@example.org", &["ops@example.org".to_owned()][..]));
    assert_eq!(host.counted("tocsin_email_known_records_total"), 1);
    assert_eq!(host.reported().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recipient_that_is_refused_keeps_no_other_from_the_mail() {
    if without("aiosmtpd") {
        return;
    }
    let server = Aiosmtpd::start().expect("server");
    let host = Host::new();
    let to =
        [("email.to", "ops@example.org, {{value}}@example.org, later@example.org"), ("email.bcc", "{{key}}@x.org")];
    let mut task = start(&settings(server.port(), &to), &host).await;
    let records =
        [record(0, "a", "refused"), record(1, "b", "ann"), record(2, "c", "not an address"), record(3, "d", "bob")];
    let retries = sink::deliver(&mut *task, &records, &host).await.expect("put");
    assert_eq!(retries, 2, "one recipient is to be tried again twice");
    sink::stop(task).await;
    let to: Vec<String> = server.mails().expect("mails").iter().map(|mail| mail.to.join(" ")).collect();
    let expected = [
        "ops@example.org a@x.org",
        "later@example.org",
        "ops@example.org ann@example.org later@example.org b@x.org",
        "ops@example.org bob@example.org later@example.org d@x.org",
    ];
    assert_eq!(to, expected);
    let reported = host.reported();
    assert_eq!(reported.iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), [Some(0), Some(2)]);
    let text = reported[0].1.one_line();
    assert!(
        text.contains("some of its recipients, while others got it")
            && text.contains("refused@example.org: the server answers 550"),
        "{text}"
    );
    assert!(!server.mails().expect("mails")[0].text.contains("a@x.org"), "blind copies are not told");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_mean_what_they_mean() {
    if without("aiosmtpd") {
        return;
    }
    let server = Aiosmtpd::start().expect("server");
    let host = Host::new();
    let mut task = start(&settings(server.port(), &[]), &host).await;
    let records = [record(0, "a", "one"), record(1, "a", "[reject]"), record(2, "a", "two")];
    sink::deliver(&mut *task, &records, &host).await.expect("put");
    assert_eq!(subjects(&server), ["a: one", "a: two"]);
    let (offset, why) = &host.reported()[0];
    assert!(*offset == Some(1) && why.one_line().contains("554 5.6.0 the content is refused"), "{why:?}");
    sink::stop(task).await;

    let everybody = settings(server.port(), &[("email.to", "refused@example.org")]);
    let mut task = start(&everybody, &host).await;
    let e = task.put(&[record(3, "b", "x")]).await;
    assert!(e.is_ok() && host.reported()[1].1.one_line().contains("its recipients: refused@example.org"), "{e:?}");
    let full = settings(server.port(), &[("email.to", "never@example.org")]);
    let e = start(&full, &host).await.put(&[record(3, "b", "x")]).await.expect_err("for now");
    assert!(e.class() == ErrorClass::Retriable && e.one_line().contains("450 4.2.2 mailbox full"), "{e:?}");
    let stranger = settings(server.port(), &[("email.from", "stranger@example.org")]);
    let e = start(&stranger, &host).await.put(&[record(3, "b", "x")]).await.expect_err("refused");
    assert!(e.class() == ErrorClass::Fatal && e.one_line().contains("email.from"), "{e:?}");
    let utf8 = settings(server.port(), &[("email.to", "grün@example.org")]);
    let mut task = start(&utf8, &host).await;
    task.put(&[record(4, "c", "x")]).await.expect("put");
    let mails = server.mails().expect("mails");
    assert_eq!((host.reported().len(), &mails[2].to[..]), (2, &["grün@example.org".to_owned()][..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_and_comes_back_is_waited_for() {
    if without("aiosmtpd") {
        return;
    }
    let mut server = Aiosmtpd::start().expect("server");
    let host = Host::new();
    let mut task = start(&settings(server.port(), &[]), &host).await;
    sink::deliver(&mut *task, &[record(0, "a", "one")], &host).await.expect("put");
    server.kill9().expect("kill");
    let e = task.put(&[record(1, "a", "two")]).await.expect_err("nobody there");
    assert_eq!(e.class(), ErrorClass::Retriable, "{e:?}");
    let e = task.put(&[record(1, "a", "two")]).await.expect_err("nobody there");
    assert!(e.one_line().contains("email.smtp.port") && e.one_line().contains("refused"), "{e:?}");
    server.start_again().expect("start");
    sink::deliver(&mut *task, &[record(1, "a", "two")], &host).await.expect("put");
    assert_eq!(subjects(&server), ["a: one", "a: two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_a_digest_are_safe_once_it_is_sent() {
    if without("aiosmtpd") {
        return;
    }
    let server = Aiosmtpd::start().expect("server");
    let host = Host::new();
    let rules = [
        ("email.mode", "digest"),
        ("email.digest.interval.ms", "700"),
        ("email.digest.max.records", "4"),
        ("email.to", "{{key}}@example.org"),
        ("email.cleared.text", "over"),
    ];
    let mut task = start(&settings(server.port(), &rules), &host).await;
    let records = [record(10, "ann", "1"), record(11, "bob", "2"), cleared(12, "ann"), record(13, "", "nobody")];
    sink::deliver(&mut *task, &records, &host).await.expect("put");
    assert_eq!(sink::flush(&mut *task, &records).await.expect("flush")[0].offset, 10, "nothing is safe");
    assert_eq!(server.mails().expect("mails").len(), 0);
    while let Some(due) = task.due() {
        tokio::time::sleep_until(due).await;
        task.put(&[]).await.expect("put");
    }
    assert_eq!(subjects(&server), ["2 messages, the first one: ann: 1", "bob: 2"]);
    assert_eq!(sink::flush(&mut *task, &records).await.expect("flush")[0].offset, 14);
    assert_eq!(host.reported().iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), [Some(13)], "no address");

    // So many are sent at once; of partitions that are gone nothing is.
    let more: Vec<SinkRecord> = (14..20).map(|n| record(n, "ann", &n.to_string())).collect();
    sink::deliver(&mut *task, &more, &host).await.expect("put");
    assert_eq!(subjects(&server)[2], "4 messages, the first one: ann: 14");
    assert_eq!(sink::flush(&mut *task, &more).await.expect("flush")[0].offset, 18);
    task.close(&[TopicPartition { topic: "t".into(), partition: 0 }]).await.expect("close");
    assert_eq!(task.due(), None);
    sink::stop(task).await;
    assert_eq!(server.mails().expect("mails").len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_so_many_mails_a_minute_records_wait_for_a_digest() {
    if without("aiosmtpd") {
        return;
    }
    let server = Aiosmtpd::start().expect("server");
    let host = Host::new();
    let rules = [("email.max.per.minute", "3"), ("email.digest.max.records", "5")];
    let mut task = start(&settings(server.port(), &rules), &host).await;
    let records: Vec<SinkRecord> = (0..7).map(|n| record(n, &format!("k{n}"), "x")).collect();
    sink::deliver(&mut *task, &records, &host).await.expect("put");
    assert_eq!(subjects(&server), ["k0: x", "k1: x", "k2: x"]);
    assert_eq!(sink::flush(&mut *task, &records).await.expect("flush")[0].offset, 3);
    let due = task.due().expect("when there is room");
    let left = due - tokio::time::Instant::now();
    assert!(left > Duration::from_secs(30) && left <= Duration::from_secs(60), "{left:?}");
    // More than may wait are not taken.
    let more = [record(7, "k7", "x"), record(8, "k8", "x"), cleared(9, "k4")];
    let e = task.put(&more).await.expect_err("too many");
    assert!(e.class() == ErrorClass::Retriable && e.delay().is_some_and(|d| d > Duration::from_secs(30)), "{e:?}");
    tokio::time::sleep_until(due).await;
    sink::deliver(&mut *task, &more, &host).await.expect("put");
    assert_eq!(sink::flush(&mut *task, &more).await.expect("flush")[0].offset, 10);
    sink::stop(task).await;
    let expected = ["5 messages, the first one: k3: x", "k8: x", "Re: k4: x - cleared"];
    assert_eq!(subjects(&server)[3..], expected);
    let mails = server.mails().expect("mails");
    assert_eq!(mails[5].header("In-Reply-To"), mails[3].header("Message-ID"), "the digest was the first mail about it");
    assert!(["k3", "k4", "k5", "k6", "k7"].iter().all(|key| mails[3].text.contains(&format!("{key}: x"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_secured_and_what_is_wrong_with_them_is_told() {
    if without("aiosmtpd") {
        return;
    }
    for (security, name, other) in [(MailSecurity::Starttls, "starttls", "tls"), (MailSecurity::Tls, "tls", "starttls")]
    {
        let server = Aiosmtpd::start_secure(security).expect("server");
        let ca = server.ca().expect("ca").to_string_lossy().into_owned();
        let right = settings(
            server.port(),
            &[
                ("email.smtp.host", "localhost"),
                ("email.smtp.security", name),
                ("email.tls.ca.file", &ca),
                ("email.smtp.username", Aiosmtpd::USER),
                ("email.smtp.password", Aiosmtpd::PASSWORD),
                ("email.connect.timeout.ms", "3000"),
            ],
        );
        let host = Host::new();
        for auth in ["plain", "login"] {
            let mut task = start(&right.clone().with("email.smtp.auth", auth), &host).await;
            sink::deliver(&mut *task, &[record(0, auth, "x")], &host).await.expect(auth);
            sink::stop(task).await;
        }
        assert_eq!(subjects(&server), ["plain: x", "login: x"]);
        let passed = trial(&right, &host).await.check().await.expect("right");
        assert!(matches!(&passed, Check::Passed(text) if text.contains("with user and password")), "{passed:?}");
        for (key, value, class, expected) in [
            ("email.smtp.password", "wrong", ErrorClass::Fatal, "email.smtp.password"),
            ("email.tls.server.name", "elsewhere.example.org", ErrorClass::Retriable, "certificate verify failed"),
            ("email.tls.server.name", "elsewhere.example.org", ErrorClass::Retriable, "hostname mismatch"),
            ("email.smtp.security", other, ErrorClass::Retriable, "email.smtp.security"),
            ("email.smtp.port", "1", ErrorClass::Retriable, "refused"),
            ("email.smtp.host", "nowhere.invalid", ErrorClass::Retriable, "nowhere.invalid"),
        ] {
            let wrong = right.clone().with(key, value);
            let e = trial(&wrong, &host).await.check().await.expect_err(value);
            assert!(e.class() == class && e.one_line().to_lowercase().contains(expected), "{name} {key}: {e:?}");
            assert_eq!(e.is_denied(), key == "email.smtp.password", "{e:?}");
            assert!(!format!("{e:?}").contains(Aiosmtpd::PASSWORD), "{e:?}");
        }
        let mut untrusted = right.clone();
        untrusted.remove("email.tls.ca.file");
        let e = trial(&untrusted, &host).await.check().await.expect_err("unknown authority");
        assert!(e.one_line().contains("certificate verify failed"), "{e:?}");
        let mut nobody = right.clone();
        nobody.remove("email.smtp.username");
        nobody.remove("email.smtp.password");
        let e = trial(&nobody, &host).await.check().await.expect_err("nobody");
        assert!(e.class() == ErrorClass::Fatal && e.one_line().contains("530"), "{e:?}");
        assert_eq!(server.mails().expect("mails").len(), 2, "a test call sends nothing");
    }
    let plain = Aiosmtpd::start().expect("server");
    let host = Host::new();
    let secure = settings(plain.port(), &[("email.smtp.security", "starttls")]);
    let e = trial(&secure, &host).await.check().await.expect_err("no STARTTLS");
    assert!(e.class() == ErrorClass::Fatal && e.message().contains("does not offer STARTTLS"), "{e:?}");
    let mut trial = trial(&settings(plain.port(), &[]), &host).await;
    let Rendering::Sent(sent) = trial.render(&record(3, "pump", "hot")).expect("mail") else { panic!("nothing") };
    assert_eq!((sent.to.as_str(), sent.body.as_deref()), ("mail to ops@example.org", Some("hot")));
    assert!(sent.headers.contains(&("Subject".into(), "pump: hot".into())), "{sent:?}");
    assert_eq!(plain.mails().expect("mails").len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_fails_now_and_then_gets_every_mail() {
    if without("aiosmtpd") {
        return;
    }
    let server = Aiosmtpd::start_failing(5).expect("server");
    let host = Host::new();
    let mut task = start(&settings(server.port(), &[]), &host).await;
    let records: Vec<SinkRecord> = (0..40).map(|n| record(n, &format!("k{n}"), "x")).collect();
    let retries = sink::deliver(&mut *task, &records, &host).await.expect("put");
    assert!(retries >= 8, "{retries}");
    let mut ids: Vec<String> =
        server.mails().expect("mails").iter().map(|mail| mail.header("Message-ID").expect("id")).collect();
    let all = ids.len();
    ids.dedup();
    // Where the server took a mail and did not say so it comes again, with the same Message-ID and next to the other.
    assert_eq!((ids.len(), all - ids.len() > 0), (40, true), "{ids:?}");
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 40);
}
