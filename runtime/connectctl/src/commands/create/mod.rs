//! `connectctl create`: connectors of a common kind, from a few options.

mod influxdb_sink;

use super::Context;
use crate::error::Failure;

/// What `create` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(Debug, clap::Subcommand)]
enum Kind {
    /// Create a connector that writes topics to InfluxDB, a measurement each, at the time when a record is written.
    ///
    /// It takes what kafkaefd's admin connectors create influxdb-sink takes, and has the settings of Lenses' connector, so
    /// that it runs on workers of Kafka Connect with that plugin and on ours. The worker validates everything first. With
    /// --file it is written as a file for apply instead. For other measurements, tags and times: connectctl init
    /// influxdb-sink.
    #[command(after_help = influxdb_sink::EXAMPLES)]
    InfluxdbSink(influxdb_sink::Args),
}

/// Runs it.
pub async fn run(args: &Args, context: &Context<'_>) -> Result<(), Failure> {
    match &args.kind {
        Kind::InfluxdbSink(args) => args.run(context).await,
    }
}
