//! connect-rest-model
