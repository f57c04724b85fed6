//! The source on its sockets, with a worker in memory that polls as the test says.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{path::Path, pin::Pin, time::Duration};

use connect_api::{Check, Settings, SourceConnector, SourceTask, Value, config::Config};
use connect_testkit::{Host, source};
use connector_syslog::{SyslogSource, SyslogSourceConfig};
use openssl::ssl::{SslConnector, SslFiletype, SslMethod};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    time::{Instant, timeout},
};
use tokio_openssl::SslStream;
use xtask::servers::Certificates;

mod running;
use running::{SOON, field, messages, start, try_start};

const ANY: &str = "udp://127.0.0.1:0,tcp://127.0.0.1:0";
const RECEIVED: &str = "tocsin_syslog_received_messages_total";
const DROPPED: &str = "tocsin_syslog_dropped_messages_total";

async fn udp() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").await.unwrap()
}

/// Whether the other side ends the connection.
async fn is_cut(stream: &mut TcpStream) -> bool {
    let mut left = Vec::new();
    timeout(SOON, stream.read_to_end(&mut left)).await.is_ok()
}

#[tokio::test]
async fn messages_come_over_every_transport_with_where_they_came_from() {
    let mut running = start(&[("syslog.listeners", ANY)]).await;
    let sender = udp().await;
    sender.send_to(b"<34>Oct 11 22:14:15 h su[3]: by udp\n", running.address(0)).await.unwrap();
    let records = running.take(1).await;
    let record = &records[0];
    assert_eq!((&*record.topic, record.key.as_str()), ("syslog", Some("h")));
    assert_eq!((field(record, "message"), field(record, "proc_id")), ("by udp".into(), "3".into()));
    assert_eq!(field(record, "transport"), "udp");
    assert_eq!(field(record, "remote_port"), sender.local_addr().unwrap().port());
    assert_eq!(field(record, "listener"), format!("udp://{}", running.address(0)));

    let mut lines = TcpStream::connect(running.address(1)).await.unwrap();
    lines.write_all(b"<34>1 - - a - - - one\n<34>1 - - a - - - two\0<34>1 - - a - - - three").await.unwrap();
    assert_eq!(messages(&running.take(2).await), ["one", "two"]);
    drop(lines);
    assert_eq!(messages(&running.take(1).await), ["three"], "the end of the connection ends it");
    let mut counted = TcpStream::connect(running.address(1)).await.unwrap();
    counted.write_all(b"23 <34>1 - - a - - - o\nne\n21 <34>1 - - a - - - two").await.unwrap();
    assert_eq!(messages(&running.take(2).await), ["o\nne", "two"]);
    assert_eq!(running.host.counted(RECEIVED), 6);
}

#[tokio::test]
async fn what_is_no_message_is_reported_with_its_bytes_and_a_reason_and_stops_nothing() {
    let mut running = start(&[("syslog.listeners", ANY), ("syslog.message.limit", "480")]).await;
    let sender = udp().await;
    let long = format!("<13>1 - - - - - - {}", "x".repeat(500));
    for bytes in [&b"no priority \xff\x00 at all"[..], long.as_bytes(), b"<13>1 - broken", b"", b"<13>right"] {
        sender.send_to(bytes, running.address(0)).await.unwrap();
    }
    assert_eq!(messages(&running.take(1).await), ["right"]);
    let reasons: Vec<String> = running.host.reported().iter().map(|(_, e)| e.message().to_owned()).collect();
    assert!(reasons[0].ends_with("no syslog message: it does not begin with a priority such as <13>"), "{reasons:?}");
    assert!(reasons[1].contains("longer than syslog.message.limit=480 bytes"), "{reasons:?}");
    assert!(reasons[2].contains("ends with its host name"), "{reasons:?}");
    let rejected = running.host.rejected();
    assert_eq!(rejected.len(), 3);
    let Value::Bytes(bytes) = &rejected[0].value else { panic!("bytes") };
    assert_eq!(&bytes[..], b"no priority \xff\x00 at all");
    assert_eq!(&*rejected[0].topic, "syslog");
    let from = rejected[0].headers.last("syslog.remote.address").map(|h| h.value.clone());
    assert_eq!(from, Some(sender.local_addr().unwrap().to_string().into()));
    let Value::Bytes(bytes) = &rejected[1].value else { panic!("bytes") };
    assert_eq!(bytes.len(), 480);

    let mut broken = TcpStream::connect(running.address(1)).await.unwrap();
    broken.write_all(b"9 <13>hello<13>no length").await.unwrap();
    assert_eq!(messages(&running.take(1).await), ["hello"]);
    running.until("the report", |host, _| host.rejected().len() == 4).await;
    assert!(is_cut(&mut broken).await, "nothing more can be understood there");
}

#[tokio::test]
async fn what_is_no_message_can_be_recorded_as_it_is() {
    let mut running = start(&[("syslog.listeners", ANY), ("syslog.invalid", "record")]).await;
    udp().await.send_to(b"no priority \xff", running.address(0)).await.unwrap();
    let records = running.take(1).await;
    assert_eq!(field(&records[0], "format"), "unknown");
    assert_eq!(field(&records[0], "message"), "no priority \u{ff}");
    assert_eq!(records[0].key.as_str(), Some("127.0.0.1"));
    assert!(running.host.rejected().is_empty());
}

async fn tls(files: &Certificates, to: std::net::SocketAddr, certified: bool) -> Result<SslStream<TcpStream>, String> {
    let mut connector = SslConnector::builder(SslMethod::tls()).unwrap();
    connector.set_ca_file(files.ca()).unwrap();
    if certified {
        connector.set_certificate_file(files.client_certificate(), SslFiletype::PEM).unwrap();
        connector.set_private_key_file(files.client_key(), SslFiletype::PEM).unwrap();
    }
    let ssl = connector.build().configure().unwrap().into_ssl("127.0.0.1").unwrap();
    let mut stream = SslStream::new(ssl, TcpStream::connect(to).await.unwrap()).unwrap();
    Pin::new(&mut stream).connect().await.map_err(|e| e.to_string())?;
    Ok(stream)
}

#[tokio::test]
async fn tls_asks_for_certificates_of_its_authority() {
    let dir = tempfile::tempdir().unwrap();
    let files = Certificates::make(dir.path()).unwrap();
    let (bundle, ca) = (files.broker_bundle().display().to_string(), files.ca().display().to_string());
    let settings = [
        ("syslog.listeners", "tls://127.0.0.1:0"),
        ("syslog.tls.certificate.file", &*bundle),
        ("syslog.tls.key.file", &*bundle),
        ("syslog.tls.client.ca.file", &*ca),
    ];
    let mut running = start(&settings).await;
    let to = running.address(0);
    for n in 0..2 {
        let mut known = tls(&files, to, true).await.unwrap();
        known.write_all(format!("19 <13>1 - - - - - - {n}").as_bytes()).await.unwrap();
        let records = running.take(1).await;
        assert_eq!(
            (field(&records[0], "message"), field(&records[0], "transport")),
            (n.to_string().into(), "tls".into())
        );
    }
    // With TLS 1.3 the client learns it from the first answer.
    if let Ok(mut stranger) = tls(&files, to, false).await {
        let mut answer = [0; 1];
        assert!(timeout(SOON, stranger.read(&mut answer)).await.unwrap().is_err(), "without a certificate");
    }
    let mut plain = TcpStream::connect(to).await.unwrap();
    plain.write_all(b"<13>in the clear\n").await.unwrap();
    assert!(is_cut(&mut plain).await);
    assert_eq!(running.host.counted(RECEIVED), 2);
}

#[tokio::test]
async fn files_that_are_wrong_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let files = Certificates::make(dir.path()).unwrap();
    let attempt = async |certificate: &Path, key: &Path, password: Option<&str>| {
        let (certificate, key) = (certificate.display().to_string(), key.display().to_string());
        let mut settings = vec![
            ("syslog.listeners", "tls://127.0.0.1:0"),
            ("syslog.tls.certificate.file", &*certificate),
            ("syslog.tls.key.file", &*key),
        ];
        settings.extend(password.map(|password| ("syslog.tls.key.password", password)));
        try_start(&settings).await.map(drop)
    };
    let e = attempt(Path::new("/nowhere"), &files.client_key(), None).await.unwrap_err();
    assert!(e.message().contains("/nowhere (syslog.tls.certificate.file)"), "{e}");
    let e = attempt(&files.client_certificate(), &files.encrypted_client_key(), None).await.unwrap_err();
    assert!(e.message().contains("expected an unencrypted private key"), "{e}");
    attempt(&files.client_certificate(), &files.encrypted_client_key(), Some(Certificates::PASSWORD)).await.unwrap();
}

#[tokio::test]
async fn many_connections_share_the_places() {
    let mut running = start(&[("syslog.listeners", "tcp://127.0.0.1:0"), ("syslog.connections", "20")]).await;
    let to = running.address(0);
    let senders: Vec<_> = (0..200)
        .map(|n| {
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(to).await.unwrap();
                for part in 0..5 {
                    stream.write_all(format!("<13>1 - - - - - - {n}.{part}\n").as_bytes()).await.unwrap();
                }
            })
        })
        .collect();
    let mut found = messages(&running.take(1000).await);
    for sender in senders {
        sender.await.unwrap();
    }
    found.sort();
    found.dedup();
    assert_eq!(found.len(), 1000);
}

#[tokio::test]
async fn that_all_places_are_taken_is_said_while_it_is_so() {
    let settings = [("syslog.listeners", "tcp://127.0.0.1:0,tcp://127.0.0.1:0"), ("syslog.connections", "2")];
    let mut running = start(&settings).await;
    let connect = async |to| {
        let mut stream = TcpStream::connect(to).await.unwrap();
        stream.write_all(b"<13>hello\n").await.unwrap();
        stream
    };
    let (one, other) = (running.address(0), running.address(1));
    let idle = [connect(one).await, connect(one).await];
    running.take(2).await;
    source::silent(&mut running.task, Duration::from_millis(1500)).await;
    assert_eq!(running.host.noted(), None, "nobody waits");
    let _waiting = connect(other).await;
    running.until("the note", |host, _| host.noted().is_some()).await;
    let note = running.host.noted().unwrap();
    assert!(note.contains("syslog.connections") && note.contains("syslog.idle.timeout.ms"), "{note}");
    assert_eq!(running.host.counted(RECEIVED), 2);
    drop(idle);
    assert_eq!(messages(&running.take(1).await), ["hello"]);
    running.until("no note", |host, _| host.noted().is_none()).await;
}

#[tokio::test]
async fn who_is_slow_or_silent_is_cut_off() {
    let settings = [
        ("syslog.listeners", "tcp://127.0.0.1:0"),
        ("syslog.client.timeout.ms", "300"),
        ("syslog.idle.timeout.ms", "1000"),
        ("syslog.connections", "1"),
    ];
    let mut running = start(&settings).await;
    let mut slow = TcpStream::connect(running.address(0)).await.unwrap();
    slow.write_all(b"<13>never").await.unwrap();
    // A byte now and then does not help.
    let dripping = async {
        while slow.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(SOON, dripping).await.expect("cut off");
    running.until("the report", |host, _| host.rejected().len() == 1).await;
    let why = running.host.reported()[0].1.message().to_owned();
    assert!(why.contains("took longer than syslog.client.timeout.ms"), "{why}");
    let mut silent = TcpStream::connect(running.address(0)).await.unwrap();
    silent.write_all(b"<13>once\n").await.unwrap();
    assert_eq!(messages(&running.take(1).await), ["once"]);
    assert!(is_cut(&mut silent).await);
    // Its place is free again.
    let mut next = TcpStream::connect(running.address(0)).await.unwrap();
    next.write_all(b"<13>next\n").await.unwrap();
    assert_eq!(messages(&running.take(1).await), ["next"]);
}

#[tokio::test]
async fn connections_wait_while_nothing_is_taken_and_lose_nothing() {
    let settings = [("syslog.listeners", "tcp://127.0.0.1:0"), ("syslog.read.ahead.bytes", "65536")];
    let mut running = start(&settings).await;
    let to = running.address(0);
    let text = "x".repeat(1000);
    let sender = tokio::spawn(async move {
        let mut stream = TcpStream::connect(to).await.unwrap();
        for n in 0..20_000 {
            stream.write_all(format!("<13>1 - - - - - - {n} {text}\n").as_bytes()).await.unwrap();
        }
    });
    // 20 MB fit into no buffers of a connection: reading comes to a rest.
    let mut read = 0;
    let resting = async {
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            match running.host.counted(RECEIVED) {
                now if now > 0 && now == read => break,
                now => read = now,
            }
        }
    };
    timeout(SOON, resting).await.expect("reading rests");
    assert!(!sender.is_finished() && read < 100, "{read} messages of 1 kB were read ahead of 64 kB");
    let found = messages(&running.take(20_000).await);
    sender.await.unwrap();
    let numbers: Vec<usize> = found.iter().map(|m| m.split(' ').next().unwrap().parse().unwrap()).collect();
    assert!(numbers.iter().copied().eq(0..20_000), "each once, in order");
}

#[tokio::test]
async fn datagrams_that_find_no_room_are_counted_and_said() {
    let settings = [("syslog.listeners", "udp://127.0.0.1:0"), ("syslog.udp.queue", "100")];
    let mut running = start(&settings).await;
    let sender = udp().await;
    for n in 0..2000 {
        sender.send_to(format!("<13>1 - - - - - - {n}").as_bytes(), running.address(0)).await.unwrap();
    }
    let all = |host: &Host, came: usize| came as u64 + host.counted(DROPPED) == 2000;
    let records =
        running.until("all to be accounted for", |host, came| all(host, came.len()) && host.noted().is_some()).await;
    assert!(records.len() >= 100 && records.len() < 2000, "{}", records.len());
    let note = running.host.noted().unwrap();
    assert!(note.contains("messages over udp were dropped"), "{note}");
    // It goes on.
    sender.send_to(b"<13>after", running.address(0)).await.unwrap();
    assert_eq!(messages(&running.take(1).await), ["after"]);
}

#[tokio::test]
async fn a_flood_of_datagrams_does_not_hold_up_connections() {
    let mut running = start(&[("syslog.listeners", ANY), ("syslog.udp.queue", "1000")]).await;
    let (sender, to) = (udp().await, running.address(0));
    let flood = tokio::spawn(async move {
        while sender.send_to(b"<13>flood", to).await.is_ok() {
            tokio::task::yield_now().await;
        }
    });
    let mut stream = TcpStream::connect(running.address(1)).await.unwrap();
    for n in 0..10 {
        stream.write_all(format!("<13>1 - - - - - - {n}\n").as_bytes()).await.unwrap();
        let is_there = |records: &[connect_api::SourceRecord]| records.iter().any(|r| field(r, "transport") == "tcp");
        running.until("a message over tcp", |_, records| is_there(records)).await;
    }
    flood.abort();
}

#[tokio::test]
async fn what_was_read_is_given_out_when_the_task_stops() {
    let mut running = start(&[("syslog.listeners", ANY)]).await;
    let mut stream = TcpStream::connect(running.address(1)).await.unwrap();
    stream.write_all(b"<13>1 - - - - - - a\n<13>1 - - - - - - b\n<13>half").await.unwrap();
    udp().await.send_to(b"<13>1 - - - - - - c", running.address(0)).await.unwrap();
    let received = async {
        while running.host.counted(RECEIVED) < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, received).await.expect("read");
    let began = Instant::now();
    running.stopping.cancel();
    let batch = running.task.remaining().await.unwrap();
    let mut left = messages(&batch.into_parts().0);
    left.sort();
    assert_eq!(left, ["a", "b", "c"]);
    let reasons: Vec<String> = running.host.reported().iter().map(|(_, e)| e.message().to_owned()).collect();
    assert!(reasons.len() == 1 && reasons[0].contains("the connection has ended within it"), "{reasons:?}");
    running.task.stop().await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(is_cut(&mut stream).await);
    assert!(!running.task.rereads());
}

#[tokio::test]
async fn a_task_stops_at_once_though_connections_wait_and_frees_its_ports() {
    let settings = [("syslog.listeners", ANY), ("syslog.read.ahead.bytes", "65536")];
    let mut running = start(&settings).await;
    let mut streams = Vec::new();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(running.address(1)).await.unwrap();
        stream.write_all("<13>1 - - - - - - x\n".repeat(2000).as_bytes()).await.unwrap();
        streams.push(stream);
    }
    let addresses = [running.address(0), running.address(1)];
    let began = Instant::now();
    running.stopping.cancel();
    running.task.stop().await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    UdpSocket::bind(addresses[0]).await.expect("free");
    let again = format!("tcp://{}", addresses[1]);
    start(&[("syslog.listeners", &again)]).await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_an_error_that_says_whose_it_is() {
    let stranger = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let of_stranger = format!("tcp://{}", stranger.local_addr().unwrap());
    let e = try_start(&[("syslog.listeners", &of_stranger)]).await.map(drop).unwrap_err();
    assert_eq!(e.class(), connect_api::ErrorClass::Fatal);
    let expected = format!(
        "listening on {of_stranger} for syslog messages: another program has the port; stop that, or set \
         syslog.listeners to a free one"
    );
    assert_eq!(e.message(), expected);
    let running = start(&[("syslog.listeners", ANY)]).await;
    let both = format!("tcp://127.0.0.1:0,udp://{}", running.address(0));
    let e = try_start(&[("syslog.listeners", &both)]).await.map(drop).unwrap_err();
    assert!(e.message().contains("the connector test of this worker has it"), "{e}");
}

#[tokio::test]
async fn test_calls_look_and_take_nothing() {
    let trial = async |listeners: &str| {
        let settings = Settings::from([("syslog.listeners", listeners)]);
        let host = Host::new();
        let (context, _stopping) = host.source(&settings);
        SyslogSource::start_trial(SyslogSourceConfig::parse(&settings).unwrap(), context).await
    };
    let running = start(&[("syslog.listeners", ANY)]).await;
    let own = format!("udp://{}", running.address(0));
    let Check::Passed(text) = trial(&own).await.unwrap().unwrap().check else { panic!("passed") };
    assert_eq!(text, format!("the running connector listens on {own}"));
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let e = trial(&format!("udp://{}", stranger.local_addr().unwrap())).await.map(drop).unwrap_err();
    assert!(e.message().contains("another program has the port"), "{e}");
}
