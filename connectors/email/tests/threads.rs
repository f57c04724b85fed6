//! What the email sink remembers: which records were told, and who got them.

mod setup;

use connect_api::{Settings, SinkRecord, SinkTask, TopicPartition, Value};
use connect_testkit::{Host, sink};
use setup::{cleared, record, settings, start, subjects};
use xtask::servers::{Aiosmtpd, Received, without};

/// As the guide has it: who is told depends on the value, which a tombstone lacks.
const TO: &str = "ops@example.org, {% if value.priority == \"P1\" %}on-call@example.org{% endif %}";

fn guided(port: u16, more: &[(&str, &str)]) -> Settings {
    let mut all = settings(port, &[("email.to", TO), ("email.subject", "{{value.priority}} {{key}}")]);
    all.remove("email.text");
    all.extend(&more.iter().copied().collect());
    all
}

fn alarm(offset: i64, key: &str, priority: &str) -> SinkRecord {
    sink::record("t", offset, key, Value::map([("priority", Value::from(priority)), ("source", "epics".into())]))
}

fn to(mail: &Received) -> String {
    mail.to.iter().map(|address| address.trim_end_matches("@example.org")).collect::<Vec<_>>().join(" ")
}

/// Subjects and recipients.
fn mails(server: &Aiosmtpd) -> Vec<(String, String)> {
    server.mails().expect("mails").iter().map(|mail| (mail.header("Subject").expect("subject"), to(mail))).collect()
}

fn expected(mails: &[(&str, &str)]) -> Vec<(String, String)> {
    mails.iter().map(|(subject, to)| ((*subject).to_owned(), (*to).to_owned())).collect()
}

async fn send_all(task: &mut dyn SinkTask) {
    while task.due().is_some() {
        sink::when_due(task).await.expect("put");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_got_the_beginning_gets_the_end() {
    if without("aiosmtpd") {
        return;
    }
    let server = Aiosmtpd::start().expect("server");
    let host = Host::new();
    let settings = guided(server.port(), &[]);
    let mut task = start(&settings, &host).await;
    let raised = [alarm(0, "pump", "P2"), alarm(1, "fire", "P1"), alarm(2, "pump", "P1"), alarm(3, "pump", "P3")];
    sink::deliver(&mut *task, &raised, &host).await.expect("put");
    sink::stop(task).await;
    let mut task = start(&settings, &host).await;
    let over =
        [cleared(4, "fire"), cleared(5, "pump"), cleared(6, "pump"), cleared(7, "never"), alarm(8, "pump", "P2")];
    sink::deliver(&mut *task, &over, &host).await.expect("put");
    sink::deliver(&mut *task, &[cleared(9, "pump")], &host).await.expect("put");
    let all = [
        ("P2 pump", "ops"),
        ("P1 fire", "ops on-call"),
        ("P1 pump", "ops on-call"),
        ("P3 pump", "ops"),
        ("Re: P1 fire - cleared", "ops on-call"),
        ("Re: P2 pump - cleared", "ops on-call"),
        ("P2 pump", "ops"),
        ("Re: P2 pump - cleared", "ops"),
    ];
    assert_eq!(mails(&server), expected(&all));
    assert_eq!(host.reported().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_got_no_mail_gets_none_that_it_is_over() {
    if without("aiosmtpd") {
        return;
    }
    let server = Aiosmtpd::start().expect("server");
    let host = Host::new();
    let rules = [("email.to", "ops@example.org, refused@example.org"), ("email.subject", "{{key}}")];
    let mut task = start(&settings(server.port(), &rules), &host).await;
    let records = [record(0, "pump", "hot"), cleared(1, "pump"), record(2, "fan", "[reject]"), cleared(3, "fan")];
    sink::deliver(&mut *task, &records, &host).await.expect("put");
    assert_eq!(subjects(&server), ["pump", "Re: pump - cleared"]);
    assert_eq!(host.reported().iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), [Some(0), Some(2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_other_recipients_is_not_taken_for_told_and_keeps_its_place_in_its_thread() {
    if without("aiosmtpd") {
        return;
    }
    let server = Aiosmtpd::start().expect("server");
    let host = Host::new();
    let settings = guided(server.port(), &[("email.mode", "digest"), ("email.digest.interval.ms", "300")]);
    let records = [alarm(0, "pump", "P2"), alarm(1, "pump", "P1"), alarm(2, "pump", "P3"), alarm(3, "fan", "P2")];
    let mut task = start(&settings, &host).await;
    sink::deliver(&mut *task, &records, &host).await.expect("put");
    send_all(&mut *task).await;
    let all = [("2 messages, the first one: P2 pump", "ops"), ("P1 pump", "ops on-call"), ("P3 pump", "ops")];
    assert_eq!(mails(&server), expected(&all));

    // One mail a minute: the first digest is sent, the next one has to wait, and the task is killed.
    let (server, host) = (Aiosmtpd::start().expect("server"), Host::new());
    let limited = settings.with("email.smtp.port", server.port().to_string());
    let mut task = start(&limited.clone().with("email.max.per.minute", "1"), &host).await;
    sink::deliver(&mut *task, &records, &host).await.expect("put");
    sink::when_due(&mut *task).await.expect("put");
    assert_eq!(mails(&server), expected(&all[..1]));
    assert_eq!(sink::flush(&mut *task, &records).await.expect("flush")[0].offset, 1);
    drop(task);
    let mut task = start(&limited, &host).await;
    sink::deliver(&mut *task, &records, &host).await.expect("put");
    send_all(&mut *task).await;
    assert_eq!(mails(&server), expected(&all), "what was told is known, what was not is mailed");
    assert_eq!(host.counted("tocsin_email_known_records_total"), 2);
    assert_eq!(sink::flush(&mut *task, &records).await.expect("flush")[0].offset, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_of_several_alarms_takes_older_records_and_ends_with_the_last_alarm() {
    if without("aiosmtpd") {
        return;
    }
    let server = Aiosmtpd::start().expect("server");
    let host = Host::new();
    let settings = guided(server.port(), &[("email.thread", "{{value.source}}")]);
    let mut task = start(&settings, &host).await;
    // What comes off the shelf is older than what was told in its thread meanwhile.
    let records =
        [alarm(1, "fan", "P2"), alarm(0, "pump", "P1"), cleared(2, "pump"), cleared(3, "fan"), alarm(4, "fan", "P3")];
    for record in records {
        sink::deliver(&mut *task, &[record], &host).await.expect("put");
    }
    let all = [
        ("P2 fan", "ops"),
        ("P1 pump", "ops on-call"),
        ("Re: P2 fan - cleared", "ops on-call"),
        ("Re: P2 fan - cleared", "ops"),
        ("P3 fan", "ops"),
    ];
    assert_eq!(mails(&server), expected(&all));
    let mails = server.mails().expect("mails");
    let answers: Vec<bool> = mails.iter().map(|mail| mail.header("In-Reply-To").is_some()).collect();
    assert_eq!(answers, [false, true, true, true, false]);
    assert_eq!(host.reported().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_remembered_of_a_thread_is_what_may_come_again() {
    if without("aiosmtpd") {
        return;
    }
    let server = Aiosmtpd::start().expect("server");
    let host = Host::new();
    let settings = guided(server.port(), &[]);
    let mut task = start(&settings, &host).await;
    task.open(&[TopicPartition { topic: "t".into(), partition: 0 }]).await.expect("open");
    let records: Vec<SinkRecord> = (0..5).map(|n| alarm(n, "pump", "P2")).collect();
    sink::deliver(&mut *task, &records[..4], &host).await.expect("put");
    for _ in 0..2 {
        sink::flush(&mut *task, &records[..4]).await.expect("flush");
    }
    // Offsets were set back by a person: what was committed is mailed again but for what the thread still has.
    sink::deliver(&mut *task, &records[4..], &host).await.expect("put");
    sink::deliver(&mut *task, &records, &host).await.expect("put");
    assert_eq!(server.mails().expect("mails").len(), 5 + 4);
    assert_eq!(host.counted("tocsin_email_known_records_total"), 1);
}
