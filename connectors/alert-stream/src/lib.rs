//! connector-alert-stream
