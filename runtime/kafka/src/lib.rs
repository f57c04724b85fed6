//! The one place that talks to Kafka, over librdkafka.
//!
//! - [`settings`]: Java client settings → librdkafka's, by one table
//! - [`producer`]: the idempotent producer with delivery reports
//! - [`consumer`]: the consumer of a sink task; [`handshake`]: what happens when partitions come and go
//! - [`cut`]: cuts a task that was given up off
//! - [`admin`]: cluster id and topics; [`cluster`]: brokers and where partitions are; [`topics`]: more of what is done with topics;
//!   [`resource`]: settings of topics and brokers; `version`: what tells of a broker's version
//! - [`assigned`]: reads given partitions from given offsets on, without a group
//! - [`positions`]: where partitions begin and end, which offset a time is, and the ids of topics
//! - `embedded`: offsets of times on the embedded broker, which knows none
//! - [`newest()`]: the newest records of topics, without a group; [`stretch()`]: all between given offsets
//! - [`identities`]: tells topics from others that have had their names
//! - [`compacted`]: follows a compacted topic from its beginning
//! - [`group_offsets`]: offsets of groups, from outside; with [`groups`] (their members), [`other_groups`], `topic_ids`, `resource`, `cluster`, `owned`, and
//!   `revival`, brokers that librdkafka has dropped, the files that have `unsafe` code
//! - [`seat`]: a member that is alone in its group; [`lease`]: whether it may write
//! - [`error`]: librdkafka's codes, classified

pub mod admin;
pub mod assigned;
pub mod client;
pub mod cluster;
pub mod compacted;
pub mod consumer;
pub mod cut;
pub mod deleted;
mod embedded;
pub mod error;
pub mod group_offsets;
pub mod groups;
pub mod handshake;
pub mod identities;
mod jaas;
pub mod lease;
mod newest;
pub mod other_groups;
mod owned;
mod poll_loop;
pub mod positions;
pub mod producer;
mod record;
pub mod resource;
mod revival;
pub mod seat;
pub mod settings;
mod stores;
mod stretch;
mod topic_ids;
pub mod topics;
mod version;

pub use admin::{Admin, TopicSpec};
pub use assigned::{Assigned, Start};
pub use client::Bounds;
pub use cluster::{Broker, Cluster, Partition, TopicState};
pub use compacted::CompactedLog;
pub use consumer::{Consumer, consumer_defaults};
pub use cut::Cut;
pub use deleted::{Awaited, DeletedUnread, Sequence};
pub use embedded::is_embedded_id;
pub use error::{kafka_error, not_permitted, not_supported, refused_with_others};
pub use group_offsets::{GroupError, GroupOffsets};
pub use groups::{Group, GroupMember};
pub use handshake::{Event, Handover};
pub use identities::{Identities, Ids};
pub use lease::Lease;
pub use newest::{Newest, Order, newest, newest_by};
pub use other_groups::{OtherGroup, OtherMember};
pub use positions::{Positions, Span};
pub use producer::{BatchRefused, Delivery, LARGEST, Outgoing, Producer, producer_defaults};
pub use record::RawRecord;
pub use resource::{Resource, ResourceSetting};
pub use seat::Seat;
pub use settings::{ClientSettings, Role, translate};
pub use stretch::stretch;
pub use version::version_told_by;
