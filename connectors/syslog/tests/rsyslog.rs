//! Debian's rsyslog and util-linux's logger as senders: every transport in every format.
#![allow(clippy::unwrap_used, reason = "tests")]

use connect_api::SourceRecord;
use serde_json::{Value as Json, json};
use tokio::time::timeout;
use xtask::servers::{Certificates, Forward, Rsyslog, Server, Style, logger, without};

mod running;
use running::{Running, SOON, field, messages, start};

const SENT: &str =
    "<165>1 2026-11-21T10:00:00.123456+01:00 pump7 app 12 ID47 [a@1 b=\"c\\\"]\" d=\"\"] \u{e4}ll's well";

/// So many find room in the kernel's buffer of a UDP socket.
const COUNT: usize = 100;

/// What of a message a format carries.
fn expected(style: Style) -> Json {
    let fields = json!({
        "priority": 165, "facility_name": "local4", "severity_name": "notice", "hostname": "pump7", "app_name": "app",
        "proc_id": "12", "message": "\u{e4}ll's well", "charset": "utf-8", "host": "pump7",
    });
    let more = match style {
        Style::Rfc5424 => json!({
            "format": "rfc5424", "version": 1, "timestamp_text": "2026-11-21T10:00:00.123456+01:00",
            "timestamp": "2026-11-21T09:00:00.123Z", "msg_id": "ID47", "structured_data": {"a@1": {"b": "c\"]", "d": ""}},
        }),
        // The zone is left out, and is the one of the setting here.
        Style::Traditional => json!({
            "format": "rfc3164", "timestamp_text": "Nov 21 10:00:00", "timestamp": "2026-11-21T10:00:00.000Z",
        }),
        Style::Iso => json!({
            "format": "rfc3164", "timestamp_text": "2026-11-21T10:00:00.123456+01:00",
            "timestamp": "2026-11-21T09:00:00.123Z",
        }),
    };
    let all = [fields, more].into_iter().flat_map(|part| part.as_object().cloned().unwrap_or_default());
    Json::Object(all.collect())
}

fn check(record: &SourceRecord, style: Style) {
    for (name, expected) in expected(style).as_object().unwrap() {
        // The year is that in which the test runs.
        let is_of_this_year = style == Style::Traditional && name == "timestamp";
        let (found, expected) = (field(record, name), expected.clone());
        if is_of_this_year {
            assert_eq!(found.as_str().map(|t| &t[4..]), expected.as_str().map(|t| &t[4..]));
        } else {
            assert_eq!(found, expected, "{name} in {style:?}");
        }
    }
}

async fn forward(forward: Forward, settings: &[(&str, &str)]) {
    for style in [Style::Rfc5424, Style::Traditional, Style::Iso] {
        let mut running = start(settings).await;
        let to = running.address(0);
        let way = forward.clone();
        let sender = tokio::task::spawn_blocking(move || {
            let sender = Rsyslog::start(to, &way, style)?;
            // In one connection, which keeps them in order.
            let numbered = (0..COUNT).map(|n| format!("<13>1 2026-11-21T10:00:00Z h n 1 - - {n}"));
            sender.take(std::iter::once(SENT.to_owned()).chain(numbered))?;
            Ok::<_, xtask::servers::Error>(sender)
        });
        let sender = sender.await.unwrap().expect("rsyslog");
        let mut first = timeout(SOON, running.take(1)).await.unwrap_or_else(|_| panic!("{}", sender.process().log()));
        check(&first[0], style);
        first.remove(0);
        let left = COUNT - first.len();
        first.extend(running.take(left).await);
        let numbers = messages(&first);
        assert_eq!(numbers.len(), COUNT, "{forward:?} {style:?}");
        assert!(
            numbers.iter().enumerate().all(|(n, text)| *text == n.to_string()),
            "{forward:?} {style:?}: {numbers:?}"
        );
        assert!(running.host.rejected().is_empty(), "{:?}", running.host.reported());
        tokio::task::spawn_blocking(move || drop(sender)).await.unwrap();
    }
}

#[tokio::test]
async fn rsyslog_over_udp() {
    if !without("rsyslog") {
        forward(Forward::Udp, &[("syslog.listeners", "udp://127.0.0.1:0")]).await;
    }
}

#[tokio::test]
async fn rsyslog_over_tcp_in_both_framings() {
    if !without("rsyslog") {
        forward(Forward::Tcp, &[("syslog.listeners", "tcp://127.0.0.1:0")]).await;
        forward(Forward::TcpCounted, &[("syslog.listeners", "tcp://127.0.0.1:0")]).await;
    }
}

#[tokio::test]
async fn rsyslog_over_tls_with_and_without_a_certificate_of_its_own() {
    if without("rsyslog") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let files = Certificates::make(dir.path()).unwrap();
    let (bundle, ca) = (files.broker_bundle().display().to_string(), files.ca().display().to_string());
    let mut settings = vec![
        ("syslog.listeners", "tls://127.0.0.1:0"),
        ("syslog.tls.certificate.file", &*bundle),
        ("syslog.tls.key.file", &*bundle),
    ];
    forward(Forward::Tls { ca: files.ca(), own: None }, &settings).await;
    settings.push(("syslog.tls.client.ca.file", &*ca));
    let own = Some((files.client_certificate(), files.client_key()));
    forward(Forward::Tls { ca: files.ca(), own }, &settings).await;
}

async fn log(running: &mut Running, more: &[&str]) -> SourceRecord {
    let to = running.address(usize::from(more.contains(&"--tcp")));
    let port = to.port().to_string();
    let common = ["--server", "127.0.0.1", "--port", &port, "--tag", "lights", "--priority", "local3.crit"];
    let arguments: Vec<String> = [&common[..], more, &["it's dark"]].concat().iter().map(|a| (*a).to_owned()).collect();
    let sent = tokio::task::spawn_blocking(move || logger(&arguments.iter().map(String::as_str).collect::<Vec<_>>()));
    sent.await.unwrap().expect("logger");
    running.take(1).await.remove(0)
}

#[tokio::test]
async fn logger_in_all_of_its_ways() {
    let mut running = start(&[("syslog.listeners", "udp://127.0.0.1:0,tcp://127.0.0.1:0")]).await;
    for transport in [&["--udp"][..], &["--tcp"], &["--tcp", "--octet-count"]] {
        for format in ["--rfc5424", "--rfc3164"] {
            let record = log(&mut running, &[transport, &[format]].concat()).await;
            assert_eq!(field(&record, "format"), format.trim_start_matches("--"));
            assert_eq!((field(&record, "app_name"), field(&record, "message")), ("lights".into(), "it's dark".into()));
            assert_eq!((field(&record, "facility_name"), field(&record, "severity")), ("local3".into(), 2.into()));
            assert_eq!(field(&record, "structured_data").get("timeQuality").is_some(), format == "--rfc5424");
        }
    }
    let record = log(
        &mut running,
        &["--udp", "--rfc5424", "--msgid", "M1", "--id=77", "--sd-id", "z@1", "--sd-param", "a=\"b\""],
    )
    .await;
    assert_eq!((field(&record, "msg_id"), field(&record, "proc_id")), ("M1".into(), "77".into()));
    assert_eq!(field(&record, "structured_data")["z@1"], json!({"a": "b"}));
    assert!(running.host.rejected().is_empty());
}
