//! Settings of the source.

use connect_api::{
    config::{Key, Millis},
    config_enum,
};

config_enum! {
    /// What a record's value is.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Encoding {
        /// The packet in Avro's binary form, without its schema.
        Avro = "avro",
        /// A struct with the packet's schema.
        Struct = "struct",
        /// JSON as text.
        Json = "json",
    }
}

connect_api::config! {
    /// Settings of the alert stream.
    #[derive(Debug, Clone)]
    pub struct AlertStreamConfig {
        /// Topic that the packets go to.
        topic: String = Key::new("topic").high().non_empty().topic(),
        /// What to play: Avro object container files, folders (all files in them that end in `.avro`), and file names with
        /// `*` or `?`. They are looked up anew in each round and played in the order of their paths.
        files: Vec<String> = Key::new("alert.stream.files").high().check(|files: &Vec<String>| {
            if files.is_empty() || files.iter().any(String::is_empty) {
                return Err("List must name at least one file, and no empty one".into());
            }
            Ok(())
        }),
        /// Time between the beginnings of two rounds. Rounds begin when the clock shows a multiple of it; only the first
        /// one begins at once. 0 plays without pause.
        interval: Millis = Key::new("alert.stream.interval.ms").default("39000"),
        /// How many rounds to play; 0 for no end.
        repeats: i64 = Key::new("alert.stream.repeats").default("2215").at_least(0),
        /// Most packets of one batch of records. Packets have about 70 kB.
        batch_size: i32 = Key::new("alert.stream.batch.size").default("100").at_least(1).at_most(100_000),
        /// What values are: `avro` for the packet in Avro's binary form without schema or frame, as the consumers of
        /// this stream read it, which takes `value.converter: ByteArrayConverter`; `struct` for a struct with the
        /// packet's schema, for transforms and for converters that register it, such as AvroConverter, which frames it as
        /// Confluent's does; `json` for JSON as text, bytes in base64, which takes `value.converter: StringConverter`.
        encoding: Encoding = Key::new("alert.stream.encoding").default("avro"),
        /// Field of the packet whose text or number is the record's key, such as `objectId`. Default: records have no key.
        key_field: Option<String> = Key::new("alert.stream.key.field"),
        /// Whether packets have their stamps, the images cut out around the object. Without them they have null there.
        stamps: bool = Key::new("alert.stream.stamps").default("true"),
        /// Most packets a second within a round; 0 sends each round as fast as it can.
        rate: f64 = Key::new("alert.stream.rate").default("0").check(|rate: &f64| {
            if *rate >= 0.0 && rate.is_finite() { Ok(()) } else { Err("Value must be at least 0".into()) }
        }),
        /// Files of the Avro schema to write packets with, the parts that others refer to first, the packet's last. Default:
        /// each file's own.
        schema_files: Vec<String> = Key::new("alert.stream.schema.files").default("").low(),
    }
}
