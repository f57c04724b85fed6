//! connector-webhook-source
