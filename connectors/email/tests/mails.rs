//! The email sink with a real SMTP server.

mod setup;

use std::{sync::Arc, time::Duration};

use connect_api::{
    Check, Connector, ErrorClass, Headers, Rendering, Row, Settings, SinkConnector, SinkRecord, SinkTrial,
    TopicPartition, config::Config,
};
use connect_testkit::{Host, sink};
use connector_alarm::{Alarm, Priority, ShelvedAlarm};
use connector_email::EmailSink;
use setup::{cleared, record, settings, start, subjects};
use xtask::servers::{Aiosmtpd, MailSecurity, Server, without};

async fn trial(settings: &Settings, host: &Arc<Host>) -> Box<dyn SinkTrial> {
    let config = <EmailSink as Connector>::Config::parse(settings).expect("settings");
    EmailSink::start_trial(config, host.sink(settings).0).await.expect("trial").expect("there is one")
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
    assert_eq!(host.undelivered(), 3);
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
    assert_eq!((task.due(), host.undelivered()), (None, 0));
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
    let began = tokio::time::Instant::now();
    sink::deliver(&mut *task, &records, &host).await.expect("put");
    let took = began.elapsed();
    assert_eq!(subjects(&server), ["k0: x", "k1: x", "k2: x"]);
    assert_eq!(sink::flush(&mut *task, &records).await.expect("flush")[0].offset, 3);
    let due = task.due().expect("when there is room");
    let left = due - tokio::time::Instant::now();
    assert!(left > Duration::from_secs(30) && left <= Duration::from_secs(60), "{left:?}");
    // More than may wait are not taken.
    let more = [record(7, "k7", "x"), record(8, "k8", "x"), cleared(9, "k4")];
    let e = task.put(&more).await.expect_err("too many");
    assert!(e.class() == ErrorClass::Retriable && e.delay().is_some_and(|d| d > Duration::from_secs(30)), "{e:?}");
    // Then there is room for the first mail's successor, and a little later for those of the others.
    tokio::time::sleep_until(due + took).await;
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
async fn a_digest_that_is_refused_is_halved_until_the_bad_record_stands_alone() {
    if without("aiosmtpd") {
        return;
    }
    let rules = [
        ("email.mode", "digest"),
        ("email.digest.interval.ms", "3600000"),
        ("email.digest.max.records", "10"),
        ("email.digest.subject", "{% for r in records %}{{r.key}} {% endfor %}"),
    ];
    // The server refuses its content, or it cannot be made.
    let unmade = ("email.digest.text", "{% for r in records %}{{ 1 // r.value|length }}{{r.text}}{% endfor %}");
    for (bad, more) in [("[reject]", None), ("", Some(unmade))] {
        for positions in [&[0][..], &[4], &[9], &[2, 7]] {
            let server = Aiosmtpd::start().expect("server");
            let host = Host::new();
            let all: Vec<(&str, &str)> = rules.iter().copied().chain(more).collect();
            let mut task = start(&settings(server.port(), &all), &host).await;
            let value = |n: &i64| if positions.contains(n) { bad } else { "good" };
            let records: Vec<SinkRecord> = (0..10).map(|n| record(n, &format!("k{n}"), value(&n))).collect();
            sink::deliver(&mut *task, &records, &host).await.expect("put");
            assert_eq!(task.due(), None, "nothing waits for an hour");
            let told: Vec<String> = subjects(&server).join(" ").split_whitespace().map(str::to_owned).collect();
            let expected = (0..10).filter(|n| !positions.contains(n)).map(|n| format!("k{n}"));
            assert_eq!(told, expected.collect::<Vec<_>>(), "{positions:?}");
            let reported: Vec<i64> = host.reported().iter().filter_map(|(offset, _)| *offset).collect();
            assert_eq!(reported, positions, "{:?}", host.reported());
            assert!(subjects(&server).len() <= 8, "{:?}", subjects(&server));
            assert_eq!(sink::flush(&mut *task, &records).await.expect("flush")[0].offset, 10);
        }
    }

    // Recipients who are refused are not refused because of a record: one mail says so.
    let server = Aiosmtpd::start().expect("server");
    let host = Host::new();
    let all: Vec<(&str, &str)> = rules.iter().copied().chain([("email.to", "refused@example.org")]).collect();
    let mut task = start(&settings(server.port(), &all), &host).await;
    let records: Vec<SinkRecord> = (0..10).map(|n| record(n, &format!("k{n}"), "good")).collect();
    sink::deliver(&mut *task, &records, &host).await.expect("put");
    assert_eq!((host.reported().len(), server.mails().expect("mails").len()), (10, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_is_told_but_for_its_bad_record_at_the_pace_that_is_allowed() {
    if without("aiosmtpd") {
        return;
    }
    let server = Aiosmtpd::start().expect("server");
    let host = Host::new();
    let mut task = start(&settings(server.port(), &[("email.max.per.minute", "2")]), &host).await;
    let value = |n: i64| if n == 5 { "[reject]" } else { "good" };
    let records: Vec<SinkRecord> = (0..8).map(|n| record(n, &format!("k{n}"), value(n))).collect();
    sink::deliver(&mut *task, &records, &host).await.expect("put");
    assert_eq!(server.mails().expect("mails").len(), 2);
    while let Some(due) = task.due() {
        tokio::time::sleep_until(due).await;
        sink::deliver(&mut *task, &[], &host).await.expect("put");
        let found = server.mails().expect("mails").len();
        assert!(found <= 2 || tokio::time::Instant::now() >= due, "{found}");
    }
    let text: String = server.mails().expect("mails").iter().map(|mail| mail.text.clone()).collect();
    for n in 0..8 {
        assert_eq!(text.contains(&format!("k{n}: good")), n != 5, "{n}");
    }
    assert_eq!(host.reported().iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), [Some(5)]);
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
            (
                "email.tls.server.name",
                "elsewhere.example.org",
                ErrorClass::Fatal,
                "set email.tls.server.name to a name",
            ),
            ("email.tls.server.name", "elsewhere.example.org", ErrorClass::Fatal, "hostname mismatch"),
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
        assert!(e.class() == ErrorClass::Fatal && e.one_line().contains("certificate verify failed"), "{e:?}");
        assert!(e.message().contains("set email.tls.ca.file"), "{e:?}");
        let e = start(&untrusted, &host).await.put(&[record(1, "a", "x")]).await.expect_err("unknown authority");
        assert_eq!(e.class(), ErrorClass::Fatal, "{e:?}");
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

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_wants_a_certificate_gets_it() {
    if without("aiosmtpd") {
        return;
    }
    for (security, name) in [(MailSecurity::Starttls, "starttls"), (MailSecurity::Tls, "tls")] {
        let server = Aiosmtpd::start_mutual(security).expect("server");
        let certificates = server.certificates().expect("certificates");
        let path = |path: std::path::PathBuf| path.to_string_lossy().into_owned();
        let without = settings(
            server.port(),
            &[
                ("email.smtp.host", "localhost"),
                ("email.smtp.security", name),
                ("email.tls.ca.file", &path(certificates.ca())),
                ("email.connect.timeout.ms", "5000"),
            ],
        );
        let host = Host::new();
        let e = trial(&without, &host).await.check().await.expect_err("no certificate");
        assert!(e.message().contains("connecting to") || e.message().contains("securing"), "{name}: {e:?}");
        let with = without
            .with("email.tls.certificate.file", path(certificates.client_certificate()))
            .with("email.tls.key.file", path(certificates.client_key()));
        let mut task = start(&with, &host).await;
        sink::deliver(&mut *task, &[record(0, "a", "x")], &host).await.expect(name);
        sink::stop(task).await;
        assert_eq!(subjects(&server), ["a: x"]);
        let wrong = with.with("email.tls.key.file", path(certificates.ca()));
        let config = <EmailSink as Connector>::Config::parse(&wrong).expect("settings");
        let e = EmailSink::start_task(config, host.sink(&wrong).0).await.err().expect("no key");
        assert!(e.class() == ErrorClass::Fatal && e.message().contains("email.tls.key.file"), "{e:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recipient_who_is_refused_for_now_holds_later_records_up_only_for_so_long() {
    if without("aiosmtpd") {
        return;
    }
    let server = Aiosmtpd::start().expect("server");
    let host = Host::new();
    let rules = [
        ("email.to", "ops@example.org, {% if key == 'full' %}never@example.org{% endif %}"),
        ("email.recipient.retry.timeout.ms", "1000"),
    ];
    let began = std::time::Instant::now();
    let mut task = start(&settings(server.port(), &rules), &host).await;
    let records = [record(0, "a", "x"), record(1, "full", "x"), record(2, "b", "x")];
    sink::deliver(&mut *task, &records, &host).await.expect("put");
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    sink::stop(task).await;
    assert_eq!(subjects(&server), ["a: x", "full: x", "b: x"], "each once, in order");
    let reported = host.reported();
    assert_eq!(reported.iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), [Some(1)]);
    let text = reported[0].1.one_line();
    assert!(text.contains("some of its recipients") && text.contains("mailbox full, for 1 s by now"), "{text}");

    // In a digest, too; those with other recipients are not held up longer either.
    let digest = [("email.mode", "digest"), ("email.digest.interval.ms", "1"), ("email.thread", "")];
    let all: Vec<(&str, &str)> = rules.iter().chain(&digest).copied().collect();
    let mut task = start(&settings(server.port(), &all), &host).await;
    let records = [record(3, "full", "y"), record(4, "b", "y")];
    sink::deliver(&mut *task, &records, &host).await.expect("put");
    while task.due().is_some() {
        sink::when_due(&mut *task).await.expect("put");
    }
    assert_eq!(sink::flush(&mut *task, &records).await.expect("flush")[0].offset, 5);
    assert_eq!(host.reported().iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), [Some(1), Some(3)]);
    assert_eq!(subjects(&server)[3..], ["full: y", "b: y"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_that_comes_off_the_shelf_is_in_a_digest_also_after_a_restart() {
    if without("aiosmtpd") {
        return;
    }
    let server = Aiosmtpd::start().expect("server");
    let host = Host::new();
    let rules = [
        ("email.mode", "digest"),
        ("email.digest.interval.ms", "3000"),
        ("shelved.alarms.topic", "shelved-alarms"),
        ("email.subject", "{{key}}"),
    ];
    let settings = settings(server.port(), &rules);
    let alarm = |offset, name: &str| sink::record("t", offset, name, Alarm::new(Priority::Life).to_value());
    let partition = [TopicPartition { topic: "t".into(), partition: 0 }];
    let value = ShelvedAlarm { expiration: None, reason: "noisy".into() }.to_value();
    host.row("shelved-alarms", "pump", Some(Row { schema: None, value, headers: Headers::new(), timestamp: None }));
    let mut task = start(&settings, &host).await;
    task.open(&partition).await.expect("open");
    let records = [alarm(5, "pump")];
    sink::deliver(&mut *task, &records, &host).await.expect("put");
    assert_eq!(sink::flush(&mut *task, &records).await.expect("flush")[0].offset, 6, "it is in the state");
    host.row("shelved-alarms", "pump", None);
    sink::when_due(&mut *task).await.expect("put");
    // It is killed while the alarm waits for the digest.
    drop(task);
    assert_eq!(server.mails().expect("mails").len(), 0);
    let mut task = start(&settings, &host).await;
    task.open(&partition).await.expect("open");
    let records = [alarm(6, "door")];
    sink::deliver(&mut *task, &records, &host).await.expect("put");
    let began = std::time::Instant::now();
    while server.mails().expect("mails").is_empty() {
        sink::when_due(&mut *task).await.expect("put");
        assert!(began.elapsed() < Duration::from_secs(30));
    }
    assert_eq!(subjects(&server), ["2 messages, the first one: door"]);
    assert!(server.mails().expect("mails")[0].text.contains("pump"), "both are told");
    assert_eq!(sink::flush(&mut *task, &records).await.expect("flush")[0].offset, 7);
    sink::stop(task).await;
    let mut task = start(&settings, &host).await;
    task.open(&partition).await.expect("open");
    for _ in 0..8 {
        sink::when_due(&mut *task).await.expect("put");
    }
    assert_eq!(subjects(&server).len(), 1, "it is told once");
}
