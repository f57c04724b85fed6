//! connector-influxdb
