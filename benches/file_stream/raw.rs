//! Bare librdkafka: lines of a file to a topic, and back.

use std::{
    fs::File,
    io::{BufRead, BufReader, BufWriter, Write},
    time::Duration,
};

use rdkafka::{
    ClientConfig, Message,
    consumer::{BaseConsumer, Consumer},
};
use tocsin_benches::topic::Filler;

/// Moves the records, tells on standard output that it has, and waits until its input is closed, so that what it has
/// used can be looked at.
pub fn run(what: &str, bootstrap: &str, topic: &str, file: &str, records: u64) {
    match what {
        "produce" => produce(bootstrap, topic, file),
        _ => consume(bootstrap, topic, file, records),
    }
    println!("done");
    std::io::stdin().read_line(&mut String::new()).expect("standard input");
}

fn produce(bootstrap: &str, topic: &str, file: &str) {
    let filler = Filler::new(bootstrap, topic, &[("acks", "all"), ("enable.idempotence", "true")]);
    for line in BufReader::with_capacity(1 << 16, File::open(file).expect("file")).split(b'\n') {
        filler.write(&line.expect("line"), None);
    }
    filler.finish();
}

fn consume(bootstrap: &str, topic: &str, file: &str, records: u64) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", format!("raw-{topic}"))
        .set("auto.offset.reset", "earliest")
        .create()
        .expect("consumer");
    consumer.subscribe(&[topic]).expect("subscribe");
    let mut output = BufWriter::with_capacity(1 << 16, File::create(file).expect("file"));
    let mut seen = 0;
    while seen < records {
        if let Some(message) = consumer.poll(Duration::from_secs(1)) {
            let message = message.expect("message");
            output.write_all(message.payload().unwrap_or_default()).expect("write");
            output.write_all(b"\n").expect("write");
            seen += 1;
        }
    }
    output.flush().expect("flush");
}
