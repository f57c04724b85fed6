//! The contestants, and what each cost.

use serde_json::{Value as Json, json};
use tocsin_benches::{
    contest::{Cost, delivered, measured_child},
    topic::fill,
    usage::Usage,
};
use tocsin_tests::{Connectd, file};
use xtask::servers::{InfluxDb, Kafka, Server};

use crate::{Arguments, null_server::NullServer};

const TOPIC: &str = "readings";

/// Runs all contestants in turns and prints what each cost.
pub fn run(arguments: &Arguments) {
    let kafka = Kafka::start().expect("kafka");
    let bytes = fill(&kafka.bootstrap(), TOPIC, arguments.records, message);
    let server = NullServer::start();
    let folder = tempfile::tempdir().expect("folder");
    let offsets = folder.path().join("offsets");
    let worker = format!(
        "bootstrap.servers={}\noffset.storage.file.filename={}\nkey.converter=StringConverter\n\
         value.converter=JsonConverter\nvalue.converter.schemas.enable=false\n",
        kafka.bootstrap(),
        offsets.display()
    );
    let worker = file(folder.path(), "connectd.properties", &worker);
    let connectd = Connectd::start(&["--config", &worker], &folder.path().join("connectd.log"));

    println!("{} messages of {:.0} bytes", arguments.records, bytes as f64 / arguments.records as f64);
    println!(
        "\n| Round | Contestant | CPU-s per million | points/s per CPU-s | points/s | most MiB | CPU-s by thread |"
    );
    println!("|---|---|---|---|---|---|---|");
    let print = |round: u32, who: &str, cost: &Cost| {
        let records = arguments.records as f64;
        println!(
            "| {round} | {who} | {:.2} | {:.0} | {:.0} | {:.0} | {} |",
            cost.cpu / records * 1e6,
            records / cost.cpu,
            records / cost.seconds,
            cost.memory,
            cost.by_thread()
        );
    };
    // A consumer that waits for no more than one read gives, and one that waits for a whole request.
    let whole = [("put.linger.ms", "200"), ("put.max.records", "5000")];
    for round in 1..=arguments.rounds {
        for gzip in ["false", "true"] {
            for (how, settings) in [("as it comes", &[][..]), ("5000 at once", &whole)] {
                let config = sink(server.url(), gzip, settings, arguments);
                let cost = delivered(&connectd, &config, arguments.records);
                print(round, &format!("influxdb-sink, gzip {gzip}, {how}"), &cost);
            }
            let records = arguments.records.to_string();
            let bare = ["--records", &records, "--bare", &kafka.bootstrap(), TOPIC, server.url(), gzip];
            print(round, &format!("bare, gzip {gzip}"), &measured_child(&bare));
        }
    }
    if !arguments.without_influxdb {
        let influx = InfluxDb::start().expect("influxdb");
        influx.create_database("bench").expect("database");
        let before = influx.process().id().map(|id| (Usage::of(id), Usage::of(id).cpu()));
        let cost = delivered(&connectd, &sink(&influx.url(), "true", &whole, arguments), arguments.records);
        print(1, "influxdb-sink into InfluxDB 1.6", &cost);
        if let Some((usage, before)) = before {
            println!("\nInfluxDB itself took {:.2} CPU-s in {:.2} s", usage.cpu() - before, cost.seconds);
        }
    }
}

fn sink(url: &str, gzip: &str, settings: &[(&str, &str)], arguments: &Arguments) -> Json {
    let mut config = json!({
        "connector.class": "influxdb-sink", "tasks.max": "1", "topics": TOPIC, "influxdb.url": url,
        "influxdb.database": "bench", "influxdb.tags": "device", "influxdb.gzip": gzip, "http.proxy": "none"
    });
    let further = arguments.settings.iter().filter_map(|setting| setting.split_once('='));
    for (key, value) in settings.iter().copied().chain(further) {
        config[key] = value.into();
    }
    config
}

// Points of one device at one time would be one: each message has a time of its own.
fn message(n: u64) -> String {
    format!(
        "{{\"device\":\"pump-{:03}\",\"temperature\":{}.{:02},\"pressure\":{}.{},\"rpm\":{},\"running\":{}}}",
        n % 200,
        20 + n % 60,
        n % 97 + 1,
        1000 + n % 31,
        n % 9 + 1,
        1400 + n % 173,
        !n.is_multiple_of(7)
    )
}
