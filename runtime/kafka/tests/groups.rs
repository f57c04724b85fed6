//! Offsets of groups, read and changed from outside, on Apache Kafka.

use std::time::Duration;

use connect_api::{PartitionOffset, Settings, TopicPartition};
use connect_kafka::{
    Admin, Consumer, Event, GroupError, GroupOffsets, Role, TopicSpec, consumer::Options, consumer_defaults, translate,
};
use xtask::servers::{Kafka, without};

const SOON: Duration = Duration::from_secs(60);

fn offset(partition: i32, offset: i64) -> PartitionOffset {
    PartitionOffset { partition: TopicPartition { topic: "t".into(), partition }, offset }
}

#[test]
fn offsets_of_a_group_without_members_are_set_and_deleted() {
    if without("kafka") {
        return;
    }
    let kafka = Kafka::start().expect("kafka");
    let settings = |role: Role| {
        let mut java = Settings::from([("bootstrap.servers", kafka.bootstrap().as_str())]);
        if role == Role::Consumer {
            java.set("group.id", "g").set("session.timeout.ms", "6000");
        }
        translate(role, &java).expect("settings")
    };
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    runtime.block_on(async {
        let admin = Admin::new(&settings(Role::Admin)).expect("admin");
        let topic = TopicSpec { name: "t".into(), partitions: 2, replication_factor: 1, settings: Vec::new() };
        admin.create_topic(&topic).await.expect("topic");
        let group = GroupOffsets::new(&settings(Role::Admin), "g").expect("group");
        let listed = async || {
            let mut all = group.list().await.expect("offsets");
            all.sort_by_key(|o| o.partition.partition);
            all
        };
        assert_eq!(listed().await, [], "there is no such group");
        group.alter(&[offset(0, 7), offset(1, 9)]).await.expect("set");
        assert_eq!(listed().await, [offset(0, 7), offset(1, 9)]);
        group.delete(&[offset(0, 0).partition]).await.expect("delete one");
        assert_eq!(listed().await, [offset(1, 9)]);
        for strange in ["no such topic", "nul\0"] {
            let partition = TopicPartition { topic: strange.into(), partition: 0 };
            let e = group.alter(&[PartitionOffset { partition, offset: 1 }]).await;
            assert!(matches!(e, Err(GroupError::Other(_))), "{strange}: {e:?}");
        }

        // A member alone may change them.
        let mut client = settings(Role::Consumer);
        consumer_defaults(&mut client);
        let options = Options {
            topics: vec!["t".into()],
            max_poll_records: 10,
            max_poll_interval: SOON,
            handover_limit: Duration::from_secs(5),
        };
        let mut member = Consumer::subscribe(&client, &options).expect("member");
        let joined = tokio::time::timeout(SOON, member.next()).await.expect("joins");
        assert!(matches!(joined, Some(Event::Assigned(_))), "{joined:?}");
        let e = group.alter(&[offset(0, 1)]).await;
        assert!(matches!(e, Err(GroupError::Active(_))), "{e:?}");
        let e = group.delete(&[offset(1, 0).partition]).await;
        assert!(matches!(e, Err(GroupError::Active(_))), "{e:?}");
        let e = group.delete_group().await;
        assert!(matches!(e, Err(GroupError::Active(_))), "{e:?}");
        member.close(SOON).await;

        group.delete_group().await.expect("delete");
        assert_eq!(listed().await, []);
        let e = group.delete_group().await;
        assert!(matches!(e, Err(GroupError::Unknown(_))), "{e:?}");
    });
}
