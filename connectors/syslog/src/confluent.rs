//! Values as Confluent's connector writes them. Pure.

use std::sync::{Arc, LazyLock};

use connect_api::{Bytes, Result, Schema, Struct, Value, logical};

use crate::{
    message::{Format, Message},
    record::{Arrival, host, parameters_of},
    text::Decoded,
};

fn element() -> &'static Schema {
    static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
        let parameters = Schema::map(Schema::string(), Schema::string()).optional().build();
        Schema::structure()
            .name("io.confluent.syslog.StructuredData")
            .field("id", Schema::optional_string())
            .field("structuredDataElements", parameters.expect("constant schema"))
            .build()
            .expect("constant schema")
    });
    &SCHEMA
}

/// The schema of values.
pub fn schema() -> &'static Schema {
    static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
        let time = || logical::timestamp().with_optional(true);
        let extension = Schema::map(Schema::string(), Schema::string()).optional().build();
        let elements = Schema::array(element().clone()).optional().build();
        let text = Schema::optional_string;
        let number = Schema::optional_int32;
        Schema::structure()
            .name("io.confluent.syslog.Message")
            .field("name", text())
            .field("type", Schema::string())
            .field("message", text())
            .field("host", text())
            .field("version", number())
            .field("level", number())
            .field("tag", text())
            .field("extension", extension.expect("constant schema"))
            .field("severity", text())
            .field("appName", text())
            .field("facility", number())
            .field("remoteAddress", text())
            .field("rawMessage", text())
            .field("processId", text())
            .field("messageId", text())
            .field("structuredData", elements.expect("constant schema"))
            .field("deviceVendor", text())
            .field("deviceProduct", text())
            .field("deviceVersion", text())
            .field("deviceEventClassId", text())
            .field("timestamp", time())
            .field("receivedDate", time())
            .build()
            .expect("constant schema")
    });
    &SCHEMA
}

/// The value of a message. What their connector reads of CEF, a format inside of the text, is null.
pub fn value(message: &Message, arrival: &Arrival, bytes: &Bytes) -> Result<Value> {
    let is_3164 = message.format == Format::Rfc3164;
    let kind = match message.format {
        Format::Rfc5424 => "RFC5424",
        Format::Rfc3164 => "RFC3164",
        Format::Unknown => "UNKNOWN",
    };
    let app_name = message.app_name.clone();
    let (tag, app_name) = if is_3164 { (app_name, None) } else { (None, app_name) };
    let elements = message.structured_data.iter().map(|(id, parameters)| {
        let values = vec![id.clone().into(), parameters_of(parameters)];
        Ok(Value::Struct(Arc::new(Struct::from_values(element(), values)?)))
    });
    let elements = elements.collect::<Result<Vec<_>>>()?;
    let mut value = Struct::new(schema())?;
    value
        .put("type", kind)?
        .put("message", message.message.clone())?
        .put("host", (message.format != Format::Unknown).then(|| host(message, arrival)))?
        .put("version", message.version.map(i32::from))?
        .put("level", message.severity().map(i32::from))?
        .put("tag", tag)?
        .put("appName", app_name)?
        .put("facility", message.facility().map(i32::from))?
        .put("remoteAddress", arrival.remote.ip().to_string())?
        .put("rawMessage", Decoded::of(bytes).text.into_owned())?
        .put("processId", message.proc_id.clone())?
        .put("messageId", message.msg_id.clone())?
        .put("structuredData", if elements.is_empty() { Value::Null } else { Value::array(elements) })?
        .put("timestamp", message.timestamp.as_ref().map_or(Value::Null, |stamp| Value::Timestamp(stamp.ms)))?
        .put("receivedDate", Value::Timestamp(arrival.received))?;
    Ok(Value::Struct(Arc::new(value)))
}
