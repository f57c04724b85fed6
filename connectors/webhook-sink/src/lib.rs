//! connector-webhook-sink
