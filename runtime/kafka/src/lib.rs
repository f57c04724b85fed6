//! connect-kafka
