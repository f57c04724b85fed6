//! The one seat of a group, on Apache Kafka.

use std::time::{Duration, Instant};

use connect_api::Settings;
use connect_kafka::{Admin, Lease, Role, Seat, TopicSpec, translate};
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer as _},
};
use xtask::servers::{Kafka, Server, without};

const SOON: Duration = Duration::from_secs(30);
const SESSION: Duration = Duration::from_secs(6);

fn settings(kafka: &Kafka, role: Role) -> connect_kafka::ClientSettings {
    let mut java = Settings::from([("bootstrap.servers", kafka.bootstrap().as_str())]);
    if role == Role::Consumer {
        java.set("group.id", "workers").set("client.id", "the-one").set("session.timeout.ms", "6000");
    }
    translate(role, &java).expect("settings")
}

async fn create_topic(kafka: &Kafka) {
    let topic = TopicSpec { name: "configs".into(), partitions: 1, replication_factor: 1, settings: Vec::new() };
    Admin::new(&settings(kafka, Role::Admin)).expect("admin").create_topic(&topic).await.expect("topic");
}

fn lease() -> Lease {
    Lease::awaited(SESSION)
}

async fn held_within(lease: &Lease, limit: Duration) -> bool {
    tokio::time::timeout(limit, lease.held()).await.is_ok_and(|held| held.is_ok())
}

#[test]
fn one_member_has_the_seat_until_it_leaves() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    runtime.block_on(async {
        create_topic(&kafka).await;
        let member = settings(&kafka, Role::Consumer);
        let own = lease();
        let first = Seat::take(&member, "configs", SOON, &own).await.expect("the first");
        assert!(held_within(&own, Duration::ZERO).await, "{own:?}");
        let e = Seat::take(&member, "configs", Duration::from_secs(2), &lease()).await.expect_err("a second");
        let text = e.one_line();
        assert!(text.contains("group.id=workers: another worker is its member (client the-one at"), "{text}");
        first.leave(SOON).await;
        assert!(own.held().await.is_err(), "{own:?}");
        let began = Instant::now();
        let second = Seat::take(&member, "configs", SOON, &lease()).await.expect("the second when the first has left");
        assert!(began.elapsed() < Duration::from_secs(5), "it took {:?}", began.elapsed());
        second.leave(SOON).await;
        let mut hasty = member.clone();
        hasty.native.insert("session.timeout.ms".into(), "5000".into());
        let text = Seat::take(&hasty, "configs", SOON, &lease()).await.expect_err("a short session").one_line();
        assert!(
            text.contains("joining the group workers: ") && text.contains("set session.timeout.ms between"),
            "{text}"
        );
        assert!(!text.contains("stop the other worker"), "{text}");
        // Both at once: neither finds the other beforehand.
        for _ in 0..3 {
            let (one, other) = (lease(), lease());
            let (a, b) =
                tokio::join!(Seat::take(&member, "configs", SOON, &one), Seat::take(&member, "configs", SOON, &other));
            assert!(a.is_ok() != b.is_ok(), "{a:?} {b:?}");
            let (seat, own) = if let Ok(seat) = a { (seat, one) } else { (b.expect("the other"), other) };
            assert!(held_within(&own, SOON).await, "{own:?}");
            seat.leave(SOON).await;
        }
    });
}

/// Members that look at nobody and join, as one that was away for long may, do not get what another has.
#[test]
fn who_has_the_seat_keeps_it_whoever_joins() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    runtime.block_on(async {
        create_topic(&kafka).await;
        let own = lease();
        let seat =
            Seat::take(&settings(&kafka, Role::Consumer), "configs", SOON, &own).await.expect("the one with the seat");
        for round in 0..5 {
            let mut config: ClientConfig = settings(&kafka, Role::Consumer).config();
            config.set("partition.assignment.strategy", "cooperative-sticky");
            let other: BaseConsumer = config.create().expect("consumer");
            other.subscribe(&["configs"]).expect("subscription");
            let joined = Instant::now();
            let mut members = 0;
            while joined.elapsed() < SOON && members < 2 {
                drop(other.poll(Duration::from_millis(100)));
                let list = other.fetch_group_list(Some("workers"), SOON).expect("the group");
                members = list.groups().iter().filter(|g| g.state() == "Stable").map(|g| g.members().len()).sum();
            }
            assert_eq!(members, 2, "round {round}: it has joined");
            for _ in 0..10 {
                drop(other.poll(Duration::from_millis(100)));
            }
            assert_eq!(other.assignment().expect("assignment").count(), 0, "round {round}");
            drop(other);
            assert!(held_within(&own, SOON).await, "round {round}: {own:?}");
        }
        seat.leave(SOON).await;
    });
}

#[test]
fn after_an_outage_longer_than_the_session_the_seat_is_held_again_unless_another_had_it() {
    if without("kafka") {
        return;
    }
    let mut kafka = Kafka::start().expect("kafka");
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    let member = settings(&kafka, Role::Consumer);
    let own = lease();
    let seat = runtime.block_on(async {
        create_topic(&kafka).await;
        Seat::take(&member, "configs", SOON, &own).await.expect("the seat")
    });
    kafka.stop().expect("stop kafka");
    let began = Instant::now();
    while began.elapsed() < SESSION * 2 {
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(!runtime.block_on(held_within(&own, Duration::ZERO)), "{own:?}");
    kafka.start_again().expect("start kafka");
    let limit = SOON * 2;
    assert!(runtime.block_on(held_within(&own, limit)), "nobody else had it: {own:?}");
    runtime.block_on(seat.leave(SOON));
}
