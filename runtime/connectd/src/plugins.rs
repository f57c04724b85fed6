//! The one list of the plugins that come with Tocsin.

use connect_converters::{
    AvroConverter, ByteArrayConverter, JsonConverter, SimpleHeaderConverter, StringConverter,
    numbers::{BooleanConverter, DoubleConverter, FloatConverter, IntegerConverter, LongConverter, ShortConverter},
};
use connect_worker::Plugins;

/// All connectors, converters, transforms and predicates of Tocsin.
pub fn plugins() -> Plugins {
    Plugins::new()
        .source::<connector_file::FileSource>()
        .sink::<connector_file::FileSink>()
        .sink::<connector_file::FileStreamSink>()
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
}
