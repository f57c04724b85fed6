//! The schemas of JLab's console, and records in them.

use apache_avro::types::Value as Avro;
use connect_kafka::Outgoing;

use crate::plant::Plant;

pub const FIRST_ACTIVE: &str = include_str!("../../../schemas/jlab/1/active-alarms-value.avsc");
pub const FIRST_REGISTERED: &str = include_str!("../../../schemas/jlab/1/alarms-value.avsc");
pub const FIRST_SHELVED: &str = include_str!("../../../schemas/jlab/1/shelved-alarms-value.avsc");
pub const SECOND_SHELVED: &str = include_str!("../../../schemas/jlab/2/shelved-alarms-value.avsc");
pub const THIRD_REGISTERED: &str = include_str!("../../../schemas/jlab/3/registered-alarms-value.avsc");
pub const THIRD_SHELVED: &str = include_str!("../../../schemas/jlab/3/shelved-alarms-value.avsc");
/// Keys and values of the active alarms of JLab's last generation.
pub const THIRD_KEY: &str = r#"{"type":"record","name":"ActiveAlarmKey","namespace":"org.jlab.kafka.alarms","fields":[
    {"name":"name","type":"string"},{"name":"type","type":{"type":"enum","name":"ActiveMessageType",
    "symbols":["Alarming","Ack","AlarmingEPICS","AckEPICS"]}}]}"#;
pub const THIRD_ACTIVE: &str = r#"{"type":"record","name":"ActiveAlarm","namespace":"org.jlab.kafka.alarms","fields":[{"name":"msg","type":[
    {"type":"record","name":"Alarming","fields":[]},{"type":"record","name":"Ack","fields":[]},
    {"type":"record","name":"AlarmingEPICS","fields":[
        {"name":"sevr","type":{"type":"enum","name":"SevrEnum","symbols":["NO_ALARM","MINOR","MAJOR","INVALID"]}},
        {"name":"stat","type":{"type":"enum","name":"StatEnum","symbols":["NO_ALARM","READ","WRITE","HIHI","HIGH","LOLO","LOW"]}}]},
    {"type":"record","name":"AckEPICS","fields":[
        {"name":"ack","type":{"type":"enum","name":"EPICSAcknowledgementEnum","symbols":["NO_ACK","MINOR_ACK","MAJOR_ACK"]}}]}]}]}"#;

/// What JLab's last generation writes of active alarms: a message each, under a key that has the name and the kind of message.
pub struct Messages<'p>(pub &'p Plant);

const KINDS: [&str; 4] = ["Alarming", "Ack", "AlarmingEPICS", "AckEPICS"];

impl Messages<'_> {
    pub fn key(&self, name: &str, kind: usize) -> Vec<u8> {
        let kind = Avro::Enum(u32::try_from(kind).expect("small"), KINDS[kind].into());
        self.0.schemas.encode("active-alarms-key", THIRD_KEY, record(&[("name", text(name)), ("type", kind)]))
    }

    pub fn value(&self, branch: u32, members: &[(&str, Avro)]) -> Vec<u8> {
        let message = record(&[("msg", Avro::Union(branch, Box::new(record(members))))]);
        self.0.schemas.encode("active-alarms-value", THIRD_ACTIVE, message)
    }

    /// A channel that is not well: its severity and status, by their places among the symbols.
    pub fn channel(&self, severity: (u32, &str), status: (u32, &str)) -> Vec<u8> {
        let symbol = |(place, name): (u32, &str)| Avro::Enum(place, name.into());
        self.value(2, &[("sevr", symbol(severity)), ("stat", symbol(status))])
    }

    pub fn send(&self, key: &[u8], value: Option<&[u8]>) {
        let (topic, key) = ("active-alarms", Some(key));
        self.0.kafka.send(Outgoing { topic, partition: None, timestamp: None, key, value, headers: &[] });
    }
}

pub fn text(text: &str) -> Avro {
    Avro::String(text.into())
}

pub fn record(fields: &[(&str, Avro)]) -> Avro {
    Avro::Record(fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
}

pub fn of<'a>(fields: &'a [(String, Avro)], name: &str) -> &'a Avro {
    fields
        .iter()
        .find(|(field, _)| field == name)
        .map(|(_, value)| value)
        .unwrap_or_else(|| panic!("no {name}: {fields:?}"))
}
