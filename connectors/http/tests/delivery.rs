//! Slices that are delivered by several requests at once, some of which fail at first.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use connect_api::{Error, Result, Settings, SinkRecord, SinkTask, async_trait, config::Config};
use connect_testkit::{
    Host,
    sink::{deliver, record},
};
use connector_http::{Delivery, DeliveryConfig};

/// What the receiver has seen.
#[derive(Default)]
struct Receiver {
    /// Offsets by key, in the order in which they were stored.
    stored: BTreeMap<String, Vec<i64>>,
    tried: HashSet<i64>,
    under_way: usize,
    most_under_way: usize,
    requests: usize,
}

struct Task {
    delivery: Delivery,
    receiver: Arc<Mutex<Receiver>>,
    group: usize,
}

impl Task {
    /// A receiver that never takes offsets of the kind 13 in 50, and others of some kinds only when they come again.
    async fn send(receiver: &Mutex<Receiver>, group: Vec<&SinkRecord>) -> Result<()> {
        {
            let mut r = receiver.lock().unwrap();
            r.requests += 1;
            r.under_way += 1;
            r.most_under_way = r.most_under_way.max(r.under_way);
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
        let mut r = receiver.lock().unwrap();
        r.under_way -= 1;
        let offsets = || group.iter().map(|record| record.origin.offset);
        if offsets().any(|offset| offset % 50 == 13) {
            return Err(Error::data("never"));
        }
        if let Some(first) = offsets().find(|offset| offset % 7 == 3 && !r.tried.contains(offset)) {
            r.tried.insert(first);
            return Err(Error::retriable("later").retry_after(Duration::from_millis(1)));
        }
        for record in group {
            r.stored.entry(record.key.to_string()).or_default().push(record.origin.offset);
        }
        Ok(())
    }
}

#[async_trait]
impl SinkTask for Task {
    async fn put(&mut self, records: &[SinkRecord]) -> Result<()> {
        let (receiver, group) = (&self.receiver, self.group);
        self.delivery.deliver(records, |_| group, |group| Self::send(receiver, group)).await
    }
}

async fn run(in_flight: &str, group: usize) -> Arc<Mutex<Receiver>> {
    let host = Host::new();
    let config = DeliveryConfig::parse(&Settings::from([("http.max.in.flight", in_flight)])).unwrap();
    let (context, _) = host.sink(&Settings::new());
    let receiver: Arc<Mutex<Receiver>> = Arc::default();
    let mut task = Task { delivery: Delivery::new(context, &config), receiver: receiver.clone(), group };
    let records: Vec<SinkRecord> = (0..400).map(|n| record("t", n, format!("key-{}", n % 11), n)).collect();
    for slice in records.chunks(150) {
        deliver(&mut task, slice, &host).await.unwrap();
    }
    let bad: Vec<i64> = host.reported().iter().filter_map(|(offset, _)| *offset).collect();
    let mut sorted = bad.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (0..8).map(|n| n * 50 + 13).collect::<Vec<_>>(), "each bad record is reported once: {bad:?}");
    for key in 0..11 {
        let expected: Vec<i64> = (0..400).filter(|n| n % 11 == key && n % 50 != 13).collect();
        assert_eq!(receiver.lock().unwrap().stored[&format!("key-{key}")], expected, "once and in order");
    }
    receiver
}

#[tokio::test(start_paused = true)]
async fn one_request_after_the_other() {
    let receiver = run("1", 1).await;
    assert_eq!(receiver.lock().unwrap().most_under_way, 1);
}

#[tokio::test(start_paused = true)]
async fn several_at_once_keep_the_order_of_each_key() {
    let receiver = run("4", 1).await;
    let most = receiver.lock().unwrap().most_under_way;
    assert!((2..=4).contains(&most), "{most} were under way");
}

#[tokio::test(start_paused = true)]
async fn batches_with_a_bad_record_are_halved_until_it_stands_alone() {
    let alone = run("1", 1).await.lock().unwrap().requests;
    for in_flight in ["1", "4"] {
        let receiver = run(in_flight, 20).await;
        let requests = receiver.lock().unwrap().requests;
        assert!(requests < alone, "{requests} requests of up to 20 records, {alone} of one");
    }
}

#[tokio::test]
async fn places_do_not_change_the_order_of_a_key() {
    let config = DeliveryConfig::parse(&Settings::new()).unwrap();
    let mut delivery = Delivery::new(Host::new().sink(&Settings::new()).0, &config);
    // Place 0 is seen first, so that the places of key a come in the other order.
    let places = [("b", 0), ("a", 1), ("c", 1), ("a", 0), ("a", 1), ("b", 0)];
    let records: Vec<SinkRecord> = places.iter().zip(0..).map(|((key, _), n)| record("t", n, *key, n)).collect();
    let place = |record: &SinkRecord| places[usize::try_from(record.origin.offset).unwrap()].1;
    let sent: Mutex<Vec<Vec<i64>>> = Mutex::default();
    let alike = |rest: &[&SinkRecord]| rest.iter().take_while(|record| place(record) == place(rest[0])).count();
    let send = |group: Vec<&SinkRecord>| {
        sent.lock().unwrap().push(group.iter().map(|record| record.origin.offset).collect());
        async { Ok(()) }
    };
    delivery.deliver_by(&records, place, alike, send).await.unwrap();
    assert_eq!(*sent.lock().unwrap(), [vec![0, 5], vec![1, 2], vec![3], vec![4]]);
}
