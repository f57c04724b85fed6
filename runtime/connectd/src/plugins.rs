//! The one list of the plugins that come with Tocsin.

use connect_converters::{
    AvroConverter, ByteArrayConverter, JsonConverter, SimpleHeaderConverter, StringConverter,
    numbers::{BooleanConverter, DoubleConverter, FloatConverter, IntegerConverter, LongConverter, ShortConverter},
};
use connect_transforms::{
    Cast, DropHeaders, ExpressionPredicate, ExtractField, Filter, Flatten, HasHeaderKey, HeaderFrom, HoistField,
    InsertField, InsertHeader, MaskField, OfKey, OfValue, RecordIsTombstone, RegexRouter, ReplaceField,
    SetSchemaMetadata, Sided, TemplateField, TimestampConverter, TimestampRouter, TopicNameMatches, ValueToKey,
};
use connect_worker::Plugins;

/// All connectors, converters, transforms and predicates of Tocsin.
pub fn plugins() -> Plugins {
    let plugins = Plugins::new()
        .source::<connector_alert_stream::AlertStreamSource>()
        .source::<connector_datagen::DatagenSource>()
        .source::<connector_epics::EpicsSource>()
        .source::<connector_exec::ExecSource>()
        .source::<connector_file::FileSource>()
        .source::<connector_kafka::KafkaSource>()
        .source::<connector_mqtt::MqttSource>()
        .source::<connector_syslog::SyslogSource>()
        .source::<connector_webhook_source::WebhookSource>()
        .sink::<connector_email::EmailSink>()
        .sink::<connector_file::FileSink>()
        .sink::<connector_file::FileStreamSink>()
        .sink::<connector_influxdb::InfluxSink>()
        .sink::<connector_prometheus::PrometheusSink>()
        .sink::<connector_influxdb::ConfluentInfluxSink>()
        .sink::<connector_influxdb::LensesInfluxSink>()
        .sink::<connector_slack::SlackSink>()
        .sink::<connector_webhook_sink::WebhookSink>()
        .sink::<connector_webhook_sink::AivenHttpSink>()
        .sink::<connector_webhook_sink::ConfluentHttpSink>()
        .converter::<StringConverter>()
        .converter::<JsonConverter>()
        .converter::<ByteArrayConverter>()
        .converter::<AvroConverter>()
        .converter::<BooleanConverter>()
        .converter::<DoubleConverter>()
        .converter::<FloatConverter>()
        .converter::<IntegerConverter>()
        .converter::<LongConverter>()
        .converter::<ShortConverter>()
        .header_converter::<SimpleHeaderConverter>()
        .transform::<connector_alarm::AlarmTransform>()
        .transform::<connector_sal::SalTransform>()
        .transform::<DropHeaders>()
        .transform::<Filter>()
        .transform::<InsertHeader>()
        .transform::<RegexRouter>()
        .transform::<TimestampRouter>()
        .transform::<ValueToKey>()
        .predicate::<ExpressionPredicate>()
        .predicate::<HasHeaderKey>()
        .predicate::<RecordIsTombstone>()
        .predicate::<TopicNameMatches>();
    let plugins = both::<Cast>(plugins);
    let plugins = both::<ExtractField>(plugins);
    let plugins = both::<Flatten>(plugins);
    let plugins = both::<HeaderFrom>(plugins);
    let plugins = both::<HoistField>(plugins);
    let plugins = both::<InsertField>(plugins);
    let plugins = both::<MaskField>(plugins);
    let plugins = both::<ReplaceField>(plugins);
    let plugins = both::<SetSchemaMetadata>(plugins);
    let plugins = both::<TemplateField>(plugins);
    both::<TimestampConverter>(plugins)
}

/// Adds a transform as two plugins, of keys and of values.
fn both<T: Sided>(plugins: Plugins) -> Plugins {
    plugins.transform::<OfKey<T>>().transform::<OfValue<T>>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_transform_converter_and_predicate_of_kafka_is_found_by_all_of_its_names() {
        let plugins = plugins();
        for name in [
            "Cast",
            "ExtractField",
            "Flatten",
            "HeaderFrom",
            "HoistField",
            "InsertField",
            "MaskField",
            "ReplaceField",
            "SetSchemaMetadata",
            "TimestampConverter",
        ] {
            for side in ["Key", "Value"] {
                let class = format!("org.apache.kafka.connect.transforms.{name}${side}");
                for name in [class.clone(), format!("{name}${side}"), dashed(&format!("{name}{side}"))] {
                    assert_eq!(plugins.transforms.find(&name).expect("found").info.class(), class);
                }
            }
        }
        for name in ["DropHeaders", "Filter", "InsertHeader", "RegexRouter", "TimestampRouter", "ValueToKey"] {
            let class = format!("org.apache.kafka.connect.transforms.{name}");
            for name in [class.clone(), name.to_owned(), dashed(name)] {
                assert_eq!(plugins.transforms.find(&name).expect("found").info.class(), class);
            }
        }
        for name in ["HasHeaderKey", "RecordIsTombstone", "TopicNameMatches"] {
            let class = format!("org.apache.kafka.connect.transforms.predicates.{name}");
            for name in [class.clone(), name.to_owned(), dashed(name)] {
                assert_eq!(plugins.predicates.find(&name).expect("found").info.class(), class);
            }
        }
        for (package, name) in [
            ("json", "Json"),
            ("storage", "String"),
            ("storage", "SimpleHeader"),
            ("converters", "ByteArray"),
            ("converters", "Boolean"),
            ("converters", "Double"),
            ("converters", "Float"),
            ("converters", "Integer"),
            ("converters", "Long"),
            ("converters", "Short"),
        ] {
            let class = format!("org.apache.kafka.connect.{package}.{name}Converter");
            for name in [class.clone(), format!("{name}Converter"), name.to_owned(), dashed(name)] {
                assert_eq!(plugins.converters.find(&name).expect("found").info.class(), class);
            }
        }
    }

    /// `CastKey` as `cast-key`.
    fn dashed(name: &str) -> String {
        let dash = |(i, c): (usize, char)| if i > 0 && c.is_uppercase() { vec!['-', c] } else { vec![c] };
        name.chars().enumerate().flat_map(dash).collect::<String>().to_lowercase()
    }
}
