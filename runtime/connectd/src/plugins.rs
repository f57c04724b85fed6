//! The one list of the plugins that come with Tocsin.

use connect_converters::{
    AvroConverter, ByteArrayConverter, JsonConverter, SimpleHeaderConverter, StringConverter,
    numbers::{BooleanConverter, DoubleConverter, FloatConverter, IntegerConverter, LongConverter, ShortConverter},
};
use connect_worker::Plugins;

/// All connectors, converters, transforms and predicates of Tocsin.
pub fn plugins() -> Plugins {
    Plugins::new()
        .source::<connector_alert_stream::AlertStreamSource>()
        .source::<connector_epics::EpicsSource>()
        .source::<connector_file::FileSource>()
        .source::<connector_webhook_source::WebhookSource>()
        .sink::<connector_file::FileSink>()
        .sink::<connector_file::FileStreamSink>()
        .sink::<connector_influxdb::InfluxSink>()
        .sink::<connector_slack::SlackSink>()
        .sink::<connector_webhook_sink::WebhookSink>()
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
        .transform::<connect_transforms::Filter>()
        .transform::<connect_transforms::RegexRouter>()
        .predicate::<connect_transforms::ExpressionPredicate>()
        .predicate::<connect_transforms::HasHeaderKey>()
        .predicate::<connect_transforms::RecordIsTombstone>()
        .predicate::<connect_transforms::TopicNameMatches>()
}
