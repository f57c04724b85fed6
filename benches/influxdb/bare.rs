//! The least program that does the work: it knows the five fields, and nothing else.

use std::{
    fmt::Write as _,
    io::Write as _,
    time::{Duration, Instant},
};

use flate2::{Compression, write::GzEncoder};
use rdkafka::{
    ClientConfig, Message,
    consumer::{BaseConsumer, Consumer},
};
use serde::Deserialize;

const LINES: usize = 5000;

#[derive(Deserialize)]
struct Reading<'a> {
    device: &'a str,
    temperature: f64,
    pressure: f64,
    rpm: i64,
    running: bool,
}

/// Writes the topic's records, tells on standard output that it has, and waits until its input is closed.
pub fn run(bootstrap: &str, topic: &str, url: &str, gzip: bool, records: u64) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", format!("bare-{}-{gzip}", std::process::id()))
        .set("auto.offset.reset", "earliest")
        .create()
        .expect("consumer");
    consumer.subscribe(&[topic]).expect("subscribe");
    let client = reqwest::blocking::Client::builder().no_proxy().build().expect("client");
    let url = format!("{url}/write?db=bench&precision=ms");
    let (mut body, mut lines, mut seen, began) = (String::new(), 0, 0, Instant::now());
    while seen < records {
        assert!(began.elapsed() < Duration::from_secs(300), "{seen} of {records} records");
        let Some(message) = consumer.poll(Duration::from_secs(1)) else { continue };
        let message = message.expect("message");
        let r: Reading<'_> = serde_json::from_slice(message.payload().unwrap_or_default()).expect("JSON");
        let time = message.timestamp().to_millis().unwrap_or_default();
        let Reading { device, temperature, pressure, rpm, running } = r;
        writeln!(
            body,
            "{topic},device={device} temperature={temperature},pressure={pressure},rpm={rpm}i,running={running} {time}"
        )
        .expect("a line");
        (lines, seen) = (lines + 1, seen + 1);
        if lines == LINES || seen == records {
            post(&client, &url, &body, gzip);
            body.clear();
            lines = 0;
        }
    }
    println!("done");
    std::io::stdin().read_line(&mut String::new()).expect("standard input");
}

fn post(client: &reqwest::blocking::Client, url: &str, body: &str, gzip: bool) {
    let request = client.post(url);
    let request = if gzip {
        let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
        encoder.write_all(body.as_bytes()).expect("gzip");
        request.header("content-encoding", "gzip").body(encoder.finish().expect("gzip"))
    } else {
        request.body(body.to_owned())
    };
    let answer = request.send().expect("an answer");
    assert_eq!(answer.status(), 204, "{}", answer.text().unwrap_or_default());
}
