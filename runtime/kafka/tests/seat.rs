//! The one seat of a group, on Apache Kafka.

use std::time::Duration;

use connect_api::Settings;
use connect_kafka::{Admin, Role, Seat, TopicSpec, translate};
use xtask::servers::{Kafka, without};

#[test]
fn one_member_has_the_seat_until_it_leaves() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let settings = |role: Role| {
        let mut java = Settings::from([("bootstrap.servers", kafka.bootstrap().as_str())]);
        if role == Role::Consumer {
            java.set("group.id", "workers").set("client.id", "the-one").set("session.timeout.ms", "6000");
        }
        translate(role, &java).expect("settings")
    };
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    let soon = Duration::from_secs(30);
    runtime.block_on(async {
        let topic = TopicSpec { name: "configs".into(), partitions: 1, replication_factor: 1, settings: Vec::new() };
        Admin::new(&settings(Role::Admin)).expect("admin").create_topic(&topic).await.expect("topic");
        let member = settings(Role::Consumer);
        let first = Seat::take(&member, "configs", soon).await.expect("the first");
        let e = Seat::take(&member, "configs", Duration::from_secs(2)).await.expect_err("a second");
        let text = e.one_line();
        assert!(text.contains("group.id=workers: another worker is its member (client the-one at"), "{text}");
        first.leave(soon).await;
        let began = std::time::Instant::now();
        let second = Seat::take(&member, "configs", soon).await.expect("the second when the first has left");
        assert!(began.elapsed() < Duration::from_secs(5), "it took {:?}", began.elapsed());
        second.leave(soon).await;
        let mut hasty = member.clone();
        hasty.native.insert("session.timeout.ms".into(), "5000".into());
        let text = Seat::take(&hasty, "configs", soon).await.expect_err("a short session").one_line();
        assert!(
            text.contains("joining the group workers: ") && text.contains("set session.timeout.ms between"),
            "{text}"
        );
        assert!(!text.contains("stop the other worker"), "{text}");
        // Both at once: neither finds the other beforehand.
        let (a, b) = tokio::join!(Seat::take(&member, "configs", soon), Seat::take(&member, "configs", soon));
        assert!(a.is_ok() != b.is_ok(), "{a:?} {b:?}");
    });
}
